"""Reading and writing of ``video-assets urls`` in a pipe: line by line, with steady memory, whatever the size."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from video_assets.cli.failures import CommandFailed
from video_assets.urls import NO_RULES, HostRules
from video_assets.urls.documents.encodings import decode_bytes
from video_assets.urls.find.find import Finding, find
from video_assets.urls.syntax import times as moments

WHOLE_DOCUMENT = 8 * 1024 * 1024
"""Characters up to which a file is read as one document, with pointers; longer ones are read in pieces."""
_OVERLAP = 128 * 1024
"""Longest URL that is safe on the border of two pieces when nothing else separates them."""
_BREAK = re.compile(r"[\s\"<>]")


class BadLine(ValueError):
    """One line of the input cannot be used. The message never repeats the line."""

    def __init__(self, problem: str, identity: object = None) -> None:
        super().__init__(problem)
        self.identity = identity


@dataclass(frozen=True, slots=True)
class Place:
    """One finding of a file or stream and the line it stands in, counted from 1."""

    source: str
    line: int
    finding: Finding


@contextmanager
def opened(source: str) -> Iterator[BinaryIO]:
    """The bytes of a file, or of standard input for ``-``. Raises CommandFailed when it cannot be read."""
    if source == "-":
        yield sys.stdin.buffer
        return
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(Path(source).open("rb"))
        except OSError as exc:
            raise CommandFailed(f"{source} cannot be read: {exc.strerror}.") from None
        yield stream


def objects(stream: BinaryIO) -> Iterator[tuple[int, dict[str, Any] | BadLine]]:
    """The JSON object of each line with the line's number; blank lines are passed over."""
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        text = line.decode("utf-8", "surrogateescape").lstrip("\ufeff")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            yield number, BadLine("is not JSON")
            continue
        yield number, value if isinstance(value, dict) else BadLine("is not a JSON object")


def answer_each_line(stream: BinaryIO, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> bool:
    """Write one line of JSON for each line of ``stream``, in order; False when some of them could not be used.

    Such a line gets ``{"id", "error"}`` in its place. Every line is flushed, so that a program can ask and wait.
    """
    all_good = True
    for number, value in objects(stream):
        try:
            if isinstance(value, BadLine):
                raise value
            result = answer(value)
        except BadLine as bad:
            all_good = False
            result = {"id": bad.identity, "error": f"Line {number} {bad}."}
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()
    return all_good


def text_of(value: dict[str, Any], name: str) -> str:
    """The string ``value[name]``. Raises BadLine."""
    text = value.get(name)
    if not isinstance(text, str):
        raise BadLine(f'has no string "{name}"', value.get("id"))
    return text


def moment_of(value: dict[str, Any], name: str) -> datetime | None:
    """The time ``value[name]``: ISO 8601 (UTC when it names no zone), an HTTP date, or an epoch in any unit.

    Raises BadLine.
    """
    moment = value.get(name)
    if moment is None or moment == "":
        return None
    parsed: datetime | None = None
    if isinstance(moment, str):
        parsed = moments.parse_any(moment) if moment.isdigit() else _iso(moment) or moments.parse_any(moment)
    elif isinstance(moment, int | float) and not isinstance(moment, bool):
        parsed = moments.from_epoch(moment)
    if parsed is not None:
        return parsed
    raise BadLine(f'has a "{name}" that is not a time', value.get("id"))


def _iso(text: str) -> datetime | None:
    """With the fraction of a second, which ``moments`` cuts off."""
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def second_text(moment: datetime | None) -> str | None:
    """``2026-11-22T00:00:00Z``, or None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def places(
    stream: BinaryIO, source: str, *, whole: int = WHOLE_DOCUMENT, hosts: HostRules = NO_RULES
) -> Iterator[Place]:
    """Every finding of a stream of any length. Up to ``whole`` characters it is one document.

    A longer one is read in pieces that end where no URL can go on; its findings have lines but no pointers.
    """
    head = stream.read(4096)
    decoded = decode_bytes(head)
    raw = _Joined(head[len(decoded.prefix) :], stream)
    reader = io.TextIOWrapper(
        io.BufferedReader(raw), encoding=decoded.encoding, errors=_errors(decoded.encoding), newline=""
    )
    text = reader.read(whole)
    more = reader.read(whole)
    if not more:
        yield from _numbered(text, find(text, hosts=hosts), source, 1)[0]
        return
    line = 1
    while more:
        cut = _cut(text)
        findings = find(text[:cut], hosts=hosts)
        if cut == len(text):  # nothing separates: what begins in the overlap is read again with the next piece
            cut = max(len(text) - _OVERLAP, 0)
            findings = [finding for finding in findings if finding.start < cut]
            cut = max([cut, *(finding.end for finding in findings)])
        found, line = _numbered(text[:cut], findings, source, line)
        yield from found
        text, more = text[cut:] + more, reader.read(whole)
    yield from _numbered(text, find(text, hosts=hosts), source, line)[0]


def _errors(encoding: str) -> str:
    return "surrogateescape" if encoding == "utf-8" else "replace"


def _cut(text: str) -> int:
    """Behind the last character that ends any URL: a line feed, else a blank or quote, else the whole text."""
    newline = text.rfind("\n")
    if newline >= 0:
        return newline + 1
    for match in _BREAK.finditer(text, max(len(text) - _OVERLAP, 0)):
        newline = match.end()
    return newline if newline > 0 else len(text)


def _numbered(text: str, findings: list[Finding], source: str, line: int) -> tuple[list[Place], int]:
    """The findings with their lines, and the line on which ``text`` ends."""
    result: list[Place] = []
    position = 0
    for finding in findings:
        line += text.count("\n", position, finding.start)
        position = finding.start
        result.append(Place(source, line, finding))
    return result, line + text.count("\n", position)


class _Joined(io.RawIOBase):
    """Bytes that were read already, and then the rest of their stream."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._head[: len(buffer)] if self._head else self._rest.read(len(buffer))
        self._head = self._head[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)
