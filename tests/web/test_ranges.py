"""Range headers and conditions, against the rules of RFC 9110 rather than against examples only."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_assets.web.ranges import (
    ByteRange,
    Unsatisfiable,
    Validators,
    parse_range,
    precondition_status,
    range_applies,
)

OUTSIDE = Unsatisfiable.UNSATISFIABLE
NOW = Validators('"v1"', datetime(2026, 11, 20, 12, 0, 0, 400_000, tzinfo=UTC))
THEN = "Fri, 20 Nov 2026 12:00:00 GMT"
BEFORE = "Fri, 20 Nov 2026 11:59:59 GMT"


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        (None, 100, None),
        ("bytes=0-0", 100, ByteRange(0, 1)),
        ("bytes=0-99", 100, ByteRange(0, 100)),
        ("bytes=10-", 100, ByteRange(10, 100)),
        ("bytes=10-1000", 100, ByteRange(10, 100)),
        ("bytes=-10", 100, ByteRange(90, 100)),
        ("bytes=-1000", 100, ByteRange(0, 100)),
        ("Bytes = 1-2 ", 100, ByteRange(1, 3)),
        ("bytes=100-", 100, OUTSIDE),
        ("bytes=-0", 100, OUTSIDE),
        ("bytes=0-", 0, OUTSIDE),
        ("bytes=-5", 0, OUTSIDE),
        ("bytes=5-2", 100, None),
        ("bytes=0-1,5-6", 100, None),
        ("bytes=", 100, None),
        ("bytes=-", 100, None),
        ("bytes=a-b", 100, None),
        ("bytes=+1-2", 100, None),
        ("bytes=١-٢", 100, None),
        ("lines=1-2", 100, None),
        ("bytes=" + "9" * 30 + "-", 100, None),
    ],
)
def test_a_range_header_means_what_the_rfc_says(
    header: str | None, size: int, expected: ByteRange | Unsatisfiable | None
) -> None:
    assert parse_range(header, size) == expected


@given(st.text(), st.integers(0, 2**63))
def test_no_header_is_an_error(header: str, size: int) -> None:
    parse_range(header, size)
    parse_range("bytes=" + header, size)
    range_applies(header, NOW)
    for name in ("if-match", "if-unmodified-since", "if-none-match", "if-modified-since"):
        precondition_status({name: header}, NOW)


@given(st.binary(max_size=60), st.integers(0, 80), st.integers(0, 80))
def test_a_range_is_a_slice(content: bytes, first: int, last: int) -> None:
    found = parse_range(f"bytes={first}-{last}", len(content))
    wanted = content[first : last + 1]
    if isinstance(found, ByteRange):
        assert content[found.start : found.end] == wanted
        assert wanted
    elif found is OUTSIDE:
        assert not wanted
    else:
        assert last < first


@given(st.binary(max_size=60), st.integers(0, 80))
def test_a_suffix_is_the_end_of_the_content(content: bytes, length: int) -> None:
    found = parse_range(f"bytes=-{length}", len(content))
    if isinstance(found, ByteRange):
        assert content[found.start : found.end] == content[-length:]
    else:
        assert found is OUTSIDE
        assert not length or not content


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, None),
        ({"if-none-match": '"v1"'}, 304),
        ({"if-none-match": 'W/"v1"'}, 304),
        ({"if-none-match": '"v0", "v1"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"v2"'}, None),
        ({"if-none-match": "v1"}, None),
        ({"if-none-match": '"v2"', "if-modified-since": THEN}, None),
        ({"if-modified-since": THEN}, 304),
        ({"if-modified-since": BEFORE}, None),
        ({"if-modified-since": "yesterday"}, None),
        ({"if-match": '"v1"'}, None),
        ({"if-match": 'W/"v1"'}, 412),
        ({"if-match": '"v2"'}, 412),
        ({"if-unmodified-since": BEFORE}, 412),
        ({"if-unmodified-since": THEN}, None),
        ({"if-match": '"v1"', "if-unmodified-since": BEFORE}, None),
    ],
)
def test_conditions_are_weighed_in_the_order_of_the_rfc(headers: dict[str, str], status: int | None) -> None:
    assert precondition_status(headers, NOW) == status


@pytest.mark.parametrize(
    ("if_range", "applies"),
    [
        (None, True),
        ('"v1"', True),
        ('"v2"', False),
        ('W/"v1"', False),
        (THEN, True),
        (BEFORE, False),
        ("?", False),
    ],
)
def test_if_range_holds_only_for_exactly_this_version(if_range: str | None, applies: bool) -> None:
    assert range_applies(if_range, NOW) is applies
