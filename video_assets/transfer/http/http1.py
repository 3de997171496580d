"""Responses of HTTP/1.1 as they come over the wire (RFC 9112): status line, headers and chunks.

What decides where a body ends is read strictly: a head that broke off, ``+5`` and ``1_0`` as sizes of chunks, a
length that is no number are failures with their reason, and each part has a limit; ``http.client`` takes all of
these. What decides nothing is read as browsers do: a header line without a colon is left out, and NUL in a value
becomes a blank (RFC 9110, 5.5).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPMessage
from typing import Any, Final, TypeAlias

from video_assets.transfer.failures import DownloadFailed, Fault

_MOST_INTERIM_ANSWERS: Final = 8
_MOST_HEADERS: Final = 256
_LONGEST_CHUNK_LINE: Final = 16_384
_SPARE_BYTES: Final = 65_536
"""Extensions of all chunks and the trailer together, which nobody reads."""

_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: .*)?", re.S)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?", re.S)
_LENGTH = re.compile(r"[0-9]{1,19}")
_FORBIDDEN = str.maketrans("\0\r\n", "   ")

Reader: TypeAlias = "io.BufferedReader[Any]"


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of a final answer, and what they say about the connection."""

    status: int
    headers: HTTPMessage
    persistent: bool
    """The source means to keep the connection open."""

    @property
    def codings(self) -> list[str]:
        """The transfer codings of the body, in lower case; ``identity`` means nothing and is left out."""
        return [word for word in _words(self.headers, "Transfer-Encoding") if word != "identity"]

    @property
    def length(self) -> int | None:
        """What Content-Length announces; None when it is absent.

        Raises DownloadFailed when it is no plain number, there are two different ones, or it is absurdly large
        (RFC 9112, 6.3: such a response is discarded).
        """
        if "Content-Length" not in self.headers:
            return None
        lengths = set(_words(self.headers, "Content-Length"))
        if len(lengths) > 1:
            raise DownloadFailed(Fault.BAD_RESPONSE, "it announces two different lengths")
        text = next(iter(lengths), "")
        if not _LENGTH.fullmatch(text):
            raise DownloadFailed(Fault.BAD_RESPONSE, "it announces a length that is no number of bytes")
        return int(text)


def _words(headers: HTTPMessage, name: str) -> list[str]:
    """The items of a comma-separated header, over all lines of that name, in lower case."""
    words = (word.strip().lower() for value in headers.get_all(name, []) for word in value.split(","))
    return [word for word in words if word]


def read_head(reader: Reader, most_bytes: int) -> Head:
    """The head of the final answer; interim ones (1xx) are passed over. At most ``most_bytes`` in all.

    Raises DownloadFailed: ``RESET`` when it broke off, ``BAD_RESPONSE``, ``HEADERS_TOO_LARGE``.
    """
    left = most_bytes

    def lines() -> Iterator[bytes]:
        """The lines up to the empty one."""
        nonlocal left
        while True:
            line = reader.readline(left + 1)
            left -= len(line)
            if left < 0:
                raise DownloadFailed(Fault.HEADERS_TOO_LARGE)
            if not line.endswith(b"\n"):
                raise DownloadFailed(Fault.RESET, "it closed before its answer was complete")
            line = line.rstrip(b"\r\n")
            if not line:
                return
            yield line

    for _ in range(_MOST_INTERIM_ANSWERS):
        begin = reader.peek(1)[:5]
        if not begin:
            raise DownloadFailed(Fault.RESET, "it closed without an answer")
        if not b"HTTP/".startswith(begin):
            raise DownloadFailed(Fault.BAD_RESPONSE)
        block = lines()
        found = _STATUS_LINE.fullmatch(next(block, b""))
        if found is None:
            raise DownloadFailed(Fault.BAD_RESPONSE)
        headers = _headers(block)
        status = int(found.group(2))
        if status >= 200 or status == 101:
            said = _words(headers, "Connection")
            persistent = "close" not in said and (found.group(1) != b"0" or "keep-alive" in said)
            return Head(status, headers, persistent)
    raise DownloadFailed(Fault.BAD_RESPONSE, "it never came past interim answers")


def _headers(lines: Iterator[bytes]) -> HTTPMessage:
    """The headers in ``lines``. Folded lines are joined; a line that is no header is left out."""
    found: list[tuple[str, str]] = []
    for count, raw in enumerate(lines):
        if count >= _MOST_HEADERS:
            raise DownloadFailed(Fault.HEADERS_TOO_LARGE)
        line = raw.decode("latin-1").translate(_FORBIDDEN)
        if line.startswith((" ", "\t")):
            if found:
                name, value = found.pop()
                found.append((name, (value + " " + line.strip(" \t")).strip()))
            continue
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t")
        if colon and _NAME.fullmatch(name):
            found.append((name, value.strip(" \t")))
    headers = HTTPMessage()
    for name, value in found:
        headers[name] = value
    return headers


class Chunks:
    """A body in chunks. ``closed_early`` is set when the source closed right behind the last chunk."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._left = 0
        self._begun = False
        self._ended = False
        self._spare = _SPARE_BYTES
        self.closed_early = False

    def read_into(self, view: memoryview) -> int:
        """Fill the front of ``view`` with what comes next; 0 behind the last chunk. Raises DownloadFailed."""
        if self._left == 0 and not self._next_chunk():
            return 0
        received = self._reader.readinto1(view[: self._left])
        if received == 0:
            raise DownloadFailed(Fault.TRUNCATED, "it broke off inside a chunk")
        self._left -= received
        return received

    def _next_chunk(self) -> bool:
        """Read the line before the next chunk; False when there is none any more."""
        if self._ended:
            return False
        if self._begun and self._line():
            raise DownloadFailed(Fault.DAMAGED, "a chunk is longer than it says")
        self._begun = True
        line = self._line()
        found = _CHUNK_LINE.fullmatch(line)
        if found is None:
            raise DownloadFailed(Fault.TRUNCATED, "it broke off between chunks")
        self._spend(len(line) - len(found.group(1)))
        self._left = int(found.group(1), 16)
        if self._left == 0:
            self._skip_trailer()
        return not self._ended

    def _line(self) -> bytes:
        line = self._reader.readline(_LONGEST_CHUNK_LINE + 1)
        if line.endswith(b"\n"):
            return line.rstrip(b"\r\n")
        if len(line) > _LONGEST_CHUNK_LINE:
            raise DownloadFailed(Fault.BAD_RESPONSE, "the line before a chunk has no end")
        raise DownloadFailed(Fault.TRUNCATED, "it broke off between chunks")

    def _skip_trailer(self) -> None:
        self._ended = True
        try:
            while line := self._line():
                self._spend(len(line))
        except DownloadFailed as failure:
            if failure.fault is not Fault.TRUNCATED:
                raise
            self.closed_early = True  # every byte of the body is here

    def _spend(self, count: int) -> None:
        self._spare -= count
        if self._spare < 0:
            raise DownloadFailed(Fault.HEADERS_TOO_LARGE)
