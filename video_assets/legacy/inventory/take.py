"""The inventory: every temporary URL of a source becomes a finding in the catalog, page by page.

A page is read in one short transaction of the source; what it holds and how far the reading has come are
committed in one transaction of the catalog. So a process that is killed goes on at the next page, and a page
that is read twice changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from threading import Event
from typing import Any

from sqlmodel import Session

from video_assets.catalog import Catalog, leases
from video_assets.catalog.legacy import LegacySource
from video_assets.catalog.models import utc_now
from video_assets.legacy.config.models import Source
from video_assets.legacy.errors import SourceError, SourceUnavailable
from video_assets.legacy.inventory.parallel import (
    FEWEST_STRETCHES,
    KeyRange,
    ParallelReader,
    Searcher,
    can_be_cut,
    milestones,
)
from video_assets.legacy.inventory.record import (
    Recorded,
    mark_deleted,
    open_row_keys,
    record,
    settle_finding_states,
)
from video_assets.legacy.search.folders import MEDIA_TABLE, folder_pages, search_files
from video_assets.legacy.search.rows import rules_digest
from video_assets.legacy.source.connect import SourceDatabase, connect
from video_assets.legacy.source.pages import pages
from video_assets.legacy.source.relations import relations_of
from video_assets.legacy.source.row_key import Key, decode_key, encode_key
from video_assets.legacy.source.table_shape import TableShape, look_at, moment_of

LEASE = timedelta(minutes=5)
ROWS_ASKED_FOR = 200
"""Keys in one statement."""
OVERLAP = timedelta(hours=1)
"""How far a later inventory reads back behind the newest change it knows: for transactions that end late."""
READ_ALL_EVERY = timedelta(days=1)
"""After this time everything is read again: for changes that end later still, or do not tell their time."""
FURTHEST_BEHIND_UTC = timedelta(hours=12)
"""No clock shows an earlier time than this one's, where a column does not tell its zone."""


class InventoryRunning(SourceError):
    """Another process is taking the inventory of this source."""


@dataclass(slots=True)
class TableReport:
    """What happened to one table in this run."""

    table: str
    rows: int = 0
    findings: int = 0
    new_findings: int = 0
    new_files: int = 0
    vanished: int = 0
    pages: int = 0
    complete: bool = False
    problem: str | None = None
    """Why the table was left out, one sentence."""

    def add(self, rows: int, recorded: Recorded) -> None:
        """Count one page."""
        self.rows += rows
        self.pages += 1
        self.findings += recorded.findings
        self.new_findings += recorded.new_findings
        self.new_files += recorded.new_files
        self.vanished += recorded.vanished


@dataclass(slots=True)
class InventoryReport:
    """What one run of the inventory did."""

    source: str
    tables: list[TableReport] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """True when every table has been read to its end."""
        return all(table.complete for table in self.tables)

    @property
    def rows(self) -> int:
        """Rows read in this run."""
        return sum(table.rows for table in self.tables)

    @property
    def findings(self) -> int:
        """Temporary URLs seen in this run."""
        return sum(table.findings for table in self.tables)

    @property
    def new_findings(self) -> int:
        """Of these, the ones not known before."""
        return sum(table.new_findings for table in self.tables)

    @property
    def new_files(self) -> int:
        """Files not known before."""
        return sum(table.new_files for table in self.tables)

    @property
    def problems(self) -> list[str]:
        """Why tables were left out."""
        return [table.problem for table in self.tables if table.problem is not None]


Progress = Callable[[TableReport], None]
"""Hears the counts of a table after each page."""


def take_inventory(
    catalog: Catalog,
    source: Source,
    *,
    budget: timedelta | None = None,
    stop: Event | None = None,
    full: bool = False,
    on_progress: Progress | None = None,
) -> InventoryReport:
    """Read ``source`` and record every temporary URL in it.

    Goes on where an unfinished run stopped. When the last pass was finished, tables with ``changed_at`` are read
    from the newest change on, others (or all, with ``full``) once more from the beginning. ``budget`` and
    ``stop`` end the run after a page; the next one continues. A table that cannot be read is reported and left
    out.

    Raises SourceUnavailable (SourceBusy) when the source fails in the middle, InventoryRunning, CatalogError.
    """
    started = time.monotonic()

    def is_over() -> bool:
        is_time_up = budget is not None and time.monotonic() - started >= budget.total_seconds()
        return is_time_up or (stop is not None and stop.is_set())

    holder = leases.new_holder()
    with catalog.write() as session:
        claim = leases.acquire(session, f"legacy-inventory:{source.name}", holder, ttl=LEASE)
        if claim is None:
            raise InventoryRunning(f"another process is taking the inventory of {source.name!r}")
        _source_row(session, source)
    report = InventoryReport(source.name)
    try:
        if source.kind == "folder":
            counts = TableReport(MEDIA_TABLE)
            report.tables.append(counts)
            _read_folder(catalog, source, claim, counts, is_over, on_progress)
        else:
            _read_tables(catalog, source, claim, report, is_over, on_progress, full=full)
        if report.complete and len(report.tables) == max(len(source.tables), 1):
            with catalog.write() as session:
                # A file may have been stored while a page that names it was on its way into the catalog.
                settle_finding_states(session, source.name)
                _source_row(session, source).scanned_at = utc_now()
    finally:
        with catalog.write() as session:
            leases.release(session, claim)
        report.seconds = time.monotonic() - started
    return report


def _read_tables(
    catalog: Catalog,
    source: Source,
    claim: leases.Claim,
    report: InventoryReport,
    is_over: Callable[[], bool],
    on_progress: Progress | None,
    *,
    full: bool,
) -> None:
    with connect(source) as database:
        left_alone = [each.document() for each in relations_of(database) if each.is_left_alone]
        with catalog.write() as session:
            _source_row(session, source).left_alone = left_alone
        for config in source.tables:
            counts = TableReport(config.name)
            report.tables.append(counts)
            try:
                shape = look_at(database, config)
                _TableRun(catalog, source, database, shape, claim, counts, full=full).go(is_over, on_progress)
            except (SourceUnavailable, InventoryRunning):
                raise
            except SourceError as exc:
                counts.problem = str(exc)
            if is_over():
                return


def _read_folder(
    catalog: Catalog,
    source: Source,
    claim: leases.Claim,
    counts: TableReport,
    is_over: Callable[[], bool],
    on_progress: Progress | None,
) -> None:
    """The files of a folder, in the order of their paths; a new pass begins when the last one is complete."""
    with catalog.write() as session:
        cursor = dict(_source_row(session, source).cursor.get(MEDIA_TABLE) or {})
    if not cursor or cursor["done"]:
        cursor = {"pass": cursor.get("pass", 0) + 1, "after": None, "done": False, "rows": 0}
    for files, last in folder_pages(source, after=cursor["after"], size=source.reading.page_rows):
        read_at = utc_now()
        seen = search_files(source, files)
        cursor = {**cursor, "after": last, "rows": cursor["rows"] + len(files)}
        with catalog.write() as session:
            _prolong(session, claim, source)
            recorded = record(session, source.name, seen, read_at=read_at, table=MEDIA_TABLE)
            _keep_cursor(session, source, MEDIA_TABLE, cursor, len(files))
        counts.add(len(files), recorded)
        if on_progress is not None:
            on_progress(counts)
        if is_over():
            return
    with catalog.write() as session:
        _keep_cursor(session, source, MEDIA_TABLE, {**cursor, "done": True}, 0)
    counts.complete = True


def _prolong(session: Session, claim: leases.Claim, source: Source) -> None:
    if not leases.renew(session, claim, ttl=LEASE):
        raise InventoryRunning(f"another process took over the inventory of {source.name!r}")


def _keep_cursor(session: Session, source: Source, table: str, cursor: dict[str, Any], rows: int) -> None:
    row = _source_row(session, source)
    row.cursor = {**row.cursor, table: dict(cursor)}
    row.rows_scanned += rows


def _source_row(session: Session, source: Source) -> LegacySource:
    row = session.get(LegacySource, source.name)
    if row is None:
        row = LegacySource(name=source.name, kind=source.kind, preset=source.preset)
        session.add(row)
    row.kind, row.preset = source.kind, source.preset
    return row


@dataclass(slots=True)
class _TableRun:
    """One table in one run: where it stands and how the next page is read."""

    catalog: Catalog
    source: Source
    database: SourceDatabase
    shape: TableShape
    claim: leases.Claim
    counts: TableReport
    full: bool

    def go(self, is_over: Callable[[], bool], on_progress: Progress | None) -> None:
        """Read part after part until the table ends or the time is up."""
        with self.catalog.write() as session:
            cursor = self._begin_pass(_source_row(session, self.source))
        for stretch in self._stretches(cursor):
            self.counts.add(stretch.rows, stretch.recorded)
            if on_progress is not None:
                on_progress(self.counts)
            if stretch.is_last:
                if cursor["pass"] > 1:
                    self.counts.vanished += self._look_for_deleted_rows()
                self.counts.complete = True
                return
            if is_over():
                return

    def _stretches(self, cursor: dict[str, Any]) -> Iterator[KeyRange]:
        """The rest of the table in the order of its key, recorded and noted; a large one by several processes."""
        after = decode_key(cursor["after"]) if cursor["after"] is not None else None
        searcher = Searcher(self.source.name, self.shape, is_first_pass=cursor["pass"] == 1)
        if cursor["since"] is None and self.source.reading.lanes > 1 and can_be_cut(self.shape):
            ends = milestones(self.database, self.shape, after)
            first = list(islice(ends, FEWEST_STRETCHES))
            if len(first) == FEWEST_STRETCHES:
                with ParallelReader(self.catalog, self.source, searcher) as lanes:
                    lanes.start(first[-1], ends)
                    for stretch in self._here(searcher, cursor, after, upto=first[-1]):
                        yield replace(stretch, is_last=False)
                    for stretch in lanes.stretches():
                        with self.catalog.write() as session:
                            self._note(session, cursor, stretch, is_done=stretch.is_last)
                        yield stretch
                return
        yield from self._here(searcher, cursor, after)

    def _here(
        self, searcher: Searcher, cursor: dict[str, Any], after: Key | None, upto: Key | None = None
    ) -> Iterator[KeyRange]:
        """Page by page in this process, what was found and how far it came in one transaction."""
        since = _plain(cursor["since"])
        for page in pages(self.database, self.shape, after=after, upto=upto, changed_since=since):
            searched = searcher.through([page], self.catalog.engine.dialect)
            with self.catalog.write() as session:
                recorded = searcher.record(session, searched)
                stretch = KeyRange(searched.rows, searched.last, searched.newest, recorded, searched.is_last)
                self._note(session, cursor, stretch, is_done=searched.is_last and upto is None)
            yield stretch

    def _look_for_deleted_rows(self) -> int:
        """Rows that hold work and are no longer there are found by their keys, for no reading comes upon them."""
        source, table, after, deleted = self.source.name, self.shape.name, "", 0
        while True:
            with self.catalog.read() as session:
                row_keys = open_row_keys(session, source, table, after=after, most=ROWS_ASKED_FOR)
            if not row_keys:
                return deleted
            after = row_keys[-1]
            with self.database.connect() as connection:
                there = connection.execute(self.shape.rows_of([decode_key(key) for key in row_keys]))
                gone = sorted(set(row_keys) - {encode_key(tuple(row)) for row in there})
            if gone:
                with self.catalog.write() as session:
                    _prolong(session, self.claim, self.source)
                    deleted += mark_deleted(session, source, table, gone)

    def _begin_pass(self, row: LegacySource) -> dict[str, Any]:
        """The table's cursor, moved to a new pass when the last one is complete."""
        cursors = dict(row.cursor)
        cursor = cursors.get(self.shape.name)
        now, rules = utc_now(), rules_digest(self.shape.config.host_rules)
        if cursor is None:
            cursor = {"pass": 1, "after": None, "since": None, "newest": None, "done": False, "rows": 0}
            cursor |= {"began": now.isoformat(), "all_began": now.isoformat(), "rules": rules}
        elif cursor["done"]:
            since = None
            changed = self.shape.config.changed_at is not None and not self.full
            # A cursor of an older version tells no times: then everything is read.
            all_began = datetime.fromisoformat(cursor.get("all_began", "1970-01-01T00:00:00+00:00"))
            same_rules = cursor.get("rules") == rules
            if changed and same_rules and now - all_began < READ_ALL_EVERY:
                since = _with_overlap(cursor["newest"], datetime.fromisoformat(cursor["began"]))
            cursor = {
                "pass": cursor["pass"] + 1,
                "after": None,
                "since": since,
                "newest": cursor["newest"],
                "done": False,
                "rows": 0,
                "began": now.isoformat(),
                "all_began": now.isoformat() if since is None else cursor["all_began"],
                "rules": rules,
            }
        cursors[self.shape.name] = cursor
        row.cursor = cursors
        return dict(cursor)

    def _note(self, session: Session, cursor: dict[str, Any], stretch: KeyRange, *, is_done: bool) -> None:
        """Keep how far the table has been read. Raises InventoryRunning when somebody else goes on with it."""
        if stretch.last is not None:
            cursor["after"] = encode_key(stretch.last)
            cursor["rows"] += stretch.rows
            cursor["newest"] = _newest(cursor["newest"], stretch.newest)
        cursor["done"] = is_done
        _prolong(session, self.claim, self.source)
        _keep_cursor(session, self.source, self.shape.name, cursor, stretch.rows)


def _newest(known: Any, greatest: Any) -> Any:
    """The greatest value of ``changed_at`` seen so far, in a form that JSON keeps."""
    moment, before = moment_of(greatest), moment_of(_plain(known))
    if moment is None or (before is not None and before >= moment):
        return known
    match greatest:
        case datetime():
            return {"datetime": greatest.isoformat()}
        case date():
            return {"date": greatest.isoformat()}
        case Decimal():
            return float(greatest)
    return greatest


def _plain(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return date.fromisoformat(value["date"]) if "date" in value else datetime.fromisoformat(value["datetime"])


def _with_overlap(newest: Any, began: datetime) -> Any:
    """Where to begin reading changes: a while before the newest known one, in the column's own form.

    ``began`` is when the last reading did: a time behind it is a clock's mistake, and would hide every change.
    """
    value = _plain(newest)
    moment = moment_of(value)
    if moment is None:
        return None
    if isinstance(value, int | float):
        milliseconds = value > 1e11
        earlier_number = (min(moment, began) - OVERLAP).timestamp() * (1000 if milliseconds else 1)
        return int(earlier_number) if isinstance(value, int) else earlier_number
    if isinstance(value, datetime) and value.tzinfo is not None:
        return {"datetime": (min(moment, began) - OVERLAP).isoformat()}
    if moment > began:
        moment = began - FURTHEST_BEHIND_UTC
    earlier = (moment - OVERLAP).replace(tzinfo=None)
    if isinstance(value, datetime):
        return {"datetime": earlier.isoformat()}
    if isinstance(value, date):
        return {"date": earlier.date().isoformat()}
    # Text times sort as text: cut to whole hours or days, in the same spelling.
    if ":" not in value:
        return earlier.date().isoformat()
    hour = earlier.replace(minute=0, second=0, microsecond=0).isoformat()
    return hour if "T" in value else hour.replace("T", " ")
