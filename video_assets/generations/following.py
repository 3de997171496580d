"""Following: ask the provider about every job that is due, and write down what it says.

A snapshot's temporary URLs go into the one encrypted column; everything else keeps the redacted form.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlmodel import Session

from video_assets.catalog import (
    Catalog,
    GenerationStatus,
    JobStatus,
    MediaState,
    Output,
    ProviderJob,
    journal,
    queries,
)
from video_assets.catalog.models import utc_now
from video_assets.catalog.settling import settle
from video_assets.catalog.states import move_job
from video_assets.generations import unknown
from video_assets.generations.stopping import stop_job
from video_assets.providers.base import (
    JobSnapshot,
    JobState,
    OfferedOutput,
    Provider,
    ProviderError,
    TaskUnknown,
)
from video_assets.reasons import RETRY_POLICIES, Reason
from video_assets.settings import Settings
from video_assets.urls import classify, fingerprint, redact

log = logging.getLogger(__name__)

GetProvider = Callable[[str], Provider]


@dataclass(frozen=True, slots=True)
class PollOutcome:
    """What one poll found."""

    job_id: str
    generation_id: str
    status: JobStatus
    progress: float | None = None
    changed: bool = False
    error: str | None = None
    """Why the provider could not be asked; None when it answered."""


@dataclass(slots=True)
class PollReport:
    """What one round of polls found."""

    due: int = 0
    outcomes: list[PollOutcome] = field(default_factory=list)
    out_of_time: int = 0
    """Jobs that were due but not reached within the budget; they come first in the next round."""

    @property
    def all_failed(self) -> bool:
        """True when jobs were asked about and not one answer came: a bad key must not look like a quiet day."""
        return bool(self.outcomes) and all(outcome.error for outcome in self.outcomes)


def poll_due_jobs(
    catalog: Catalog,
    get_provider: GetProvider,
    settings: Settings,
    *,
    budget_seconds: float,
    limit: int = 500,
    workers: int = 16,
    clock: Callable[[], float] = time.monotonic,
) -> PollReport:
    """Poll every due job, the longest overdue first, concurrently, within a time budget.

    Every answer is committed on its own, so a killed round loses nothing that was read.
    """
    stop_at = clock() + budget_seconds
    with catalog.read() as session:
        jobs = list(queries.jobs_due(session, now=utc_now(), limit=limit))
    report = PollReport(due=len(jobs))
    if not jobs:
        return report
    waiting = iter(jobs)
    running: set[Future[PollOutcome]] = set()
    pool = ThreadPoolExecutor(min(workers, len(jobs)), thread_name_prefix="poll")
    started = 0
    try:
        while True:
            while len(running) < workers and clock() < stop_at and (job := next(waiting, None)) is not None:
                running.add(pool.submit(poll_job, catalog, job.id, get_provider, settings))
                started += 1
            if not running:
                break
            done, running = wait(running, timeout=max(stop_at - clock(), 0.01), return_when=FIRST_COMPLETED)
            report.outcomes.extend(future.result() for future in done)
            if not done and clock() >= stop_at:
                break
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    report.out_of_time = len(jobs) - len(report.outcomes)
    return report


def poll_job(catalog: Catalog, job_id: str, get_provider: GetProvider, settings: Settings) -> PollOutcome:
    """Ask about one job and commit the answer. A provider that cannot be asked is an outcome, not an error."""
    with catalog.read() as session:
        job = session.get_one(ProviderJob, job_id)
        cancelled = queries.get_generation(session, job.generation_id).cancel_requested_at is not None
    if job.task_id is None or not _is_askable(job):
        return PollOutcome(job_id, job.generation_id, JobStatus(job.status))
    snapshot: JobSnapshot | None = None
    error: ProviderError | None = None
    provider: Provider | None = None
    before = (job.status, job.progress)
    trouble_changed = False
    try:
        provider = get_provider(job.provider)
        # Cancelled while the submission was on its way, or by a process that died before it could pass it on.
        if not (cancelled and stop_job(catalog, job, provider)):
            snapshot = provider.poll(job.task_id)
    except ProviderError as exc:
        error = exc
    with catalog.write() as session:
        job = session.get_one(ProviderJob, job_id, with_for_update=True, populate_existing=True)
        if _is_askable(job):
            now = utc_now()
            answered = job.poll_failures == 0
            if snapshot is not None and provider is not None:
                record_snapshot(session, job, snapshot, provider, settings, now=now)
            elif error is not None:
                _record_failed_poll(session, job, error, settings, now=now)
            _give_up_past_deadline(session, job, now=now)
            trouble_changed = answered != (job.poll_failures == 0)
        changed = (job.status, job.progress) != before
        if changed or trouble_changed:
            settle(session, job.generation_id)
        return PollOutcome(
            job_id,
            job.generation_id,
            JobStatus(job.status),
            job.progress,
            changed,
            (job.failure_message or str(error)) if error is not None else None,
        )


def _is_askable(job: ProviderJob) -> bool:
    """A job at the provider, or one that was given up and is to be asked about again."""
    return JobStatus(job.status).at_provider or (
        job.status == JobStatus.ABANDONED and job.next_poll_at is not None
    )


def record_snapshot(
    session: Session,
    job: ProviderJob,
    snapshot: JobSnapshot,
    provider: Provider,
    settings: Settings,
    *,
    now: datetime,
) -> None:
    """Write what the provider said into the job's row and the rows of its outputs."""
    if job.status == JobStatus.ABANDONED:
        move_job(job, JobStatus.RUNNING)
        journal.record(
            session,
            "found_again",
            f"{provider.title} knows {job.task_id} after all",
            generation_id=job.generation_id,
            job_id=job.id,
        )
        settle(session, job.generation_id)
    status = JobStatus(snapshot.state.value)
    if JobStatus(job.status) != status:
        move_job(job, status)
        journal.record(
            session,
            f"provider_{status}",
            snapshot.failure_message or f"{provider.title} says {snapshot.raw_status}",
            generation_id=job.generation_id,
            job_id=job.id,
        )
    job.raw_status = snapshot.raw_status
    job.progress = 1.0 if status is JobStatus.SUCCEEDED else snapshot.progress
    job.estimated_cost = snapshot.estimated_cost if snapshot.estimated_cost is not None else job.estimated_cost
    job.cost = snapshot.cost if snapshot.cost is not None else job.cost
    job.failure_code = snapshot.failure_code
    job.failure_message = redact(snapshot.failure_message) if snapshot.failure_message else None
    job.failure_retryable = snapshot.failure_retryable
    job.polled_at = now
    job.updated_at = now
    unknown.forget(job)
    if snapshot.state.settled:
        job.finished_at = job.finished_at or now
        job.next_poll_at = None
    else:
        pause = provider.poll_plan.pause_after(job.polls) * settings.poll_interval_scale
        if snapshot.retry_after is not None:
            pause = max(pause, snapshot.retry_after)
        # A tenth of jitter keeps a thousand jobs of one minute from being due at one moment for ever.
        job.next_poll_at = now + pause * random.uniform(0.9, 1.1)  # noqa: S311
    job.polls += 1
    if snapshot.state is JobState.SUCCEEDED:
        record_outputs(session, job, snapshot.outputs, now=now)


def record_outputs(
    session: Session, job: ProviderJob, offered: Sequence[OfferedOutput], *, now: datetime
) -> list[Output]:
    """Write the links a finished job offers. Outputs that are settled already keep their state.

    ``Output.index`` counts over the whole generation: version ``v`` of ``n`` versions owns v, v+n, v+2n …
    """
    session.flush()
    generation = queries.get_generation(session, job.generation_id)
    versions = generation.versions
    rows = []
    for item in offered:
        output_id = f"{job.id}.{item.kind}.{item.index}"
        row = session.get(Output, output_id, populate_existing=True)
        if row is None:
            if generation.status == GenerationStatus.COMPLETED:
                continue  # an afterthought of the provider; what was asked for is durable
            row = Output(
                id=output_id,
                generation_id=job.generation_id,
                job_id=job.id,
                kind=str(item.kind),
                index=item.index * versions + job.ordinal,
                next_attempt_at=now,
            )
            session.add(row)
        if row.state == MediaState.PENDING:
            _set_link(row, item, finished_at=job.finished_at or now, now=now)
        rows.append(row)
    return rows


def _set_link(row: Output, item: OfferedOutput, *, finished_at: datetime, now: datetime) -> None:
    found = classify(item.url, created_at=finished_at, now=now)
    row.temporary_url = item.url
    row.source_redacted = redact(item.url)
    row.source_fingerprint = fingerprint(item.url)
    row.source_scheme = found.scheme
    row.needs_provider_key = item.needs_provider_key
    row.deadline_bound = found.bound.value
    row.deadline_at = found.expires_at
    if found.expires_at is None and item.lifetime is not None:
        row.deadline_at = finished_at + item.lifetime
    row.updated_at = now


def _record_failed_poll(
    session: Session, job: ProviderJob, error: ProviderError, settings: Settings, *, now: datetime
) -> None:
    if job.status == JobStatus.ABANDONED:
        # Asked about ever again until its deadline, at leisure: a provider may find what it had mislaid.
        job.polls += 1
        job.polled_at = now
        again = now + max(error.retry_after or timedelta(), unknown.patience(settings))
        job.next_poll_at = again if job.deadline_at is not None and again < job.deadline_at else None
        return
    if isinstance(error, TaskUnknown):
        believed = unknown.note(session, job, error, settings, now=now)
        job.next_poll_at = now + (error.retry_after or unknown.pause_after(job.unknown_answers, settings))
        if believed:
            _give_up(session, job, Reason.SOURCE_GONE, job.failure_message or str(error), now=now)
            job.next_poll_at = now + unknown.patience(settings)
            return
    else:
        job.polls += 1
        job.polled_at = job.updated_at = now
        job.poll_failures += 1
        job.failure_message = str(error)
        policy = RETRY_POLICIES[Reason.PROVIDER_ERROR]
        job.next_poll_at = now + (
            error.retry_after or policy.wait_after(job.poll_failures) or policy.longest_wait
        )
    if job.poll_failures == 1:
        message = job.failure_message or str(error)
        journal.record(session, "poll_failed", message, generation_id=job.generation_id, job_id=job.id)


def _give_up_past_deadline(session: Session, job: ProviderJob, *, now: datetime) -> None:
    if job.deadline_at is None or now < job.deadline_at or not JobStatus(job.status).at_provider:
        return
    waited = timedelta(seconds=round((now - (job.submitted_at or job.created_at)).total_seconds()))
    last = f" (the last answer: {job.failure_message})" if job.poll_failures and job.failure_message else ""
    message = f"still {job.raw_status or 'unsettled'} after {waited}: given up{last}"
    _give_up(session, job, Reason.PROVIDER_ERROR, message, now=now)


def _give_up(session: Session, job: ProviderJob, reason: Reason, message: str, *, now: datetime) -> None:
    move_job(job, JobStatus.ABANDONED)
    job.failure_code = str(reason)
    job.failure_message = message
    job.finished_at = now
    job.next_poll_at = None
    journal.record(session, "abandoned", message, generation_id=job.generation_id, job_id=job.id)
