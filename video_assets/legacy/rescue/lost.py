"""What a person decides about files that are lost: try them again, or give them up.

Findings are told before their file in both, and the file last: whoever is killed in between is repeated, or the
next run puts the findings back in line with their file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, update
from sqlmodel import Session, col, func, select

from video_assets.catalog import Catalog, MediaState, journal, leases
from video_assets.catalog.legacy import FindingState, LegacyFile, LegacyFinding
from video_assets.catalog.models import utc_now
from video_assets.urls import redact

FILES_AT_ONCE = 200
FINDINGS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class AgainReport:
    """What trying again begins with."""

    files: int
    """Files that are pending again."""
    without_means: int
    """Lost files that stay so: no link is kept, and no job is known that a provider could be asked about."""


def again_lost(catalog: Catalog, source: str) -> AgainReport:
    """Make the lost files of a source pending again that have a link or a job left; nothing is fetched here.

    The evidence of the loss stays. Bounded memory and transactions. Raises CatalogError.
    """
    has_means = or_(
        col(LegacyFile.temporary_url).is_not(None),
        and_(col(LegacyFile.task_id).is_not(None), col(LegacyFile.provider).is_not(None)),
    )
    again = 0
    is_lost = and_(col(LegacyFile.source) == source, col(LegacyFile.state) == MediaState.LOST)
    for ids in _portions(catalog, and_(is_lost, has_means)):
        _move_findings(catalog, ids, (FindingState.LOST,), FindingState.PENDING)
        with catalog.write() as session:
            again += _move_files(
                session,
                ids,
                (MediaState.LOST,),
                {
                    "state": MediaState.PENDING.value,
                    "attempts": 0,
                    "next_attempt_at": None,
                    "failing_since": None,
                    "lost_at": None,
                },
            )
            journal.record(session, "retried", f"{len(ids)} lost files are tried again", source=source)
    with catalog.read() as session:
        left = sum(1 for _ in session.exec(select(LegacyFile.id).where(is_lost, ~has_means).limit(100_000)))
    return AgainReport(again, left)


def open_findings(catalog: Catalog, source: str) -> Counter[str]:
    """How many findings of a source are pending, lost or given up, by state."""
    states = [FindingState.PENDING.value, FindingState.LOST.value, FindingState.GIVEN_UP.value]
    statement = (
        select(LegacyFinding.state, func.count())
        .where(col(LegacyFinding.source) == source, col(LegacyFinding.state).in_(states))
        .group_by(col(LegacyFinding.state))
    )
    with catalog.read() as session:
        return Counter({str(state): count for state, count in session.exec(statement)})


def give_up(
    catalog: Catalog,
    source: str,
    *,
    files: Collection[str] = (),
    lost: bool = False,
    why: str | None = None,
) -> int:
    """Give up files of a source that are not durable: those named, and with ``lost`` all that are lost.

    Their links are erased, their evidence stays; a worker that has one in hand cannot commit it. Returns how many
    there were. Raises CatalogError.
    """
    named = and_(
        col(LegacyFile.id).in_(list(files)), col(LegacyFile.state).in_((MediaState.PENDING, MediaState.LOST))
    )
    chosen = or_(named, col(LegacyFile.state) == MediaState.LOST) if lost else named
    message = redact(why) if why else "A person gave it up."
    given_up = 0
    for ids in _portions(catalog, and_(col(LegacyFile.source) == source, chosen)):
        _move_findings(
            catalog, ids, (FindingState.PENDING, FindingState.LOST), FindingState.GIVEN_UP, message=message
        )
        with catalog.write() as session:
            # Before the rows, as workers lock them.
            leases.revoke(session, [f"legacy:{file_id}" for file_id in ids])
            given_up += _move_files(
                session,
                ids,
                (MediaState.PENDING, MediaState.LOST),
                {
                    "state": MediaState.GIVEN_UP.value,
                    "temporary_url": None,
                    "message": message,
                    "next_attempt_at": None,
                    "failing_since": None,
                    "lost_at": None,
                },
            )
            journal.record(session, "given_up", f"{len(ids)} files: {message}", source=source)
    return given_up


def _portions(catalog: Catalog, condition: ColumnElement[bool]) -> Iterator[Sequence[str]]:
    """Ids of files, a portion at a time, in their order."""
    after = ""
    while True:
        with catalog.read() as session:
            ids = session.exec(
                select(LegacyFile.id)
                .where(condition, col(LegacyFile.id) > after)
                .order_by(col(LegacyFile.id))
                .limit(FILES_AT_ONCE)
            ).all()
        if not ids:
            return
        yield ids
        after = ids[-1]


def _move_findings(
    catalog: Catalog,
    file_ids: Sequence[str],
    before: Sequence[FindingState],
    state: FindingState,
    *,
    message: str | None = None,
) -> None:
    some = (
        select(LegacyFinding.id)
        .where(col(LegacyFinding.file_id).in_(file_ids), col(LegacyFinding.state).in_(before))
        .limit(FINDINGS_AT_ONCE)
    )
    while True:
        with catalog.write() as session:
            result: Any = session.execute(
                update(LegacyFinding)
                .where(col(LegacyFinding.id).in_(some))
                .values(state=state, reason=None, message=message, updated_at=utc_now()),
                execution_options={"synchronize_session": False},
            )
        if result.rowcount < FINDINGS_AT_ONCE:
            return


def _move_files(
    session: Session, ids: Sequence[str], before: Sequence[MediaState], values: dict[str, Any]
) -> int:
    result: Any = session.execute(
        update(LegacyFile)
        .where(col(LegacyFile.id).in_(ids), col(LegacyFile.state).in_(before))
        .values(updated_at=utc_now(), **values),
        execution_options={"synchronize_session": False},
    )
    return int(result.rowcount)
