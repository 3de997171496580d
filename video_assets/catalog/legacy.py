"""The tables of the legacy side: sources, findings, the files behind them, batches, and the ledger of rewrites.

A *finding* is one temporary URL at one place of a source (table, primary key, column, JSON pointer). Several
findings may name the same *file*, behind one signature or many: it is downloaded once. Only the two encrypted
columns may hold a temporary URL, and only while it is needed.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, Text, text
from sqlmodel import Field, SQLModel

from video_assets.catalog.columns import EncryptedText, UtcDateTime, Word
from video_assets.catalog.models import MediaState, utc_now


class FindingState(StrEnum):
    """Where one place of a source stands."""

    PENDING = "pending"
    """Its file is not durable yet."""
    SAVED = "saved"
    """Its file is durable and was read back; the place still holds the temporary URL."""
    REWRITTEN = "rewritten"
    LOST = "lost"
    """Gone before it could be saved, with evidence."""
    GIVEN_UP = "given_up"
    """A person does not want its file any more."""
    CHANGED = "changed"
    """Somebody else changed the value since; the next inventory looks at the place again."""
    EXCEPTED = "excepted"
    """Left alone on purpose: a share page, a rule of the configuration."""
    UNDONE = "undone"


def _moment(*, index: bool = False) -> Any:
    return Field(default=None, sa_column=Column(UtcDateTime, nullable=True, index=index))


def _now() -> Any:
    return Field(default_factory=utc_now, sa_column=Column(UtcDateTime, nullable=False))


def _text() -> Any:
    return Field(default=None, sa_column=Column(Text, nullable=True))


def _json() -> Any:
    return Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


def _filled_index(name: str, *columns: str, filled: str, unique: bool = False) -> Index:
    """An index of the rows whose column ``filled`` is not NULL: an inventory writes millions in which it is."""
    where = text(f"{filled} IS NOT NULL")
    return Index(name, *columns, unique=unique, postgresql_where=where, sqlite_where=where)


def _counter() -> Column[int]:
    return Column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


class LegacySource(SQLModel, table=True):
    """A database, folder or BLOB column outside the catalog. The Dagster partition of the inventory."""

    __tablename__ = "legacy_source"

    name: str = Field(primary_key=True)
    kind: str = "database"
    preset: str | None = None
    cursor: dict[str, Any] = _json()
    """Where the inventory stands, per table: the last primary key seen, and whether the pass is complete."""
    left_alone: list[dict[str, Any]] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    """Tables that are not the application's own: ``name``, ``kind``, ``role``, ``why``; of the last inventory."""
    rows_scanned: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    scanned_at: datetime | None = _moment()
    created_at: datetime = _now()


class LegacyFile(SQLModel, table=True):
    """One file behind the findings of a source, identified by the fingerprint of its URL."""

    __tablename__ = "legacy_file"
    __table_args__ = (
        _filled_index("uq_legacy_file_bucket_key", "bucket", "key", filled="key", unique=True),
        _filled_index("ix_legacy_file_sha256", "sha256", filled="sha256"),
        _filled_index("ix_legacy_file_lost_at", "lost_at", filled="lost_at"),
        Index("ix_legacy_file_source_state_deadline", "source", "state", "deadline_at"),
    )

    id: str = Field(primary_key=True)
    """SHA-256 (first 32 hex) of source and fingerprint: ``legacy.scanning.file_id``."""
    source: str
    fingerprint: str
    kind: str = "video"
    """An output kind: video, thumbnail, image …"""
    temporary_url: str | None = Field(default=None, sa_column=Column(EncryptedText, nullable=True), repr=False)
    """The longest-lived link known for it; of a lost file until some time after its death."""
    redacted: str | None = _text()
    host: str | None = None
    scheme: str | None = None
    deadline_at: datetime | None = _moment()
    provider: str | None = None
    task_id: str | None = None
    """Where a fresh link can be asked for."""
    state: MediaState = Field(default=MediaState.PENDING, sa_column=Column(Text, nullable=False))
    reason: str | None = None
    message: str | None = _text()
    evidence: dict[str, Any] = _json()
    attempts: int = 0
    next_attempt_at: datetime | None = _moment()
    failing_since: datetime | None = _moment()
    """Since when its source has failed without a break; faults of our own side end that."""
    lost_at: datetime | None = _moment()
    refreshes: int = 0
    bucket: str | None = None
    key: str | None = None
    """Set when the upload is journaled, before it starts."""
    file_url: str | None = _text()
    file_name: str | None = None
    file_size: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    file_type: str | None = None
    sha256: str | None = None
    md5: str | None = None
    etag: str | None = None
    proof: str | None = None
    facts: dict[str, Any] = _json()
    """Codec facts as ``media.probe`` gives them."""
    stored_at: datetime | None = _moment()
    created_at: datetime = _now()
    updated_at: datetime = _now()


class LegacyFinding(SQLModel, table=True):
    """One temporary URL at one place of a source. Its id is derived from the place, so a scan is repeatable."""

    __tablename__ = "legacy_finding"
    __table_args__ = (
        Index("ix_legacy_finding_source_state_deadline", "source", "state", "deadline_at"),
        _filled_index("ix_legacy_finding_batch", "batch", "state", filled="batch"),
        Index("ix_legacy_finding_place", "source", "table_name", "row_key"),
    )

    id: str = Field(primary_key=True)
    """SHA-256 (first 32 hex) of source, table, primary key, column, pointer and position."""
    source: str
    table_name: str
    row_key: str = Field(sa_column=Column(Text, nullable=False))
    """Primary key values as a JSON list."""
    column_name: str
    pointer: str = Field(default="", sa_column=Column(Text, nullable=False))
    """JSON pointer inside the value; empty for the value as a whole."""
    file_id: str = Field(sa_column=Column(Text, nullable=False, index=True))
    """Its file, which is written before it in the same transaction and never deleted. No foreign key: a look for
    each of millions of files is a tenth of what an inventory costs the database."""
    url_digest: str
    """SHA-256 of the exact URL that stands there, so that a change is noticed without keeping the secret."""
    redacted: str = Field(sa_column=Column(Text, nullable=False))
    scheme: str | None = None
    carries_jwt: bool = False
    deadline_at: datetime | None = _moment()
    context: dict[str, Any] = _json()
    """What of the row is worth keeping when the file is lost: prompt, parameters, created_at."""
    state: FindingState = Field(default=FindingState.PENDING, sa_column=Column(Text, nullable=False))
    reason: str | None = None
    message: str | None = _text()
    batch: str | None = None
    found_at: datetime = _now()
    updated_at: datetime = _now()


class LegacyBatch(SQLModel, table=True):
    """Some 1,000 findings of one source in deadline order. The Dagster partition of the rescue."""

    __tablename__ = "legacy_batch"
    __table_args__ = (Index("ix_legacy_batch_source_number", "source", "number"),)

    key: str = Field(primary_key=True)
    """``{source}:{number:06}``."""
    source: str
    number: int
    findings: int = 0
    first_deadline_at: datetime | None = _moment(index=True)
    """When the first of its links that live dies; of files that are not durable yet."""
    unknown: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    """Places of such files of which nobody knows when their link dies."""
    revive_at: datetime | None = _moment()
    """From when on a provider can be asked for its dead links; None when there is nothing to ask."""
    revivals: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    """Runs that were asked for because of that, and …"""
    revived_at: datetime | None = _moment()
    """… when the last of them was."""
    done_at: datetime | None = _moment()
    created_at: datetime = _now()


class LedgerEntry(SQLModel, table=True):
    """One change of one column of one row, written before it is made. Never updated, never deleted."""

    __tablename__ = "ledger_entry"
    __table_args__ = (
        Index("ix_ledger_entry_place", "source", "table_name", "row_key"),
        Index("ix_ledger_entry_source_id", "source", "id"),
    )

    id: int | None = Field(default=None, sa_column=_counter())
    at: datetime = _now()
    run: str = Field(index=True)
    """Which rewrite or undo did it."""
    action: str = "rewrite"
    """``rewrite`` or ``undo``."""
    undoes: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True, index=True))
    """For an undo: the entry it takes back."""
    source: str
    table_name: str
    row_key: str = Field(sa_column=Column(Text, nullable=False))
    column_name: str
    before_digest: str
    """SHA-256 of the whole value before."""
    after_digest: str
    findings: dict[str, Any] = _json()
    """Finding id → file id, SHA-256 and pointer of each place that changed."""


class LedgerOutcome(StrEnum):
    """What became of an entry."""

    APPLIED = "applied"
    VOID = "void"
    """The source did not take the change: the value had changed, or the process died before."""
    UNCLEAR = "unclear"
    """The process died, and somebody changed the value since: it is neither the one before nor the one after."""


class LedgerConfirmation(SQLModel, table=True):
    """What became of an entry, written after the source answered. Append-only; an entry's newest row counts."""

    __tablename__ = "ledger_confirmation"

    id: int | None = Field(default=None, sa_column=_counter())
    entry_id: int = Field(
        sa_column=Column(
            BigInteger().with_variant(Integer, "sqlite"),
            ForeignKey("ledger_entry.id"),
            nullable=False,
            index=True,
        )
    )
    at: datetime = _now()
    outcome: LedgerOutcome = Field(sa_column=Column(Word(LedgerOutcome), nullable=False))


class LedgerImage(SQLModel, table=True):
    """The whole value before a change, encrypted with the user's own key, until it expires."""

    __tablename__ = "ledger_image"

    entry_id: int = Field(
        sa_column=Column(
            BigInteger().with_variant(Integer, "sqlite"), ForeignKey("ledger_entry.id"), primary_key=True
        )
    )
    ciphertext: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    expires_at: datetime | None = _moment(index=True)
