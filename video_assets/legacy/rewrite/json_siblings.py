"""Keys beside a URL in a JSON document: set to new values, every other byte of the document kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"|[{}\[\],:]|[^\s{}\[\],:"]++', re.DOTALL)


_EMPTY = frozenset(("null", '""', "[]", "{}"))


@dataclass(frozen=True, slots=True)
class Sibling:
    """What a key beside a URL becomes."""

    value: Any
    """Anything JSON."""
    when_empty: bool = False
    """Only where the key is missing or holds nothing: ``null``, an empty text, list or object."""


@dataclass(slots=True)
class _Member:
    """Where the value of one member of an object of interest stands, quotes included."""

    start: int
    end: int


@dataclass(slots=True)
class _Open:
    is_object: bool
    pointer: str
    key: str = ""
    index: int = 0
    expects_key: bool = True
    value_start: int = -1
    members: dict[str, _Member] | None = None
    """For an object of interest."""


def set_siblings(text: str, wanted: Mapping[str, Mapping[str, Sibling]]) -> str:
    """``text`` with members of its objects set.

    Args:
        text: a JSON document.
        wanted: object's pointer → key → new value. A key that is missing is put behind the last member; of a
            doubled key the last one counts, as it does for every reader. Objects that are not in the document
            are left out.

    A text that is not one whole JSON document comes back unchanged.
    """
    if not wanted:
        return text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    edits: list[tuple[int, int, str]] = []
    for pointer, members in _objects(text, set(wanted)):
        missing: list[str] = []
        for key, sibling in wanted[pointer].items():
            new = json.dumps(sibling.value)
            member = members.get(key)
            if member is not None:
                if not sibling.when_empty or text[member.start : member.end] in _EMPTY:
                    edits.append((member.start, member.end, new))
            else:
                missing.append(f"{json.dumps(key)}: {new}")
        if missing and members:
            end = max(member.end for member in members.values())
            edits.append((end, end, "".join(f", {each}" for each in missing)))
    pieces: list[str] = []
    position = 0
    for start, end, new in sorted(edits):
        pieces += (text[position:start], new)
        position = end
    return "".join((*pieces, text[position:]))


def _objects(text: str, pointers: set[str]) -> Iterable[tuple[str, dict[str, _Member]]]:
    """The objects at ``pointers`` with their members. ``text`` is valid JSON."""
    found: dict[str, dict[str, _Member]] = {}
    stack: list[_Open] = []
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        mark = text[start]
        top = stack[-1] if stack else None
        if mark in "{[":
            pointer = _value_pointer(top)
            if top is not None:
                top.value_start = start
            members: dict[str, _Member] | None = {} if mark == "{" and pointer in pointers else None
            stack.append(_Open(mark == "{", pointer, members=members))
        elif mark in "}]":
            closed = stack.pop()
            if closed.members is not None:
                found[closed.pointer] = closed.members
            if stack:
                _value_ends(stack[-1], stack[-1].value_start, end)
        elif mark == ",":
            if top is not None:
                top.expects_key = True
                top.index += 1
        elif mark == ":":
            continue
        elif top is not None and top.is_object and top.expects_key:
            top.key = json.loads(match.group())
            top.expects_key = False
        elif top is not None:
            _value_ends(top, start, end)
    return found.items()


def _value_pointer(top: _Open | None) -> str:
    if top is None:
        return ""
    token = top.key if top.is_object else str(top.index)
    return f"{top.pointer}/{token.replace('~', '~0').replace('/', '~1')}"


def _value_ends(top: _Open, start: int, end: int) -> None:
    if top.members is not None:
        top.members[top.key] = _Member(start, end)
