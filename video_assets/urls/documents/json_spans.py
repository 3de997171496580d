"""Where the strings of a JSON text are, and under which pointer; for broken and cut-off JSON too.

One pass of one regular expression, no recursion: 100,000 open brackets cost a list of that length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from video_assets.urls.documents.codecs import JSON, decoded
from video_assets.urls.documents.triggers import may_contain

# A string may be cut off by the end of the text, or, in newline-delimited JSON, by the next line's document.
_TOKEN = re.compile(r'"[^"\\\n]*+(?:(?:\\.|\n(?!\{"))[^"\\\n]*+)*(?:"|\\?(?=\Z|\n))|[{}\[\],]|[/\\%&]', re.DOTALL)
# An object's first string has a colon behind it: {"a","b"} is an array of PostgreSQL.
_OPENING = re.compile(
    r'[\ufeff\s]*(?:\{\s*+(?:"(?![^"\\]*+(?:\\.[^"\\]*+)*"\s*+[,}])|\}|\Z)|\[\s*+(?:["{\[\]\-0-9]|true\b|false\b|null\b|NaN\b|Infinity\b|\Z)'
    r'|"[^"\\]*+(?:\\.[^"\\]*+)*"\s*+\Z)',
    re.DOTALL,
)
MAX_POINTER_DEPTH = 1000
"""Containers deeper than this have no pointer: it would be longer than the document around it."""


@dataclass(slots=True)
class JsonString:
    """One string: ``start`` and ``end`` are inside its quotes. A key's pointer names the key's object."""

    start: int
    end: int
    pointer: str | None
    is_key: bool


@dataclass(slots=True)
class _Container:
    """One open object or array."""

    is_object: bool
    expects_key: bool
    token: str | int = 0
    """Raw text of the current key, or the current index."""
    pointer: str | None = None
    """Pointer of the container itself, once somebody asked for it."""


def looks_like_json(text: str) -> bool:
    """True when ``text`` begins like a JSON document, or is one JSON string as a whole."""
    return _OPENING.match(text) is not None


def json_strings(text: str) -> Iterator[JsonString | tuple[int, int]]:
    """The strings of ``text`` that may hold a URL, in order.

    Between them come, as pairs, the spans of anything that no JSON has outside its strings and that could
    therefore be plain text with URLs in it.
    """
    stack: list[_Container] = []
    gap_start = 0
    gap_is_suspect = False
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        mark = text[start]
        if mark == '"':
            if gap_is_suspect:
                yield gap_start, start
                gap_is_suspect = False
            gap_start = end
            closed = end - start > 1 and text[end - 1] == '"'
            raw = text[start + 1 : end - 1 if closed else end]
            is_key = False
            if stack and stack[-1].expects_key:
                is_key = True
                stack[-1].token = raw
                stack[-1].expects_key = False
            if may_contain(raw):
                pointer = _container_pointer(stack) if is_key else _value_pointer(stack)
                yield JsonString(start + 1, start + 1 + len(raw), pointer, is_key)
            if not closed:
                stack.clear()
        elif mark == ",":
            if stack:
                top = stack[-1]
                if top.is_object:
                    top.expects_key = True
                elif isinstance(top.token, int):
                    top.token += 1
        elif mark == "{" or mark == "[":
            if stack and stack[-1].expects_key:
                stack.clear()  # no document goes on like this: the line before was cut off
            stack.append(_Container(mark == "{", mark == "{"))
        elif mark == "}" or mark == "]":
            if stack:
                stack.pop()
        else:
            gap_is_suspect = True
    if gap_is_suspect:
        yield gap_start, len(text)


def _container_pointer(stack: list[_Container]) -> str | None:
    """RFC 6901 pointer of the innermost container; computed once per container."""
    if not stack:
        return ""
    if len(stack) > MAX_POINTER_DEPTH:
        return None
    known = len(stack) - 1
    while known > 0 and stack[known].pointer is None:
        known -= 1
    stack[0].pointer = ""
    for depth in range(known + 1, len(stack)):
        stack[depth].pointer = f"{stack[depth - 1].pointer}/{_escaped_token(stack[depth - 1])}"
    return stack[-1].pointer


def _value_pointer(stack: list[_Container]) -> str | None:
    base = _container_pointer(stack)
    return f"{base}/{_escaped_token(stack[-1])}" if stack and base is not None else base


def _escaped_token(container: _Container) -> str:
    token = container.token
    if isinstance(token, int):
        return "" if container.is_object else str(token)
    return decoded(JSON, token).replace("~", "~0").replace("/", "~1")
