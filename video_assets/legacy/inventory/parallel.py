"""Reading, searching and recording one large table in several processes at once.

The table is cut into stretches of its key. Each lane is a process with connections of its own; it reads the rows
of a stretch page by page, searches them and records what it found. The one who asked for it hears of the
stretches in the order of the key, whichever was done first, and notes how far the table has been read: what has
been noted is always the beginning of the table. A stretch that was recorded and not noted is read once more,
which changes nothing.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any, Self

from sqlalchemy import Dialect
from sqlmodel import Session

from video_assets.catalog import Catalog, CatalogHandle
from video_assets.catalog.models import utc_now
from video_assets.legacy.config.models import Source
from video_assets.legacy.errors import SourceUnavailable
from video_assets.legacy.inventory.record import Recorded, Rows, prepare, write
from video_assets.legacy.search.rows import Search, Seen
from video_assets.legacy.source.connect import SourceDatabase, connect
from video_assets.legacy.source.pages import Pace, Page, pages
from video_assets.legacy.source.row_key import Key, encode_key
from video_assets.legacy.source.table_shape import TableShape, moment_of

STRETCH_ROWS = 20000
"""Rows that are searched and recorded together: some hundred milliseconds of work."""
FEWEST_STRETCHES = 2
"""A smaller table is read sooner than the processes have started."""
_MOST_FINDINGS = 5_000
"""A stretch ends early when this much was found in it: all of it is held in memory until it is recorded."""


@dataclass(frozen=True, slots=True)
class Searched:
    """Some rows of a table that were read and searched."""

    found: Rows
    rows: int
    last: Key | None
    """The key of the last row; None when there was no row."""
    newest: Any
    """The greatest value of ``changed_at`` among the rows."""
    row_keys: list[str] | None
    """The encoded keys of all rows, when earlier inventories may have seen them."""
    is_last: bool
    """Nothing of the table, or of the stretch, is left behind these rows."""


@dataclass(frozen=True)
class Searcher:
    """How the rows of one table are searched and recorded. Can be sent to another process."""

    source: str
    shape: TableShape
    is_first_pass: bool
    search: Search = field(init=False)

    def __post_init__(self) -> None:
        shape = self.shape
        search = Search(self.source, shape.config, tuple(shape.read_columns()), len(shape.key))
        object.__setattr__(self, "search", search)

    def through(self, some: Iterable[Page], dialect: Dialect) -> Searched:
        """Search page after page until the last one, or until much was found.

        ``dialect`` is the one of the catalog, for which rows are made.
        """
        shape, keys = self.shape, len(self.shape.key)
        changed = shape.config.changed_at
        number = None if changed is None else shape.read_columns().index(changed)
        seen, read_at = Seen(), None
        rows, last, newest, is_last = 0, None, None, False
        row_keys: list[str] | None = None if self.is_first_pass else []
        for page in some:
            seen.add(self.search.rows(page.rows))
            read_at = read_at or page.read_at
            if page.rows:
                rows += len(page.rows)
                last = tuple(page.rows[-1][:keys])
                if number is not None:
                    newest = _greatest(newest, (row[number] for row in page.rows))
                if row_keys is not None:
                    row_keys += [encode_key(row[:keys]) for row in page.rows]
            is_last = page.is_last
            if len(seen.findings) >= _MOST_FINDINGS:
                break
        found = prepare(seen, read_at=read_at or utc_now(), dialect=dialect)
        return Searched(found, rows, last, newest, row_keys, is_last)

    def record(self, session: Session, searched: Searched) -> Recorded:
        """Bring what was found into the catalog, in the caller's transaction."""
        return write(session, self.source, searched.found, table=self.shape.name, row_keys=searched.row_keys)


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Some rows of a table, what was found in them recorded."""

    rows: int
    last: Key | None
    newest: Any
    recorded: Recorded
    is_last: bool


def _greatest(known: Any, values: Iterable[Any]) -> Any:
    there = [value for value in (known, *values) if value is not None]
    try:
        return max(there, default=None)
    except TypeError:  # times of several kinds: as text and as numbers, or one that is none
        times = [(moment, value) for value in there if (moment := moment_of(value)) is not None]
        return max(times, key=itemgetter(0), default=(None, None))[1]


def can_be_cut(shape: TableShape) -> bool:
    """Whether stretches of the table's key can be read by themselves at no more cost than all of it."""
    # MySQL reads to the end of the table for a stretch of a composite key.
    return shape.key_is_proven and (len(shape.key) == 1 or shape.dialect != "mysql")


def milestones(database: SourceDatabase, shape: TableShape, after: Key | None) -> Iterator[Key]:
    """Keys that stand STRETCH_ROWS apart, up to the end of the table."""
    while True:
        with database.connect() as connection:
            row = connection.execute(shape.milestone(after, STRETCH_ROWS)).one_or_none()
        if row is None:
            return
        after = tuple(row)
        yield after


class ParallelReader:
    """Processes that search and record stretches of one table. A context manager: behind it they end."""

    def __init__(self, catalog: Catalog, source: Source, searcher: Searcher) -> None:
        self._source = source
        self._table = searcher.shape.name
        self._number = min(source.reading.lanes, os.cpu_count() or 1)
        is_able = "forkserver" in multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if is_able else "spawn")
        if is_able:
            context.set_forkserver_preload([__name__])
        given = (source, searcher, catalog.handle())
        self._executor = ProcessPoolExecutor(
            self._number, mp_context=context, initializer=_open_lane, initargs=given
        )
        self._waiting: deque[tuple[Future[KeyRange], Key | None]] = deque()
        # The first processes take half a second to begin; nobody should wait for them.
        self._starter = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._starter.shutdown()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def start(self, after: Key | None, ends: Iterator[Key]) -> None:
        """Begin with the rows behind ``after``.

        ``ends`` are the keys at which stretches end; behind the last of them the table is read to its end.
        """
        self._begin, self._ends, self._is_laid_out = after, ends, False
        self._started = self._starter.submit(self._lay_out)

    def stretches(self) -> Iterator[KeyRange]:
        """What became of each stretch, in the order of the key.

        Raises what reading the source raises, CatalogError, and SourceUnavailable when a process dies.
        """
        try:
            self._started.result()
            while self._waiting:
                future, end = self._waiting.popleft()
                stretch = future.result()
                if not stretch.is_last:
                    rest = self._submit(stretch.last, end)
                    self._waiting.appendleft((rest, end))
                yield replace(stretch, is_last=stretch.is_last and end is None)
                self._lay_out()
        except BrokenProcessPool:
            raise SourceUnavailable(
                f"source {self._source.name!r}: a process that reads {self._table!r} died (out of memory?); "
                "what was recorded is kept: take the inventory again, with `lanes = 1` under [source.reading]"
            ) from None

    def _submit(self, begin: Key | None, end: Key | None) -> Future[KeyRange]:
        try:
            return self._executor.submit(_record_stretch, begin, end)
        except OSError:  # the pool is being taken down, and has closed its pipe before it says so
            raise BrokenProcessPool from None

    def _lay_out(self) -> None:
        """Keep every lane busy, and a little more, so that none waits for the one who notes the results."""
        while not self._is_laid_out and len(self._waiting) < 2 * self._number:
            end = next(self._ends, None)
            self._waiting.append((self._submit(self._begin, end), end))
            self._begin, self._is_laid_out = end, end is None


@dataclass(slots=True)
class _Lane:
    """What one process keeps from stretch to stretch."""

    source: Source
    searcher: Searcher
    catalog: Catalog
    pace: Pace
    database: SourceDatabase | None = None
    """Opened for the first stretch, whose caller is told when that fails."""


_lane: _Lane


def _open_lane(source: Source, searcher: Searcher, catalog: CatalogHandle) -> None:
    global _lane
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who asked is told, and ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Rows and findings hold no cycles: a collector that looks at each of them over and over finds nothing.
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    _lane = _Lane(source, searcher, catalog.open(), Pace(source.reading))


def _end_with_parent() -> None:
    """A process of a pool would wait for ever for work from somebody who was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _record_stretch(after: Key | None, upto: Key | None) -> KeyRange:
    lane, shape = _lane, _lane.searcher.shape
    if lane.database is None:
        lane.database = connect(lane.source)
    some = pages(lane.database, shape, after=after, upto=upto, pace=lane.pace)
    searched = lane.searcher.through(some, lane.catalog.engine.dialect)
    with lane.catalog.write() as session:
        recorded = lane.searcher.record(session, searched)
    return KeyRange(searched.rows, searched.last, searched.newest, recorded, searched.is_last)
