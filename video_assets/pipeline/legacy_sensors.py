"""The sensor of the legacy road: shows sources and batches as partitions, and starts what dies soonest.

The catalog is its cursor. It never holds more than a few runs in the queue, so that the order follows the
deadlines as they approach, and not the order in which runs were once asked for.
"""

from collections.abc import Mapping, Sequence

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter
from sqlmodel import col, select

from video_assets.catalog.legacy import LegacyBatch
from video_assets.catalog.models import utc_now
from video_assets.legacy.batches import plan_batches
from video_assets.legacy.errors import ConfigurationInvalid
from video_assets.pipeline import legacy_choices as choices
from video_assets.pipeline.legacy import (
    BATCH_TAG,
    LEGACY_RESCUE,
    PRIORITY_TAG,
    SOURCE_TAG,
    configured_sources,
    rescue_job,
    show_batches,
)
from video_assets.pipeline.partitions import add_keys, legacy_batches, legacy_sources, retire_keys
from video_assets.pipeline.resources import ServicesParam
from video_assets.services import Services

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
"""Dagster sets these run tags on a run of several partitions, in the order in which they were made."""

UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
]
MOST_LOOKED_AT = 5_000
RETIRED_PER_TICK = 500
"""Deleting a partition costs Dagster 4 to 14 ms each."""


@dg.sensor(
    job=rescue_job,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts the batches of legacy sources whose links die within the horizon, soonest first.",
)
def expiring_legacy(context: dg.SensorEvaluationContext, services: ServicesParam) -> dg.SensorResult:
    try:
        sources = {source.name: source for source in configured_sources(services)}
    except ConfigurationInvalid as exc:
        # A broken file must not look like a quiet day.
        raise dg.Failure(str(exc), allow_retries=False) from None
    names = list(sources)
    if not names:
        return dg.SensorResult(skip_reason=dg.SkipReason(f"there is no {services.settings.legacy_config}"))
    known = set(context.instance.get_dynamic_partitions(str(legacy_sources.name)))
    add_keys(context.instance, [name for name in names if name not in known], legacy_sources)
    views = open_views(services, names)
    before = context.instance.get_dynamic_partitions(str(legacy_batches.name))
    moving = under_way(context.instance, before)
    if passed := choices.with_passed_deadlines(views, moving, now=utc_now()):
        # Their first link died, others in them may live: look again when the next one dies.
        for name in passed:
            plan_batches(services.catalog, name, size=sources[name].batch_size)
        views = open_views(services, names)
    keys = [view.key for view in views]
    waiting = len(set(keys) - set(before))
    retired = choices.keys_to_retire(keys, before, waiting=waiting)[:RETIRED_PER_TICK]
    retire_keys(context.instance, retired, legacy_batches)
    show_batches(context.instance, keys)
    runs = choices.runs_to_ask_for(views, moving, now=utc_now(), horizon=services.settings.legacy_horizon)
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=run.run_key,
                partition_key=run.key,
                tags={PRIORITY_TAG: str(run.priority), SOURCE_TAG: run.source, BATCH_TAG: run.key},
            )
            for run in runs
        ],
        skip_reason=None if runs else dg.SkipReason(f"{len(views)} open batches, none of them has to start now"),
    )


def open_views(services: Services, names: list[str]) -> list[choices.BatchView]:
    """Open batches of these sources, soonest deadline first, then by number."""
    statement = (
        select(LegacyBatch)
        .where(col(LegacyBatch.source).in_(names), col(LegacyBatch.done_at).is_(None))
        .order_by(
            col(LegacyBatch.first_deadline_at).is_(None),
            col(LegacyBatch.first_deadline_at),
            col(LegacyBatch.number),
        )
        .limit(MOST_LOOKED_AT)
    )
    with services.catalog.read() as session:
        return [
            choices.BatchView(batch.key, batch.source, batch.first_deadline_at)
            for batch in session.exec(statement)
        ]


def under_way(instance: dg.DagsterInstance, shown: Sequence[str]) -> dict[str, int]:
    """Batches whose runs wait in the queue or work, with the highest priority that any of their runs has.

    Runs of a backfill count too; one of several batches names the first and the last of them.
    """
    found: dict[str, int] = {}
    for run in instance.get_runs(RunsFilter(statuses=UNDER_WAY), limit=1_000):
        if run.job_name != rescue_job.name and LEGACY_RESCUE not in (run.asset_selection or ()):
            continue
        place = int(run.tags.get(PRIORITY_TAG, "0"))
        for key in _keys_of(run.tags, shown):
            found[key] = max(place, found.get(key, place))
    return found


def _keys_of(tags: Mapping[str, str], shown: Sequence[str]) -> Sequence[str]:
    if key := tags.get("dagster/partition"):
        return [key]
    try:
        first = shown.index(tags[RANGE_START])
        last = shown.index(tags[RANGE_END])
    except (KeyError, ValueError):
        return []
    return shown[first : last + 1]
