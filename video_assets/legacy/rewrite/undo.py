"""Undo: rows get back, byte for byte, what they held before a rewrite; and redo.

Only a value that still is what the rewrite made of it is replaced. Whatever was changed since is left alone and
named. An undo is written into the ledger like a rewrite, so it survives a crash in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby

from sqlalchemy import exists
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from video_assets.catalog import Catalog, MediaState
from video_assets.catalog.legacy import (
    FindingState,
    LedgerConfirmation,
    LedgerEntry,
    LedgerImage,
    LedgerOutcome,
    LegacyFile,
    LegacyFinding,
)
from video_assets.catalog.models import utc_now
from video_assets.legacy.config.models import Source
from video_assets.legacy.errors import SourceBusy
from video_assets.legacy.rescue.open import Tools, closed_tables, open_rows
from video_assets.legacy.rewrite.compare_and_set import ConcurrentChange, RowChange, RowRefused, ValueAltered
from video_assets.legacy.rewrite.database_rows import Rows
from video_assets.legacy.rewrite.ledger import (
    PEN,
    ColumnChange,
    Images,
    Ledger,
    WriteLock,
    confirm,
    outcomes,
    take_pen,
)
from video_assets.legacy.rewrite.reconcile import mark, reconcile
from video_assets.legacy.rewrite.rewriter import RewriteObserver, RewriteStep
from video_assets.legacy.source.cell import Value
from video_assets.storage.durable import DurableStorage, StorageFailed

ENTRIES_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rewrites are meant; every condition given must hold, and none means all of the source."""

    run: str | None = None
    table: str | None = None
    row_key: str | None = None
    """As ``encode_key`` writes it: a JSON list of the key's values."""
    since: datetime | None = None
    until: datetime | None = None


class Refusal(StrEnum):
    """Why a row was not given back what it held."""

    CHANGED_SINCE = "changed_since"
    GONE = "gone"
    EXPIRED = "expired"
    """Its before-image was not kept, or its time is over."""
    REFUSED = "refused"
    """The database does not take the old value any more."""
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that was left alone."""

    table: str
    row_key: str
    column: str
    refusal: Refusal
    message: str


@dataclass(slots=True)
class UndoReport:
    """What an undo did."""

    rows: int = 0
    columns: int = 0
    refused: list[Refused] = field(default_factory=list)
    reconciled: int = 0


@dataclass(slots=True)
class _Group:
    """The entries of one rewrite of one row."""

    table: str
    row_key: str
    entries: list[LedgerEntry]
    images: dict[int, bytes]


class Undoer:
    """Gives rows of one source back what they held."""

    def __init__(
        self,
        catalog: Catalog,
        storage: DurableStorage,
        rows: Rows,
        *,
        images: Images,
        run: str,
        observer: RewriteObserver | None = None,
        lease: timedelta = PEN,
    ) -> None:
        self._catalog = catalog
        self._storage = storage
        self._rows = rows
        self._source = rows.source
        self._images = images
        self._ledger = Ledger(catalog, self._source, run, images)
        self._observer = observer
        self._lease = lease

    def undo(self, selection: Selection, *, dry_run: bool = False) -> UndoReport:
        """Take back every selected rewrite that was not taken back yet, the newest first.

        With ``dry_run`` nothing is written; the report tells what would be refused. Raises SourceError,
        LedgerKeyWrong, PenTaken, PenLost, CatalogError.
        """
        report = UndoReport()
        with take_pen(self._catalog, self._source, ttl=self._lease) as pen:
            report.reconciled = sum(reconcile(self._catalog, self._rows, pen).values())
            held: set[tuple[str, str]] = set()
            for group in self._groups(selection):
                place = group.table, group.row_key
                if place in held:
                    continue  # a newer rewrite of the row could not be taken back, so this one cannot either
                pen.still()
                refused = self._undo_group(group, pen, dry_run=dry_run)
                if refused is not None:
                    report.refused.append(refused)
                    held.add(place)
                else:
                    report.rows += 1
                    report.columns += len(group.entries)
                    if dry_run:
                        held.add(place)
        return report

    def _groups(self, selection: Selection) -> Iterator[_Group]:
        before: int | None = None
        while True:
            with self._catalog.read() as session:
                groups = list(_load(session, self._source, selection, before))
            yield from groups
            if not groups:
                return
            before = min(entry.id or 0 for group in groups for entry in group.entries)

    def _undo_group(self, group: _Group, pen: WriteLock, *, dry_run: bool) -> Refused | None:
        after: dict[str, Value] = {}
        files: dict[str, str] = {}
        for entry in group.entries:
            sealed = group.images.get(entry.id or 0)
            if sealed is None:
                return _refused(group, entry, Refusal.EXPIRED, "what it held before was not kept, or has expired")
            opened = self._images.open(sealed)
            if isinstance(opened, str):
                with self._catalog.read() as session:
                    file = session.get(LegacyFile, opened)
                if file is None or file.sha256 is None:
                    return _refused(group, entry, Refusal.EXPIRED, "the file that its BLOB became is not known")
                files[file.sha256] = file.id
                opened = Value("stored", file.sha256)
            after[entry.column_name] = opened
        now = self._rows.read(group.table, group.row_key, after)
        if now is None:
            return _refused(group, group.entries[0], Refusal.GONE, "the row is gone")
        for entry in group.entries:
            if now[entry.column_name].digest != entry.after_digest:
                return _refused(group, entry, Refusal.CHANGED_SINCE, "it was changed since it was rewritten")
        if dry_run:
            return None
        change = RowChange(group.table, group.row_key, now, after)
        return self._apply(group, change, files, pen)

    def _apply(
        self, group: _Group, change: RowChange, files: Mapping[str, str], pen: WriteLock
    ) -> Refused | None:
        changes = [
            ColumnChange(
                table=group.table,
                row_key=group.row_key,
                column=entry.column_name,
                before=change.before[entry.column_name],
                after=change.after[entry.column_name],
                findings=entry.findings,
                undoes=entry.id,
            )
            for entry in group.entries
        ]
        with self._catalog.write() as session:
            pen.check(session)
            ids = self._ledger.intend(session, changes, "undo")
        self._saw(RewriteStep.INTENDED, group)

        def open_stored(sha256: str) -> tuple[Iterable[bytes], int]:
            with self._catalog.read() as session:
                file = session.get_one(LegacyFile, files[sha256])
            return self._storage.read(file.key or ""), file.file_size or 0

        refused: Refused | None = None
        first = group.entries[0]
        try:
            self._rows.apply(change, open_stored)
        except ConcurrentChange:
            refused = _refused(group, first, Refusal.CHANGED_SINCE, "it was changed at this very moment")
        except ValueAltered as exc:
            names = [name for name, value in exc.observed.items() if value != change.after[name]]
            what = f"the database makes another value of {', '.join(names)}: look at its triggers"
            refused = _refused(group, first, Refusal.REFUSED, what)
        except RowRefused as exc:
            refused = _refused(group, first, Refusal.REFUSED, str(exc))
        except StorageFailed as exc:
            refused = _refused(group, first, Refusal.REFUSED, f"the BLOB could not be read back: {exc}")
        except SourceBusy as exc:
            refused = _refused(group, first, Refusal.BUSY, str(exc))
        if refused is None:
            self._saw(RewriteStep.ROW_WRITTEN, group)
        with self._catalog.write() as session:
            pen.check(session)
            confirm(session, ids, LedgerOutcome.VOID if refused else LedgerOutcome.APPLIED)
            if refused is None:
                findings = [finding for entry in group.entries for finding in entry.findings]
                mark(session, findings, FindingState.UNDONE)
        self._saw(RewriteStep.CONFIRMED, group)
        return refused

    def _saw(self, step: RewriteStep, group: _Group) -> None:
        if self._observer is not None:
            self._observer(step, f"{group.table} {group.row_key}")


def undo_rewrites(
    services: Tools,
    source: Source,
    selection: Selection,
    *,
    run_id: str | None = None,
    dry_run: bool = False,
    observer: RewriteObserver | None = None,
) -> UndoReport:
    """Take back the selected rewrites of ``source``. The one entry for the command line.

    Raises what :meth:`Undoer.undo` raises, LedgerKeyMissing, and SourceReadOnly before anything is written.
    """
    images = Images(services.settings.ledger_key, source.before_images)
    with open_rows(source) as rows:
        if not dry_run:
            closed_tables(rows, source, [selection.table] if selection.table else [t.name for t in source.tables])
        undoer = Undoer(
            services.catalog,
            services.storage,
            rows,
            images=images,
            run=run_id or f"undo-{utc_now():%Y%m%dT%H%M%S}",
            observer=observer,
            lease=timedelta(seconds=services.settings.lease_seconds),
        )
        return undoer.undo(selection, dry_run=dry_run)


def _refused(group: _Group, entry: LedgerEntry, refusal: Refusal, message: str) -> Refused:
    return Refused(group.table, group.row_key, entry.column_name, refusal, message)


def _load(session: Session, source: str, selection: Selection, before: int | None) -> Iterator[_Group]:
    """The newest selected rewrites older than entry ``before`` that stand, as whole rows."""
    entries: list[LedgerEntry] = []
    while not entries:
        found = session.exec(_statement(source, selection, before)).all()
        if not found:
            return
        before = min(entry.id or 0 for entry in found)
        entries = _standing(session, found)
    # A row's last entries may lie in the next portion: a row is undone as a whole or not at all.
    last = entries[-1]
    more = session.exec(
        _statement(source, selection, before).where(
            LedgerEntry.table_name == last.table_name,
            LedgerEntry.row_key == last.row_key,
            LedgerEntry.run == last.run,
            LedgerEntry.at == last.at,
        )
    ).all()
    known = {entry.id for entry in entries}
    entries += [entry for entry in _standing(session, more) if entry.id not in known]
    for (table, row_key, _run, _at), of_row in groupby(
        entries, key=lambda entry: (entry.table_name, entry.row_key, entry.run, entry.at)
    ):
        group = list(of_row)
        ids = [entry.id for entry in group if entry.id is not None]
        images = session.exec(
            select(LedgerImage.entry_id, LedgerImage.ciphertext).where(col(LedgerImage.entry_id).in_(ids))
        ).all()
        yield _Group(table, row_key, group, dict(images))


def _statement(source: str, selection: Selection, before: int | None):  # type: ignore[no-untyped-def]
    taken_back = aliased(LedgerEntry)
    confirmed = aliased(LedgerConfirmation)
    undone = exists().where(
        col(taken_back.undoes) == LedgerEntry.id,
        col(confirmed.entry_id) == taken_back.id,
        col(confirmed.outcome) == LedgerOutcome.APPLIED,
    )
    statement = (
        select(LedgerEntry)
        .where(LedgerEntry.source == source, LedgerEntry.action == "rewrite", ~undone)
        .order_by(col(LedgerEntry.id).desc())
        .limit(ENTRIES_AT_ONCE)
    )
    if before is not None:
        statement = statement.where(col(LedgerEntry.id) < before)
    if selection.run is not None:
        statement = statement.where(LedgerEntry.run == selection.run)
    if selection.table is not None:
        statement = statement.where(LedgerEntry.table_name == selection.table)
    if selection.row_key is not None:
        statement = statement.where(LedgerEntry.row_key == selection.row_key)
    if selection.since is not None:
        statement = statement.where(col(LedgerEntry.at) >= selection.since)
    if selection.until is not None:
        statement = statement.where(col(LedgerEntry.at) < selection.until)
    return statement


def _standing(session: Session, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """Those of ``entries`` that were applied."""
    known = outcomes(session, [entry.id for entry in entries if entry.id is not None])
    return [entry for entry in entries if known.get(entry.id or 0) is LedgerOutcome.APPLIED]


def redo(catalog: Catalog, source: str, selection: Selection | None = None) -> int:
    """Put findings that were undone back to work: the next rewrite replaces them again. Returns how many.

    Only those whose file is durable count; of ``selection`` table and row key are looked at.
    """
    selection = selection or Selection()
    with catalog.write() as session:
        statement = (
            select(LegacyFinding.id)
            .join(LegacyFile, col(LegacyFile.id) == LegacyFinding.file_id)
            .where(
                LegacyFinding.source == source,
                LegacyFinding.state == FindingState.UNDONE,
                LegacyFile.state == MediaState.STORED,
            )
        )
        if selection.table is not None:
            statement = statement.where(LegacyFinding.table_name == selection.table)
        if selection.row_key is not None:
            statement = statement.where(LegacyFinding.row_key == selection.row_key)
        ids = session.exec(statement).all()
        mark(session, ids, FindingState.SAVED)
    return len(ids)
