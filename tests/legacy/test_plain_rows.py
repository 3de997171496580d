"""What is passed over when many rows are looked at together holds nothing, whatever stands in it."""

from __future__ import annotations

import hashlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from video_assets.legacy.search.prefilter import not_plain
from video_assets.urls import find

PLAIN = '{"n": %d, "url": "https://cdn.example.com/videos/%d/clip.mp4?v=%d", "type": "video/mp4"}'
SIGNED = (
    '{"url": "https://b.s3.amazonaws.com/%d.mp4?X-Amz-Date=20261120T000000Z&X-Amz-Expires=60&X-Amz-Signature=%s"}'
)


def plain(number: int) -> str:
    return PLAIN % (number, number, number)


def test_rows_that_differ_in_numbers_are_searched_once() -> None:
    assert list(not_plain([plain(n) for n in range(100_000, 100_900)])) == []


def test_a_temporary_url_among_plain_ones_is_searched() -> None:
    values: list[object] = [plain(n) for n in range(100_000, 100_900)]
    values[7] = SIGNED % (7, "0123456789abcdef" * 4)
    values[600] = None
    values[601] = memoryview(b"bytes")
    values[899] = "https://u:secret@cdn.example.com/a.mp4"
    assert list(not_plain(values)) == [7, 601, 899]


def test_digits_that_tell_one_url_from_another_are_not_overlooked() -> None:
    spelt = b"https://e.com/?u=".hex()
    for odd in (
        '{"url": "https://cdn.example.com/68747470733a2f2f/1.mp4"}',
        f'{{"url": "https://cdn.example.com/{spelt}/1.mp4"}}',
        '{"url": "https://cdn7.example.com/1.mp4"}',
        '{"a": "http://", "url": "https://u:secret@cdn.example.com/a.mp4"}',
    ):
        values = [plain(n) for n in range(100_000, 100_100)]
        values[50] = odd
        assert 50 in not_plain(values)


def test_a_url_outside_of_quotes_or_in_other_spelling_is_not_overlooked() -> None:
    for hidden in (
        "see https://u:secret@cdn.example.com/a.mp4",
        "//u:secret@cdn.example.com/a.mp4",
        "https:\\/\\/u:secret@cdn.example.com\\/a.mp4",
        "https%3A%2F%2Fu%3Asecret%40cdn.example.com%2Fa.mp4",
        "https:&#47;&#47;u:secret@cdn.example.com/a.mp4",
    ):
        values = [plain(n) for n in range(100_000, 100_100)]
        values[50] = values[50].replace('"n": 100050', f'"n": "{hidden}"')
        assert list(not_plain(values)) == [50]


piece = st.sampled_from(
    [
        *(
            '"',
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            " ",
            "\\",
            "/",
            "//",
            "?",
            "&",
            "=",
            "%2F",
            ";",
            "http://",
            "https://",
        ),
        *('"http://"', '"https://cdn.example.com/7/clip.mp4"', '"https://cdn.example.com/7.mp4?v=1"'),
        *(
            '"https://fal.media/files/9/a.mp4"',
            "u:pass7word@",
            "X-Amz-Expires=60",
            "token=0123456789abcdef01234567",
        ),
        *("cdn.example.com", "e1.example.com/", "?Expires=1763700000&Signature=abc123DEF456ghi789", "68747470"),
    ]
)
texts = st.lists(piece, max_size=8).map("".join)
# Rows with names of their own, so that no two have the same outline.
apart = st.uuids().map(
    lambda name: json.dumps({"url": f"https://cdn.example.com/{name}/a.mp4"}).translate(
        str.maketrans("0123456789", "ghijklmnop")
    )
)
documents = texts | texts.map(lambda text: json.dumps({"url": text})) | texts.map(lambda text: f'{{"a": {text}}}')
OTHER_DIGITS = [str.maketrans("0123456789", f"{'0123456789'[turn:]}{'0123456789'[:turn]}") for turn in range(10)]


@settings(max_examples=400, deadline=None)
@given(st.lists(documents, min_size=1, max_size=4), st.integers(1, 40))
def test_whatever_is_passed_over_holds_nothing(some: list[str], copies: int) -> None:
    values = [text.translate(OTHER_DIGITS[copy % 10]) for copy in range(copies) for text in some]
    searched = set(not_plain(values))
    for place, text in enumerate(values):
        assert place in searched or find(text) == []


@settings(max_examples=200, deadline=None)
@given(st.lists(documents | apart, min_size=20, max_size=60))
def test_whatever_is_passed_over_holds_nothing_when_no_two_rows_are_alike(values: list[str]) -> None:
    searched = set(not_plain(values))
    for place, text in enumerate(values):
        assert place in searched or find(text) == []


def test_rows_whose_urls_have_no_number_in_common_are_looked_at_together_too() -> None:
    def name(number: int) -> str:
        return hashlib.sha256(str(number).encode()).hexdigest()[:29].translate(str.maketrans("012345", "ghkmzw"))

    values: list[object] = [
        f'{{"url": "https://cdn.example.com/{name(n)}/clip.mp4?v={n}", "thumb": "https://cdn.example.com/{name(-n)}.jpg"}}'
        for n in range(100_000, 100_600)
    ]
    assert list(not_plain(values)) == []
    for place, odd in enumerate(
        (
            '{"url": "https://cdn.example.com/ggg/clip.mp4?token=0123456789abcdef01234567"}',
            '{"url": "https://replicate.delivery/ggg/a.mp4"}',
            '{"url": "https://cdn.example.com/eyJhbGciOiJub25lIn0.eyJleHAiOjE3OTUwMDAwMDB9./a.mp4"}',
            '{"a": "//u:secret@h.example/a.mp4", "url": "https://cdn.example.com/ggg/clip.mp4"}',
            '{"a": "http:\\/\\/u:secret@h.example\\/a.mp4", "url": "https://cdn.example.com/ggg/clip.mp4"}',
        )
    ):
        values[300 + place] = odd
    assert list(not_plain(values)) == [300, 301, 302, 303, 304]
