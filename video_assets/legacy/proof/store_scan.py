"""The scan over databases that are not ours to understand: every value of every table, whatever it is for.

Made for Dagster's own storage (event log, runs, tags, ticks, asset checks): what a run logs is kept there.
"""

from __future__ import annotations

import base64
import re
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Text, cast, column, create_engine, inspect, select, table
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.types import JSON, LargeBinary, String

from video_assets.urls import find, may_contain, redact
from video_assets.urls.syntax.tokens import find_jwts

SAMPLE = 20
_ROWS_AT_ONCE = 500
_PACKED = re.compile(r"(?:eJ|eN|H4sI)[A-Za-z0-9+/]{30,}={0,2}")
"""Base64 of what begins like zlib or gzip: Dagster keeps cursors that way."""
_LARGEST_UNPACKED = 64 * 1024**2


@dataclass(slots=True)
class StoreScan:
    """What one store holds."""

    name: str
    databases: int = 0
    rows: int = 0
    values: int = 0
    by_column: Counter[str] = field(default_factory=Counter)
    """Temporary URLs and tokens per ``table.column``; only columns that have any."""
    jwts: int = 0
    sample: list[str] = field(default_factory=list)
    """The first places, redacted."""
    problems: list[str] = field(default_factory=list)
    """What could not be read: not the same as clean."""

    @property
    def violations(self) -> int:
        """Temporary URLs and tokens in all."""
        return self.by_column.total()

    @property
    def is_clean(self) -> bool:
        """True when everything was read and nothing was found."""
        return not self.violations and not self.problems

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "clean": self.is_clean,
            "databases": self.databases,
            "rows": self.rows,
            "values": self.values,
            "violations": self.violations,
            "jwts": self.jwts,
            "by_column": dict(self.by_column),
            "sample": self.sample,
            "problems": self.problems,
        }

    def look_at(self, place: str, row: str, value: str) -> None:
        """Search one value."""
        self.values += 1
        for text in (value, *unpacked(value)):
            found = find(text) if may_contain(text) else []
            offences = [
                (each.url, each.classification.carries_jwt)
                for each in found
                # A redacted address of a host that deletes tells where a file came from, and opens nothing.
                if each.classification.secrets or not each.classification.is_temporary
            ]
            offences += [
                (text[token.start : token.end], True)
                for token in find_jwts(text)
                if not any(each.start <= token.start < each.end for each in found)
            ]
            for secret, carries_jwt in offences:
                self.by_column[place] += 1
                self.jwts += carries_jwt
                if len(self.sample) < SAMPLE:
                    self.sample.append(redact(f"{place}, row {row}: {redact(secret)}"))


def unpacked(value: str) -> Iterator[str]:
    """What is compressed inside a value."""
    for run in _PACKED.finditer(value):
        text = run[0].rstrip("=")
        try:
            packed = base64.b64decode(text + "=" * (-len(text) % 4))
            # 32 more: zlib or gzip, whatever its header says.
            yield (
                zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
                .decompress(packed, _LARGEST_UNPACKED)
                .decode(errors="replace")
            )
        except (ValueError, zlib.error):
            continue


def scan_sqlite_files(name: str, files: Iterable[Path]) -> StoreScan:
    """Every value of every table of these SQLite files, which may be in use."""
    scan = StoreScan(name)
    for path in files:
        try:
            _sqlite(scan, path)
        except (sqlite3.Error, OSError) as exc:
            scan.problems.append(f"{path}: {redact(str(exc))}")
    return scan


def _sqlite(scan: StoreScan, path: Path) -> None:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as database:
        database.text_factory = lambda stored: stored.decode(errors="replace")
        scan.databases += 1
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            quoted = name.replace('"', '""')
            rows = database.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608 - the name comes from the database
            columns = [description[0] for description in rows.description]
            for row in rows:
                scan.rows += 1
                for each, value in zip(columns, row, strict=True):
                    if isinstance(value, bytes):
                        value = value.decode(errors="replace")
                    if isinstance(value, str):
                        scan.look_at(f"{name}.{each}", str(row[0]), value)


def scan_database(name: str, url: str) -> StoreScan:
    """Every text, JSON and binary value of every table of the database at ``url``, which is a secret."""
    scan = StoreScan(name)
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    try:
        inspector = inspect(engine)
        names = inspector.get_table_names()
        scan.databases += 1
        for each in names:
            types = {entry["name"]: entry["type"] for entry in inspector.get_columns(each)}
            texts = [n for n, type_ in types.items() if isinstance(type_, String | JSON | LargeBinary)]
            if not texts:
                continue
            source = table(each, *(column(n) for n in types))
            first = cast(source.c[next(iter(types))], Text)
            wanted = [
                source.c[n] if isinstance(types[n], LargeBinary) else cast(source.c[n], Text) for n in texts
            ]
            with engine.connect() as connection:
                rows = connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(select(first, *wanted))
                for row_name, *values in rows:
                    scan.rows += 1
                    for n, value in zip(texts, values, strict=True):
                        if isinstance(value, bytes | memoryview):
                            value = bytes(value).decode(errors="replace")
                        if isinstance(value, str):
                            scan.look_at(f"{each}.{n}", str(row_name), value)
    except SQLAlchemyError as exc:
        scan.problems.append(f"{name}: {redact(str(exc).splitlines()[0])}")
    finally:
        engine.dispose()
    return scan
