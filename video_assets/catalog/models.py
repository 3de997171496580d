"""The tables. One generation has provider jobs, a job offers outputs, an output becomes a media file.

Only ``Output.temporary_url`` may ever hold a temporary URL; it is encrypted, and erased when the file is
durable. Everything else keeps the redacted form and a fingerprint.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from video_assets.catalog.columns import EncryptedText, SafeText, UtcDateTime, Word


def utc_now() -> datetime:
    """The present moment, timezone-aware."""
    return datetime.now(UTC)


def new_generation_id(now: datetime | None = None) -> str:
    """``video-{epoch milliseconds}-{6 hex}``: sorts by time, unique without a database (S0.15)."""
    moment = now or utc_now()
    return f"video-{int(moment.timestamp() * 1000)}-{secrets.token_hex(3)}"


class GenerationStatus(StrEnum):
    """Where a generation stands."""

    QUEUED = "queued"
    PROCESSING = "processing"
    STORING = "storing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def settled(self) -> bool:
        """True when nothing more happens by itself."""
        return self in SETTLED_STATUSES


SETTLED_STATUSES = frozenset(
    {
        GenerationStatus.COMPLETED,
        GenerationStatus.FAILED,
        GenerationStatus.CANCELLED,
        GenerationStatus.EXPIRED,
    }
)


class JobStatus(StrEnum):
    """Where our side of a provider job stands."""

    PLANNED = "planned"
    INTENDED = "intended"
    """Written before the request leaves: whoever finds it here must reconcile, never send again."""
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNCONFIRMED = "unconfirmed"
    """The answer was lost and the provider cannot tell; a person decides."""
    ABANDONED = "abandoned"
    """Taken by the provider and no longer followed, although the provider has not said how it ended: it no longer
    knows the job, never settled it, or could not be made to stop it. Asking about it again costs nothing."""

    @property
    def settled(self) -> bool:
        """True when the provider will do no more for it."""
        return self in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)

    @property
    def at_provider(self) -> bool:
        """True while the provider works on it and it has to be followed."""
        return self in (JobStatus.QUEUED, JobStatus.RUNNING)

    @property
    def unsent(self) -> bool:
        """True while it has to be submitted, or an interrupted submission has to be cleared up."""
        return self in (JobStatus.PLANNED, JobStatus.INTENDED)


class MediaState(StrEnum):
    """Whether a file is ours."""

    PENDING = "pending"
    STORED = "stored"
    LOST = "lost"
    """Its link is dead, or its source said for certain that it will not come back."""
    GIVEN_UP = "given_up"
    """A person does not want it any more."""


def _moment(*, nullable: bool = True, index: bool = False) -> Any:
    return Field(default=None, sa_column=Column(UtcDateTime, nullable=nullable, index=index))


def _now_column(*, index: bool = False) -> Any:
    return Field(default_factory=utc_now, sa_column=Column(UtcDateTime, nullable=False, index=index))


def _changed_column() -> Any:
    # Set by itself in every UPDATE that does not set it, so that "nothing has happened since" can be trusted.
    return Field(default_factory=utc_now, sa_column=Column(UtcDateTime, nullable=False, onupdate=utc_now))


def _word(words: type[StrEnum], default: StrEnum) -> Any:
    return Field(default=default, sa_column=Column(Word(words), nullable=False))


def _text(*, nullable: bool = True) -> Any:
    return Field(default=None, sa_column=Column(SafeText, nullable=nullable))


def _json() -> Any:
    return Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class Generation(SQLModel, table=True):
    """One user's request for a video. The Dagster partition: one generation, one key (its ``id``)."""

    __tablename__ = "generation"
    __table_args__ = (
        UniqueConstraint("owner", "idempotency_key", name="uq_generation_owner_idempotency_key"),
        Index("ix_generation_status_updated_at", "status", "updated_at"),
        Index("ix_generation_owner_created_at", "owner", "created_at"),
    )

    id: str = Field(default_factory=new_generation_id, primary_key=True)
    owner: str
    campaign: str | None = Field(default=None, index=True)
    title: str | None = None
    language: str | None = None
    provider: str = Field(index=True)
    model: str
    generation_type: str = "text_to_video"
    prompt: str = Field(sa_column=Column(SafeText, nullable=False))
    submitted_prompt: str | None = _text()
    prompt_length: int = 0
    was_truncated: bool = False
    aspect_ratio: str | None = None
    duration: float | None = None
    parameters: dict[str, Any] = _json()
    inputs: dict[str, Any] = _json()
    versions: int = 1
    idempotency_key: str | None = None
    request_digest: str = ""
    """SHA-256 of what was asked, so that an idempotency key reused for another request is noticed."""
    status: GenerationStatus = _word(GenerationStatus, GenerationStatus.QUEUED)
    progress: int = 0
    """0 to 100."""
    reason: str | None = None
    error_message: str | None = _text()
    evidence: dict[str, Any] = _json()
    is_favorite: bool = False
    attempt: int = 1
    """Grows with each manual retry, so that run keys differ."""
    queued_at: datetime = _now_column()
    """When it was put in the queue, last."""
    cancel_requested_at: datetime | None = _moment()
    finished_at: datetime | None = _moment()
    """When the provider was done with the last job."""
    completed_at: datetime | None = _moment()
    created_at: datetime = _now_column()
    updated_at: datetime = _changed_column()
    retired_at: datetime | None = _moment()
    """When its key left the Dagster partitions."""


class ProviderJob(SQLModel, table=True):
    """The provider's asynchronous task for one version of a generation."""

    __tablename__ = "provider_job"
    __table_args__ = (
        UniqueConstraint("generation_id", "ordinal", "try_number", name="uq_provider_job_generation_ordinal_try"),
        UniqueConstraint("provider", "task_id", name="uq_provider_job_provider_task_id"),
        Index("ix_provider_job_status_next_poll_at", "status", "next_poll_at"),
        Index("ix_provider_job_provider_polled_at", "provider", "polled_at"),
    )

    id: str = Field(primary_key=True)
    generation_id: str = Field(sa_column=Column(Text, ForeignKey("generation.id"), nullable=False, index=True))
    ordinal: int = 0
    try_number: int = 1
    """Grows when the same version is submitted again after a failure; older tries stay as history."""
    provider: str
    model: str
    client_reference: str = ""
    task_id: str | None = None
    status: JobStatus = _word(JobStatus, JobStatus.PLANNED)
    raw_status: str | None = None
    progress: float | None = None
    """0 to 1, None when the provider does not say."""
    estimated_cost: float | None = None
    cost: float | None = None
    cost_unit: str | None = None
    failure_code: str | None = None
    failure_message: str | None = _text()
    failure_retryable: bool = False
    submit_attempts: int = 0
    polls: int = 0
    poll_failures: int = 0
    """Failed polls in a row."""
    unknown_answers: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    """How often the provider has said that it does not know the job, since it last knew it."""
    unknown_since: datetime | None = _moment()
    """When it said so first."""
    intended_at: datetime | None = _moment()
    submitted_at: datetime | None = _moment()
    polled_at: datetime | None = _moment()
    next_poll_at: datetime | None = _moment()
    finished_at: datetime | None = _moment()
    deadline_at: datetime | None = _moment()
    """When following is given up."""
    created_at: datetime = _now_column()
    updated_at: datetime = _changed_column()


class Output(SQLModel, table=True):
    """One file a job produced, and the one place in the whole product that may hold its temporary URL."""

    __tablename__ = "output"
    __table_args__ = (
        UniqueConstraint("job_id", "kind", "index", name="uq_output_job_kind_index"),
        Index("ix_output_state_next_attempt_at", "state", "next_attempt_at"),
        Index("ix_output_state_deadline_at", "state", "deadline_at"),
        Index("ix_output_state_lost_at", "state", "lost_at"),
    )

    id: str = Field(primary_key=True)
    generation_id: str = Field(sa_column=Column(Text, ForeignKey("generation.id"), nullable=False, index=True))
    job_id: str = Field(sa_column=Column(Text, ForeignKey("provider_job.id"), nullable=False, index=True))
    kind: str
    index: int = 0
    """Position among the generation's outputs of the same kind, from 0."""
    temporary_url: str | None = Field(
        default=None, sa_column=Column(EncryptedText, nullable=True), repr=False, exclude=True
    )
    source_redacted: str | None = _text()
    source_fingerprint: str | None = Field(default=None, index=True)
    source_scheme: str | None = None
    needs_provider_key: bool = False
    deadline_at: datetime | None = _moment()
    deadline_bound: str | None = None
    state: MediaState = _word(MediaState, MediaState.PENDING)
    reason: str | None = None
    message: str | None = _text()
    evidence: dict[str, Any] = _json()
    attempts: int = 0
    next_attempt_at: datetime | None = _moment()
    failing_since: datetime | None = _moment()
    lost_at: datetime | None = _moment()
    refreshes: int = 0
    refreshed_at: datetime | None = _moment()
    stored_at: datetime | None = _moment()
    created_at: datetime = _now_column()
    updated_at: datetime = _changed_column()


class MediaFile(SQLModel, table=True):
    """Our durable copy of one output, or a picture or smaller version made from it.

    A ``pending`` row is the journal of an upload: it is committed before the upload starts, under the
    deterministic key the upload will use, so whatever a crash leaves in the store can be found and adopted.
    """

    __tablename__ = "media_file"
    __table_args__ = (
        UniqueConstraint("bucket", "key", name="uq_media_file_bucket_key"),
        Index("ix_media_file_state_created_at", "state", "created_at"),
    )

    id: str = Field(primary_key=True)
    generation_id: str = Field(sa_column=Column(Text, ForeignKey("generation.id"), nullable=False, index=True))
    output_id: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("output.id"), index=True))
    role: str
    """An output kind (`video`, `thumbnail` …) or `poster`, `preview`, `joined`."""
    state: MediaState = _word(MediaState, MediaState.PENDING)
    bucket: str
    key: str
    file_url: str | None = _text()
    file_name: str | None = None
    file_size: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    file_type: str | None = None
    sha256: str | None = Field(default=None, index=True)
    md5: str | None = None
    etag: str | None = None
    proof: str | None = None
    """How the read-back was proven: `etag` or `bytes`."""
    container: str | None = None
    video_codec: str | None = None
    video_profile: str | None = None
    audio_codec: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    duration_seconds: float | None = None
    bitrate: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    """Bits per second."""
    uploaded_at: datetime | None = _moment()
    verified_at: datetime | None = _moment()
    created_at: datetime = _now_column()
    updated_at: datetime = _changed_column()

    @property
    def storage_path(self) -> str:
        """The key, under the name that S2 uses."""
        return self.key


class Event(SQLModel, table=True):
    """The journal: what happened, in order, append-only. Text in it is always redacted."""

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_generation_id_id", "generation_id", "id"),)

    id: int | None = Field(
        default=None,
        sa_column=Column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    )
    at: datetime = _now_column(index=True)
    generation_id: str | None = None
    job_id: str | None = None
    output_id: str | None = None
    step: str
    message: str = Field(sa_column=Column(SafeText, nullable=False))
    detail: dict[str, Any] = _json()
    run_id: str | None = None


class Lease(SQLModel, table=True):
    """Who works on what until when. ``token`` grows with each change of hands (a fencing token)."""

    __tablename__ = "lease"

    resource: str = Field(primary_key=True)
    holder: str
    token: int = 1
    expires_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))


class KeptFile(SQLModel, table=True):
    """Verified bytes in the spool of one machine, from before their upload until the file is durable."""

    __tablename__ = "kept_file"

    resource: str = Field(primary_key=True)
    """The file, under the name of its lease: ``output:{id}`` or ``legacy:{id}``."""
    spool: str = Field(primary_key=True)
    """Id of the spool that holds them; it stays the same when the machine is given another name."""
    host: str = ""
    """Name of the machine, for people."""
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    kept_at: datetime = _now_column()
    seen_at: datetime = _now_column()
    """When that machine last tried to upload them."""
