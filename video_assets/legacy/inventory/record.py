"""Writing what a page holds into the catalog: bulk upserts inside the caller's transaction.

Ids derive from places, so that recording a page twice changes nothing. What is settled stays settled: only a
place whose URL changed, or that somebody restored, becomes work again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Dialect,
    Integer,
    Table,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlmodel import Session, col

from video_assets.catalog.columns import storable
from video_assets.catalog.legacy import FindingState, LegacyFile, LegacyFinding
from video_assets.catalog.models import MediaState, utc_now
from video_assets.legacy.inventory.bulk_upsert import Merge, as_driver_takes, staging_table
from video_assets.legacy.search.rows import Seen

T = TypeVar("T")

AT_ONCE = 400
"""Rows per statement with a list of ids; SQLite allows 32,766 parameters."""

FILES: Table = LegacyFile.__table__  # type: ignore[attr-defined]
FINDINGS: Table = LegacyFinding.__table__  # type: ignore[attr-defined]

FILE_COLUMNS = (
    *("id", "fingerprint", "kind", "temporary_url", "redacted", "host", "scheme", "deadline_at"),
    *("provider", "task_id", "file_size"),
)
FINDING_COLUMNS = (
    *("id", "table_name", "row_key", "column_name", "pointer", "file_id", "url_digest", "redacted", "scheme"),
    *("carries_jwt", "deadline_at", "context", "state", "message"),
)
"""What differs from row to row; the rest is the same for all that is recorded together."""
STAGED_FILES = staging_table(FILES, FILE_COLUMNS)
STAGED_FINDINGS = staging_table(FINDINGS, FINDING_COLUMNS)

_STATE_OF_FILE = {
    MediaState.PENDING.value: FindingState.PENDING,
    MediaState.STORED.value: FindingState.SAVED,
    MediaState.LOST.value: FindingState.LOST,
    MediaState.GIVEN_UP.value: FindingState.GIVEN_UP,
}

_NEW_FILE: dict[str, Any] = {
    "state": MediaState.PENDING.value, "evidence": {}, "facts": {}, "attempts": 0, "refreshes": 0
}  # fmt: skip
_WAITING = (FindingState.PENDING.value, FindingState.SAVED.value)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one page added to the catalog."""

    findings: int = 0
    """Temporary URLs that the page holds."""
    new_findings: int = 0
    new_files: int = 0
    vanished: int = 0
    """Places of the page's rows that were known and hold no temporary URL any more."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Findings and files as the driver of the catalog takes them, in the order of their ids.

    Making them is most of the work and needs no database.
    """

    read_at: datetime
    """When the rows of the source were read: what was rewritten after that moment is left alone."""
    findings: list[tuple[Any, ...]]
    files: list[tuple[Any, ...]]


def prepare(seen: Seen, *, read_at: datetime, dialect: Dialect) -> Rows:
    """What a page holds as rows of the catalog, temporary URLs encrypted."""
    files = [
        (
            file.id,
            file.fingerprint,
            file.kind,
            None if file.url is None else storable(file.url),
            storable(file.redacted),
            None if file.host is None else storable(file.host),
            file.scheme,
            file.deadline_at,
            file.provider,
            None if file.task_id is None else storable(file.task_id),
            file.size,
        )
        for file in seen.files.values()
    ]
    pending, excepted = FindingState.PENDING.value, FindingState.EXCEPTED.value
    findings = [
        (
            finding.id,
            finding.table,
            finding.row_key,
            finding.column,
            storable(finding.pointer),
            finding.file_id,
            finding.url_digest,
            storable(finding.redacted),
            finding.scheme,
            finding.carries_jwt,
            finding.deadline_at,
            finding.context,
            pending if finding.excepted is None else excepted,
            finding.excepted,
        )
        for finding in seen.findings
    ]
    return Rows(
        read_at,
        as_driver_takes(STAGED_FINDINGS, findings, dialect),
        as_driver_takes(STAGED_FILES, files, dialect),
    )


def record(
    session: Session,
    source: str,
    seen: Seen,
    *,
    read_at: datetime,
    table: str,
    row_keys: Sequence[str] | None = None,
) -> Recorded:
    """``prepare`` and ``write`` in one."""
    rows = prepare(seen, read_at=read_at, dialect=session.get_bind().dialect)
    return write(session, source, rows, table=table, row_keys=row_keys)


def write(
    session: Session, source: str, rows: Rows, *, table: str, row_keys: Sequence[str] | None = None
) -> Recorded:
    """Bring files and findings of one page into the catalog.

    ``row_keys`` are the keys of every row of the page, given when earlier inventories may have seen the rows:
    places that hold no temporary URL any more are marked ``changed``.
    """
    now = utc_now()
    connection = session.connection()
    same: dict[str, Any] = {"source": source, "updated_at": now}
    new_files = _MERGE_FILES.put(connection, rows.files, {**same, **_NEW_FILE, "created_at": now})
    computed, origin = None, None
    if new_files < len(rows.files):
        computed = {"state": _state_of_finding()}
        origin = STAGED_FINDINGS.outerjoin(FILES, FILES.c.id == STAGED_FINDINGS.c.file_id)
    same["found_at"] = rows.read_at
    new_findings = _MERGE_FINDINGS.put(connection, rows.findings, same, computed, origin)
    vanished = 0
    if row_keys:
        seen = {row[0] for row in rows.findings}
        vanished = _mark_vanished(session, source, table, row_keys, seen, now)
    return Recorded(len(rows.findings), new_findings, new_files, vanished)


def _state_of_finding() -> ColumnElement[str]:
    """Findings of files that are settled begin as settled."""
    state = STAGED_FINDINGS.c.state
    return case(
        (state == _constant(FindingState.EXCEPTED), state),
        *((FILES.c.state == _constant(file), _constant(settled)) for file, settled in _STATE_OF_FILE.items()),
        else_=state,
    )


def _better_link(new: Any) -> tuple[dict[str, Any], ColumnElement[bool]]:
    """Of two links to one file the one that lives longer is kept."""
    longer = or_(
        and_(FILES.c.temporary_url.is_(None), FILES.c.lost_at.is_(None)),
        _rank(new.deadline_at, new.updated_at) > _rank(FILES.c.deadline_at, new.updated_at),
        and_(
            _rank(new.deadline_at, new.updated_at) == _rank(FILES.c.deadline_at, new.updated_at),
            new.deadline_at > FILES.c.deadline_at,
        ),
    )
    learns_task = and_(FILES.c.task_id.is_(None), new.task_id.is_not(None))
    # A link that lives may come to light for a file that was lost with another. The same link again is none: its
    # deadline, which stays with the file when its link is erased, is no later.
    revived = and_(FILES.c.state == _constant(MediaState.LOST), new.deadline_at > new.updated_at, longer)

    def better(name: str) -> ColumnElement[Any]:
        return case((longer, new[name]), else_=FILES.c[name])

    changes = {
        "temporary_url": better("temporary_url"),
        "redacted": better("redacted"),
        "host": better("host"),
        "scheme": better("scheme"),
        "deadline_at": better("deadline_at"),
        "provider": case((learns_task, new.provider), else_=FILES.c.provider),
        "task_id": func.coalesce(FILES.c.task_id, new.task_id),
        "state": _constant(MediaState.PENDING),
        "reason": case((revived, null()), else_=FILES.c.reason),
        "lost_at": null(),
        "failing_since": case((longer, null()), else_=FILES.c.failing_since),
        "attempts": case((revived, literal_column("0", Integer)), else_=FILES.c.attempts),
        "next_attempt_at": case((longer, null()), else_=FILES.c.next_attempt_at),
        "updated_at": new.updated_at,
    }
    return changes, and_(
        or_(FILES.c.state == _constant(MediaState.PENDING), revived),
        new.temporary_url.is_not(None),
        or_(longer, learns_task),
    )


def _other_url(new: Any) -> tuple[dict[str, Any], ColumnElement[bool]]:
    """A place becomes work again when its URL changed, somebody restored it, or a rule was added or dropped."""
    other_url = FINDINGS.c.url_digest != new.url_digest
    # Rewritten after this page was read: what the page shows is older than what is known.
    restored = and_(
        or_(
            FINDINGS.c.state == _constant(FindingState.CHANGED),
            FINDINGS.c.state == _constant(FindingState.REWRITTEN),
        ),
        FINDINGS.c.updated_at < new.found_at,
    )
    excepted = _constant(FindingState.EXCEPTED)
    other_rule = or_(
        and_(new.state == excepted, FINDINGS.c.state != excepted),
        and_(new.state != excepted, FINDINGS.c.state == excepted),
    )
    place = ("id", "table_name", "row_key", "column_name", "pointer")
    changes = {name: new[name] for name in FINDING_COLUMNS if name not in place}
    changes |= {"reason": null(), "batch": null(), "updated_at": new.updated_at}
    return changes, or_(and_(other_url, FINDINGS.c.updated_at < new.found_at), restored, other_rule)


_MERGE_FILES = Merge(FILES, STAGED_FILES, _better_link)
_MERGE_FINDINGS = Merge(FINDINGS, STAGED_FINDINGS, _other_url)


def _constant(word: str) -> ColumnElement[str]:
    return literal_column(f"'{word}'")


def _rank(deadline: ColumnElement[Any], now: ColumnElement[Any]) -> ColumnElement[int]:
    """A link that certainly lives is better than one of which nothing is known; a dead one is worst."""
    return case(
        (deadline.is_(None), literal_column("1", Integer)),
        (deadline > now, literal_column("2", Integer)),
        else_=literal_column("0", Integer),
    )


def _portions(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), AT_ONCE):
        yield items[start : start + AT_ONCE]


def _mark_vanished(
    session: Session, source: str, table: str, row_keys: Sequence[str], seen: set[str], now: datetime
) -> int:
    gone: list[str] = []
    for some in _portions(row_keys):
        rows = session.execute(
            select(FINDINGS.c.id).where(
                FINDINGS.c.source == source,
                FINDINGS.c.table_name == table,
                FINDINGS.c.row_key.in_(some),
                FINDINGS.c.state.in_(_WAITING),
            )
        )
        gone += [each for (each,) in rows if each not in seen]
    if gone:
        session.execute(
            update(FINDINGS).where(FINDINGS.c.id == bindparam("gone")),
            [
                {
                    "gone": each,
                    "state": FindingState.CHANGED.value,
                    "message": "The temporary URL no longer stands there.",
                    "updated_at": now,
                }
                for each in gone
            ],
        )
    return len(gone)


def open_row_keys(session: Session, source: str, table: str, *, after: str, most: int) -> list[str]:
    """Keys of rows that still hold work, a portion in their own order."""
    statement = (
        select(FINDINGS.c.row_key)
        .where(
            FINDINGS.c.source == source,
            FINDINGS.c.table_name == table,
            FINDINGS.c.row_key > after,
            FINDINGS.c.state.in_(_WAITING),
        )
        .distinct()
        .order_by(FINDINGS.c.row_key)
        .limit(most)
    )
    return list(session.scalars(statement))


def mark_deleted(session: Session, source: str, table: str, row_keys: Sequence[str]) -> int:
    """The findings of rows that are gone are no work any more. How many there were."""
    result: Any = session.execute(
        update(FINDINGS)
        .where(
            FINDINGS.c.source == source,
            FINDINGS.c.table_name == table,
            FINDINGS.c.row_key.in_(row_keys),
            FINDINGS.c.state.in_(_WAITING),
        )
        .values(state=FindingState.CHANGED.value, message="Its row was deleted.", updated_at=utc_now())
    )
    return int(result.rowcount)


def settle_finding_states(session: Session, source: str) -> None:
    """Bring findings whose file was settled meanwhile into line with it, or came back when it was lost."""
    came_back = select(FILES.c.id).where(
        FILES.c.id == FINDINGS.c.file_id, FILES.c.state == MediaState.PENDING.value
    )
    session.execute(
        update(LegacyFinding)
        .where(
            col(LegacyFinding.source) == source,
            col(LegacyFinding.state) == FindingState.LOST.value,
            came_back.correlate(FINDINGS).exists(),
        )
        .values(state=FindingState.PENDING.value, reason=None, message=None, updated_at=utc_now()),
        execution_options={"synchronize_session": False},
    )
    for file_state, state in _STATE_OF_FILE.items():
        if state is FindingState.PENDING:
            continue
        settled = select(FILES.c.id).where(FILES.c.source == source, FILES.c.state == file_state)
        session.execute(
            update(LegacyFinding)
            .where(
                col(LegacyFinding.source) == source,
                col(LegacyFinding.state) == FindingState.PENDING.value,
                col(LegacyFinding.file_id).in_(settled),
            )
            .values(state=state.value, updated_at=utc_now()),
            execution_options={"synchronize_session": False},
        )
