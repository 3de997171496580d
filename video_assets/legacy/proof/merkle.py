"""Merkle trees after RFC 6962, over leaves that were gathered in any order, in bounded memory.

A leaf is a list of words (source, table, row, column, digest). The tree is built over the leaves in the order of
their bytes, so that the same set of leaves has the same root whoever gathers it, in whatever order. Leaves wait
in an SQLite file; the root is computed by a binary counter that holds one hash per level.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

ALGORITHM = "RFC 6962 with SHA-256 over the leaves in the order of their bytes"
_AT_ONCE = 5_000
_EMPTY = hashlib.sha256().digest()

Words = Sequence[str]
"""What a leaf says; its bytes are the JSON list of these words, without blanks, in UTF-8."""


def leaf_bytes(words: Words) -> bytes:
    """A leaf as it is hashed."""
    return json.dumps(list(words), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def leaf_hash(leaf: bytes) -> bytes:
    """RFC 6962 section 2.1: the prefix 0 keeps a leaf from passing for a node."""
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962 section 2.1."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root_of(hashes: Iterable[bytes]) -> bytes:
    """The root over leaf hashes in order. Memory: one hash per level, 24 for ten million leaves."""
    waiting: list[tuple[int, bytes]] = []
    for found in hashes:
        height, node = 0, found
        while waiting and waiting[-1][0] == height:
            node = node_hash(waiting.pop()[1], node)
            height += 1
        waiting.append((height, node))
    if not waiting:
        return _EMPTY
    _, node = waiting.pop()
    while waiting:
        node = node_hash(waiting.pop()[1], node)
    return node


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Evidence that one leaf stands in a tree."""

    words: tuple[str, ...]
    index: int
    size: int
    path: tuple[bytes, ...]
    """Hashes of the siblings, from the leaf upwards."""

    def root(self) -> bytes | None:
        """The root that this evidence leads to (RFC 9162 section 2.1.3.2), None when it leads nowhere."""
        if not 0 <= self.index < self.size:
            return None
        at, last, found = self.index, self.size - 1, leaf_hash(leaf_bytes(self.words))
        for sibling in self.path:
            if last == 0:
                return None
            if at & 1 or at == last:
                found = node_hash(sibling, found)
                while not at & 1 and at:
                    at, last = at >> 1, last >> 1
            else:
                found = node_hash(found, sibling)
            at, last = at >> 1, last >> 1
        return found if last == 0 else None

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "leaf": list(self.words),
            "index": self.index,
            "size": self.size,
            "path": [step.hex() for step in self.path],
        }

    @classmethod
    def read(cls, document: dict[str, object]) -> Inclusion:
        """From JSON. Raises ValueError for what is none."""
        match document:
            case {"leaf": [*words], "index": int(index), "size": int(size), "path": [*path]}:
                return cls(
                    tuple(str(word) for word in words), index, size, tuple(bytes.fromhex(str(s)) for s in path)
                )
        raise ValueError("this is no inclusion proof")


class Leaves:
    """A set of leaves on disk. The same leaf given twice counts once. Use it as a context manager.

    Without a ``path`` it is a temporary file that goes with the object.
    """

    def __init__(self, path: Path | None = None, *, folder: Path | None = None) -> None:
        self._pending: list[tuple[bytes]] = []
        if path is not None:
            self._open(path)
            return
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        # Removed while it is open: a process that is killed leaves nothing behind.
        with tempfile.TemporaryDirectory(prefix="leaves-", dir=folder) as name:
            self._open(Path(name) / "leaves.db")

    def _open(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        # A proof that was interrupted is made anew, so nothing here has to survive a power cut.
        self._database.execute("PRAGMA journal_mode=OFF")
        self._database.execute("PRAGMA synchronous=OFF")
        self._database.execute("PRAGMA cache_size=-16384")
        self._database.execute("CREATE TABLE IF NOT EXISTS leaf (leaf BLOB PRIMARY KEY) WITHOUT ROWID")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, words: Words) -> None:
        """Add one leaf."""
        self._pending.append((leaf_bytes(words),))
        if len(self._pending) >= _AT_ONCE:
            self._flush()

    def __len__(self) -> int:
        self._flush()
        return int(self._database.execute("SELECT count(*) FROM leaf").fetchone()[0])

    def __iter__(self) -> Iterator[bytes]:
        """The leaves in order."""
        self._flush()
        for (leaf,) in self._database.execute("SELECT leaf FROM leaf ORDER BY leaf"):
            yield leaf

    def root(self) -> bytes:
        """The root over all leaves; the SHA-256 of nothing when there are none."""
        return root_of(leaf_hash(leaf) for leaf in self)

    def matching(self, first_words: Words) -> list[tuple[str, ...]]:
        """The leaves that begin with these words."""
        self._flush()
        prefix = leaf_bytes(first_words)[:-1] + b","
        found = self._database.execute(
            "SELECT leaf FROM leaf WHERE leaf >= ? AND leaf < ? ORDER BY leaf", (prefix, prefix[:-1] + b"-")
        )
        return [tuple(json.loads(leaf)) for (leaf,) in found]

    def inclusion(self, words: Words) -> Inclusion:
        """Evidence that this leaf is one of them, in one pass. Raises KeyError when it is none of them."""
        self._flush()
        wanted = leaf_bytes(words)
        if self._database.execute("SELECT 1 FROM leaf WHERE leaf = ?", (wanted,)).fetchone() is None:
            raise KeyError("there is no such leaf")
        index = int(self._database.execute("SELECT count(*) FROM leaf WHERE leaf < ?", (wanted,)).fetchone()[0])
        size = len(self)
        # The siblings are the roots of the ranges beside the way from the root down to the leaf.
        start, end, ranges = 0, size, []
        while end - start > 1:
            middle = start + (1 << ((end - start - 1).bit_length() - 1))
            if index < middle:
                ranges.append((middle, end))
                end = middle
            else:
                ranges.append((start, middle))
                start = middle
        siblings: dict[tuple[int, int], bytes] = {}
        hashes = iter(enumerate(leaf_hash(leaf) for leaf in self))
        for low, high in sorted(ranges):
            siblings[low, high] = root_of(found for _, found in _between(hashes, low, high))
        return Inclusion(tuple(words), index, size, tuple(siblings[one] for one in reversed(ranges)))

    def _flush(self) -> None:
        if self._pending:
            self._database.execute("BEGIN")
            self._database.executemany("INSERT OR IGNORE INTO leaf VALUES (?)", self._pending)
            self._database.execute("COMMIT")
            self._pending.clear()

    def close(self) -> None:
        """Close the file; a temporary one is removed."""
        self._flush()
        self._database.close()


def _between(numbered: Iterator[tuple[int, bytes]], low: int, high: int) -> Iterator[tuple[int, bytes]]:
    """The items numbered ``low`` up to ``high``, from an iterator that has not passed ``low`` yet."""
    for number, item in numbered:
        if number >= low:
            yield number, item
        if number >= high - 1:
            return
