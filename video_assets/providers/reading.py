"""Reading what a provider sent: tolerant of anything, and never showing a secret.

Providers add fields, leave fields out and change types without notice. These readers give None instead of
raising, so that one odd field never hides the state of a job that has been paid for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from video_assets.media.file_types import GIF, by_extension, extension_of
from video_assets.providers.base import OutputKind
from video_assets.urls import redact

JsonObject = Mapping[str, Any]

_LONGEST_SENTENCE = 500
_LONGEST_ERROR_LIST = 5
_NOT_PRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")

_KIND_OF_FAMILY: Mapping[str, OutputKind] = {
    "video": OutputKind.VIDEO,
    "playlist": OutputKind.VIDEO,
    "image": OutputKind.THUMBNAIL,
    "audio": OutputKind.AUDIO,
    "subtitle": OutputKind.SUBTITLE,
    "archive": OutputKind.ARCHIVE,
}


def text(value: object, *, longest: int = _LONGEST_SENTENCE, hide: str = "") -> str | None:
    """A provider's words as one line that may be shown: URLs redacted, white space folded, cut to ``longest``.

    ``hide`` is a secret that the provider may have echoed, such as the key.
    """
    if not isinstance(value, str):
        return None
    if hide:
        value = value.replace(hide, "[key]")
    line = _NOT_PRINTABLE.sub(" ", redact(value)).strip()
    if not line:
        return None
    return line if len(line) <= longest else line[: longest - 1] + "…"


def number(value: object) -> float | None:
    """A finite number of zero or more; None for everything else, booleans included."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        as_float = float(value)
    except OverflowError:
        return None
    return as_float if math.isfinite(as_float) and as_float >= 0 else None


def progress(value: object) -> float | None:
    """Progress from 0 to 1. A figure above 1 is read as per cent; anything above 100 is nonsense and None."""
    figure = number(value)
    if figure is None or figure > 100:
        return None
    return figure / 100 if figure > 1 else figure


def moment(value: object) -> datetime | None:
    """An ISO 8601 time as aware UTC; one without an offset is taken as UTC."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def task_id(value: object) -> str | None:
    """A job id: a non-empty string, or a whole number as its digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value.strip() else None


def mapping(value: object) -> JsonObject:
    """``value`` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def address(value: object) -> str | None:
    """An http(s) URL with a host, exactly as it was sent."""
    if not isinstance(value, str):
        return None
    try:
        parts = urlsplit(value)
        return value if parts.scheme in ("http", "https") and parts.hostname else None
    except ValueError:
        return None


def kind_of(url: str) -> OutputKind:
    """What the file behind ``url`` is, by the extension of its path; a video unless it says otherwise."""
    found = by_extension(extension_of(urlsplit(url).path))
    if found is None:
        return OutputKind.VIDEO
    return OutputKind.GIF if found is GIF else _KIND_OF_FAMILY.get(found.kind, OutputKind.FILE)


def error_sentence(body: object, *, hide: str = "") -> str | None:
    """The provider's own explanation in an error body, redacted and without ``hide``.

    Reads ``{"error": "…"}`` with an optional ``issues`` list (Runway), ``{"detail": "…"}`` (Luma),
    ``{"detail": [{"loc": […], "msg": "…"}]}`` (FastAPI), ``{"error": {"message": "…"}}``, ``{"message": "…"}``.
    """
    fields = mapping(body)
    for name in ("error", "detail", "message", "title"):
        found = fields.get(name)
        if isinstance(found, list):
            sentence = _error_list(found, hide)
        elif isinstance(found, dict):
            sentence = text(found.get("message"), hide=hide)
        else:
            sentence = text(found, hide=hide)
        if sentence:
            issues = fields.get("issues")
            more = _error_list(issues, hide) if isinstance(issues, list) else None
            return text(f"{sentence} ({more})") if more else sentence
    return None


def _error_list(entries: list[Any], hide: str) -> str | None:
    lines = []
    for entry in entries[:_LONGEST_ERROR_LIST]:
        fields = mapping(entry)
        where = fields.get("loc", fields.get("path"))
        place = text(".".join(map(str, where)), longest=80, hide=hide) if isinstance(where, list) else None
        what = text(fields.get("msg", fields.get("message")) if fields else entry, hide=hide)
        if what:
            lines.append(f"{place}: {what}" if place else what)
    return text("; ".join(lines))
