"""Looks for secrets in everything a process has written: files, databases, archives, and what is packed in them.

A secret counts as found when any 32 characters of it stand somewhere in a row, plain or in base64, UTF-8 or
UTF-16. SQLite databases are read as bytes (deleted rows, free pages, write-ahead log) *and* value by value,
because a long value is scattered over pages. A report names the place and a fingerprint, never the secret.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import lzma
import re
import sqlite3
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

WINDOW = 24
"""Characters compared at a time; long enough that chance does not produce one."""
STEP = 8
"""Windows of a secret begin this far apart, so that WINDOW + STEP characters in a row cannot be missed."""
BLOCK = 4 * 1024**2
OVERLAP = 64 * 1024
DEEPEST = 4
LARGEST_UNPACKED = 512 * 1024**2
"""Bytes read from one packed stream; a bomb must not fill the memory of the one who looks for leaks."""

_RUN = re.compile(rb"[A-Za-z0-9+/_=-]{%d,}" % WINDOW)
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_PACKED_RUN = re.compile(rb"(?:eJ|H4sI)[A-Za-z0-9+/_-]{30,}={0,2}")
"""Base64 of what begins like zlib or gzip: Dagster keeps cursors that way."""


@dataclass(frozen=True, slots=True)
class Leak:
    """One place where a secret stands."""

    path: Path
    where: str
    """``bytes``, ``file name``, or the table, column and row."""
    fingerprint: str
    """The first 12 hex digits of the secret's SHA-256."""


@dataclass(slots=True)
class LeakReport:
    """What was looked at, and what was found."""

    secrets: int = 0
    files: int = 0
    values: int = 0
    """Values of databases, looked at one by one."""
    size: int = 0
    """Bytes of the files."""
    leaks: list[Leak] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    """Files that could not be read, with the reason: not the same as clean."""

    @property
    def clean(self) -> bool:
        """True when everything was read and nothing was found."""
        return not self.leaks and not self.unread


def scan(places: Iterable[Path], secrets: Iterable[str]) -> LeakReport:
    """Look for every one of ``secrets`` in the files and folders ``places``.

    Raises ValueError for a secret that is too short to be looked for.
    """
    needles = _Needles(secrets)
    report = LeakReport(secrets=needles.count)
    found: set[Leak] = set()
    for place in places:
        for path in _files(place):
            report.files += 1
            try:
                report.size += path.stat().st_size
                for where, data in _contents(path, report):
                    found.update(Leak(path, where, name) for name in needles.within(data))
            except (OSError, sqlite3.Error) as exc:
                report.unread.append(f"{path}: {type(exc).__name__}")
            name_bytes = str(path).encode(errors="surrogateescape")
            found.update(Leak(path, "file name", name) for name in needles.within(name_bytes))
    report.leaks = sorted(found, key=lambda leak: (str(leak.path), leak.where, leak.fingerprint))
    return report


class _Needles:
    """The secrets as windows of equal length, so that one dictionary answers for all of them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._windows: dict[bytes, str] = {}
        self.count = 0
        for secret in set(secrets):
            self.count += 1
            name = hashlib.sha256(secret.encode()).hexdigest()[:12]
            parts = [part for part in _telling_parts(secret) if len(part) >= WINDOW]
            if not parts:
                raise ValueError(f"the secret {name} is too short to be looked for")
            for part in parts:
                for form in _forms(part.encode()):
                    for start in {*range(0, len(form) - WINDOW + 1, STEP), len(form) - WINDOW}:
                        self._windows[form[start : start + WINDOW]] = name

    def within(self, data: bytes) -> set[str]:
        """Fingerprints of the secrets that stand in ``data``."""
        found: set[str] = set()
        for view in (data, data[::2], data[1::2]) if b"\0" in data else (data,):
            for run in _RUN.finditer(view):
                text = run[0]
                for start in range(len(text) - WINDOW + 1):
                    name = self._windows.get(text[start : start + WINDOW])
                    if name is not None:
                        found.add(name)
        return found


def _telling_parts(secret: str) -> list[str]:
    """The parts between dots; the header of a JWT says nothing but its algorithm and is left out."""
    parts = secret.split(".")
    return parts[1:] if len(parts) == 3 and secret.startswith("eyJ") else parts


def _forms(part: bytes) -> Iterator[bytes]:
    """As it is, and in base64 at each of the three alignments it can have inside a longer text."""
    yield part
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + part)
        # The first and last group also depend on the neighbours.
        inner = encoded[4 if shift else 0 : len(encoded) - 4]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    elif place.is_dir():
        yield from sorted(path for path in place.rglob("*") if path.is_file() and not path.is_symlink())


def _contents(path: Path, report: LeakReport) -> Iterator[tuple[str, bytes]]:
    with path.open("rb") as file:
        start = file.read(16)
        file.seek(0)
        for block in _blocks(file):
            yield "bytes", block
            yield from _packed_runs("bytes", block)
        file.seek(0)
        yield from _unpacked("unpacked", start, file, 0)
    if start.startswith(b"SQLite format 3\0"):
        yield from _sqlite_values(path, report)


def _blocks(stream: IO[bytes], limit: int | None = None) -> Iterator[bytes]:
    """The stream in pieces that overlap, so that nothing hides on a border."""
    tail, total = b"", 0
    while block := stream.read(BLOCK):
        total += len(block)
        yield tail + block
        tail = (tail + block)[-OVERLAP:]
        if limit is not None and total > limit:
            return


def _unpacked(where: str, start: bytes, stream: IO[bytes], depth: int) -> Iterator[tuple[str, bytes]]:
    """What is inside a compressed stream or archive, however deep."""
    if depth >= DEEPEST:
        return
    try:
        if start.startswith(b"PK\3\4"):
            with zipfile.ZipFile(stream) as archive:
                for entry in archive.infolist():
                    with archive.open(entry) as inside:
                        yield from _stream(f"{where}: {entry.filename}", inside, depth)
            return
        for magic, opener in _OPENERS.items():
            if start.startswith(magic):
                with opener(stream) as opened:
                    yield from _stream(where, opened, depth)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError):
        return  # it only began like an archive; its bytes were looked at as they are


def _open_zlib(stream: IO[bytes]) -> io.BytesIO:
    return io.BytesIO(zlib.decompressobj().decompress(stream.read(), LARGEST_UNPACKED))


_OPENERS: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
    **{bytes((0x78, level)): _open_zlib for level in (0x01, 0x5E, 0x9C, 0xDA)},
}
"""How each kind of stream begins, and what opens it."""


def _stream(where: str, stream: IO[bytes], depth: int) -> Iterator[tuple[str, bytes]]:
    first = True
    for block in _blocks(stream, LARGEST_UNPACKED):
        yield where, block
        if first and len(block) < BLOCK:
            yield from _unpacked(where, block[:16], io.BytesIO(block), depth + 1)
        first = False


def _packed_runs(where: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    for run in _PACKED_RUN.finditer(data):
        text = run[0].rstrip(b"=")
        try:
            packed = base64.b64decode(text.translate(_TO_STANDARD) + b"=" * (-len(text) % 4))
        except ValueError:
            continue
        yield from _unpacked(f"{where}, packed", packed[:16], io.BytesIO(packed), 1)


def _sqlite_values(path: Path, report: LeakReport) -> Iterator[tuple[str, bytes]]:
    # Not "immutable": the write-ahead log beside it belongs to the database.
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as database:
        database.text_factory = bytes
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (raw,) in names:
            table = raw.decode(errors="replace")
            quoted = table.replace('"', '""')
            try:
                rows = database.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608 - the name comes from the database
            except sqlite3.OperationalError:
                continue  # a virtual table of a module that is not loaded; its shadow tables are read
            columns = [description[0] for description in rows.description]
            for number, row in enumerate(rows):
                for column, value in zip(columns, row, strict=True):
                    if not isinstance(value, bytes) or len(value) < WINDOW:
                        continue
                    report.values += 1
                    where = f"{table}.{column}, row {number + 1}"
                    yield where, value
                    yield from _packed_runs(where, value)
                    yield from _unpacked(where, value[:16], io.BytesIO(value), 0)
