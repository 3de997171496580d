"""The jobs: one per stage of the live workflow, and the audits.

Each names its executor, so that merging them into a project leaves that project's own executor alone. One process
per run is enough: an op works on many files at a time in threads, and a process per step costs 4 s more.
"""

from __future__ import annotations

import dagster as dg

from video_assets.pipeline.live.checks import catalog_audit, partition_checks
from video_assets.pipeline.partitions import generation_requests

submit_job = dg.define_asset_job(
    "submit_generation",
    dg.AssetSelection.assets("generation_request"),
    executor_def=dg.in_process_executor,
    description="Send one generation to its provider.",
)

host_job = dg.define_asset_job(
    "host_video",
    dg.AssetSelection.assets("hosted_video", "video_preview").without_checks()
    | dg.AssetSelection.checks(*partition_checks),
    executor_def=dg.in_process_executor,
    description="Make one finished generation durable, prove it, and make its previews.",
)

verify_job = dg.define_asset_job(
    "verify_hosted_video",
    dg.AssetSelection.checks(*partition_checks),
    # A job of checks only has no asset to infer its partitions from.
    partitions_def=generation_requests,
    executor_def=dg.in_process_executor,
    description="Ask the five questions about one partition again, without storing anything.",
)

audit_job = dg.define_asset_job(
    "audit_catalog",
    dg.AssetSelection.assets(catalog_audit),
    executor_def=dg.in_process_executor,
    description="Prove over the whole catalog that nothing temporary is kept.",
)
