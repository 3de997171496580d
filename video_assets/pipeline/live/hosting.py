"""``hosted_video``: the asset whose ops plan, rescue and publish, and the batch job that does so for many.

One domain function (:meth:`Rescuer.rescue`) serves both. The asset is what a person materialises, retries
or backfills in the UI, found by partition key, without run config. The job ``rescue_batch`` is what the sensors
start when several generations are ready: it logs a materialisation and the check evaluations per partition.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import dagster as dg

from video_assets.catalog import GenerationStatus, MediaFile, MediaState, queries
from video_assets.catalog.models import utc_now
from video_assets.catalog.queries import GenerationNotFound
from video_assets.generations.control import revive_outputs
from video_assets.pipeline.failures import failure
from video_assets.pipeline.live import metadata as reports
from video_assets.pipeline.partitions import generation_requests
from video_assets.pipeline.presentation import OWNERS, touches
from video_assets.pipeline.resources import ServicesParam
from video_assets.pipeline.run_tags import PARENT_TAG, SENSOR_TAG
from video_assets.reasons import RETRY_POLICIES, Reason
from video_assets.services import Services
from video_assets.transfer.rescue.checks import CHECKS
from video_assets.transfer.rescue.previews import make_previews

PATIENCE = timedelta(seconds=20)
"""A run waits this long for a next attempt that is near, instead of failing and being started again."""

BATCH_LIMIT = 100

BETWEEN_STEPS = "video_assets_io_manager"
"""The IO manager that hands ids from one step of ``hosted_video`` to the next. It has a key of its own, so that
the IO manager of a project that merges these definitions is asked to store that project's assets only."""


@dg.op(
    ins={"provider_job": dg.In(dg.Nothing)},
    out=dg.Out(list[str], io_manager_key=BETWEEN_STEPS, description="Ids of the outputs to rescue."),
    description="Find the outputs of this partition that are not durable yet, soonest deadline first.",
)
def plan_outputs(context: dg.OpExecutionContext, services: ServicesParam) -> list[str]:
    keys = list(context.partition_keys)
    if SENSOR_TAG not in context.run_tags or PARENT_TAG in context.run_tags:
        # A person asked, or re-executed what failed: what was given up gets another chance, with a fresh link.
        for key in keys:
            with suppress(GenerationNotFound):
                revive_outputs(services.catalog, key)
    return plan(services, keys)


@dg.op(
    out=dg.Out(list[dict[str, Any]], io_manager_key=BETWEEN_STEPS, description="What happened to each output."),
    description="Download, verify, store, read back and commit every output, several at a time. "
    "Outputs that are durable already cost nothing.",
)
def rescue_outputs(
    context: dg.OpExecutionContext, outputs: list[str], services: ServicesParam
) -> list[dict[str, Any]]:
    return rescue(context, services, outputs)


@dg.op(
    out=dg.Out(dg.Nothing, is_required=False),
    description="Report what is durable; fail, saying why and what to do, when something is not.",
)
def publish(
    context: dg.OpExecutionContext, results: list[dict[str, Any]], services: ServicesParam
) -> Iterator[dg.Output[None]]:
    keys = list(context.partition_keys)
    if len(keys) > 1:
        report_each(context, services, keys)
        return
    key = keys[0]
    with services.catalog.read() as session:
        generation = queries.get_generation(session, key)
    if generation.status == GenerationStatus.COMPLETED:
        yield dg.Output(None, metadata=reports.hosted_metadata(services, key))
        return
    reason = Reason(generation.reason) if generation.reason in set(Reason) else Reason.PROVIDER_ERROR
    context.log_event(
        dg.AssetObservation(reports.HOSTED_VIDEO, partition=key, metadata=reports.missing_metadata(services, key))
    )
    kept = sum(result["result"] == "stored" for result in results)
    raise failure(
        key,
        f"{generation.status}: {generation.error_message or 'not durable yet'} "
        f"({kept} of {len(results)} outputs stored in this run)",
        remedy=f"{RETRY_POLICIES[reason].remedy} To try again now: re-execute this partition, or "
        f"`video-assets retry {key}`.",
    )


@dg.graph_asset(
    name="hosted_video",
    partitions_def=generation_requests,
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=BATCH_LIMIT),
    ins={"provider_job": dg.AssetIn(dagster_type=dg.Nothing)},
    group_name="live",
    kinds={"objectstore"},
    owners=OWNERS,
    tags=touches("storage"),
    metadata={"dagster/table_name": str(MediaFile.__tablename__)},
    code_version="1",
    description="The durable copies of one generation: downloaded, verified, stored, read back and committed. "
    "Materialise a partition to rescue it now; it needs no configuration, and repeating it is harmless.",
)
def hosted_video(provider_job: None) -> Any:
    return publish(rescue_outputs(plan_outputs(provider_job)))


class BatchConfig(dg.Config):
    """Which generations one batch run stores."""

    generation_ids: list[str]


@dg.op(description="Rescue many generations in one run and report each under its own partition.")
def rescue_generations(context: dg.OpExecutionContext, config: BatchConfig, services: ServicesParam) -> None:
    rescue(context, services, plan(services, config.generation_ids, only_due=True))
    report_each(context, services, config.generation_ids)


@dg.job(
    name="rescue_batch",
    executor_def=dg.in_process_executor,
    description="Started by the sensors when several generations are ready: one run instead of up to 100.",
)
def rescue_batch() -> None:
    rescue_generations()


def plan(services: Services, generation_ids: Sequence[str], *, only_due: bool = False) -> list[str]:
    """Ids of the outputs to rescue, soonest deadline first. Fails for one generation that has nothing yet.

    ``only_due`` respects the pause between tries; without it a person asked, and everything pending is tried now.
    """
    with services.catalog.read() as session:
        if len(generation_ids) == 1:
            try:
                generation = queries.get_generation(session, generation_ids[0])
            except GenerationNotFound as exc:
                raise failure(
                    generation_ids[0], str(exc), remedy="Submit it, or delete this partition."
                ) from None
            if generation.status in (GenerationStatus.QUEUED, GenerationStatus.PROCESSING):
                raise failure(
                    generation.id,
                    f"it is still {generation.status} at {generation.provider} ({generation.progress} %)",
                    remedy="Nothing: the provider_jobs sensor starts this run when the provider has finished.",
                )
        due = queries.outputs_due(
            session, now=utc_now(), limit=100_000, force=not only_due, generation_ids=generation_ids
        )
    return [output.id for output in due]


def rescue(context: dg.OpExecutionContext, services: Services, output_ids: list[str]) -> list[dict[str, Any]]:
    """Rescue with patience for what is tried again in a moment; one log line per output."""
    results = services.rescuer.rescue(output_ids, run_id=context.run_id, patience=PATIENCE)
    for result in results:
        line = f"{result.output_id}: {result.result}"
        if result.message:
            line += f" ({result.reason}: {result.message})"
        (context.log.info if result.result in ("stored", "skipped") else context.log.warning)(line)
    return [
        {"output": r.output_id, "result": str(r.result), "reason": str(r.reason) if r.reason else None}
        for r in results
    ]


def report_each(context: dg.OpExecutionContext, services: Services, generation_ids: Sequence[str]) -> None:
    """Log checks, materialisation and preview of each generation under its own partition.

    The checks are blocking here too: where one fails, neither asset is materialised for that partition, and the
    run fails once every partition was reported. Raises Failure.
    """
    unfinished: list[str] = []
    blocked: list[str] = []
    for key in generation_ids:
        with services.catalog.read() as session:
            generation = queries.get_generation(session, key)
            stored = queries.media_of(session, key, state=MediaState.STORED)
        completed = generation.status == GenerationStatus.COMPLETED
        if not completed:
            unfinished.append(f"{key}: {generation.status} ({generation.error_message or generation.reason})")
        failed = _log_checks(context, services, key) if completed or stored else []
        blocked += failed
        if completed and not failed:
            _log_assets(context, services, key)
        else:
            context.log_event(
                dg.AssetObservation(
                    reports.HOSTED_VIDEO, partition=key, metadata=reports.missing_metadata(services, key)
                )
            )
    if unfinished:
        context.log.warning("not finished:\n" + "\n".join(unfinished[:50]))
    context.add_output_metadata(
        {"generations": len(generation_ids), "unfinished": len(unfinished), "failed_checks": len(blocked)}
    )
    if blocked:
        raise dg.Failure(
            f"{len(blocked)} blocking checks failed: " + "; ".join(blocked[:20]),
            metadata={"what_to_do": "Open the failed check of each partition named here; it says what to do."},
            allow_retries=False,
        )


def _log_checks(context: dg.OpExecutionContext, services: Services, key: str) -> list[str]:
    """Evaluate and log every check of one partition; what failed, in words."""
    failed = []
    for name in CHECKS:
        outcome = services.verifier.check(name, key)
        reports.log_check(context, key, outcome)
        if not outcome.passed:
            failed.append(f"{key}: {name} ({outcome.message})")
    return failed


def _log_assets(context: dg.OpExecutionContext, services: Services, key: str) -> None:
    """Make the previews of one partition, and log both of its assets as materialised."""
    files = make_previews(
        services.catalog, services.storage, key, spool=services.settings.spool, run_id=context.run_id
    )
    hosted, preview = reports.hosted_metadata(services, key), reports.preview_metadata(files)
    context.log_event(dg.AssetMaterialization(reports.HOSTED_VIDEO, partition=key, metadata=hosted))
    context.log_event(dg.AssetMaterialization("video_preview", partition=key, metadata=preview))
