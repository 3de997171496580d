"""Bringing a generation's row into line with its jobs and outputs, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from video_assets.catalog import journal, queries
from video_assets.catalog.models import (
    Generation,
    GenerationStatus,
    JobStatus,
    MediaState,
    ProviderJob,
    utc_now,
)
from video_assets.catalog.states import move_generation, standing
from video_assets.reasons import Reason


def settle(session: Session, generation_id: str, *, run_id: str | None = None) -> Generation:
    """Recompute status, progress, reason and times of a generation from its parts, and journal a change."""
    session.flush()
    generation = queries.get_generation(session, generation_id, lock=True)
    jobs = queries.jobs_of(session, generation_id)
    outputs = queries.outputs_of(session, generation_id)
    now = utc_now()
    before = generation.status
    found = standing(jobs, outputs, cancel_requested=generation.cancel_requested_at is not None)
    move_generation(generation, found.status)
    generation.reason = found.reason
    generation.error_message = found.message
    generation.progress = _progress(found.status, [job.progress for job in jobs if not _superseded(job, jobs)])
    if found.status not in (GenerationStatus.QUEUED, GenerationStatus.PROCESSING):
        generation.finished_at = generation.finished_at or _last(
            [job.finished_at for job in jobs if job.status == JobStatus.SUCCEEDED]
        )
    if found.status is GenerationStatus.COMPLETED:
        generation.completed_at = generation.completed_at or now
    if found.status is GenerationStatus.EXPIRED:
        generation.evidence = {
            **{output.id: output.evidence for output in outputs if output.state == MediaState.LOST},
            **{
                job.id: {"when": str(job.finished_at), "task_id": job.task_id, "said": job.failure_message}
                for job in jobs
                if job.failure_code == Reason.SOURCE_GONE
            },
        }
    generation.updated_at = now
    if generation.status != before:
        journal.record(
            session,
            str(generation.status),
            found.message or f"{before} → {generation.status}",
            generation_id=generation_id,
            run_id=run_id,
        )
    return generation


def _superseded(job: ProviderJob, jobs: Sequence[ProviderJob]) -> bool:
    return any(other.ordinal == job.ordinal and other.try_number > job.try_number for other in jobs)


def _progress(status: GenerationStatus, parts: list[float | None]) -> int:
    if status in (GenerationStatus.STORING, GenerationStatus.COMPLETED):
        return 100
    known = [part for part in parts if part is not None]
    return round(100 * sum(known) / len(parts)) if known else 0


def _last(moments: list[datetime | None]) -> datetime | None:
    known = [moment for moment in moments if moment is not None]
    return max(known) if known else None
