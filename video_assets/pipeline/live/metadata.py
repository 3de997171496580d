"""Rows as Dagster metadata that people use: durable links, sizes, margins. Nothing temporary gets in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from video_assets.catalog import Generation, MediaFile, MediaState, Output, ProviderJob, queries
from video_assets.catalog.audit import Audit
from video_assets.reasons import RETRY_POLICIES, Reason
from video_assets.services import Services
from video_assets.transfer.rescue.checks import CheckOutcome
from video_assets.transfer.rescue.previews import rendition_key

Metadata = Mapping[str, Any]

HOSTED_VIDEO = dg.AssetKey("hosted_video")
PROVIDER_JOB = dg.AssetKey("provider_job")


def job_metadata(job: ProviderJob) -> Metadata:
    """A provider job in figures."""
    found: dict[str, Any] = {
        "task_id": job.task_id or "",
        "status": str(job.status),
        "provider_status": job.raw_status or "",
        "polls": job.polls,
    }
    if job.progress is not None:
        found["progress"] = round(job.progress, 3)
    if job.cost is not None:
        found[f"cost_{job.cost_unit or 'units'}"] = job.cost
    if job.failure_message:
        found["failure"] = job.failure_message
    return found


def hosted_metadata(services: Services, generation_id: str) -> Metadata:
    """What is durable of a generation: links, poster, sizes, digests, and how much time was left."""
    with services.catalog.read() as session:
        generation = queries.get_generation(session, generation_id)
        files = queries.media_of(session, generation_id, state=MediaState.STORED)
        outputs = {output.id: output for output in queries.outputs_of(session, generation_id)}
    originals = [media for media in files if media.role not in ("poster", "preview")]
    found: dict[str, Any] = {
        "status": str(generation.status),
        "provider": generation.provider,
        "model": generation.model,
        "prompt": generation.prompt[:500],
        "files": dg.MetadataValue.md(_table(originals, outputs)),
        "bytes": sum(media.file_size or 0 for media in originals),
    }
    videos = [media for media in originals if media.role in ("video", "clip", "captioned")]
    if videos:
        first = videos[0]
        found["durable_link"] = dg.MetadataValue.url(first.file_url or "")
        found["sha256"] = first.sha256 or ""
        found["duration_seconds"] = first.duration_seconds or 0.0
        found["codec"] = " ".join(filter(None, (first.video_codec, first.video_profile, first.audio_codec)))
        found["picture"] = f"{first.width}×{first.height}"
    if generation.finished_at and generation.completed_at:
        found["seconds_to_durable"] = _seconds(generation.completed_at, generation.finished_at)
    margins = [
        _seconds(output.deadline_at, output.stored_at)
        for output in outputs.values()
        if output.deadline_at and output.stored_at
    ]
    if margins:
        found["margin_to_deadline_seconds"] = min(margins)
    if videos:
        # The poster follows in the same run, under a key that is known already.
        link = services.storage.public_url(rendition_key(videos[0].key, "poster"))
        found["poster"] = dg.MetadataValue.md(f"![poster]({link})")
    return found


def missing_metadata(services: Services, generation_id: str) -> Metadata:
    """Why a generation is not durable: the reason, the evidence of each output, and what to do."""
    with services.catalog.read() as session:
        generation = queries.get_generation(session, generation_id)
        outputs = queries.outputs_of(session, generation_id)
    reason = Reason(generation.reason) if generation.reason in set(Reason) else None
    found: dict[str, Any] = {
        "status": str(generation.status),
        "reason": generation.reason or "",
        "message": generation.error_message or "",
        "evidence": dg.MetadataValue.json(
            {output.id: output.evidence for output in outputs if output.state != MediaState.STORED}
        ),
    }
    if reason is not None:
        found["what_to_do"] = RETRY_POLICIES[reason].remedy
    waiting = [output.next_attempt_at for output in outputs if output.next_attempt_at is not None]
    if waiting:
        found["next_attempt_at"] = f"{min(waiting):%F %T} UTC"
    return found


def preview_metadata(files: Sequence[MediaFile]) -> Metadata:
    """Posters shown inline, previews as links."""
    found: dict[str, Any] = {"bytes": sum(media.file_size or 0 for media in files)}
    posters = [media for media in files if media.role == "poster"]
    previews = [media for media in files if media.role == "preview"]
    if posters:
        found["poster"] = dg.MetadataValue.md("\n".join(f"![poster]({media.file_url})" for media in posters[:4]))
    if previews:
        found["preview"] = dg.MetadataValue.url(previews[0].file_url or "")
    return found


def check_metadata(outcome: CheckOutcome) -> Metadata:
    """One check's answer."""
    return {
        "message": outcome.message,
        **{
            name: dg.MetadataValue.json(value) if isinstance(value, list | dict) else value
            for name, value in outcome.details.items()
        },
    }


def audit_metadata(audit: Audit) -> Metadata:
    """The answer for the whole catalog: counts, a bounded sample and the way to recover."""
    return {
        "rows_scanned": audit.rows,
        "violations": audit.violations,
        "jwts": audit.jwts,
        "by_column": dg.MetadataValue.json(dict(audit.by_column)),
        "sample": dg.MetadataValue.json([str(violation) for violation in audit.sample]),
        "what_to_do": "nothing"
        if audit.no_temporary_url
        else "Something else than this product wrote the rows named here. Find the writer, then "
        "`video-assets retry ID` for a generation, or clear the column.",
    }


def log_check(context: dg.OpExecutionContext, generation_id: str, outcome: CheckOutcome) -> None:
    """Log one check's answer for one partition, from a run that covers several."""
    evaluation = dg.AssetCheckEvaluation(
        asset_key=HOSTED_VIDEO,
        check_name=outcome.name,
        passed=outcome.passed,
        metadata=check_metadata(outcome),
        partition=generation_id,
        blocking=True,
    )
    context.log_event(evaluation)  # type: ignore[arg-type]  # accepted since 1.13, its annotation lags behind


def generation_metadata(generation: Generation) -> Metadata:
    """A request in figures."""
    return {
        "owner": generation.owner,
        "provider": generation.provider,
        "model": generation.model,
        "status": str(generation.status),
        "versions": generation.versions,
        "prompt": generation.prompt[:500],
        "prompt_length": generation.prompt_length,
        "generation_type": generation.generation_type,
    }


def _table(files: Sequence[MediaFile], outputs: Mapping[str, Output]) -> str:
    lines = ["| file | size | type | seconds | sha256 |", "|---|---|---|---|---|"]
    for media in files:
        seconds = "" if media.duration_seconds is None else f"{media.duration_seconds:.1f}"
        lines.append(
            f"| [{media.file_name}]({media.file_url}) | {media.file_size} | {media.file_type} | {seconds} "
            f"| `{(media.sha256 or '')[:16]}…` |"
        )
    stored = {media.output_id for media in files}
    lines.extend(
        f"| {output.kind} {output.index}: **{output.state}** — {output.message or 'not tried yet'} | | | | |"
        for output in outputs.values()
        if output.id not in stored
    )
    return "\n".join(lines)


def _seconds(later: datetime, earlier: datetime) -> float:
    return round((later - earlier).total_seconds(), 3)
