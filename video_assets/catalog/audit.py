"""The audit: is there any temporary URL or token in the catalog, in any column of any row?

It reads what is really stored, past the column types, and every row, never a sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    LargeBinary,
    RowMapping,
    String,
    Table,
    Text,
    cast,
    select,
    true,
)
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import Session, SQLModel

from video_assets.catalog import legacy  # noqa: F401  (its tables are scanned too)
from video_assets.catalog.columns import EncryptedText
from video_assets.catalog.models import Generation, Lease, MediaState
from video_assets.urls import NO_RULES, HostRules, find, redact
from video_assets.urls.syntax.tokens import find_jwts

ROWS_AT_ONCE = 100

ENCRYPTED = frozenset({("output", "temporary_url"), ("legacy_file", "temporary_url")})
"""The columns that may hold a temporary URL: as a Fernet token, in a row whose state is one of …"""

KEEPS_LINK = frozenset({MediaState.PENDING, MediaState.LOST})
"""… these. A lost file keeps its link for some time after its death (:mod:`video_assets.catalog.lost_links`)."""

PROVENANCE = frozenset(
    {
        ("output", "source_redacted"),
        ("output", "message"),
        ("output", "evidence"),
        ("provider_job", "failure_message"),
        ("generation", "error_message"),
        ("generation", "evidence"),
        ("event", "message"),
        ("event", "detail"),
        ("legacy_file", "redacted"),
        ("legacy_file", "message"),
        ("legacy_file", "evidence"),
        ("legacy_finding", "redacted"),
        ("legacy_finding", "message"),
        ("legacy_finding", "context"),
    }
)
"""Columns that tell where a file came from. They are shown, never served as a video, so an address without any
secret in it may stand there even when its host deletes the file later."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One place that holds what it must not. Safe to show."""

    table: str
    row: str
    """Primary key, as text."""
    column: str
    pointer: str
    """JSON pointer inside the value, empty for the value as a whole."""
    scheme: str | None
    """The signing scheme; ``jwt`` for a token outside a URL, ``encrypted`` for one that should be erased."""
    carries_jwt: bool
    redacted: str

    def __str__(self) -> str:
        return f"{self.table} {self.row}: {self.column}{self.pointer} holds {self.redacted}"


@dataclass(frozen=True, slots=True)
class Audit:
    """What one scan found."""

    rows: int
    values: Mapping[str, int]
    """Values read per ``table.column``; a column that is always NULL has 0."""
    by_column: Mapping[str, int]
    """Violations per ``table.column``; only columns that have any."""
    violations: int
    jwts: int
    """How many of them carry a JSON Web Token."""
    sample: tuple[Violation, ...]
    """The first ones found, at most as many as were asked for of those with a JWT and of those without."""

    @property
    def no_persisted_jwt(self) -> bool:
        """True when no column of any row holds a JSON Web Token, in a URL or bare."""
        return self.jwts == 0

    @property
    def no_temporary_url(self) -> bool:
        """True when no column of any row holds a URL that dies or carries a credential, nor a bare token."""
        return self.violations == 0


class _Offence(NamedTuple):
    """What a value holds that it must not; ``secret`` has not been redacted yet."""

    pointer: str
    scheme: str | None
    carries_jwt: bool
    secret: str


def audit_persisted_urls(
    session: Session, *, generation_id: str | None = None, sample: int = 20, hosts: HostRules = NO_RULES
) -> Audit:
    """Scan every text and JSON column of every table for temporary URLs and tokens.

    ``generation_id`` limits the scan to the rows of one generation, in all tables. ``hosts`` are the user's own
    rules about hosts that delete. Memory is bounded: rows are
    streamed, and at most ``sample`` violations with and ``sample`` without a JWT are kept.
    """
    rows = 0
    values: Counter[str] = Counter()
    by_column: Counter[str] = Counter()
    jwts = 0
    kept: dict[bool, list[Violation]] = {True: [], False: []}
    for table in SQLModel.metadata.sorted_tables:
        condition = _belongs_to(table, generation_id)
        if condition is None:
            continue
        columns = _columns_with_text(table, session)
        values.update({f"{table.name}.{column.name}": 0 for column in columns})
        for row in _stored_rows(session, table, columns, condition):
            rows += 1
            for column in columns:
                value = row[column.name]
                if value is None:
                    continue
                place = f"{table.name}.{column.name}"
                values[place] += 1
                for offence in _offences(table.name, column.name, value, row, hosts):
                    by_column[place] += 1
                    jwts += offence.carries_jwt
                    if len(kept[offence.carries_jwt]) < sample:
                        kept[offence.carries_jwt].append(_violation(table, row, column.name, offence))
    return Audit(
        rows=rows,
        values=dict(values),
        by_column=dict(by_column),
        violations=by_column.total(),
        jwts=jwts,
        sample=(*kept[True], *kept[False]),
    )


def _stored_rows(
    session: Session, table: Table, columns: Sequence[Column[Any]], condition: ColumnElement[bool]
) -> Iterator[RowMapping]:
    """What the columns (and the primary key) really hold, as text, streamed in the order of the database."""
    wanted = {column.name: column for column in (*table.primary_key.columns, *columns)}
    statement = select(*(cast(column, Text).label(name) for name, column in wanted.items())).where(condition)
    for row in session.execute(statement, execution_options={"yield_per": ROWS_AT_ONCE}):
        yield row._mapping


def _offences(table: str, column: str, value: str, row: RowMapping, hosts: HostRules) -> Iterator[_Offence]:
    if (table, column) in ENCRYPTED and EncryptedText.is_token(value):
        if row["state"] not in KEEPS_LINK:
            yield _Offence("", "encrypted", False, "an encrypted temporary URL that should have been erased")
        return
    findings = find(value, hosts=hosts)
    for finding in findings:
        found = finding.classification
        if found.is_temporary and not found.secrets and (table, column) in PROVENANCE:
            continue
        yield _Offence(finding.pointer or "", found.scheme, found.carries_jwt, finding.url)
    tokens = find_jwts(value)
    for token in tokens:
        if not any(finding.start <= token.start < finding.end for finding in findings):
            yield _Offence("", "jwt", True, value[token.start : token.end])
    if (table, column) in ENCRYPTED and not findings and not tokens:
        yield _Offence("", None, False, "text that is not encrypted")


def _violation(table: Table, row: RowMapping, column: str, offence: _Offence) -> Violation:
    return Violation(
        table=table.name,
        row=redact(",".join(str(row[key.name]) for key in table.primary_key.columns)),
        column=column,
        pointer=redact(offence.pointer),
        scheme=offence.scheme,
        carries_jwt=offence.carries_jwt,
        redacted=redact(offence.secret),
    )


def _columns_with_text(table: Table, session: Session) -> list[Column[Any]]:
    """Text and JSON columns; on SQLite all but bytes, because any column can hold text there."""
    if session.get_bind().dialect.name == "sqlite":
        return [column for column in table.columns if not isinstance(column.type, LargeBinary)]
    return [column for column in table.columns if isinstance(_stored_type(column.type), String | JSON)]


def _stored_type(declared: TypeEngine[Any]) -> TypeEngine[Any]:
    return _stored_type(declared.impl_instance) if isinstance(declared, TypeDecorator) else declared


def _belongs_to(table: Table, generation_id: str | None) -> ColumnElement[bool] | None:
    """The condition for rows of one generation or of all; None when the table knows no generations."""
    if generation_id is None:
        return true()
    condition: ColumnElement[bool] | None = None
    if table.name == Generation.__tablename__:
        condition = table.c.id == generation_id
    elif table.name == Lease.__tablename__:
        condition = table.c.resource.contains(generation_id, autoescape=True)
    elif "generation_id" in table.c:
        condition = table.c.generation_id == generation_id
    return condition
