"""What Dagster is given: assembly only. This product's own code location is ``defs``; another project merges
``build_defs()`` into its own (docs/dagster.md)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import dagster as dg

with warnings.catch_warnings():
    # Partitioned checks and backfill policies are marked so by Dagster 1.13. Our tests show that they work, and
    # otherwise every process of every run repeats the warnings. Those of other code are none of our business.
    warnings.simplefilter("ignore", category=dg.BetaWarning)
    warnings.simplefilter("ignore", category=dg.PreviewWarning)
    warnings.filterwarnings("ignore", message="Parameter `partitions_def` of function `define_asset_job`")
    from video_assets.pipeline.legacy.assets import (
        inventory_job,
        legacy_findings,
        legacy_proof,
        legacy_rescue,
        proof_job,
        rescue_job,
    )
    from video_assets.pipeline.legacy.sensors import expiring_legacy
    from video_assets.pipeline.live.assets import generation_request, provider_job, video_preview
    from video_assets.pipeline.live.checks import catalog_audit, partition_checks
    from video_assets.pipeline.live.hosting import BETWEEN_STEPS, hosted_video, rescue_batch
    from video_assets.pipeline.live.jobs import audit_job, host_job, submit_job, verify_job
    from video_assets.pipeline.live.sensors import expiring_urls, failed_runs, new_generations, provider_jobs
    from video_assets.pipeline.live.upkeep import every_five_minutes, every_hour, upkeep
    from video_assets.pipeline.resources import services_resource

    # The UI of `dagster dev` opens an asset's source file from its page.
    ASSETS = dg.with_source_code_references(
        [
            *(generation_request, provider_job, hosted_video, video_preview, catalog_audit),
            *(legacy_findings, legacy_rescue, legacy_proof),
        ]
    )

# Dagster copies a sensor whose job it resolves, and warns of a parameter that we do not use.
warnings.filterwarnings("ignore", message="Parameter `owners` of initializer `SensorDefinition.__init__`")


def build_defs(*, settings: Mapping[str, str] | None = None, **resources: Any) -> dg.Definitions:
    """Everything this product brings to Dagster, without an executor, to be merged into a project's own.

    ``settings`` come before those of the environment: names as in docs/configuration.md in lower case and without
    ``VIDEO_ASSETS_``, values as they would be written there, secrets as ``dg.EnvVar``. ``resources`` replace ours
    by name. Raises ValueError for a setting that does not exist and for a secret in plain text.
    """
    return dg.Definitions(
        assets=ASSETS,
        asset_checks=partition_checks,
        jobs=[
            *(submit_job, host_job, rescue_batch, verify_job, audit_job, upkeep),
            *(inventory_job, rescue_job, proof_job),
        ],
        sensors=[new_generations, provider_jobs, expiring_urls, failed_runs, expiring_legacy],
        schedules=[every_five_minutes, every_hour],
        resources={
            "services": services_resource(settings),
            BETWEEN_STEPS: dg.FilesystemIOManager(),
            **resources,
        },
    )


# In a code location of our own what is materialised from an asset's page is run in one process, too.
defs = dg.Definitions.merge(build_defs(), dg.Definitions(executor=dg.in_process_executor))
