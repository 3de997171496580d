"""The second look may only ever say "nothing here" when the careful reading finds nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from video_assets.urls import classify, find, schemes
from video_assets.urls.second_look import is_plain, only_plain

NAMES = sorted({name.strip("*-") or "x" for each in schemes.SCHEMES for name in (*each.needs, *each.any_of)})
HOSTS = [
    *sorted({host for scheme in schemes.SCHEMES for host in scheme.hosts}),
    *("cdn.example.com", "EXAMPLE.com", "files2.heygen.ai", "tempfile.aiquickdraw.com", "localhost", "10.0.0.1"),
]
HINTS = sorted({scheme.hint for scheme in schemes.SCHEMES if scheme.hint})
INNER = ["eyJhbGciOiJIUzI1NiJ9", "aHR0cHM6Ly9hLmIvYz9zaWc9YWFh", "http:", "https%3A%2F%2Fx", "a=b"]

words = st.one_of(
    st.text("abcXYZ019._~-", max_size=24),
    st.text("0123456789abcdef", min_size=30, max_size=66),
    st.sampled_from([*HINTS, *INNER]),
    st.integers(0, 2_000_000_000).map(str),
)
known = st.sampled_from(NAMES)
names = st.one_of(known, known.map(str.upper), st.text("abvtokensig_-", max_size=9))
queries = st.lists(st.tuples(names, words), max_size=3).map(lambda some: "&".join(f"{k}={v}" for k, v in some))


@st.composite
def urls(draw: st.DrawFn) -> str:
    host = draw(st.one_of(st.sampled_from(HOSTS), st.sampled_from(HOSTS).map(lambda host: f"cdn.{host}")))
    prefix = draw(st.sampled_from(["https://", "http://", "HTTPS://", "//", "https://user:word@"]))
    path = "".join(f"/{part}" for part in draw(st.lists(words, max_size=4)))
    query = draw(queries)
    fragment = draw(st.sampled_from(["", "", "#t=1", "#access_token=abcdefghijklmnopqrstuvwx"]))
    return f"{prefix}{host}{path}{'?' + query if query else ''}{fragment}"


@given(urls())
@settings(max_examples=1500, deadline=None)
def test_a_url_called_plain_is_permanent(url: str) -> None:
    if is_plain(url):
        assert classify(url).is_persistable


@given(st.lists(urls(), max_size=4), st.text(" ,:;&%\\/<>\"'{}[]eyJabc=", max_size=30), st.integers(0, 4))
@settings(max_examples=1500, deadline=None)
def test_a_document_called_plain_holds_nothing(found: list[str], between: str, form: int) -> None:
    document = {
        0: lambda: json.dumps({"urls": found, "note": between}),
        1: lambda: json.dumps(json.dumps({"urls": found})),
        2: lambda: between.join(found),
        3: lambda: "".join(f'<a href="{url}">{between}</a>' for url in found),
        4: lambda: f'{between}"' + f'"{between}"'.join(found) + '"',
    }[form]()
    if only_plain(document):
        assert find(document) == []


@pytest.mark.parametrize(
    "document",
    [
        '{"a": "https://cdn.example.com/videos/1/clip.mp4?v=3", "b": "https://example.com"}',
        "https://cdn.example.com/videos/1/clip.mp4",
        '{"title": "50% off; ours & yours", "n": 1}',
    ],
)
def test_what_most_rows_hold_is_dismissed(document: str) -> None:
    assert only_plain(document)
