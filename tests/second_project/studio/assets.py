"""What the studio makes of its videos: one asset that follows ``hosted_video`` partition by partition."""

import dagster as dg

VIDEOS = dg.DynamicPartitionsDefinition(name="generation_requests")


@dg.asset(deps=["hosted_video"], partitions_def=VIDEOS)
def captions(context: dg.AssetExecutionContext) -> str:
    return f"captions of {context.partition_key}"


@dg.asset
def newsletter() -> str:
    return "weekly"
