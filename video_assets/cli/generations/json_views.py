"""The JSON documents of the command line: their keys are promises, so they are written down in one place.

``docs/cli.md`` lists them. Keys are added, never renamed. No document ever holds a temporary URL.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from video_assets.catalog import (
    Catalog,
    Event,
    Generation,
    MediaFile,
    MediaState,
    Output,
    ProviderJob,
    journal,
    queries,
)
from video_assets.catalog.models import utc_now


@dataclass(frozen=True, slots=True)
class GenerationView:
    """One generation with everything that belongs to it, read in one transaction."""

    generation: Generation
    jobs: Sequence[ProviderJob]
    outputs: Sequence[Output]
    media: Sequence[MediaFile]
    events: Sequence[Event]

    @property
    def videos(self) -> list[MediaFile]:
        """The durable files, what the provider made before what was made from it."""
        stored = [file for file in self.media if file.state == MediaState.STORED]
        return sorted(stored, key=lambda file: (file.role != "video", file.output_id is None, file.key))


def read_view(session: Session, generation_id: str, *, events: int = 500) -> GenerationView:
    """Load a view. Raises GenerationNotFound."""
    generation = queries.get_generation(session, generation_id)
    return GenerationView(
        generation,
        queries.jobs_of(session, generation_id),
        queries.outputs_of(session, generation_id),
        queries.media_of(session, generation_id),
        journal.events_of(session, generation_id, limit=events) if events else (),
    )


def load_view(catalog: Catalog, generation_id: str, *, events: int = 500) -> GenerationView:
    """As ``read_view``, in a session of its own."""
    with catalog.read() as session:
        return read_view(session, generation_id, events=events)


def seconds_to_durable(generation: Generation) -> float | None:
    """From "the provider has finished" to "every video is durable"."""
    if generation.finished_at is None or generation.completed_at is None:
        return None
    return (generation.completed_at - generation.finished_at).total_seconds()


def generation_document(row: Generation) -> dict[str, Any]:
    """The row of a generation, as in ``list``."""
    return {
        "id": row.id,
        "owner": row.owner,
        "campaign": row.campaign,
        "title": row.title,
        "language": row.language,
        "provider": row.provider,
        "model": row.model,
        "type": row.generation_type,
        "prompt": row.prompt,
        "parameters": row.parameters,
        "versions": row.versions,
        "status": row.status,
        "settled": row.status.settled,
        "progress": row.progress,
        "reason": row.reason,
        "error": row.error_message,
        "evidence": row.evidence,
        "attempt": row.attempt,
        "idempotency_key": row.idempotency_key,
        "created_at": row.created_at,
        "queued_at": row.queued_at,
        "finished_at": row.finished_at,
        "completed_at": row.completed_at,
        "cancel_requested_at": row.cancel_requested_at,
        "updated_at": row.updated_at,
        "seconds_to_durable": seconds_to_durable(row),
    }


def view_document(view: GenerationView) -> dict[str, Any]:
    """A whole generation, as in ``show``."""
    return {
        **generation_document(view.generation),
        "jobs": [_job(row) for row in view.jobs],
        "outputs": [_output(row) for row in view.outputs],
        "media": [media_document(row) for row in view.media],
        "events": [_event(row) for row in view.events],
    }


def list_document(rows: Iterable[Generation], *, next_page: str | None) -> dict[str, Any]:
    """A page of generations; ``next`` is what ``--after`` takes, null on the last page."""
    return {"generations": [generation_document(row) for row in rows], "next": next_page}


def media_document(row: MediaFile) -> dict[str, Any]:
    """A durable file."""
    return {
        "id": row.id,
        "output_id": row.output_id,
        "role": row.role,
        "state": row.state,
        "bucket": row.bucket,
        "key": row.key,
        "url": row.file_url,
        "name": row.file_name,
        "size": row.file_size,
        "type": row.file_type,
        "sha256": row.sha256,
        "proof": row.proof,
        "container": row.container,
        "video_codec": row.video_codec,
        "audio_codec": row.audio_codec,
        "width": row.width,
        "height": row.height,
        "fps": row.fps,
        "duration_seconds": row.duration_seconds,
        "bitrate": row.bitrate,
        "uploaded_at": row.uploaded_at,
        "verified_at": row.verified_at,
    }


def _job(row: ProviderJob) -> dict[str, Any]:
    return {
        "id": row.id,
        "version": row.ordinal,
        "try": row.try_number,
        "provider": row.provider,
        "model": row.model,
        "task_id": row.task_id,
        "status": row.status,
        "provider_status": row.raw_status,
        "progress": row.progress,
        "cost": row.cost if row.cost is not None else row.estimated_cost,
        "cost_is_estimate": row.cost is None and row.estimated_cost is not None,
        "cost_unit": row.cost_unit,
        "failure_code": row.failure_code,
        "failure_message": row.failure_message,
        "polls": row.polls,
        "submitted_at": row.submitted_at,
        "next_poll_at": row.next_poll_at,
        "finished_at": row.finished_at,
    }


def _output(row: Output) -> dict[str, Any]:
    pending = row.state == MediaState.PENDING
    left = (row.deadline_at - utc_now()).total_seconds() if pending and row.deadline_at else None
    return {
        "id": row.id,
        "job_id": row.job_id,
        "kind": row.kind,
        "index": row.index,
        "state": row.state,
        "source": row.source_redacted,
        "deadline_at": row.deadline_at,
        "deadline_bound": row.deadline_bound,
        "seconds_left": left,
        "attempts": row.attempts,
        "refreshes": row.refreshes,
        "next_attempt_at": row.next_attempt_at,
        "reason": row.reason,
        "message": row.message,
        "evidence": row.evidence,
        "stored_at": row.stored_at,
    }


def _event(row: Event) -> dict[str, Any]:
    return {
        "at": row.at,
        "step": row.step,
        "message": row.message,
        "job_id": row.job_id,
        "output_id": row.output_id,
        "run_id": row.run_id,
        "detail": row.detail,
    }
