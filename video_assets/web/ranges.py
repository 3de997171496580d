"""Byte ranges and conditional requests (RFC 9110 §13 and §14), as pure functions over header values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum

_ONE_RANGE = re.compile(
    r"bytes[ \t]*=[ \t]*(?:(\d{1,19})-(\d{0,19})|-(\d{1,19}))[ \t]*", re.ASCII | re.IGNORECASE
)
_ETAG = re.compile(r'(?:W/)?"[^"\x00-\x20\x7f]*"')


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes ``start`` to ``end``, exclusive; never empty."""

    start: int
    end: int


class Unsatisfiable(Enum):
    """The range lies outside the object: answer 416."""

    UNSATISFIABLE = "unsatisfiable"


def parse_range(header: str | None, size: int) -> ByteRange | Unsatisfiable | None:
    """What part of an object of ``size`` bytes a Range header asks for; None is the whole.

    A header that is malformed, speaks of another unit or names several ranges is ignored, which RFC 9110 §14.2
    allows: players ask for one range at a time.
    """
    found = _ONE_RANGE.fullmatch(header) if header else None
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        length = min(int(suffix), size)
        return ByteRange(size - length, size) if length else Unsatisfiable.UNSATISFIABLE
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        return Unsatisfiable.UNSATISFIABLE
    return ByteRange(start, min(int(last) + 1, size) if last else size)


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells two versions of an object apart: a strong ETag in its quotes, and a time."""

    etag: str
    modified_at: datetime | None


def precondition_status(headers: Mapping[str, str], now_stored: Validators) -> int | None:
    """412 or 304 when a condition of a GET or HEAD says so, else None; in the order of RFC 9110 §13.2.2."""
    if (wanted := headers.get("if-match")) is not None:
        if not _matches(wanted, now_stored.etag, weak=False):
            return 412
    elif (since := headers.get("if-unmodified-since")) is not None and _is_newer(now_stored, since) is True:
        return 412
    if (known := headers.get("if-none-match")) is not None:
        return 304 if _matches(known, now_stored.etag, weak=True) else None
    if (since := headers.get("if-modified-since")) is not None and _is_newer(now_stored, since) is False:
        return 304
    return None


def range_applies(if_range: str | None, now_stored: Validators) -> bool:
    """Whether a Range may be honoured: without If-Range always, else only for exactly the version it names."""
    if if_range is None:
        return True
    value = if_range.strip()
    if value.startswith(('"', "W/")):
        return value == now_stored.etag
    date = _http_date(value)
    return date is not None and now_stored.modified_at is not None and date == _second(now_stored.modified_at)


def _matches(header: str, etag: str, *, weak: bool) -> bool:
    if header.strip() == "*":
        return True
    known = _ETAG.findall(header)
    return etag in ([tag.removeprefix("W/") for tag in known] if weak else known)


def _is_newer(now_stored: Validators, since: str) -> bool | None:
    """Whether the object changed after ``since``; None when either time is unknown."""
    date = _http_date(since)
    if date is None or now_stored.modified_at is None:
        return None
    return _second(now_stored.modified_at) > date


def _second(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


def _http_date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
