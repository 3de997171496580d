"""Reading a file's structure: any place of it, a few bytes at a time, and the ways a structure can be wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self

Flaw = Literal["incomplete", "missing_moov", "damaged"]
"""How the structure of a file can fail."""


class StructureError(Exception):
    """A file's structure does not hold. The message is one sentence without the file's content."""

    def __init__(self, flaw: Flaw, message: str) -> None:
        super().__init__(message)
        self.flaw = flaw


class Bytes:
    """A file as addressable bytes. Reads past the end give fewer bytes, never an error."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """The file at ``path``, closed at the end of the block. Raises OSError."""
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            yield cls(descriptor)
        finally:
            os.close(descriptor)

    def at(self, offset: int, count: int) -> bytes:
        """Up to ``count`` bytes from ``offset``; fewer at the end of the file."""
        if count <= 0 or offset >= self.size:
            return b""
        return os.pread(self._descriptor, min(count, self.size - offset), offset)

    def need(self, offset: int, count: int) -> bytes:
        """Exactly ``count`` bytes from ``offset``. Raises StructureError when the file ends before."""
        found = self.at(offset, count)
        if len(found) < count:
            raise StructureError("incomplete", "The file ends in the middle of a structure.")
        return found

    def blocks(self, start: int, end: int, size: int = 65_536) -> Iterator[bytes]:
        """The bytes from ``start`` to ``end`` (exclusive), in blocks of ``size``."""
        while start < end:
            block = self.at(start, min(size, end - start))
            if not block:
                return
            yield block
            start += len(block)

    def only_zeros(self, start: int, end: int) -> bool:
        """Whether there is nothing but zero bytes from ``start`` to ``end``, as in padding."""
        if self.at(start, min(16, end - start)).strip(b"\0"):
            return False
        return not any(block.strip(b"\0") for block in self.blocks(start, end))
