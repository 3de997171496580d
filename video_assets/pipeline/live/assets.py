"""The assets before and after the hosting: request, provider job, preview."""

from collections.abc import Iterator

import dagster as dg

from video_assets.catalog import Generation, GenerationStatus, ProviderJob
from video_assets.catalog.queries import GenerationNotFound
from video_assets.generations.submission import SubmissionDelayed, submit_generation
from video_assets.pipeline.failures import failure
from video_assets.pipeline.live import metadata as reports
from video_assets.pipeline.partitions import generation_requests
from video_assets.pipeline.presentation import OWNERS, catalog_table, touches
from video_assets.pipeline.resources import ServicesParam
from video_assets.providers.base import ProviderError
from video_assets.reasons import RETRY_POLICIES
from video_assets.transfer.rescue.previews import make_previews


@dg.asset(
    partitions_def=generation_requests,
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=100),
    output_required=False,
    group_name="live",
    kinds={"api"},
    owners=OWNERS,
    tags=touches("provider"),
    metadata=catalog_table(Generation),
    code_version="1",
    description="One user's request, sent to its provider exactly once. The intent is written before the request "
    "leaves; a lost answer is looked for at the provider, never blindly sent again.",
)
def generation_request(
    context: dg.AssetExecutionContext, services: ServicesParam
) -> Iterator[dg.MaterializeResult[None]]:
    problems = []
    for key in context.partition_keys:
        try:
            result = submit_generation(
                services.catalog, key, services.provider, services.settings, run_id=context.run.run_id
            )
        except GenerationNotFound as exc:
            problems.append(failure(key, str(exc), remedy="Submit it, or delete this partition."))
            continue
        except SubmissionDelayed as exc:
            problems.append(
                failure(
                    key,
                    f"not submitted yet: {exc}",
                    remedy="Nothing: it stays queued and the new_generations sensor tries again.",
                )
            )
            continue
        except ProviderError as exc:
            problems.append(failure(key, str(exc), remedy=RETRY_POLICIES[exc.reason].remedy))
            continue
        if result.generation.status in (GenerationStatus.FAILED, GenerationStatus.CANCELLED):
            generation = result.generation
            problems.append(
                failure(
                    key,
                    f"{generation.status}: {generation.error_message or generation.reason}",
                    remedy=f"To submit it again, run `video-assets retry {key}`; it tells when that costs twice.",
                )
            )
            continue
        metadata = reports.generation_metadata(result.generation)
        if len(context.partition_keys) == 1:
            yield dg.MaterializeResult(metadata=metadata)
        else:
            context.log_event(dg.AssetMaterialization(context.asset_key, partition=key, metadata=metadata))
    if problems:
        raise problems[0]


provider_job = dg.AssetSpec(
    "provider_job",
    deps=[generation_request],
    partitions_def=generation_requests,
    group_name="live",
    kinds={"api"},
    owners=OWNERS,
    tags=touches("nothing"),
    metadata=catalog_table(ProviderJob),
    description="The provider's own asynchronous job. Reported by the provider_jobs sensor: progress as "
    "observations, the end as a materialisation. No run is held open to wait for it.",
)


@dg.asset(
    deps=["hosted_video"],
    partitions_def=generation_requests,
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=100),
    output_required=False,
    group_name="live",
    kinds={"ffmpeg", "objectstore"},
    owners=OWNERS,
    tags=touches("storage"),
    code_version="1",
    description="Poster and hover preview, made from the durable copy. The original bytes are never touched.",
)
def video_preview(
    context: dg.AssetExecutionContext, services: ServicesParam
) -> Iterator[dg.MaterializeResult[None]]:
    for key in context.partition_keys:
        files = make_previews(
            services.catalog, services.storage, key, spool=services.settings.spool, run_id=context.run.run_id
        )
        metadata = reports.preview_metadata(files)
        if len(context.partition_keys) == 1:
            yield dg.MaterializeResult(metadata=metadata)
        else:
            context.log_event(dg.AssetMaterialization(context.asset_key, partition=key, metadata=metadata))
