"""The rewrite: temporary URLs in a source's rows are replaced by durable ones, one short transaction per row.

For a portion of rows: read and plan → write the intent into the ledger → change each row with compare-and-set →
confirm. A row that somebody changed in between is never overwritten: it is read and planned again. A process
killed between two of these arrows leaves open entries, which the next one closes before it writes anything.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from itertools import islice

from video_assets.catalog import Catalog
from video_assets.catalog.legacy import FindingState, LedgerOutcome
from video_assets.legacy.errors import SourceBusy
from video_assets.legacy.rewrite.compare_and_set import ConcurrentChange, RowChange, RowRefused, ValueAltered
from video_assets.legacy.rewrite.database_rows import Rows
from video_assets.legacy.rewrite.edit import Place, stands_in
from video_assets.legacy.rewrite.ledger import (
    MOST_ENTRIES,
    PEN,
    ColumnChange,
    Images,
    Ledger,
    WriteLock,
    confirm,
    take_pen,
)
from video_assets.legacy.rewrite.plan import ROWS_AT_ONCE, PlannedRow, load_work, rows_of
from video_assets.legacy.rewrite.reconcile import mark, reconcile
from video_assets.legacy.search.rows import digest
from video_assets.legacy.source.cell import Value
from video_assets.urls import find

log = logging.getLogger(__name__)

MOST_BYTES = 16 * 1024 * 1024
"""Values held at a time; one row may still be larger."""
MOST_COLUMNS = MOST_ENTRIES // 4
"""Ledger entries that are open at a time; a row that turned out otherwise has them twice."""
MOST_TRIES = 5
"""How often a row that others change all the time is tried."""
MOST_BUSY = 20
"""Rows in a row that were locked, after which the source is left in peace."""


class RewriteStep(StrEnum):
    """The lines of a rewrite or an undo, in order."""

    INTENDED = "intended"
    ROW_WRITTEN = "row_written"
    CONFIRMED = "confirmed"


RewriteObserver = Callable[[RewriteStep, str], None]
"""Hears ``(step, "table row-key")``, or the number of rows for the steps of a portion."""


class RowFailure(StrEnum):
    """Why a row was not rewritten."""

    CHANGED = "changed"
    """Its temporary URL does not stand there any more."""
    CONTESTED = "contested"
    """Others changed it again and again; it is tried in a later run."""
    TOO_LONG = "too_long"
    REFUSED = "refused"
    """A constraint, a trigger or a type of the database does not take the new value."""
    BUSY = "busy"
    GENERATED = "generated"
    """The database computes the column itself."""


@dataclass(slots=True)
class RewriteReport:
    """What a rewrite did."""

    rows: int = 0
    """Rows changed."""
    places: int = 0
    """Temporary URLs and BLOBs replaced."""
    troubles: Counter[RowFailure] = field(default_factory=Counter)
    """Rows by why they were not changed."""
    examples: list[str] = field(default_factory=list)
    """The first rows that were not changed, and why."""
    reconciled: Counter[str] = field(default_factory=Counter)
    """Open entries of a killed run, by what had become of them."""

    def trouble(self, kind: RowFailure, sentence: str) -> None:
        """Count a row that was not changed."""
        self.troubles[kind] += 1
        if len(self.examples) < 20:
            self.examples.append(sentence)


@dataclass(slots=True)
class _Row:
    """A planned row on its way."""

    planned: PlannedRow
    change: RowChange
    entries: list[int] = field(default_factory=list)


class Rewriter:
    """Rewrites the rows of one source."""

    def __init__(
        self,
        catalog: Catalog,
        rows: Rows,
        *,
        images: Images | None,
        run: str,
        observer: RewriteObserver | None = None,
        lease: timedelta = PEN,
    ) -> None:
        self._catalog = catalog
        self._rows = rows
        self._source = rows.source
        self._ledger = Ledger(catalog, self._source, run, images)
        self._observer = observer
        self._lease = lease
        self._busy = 0

    def rewrite(self, *, batch: str | None = None, closed: Mapping[str, str] | None = None) -> RewriteReport:
        """Rewrite every row whose files are safe, of one batch or of the whole source.

        A row that cannot be rewritten is reported and left exactly as it is; so are all rows of ``closed``, which
        maps tables that cannot be written to the sentence that says so. Raises SourceError when the source
        fails (what was in flight is settled by the next run), PenTaken, PenLost, CatalogError.
        """
        report = RewriteReport()
        with take_pen(self._catalog, self._source, ttl=self._lease) as pen:
            found = reconcile(self._catalog, self._rows, pen)
            report.reconciled.update({str(outcome): count for outcome, count in found.items()})
            for rows in _portions(rows_of(self._catalog, self._source, batch=batch)):
                left = [row for row in rows if row[0] in (closed or {})]
                for table in dict.fromkeys(table for table, _ in left):
                    self._leave([row for row in left if row[0] == table], (closed or {})[table], report)
                self._rewrite_rows([row for row in rows if row not in left], report, pen)
        return report

    def _leave(self, rows: Sequence[tuple[str, str]], sentence: str, report: RewriteReport) -> None:
        """Rows of a closed table stay as they are, and their findings say why; one sentence for all of them."""
        report.troubles[RowFailure.REFUSED] += len(rows)
        if sentence not in report.examples:
            report.examples.append(sentence)
        with self._catalog.write() as session:
            places = [place for work in load_work(session, self._source, rows) for place in work.all_places]
            mark(session, _ids(places), FindingState.SAVED, reason=str(RowFailure.REFUSED), message=sentence)

    def _rewrite_rows(self, rows: Sequence[tuple[str, str]], report: RewriteReport, pen: WriteLock) -> None:
        todo = list(rows)
        for _ in range(MOST_TRIES):
            overtaken: list[tuple[str, str]] = []
            for portion in self._planned(todo, report, pen):
                overtaken += self._write(portion, report, pen)
            todo = overtaken
            if not todo:
                return
        for table, row_key in todo:
            report.trouble(
                RowFailure.CONTESTED, f"{table} {row_key}: others keep changing it; it is tried again later"
            )

    # -- reading ----------------------------------------------------------------------------------------------

    def _planned(
        self, rows: Sequence[tuple[str, str]], report: RewriteReport, pen: WriteLock
    ) -> Iterator[list[_Row]]:
        """The rows that change, in portions of bounded size."""
        with self._catalog.read() as session:
            works = load_work(session, self._source, rows)
        portion: list[_Row] = []
        size = columns = 0
        for work in works:
            pen.still()
            planned = self._rows.plan(work)
            self._note_missing(planned, report)
            if planned.problem is not None:
                trouble = RowFailure.TOO_LONG if planned.is_too_long else RowFailure.REFUSED
                self._fail(planned, trouble, planned.problem, report)
                continue
            if not planned.edit.after:
                continue
            edit = planned.edit
            guards = {name: value for name, value in edit.guards.items() if name not in edit.before}
            portion.append(_Row(planned, RowChange(work.table, work.row_key, edit.before, edit.after, guards)))
            size += planned.size
            columns += len(edit.after)
            if size > MOST_BYTES or columns > MOST_COLUMNS:
                yield portion
                portion, size, columns = [], 0, 0
        if portion:
            yield portion

    def _note_missing(self, planned: PlannedRow, report: RewriteReport) -> None:
        """Places that are not as they were found: the next inventory looks at them again."""
        edit, work = planned.edit, planned.work
        if edit.missing:
            why = "The row is gone." if planned.is_gone else "Somebody else has changed the value since."
            with self._catalog.write() as session:
                mark(
                    session, _ids(edit.missing), FindingState.CHANGED, reason=str(RowFailure.CHANGED), message=why
                )
            report.trouble(RowFailure.CHANGED, f"{work.table} {work.row_key}: {why}")
        if edit.generated:
            self._settle_generated(planned, report)
        if edit.followed:
            with self._catalog.write() as session:
                mark(session, _ids(edit.followed), FindingState.REWRITTEN)

    def _settle_generated(self, planned: PlannedRow, report: RewriteReport) -> None:
        if planned.edit.after:
            return  # they follow the columns that are written now, and are looked at again afterwards
        sentence = f"{planned.work.table} {planned.work.row_key}: the database computes this column itself"
        with self._catalog.write() as session:
            mark(
                session,
                _ids(planned.edit.generated),
                FindingState.SAVED,
                reason=str(RowFailure.GENERATED),
                message="The database computes this column itself; rewrite what it is made from.",
            )
        report.trouble(RowFailure.GENERATED, sentence)

    # -- writing ----------------------------------------------------------------------------------------------

    def _write(self, portion: list[_Row], report: RewriteReport, pen: WriteLock) -> list[tuple[str, str]]:
        """Intent, change, confirmation. Returns the rows to look at again."""
        self._intend(portion, pen)
        self._saw(RewriteStep.INTENDED, str(len(portion)))
        written: list[_Row] = []
        void: list[_Row] = []
        overtaken: list[tuple[str, str]] = []
        refused: list[tuple[_Row, RowFailure, str]] = []
        failure: Exception | None = None
        for number, row in enumerate(portion):
            try:
                pen.still()
                self._change(row, pen)
            except ConcurrentChange:
                void.append(row)
                overtaken.append((row.change.table, row.change.row_key))
            except RowRefused as exc:
                void.append(row)
                refused.append((row, RowFailure.REFUSED, str(exc)))
            except SourceBusy as exc:
                void.append(row)
                refused.append((row, RowFailure.BUSY, str(exc)))
                self._busy += 1
                if self._busy >= MOST_BUSY:
                    void += portion[number + 1 :]
                    failure = exc
                    break
            except Exception as exc:  # noqa: BLE001  whatever it is, what was written before it is confirmed first
                # Nobody knows about this row: its entries stay open. The rest was not begun.
                void += portion[number + 1 :]
                failure = exc
                break
            else:
                self._busy = 0
                written.append(row)
                self._saw(RewriteStep.ROW_WRITTEN, f"{row.change.table} {row.change.row_key}")
        with self._catalog.write() as session:
            pen.check(session)
            confirm(session, [entry for row in written for entry in row.entries], LedgerOutcome.APPLIED)
            confirm(session, [entry for row in void for entry in row.entries], LedgerOutcome.VOID)
            mark(session, [i for row in written for i in _ids(_done(row))], FindingState.REWRITTEN)
        self._saw(RewriteStep.CONFIRMED, str(len(written)))
        report.rows += len(written)
        report.places += sum(len(_done(row)) for row in written)
        for row, trouble, sentence in refused:
            self._fail(row.planned, trouble, sentence, report)
        if failure is not None:
            raise failure
        return overtaken + [
            (row.change.table, row.change.row_key) for row in written if row.planned.edit.generated
        ]

    def _intend(self, rows: Sequence[_Row], pen: WriteLock) -> None:
        with self._catalog.write() as session:
            pen.check(session)
            changes = [column_changes(row.planned, row.change) for row in rows]
            ids = iter(self._ledger.intend(session, [each for some in changes for each in some], "rewrite"))
            for row, some in zip(rows, changes, strict=True):
                row.entries = list(islice(ids, len(some)))

    def _change(self, row: _Row, pen: WriteLock) -> None:
        """Write one row; when the database makes something else of the value, intend exactly that and try again.

        Raises what ``Rows.apply`` raises, and RowRefused when the database's own value will not do.
        """
        try:
            self._rows.apply(row.change)
            return
        except ValueAltered as exc:
            observed = dict(exc.observed)
        if observed.keys() != row.change.after.keys() or not _is_durable(row, observed):
            raise RowRefused(
                f"the database does not keep the durable URL in a row of {row.change.table}: look at its triggers"
            )
        with self._catalog.write() as session:
            pen.check(session)
            confirm(session, row.entries, LedgerOutcome.VOID)
        row.change = dataclasses.replace(row.change, made_of_it=observed)
        self._intend([row], pen)
        try:
            self._rows.apply(row.change)
        except ValueAltered:
            raise RowRefused(
                f"the database makes another value of a row of {row.change.table} each time: look at its triggers"
            ) from None

    def _fail(self, planned: PlannedRow, trouble: RowFailure, sentence: str, report: RewriteReport) -> None:
        """The row stays as it is, and its findings say why."""
        places = [place for of_column in planned.edit.done.values() for place in of_column]
        with self._catalog.write() as session:
            mark(session, _ids(places), FindingState.SAVED, reason=str(trouble), message=sentence)
        report.trouble(trouble, f"{planned.work.table} {planned.work.row_key}: {sentence}")

    def _saw(self, step: RewriteStep, what: str) -> None:
        log.debug("%s %s %s", self._source, step, what)
        if self._observer is not None:
            self._observer(step, what)


def column_changes(planned: PlannedRow, change: RowChange) -> list[ColumnChange]:
    """A row's change as the ledger records it, column by column."""
    changes = []
    for name, after in change.result.items():
        before = change.before[name]
        places = planned.edit.done.get(name, [])
        blob_of = planned.work.blobs.get(name)
        if not places:
            # The URL column that a BLOB fills, when the BLOB itself stays.
            places = [
                place
                for blob, place in planned.work.blobs.items()
                if blob not in change.after
                and blob in planned.edit.done
                and change.after[name].data == place.durable.url
            ]
        changes.append(
            ColumnChange(
                table=change.table,
                row_key=change.row_key,
                column=name,
                before=before,
                after=after,
                findings={place.finding_id: _told(place) for place in places},
                before_from_file=blob_of.durable.file_id if blob_of and before.kind == "stored" else None,
            )
        )
    return changes


def _told(place: Place) -> dict[str, str | None]:
    return {"file": place.durable.file_id, "sha256": place.durable.sha256, "pointer": place.pointer}


def _is_durable(row: _Row, observed: Mapping[str, Value]) -> bool:
    """Whether what the database made of the values holds every durable URL, and no temporary one of these."""
    for name, places in row.planned.edit.done.items():
        if name not in observed or row.change.after[name].kind not in ("text", "bytes"):
            continue
        content = observed[name].data
        there = {digest(found.url) for found in find(content)} if isinstance(content, str | bytes) else set()
        for place in places:
            if place.url_digest in there or not stands_in(observed[name], place.durable.url):
                return False
    return True


def _done(row: _Row) -> list[Place]:
    return [place for of_column in row.planned.edit.done.values() for place in of_column]


def _ids(places: Iterable[Place]) -> list[str]:
    return [place.finding_id for place in places]


def _portions(rows: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    portion: list[tuple[str, str]] = []
    for row in rows:
        portion.append(row)
        if len(portion) >= ROWS_AT_ONCE:
            yield portion
            portion = []
    if portion:
        yield portion
