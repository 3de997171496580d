"""The Dagster door: assembly only. Production is ``build_defs()``; tests pass overrides."""

from __future__ import annotations

from typing import Any

import dagster as dg

from video_assets.pipeline.assets import generation_request, provider_job, video_preview
from video_assets.pipeline.checks import nothing_temporary_anywhere, partition_checks
from video_assets.pipeline.hosting import hosted_video, rescue_batch
from video_assets.pipeline.jobs import audit_job, host_job, submit_job, verify_job
from video_assets.pipeline.legacy import (
    inventory_job,
    legacy_findings,
    legacy_proof,
    legacy_rescue,
    proof_job,
    rescue_job,
)
from video_assets.pipeline.legacy_sensors import expiring_legacy
from video_assets.pipeline.resources import services_resource
from video_assets.pipeline.sensors import expiring_urls, failed_runs, new_generations, provider_jobs
from video_assets.pipeline.upkeep import every_five_minutes, every_hour, upkeep


def build_defs(**resources: Any) -> dg.Definitions:
    """Everything Dagster should know. ``resources`` replace ours by name, for example ``services=…``."""
    return dg.Definitions(
        assets=[
            *(generation_request, provider_job, hosted_video, video_preview),
            *(legacy_findings, legacy_rescue, legacy_proof),
        ],
        asset_checks=[*partition_checks, nothing_temporary_anywhere],
        jobs=[
            *(submit_job, host_job, rescue_batch, verify_job, audit_job, upkeep),
            *(inventory_job, rescue_job, proof_job),
        ],
        sensors=[new_generations, provider_jobs, expiring_urls, failed_runs, expiring_legacy],
        schedules=[every_five_minutes, every_hour],
        resources={"services": services_resource, **resources},
        executor=dg.in_process_executor,
    )


defs = build_defs()
