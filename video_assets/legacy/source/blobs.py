"""BLOB columns: read, hashed and written a megabyte at a time, whatever their size."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import Connection, LargeBinary, Select, func, literal, literal_column, select, update
from sqlalchemy.exc import SQLAlchemyError

from video_assets.legacy.errors import SourceMismatch
from video_assets.legacy.source.cell import RowAccess, Value
from video_assets.legacy.source.connect import SourceDatabase
from video_assets.legacy.source.row_key import Key

BLOCK: Final = 1024 * 1024
WRITE_BLOCK: Final = 8 * 1024 * 1024


def read_blob(database: SourceDatabase, access: RowAccess, key: Key, name: str) -> Iterator[bytes]:
    """The bytes of one BLOB, from one snapshot of the database. Raises SourceError."""
    with database.errors(), database.engine.connect() as plain:
        connection = plain
        if database.dialect == "postgresql":
            connection = plain.execution_options(isolation_level="REPEATABLE READ")
        yield from blob_blocks(connection, access, key, name)


def hash_blob(connection: Connection, access: RowAccess, key: Key, name: str) -> Value:
    """The BLOB of one row as a value: ``stored`` with its SHA-256, or NULL."""
    source = access.table([name])
    place = source.c[name]
    found = connection.execute(
        select(place.is_(None)).select_from(source).where(access.shape.is_row(source, key))
    ).first()
    if found is None or found[0]:
        return Value("null")
    digest = hashlib.sha256()
    for block in blob_blocks(connection, access, key, name):
        digest.update(block)
    return Value("stored", digest.hexdigest())


def blob_blocks(connection: Connection, access: RowAccess, key: Key, name: str) -> Iterator[bytes]:
    """The bytes of one BLOB inside a transaction that is under way."""
    if access.shape.dialect == "sqlite" and (rowid := _rowid(connection, access, key)) is not None:
        yield from _sqlite_blocks(connection, access, rowid, name)
        return
    source = access.table([name])
    place = source.c[name]
    start = 1
    while True:
        part = func.substr(place, start, BLOCK)
        row = connection.execute(select(part).select_from(source).where(access.shape.is_row(source, key))).first()
        block = b"" if row is None or row[0] is None else bytes(row[0])
        if block:
            yield block
        if len(block) < BLOCK:
            return
        start += len(block)


def _rowid(connection: Connection, access: RowAccess, key: Key) -> int | None:
    """The row's number inside SQLite; None for a table without one."""
    source = access.table([])
    statement: Select[Any] = (
        select(literal_column("rowid")).select_from(source).where(access.shape.is_row(source, key))
    )
    try:
        row = connection.execute(statement).first()
    except SQLAlchemyError:
        return None
    return None if row is None or not isinstance(row[0], int) else row[0]


def _sqlite_blocks(connection: Connection, access: RowAccess, rowid: int, name: str) -> Iterator[bytes]:
    driver: Any = connection.connection.driver_connection
    table = access.shape.name.rpartition(".")[2]
    try:
        with driver.blobopen(table, name, rowid, readonly=True) as blob:
            while block := blob.read(BLOCK):
                yield block
    except sqlite3.Error as exc:
        raise SourceMismatch(f"{access.shape.name}.{name}: the BLOB cannot be read: {exc}") from None


def write_blob(
    connection: Connection, access: RowAccess, key: Key, name: str, blocks: Iterable[bytes], size: int
) -> None:
    """Put ``size`` bytes into an empty BLOB column, inside a transaction that is under way."""
    source = access.table([name])
    place = source.c[name]
    row = access.shape.is_row(source, key)
    if access.shape.dialect == "sqlite" and (rowid := _rowid(connection, access, key)) is not None:
        connection.execute(update(source).where(row).values({place: func.zeroblob(size)}))
        driver: Any = connection.connection.driver_connection
        with driver.blobopen(access.shape.name.rpartition(".")[2], name, rowid) as blob:
            for block in blocks:
                blob.write(block)
        return
    connection.execute(update(source).where(row).values({place: literal(b"", LargeBinary())}))
    for block in _larger(blocks):
        given = literal(block, LargeBinary())
        joined = func.concat(place, given) if access.shape.dialect == "mysql" else place.op("||")(given)
        connection.execute(update(source).where(row).values({place: joined}))


def _larger(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Blocks joined to a size at which appending them is no torment for the database."""
    gathered: list[bytes] = []
    size = 0
    for block in blocks:
        gathered.append(block)
        size += len(block)
        if size >= WRITE_BLOCK:
            yield b"".join(gathered)
            gathered, size = [], 0
    if gathered:
        yield b"".join(gathered)
