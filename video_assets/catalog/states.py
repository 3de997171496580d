"""The state machines, as tables and one guard: whatever is not listed here cannot happen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from video_assets.catalog.models import (
    Generation,
    GenerationStatus,
    JobStatus,
    MediaState,
    Output,
    ProviderJob,
    utc_now,
)
from video_assets.reasons import Reason

G = GenerationStatus
J = JobStatus

GENERATION_TRANSITIONS: dict[GenerationStatus, frozenset[GenerationStatus]] = {
    G.QUEUED: frozenset({G.PROCESSING, G.STORING, G.FAILED, G.CANCELLED}),
    G.PROCESSING: frozenset({G.STORING, G.COMPLETED, G.FAILED, G.CANCELLED, G.EXPIRED}),
    G.STORING: frozenset({G.PROCESSING, G.COMPLETED, G.FAILED, G.CANCELLED, G.EXPIRED}),
    G.COMPLETED: frozenset(),
    # A person may try again what ended badly; the videos that are already durable stay so.
    G.FAILED: frozenset({G.QUEUED, G.PROCESSING, G.STORING}),
    G.CANCELLED: frozenset({G.QUEUED, G.PROCESSING, G.STORING}),
    G.EXPIRED: frozenset({G.QUEUED, G.PROCESSING, G.STORING}),
}

JOB_TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    J.PLANNED: frozenset({J.INTENDED, J.CANCELLED, J.FAILED}),
    # Back to planned only when the provider certainly did not take it.
    J.INTENDED: frozenset({J.PLANNED, J.QUEUED, J.RUNNING, J.SUCCEEDED, J.FAILED, J.CANCELLED, J.UNCONFIRMED}),
    J.QUEUED: frozenset({J.RUNNING, J.SUCCEEDED, J.FAILED, J.CANCELLED, J.ABANDONED}),
    J.RUNNING: frozenset({J.QUEUED, J.SUCCEEDED, J.FAILED, J.CANCELLED, J.ABANDONED}),
    J.UNCONFIRMED: frozenset({J.PLANNED, J.QUEUED, J.RUNNING, J.SUCCEEDED, J.FAILED, J.CANCELLED}),
    # Asked about again, and followed again when the provider answers; what it says then is the next step.
    J.ABANDONED: frozenset({J.RUNNING}),
    J.SUCCEEDED: frozenset(),
    J.FAILED: frozenset(),
    J.CANCELLED: frozenset(),
}

PRIMARY_KINDS: tuple[frozenset[str], ...] = (
    frozenset({"video", "clip"}),
    frozenset({"captioned"}),
    frozenset({"archive", "audio"}),
    frozenset({"gif"}),
    frozenset({"subtitle"}),
)
"""What a job was asked for: the first of these families of which it offers a file. Its other files are secondary:
one that is lost is recorded and shown, and ends no generation. A thumbnail is always secondary."""


class IllegalTransition(Exception):
    """The state machine does not allow this step."""


def move_generation(generation: Generation, status: GenerationStatus) -> None:
    """Change a generation's status. Raises IllegalTransition; moving to the same status does nothing."""
    if generation.status == status:
        return
    if status not in GENERATION_TRANSITIONS[GenerationStatus(generation.status)]:
        raise IllegalTransition(f"generation {generation.id} cannot go from {generation.status} to {status}")
    generation.status = status
    generation.updated_at = utc_now()


def move_job(job: ProviderJob, status: JobStatus) -> None:
    """Change a provider job's status. Raises IllegalTransition; moving to the same status does nothing."""
    if job.status == status:
        return
    if status not in JOB_TRANSITIONS[JobStatus(job.status)]:
        raise IllegalTransition(f"provider job {job.id} cannot go from {job.status} to {status}")
    job.status = status
    job.updated_at = utc_now()


def primary_outputs(outputs: Iterable[Output]) -> list[Output]:
    """Those outputs that make or break a generation, job by job; see ``PRIMARY_KINDS``."""
    by_job: dict[str, list[Output]] = {}
    for output in outputs:
        by_job.setdefault(output.job_id, []).append(output)
    found: list[Output] = []
    for offered in by_job.values():
        kinds = {output.kind for output in offered}
        family = next((family for family in PRIMARY_KINDS if family & kinds), frozenset[str]())
        found += [output for output in offered if output.kind in family]
    return found


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a generation stands, as its jobs and outputs tell."""

    status: GenerationStatus
    reason: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the rules look at."""

    newest: Sequence[ProviderJob]
    """The newest try of each version."""
    primary: Sequence[Output]
    """Primary outputs of these, and of older tries what is durable already."""
    secondary: Sequence[Output]
    """The other outputs of the newest tries."""
    cancel_requested: bool

    def jobs(self, *statuses: JobStatus) -> list[ProviderJob]:
        return [job for job in self.newest if job.status in statuses]

    def files(self, state: MediaState) -> list[Output]:
        return [output for output in self.primary if output.state == state]

    @property
    def undelivered(self) -> bool:
        """Whether some version has no durable file."""
        return not {job.id for job in self.newest} <= {output.job_id for output in self.files(MediaState.STORED)}

    @property
    def kept(self) -> str:
        stored = len(self.files(MediaState.STORED))
        return f" {stored} of its videos {'is' if stored == 1 else 'are'} durable." if stored else ""


_GONE = frozenset({Reason.SOURCE_EXPIRED, Reason.SOURCE_GONE, Reason.SOURCE_REFUSED})


def _storing(parts: _Parts) -> Standing:
    worst = next((o for o in parts.files(MediaState.PENDING) if o.reason), None)
    return Standing(G.STORING, worst.reason if worst else None, worst.message if worst else None)


def _lost(parts: _Parts) -> Standing:
    lost = parts.files(MediaState.LOST)
    status = G.EXPIRED if all(output.reason in _GONE for output in lost) else G.FAILED
    return Standing(status, lost[0].reason, (lost[0].message or "") + parts.kept)


def _failed(parts: _Parts) -> Standing:
    job = parts.jobs(J.FAILED)[0]
    message = (job.failure_message or "The provider's job failed.") + parts.kept
    return Standing(G.FAILED, job.failure_code or str(Reason.PROVIDER_REFUSED), message)


def _abandoned(parts: _Parts) -> Standing:
    jobs = parts.jobs(J.ABANDONED)
    # The provider forgot the job before its output could be seen: gone, not failed.
    status = G.EXPIRED if all(job.failure_code == Reason.SOURCE_GONE for job in jobs) else G.FAILED
    reason = jobs[0].failure_code or str(Reason.PROVIDER_ERROR)
    return Standing(status, reason, (jobs[0].failure_message or "The job was given up.") + parts.kept)


def _unconfirmed(parts: _Parts) -> Standing:
    message = (parts.jobs(J.UNCONFIRMED)[0].failure_message or "") + parts.kept
    return Standing(G.FAILED, Reason.SUBMISSION_UNCONFIRMED, message)


def _completed(parts: _Parts) -> Standing:
    lost = [output for output in parts.secondary if output.state == MediaState.LOST]
    if not lost:
        return Standing(G.COMPLETED)
    names = ", ".join(sorted({f"{output.kind} {output.index}" for output in lost}))
    why = lost[0].message or lost[0].reason or "?"
    return Standing(G.COMPLETED, lost[0].reason, f"Complete but for {names}, which could not be saved: {why}")


def _processing(parts: _Parts) -> Standing:
    troubled = [job for job in parts.jobs(J.QUEUED, J.RUNNING) if job.poll_failures and job.failure_message]
    if not troubled:
        return Standing(G.PROCESSING)
    return Standing(G.PROCESSING, Reason.PROVIDER_ERROR, troubled[0].failure_message)


def _given_up(parts: _Parts) -> Standing:
    given_up = parts.files(MediaState.GIVEN_UP)
    return Standing(G.CANCELLED, None, (given_up[0].message or "A person gave it up.") + parts.kept)


def _cancelled(parts: _Parts) -> Standing:
    return Standing(G.CANCELLED, None, f"Cancelled.{parts.kept}" if parts.kept else "Cancelled on request.")


def _undelivered(parts: _Parts) -> Standing:
    message = f"The provider reported success without any output.{parts.kept}"
    return Standing(G.FAILED, Reason.PROVIDER_ERROR, message)


def _is_queued(parts: _Parts) -> bool:
    """Nothing has reached the provider, as far as is known."""
    sent = len(parts.newest) - len(parts.jobs(J.PLANNED, J.INTENDED, J.UNCONFIRMED))
    return not sent and bool(parts.jobs(J.PLANNED, J.INTENDED))


RULES: tuple[tuple[Callable[[_Parts], object], Callable[[_Parts], Standing]], ...] = (
    (lambda parts: not parts.newest and parts.cancel_requested, _cancelled),
    # Something is still to come.
    (lambda parts: not parts.newest or _is_queued(parts), lambda parts: Standing(G.QUEUED)),
    (lambda parts: parts.jobs(J.PLANNED, J.INTENDED, J.QUEUED, J.RUNNING), _processing),
    (lambda parts: parts.files(MediaState.PENDING), _storing),
    # Nothing is: the worst that happened to any version is told. What ended badly comes before a cancellation,
    # because a cancellation that came too late has stopped nothing.
    (lambda parts: parts.files(MediaState.LOST), _lost),
    (lambda parts: parts.jobs(J.FAILED), _failed),
    (lambda parts: parts.jobs(J.ABANDONED) and not parts.cancel_requested, _abandoned),
    (lambda parts: parts.jobs(J.UNCONFIRMED), _unconfirmed),
    (lambda parts: parts.files(MediaState.GIVEN_UP), _given_up),
    (lambda parts: parts.jobs(J.CANCELLED, J.ABANDONED), _cancelled),
    (lambda parts: parts.undelivered, _undelivered),
    (lambda parts: True, _completed),
)
"""Condition and result; the first condition that holds decides. ``docs/catalog.md`` explains them."""


def standing(
    jobs: Iterable[ProviderJob], outputs: Iterable[Output], *, cancel_requested: bool = False
) -> Standing:
    """What the newest try of each version and the outputs say about the whole. A pure function.

    ``completed`` means that every primary output of every version is durable. What is already durable stays
    so in every other status too.
    """
    newest: dict[int, ProviderJob] = {}
    for job in jobs:
        if job.ordinal not in newest or job.try_number > newest[job.ordinal].try_number:
            newest[job.ordinal] = job
    current = {job.id for job in newest.values()}
    known = list(outputs)
    primary = primary_outputs(known)
    names = {output.id for output in primary}
    parts = _Parts(
        list(newest.values()),
        [output for output in primary if output.job_id in current or output.state == MediaState.STORED],
        [output for output in known if output.job_id in current and output.id not in names],
        cancel_requested,
    )
    return next(result for condition, result in RULES if condition(parts))(parts)
