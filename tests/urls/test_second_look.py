"""The second look may only ever say "nothing here" when the careful reading finds nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from video_assets.urls import Finding, classify, find, schemes
from video_assets.urls.documents.prefilter import is_plain, look
from video_assets.urls.find.find import _find_in_text

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


def carefully(document: str) -> list[Finding]:
    return list(_find_in_text(document, None, None, None))


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
    if look(document) == []:
        assert carefully(document) == []


signed = st.sampled_from(
    [
        "https://b.s3.amazonaws.com/a.mp4?X-Amz-Date=20261121T000000Z&X-Amz-Expires=60&X-Amz-Signature="
        + "5a" * 32,
        "https://cdn.example.com/v/1.mp4?expires=1795000000&sig=Zm9vYmFyYmF6cXV4",
        "https://user:pass-word-9@cdn.example.com/v/1.mp4",
        "https://cdn.example.com/v/1.mp4?token=eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3OTUwMDAwMDB9.c2lnbmF0dXJl",
    ]
)
keys = st.one_of(st.sampled_from(["url", "a/b", "m~n", "", "0", "\u00fc", "https://cdn.example.com/key"]), signed)
leaves = st.one_of(
    signed, urls(), st.none(), st.integers(), st.text(max_size=12), signed.map(lambda u: f"see {u}.")
)
documents = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=8,
)


@given(documents, st.booleans(), st.sampled_from([None, 1]))
@settings(max_examples=1000, deadline=None)
def test_the_short_way_through_json_finds_what_the_careful_reading_finds(
    document: object, is_ascii: bool, indent: int | None
) -> None:
    text = json.dumps(document, ensure_ascii=is_ascii, indent=indent)
    assert find(text) == carefully(text)


@pytest.mark.parametrize(
    "document",
    [
        '{"a": "%s", "b": "https://cdn.example.com/2?sig=abcdefghijklmnop&expires=1795000000", "a": 5}',
        '{"a": 5, "b": "https://cdn.example.com/2?sig=abcdefghijklmnop&expires=1795000000", "a": "%s"}',
        '{"a": {"x": "%s"}, "a": {"y": "%s"}}',
        '{"%s": "%s"}',
    ],
)
def test_pointers_stay_right_where_a_key_stands_twice_or_is_a_url(document: str) -> None:
    url = "https://cdn.example.com/1?sig=abcdefghijklmnop&expires=1795000000"
    text = document.replace("%s", url)
    assert find(text) == carefully(text)


@pytest.mark.parametrize(
    "document",
    [
        '{"a": "https://cdn.example.com/videos/1/clip.mp4?v=3", "b": "https://example.com"}',
        "https://cdn.example.com/videos/1/clip.mp4",
        '{"title": "50% off; ours & yours", "n": 1}',
        '{"a": "https://cdn.example.com/0f1c7a52-9b1e-4c38-a5e7-0f2f7c1a9b3d/out.mp4"}',
    ],
)
def test_what_most_rows_hold_is_dismissed(document: str) -> None:
    assert look(document) == []


def test_what_the_dismissed_have_in_common_is_not_only_their_digits() -> None:
    """Paths are remembered with all hexadecimal digits the same; a known word may not hide behind that."""
    assert is_plain("https://cdn.example.com/q/1/n/2.mp4")
    assert not is_plain("https://cdn.example.com/p/1/n/2.mp4")
    assert is_plain("https://cdn.example.com/a/11223344.mp4")
    assert not is_plain("https://cdn.example.com/a/68747470733a2f2f.mp4")
