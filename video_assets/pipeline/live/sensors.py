"""The sensors: one duty each, a time budget of half the tick limit, choices made by pure functions.

The catalog is their cursor: what is due is a question to it, so nothing is forgotten when a tick is killed or the
daemon was down for an hour, and the soonest deadline always comes first.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence

import dagster as dg

from video_assets.catalog import JobStatus, Output, ProviderJob, journal, queries
from video_assets.catalog.models import utc_now
from video_assets.generations.capacity import ready_to_submit
from video_assets.generations.following import PollOutcome, poll_due_jobs
from video_assets.pipeline.live import metadata as reports
from video_assets.pipeline.live import run_planning as choices
from video_assets.pipeline.live.hosting import rescue_batch
from video_assets.pipeline.live.jobs import host_job, submit_job
from video_assets.pipeline.partitions import add_keys, generation_requests
from video_assets.pipeline.resources import ServicesParam
from video_assets.pipeline.run_tags import PARTITION_TAG, PRIORITY_TAG, PROVIDER_TAG
from video_assets.services import Services

BUDGET_SECONDS = 25.0
"""Half of Dagster's tick limit of 60 s, less a margin for the daemon's own work."""

MAX_RUNS_PER_TICK = 50
LOOK_AHEAD = 5_000
"""Outputs looked at per tick; the cursor remembers at most so many generations."""
URGENT = {PRIORITY_TAG: "10"}


@dg.sensor(
    job=submit_job,
    minimum_interval_seconds=2,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a run for each queued generation.",
)
def new_generations(context: dg.SensorEvaluationContext, services: ServicesParam) -> dg.SensorResult:
    now = utc_now()
    queued = ready_to_submit(services.catalog, services.provider, services.settings, limit=MAX_RUNS_PER_TICK)
    with services.catalog.read() as session:
        unsent = {row.id: queries.count_jobs(session, row.id, JobStatus.PLANNED) for row in queued}
    return dg.SensorResult(
        # Few at a time: Dagster asks for each of these keys whether it is a partition already, 8 ms each.
        dynamic_partitions_requests=[
            generation_requests.build_add_request([generation.id for generation in queued])
        ]
        if queued
        else [],
        run_requests=[
            dg.RunRequest(
                run_key=choices.submit_key(generation, now, unsent=unsent[generation.id]),
                partition_key=generation.id,
                tags={PROVIDER_TAG: generation.provider},
            )
            for generation in queued
        ],
        skip_reason=None if queued else dg.SkipReason("no generation is queued"),
    )


@dg.sensor(
    jobs=[host_job, rescue_batch],
    minimum_interval_seconds=2,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks providers about every job that is due, reports progress, starts runs for what finished.",
)
def provider_jobs(context: dg.SensorEvaluationContext, services: ServicesParam) -> dg.SensorResult:
    report = poll_due_jobs(services.catalog, services.provider, services.settings, budget_seconds=BUDGET_SECONDS)
    _warn(context, report.outcomes)
    now = utc_now()
    with services.catalog.read() as session:
        # What dies within the horizon is the duty of expiring_urls.
        due = queries.outputs_due(
            session, now=now, limit=LOOK_AHEAD, dies_after=now + services.settings.expiry_horizon
        )
    runs, cursor = _run_requests(context, services, due)
    if report.all_failed and not runs:
        # A bad key must not look like a quiet day.
        raise dg.Failure(
            f"none of {len(report.outcomes)} provider jobs could be asked: {report.outcomes[0].error}"
        )
    events = _job_events(services, report.outcomes)
    quiet = f"{report.due} jobs were due, nothing is ready to store"
    return dg.SensorResult(
        run_requests=runs,
        asset_events=events,
        cursor=cursor,
        skip_reason=None if runs or events else dg.SkipReason(quiet),
    )


@dg.sensor(
    jobs=[host_job, rescue_batch],
    minimum_interval_seconds=2,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Gives every pending link that dies within the horizon a priority run, whatever it waits for.",
)
def expiring_urls(context: dg.SensorEvaluationContext, services: ServicesParam) -> dg.SensorResult:
    now = utc_now()
    with services.catalog.read() as session:
        dying = queries.outputs_due(
            session, now=now, limit=LOOK_AHEAD, dies_before=now + services.settings.expiry_horizon
        )
    runs, cursor = _run_requests(context, services, dying, urgent=True)
    return dg.SensorResult(
        run_requests=runs,
        cursor=cursor,
        skip_reason=None if runs else dg.SkipReason("no pending link dies within the horizon"),
    )


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    monitored_jobs=[submit_job, host_job, rescue_batch],
    description="Writes a failed run into the journal of its generation, where `video-assets show` finds it.",
)
def failed_runs(context: dg.RunFailureSensorContext, services: ServicesParam) -> None:
    run = context.dagster_run
    key = run.tags.get(PARTITION_TAG)
    said = [
        event.step_failure_data.user_failure_data.description
        for event in context.get_step_failure_events()
        if event.step_failure_data.user_failure_data is not None
    ]
    why = "; ".join(filter(None, said)) or context.failure_event.message or "the run ended without a word"
    with services.catalog.write() as session:
        journal.record(
            session,
            "run_failed",
            f"{run.job_name}: {why}",
            generation_id=key,
            run_id=run.run_id,
        )


def _run_requests(
    context: dg.SensorEvaluationContext, services: Services, outputs: Sequence[Output], *, urgent: bool = False
) -> tuple[list[dg.RunRequest], str]:
    """The runs to ask for and the new cursor, which remembers what has been asked for."""
    ids = list(dict.fromkeys(output.generation_id for output in outputs))
    with services.catalog.read() as session:
        providers = queries.providers_of(session, ids)
    plan = choices.plan_store_runs(
        outputs,
        providers,
        now=utc_now(),
        asked=json.loads(context.cursor or "{}"),
        urgent=urgent,
        most=MAX_RUNS_PER_TICK,
    )
    # By hand, because a tick may name up to 5,000 of them: one statement instead of a question for each key.
    add_keys(context.instance, [key for run in plan.runs for key in run.generation_ids])
    return [_run_request(run) for run in plan.runs], json.dumps(plan.asked)


def _run_request(run: choices.StoreRun) -> dg.RunRequest:
    tags = {PROVIDER_TAG: run.provider} if run.provider else {}
    if run.urgent:
        tags |= URGENT
    if not run.is_batch:
        return dg.RunRequest(
            run_key=run.run_key, partition_key=run.generation_ids[0], job_name=host_job.name, tags=tags
        )
    return dg.RunRequest(
        run_key=run.run_key,
        job_name=rescue_batch.name,
        run_config={"ops": {"rescue_generations": {"config": {"generation_ids": list(run.generation_ids)}}}},
        tags=tags,
    )


def _job_events(
    services: Services, outcomes: Iterable[PollOutcome]
) -> list[dg.AssetObservation | dg.AssetMaterialization]:
    """Progress as observations, the end of a job as a materialisation, under the generation's partition."""
    changed = [outcome.job_id for outcome in outcomes if outcome.changed]
    events: list[dg.AssetObservation | dg.AssetMaterialization] = []
    with services.catalog.read() as session:
        for job_id in changed:
            job = session.get_one(ProviderJob, job_id)
            kind = dg.AssetMaterialization if job.finished_at is not None else dg.AssetObservation
            events.append(
                kind(reports.PROVIDER_JOB, partition=job.generation_id, metadata=reports.job_metadata(job))
            )
    return events


def _warn(context: dg.SensorEvaluationContext, outcomes: Iterable[PollOutcome]) -> None:
    for error, count in Counter(outcome.error for outcome in outcomes if outcome.error).most_common(5):
        context.log.warning(f"{count} × {error}")
