"""Rows for tests, with only what matters to the test spelled out."""

from __future__ import annotations

from typing import Any

from video_assets.catalog import Generation, JobStatus, MediaFile, Output, ProviderJob


def a_generation(generation_id: str = "video-1", **values: Any) -> Generation:
    """A queued generation."""
    defaults: dict[str, Any] = {"owner": "ann", "provider": "runway", "model": "gen4", "prompt": "a red kite"}
    return Generation(id=generation_id, **{**defaults, **values})


def a_job(generation_id: str = "video-1", ordinal: int = 0, try_number: int = 1, **values: Any) -> ProviderJob:
    """A job that has delivered."""
    defaults: dict[str, Any] = {"provider": "runway", "model": "gen4", "status": JobStatus.SUCCEEDED}
    return ProviderJob(
        id=f"{generation_id}.{ordinal}.{try_number}",
        generation_id=generation_id,
        ordinal=ordinal,
        try_number=try_number,
        **{**defaults, **values},
    )


def an_output(job: ProviderJob, kind: str = "video", index: int = 0, **values: Any) -> Output:
    """A pending output of ``job``."""
    return Output(
        id=f"{job.id}.{kind}.{index}",
        generation_id=job.generation_id,
        job_id=job.id,
        kind=kind,
        index=index,
        **values,
    )


def a_file(output: Output, **values: Any) -> MediaFile:
    """The durable copy of ``output``."""
    defaults: dict[str, Any] = {"role": output.kind, "bucket": "generated-videos", "key": f"ann/{output.id}.mp4"}
    return MediaFile(
        id=f"file-{output.id}", generation_id=output.generation_id, output_id=output.id, **{**defaults, **values}
    )
