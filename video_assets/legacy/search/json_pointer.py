"""Places in a row: ``column`` or ``column#/json/pointer``, and what stands there. Pure functions.

``*`` in a pointer stands for any one token in a rule, and for the finding's own token when a value is looked up
beside a finding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from video_assets.urls import redact

_INDEX = re.compile(r"[0-9]+")


def tokens(pointer: str) -> list[str]:
    """The tokens of an RFC 6901 pointer."""
    if not pointer:
        return []
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.lstrip("/").split("/")]


_PLAIN_POINTER = re.compile(r"(?:/[A-Za-z0-9_.\- ]{0,24})*")


@lru_cache(maxsize=1024)
def kept_pointer(pointer: str | None) -> str:
    """A pointer as it may be stored and shown: a key of the document can be a URL or hold a token itself."""
    if pointer is None:
        return ""
    if _PLAIN_POINTER.fullmatch(pointer) and "eyJ" not in pointer:
        return pointer
    # Redacted token by token, because the escapes of a pointer would hide a URL from redaction.
    return "".join("/" + redact(token).replace("~", "~0").replace("/", "~1") for token in tokens(pointer))


def generalised(pointer: str) -> str:
    """A pointer with every array index as ``*``: ``/versions/0/url`` → ``/versions/*/url``."""
    if not pointer:
        return ""
    return "/" + "/".join("*" if _INDEX.fullmatch(token) else token for token in pointer[1:].split("/"))


@lru_cache(maxsize=1024)
def _pattern(rule: str) -> re.Pattern[str]:
    return re.compile("".join("[^/]+" if part == "*" else re.escape(part) for part in re.split(r"(\*)", rule)))


def matches(rule: str, pointer: str) -> bool:
    """Whether a pointer follows a rule with ``*`` for any one token."""
    return _pattern(rule).fullmatch(pointer) is not None


def bound(rule: str, pointer: str) -> str:
    """``rule`` with each ``*`` replaced by the token at the same depth of ``pointer``, else by ``0``."""
    own = pointer.split("/")
    parts = rule.split("/")
    return "/".join(
        (own[depth] if depth < len(own) else "0") if part == "*" else part for depth, part in enumerate(parts)
    )


def at(document: Any, pointer: str) -> Any:
    """What stands at ``pointer`` of a parsed JSON document; None when nothing does."""
    for token in tokens(pointer):
        if isinstance(document, Mapping):
            document = document.get(token)
        elif isinstance(document, list) and _INDEX.fullmatch(token) and int(token) < len(document):
            document = document[int(token)]
        else:
            return None
    return document


class RowPlaces:
    """The values of one row by place. JSON is parsed once, when it is first asked for."""

    def __init__(self, names: Sequence[str], row: Sequence[Any]) -> None:
        self._names, self._row = names, row
        self._values: dict[str, Any] | None = None
        self._documents: dict[str, Any] = {}

    def get(self, place: str, pointer: str = "") -> Any:
        """What stands at ``place``, ``*`` bound to ``pointer``; None when nothing does. Never raises."""
        name, hash_mark, rule = place.partition("#")
        if self._values is None:  # most sources never ask
            self._values = dict(zip(self._names, self._row, strict=True))
        value = self._values.get(name)
        if not hash_mark or value is None:
            return value
        if name not in self._documents:
            self._documents[name] = parse_json(value)
        return at(self._documents[name], bound(rule, pointer))


def parse_json(value: Any) -> Any:
    """A JSON value from a column, None when it is none."""
    if isinstance(value, dict | list):
        return value
    if not isinstance(value, str | bytes | bytearray):
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None
