"""What every provider can do, in the product's words. One file implements it per provider."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, Protocol, runtime_checkable

from video_assets.reasons import Reason


class JobState(StrEnum):
    """A provider job's state, normalised. An unknown word of the provider is ``RUNNING``: never terminal."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def settled(self) -> bool:
        """True when the provider will do no more."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class OutputKind(StrEnum):
    """What a file of a job is."""

    VIDEO = "video"
    CLIP = "clip"
    THUMBNAIL = "thumbnail"
    CAPTIONED = "captioned"
    GIF = "gif"
    SUBTITLE = "subtitle"
    AUDIO = "audio"
    ARCHIVE = "archive"
    FILE = "file"
    """A document, a 3D model or anything else that is none of the above."""


@dataclass(frozen=True, slots=True)
class GenerationSpec:
    """What is asked of a provider for one job."""

    model: str
    prompt: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Provider-specific fields, passed through: ratio, duration, seed, promptImage, keyframes …"""
    client_reference: str = ""
    """Our own id of this try: used as idempotency key or client-chosen id where the provider has one."""


@dataclass(frozen=True, slots=True)
class OfferedOutput:
    """One file that a finished job offers. ``url`` is a bearer secret and hidden from ``repr``."""

    kind: OutputKind
    index: int
    """Position among outputs of the same kind, from 0."""
    url: str = field(repr=False)
    needs_provider_key: bool = False
    """True for a content endpoint of the provider that wants its own key; see ``Provider.download_headers``."""
    lifetime: timedelta | None = None
    """The provider's documented lifetime where the URL itself does not tell, counted from completion."""


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """A provider job as the provider describes it now."""

    task_id: str
    state: JobState
    raw_status: str
    progress: float | None = None
    """0 to 1, None when the provider does not say."""
    outputs: Sequence[OfferedOutput] = ()
    failure_code: str | None = None
    failure_message: str | None = None
    failure_retryable: bool = False
    """True when the provider's own advice is that the same request may work next time."""
    created_at: datetime | None = None
    estimated_cost: float | None = None
    cost: float | None = None
    """In the provider's own unit, ``Provider.cost_unit``."""
    retry_after: timedelta | None = None


class ProviderError(Exception):
    """A provider call failed. The message is safe to show: it holds no key and no temporary URL."""

    reason = Reason.PROVIDER_ERROR
    retryable = True

    def __init__(self, message: str, *, status: int | None = None, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class RequestRefused(ProviderError):
    """The provider will never accept this request as it is (400, 422, moderation, unknown model)."""

    reason = Reason.PROVIDER_REFUSED
    retryable = False


class Misconfigured(ProviderError):
    """A setting of the provider is missing or wrong; no request can succeed before a person corrects it."""

    reason = Reason.CONFIGURATION
    retryable = False


class KeyRefused(Misconfigured):
    """The key is missing, wrong, or not allowed (401, 403)."""


class TaskUnknown(ProviderError):
    """The provider does not know this task, or deleted it (404)."""

    reason = Reason.SOURCE_GONE
    retryable = False


class SubmissionUncertain(ProviderError):
    """The request left, its answer did not arrive: the job may exist and cost money. Never resend it blindly."""

    reason = Reason.SUBMISSION_UNCONFIRMED
    retryable = False


@dataclass(frozen=True, slots=True)
class PollPlan:
    """How often a provider wants to be asked: ``first`` pause, growing by ``growth`` up to ``longest``."""

    first: timedelta
    growth: float
    longest: timedelta

    def pause_after(self, polls: int) -> timedelta:
        """The pause after poll number ``polls`` (0 is the submission)."""
        return min(self.first * (self.growth ** min(polls, 60)), self.longest)


Refreshes = Literal["by_task", "by_url", "no"]
"""Whether asking again gives a working link after the first one died: by task id, by the old URL, or not."""


@runtime_checkable
class Provider(Protocol):
    """One provider. Instances are cheap, thread-safe and hold the key; they know nothing of the catalog."""

    name: str
    title: str
    cost_unit: str
    poll_plan: PollPlan
    max_concurrent_jobs: int | None
    """How many jobs an ordinary account may have under way before the provider refuses more; None where it takes
    them and lets them wait by itself. VIDEO_ASSETS_MAX_CONCURRENT_JOBS says otherwise for an account."""
    refreshes: Refreshes
    can_cancel: bool

    @property
    def has_key(self) -> bool:
        """True when a key is set. Without one every call raises KeyRefused, which names the setting."""

    def prompt_limit(self, model: str) -> int | None:
        """Longest prompt for ``model`` in the provider's own unit of counting, None when not stated."""

    def prompt_length(self, prompt: str) -> int:
        """Length of ``prompt`` in the provider's own unit (Runway counts UTF-16 code units)."""

    def validate(self, spec: GenerationSpec) -> None:
        """Raise RequestRefused for what the provider would certainly refuse. Unknown models pass through."""

    def submit(self, spec: GenerationSpec) -> JobSnapshot:
        """Validate, then send the request once, without retries of its own.

        Raises RequestRefused, KeyRefused, ProviderError (certainly not taken, e.g. 429 or connection refused)
        or SubmissionUncertain (time-out or reset after the request was sent, 5xx, unreadable answer).
        """

    def find_submitted(
        self, spec: GenerationSpec, *, since: datetime, exclude: Collection[str] = ()
    ) -> JobSnapshot | None:
        """Look for the job of an uncertain submission that was sent at or after ``since`` (aware, our clock).

        ``exclude`` holds the task ids that other jobs of the catalog already own. None means that the provider
        has no such job *now*; a request that is still under way inside the provider can appear a moment later,
        so look again after a pause before paying once more. Raises SubmissionUncertain where the API has no
        such way, or where what it lists does not settle the question, and ProviderError when it does not answer.
        """

    def poll(self, task_id: str) -> JobSnapshot:
        """The job as it is now, with fresh links when it has succeeded.

        A job that is reported as succeeded always offers at least one output: an answer that says otherwise is
        a ProviderError. Raises ProviderError, TaskUnknown.
        """

    def cancel(self, task_id: str) -> bool:
        """Ask the provider to stop; True when nothing runs under this id any more. Raises ProviderError.

        Never removes a finished job: its output data would go with it. Raises TaskUnknown where all it knows is
        that the provider does not know the job.
        """

    def download_headers(self, url: str) -> Mapping[str, str]:
        """The headers that fetch a file behind the account's key; empty where ``url`` is not the provider's own.

        They hold the key: they belong into one request and nowhere else. Raises KeyRefused.
        """

    def check_key(self) -> str:
        """One cheap call that proves the key; returns a sentence such as the balance. Raises KeyRefused."""
