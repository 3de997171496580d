"""What a person does to a generation: cancel it, or have what ended badly tried again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
from video_assets.catalog.states import move_generation, move_job
from video_assets.generations.intake import plan_job
from video_assets.providers.base import Provider, TaskUnknown
from video_assets.reasons import Reason
from video_assets.urls import redact

GetProvider = Callable[[str], Provider]

_NOT_DURABLE = (MediaState.PENDING, MediaState.LOST)


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
        if JobStatus(job.status).at_provider and job.task_id is not None:
            _cancel_job(catalog, job, get_provider(job.provider))
    with catalog.write() as session:
        return settle(session, generation_id)


def _cancel_job(catalog: Catalog, job: ProviderJob, provider: Provider) -> None:
    stopped = False
    note = f"{provider.title} cannot stop a job: it may still be charged, and its output is not kept"
    if provider.can_cancel and job.task_id is not None:
        try:
            stopped = provider.cancel(job.task_id)
            note = f"{provider.title} was asked to stop {job.task_id}"
        except TaskUnknown:
            stopped, note = True, f"{provider.title} no longer knows {job.task_id}"
        if not stopped:
            return  # it finished in the meantime: it is followed and stored like any other
    with catalog.write() as session:
        row = session.get_one(ProviderJob, job.id, populate_existing=True)
        if JobStatus(row.status).at_provider:
            move_job(row, JobStatus.CANCELLED)
            row.finished_at = utc_now()
            row.next_poll_at = None
            row.failure_message = note
            journal.record(session, "provider_cancelled", note, generation_id=job.generation_id, job_id=job.id)


def retry_generation(catalog: Catalog, generation_id: str, *, resubmit: bool = False) -> Generation:
    """Try again what ended badly, or at once what waits for its next attempt.

    Lost outputs and those that were given up are rescued again, free of charge: with the link that was kept, or
    with a fresh one that the provider is asked for. Failed or cancelled
    jobs are planned again. Where that might be paid twice (an unconfirmed submission, or a job that delivered)
    ``resubmit`` must be given. Raises NotPossible, GenerationNotFound.
    """
    with catalog.write() as session:
        generation = queries.get_generation(session, generation_id, lock=True)
        status = GenerationStatus(generation.status)
        if status is GenerationStatus.COMPLETED:
            raise NotPossible(f"{generation_id} is completed: every video is durable, nothing to retry")
        now = utc_now()
        outputs = queries.outputs_of(session, generation_id)
        jobs = queries.jobs_of(session, generation_id)
        if not status.settled:
            for output in outputs:
                if output.state == MediaState.PENDING:
                    output.next_attempt_at = now
            for job in jobs:
                if JobStatus(job.status).at_provider:
                    job.next_poll_at = now
            generation.queued_at = now
        else:
            _revive(session, generation, resubmit=resubmit)
        generation.attempt += 1
        generation.updated_at = now
        journal.record(session, "retried", "retry requested", generation_id=generation_id)
        return generation


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
    """Give every lost output of a generation another chance, free of charge; returns how many.

    The link that was kept is tried, or the provider asked for a fresh one; no job is submitted. Does nothing for
    a completed generation.
    """
    with catalog.write() as session:
        generation = queries.get_generation(session, generation_id, lock=True)
        if GenerationStatus(generation.status) not in (GenerationStatus.EXPIRED, GenerationStatus.FAILED):
            return 0
        lost = [o for o in queries.outputs_of(session, generation_id) if o.state == MediaState.LOST]
        _renew(lost)
        if lost:
            move_generation(generation, GenerationStatus.STORING)
            journal.record(session, "retried", "lost outputs are tried again", generation_id=generation_id)
        return len(lost)


def _renew(lost: Sequence[Output]) -> None:
    now = utc_now()
    for output in lost:
        output.state = MediaState.PENDING
        output.attempts = 0
        output.next_attempt_at = now
        output.failing_since = output.lost_at = None
        output.reason = output.message = None
        output.updated_at = now


def _revive(session: Session, generation: Generation, *, resubmit: bool) -> None:
    now = utc_now()
    jobs = queries.jobs_of(session, generation.id)
    outputs = queries.outputs_of(session, generation.id)
    lost = [output for output in outputs if output.state in (MediaState.LOST, MediaState.GIVEN_UP)]
    newest = {job.ordinal: job for job in sorted(jobs, key=lambda job: job.try_number)}
    again: list[ProviderJob] = []
    for job in newest.values():
        if job.status == JobStatus.UNCONFIRMED:
            if not resubmit:
                raise NotPossible(
                    f"{job.id} may already be at the provider. Look at its dashboard; add --resubmit to send it "
                    "once more and accept a second charge"
                )
            again.append(job)
        elif job.failure_code == Reason.SOURCE_GONE and not resubmit:
            raise NotPossible(
                f"{job.id} was made, and its output was gone before it could be saved. Add --resubmit to have it "
                "made once more and accept a second charge"
            )
        elif job.status in (JobStatus.FAILED, JobStatus.CANCELLED) or (
            resubmit and any(output.job_id == job.id for output in lost)
        ):
            again.append(job)
    for job in again:
        session.add(plan_job(generation, job.ordinal, job.try_number + 1))
    renewed = [output for output in lost if output.job_id not in {job.id for job in again}]
    _renew(renewed)
    if not again and not renewed:
        raise NotPossible(f"{generation.id} has nothing that could be tried again")
    generation.cancel_requested_at = None
    generation.queued_at = now
    generation.retired_at = None
    generation.reason = generation.error_message = None
    move_generation(generation, GenerationStatus.QUEUED if again else GenerationStatus.STORING)
