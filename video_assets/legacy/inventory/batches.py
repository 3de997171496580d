"""Batches: the findings of a source cut into pieces of some 1,000, what dies soonest first.

A batch keeps its findings once it is cut, because it is a Dagster partition; what changes as deadlines approach
is the order in which open batches are worked off. All findings of one row stand in one batch, so that a row is
rewritten once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, literal, select, update
from sqlalchemy.orm import aliased
from sqlmodel import Session, col
from sqlmodel import select as select_model

from video_assets.catalog import Catalog, MediaState
from video_assets.catalog.legacy import FindingState, LegacyBatch, LegacyFile, LegacyFinding
from video_assets.catalog.models import utc_now

OPEN_STATES = (FindingState.PENDING.value, FindingState.SAVED.value)
"""Findings with work left: a file to save, or a row to rewrite."""

_IDS_AT_ONCE = 400
_BATCHES_AT_ONCE = 10
"""Batches written in one transaction: the catalog's lock is never held long."""


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch with work left."""

    key: str
    number: int
    findings: int
    """With work left."""
    next_deadline_at: datetime | None
    """When the first of its links that still live dies, of files that are not durable yet; None when no such
    time is known."""
    unknown: int
    """Findings of which nobody knows when their link dies."""
    revive_at: datetime | None = None
    """From when on a provider can be asked for its dead links (often long since); None when none can."""


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What planning did."""

    new: Sequence[str]
    """Keys of batches that were cut now."""
    closed: Sequence[str]
    """Keys of batches that turned out to be done."""
    open: Sequence[OpenBatch]
    """Every batch with work left, in the order in which to work."""


def plan_batches(
    catalog: Catalog,
    source: str,
    *,
    size: int = 1000,
    refreshing: Collection[str] = (),
    now: datetime | None = None,
) -> BatchPlan:
    """Cut findings without a batch into batches, close what is done, and order what is open.

    Living links come first, soonest death first; then links whose end nobody knows; then dead ones, which cannot
    die again. What counts is the longest-lived link of a file. ``refreshing`` names the providers that can be
    asked for fresh links. Memory is bounded; safe to repeat after a kill.
    """
    moment = now or utc_now()
    new = _cut(catalog, source, size, moment)
    with catalog.write() as session:
        open_ = _look(session, source, refreshing, moment)
        closed = _close(session, source, {batch.key for batch in open_}, moment)
        for batch in open_:
            _note(session, batch)
    return BatchPlan(new, closed, open_)


def next_batch(
    catalog: Catalog,
    source: str,
    *,
    besides: Collection[str] = (),
    refreshing: Collection[str] = (),
    now: datetime | None = None,
) -> OpenBatch | None:
    """The batch to work now, those in ``besides`` left out; None when there is no other.

    What batches say of themselves is trusted, save for those whose first deadline has passed: they are counted
    anew. So the question costs a line per open batch, and not one per finding.
    """
    moment = now or utc_now()
    is_open = and_(col(LegacyBatch.source) == source, col(LegacyBatch.done_at).is_(None))
    first = col(LegacyBatch.first_deadline_at)
    with catalog.write() as session:
        for key in session.scalars(select(col(LegacyBatch.key)).where(is_open, first <= moment)).all():
            note_batch(session, source, key, refreshing=refreshing, now=moment)
        order = select(col(LegacyBatch.key)).where(is_open).order_by(
            case((first.is_not(None), 0), (col(LegacyBatch.unknown) > 0, 1), else_=2),
            first,
            col(LegacyBatch.number),
        )  # fmt: skip
        for key in session.scalars(order).all():
            if key not in besides:
                batch = note_batch(session, source, key, refreshing=refreshing, now=moment)
                if batch is not None:
                    return batch
    return None


def note_batch(
    session: Session, source: str, key: str, *, refreshing: Collection[str], now: datetime | None = None
) -> OpenBatch | None:
    """Write down how a batch stands now, in this transaction; None, and closed, when nothing is left to do."""
    moment = now or utc_now()
    for batch in _look(session, source, refreshing, moment, key=key):
        _note(session, batch)
        return batch
    row = session.get(LegacyBatch, key)
    if row is not None and row.done_at is None:
        row.done_at = moment
    return None


def findings_of(session: Session, key: str, *, now: datetime | None = None) -> Sequence[LegacyFinding]:
    """The findings of a batch that have work left, what dies soonest first."""
    moment = now or utc_now()
    statement = (
        select_model(LegacyFinding)
        .join(LegacyFile, col(LegacyFile.id) == col(LegacyFinding.file_id))
        .where(LegacyFinding.batch == key, col(LegacyFinding.state).in_(OPEN_STATES))
        .order_by(
            _rank(col(LegacyFile.deadline_at), moment),
            col(LegacyFile.deadline_at),
            col(LegacyFinding.table_name),
            col(LegacyFinding.row_key),
        )
    )
    return session.exec(statement).all()


def batch_key(source: str, number: int) -> str:
    """``{source}:{number:06}``."""
    return f"{source}:{number:06}"


def _rank(deadline: Any, now: datetime) -> ColumnElement[int]:
    return case((deadline > now, 0), (deadline.is_(None), 1), else_=2)


def _cut(catalog: Catalog, source: str, size: int, now: datetime) -> list[str]:
    with catalog.read() as session:
        last = session.execute(
            select(func.coalesce(func.max(LegacyBatch.number), 0)).where(col(LegacyBatch.source) == source)
        ).scalar_one()
        made: list[str] = []
        waiting: list[tuple[str, list[str]]] = []
        # The stream reads one snapshot while the batches are written on another connection.
        for sibling_batch, ids in _portions(session, source, size, now):
            if sibling_batch is None:
                last += 1
                made.append(batch_key(source, last))
                waiting.append((made[-1], ids))
            else:
                waiting.append((sibling_batch, ids))
            if sum(len(some) for _, some in waiting) >= size * _BATCHES_AT_ONCE or len(waiting) >= 1000:
                _write(catalog, source, waiting, now)
                waiting = []
        _write(catalog, source, waiting, now)
    return made


def _portions(session: Session, source: str, size: int, now: datetime) -> Iterator[tuple[str | None, list[str]]]:
    """Ids for one batch at a time; with the key of an open batch for rows that are in it already."""
    finding, file = LegacyFinding, LegacyFile
    sibling = aliased(LegacyFinding)
    batch = aliased(LegacyBatch)
    row = (col(finding.table_name), col(finding.row_key))
    rank = func.min(_rank(col(file.deadline_at), now)).over(partition_by=row)
    # The row's soonest death among links that live, else the latest death: those may still be cached somewhere.
    living = func.min(case((col(file.deadline_at) > now, col(file.deadline_at)))).over(partition_by=row)
    died = func.max(col(file.deadline_at)).over(partition_by=row)
    sibling_batch = (
        select(func.min(sibling.batch))
        .join(batch, col(batch.key) == col(sibling.batch))
        .where(
            col(sibling.source) == literal(source),
            col(sibling.table_name) == col(finding.table_name),
            col(sibling.row_key) == col(finding.row_key),
            col(batch.done_at).is_(None),
        )
        .scalar_subquery()
    )
    statement = (
        select(col(finding.id), *row, sibling_batch.label("known"))
        .join(file, col(file.id) == col(finding.file_id))
        .where(
            col(finding.source) == source,
            col(finding.state).in_(OPEN_STATES),
            col(finding.batch).is_(None),
        )
        .order_by(rank, living, died.desc(), *row, col(finding.id))
    )
    ids: list[str] = []
    at: tuple[str, str] | None = None
    for finding_id, table, key, known in session.execute(statement, execution_options={"yield_per": 1000}):
        if known is not None:
            yield known, [finding_id]
            continue
        if len(ids) >= size and (table, key) != at:
            yield None, ids
            ids = []
        ids.append(finding_id)
        at = (table, key)
    if ids:
        yield None, ids


def _write(catalog: Catalog, source: str, batches: Sequence[tuple[str, list[str]]], now: datetime) -> None:
    if not batches:
        return
    with catalog.write() as session:
        for key, ids in batches:
            known = session.get(LegacyBatch, key)
            if known is None:
                number = int(key.rpartition(":")[2])
                known = LegacyBatch(key=key, source=source, number=number, created_at=now)
                session.add(known)
            known.findings += len(ids)
            for start in range(0, len(ids), _IDS_AT_ONCE):
                session.execute(
                    update(LegacyFinding)
                    .where(
                        col(LegacyFinding.id).in_(ids[start : start + _IDS_AT_ONCE]),
                        col(LegacyFinding.batch).is_(None),
                    )
                    .values(batch=key),
                    execution_options={"synchronize_session": False},
                )


def _look(
    session: Session, source: str, refreshing: Collection[str], now: datetime, *, key: str | None = None
) -> list[OpenBatch]:
    """Open batches (or the one called ``key``), counted, in the order in which to work."""
    deadline = col(LegacyFile.deadline_at)
    wanted = col(LegacyFile.state) == MediaState.PENDING
    can_ask = and_(
        wanted,
        deadline <= now,
        col(LegacyFile.task_id).is_not(None),
        col(LegacyFile.provider).in_(list(refreshing)),
    )
    due = func.coalesce(col(LegacyFile.next_attempt_at), deadline)
    statement = (
        select(
            col(LegacyFinding.batch),
            col(LegacyBatch.number),
            func.count(),
            func.min(case((and_(wanted, deadline > now), deadline))),
            func.sum(case((and_(wanted, deadline.is_(None)), 1), else_=0)),
            func.min(case((can_ask, due))),
        )
        .join(LegacyFile, col(LegacyFile.id) == col(LegacyFinding.file_id))
        .join(LegacyBatch, col(LegacyBatch.key) == col(LegacyFinding.batch))
        .where(col(LegacyFinding.source) == source, col(LegacyFinding.state).in_(OPEN_STATES))
        .group_by(col(LegacyFinding.batch), col(LegacyBatch.number))
    )
    if key is not None:
        statement = statement.where(col(LegacyFinding.batch) == key)
    found = [
        OpenBatch(str(name), number, count, next_deadline, int(unknown), revive_at)
        for name, number, count, next_deadline, unknown, revive_at in session.execute(statement)
    ]
    return sorted(found, key=_order)


def _order(batch: OpenBatch) -> tuple[bool, datetime, int]:
    return (
        batch.next_deadline_at is None and not batch.unknown,
        batch.next_deadline_at or datetime.max.replace(tzinfo=UTC),
        batch.number,
    )


def _note(session: Session, batch: OpenBatch) -> None:
    session.execute(
        update(LegacyBatch)
        .where(col(LegacyBatch.key) == batch.key)
        .values(
            first_deadline_at=batch.next_deadline_at,
            unknown=batch.unknown,
            revive_at=batch.revive_at,
            done_at=None,
        ),
        execution_options={"synchronize_session": False},
    )


def _close(session: Session, source: str, still_open: set[str], now: datetime) -> list[str]:
    unfinished = session.exec(
        select_model(LegacyBatch).where(LegacyBatch.source == source, col(LegacyBatch.done_at).is_(None))
    ).all()
    closed = [batch for batch in unfinished if batch.key not in still_open]
    for batch in closed:
        batch.done_at = now
    return [batch.key for batch in closed]
