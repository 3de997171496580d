"""Times as URLs write them: epochs in seconds, milliseconds or hex, ISO 8601 in its many cuts, HTTP dates.

Every function answers ``None`` for what is not a time; none raises. Answers are UTC, cut to the second below,
because a URL that dies within a second is dead for that second.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import unquote

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLAUSIBLE_FROM = datetime(2005, 1, 1, tzinfo=UTC)
_PLAUSIBLE_TO = datetime(2500, 1, 1, tzinfo=UTC)  # Firebase's "for ever" is the year 2491
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second datetime knows
_MILLISECONDS_FROM = 10**12  # as seconds that is the year 33658
_MICROSECONDS_FROM = 10**15
_NANOSECONDS_FROM = 10**18

_ISO = re.compile(
    r"\s*([0-9]{4})-?([0-9]{2})-?([0-9]{2})"
    r"(?:(?:[Tt _]|\+(?=[0-9]{2}:[0-9]{2}:))([0-9]{2}):?([0-9]{2})(?::?([0-9]{2})(?:[.,][0-9]{1,12})?)?"
    r"\s*([Zz]|[Uu][Tt][Cc]|[Gg][Mm][Tt]|[+\- ][0-9]{2}:?(?:[0-9]{2})?)?)?\s*"
)
# RFC 9110 section 5.6.7, with the blanks that queries write as a plus.
_HTTP_DATE = re.compile(
    r"(?:[A-Za-z]{3,9},?)?[ +]*([0-9]{1,2})[ +\-]([A-Za-z]{3})[ +\-]([0-9]{4})[ +]+"
    r"([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?[ +]*(?:GMT|UTC|Z|[+\-]0000)?\s*",
    re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DIGITS = re.compile(r"[0-9]{1,20}")
_NUMBER = re.compile(r"\s*\+?([0-9]{1,20})(?:\.[0-9]{0,20})?\s*")
_HEX = re.compile(r"(?:0[xX])?([0-9a-fA-F]{1,16})")


def from_epoch(value: int | float) -> datetime | None:
    """The moment of an epoch number: seconds, or by its size milli-, micro- or nanoseconds."""
    try:
        number = int(value // 1)
    except (OverflowError, ValueError):  # infinite, not a number
        return None
    if number >= _NANOSECONDS_FROM:
        number //= 10**9
    elif number >= _MICROSECONDS_FROM:
        number //= 10**6
    elif number >= _MILLISECONDS_FROM:
        number //= 1000
    if not 0 <= number <= _LAST_SECOND:
        return None
    return EPOCH + timedelta(seconds=number)


def parse_epoch(text: str) -> datetime | None:
    """A decimal epoch in any unit: ``1764547200``, ``1764547200000``, ``1764547200.5``."""
    match = _NUMBER.fullmatch(text)
    return from_epoch(int(match[1])) if match else None


def parse_hex_epoch(text: str) -> datetime | None:
    """A hexadecimal epoch, with or without ``0x``: ``692d6e00``."""
    match = _HEX.fullmatch(text)
    return from_epoch(int(match[1], 16)) if match else None


def parse_iso(text: str, *, zone: timezone = UTC) -> datetime | None:
    """ISO 8601: a date, minutes, seconds or fractions, extended or basic (``20261121T080000Z``).

    ``zone`` holds where the text names none. A blank where a ``+`` should be is one: queries lose it.
    """
    if len(text) == 16 and text[8] == "T" and text[15] == "Z":  # most signatures write it so
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, offset = match.groups()
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=zone
        )
        if offset:
            digits = offset[1:].replace(":", "")
            shift = timedelta()
            if digits.isdigit():
                shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
            moment = moment.replace(tzinfo=UTC) - (-shift if offset[0] == "-" else shift)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_http_date(text: str) -> datetime | None:
    """A date as HTTP headers write it: ``Sun, 22 Nov 2026 00:00:00 GMT``."""
    match = _HTTP_DATE.fullmatch(text)
    if match is None or match[2].lower() not in _MONTHS:
        return None
    day, month, year, hour, minute, second = match.groups()
    try:
        return datetime(
            int(year),
            _MONTHS.index(month.lower()) + 1,
            int(day),
            int(hour),
            int(minute),
            int(second or 0),
            tzinfo=UTC,
        )
    except ValueError:
        return None


def parse_any(text: str) -> datetime | None:
    """An epoch in decimal, a date in ISO 8601 or of HTTP; fourteen digits that make a date are a date."""
    if "%" in text:  # a value that was escaped once more than its URL
        text = unquote(text)
    if len(text) in (8, 14) and _DIGITS.fullmatch(text):
        return parse_iso(f"{text[:8]}T{text[8:]}" if len(text) == 14 else text) or parse_epoch(text)
    return parse_epoch(text) or parse_iso(text) or parse_http_date(text)


def is_plausible(moment: datetime | None) -> bool:
    """True for a moment at which a URL may well end: small numbers are no times."""
    return moment is not None and _PLAUSIBLE_FROM <= moment < _PLAUSIBLE_TO


def parse_seconds(text: str) -> timedelta | None:
    """A duration in whole seconds."""
    match = _NUMBER.fullmatch(text)
    return timedelta(seconds=int(match[1])) if match and int(match[1]) <= _LAST_SECOND else None


def add(moment: datetime | None, duration: timedelta | None) -> datetime | None:
    """The sum, or None where either is unknown or the calendar ends."""
    if moment is None or duration is None:
        return None
    try:
        return moment + duration
    except OverflowError:
        return None


def earliest(*moments: datetime | None) -> datetime | None:
    """The first of those that are known."""
    return min((moment for moment in moments if moment is not None), default=None)
