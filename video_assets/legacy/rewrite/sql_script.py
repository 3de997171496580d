"""A rewrite as two SQL files, for those who may not let a tool write: the change, and its inverse.

Every statement carries the exact old value as its guard, so a row that was changed since is not touched. The old
values are secrets: the files are readable by their owner only.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from sqlalchemy import Engine
from sqlalchemy.exc import CompileError

from video_assets.catalog.models import utc_now
from video_assets.legacy.rewrite.plan import PlannedRow
from video_assets.legacy.source.cell import RowAccess, Value
from video_assets.legacy.source.connect import SourceDatabase, quote_name, quote_table
from video_assets.legacy.source.row_key import decode_key

HEADER = """\
-- {title}
-- Source {source} at {address}; written {when} by video-assets.
--
-- THIS FILE HOLDS SECRETS: the guards repeat what stands in the rows, temporary URLs with their credentials
-- included. Keep it readable by its owner only (mode 0600), and delete it when it has been run.
--
-- Each statement changes one row, and only while the row holds exactly what was read. A statement that reports 0
-- rows met a row that was changed since: take a new inventory.
"""


@dataclass(frozen=True, slots=True)
class EmittedFiles:
    """The two files and what is in them."""

    change: Path
    inverse: Path
    statements: int


class SqlFiles:
    """Writes a change and its inverse, row by row. Use it as a context manager."""

    def __init__(self, database: SourceDatabase, path: Path) -> None:
        """``path`` is the file of the change; the inverse gets ``.undo.sql`` as its end.

        Raises FileExistsError rather than overwrite: an older file may be the only way back.
        """
        self._database = database
        self.path = path
        self.inverse_path = path.with_name(path.name.removesuffix(".sql") + ".undo.sql")
        self.statements = 0
        self._file: IO[str]
        self._inverse: IO[str]

    def __enter__(self) -> Self:
        for path in (self.path, self.inverse_path):
            if path.exists():
                raise FileExistsError(
                    errno.EEXIST, "it exists already and is kept; move it away to write a new one", str(path)
                )
        of_bytes = _knows_no_encoding(self._database)
        # Drafts until they are complete: half a file must not look like a whole one.
        self._file = _private(_draft(self.path), of_bytes=of_bytes)
        self._inverse = _private(_draft(self.inverse_path), of_bytes=of_bytes)
        for file, title in (
            (self._file, "Temporary URLs are replaced by durable ones."),
            (self._inverse, f"Takes back what {self.path.name} did."),
        ):
            when = utc_now().isoformat(timespec="seconds")
            file.write(
                HEADER.format(title=title, source=self._database.name, address=self._database.address, when=when)
            )
            file.write(_preamble(self._database.dialect, of_bytes=of_bytes))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (self._file, self._inverse):
            file.flush()
            os.fsync(file.fileno())
            file.close()
        # The way back first: there is never a change without its inverse.
        for path in (self.inverse_path, self.path):
            if kind is None:
                _draft(path).rename(path)
            else:
                _draft(path).unlink()

    def add(self, access: RowAccess, planned: PlannedRow) -> None:
        """Write the statements of one row; a row without a change writes nothing."""
        edit = planned.edit
        if not edit.after:
            return
        guards = {**edit.guards, **edit.before}
        self._file.write(self._statement(access, planned, edit.after, guards))
        if any(value.kind == "stored" for value in edit.before.values()):
            self._inverse.write(
                f"-- {planned.work.table} {planned.work.row_key}: its BLOB lies in the storage as "
                f"{planned.work.all_places[0].durable.key}\n"
            )
        back = {name: value for name, value in edit.before.items() if value.kind != "stored"}
        if back:
            self._inverse.write(self._statement(access, planned, back, edit.after))
        self.statements += 1

    def finished(self) -> EmittedFiles:
        """What was written."""
        return EmittedFiles(self.path, self.inverse_path, self.statements)

    def _statement(
        self,
        access: RowAccess,
        planned: PlannedRow,
        values: Mapping[str, Value],
        guards: Mapping[str, Value],
    ) -> str:
        engine, dialect = self._database.engine, self._database.dialect
        name_of = partial(quote_name, engine)
        assignments = ",\n    ".join(
            f"{name_of(name)} = {literal(dialect, value)}" for name, value in values.items()
        )
        key = decode_key(planned.work.row_key)
        conditions = [
            f"{name_of(name)} = {_key_literal(engine, dialect, part)}"
            for name, part in zip(access.shape.key, key, strict=True)
        ]
        conditions += [
            _guard(dialect, name_of(name), value, _respelled(engine, access, name))
            for name, value in guards.items()
        ]
        where = "\n  AND ".join(conditions)
        table = quote_table(engine, planned.work.table)
        return f"\nUPDATE {table}\nSET {assignments}\nWHERE {where};\n"


def _knows_no_encoding(database: SourceDatabase) -> bool:
    """Whether the database is PostgreSQL in SQL_ASCII, whose text was read as one character per byte."""
    if database.dialect != "postgresql":
        return False
    with database.connect() as connection:
        return str(connection.exec_driver_sql("SHOW server_encoding").scalar_one()) == "SQL_ASCII"


def _draft(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _private(path: Path, *, of_bytes: bool) -> IO[str]:
    """A new file that only its owner can read, in the place of what a killed run left there."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    encoding, errors = ("latin-1", "strict") if of_bytes else ("utf-8", "surrogateescape")
    return os.fdopen(descriptor, "w", encoding=encoding, errors=errors, newline="")


def _preamble(dialect: str, *, of_bytes: bool) -> str:
    if dialect == "postgresql":
        encoding = "SQL_ASCII" if of_bytes else "UTF8"
        return f"\nSET client_encoding = '{encoding}';\nSET standard_conforming_strings = on;\n"
    if dialect == "mysql":
        return (
            "\nSET NAMES utf8mb4;\n"
            "SET SESSION sql_mode = CONCAT_WS(',', REPLACE(REPLACE(@@sql_mode, 'NO_BACKSLASH_ESCAPES', ''), "
            "'ANSI_QUOTES', ''), 'STRICT_ALL_TABLES');\n"
        )
    return ""


def literal(dialect: str, value: Value) -> str:
    """``value`` as a literal of the dialect, exactly."""
    match value.data:
        case None:
            return "NULL"
        case bytes():
            return f"'\\x{value.data.hex()}'::bytea" if dialect == "postgresql" else f"X'{value.data.hex()}'"
        case float() if math.isfinite(value.data):
            return repr(value.data)
        case float():
            return (
                f"'{value.data!r}'::float8"
                if dialect == "postgresql"
                else repr(value.data).replace("inf", "9e999")
            )
        case int():
            return str(value.data)
    text = str(value.data)
    if dialect == "sqlite" and not _is_plain(text):
        return f"CAST(X'{value.raw().hex()}' AS TEXT)"
    quoted = text.replace("'", "''")
    if dialect == "sqlite" and "\x00" in text:
        # A file cannot hold it in a literal, and bytes would mean something else in a database of UTF-16.
        return f"('{quoted}')".replace("\x00", "' || char(0) || '")
    if dialect == "mysql":
        quoted = quoted.replace("\\", "\\\\").replace("\x00", "\\0").replace("\x1a", "\\Z")
    return f"'{quoted}'"


def _is_plain(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _key_literal(engine: Engine, dialect: str, part: object) -> str:
    if isinstance(part, bool):
        return ("TRUE" if part else "FALSE") if dialect == "postgresql" else str(int(part))
    return literal(dialect, Value.of(part))


def _respelled(engine: Engine, access: RowAccess, name: str) -> str | None:
    """The type of a PostgreSQL column that shows what it was given in a spelling of its own; else None."""
    kind = access.types.get(name)
    if engine.dialect.name != "postgresql" or kind is None or not (access.is_time(name) or access.is_array(name)):
        return None
    try:
        return kind.compile(engine.dialect)
    except CompileError:
        return None  # an array of a type that is not known here


def _guard(dialect: str, name: str, value: Value, respelled: str | None = None) -> str:
    """The condition that a column holds exactly this value, in plain SQL."""
    written = literal(dialect, value)
    if respelled is not None:
        written = f"CAST(CAST({written} AS {respelled}) AS TEXT)"
    if value.kind == "null":
        return f"{name} IS NULL"
    if value.kind == "stored":
        if dialect == "sqlite":
            return f"typeof({name}) = 'blob'"
        function = f"encode(sha256({name}), 'hex')" if dialect == "postgresql" else f"sha2({name}, 256)"
        return f"{function} = {written}"
    if dialect == "sqlite":
        word = {"bytes": "blob"}.get(value.kind, value.kind)
        return f"typeof({name}) = '{word}' AND {name} = {written} COLLATE BINARY"
    if value.kind == "bytes":
        return f"{name} = {written}"
    if dialect == "mysql":
        return f"CAST(CAST({name} AS CHAR) AS BINARY) = CAST({written} AS BINARY)"
    return f'CAST({name} AS TEXT) COLLATE "C" = {written}'
