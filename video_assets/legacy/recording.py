"""Writing what a page holds into the catalog: bulk upserts inside the caller's transaction.

Ids derive from places, so that recording a page twice changes nothing. What is settled stays settled: only a
place whose URL changed, or that somebody restored, becomes work again.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Integer,
    MetaData,
    Table,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col

from video_assets.catalog.columns import storable
from video_assets.catalog.legacy import FindingState, LegacyFile, LegacyFinding
from video_assets.catalog.models import MediaState, utc_now
from video_assets.legacy.scanning import Seen

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
_STAGED = {
    table: Table(f"staged_{table.name}", MetaData(), *(Column(name, table.c[name].type) for name in columns))
    for table, columns in ((FILES, FILE_COLUMNS), (FINDINGS, FINDING_COLUMNS))
}
"""Temporary tables, one connection each: what a page holds on its way into the catalog."""

Update = Callable[[Any], tuple[dict[str, Any], ColumnElement[bool]]]
"""From the row that comes in to what it changes of the one that is there, and when."""

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
            (FindingState.PENDING if finding.excepted is None else FindingState.EXCEPTED).value,
            finding.excepted,
        )
        for finding in seen.findings
    ]
    return Rows(
        read_at,
        _as_driver_takes(FINDINGS, FINDING_COLUMNS, findings, dialect),
        _as_driver_takes(FILES, FILE_COLUMNS, files, dialect),
    )


def _as_driver_takes(
    table: Table, columns: Sequence[str], rows: list[tuple[Any, ...]], dialect: Dialect
) -> list[tuple[Any, ...]]:
    processors = [
        (number, processor)
        for number, name in enumerate(columns)
        if (processor := table.c[name].type.dialect_impl(dialect).bind_processor(dialect)) is not None
    ]
    ready = []
    # In the order of ids, so that two writers of the same rows wait for each other instead of deadlocking.
    for row in sorted(rows, key=itemgetter(0)):
        values = list(row)
        for number, processor in processors:
            if values[number] is not None:
                values[number] = processor(values[number])
        ready.append(tuple(values))
    return ready


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
    same: dict[str, Any] = {"source": source, "updated_at": now}
    pending = {"state": MediaState.PENDING.value, "evidence": {}, "facts": {}, "attempts": 0, "refreshes": 0}
    new_files = _put(session, FILES, rows.files, {**same, **pending, "created_at": now}, _better_link)
    new_findings = _put(session, FINDINGS, rows.findings, {**same, "found_at": rows.read_at}, _other_url)
    vanished = 0
    if row_keys:
        seen = {row[0] for row in rows.findings}
        vanished = _mark_vanished(session, source, table, row_keys, seen, now)
    return Recorded(len(rows.findings), new_findings, new_files, vanished)


def _put(
    session: Session, table: Table, rows: list[tuple[Any, ...]], same: Mapping[str, Any], update: Update
) -> int:
    """Insert what is new, and update what ``update`` wants of the rest. How many rows were new.

    ``same`` are the values that all rows have in common.
    """
    if not rows:
        return 0
    connection = session.connection()
    staged = _stage(connection, table, rows)
    values: dict[str, ColumnElement[Any]] = {column.name: column for column in staged.c}
    values |= {name: bindparam(name, value, table.c[name].type) for name, value in same.items()}
    fresh = select(*values.values()).where(true()).order_by(staged.c.id)
    if table is FINDINGS:
        values["state"] = _state_of_finding(staged)
        joined = staged.outerjoin(FILES, FILES.c.id == staged.c.file_id)
        fresh = fresh.with_only_columns(*values.values()).select_from(joined)
    insert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    statement = insert(table).from_select(list(values), fresh, include_defaults=False)
    new = connection.execute(statement.on_conflict_do_nothing(index_elements=[table.c.id])).rowcount
    if new < len(rows):
        changes, where = update(statement.excluded)
        connection.execute(
            statement.on_conflict_do_update(index_elements=[table.c.id], set_=changes, where=where)
        )
    return new


def _state_of_finding(staged: Table) -> ColumnElement[str]:
    """Findings of files that are settled begin as settled."""
    return case(
        (staged.c.state == _constant(FindingState.EXCEPTED), staged.c.state),
        *((FILES.c.state == _constant(file), _constant(state)) for file, state in _STATE_OF_FILE.items()),
        else_=staged.c.state,
    )


def _stage(connection: Connection, table: Table, rows: list[tuple[Any, ...]]) -> Table:
    """The rows in a temporary table of this connection: many rows travel in one statement, not one by one."""
    staged = _STAGED[table]
    names = ", ".join(column.name for column in staged.c)
    shape = f"AS SELECT {names} FROM {table.name} WHERE 1 = 0"  # noqa: S608  names of our own tables
    if connection.dialect.name == "postgresql":
        shape = f"ON COMMIT DELETE ROWS {shape}"
    connection.exec_driver_sql(f"CREATE TEMP TABLE IF NOT EXISTS {staged.name} {shape}")
    connection.execute(delete(staged))
    if connection.dialect.driver == "psycopg2":
        _copy(connection, f"COPY {staged.name} ({names}) FROM STDIN", rows)
    else:
        places = ", ".join("?" for _ in staged.c)
        connection.exec_driver_sql(f"INSERT INTO {staged.name} ({names}) VALUES ({places})", rows)  # noqa: S608
    return staged


_ESCAPED = re.compile(r"[\\\t\n\r]")
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_NULL = "\x01NULL\x01"


def _copy(connection: Connection, statement: str, rows: list[tuple[Any, ...]]) -> None:
    """Send rows in the text format of COPY, https://www.postgresql.org/docs/current/sql-copy.html."""
    import psycopg2

    lines = []
    for row in rows:
        values = [_NULL if value is None else str(value) for value in row]
        line = "\t".join(values)
        if "\\" in line or "\n" in line or "\r" in line or line.count("\t") >= len(values):
            line = "\t".join([_ESCAPED.sub(lambda match: _ESCAPES[match.group()], value) for value in values])
        lines.append(line)
    raw: Any = connection.connection
    try:
        with raw.cursor() as cursor:
            cursor.copy_expert(f"{statement} WITH (NULL '{_NULL}')", io.StringIO("\n".join(lines) + "\n"))
    except psycopg2.Error as exc:
        # Past SQLAlchemy, its error classes have to be put on by hand: the catalog explains them to people.
        raise DBAPIError.instance(
            None, None, exc, psycopg2.Error, hide_parameters=True, dialect=connection.dialect
        ) from None


def _better_link(new: Any) -> tuple[dict[str, Any], ColumnElement[bool]]:
    """Of two links to one file the one that lives longer is kept."""
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
