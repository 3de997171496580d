"""Submission: the intent is written before the request leaves, so that no job is ever paid twice.

A job found ``intended`` by a later process is one whose answer was lost. It is looked for at the provider
(:meth:`Provider.find_submitted`); where the API has no way to look, a person decides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from video_assets.catalog import (
    Catalog,
    Generation,
    GenerationStatus,
    JobStatus,
    ProviderJob,
    journal,
    leases,
    queries,
)
from video_assets.catalog.models import utc_now
from video_assets.catalog.settling import settle
from video_assets.catalog.states import move_job
from video_assets.generations import capacity
from video_assets.generations.following import record_snapshot
from video_assets.generations.stopping import stop_job
from video_assets.providers.base import (
    GenerationSpec,
    JobSnapshot,
    Provider,
    ProviderError,
    RequestRefused,
    SubmissionUncertain,
)
from video_assets.settings import Settings

log = logging.getLogger(__name__)

GetProvider = Callable[[str], Provider]

RECONCILE_AFTER = timedelta(seconds=20)
"""How long a provider's listing may lag behind its own POST before absence counts as proof."""


class SubmissionDelayed(Exception):
    """Not submitted yet; it stays queued and is tried again by itself. The message says why."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NoFreePlace(SubmissionDelayed):
    """The provider has as many jobs under way as it may."""


@dataclass(slots=True)
class Submission:
    """What one call did."""

    generation: Generation
    submitted: list[str] = field(default_factory=list)
    """Ids of jobs that this call sent or found again."""
    skipped: list[str] = field(default_factory=list)
    """Ids of jobs that were with the provider already."""


def submit_generation(
    catalog: Catalog,
    generation_id: str,
    get_provider: GetProvider,
    settings: Settings,
    *,
    run_id: str | None = None,
) -> Submission:
    """Send every planned job of a generation, once each.

    Safe to call again at any time, from several processes. Raises GenerationNotFound, SubmissionDelayed (unless
    other versions are at the provider already and this one only waits for a free place), or the provider's
    KeyRefused; a refused request is recorded as the job's failure and does not raise.
    """
    with catalog.read() as session:
        generation = queries.get_generation(session, generation_id)
        jobs = queries.jobs_of(session, generation_id)
    result = Submission(generation)
    delayed: ProviderError | None = None
    waiting: NoFreePlace | None = None
    for job in jobs:
        if job.status not in (JobStatus.PLANNED, JobStatus.INTENDED):
            result.skipped.append(job.id)
            continue
        try:
            if _submit_job(catalog, generation, job.id, get_provider(generation.provider), settings, run_id):
                result.submitted.append(job.id)
        except ProviderError as exc:
            delayed = exc
        except NoFreePlace as exc:
            waiting = exc
            break
    with catalog.write() as session:
        result.generation = settle(session, generation_id, run_id=run_id)
        if waiting is not None:
            result.generation.error_message = str(waiting)
        if delayed is not None and not GenerationStatus(result.generation.status).settled:
            result.generation.reason = str(delayed.reason)
            result.generation.error_message = str(delayed)
    if delayed is not None:
        waits = delayed.retryable or isinstance(delayed, SubmissionUncertain)
        if waits and not GenerationStatus(result.generation.status).settled:
            raise SubmissionDelayed(str(delayed), retry_after=delayed.retry_after)
        raise delayed
    if waiting is not None and result.generation.status == GenerationStatus.QUEUED:
        raise waiting
    return result


def _submit_job(
    catalog: Catalog,
    generation: Generation,
    job_id: str,
    provider: Provider,
    settings: Settings,
    run_id: str | None,
) -> bool:
    """One job, under its lease. True when it is with the provider now."""
    ttl = timedelta(seconds=max(settings.lease_seconds, 2 * settings.provider_timeout_seconds))
    with catalog.write() as session:
        claim = leases.acquire(session, f"job:{job_id}", leases.new_holder(), ttl=ttl)
    if claim is None:
        raise SubmissionDelayed(f"another process is submitting {job_id}")
    try:
        return _submit_claimed(catalog, generation, job_id, provider, settings, run_id)
    finally:
        with catalog.write() as session:
            leases.release(session, claim)


def _submit_claimed(
    catalog: Catalog,
    generation: Generation,
    job_id: str,
    provider: Provider,
    settings: Settings,
    run_id: str | None,
) -> bool:
    with catalog.write() as session:
        job = session.get_one(ProviderJob, job_id, populate_existing=True)
        cancelled = queries.get_generation(session, generation.id).cancel_requested_at is not None
        if job.status == JobStatus.PLANNED and cancelled:
            move_job(job, JobStatus.CANCELLED)
            return False
        interrupted = job.status == JobStatus.INTENDED
        if not interrupted:
            if job.status != JobStatus.PLANNED:
                return False
            if capacity.free_places(session, provider, settings) == 0:
                raise NoFreePlace(capacity.why_it_waits(provider, settings))
            move_job(job, JobStatus.INTENDED)
            job.intended_at = utc_now()
            job.submit_attempts += 1
            journal.record(
                session,
                "intended",
                f"about to submit to {provider.title}",
                generation_id=generation.id,
                job_id=job_id,
                run_id=run_id,
            )
    spec = GenerationSpec(
        generation.model,
        generation.submitted_prompt or generation.prompt,
        generation.parameters,
        client_reference=job.client_reference,
    )
    if interrupted:
        snapshot = _reconcile(catalog, job, spec, provider, run_id)
        if snapshot is None:
            return _submit_claimed(catalog, generation, job_id, provider, settings, run_id)
    else:
        snapshot = _send(catalog, job, spec, provider, run_id)
    if snapshot is None:
        return False
    with catalog.write() as session:
        job = session.get_one(ProviderJob, job_id, populate_existing=True)
        now = utc_now()
        job.task_id = snapshot.task_id
        job.submitted_at = now
        job.cost_unit = provider.cost_unit
        job.deadline_at = now + settings.job_deadline
        record_snapshot(session, job, snapshot, provider, settings, now=now)
        journal.record(
            session,
            "submitted",
            f"{provider.title} took it as {snapshot.task_id}",
            generation_id=generation.id,
            job_id=job_id,
            run_id=run_id,
        )
        cancelled = queries.get_generation(session, generation.id).cancel_requested_at is not None
    if cancelled and JobStatus(job.status).at_provider:
        try:
            stop_job(catalog, job, provider)
        except ProviderError as exc:
            log.warning("%s was cancelled while it was submitted, and is to be stopped yet: %s", job_id, exc)
    return True


def _send(
    catalog: Catalog, job: ProviderJob, spec: GenerationSpec, provider: Provider, run_id: str | None
) -> JobSnapshot | None:
    """The one POST. None when the provider refused for good (recorded); raises when it is to be tried later."""
    try:
        return provider.submit(spec)
    except RequestRefused as exc:
        _fail(catalog, job.id, str(exc.reason), str(exc), run_id)
        return None
    except SubmissionUncertain as exc:
        log.warning("%s: the answer to the submission was lost; looking for the job at the provider", job.id)
        found = _look(catalog, job, spec, provider, run_id, uncertain=exc)
        if found is None:
            raise SubmissionUncertain(
                f"{provider.title} did not confirm {job.id}; it is looked for again before anything is sent"
            ) from None
        _found_again(catalog, job, found, provider, run_id)
        return found
    except ProviderError:
        # Certainly not taken: the intent is withdrawn, the job may be sent again later.
        with catalog.write() as session:
            move_job(session.get_one(ProviderJob, job.id, populate_existing=True), JobStatus.PLANNED)
        raise


def _reconcile(
    catalog: Catalog, job: ProviderJob, spec: GenerationSpec, provider: Provider, run_id: str | None
) -> JobSnapshot | None:
    """Look for a job whose answer was lost. None when it certainly does not exist (it is planned again)."""
    found = _look(catalog, job, spec, provider, run_id, uncertain=None)
    if found is not None:
        _found_again(catalog, job, found, provider, run_id)
        return found
    if job.intended_at is not None and utc_now() - job.intended_at < RECONCILE_AFTER:
        raise SubmissionUncertain(
            f"{job.id} was sent {provider.title} a moment ago and is not listed yet; it is looked for again"
        )
    with catalog.write() as session:
        move_job(session.get_one(ProviderJob, job.id, populate_existing=True), JobStatus.PLANNED)
        journal.record(
            session,
            "reconciled",
            f"{provider.title} does not list it: it was never taken",
            generation_id=job.generation_id,
            job_id=job.id,
            run_id=run_id,
        )
    return None


def _found_again(
    catalog: Catalog, job: ProviderJob, found: JobSnapshot, provider: Provider, run_id: str | None
) -> None:
    with catalog.write() as session:
        journal.record(
            session,
            "reconciled",
            f"the answer to the submission was lost; {provider.title} lists the job as {found.task_id}",
            generation_id=job.generation_id,
            job_id=job.id,
            run_id=run_id,
        )


def _look(
    catalog: Catalog,
    job: ProviderJob,
    spec: GenerationSpec,
    provider: Provider,
    run_id: str | None,
    *,
    uncertain: SubmissionUncertain | None,
) -> JobSnapshot | None:
    since = (job.intended_at or job.created_at) - timedelta(minutes=1)
    with catalog.read() as session:
        owned = queries.task_ids_since(session, provider.name, since - timedelta(hours=1))
    try:
        return provider.find_submitted(spec, since=since, exclude=owned)
    except SubmissionUncertain as exc:
        message = (
            f"the answer to the submission was lost ({uncertain or 'the process ended in the middle'}) and "
            f"{provider.title} has no way to look for it: {exc}"
        )
        with catalog.write() as session:
            row = session.get_one(ProviderJob, job.id, populate_existing=True)
            move_job(row, JobStatus.UNCONFIRMED)
            row.failure_code = str(exc.reason)
            row.failure_message = message
            journal.record(
                session,
                "unconfirmed",
                message,
                generation_id=job.generation_id,
                job_id=job.id,
                run_id=run_id,
            )
        raise


def _fail(catalog: Catalog, job_id: str, code: str, message: str, run_id: str | None) -> None:
    with catalog.write() as session:
        job = session.get_one(ProviderJob, job_id, populate_existing=True)
        move_job(job, JobStatus.FAILED)
        job.failure_code = code
        job.failure_message = message
        job.finished_at = utc_now()
        journal.record(session, "failed", message, generation_id=job.generation_id, job_id=job_id, run_id=run_id)
