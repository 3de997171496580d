"""After a crash: entries of the ledger without a confirmation get theirs, from what the source holds now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col

from video_assets.catalog import Catalog
from video_assets.catalog.legacy import FindingState, LedgerEntry, LedgerOutcome, LegacyFinding
from video_assets.catalog.models import utc_now
from video_assets.legacy.errors import SourceMismatch
from video_assets.legacy.rewrite.database_rows import Rows
from video_assets.legacy.rewrite.ledger import WriteLock, confirm, open_entries
from video_assets.legacy.source.cell import Value

STATE_AFTER = {"rewrite": FindingState.REWRITTEN, "undo": FindingState.UNDONE}


def reconcile(catalog: Catalog, rows: Rows, pen: WriteLock) -> dict[LedgerOutcome, int]:
    """Confirm every open entry of a source, and remove what its writer left half-written.

    Returns how many of each outcome. Raises SourceError, PenLost.

    The value in the source has the digest of *after* (the change was made), of *before* (it was not), or neither
    (somebody changed it since).
    """
    counts: dict[LedgerOutcome, int] = {}
    with catalog.read() as session:
        entries = open_entries(session, rows.source)
    for (table, row_key), of_row in groupby(entries, key=lambda entry: (entry.table_name, entry.row_key)):
        group = list(of_row)
        rows.tidy(table, row_key)
        now = _values_now(rows, table, row_key, [entry.column_name for entry in group])
        with catalog.write() as session:
            pen.check(session)
            for entry in group:
                outcome = _outcome(entry, now)
                confirm(session, [_id(entry)], outcome)
                counts[outcome] = counts.get(outcome, 0) + 1
                if outcome is LedgerOutcome.APPLIED:
                    mark(session, entry.findings, STATE_AFTER[entry.action])
    return counts


def _values_now(rows: Rows, table: str, row_key: str, names: Sequence[str]) -> Mapping[str, Value] | None:
    try:
        return rows.read(table, row_key, dict.fromkeys(names, Value("null")))
    except (SourceMismatch, KeyError):
        return None  # the table left the configuration or the database


def _outcome(entry: LedgerEntry, now: Mapping[str, Value] | None) -> LedgerOutcome:
    if now is None:
        return LedgerOutcome.UNCLEAR
    digest = now[entry.column_name].digest
    if digest == entry.after_digest:
        return LedgerOutcome.APPLIED
    return LedgerOutcome.VOID if digest == entry.before_digest else LedgerOutcome.UNCLEAR


def _id(entry: LedgerEntry) -> int:
    assert entry.id is not None
    return entry.id


def mark(
    session: Session,
    finding_ids: Iterable[str],
    state: FindingState,
    *,
    reason: str | None = None,
    message: str | None = None,
) -> None:
    """Move findings to ``state``."""
    ids = list(finding_ids)
    values: dict[str, Any] = {"state": state, "reason": reason, "message": message, "updated_at": utc_now()}
    for start in range(0, len(ids), 400):
        session.execute(
            update(LegacyFinding).where(col(LegacyFinding.id).in_(ids[start : start + 400])).values(**values)
        )
