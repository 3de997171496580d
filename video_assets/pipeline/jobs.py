"""The jobs: one per stage of the live road, and the audits."""

from __future__ import annotations

import dagster as dg

from video_assets.pipeline.checks import nothing_temporary_anywhere, partition_checks
from video_assets.pipeline.partitions import generation_requests

submit_job = dg.define_asset_job(
    "submit_generation",
    dg.AssetSelection.assets("generation_request"),
    description="Send one generation to its provider.",
)

host_job = dg.define_asset_job(
    "host_video",
    dg.AssetSelection.assets("hosted_video", "video_preview").without_checks()
    | dg.AssetSelection.checks(*partition_checks),
    description="Make one finished generation durable, prove it, and make its previews.",
)

verify_job = dg.define_asset_job(
    "verify_hosted_video",
    dg.AssetSelection.checks(*partition_checks),
    # A job of checks only has no asset to infer its partitions from.
    partitions_def=generation_requests,
    description="Ask the five questions about one partition again, without storing anything.",
)

audit_job = dg.define_asset_job(
    "audit_catalog",
    dg.AssetSelection.checks(nothing_temporary_anywhere),
    description="Prove over the whole catalog that nothing temporary is kept.",
)
