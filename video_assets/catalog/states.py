"""The state machines, as tables and one guard: whatever is not listed here cannot happen."""

from __future__ import annotations

from collections.abc import Iterable
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
    J.QUEUED: frozenset({J.RUNNING, J.SUCCEEDED, J.FAILED, J.CANCELLED}),
    J.RUNNING: frozenset({J.QUEUED, J.SUCCEEDED, J.FAILED, J.CANCELLED}),
    J.UNCONFIRMED: frozenset({J.PLANNED, J.QUEUED, J.RUNNING, J.SUCCEEDED, J.FAILED, J.CANCELLED}),
    J.SUCCEEDED: frozenset(),
    J.FAILED: frozenset(),
    J.CANCELLED: frozenset(),
}

PRIMARY_KINDS = frozenset({"video", "clip", "captioned", "audio", "archive", "gif", "subtitle"})
"""Outputs that make or break a generation; a lost thumbnail is recorded and replaced by our own poster."""


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


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a generation stands, as its jobs and outputs tell."""

    status: GenerationStatus
    reason: str | None = None
    message: str | None = None


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
    wanted = [
        o for o in outputs if o.kind in PRIMARY_KINDS and (o.job_id in current or o.state == MediaState.STORED)
    ]
    states = [JobStatus(job.status) for job in newest.values()]
    if cancel_requested and not states:
        return Standing(G.CANCELLED, None, "Cancelled on request.")
    if any(s in (J.PLANNED, J.INTENDED) for s in states) or not states:
        return Standing(G.QUEUED if not any(s.at_provider or s.settled for s in states) else G.PROCESSING)
    if any(s.at_provider for s in states):
        return Standing(G.PROCESSING)
    pending = [o for o in wanted if o.state == MediaState.PENDING]
    if pending:
        worst = next((o for o in pending if o.reason), None)
        return Standing(G.STORING, worst.reason if worst else None, worst.message if worst else None)
    unconfirmed = [j for j in newest.values() if j.status == J.UNCONFIRMED]
    failed = [j for j in newest.values() if j.status == J.FAILED]
    cancelled = [j for j in newest.values() if j.status == J.CANCELLED]
    lost = [o for o in wanted if o.state == MediaState.LOST]
    stored = sum(o.state == MediaState.STORED for o in wanted)
    kept = f" {stored} of its videos {'is' if stored == 1 else 'are'} durable." if stored else ""
    if lost:
        gone = all(o.reason in (Reason.SOURCE_EXPIRED, Reason.SOURCE_GONE, Reason.SOURCE_REFUSED) for o in lost)
        return Standing(G.EXPIRED if gone else G.FAILED, lost[0].reason, (lost[0].message or "") + kept)
    if failed:
        reason = failed[0].failure_code or str(Reason.PROVIDER_REFUSED)
        # The provider forgot the job before its output could be seen: gone, not refused.
        status = G.EXPIRED if all(j.failure_code == Reason.SOURCE_GONE for j in failed) else G.FAILED
        return Standing(status, reason, (failed[0].failure_message or "The provider's job failed.") + kept)
    if unconfirmed:
        return Standing(G.FAILED, Reason.SUBMISSION_UNCONFIRMED, (unconfirmed[0].failure_message or "") + kept)
    given_up = [o for o in wanted if o.state == MediaState.GIVEN_UP]
    if given_up:
        return Standing(G.CANCELLED, None, (given_up[0].message or "A person gave it up.") + kept)
    if cancelled or (cancel_requested and not stored):
        return Standing(G.CANCELLED, None, ("Cancelled." + kept) if kept else "Cancelled on request.")
    delivered = {o.job_id for o in wanted if o.state == MediaState.STORED}
    if not current <= delivered:
        return Standing(
            G.FAILED, Reason.PROVIDER_ERROR, "The provider reported success without any output." + kept
        )
    return Standing(G.COMPLETED)
