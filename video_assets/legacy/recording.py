"""Writing what a page holds into the catalog: bulk upserts inside the caller's transaction.

Ids derive from places, so that recording a page twice changes nothing. What is settled stays settled: only a
place whose URL changed, or that somebody restored, becomes work again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
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
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col

from video_assets.catalog.columns import storable
from video_assets.catalog.legacy import FindingState, LegacyFile, LegacyFinding
from video_assets.catalog.models import MediaState, utc_now
from video_assets.legacy.scanning import Seen, SeenFile, SeenFinding

T = TypeVar("T")

AT_ONCE = 400
"""Rows per statement with a list of ids; SQLite allows 32,766 parameters."""

FILES: Table = LegacyFile.__table__  # type: ignore[attr-defined]
FINDINGS: Table = LegacyFinding.__table__  # type: ignore[attr-defined]

_STATE_OF_FILE = {
    MediaState.PENDING.value: FindingState.PENDING,
    MediaState.STORED.value: FindingState.SAVED,
    MediaState.LOST.value: FindingState.LOST,
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one page added to the catalog."""

    findings: int = 0
    """Temporary URLs that the page holds."""
    new_findings: int = 0
    new_files: int = 0
    vanished: int = 0
    """Places of the page's rows that were known and hold no temporary URL any more."""


def record(
    session: Session,
    source: str,
    seen: Seen,
    *,
    read_at: datetime,
    table: str,
    row_keys: Sequence[str] | None = None,
) -> Recorded:
    """Bring files and findings of one page into the catalog.

    ``read_at`` is when the page's rows were read: what was rewritten after that moment is left alone.
    ``row_keys`` are the keys of every row of the page, given when earlier inventories may have seen the rows:
    places that hold no temporary URL any more are marked ``changed``.
    """
    now = utc_now()
    new_files = _record_files(session, source, seen.files.values(), now)
    states = _states(session, seen.files)
    new_findings = _record_findings(session, source, seen.findings, states, read_at, now)
    vanished = 0
    if row_keys:
        vanished = _mark_vanished(session, source, table, row_keys, {f.id for f in seen.findings}, now)
    return Recorded(len(seen.findings), new_findings, new_files, vanished)


def _insert(session: Session, table: Table) -> Any:
    insert = postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    return insert(table)


def _insert_many(session: Session, statement: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Execute an insert for many rows. Through psycopg2 many rows travel in one statement, not one by one."""
    connection = session.connection()
    if connection.dialect.driver != "psycopg2":
        session.execute(statement, rows)
        return
    import psycopg2
    from psycopg2.extras import execute_values

    names = list(rows[0])
    dialect = connection.dialect
    compiled = statement.compile(dialect=dialect, column_keys=names)
    head, values, tail = _VALUES.split(compiled.string, maxsplit=1)
    order = re.findall(r"%\((\w+)\)s", values)
    processors = [statement.table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in order]
    prepared = (
        tuple(
            processor(row[name]) if processor is not None else row[name]
            for name, processor in zip(order, processors, strict=True)
        )
        for row in rows
    )
    raw: Any = connection.connection
    try:
        with raw.cursor() as cursor:
            execute_values(cursor, f"{head} VALUES %s{tail}", prepared, page_size=500)
    except psycopg2.Error as exc:
        # Past SQLAlchemy, its error classes have to be put on by hand: the catalog explains them to people.
        raise DBAPIError.instance(
            None, None, exc, psycopg2.Error, hide_parameters=True, dialect=dialect
        ) from None


_VALUES = re.compile(r" VALUES \((.*?)\)(?= ON CONFLICT)", re.DOTALL)


def _count(session: Session, table: Table, ids: Iterable[str]) -> int:
    known = 0
    for some in _portions(list(ids)):
        known += session.execute(select(func.count()).where(table.c.id.in_(some))).scalar_one()
    return known


def _portions(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), AT_ONCE):
        yield items[start : start + AT_ONCE]


def _record_files(session: Session, source: str, files: Iterable[SeenFile], now: datetime) -> int:
    # In the order of ids, so that two writers of the same files wait for each other instead of deadlocking.
    rows: list[dict[str, Any]] = [
        {
            "id": file.id,
            "source": source,
            "fingerprint": file.fingerprint,
            "kind": file.kind,
            "temporary_url": None if file.url is None else storable(file.url),
            "redacted": storable(file.redacted),
            "host": None if file.host is None else storable(file.host),
            "scheme": file.scheme,
            "deadline_at": file.deadline_at,
            "provider": file.provider,
            "task_id": None if file.task_id is None else storable(file.task_id),
            "state": MediaState.PENDING.value,
            "evidence": {},
            "attempts": 0,
            "refreshes": 0,
            "file_size": file.size,
            "facts": {},
            "created_at": now,
            "updated_at": now,
        }
        for file in sorted(files, key=lambda file: file.id)
    ]
    if not rows:
        return 0
    known = _count(session, FILES, (row["id"] for row in rows))
    insert = _insert(session, FILES)
    new = insert.excluded
    # Only columns and constants below: a parameter beside the rows would make each row a statement of its own.
    longer = or_(
        FILES.c.temporary_url.is_(None),
        _rank(new.deadline_at, new.updated_at) > _rank(FILES.c.deadline_at, new.updated_at),
        and_(
            _rank(new.deadline_at, new.updated_at) == _rank(FILES.c.deadline_at, new.updated_at),
            new.deadline_at > FILES.c.deadline_at,
        ),
    )
    learns_task = and_(FILES.c.task_id.is_(None), new.task_id.is_not(None))
    # A link that lives may come to light for a file that was given up with a dead one.
    revived = and_(FILES.c.state == _constant(MediaState.LOST), new.deadline_at > new.updated_at)

    def better(name: str) -> ColumnElement[Any]:
        return case((longer, new[name]), else_=FILES.c[name])

    _insert_many(
        session,
        insert.on_conflict_do_update(
            index_elements=[FILES.c.id],
            set_={
                "temporary_url": better("temporary_url"),
                "redacted": better("redacted"),
                "host": better("host"),
                "scheme": better("scheme"),
                "deadline_at": better("deadline_at"),
                "provider": case((learns_task, new.provider), else_=FILES.c.provider),
                "task_id": func.coalesce(FILES.c.task_id, new.task_id),
                "state": _constant(MediaState.PENDING),
                "reason": case((revived, null()), else_=FILES.c.reason),
                "next_attempt_at": case((longer, null()), else_=FILES.c.next_attempt_at),
                "updated_at": new.updated_at,
            },
            where=and_(
                or_(FILES.c.state == _constant(MediaState.PENDING), revived),
                new.temporary_url.is_not(None),
                or_(longer, learns_task),
            ),
        ),
        rows,
    )
    return len(rows) - known


def _constant(word: StrEnum) -> ColumnElement[str]:
    return literal_column(f"'{word.value}'")


def _rank(deadline: ColumnElement[Any], now: ColumnElement[Any]) -> ColumnElement[int]:
    """A link that certainly lives is better than one of which nothing is known; a dead one is worst."""
    return case(
        (deadline.is_(None), literal_column("1", Integer)),
        (deadline > now, literal_column("2", Integer)),
        else_=literal_column("0", Integer),
    )


def _states(session: Session, files: Iterable[str]) -> dict[str, FindingState]:
    """What findings of files that are settled begin as."""
    states: dict[str, FindingState] = {}
    for some in _portions(list(files)):
        rows = session.execute(
            select(FILES.c.id, FILES.c.state).where(
                FILES.c.id.in_(some), FILES.c.state != MediaState.PENDING.value
            )
        )
        states.update({each: _STATE_OF_FILE[state] for each, state in rows})
    return states


def _record_findings(
    session: Session,
    source: str,
    findings: Sequence[SeenFinding],
    states: dict[str, FindingState],
    read_at: datetime,
    now: datetime,
) -> int:
    if not findings:
        return 0
    known = _count(session, FINDINGS, [finding.id for finding in findings])
    insert = _insert(session, FINDINGS)
    new = insert.excluded
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
    _insert_many(
        session,
        insert.on_conflict_do_update(
            index_elements=[FINDINGS.c.id],
            set_={
                name: new[name]
                for name in (
                    "file_id",
                    "url_digest",
                    "redacted",
                    "scheme",
                    "carries_jwt",
                    "deadline_at",
                    "context",
                    "state",
                    "reason",
                    "message",
                    "batch",
                    "updated_at",
                )
            },
            where=or_(and_(other_url, FINDINGS.c.updated_at < new.found_at), restored, other_rule),
        ),
        [
            {
                "id": finding.id,
                "source": source,
                "table_name": finding.table,
                "row_key": finding.row_key,
                "column_name": finding.column,
                "pointer": storable(finding.pointer),
                "file_id": finding.file_id,
                "url_digest": finding.url_digest,
                "redacted": storable(finding.redacted),
                "scheme": finding.scheme,
                "carries_jwt": finding.carries_jwt,
                "deadline_at": finding.deadline_at,
                "context": finding.context,
                "state": (
                    FindingState.EXCEPTED
                    if finding.excepted is not None
                    else states.get(finding.file_id, FindingState.PENDING)
                ).value,
                "reason": None,
                "message": finding.excepted,
                "batch": None,
                "found_at": read_at,
                "updated_at": now,
            }
            for finding in findings
        ],
    )
    return len(findings) - known


def _mark_vanished(
    session: Session, source: str, table: str, row_keys: Sequence[str], seen: set[str], now: datetime
) -> int:
    gone: list[str] = []
    waiting = [FindingState.PENDING.value, FindingState.SAVED.value]
    for some in _portions(row_keys):
        rows = session.execute(
            select(FINDINGS.c.id).where(
                FINDINGS.c.source == source,
                FINDINGS.c.table_name == table,
                FINDINGS.c.row_key.in_(some),
                FINDINGS.c.state.in_(waiting),
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


def settle_finding_states(session: Session, source: str) -> None:
    """Bring findings whose file was settled meanwhile into line with it."""
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
