"""What a person does to a generation: cancel it, or have what ended badly tried again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlmodel import Session

from video_assets.catalog import (
    Catalog,
    Generation,
    GenerationStatus,
    JobStatus,
    MediaState,
    Output,
    ProviderJob,
    journal,
    leases,
    queries,
)
from video_assets.catalog.models import utc_now
from video_assets.catalog.settling import settle
from video_assets.catalog.states import move_generation, move_job, primary_outputs
from video_assets.generations.intake import plan_job
from video_assets.generations.stopping import stop_job
from video_assets.providers.base import Provider
from video_assets.urls import redact

GetProvider = Callable[[str], Provider]

_NOT_DURABLE = (MediaState.PENDING, MediaState.LOST)
_GONE = (MediaState.LOST, MediaState.GIVEN_UP)


class NotPossible(Exception):
    """What was asked makes no sense in the generation's present state. The message says what to do instead."""


def cancel_generation(catalog: Catalog, generation_id: str, get_provider: GetProvider) -> Generation:
    """Stop a generation that is not yet generated.

    Queued: nothing is sent. At the provider: it is asked to stop where it can, and no longer followed.
    Raises NotPossible when the video exists already (it is paid for and being made durable) or all is settled,
    GenerationNotFound, and ProviderError when the provider cannot be asked (nothing is changed then).
    """
    with catalog.write() as session:
        generation = queries.get_generation(session, generation_id, lock=True)
        status = GenerationStatus(generation.status)
        if status is GenerationStatus.STORING:
            raise NotPossible(
                f"{generation_id} is generated and paid for, and is being made durable now; "
                "wait until it is completed"
            )
        if status.settled:
            raise NotPossible(f"{generation_id} is {status} already; there is nothing to cancel")
        generation.cancel_requested_at = generation.cancel_requested_at or utc_now()
        journal.record(session, "cancel_requested", "cancel requested", generation_id=generation_id)
        jobs = queries.jobs_of(session, generation_id)
        for job in jobs:
            if job.status == JobStatus.PLANNED:
                move_job(job, JobStatus.CANCELLED)
    for job in jobs:
        if JobStatus(job.status).at_provider:
            stop_job(catalog, job, get_provider(job.provider))
    with catalog.write() as session:
        return settle(session, generation_id)


@dataclass(frozen=True, slots=True)
class Retry:
    """What a retry does."""

    again: list[ProviderJob]
    """Sent once more, as a new try."""
    asked: list[ProviderJob]
    """Asked about once more: free of charge."""
    renewed: list[Output]
    """Rescued once more: free of charge."""
    unconfirmed: list[ProviderJob]
    """May be at the provider; only a person can say whether to send them once more."""

    def __bool__(self) -> bool:
        return bool(self.again or self.asked or self.renewed)


def what_to_retry(jobs: Sequence[ProviderJob], outputs: Sequence[Output], *, resubmit: bool) -> Retry:
    """What can be tried again of a settled generation; a pure function. Nothing that is durable is touched.

    ``resubmit`` sends again what may be paid twice: what is unconfirmed, what was given up, and what delivered
    nothing or files that are lost.
    """
    newest = {job.ordinal: job for job in sorted(jobs, key=lambda job: job.try_number)}
    primary = primary_outputs(outputs)
    delivered = {output.job_id for output in primary}
    spoilt = {output.job_id for output in primary if output.state in _GONE}
    found = Retry([], [], [], [])
    for job in newest.values():
        status = JobStatus(job.status)
        paid = status is JobStatus.SUCCEEDED and (job.id in spoilt or job.id not in delivered)
        free_of_doubt = status in (JobStatus.FAILED, JobStatus.CANCELLED)
        doubtful = status in (JobStatus.ABANDONED, JobStatus.UNCONFIRMED)
        if free_of_doubt or (resubmit and (doubtful or paid)):
            found.again.append(job)
        elif status is JobStatus.ABANDONED:
            found.asked.append(job)
        elif status is JobStatus.UNCONFIRMED:
            found.unconfirmed.append(job)
    rescued = {job.id for job in newest.values()} - {job.id for job in found.again}
    found.renewed.extend(o for o in outputs if o.state in _GONE and o.job_id in rescued)
    return found


def retry_generation(catalog: Catalog, generation_id: str, *, resubmit: bool = False) -> Generation:
    """Try again what ended badly, or at once what waits for its next attempt.

    Lost outputs and those that were given up are rescued again, free of charge: with the link that was kept, or
    with a fresh one that the provider is asked for. An abandoned job is asked about again, which is free too.
    Failed or cancelled jobs are planned again. Where that might be paid twice (an unconfirmed submission, a job
    that was abandoned or delivered) ``resubmit`` must be given. A cancellation that has not taken effect is taken
    back. Raises NotPossible, GenerationNotFound.
    """
    with catalog.write() as session:
        generation = queries.get_generation(session, generation_id, lock=True)
        now = utc_now()
        outputs = queries.outputs_of(session, generation_id)
        jobs = queries.jobs_of(session, generation_id)
        if not GenerationStatus(generation.status).settled:
            for output in outputs:
                if output.state == MediaState.PENDING:
                    output.next_attempt_at = now
            for job in jobs:
                if JobStatus(job.status).at_provider:
                    job.next_poll_at = now
        else:
            _revive(session, generation, _possible(generation, jobs, outputs, resubmit=resubmit))
        generation.cancel_requested_at = None
        generation.queued_at = now
        generation.attempt += 1
        journal.record(session, "retried", "retry requested", generation_id=generation_id)
        return settle(session, generation_id)


def give_up_outputs(catalog: Catalog, generation_id: str, *, why: str | None = None) -> Generation:
    """Give up the outputs of a generation that are lost or not durable yet: a person does not want them.

    Their links are erased, and a worker that has one in hand cannot commit it; what is durable stays. Raises
    NotPossible when there is no such output, or the provider still works on the generation (cancel it),
    GenerationNotFound.
    """
    with catalog.write() as session:
        # In the order in which workers lock them: the lease, then the generation.
        outputs = queries.outputs_of(session, generation_id)
        leases.revoke(session, [f"output:{output.id}" for output in outputs if output.state in _NOT_DURABLE])
        generation = queries.get_generation(session, generation_id, lock=True)
        status = GenerationStatus(generation.status)
        if status in (GenerationStatus.QUEUED, GenerationStatus.PROCESSING):
            raise NotPossible(f"{generation_id} is {status}; use `video-assets cancel {generation_id}`")
        session.expire_all()
        outputs = queries.outputs_of(session, generation_id)
        given_up = [output for output in outputs if output.state in _NOT_DURABLE]
        if not given_up:
            raise NotPossible(f"{generation_id} is {status} and has no file that is lost or waits")
        now = utc_now()
        for output in given_up:
            output.state = MediaState.GIVEN_UP
            output.temporary_url = None
            output.next_attempt_at = output.failing_since = output.lost_at = None
            output.message = redact(why) if why else "A person gave it up."
            output.updated_at = now
            journal.record(session, "given_up", output.message, generation_id=generation_id, output_id=output.id)
        if status.settled and status is not GenerationStatus.COMPLETED:
            move_generation(generation, GenerationStatus.STORING)
        return settle(session, generation_id)


def revive_outputs(catalog: Catalog, generation_id: str) -> int:
    """Give what was lost of a generation another chance, free of charge; returns how many.

    The link that was kept is tried, or the provider asked for a fresh one or about the job; no job is submitted.
    """
    with catalog.write() as session:
        generation = queries.get_generation(session, generation_id, lock=True)
        if GenerationStatus(generation.status) not in (
            GenerationStatus.EXPIRED,
            GenerationStatus.FAILED,
            GenerationStatus.COMPLETED,
        ):
            return 0
        jobs, outputs = queries.jobs_of(session, generation_id), queries.outputs_of(session, generation_id)
        possible = what_to_retry(jobs, outputs, resubmit=False)
        lost = [output for output in possible.renewed if output.state == MediaState.LOST]
        free = Retry([], possible.asked, lost, [])
        if free:
            _revive(session, generation, free)
            journal.record(session, "retried", "what was lost is tried again", generation_id=generation_id)
            settle(session, generation_id)
        return len(free.asked) + len(free.renewed)


def _possible(
    generation: Generation, jobs: Sequence[ProviderJob], outputs: Sequence[Output], *, resubmit: bool
) -> Retry:
    """What to retry. Raises NotPossible, saying what else could be done."""
    found = what_to_retry(jobs, outputs, resubmit=resubmit)
    if found.unconfirmed:
        raise NotPossible(
            f"{found.unconfirmed[0].id} may already be at the provider. Look at its dashboard; add --resubmit to "
            "send it once more and accept a second charge"
        )
    if found:
        return found
    if generation.status == GenerationStatus.COMPLETED:
        raise NotPossible(f"{generation.id} is completed: every video is durable, nothing to retry")
    more = what_to_retry(jobs, outputs, resubmit=True)
    hint = ". Add --resubmit to have it generated once more and accept a second charge" if more else ""
    raise NotPossible(f"{generation.id} has nothing that could be tried again free of charge{hint}")


def _revive(session: Session, generation: Generation, retry: Retry) -> None:
    now = utc_now()
    for output in retry.renewed:
        output.state = MediaState.PENDING
        output.attempts = 0
        output.next_attempt_at = now
        output.failing_since = output.lost_at = None
        output.reason = output.message = None
        output.updated_at = now
    for job in retry.asked:
        # How long it is unknown is kept: one more such answer confirms it, any other brings the job back.
        move_job(job, JobStatus.RUNNING)
        if job.deadline_at is not None:
            job.deadline_at = max(job.deadline_at, now + (job.deadline_at - (job.submitted_at or job.created_at)))
        job.next_poll_at = now
        job.finished_at = job.failure_code = job.failure_message = None
        job.poll_failures = 0
    for job in retry.again:
        job.next_poll_at = None
        session.add(plan_job(generation, job.ordinal, job.try_number + 1))
    generation.retired_at = None
