"""Reading a table page by page, gently: page size and the rest after it follow the database's answers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, CursorResult, Select, text
from sqlalchemy.exc import DBAPIError

from video_assets.catalog.models import utc_now
from video_assets.legacy.config.models import Reading
from video_assets.legacy.errors import SourceBusy
from video_assets.legacy.source.connect import SourceDatabase, quote_table
from video_assets.legacy.source.row_key import Key
from video_assets.legacy.source.table_shape import TableShape

_ROWS_AT_ONCE = 1000
"""Most rows fetched from the server-side cursor at a time."""
_FEW_AT_ONCE = 10
"""Most rows where any of them may be a document of megabytes, however small the ones before were."""
_LARGE_VALUES = 1024 * 1024
"""Bytes, compressed, that PostgreSQL keeps outside of a table's rows, from which on that is so."""
_TEXT = frozenset((str, bytes, memoryview))
_ROWS_AT_FIRST = 4
"""Rows fetched before it is known how large they are: each may be a document of megabytes."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a table in the order of its key."""

    rows: Sequence[Sequence[Any]]
    read_at: datetime
    """Before the statement was sent."""
    seconds: float
    """How long the database took."""
    is_last: bool
    is_cut: bool = False
    """It ended early because its rows are large."""


class Pace:
    """How many rows to ask for next, and how long to rest before."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.rows = min(reading.page_rows, reading.most_page_rows)
        self.pause = 0.0
        """Seconds to rest before the next page."""
        self._best: float | None = None
        """The fastest a row ever came, in seconds."""

    def learn(self, page: Page) -> None:
        """Take note of how a page went."""
        reading, rows, seconds = self._reading, len(page.rows), page.seconds
        if rows == 0:
            return
        per_row = seconds / rows
        self._best = per_row if self._best is None else min(self._best, per_row)
        # A database that answers several times slower than it can has other work: give it room.
        slowdown = per_row / self._best if self._best > 0 else 1.0
        rest = reading.rest + (min(slowdown - 2.0, 8.0) if slowdown > 2.0 and seconds > 0.02 else 0.0)
        self.pause = min(rest * seconds, reading.most_pause_seconds)
        if page.is_cut:
            self.rows = max(rows, 1)
        elif seconds > reading.page_seconds * 1.5:
            self.rows = max(int(self.rows * max(reading.page_seconds / seconds, 0.25)), 20)
        elif seconds < reading.page_seconds * 0.6 and rows >= self.rows * 0.5:
            self.rows = min(self.rows * 2, reading.most_page_rows)

    def retreat(self) -> bool:
        """After a time-out: ask for much less. False when there is nothing left to give up."""
        if self.rows <= 20:
            return False
        self.rows = max(self.rows // 8, 20)
        self.pause = self._reading.most_pause_seconds
        return True


def pages(
    database: SourceDatabase,
    shape: TableShape,
    *,
    after: Key | None = None,
    upto: Key | None = None,
    changed_since: Any = None,
    pace: Pace | None = None,
) -> Iterator[Page]:
    """The rows of a table behind ``after``, a page at a time, the last page marked (it may be empty).

    ``upto`` is the last key that is read; ``pace`` keeps what was learnt about the database between two calls.

    Each page is a transaction of its own, so no snapshot is held on the source. A page ends early when its text
    passes ``page_megabytes``. Raises SourceError; SourceBusy only when even a small page times out.
    """
    pace = pace or Pace(database.reading)
    at_once = _most_at_once(database, shape)
    while True:
        try:
            statement = shape.page(after, pace.rows, upto=upto, changed_since=changed_since)
            page = _read(database, statement, pace.rows, at_once)
        except SourceBusy:
            if not pace.retreat():
                raise
            time.sleep(pace.pause)
            continue
        pace.learn(page)
        yield page
        if page.is_last:
            return
        after = tuple(page.rows[-1][: len(shape.key)])
        if pace.pause:
            time.sleep(pace.pause)


def whole(database: SourceDatabase, shape: TableShape) -> Iterator[Page]:
    """Every row of a table without a usable key, in one statement whose rows are fetched little by little.

    It is one transaction, as long as the reading takes. Raises SourceError.
    """
    at_once = _most_at_once(database, shape)
    most = int(database.reading.page_megabytes * 1_000_000)
    with database.connect() as connection:
        began, read_at = time.monotonic(), utc_now()
        result = connection.execution_options(stream_results=True).execute(shape.every_row())
        asked = _ROWS_AT_FIRST
        while rows := result.fetchmany(asked):
            size = sum([len(value) for row in rows for value in row if type(value) in _TEXT])
            yield Page(rows, read_at, time.monotonic() - began, is_last=False)
            asked = min(_fitting(rows, size, most), at_once)


def _most_at_once(database: SourceDatabase, shape: TableShape) -> int:
    """How many rows may be fetched at a time, without knowing how large they are."""
    if database.dialect != "postgresql" or shape.is_view:
        return _FEW_AT_ONCE  # other drivers fetch row by row anyway
    outside = text(
        "SELECT sum(pg_relation_size(c.reltoastrelid)) FROM pg_class c WHERE c.reltoastrelid <> 0 AND c.oid IN "
        "(SELECT to_regclass(:t) UNION SELECT relid FROM pg_partition_tree(to_regclass(:t)))"
    )
    with database.connect() as connection:
        size = connection.execute(outside, {"t": quote_table(database.engine, shape.name)}).scalar()
    return _FEW_AT_ONCE if (size or 0) > _LARGE_VALUES else _ROWS_AT_ONCE


def _read(database: SourceDatabase, statement: Select[Any], limit: int, at_once: int) -> Page:
    read_at = utc_now()
    began = time.monotonic()
    most = int(database.reading.page_megabytes * 1_000_000)
    rows: list[Sequence[Any]] = []
    size = 0
    with database.connect() as connection:
        result = connection.execution_options(stream_results=True).execute(statement)
        asked = _ROWS_AT_FIRST
        # SQLAlchemy itself fetches a row to learn the columns, and gives it back in the first portion.
        portion: Sequence[Sequence[Any]] = result.fetchmany(asked)
        while True:
            rows += portion
            size += sum([len(value) for row in portion for value in row if type(value) in _TEXT])
            ended = len(portion) < asked
            if ended or size >= most:
                break
            asked = min(_fitting(rows, size, most), at_once)
            portion = _fetch(connection, result, asked)
        result.close()
    seconds = time.monotonic() - began
    return Page(rows, read_at, seconds, is_last=ended and len(rows) < limit, is_cut=not ended)


def _fetch(connection: Connection, result: CursorResult[Any], most: int) -> Sequence[Sequence[Any]]:
    """The next rows as the driver gives them.

    Columns of a source have no types, so SQLAlchemy would hand out the same values, at twice the price.
    """
    driver = connection.dialect.loaded_dbapi
    try:
        return result.cursor.fetchmany(most)
    except driver.Error as exc:
        raise DBAPIError.instance(
            None, None, exc, driver.Error, hide_parameters=True, dialect=connection.dialect
        ) from None


def _fitting(rows: Sequence[Any], size: int, most: int) -> int:
    """How many rows of the usual size are still missing to a full page."""
    usual = size / len(rows)
    return max(min(int((most - size) / max(usual, 1)) + 1, _ROWS_AT_ONCE), 1)
