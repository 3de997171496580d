"""The sensor of the legacy workflow: shows sources and batches as partitions, and starts what dies soonest.

The catalog is its cursor. It never holds more than a few runs in the queue, so that the order follows the
deadlines as they approach, and not the order in which runs were once asked for. Where a backfill has filled the
queue, it gives the runs their places there.
"""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
from sqlalchemy import select, update
from sqlmodel import col

from video_assets.catalog.legacy import LegacyBatch
from video_assets.catalog.models import utc_now
from video_assets.legacy.errors import ConfigurationInvalid
from video_assets.legacy.inventory.batches import note_batch
from video_assets.legacy.rescue.refresh import askable
from video_assets.pipeline.legacy import run_planning as choices
from video_assets.pipeline.legacy.assets import LEGACY_RESCUE, configured_sources, rescue_job, show_batches
from video_assets.pipeline.partitions import batch_source, legacy_batches, legacy_sources, retire_keys
from video_assets.pipeline.resources import ServicesParam
from video_assets.pipeline.run_tags import (
    BACKFILL_TAG,
    BATCH_TAG,
    PARTITION_TAG,
    PRIORITY_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    SOURCE_TAG,
)
from video_assets.services import Services

UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
MOST_RUNS = 5_000
"""Runs looked at per tick: a backfill of ten thousand batches has two thousand."""
RETIRED_PER_TICK = 500
"""Deleting a partition costs Dagster 4 to 14 ms each, …"""
MOVED_PER_TICK = 500
"""… and so does a tag."""
COUNTED_PER_TICK = 500
"""Batches that are counted anew because their first link has died; 3 ms each."""


@dg.sensor(
    job=rescue_job,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts the batches of legacy sources whose links die within the horizon, soonest first, then "
    "those whose dead links a provider may bring back; moves what waits in the queue as its deadline comes near.",
)
def expiring_legacy(context: dg.SensorEvaluationContext, services: ServicesParam) -> dg.SensorResult:
    try:
        names = [source.name for source in configured_sources(services)]
    except ConfigurationInvalid as exc:
        # A broken file must not look like a quiet day.
        raise dg.Failure(str(exc), allow_retries=False) from None
    if not names:
        return dg.SensorResult(skip_reason=dg.SkipReason(f"there is no {services.settings.legacy_config}"))
    instance, horizon = context.instance, services.settings.legacy_horizon
    known = set(instance.get_dynamic_partitions(str(legacy_sources.name)))
    new_sources = [name for name in names if name not in known]
    views = open_views(services, names)
    before = instance.get_dynamic_partitions(str(legacy_batches.name))
    runs_now = unfinished_runs(instance)
    moving = under_way(runs_now, before)
    if passed := choices.with_passed_deadlines(views, moving, now=utc_now())[:COUNTED_PER_TICK]:
        # Their first link died, others in them may live: look again when the next one dies.
        count_anew(services, passed)
        views = open_views(services, names)
    keys = [view.key for view in views]
    waiting = len(set(keys) - set(before))
    retired = choices.keys_to_retire(keys, before, waiting=waiting)[:RETIRED_PER_TICK]
    retire_keys(instance, retired, legacy_batches)
    # By hand, because there may be thousands: as requests, each key would cost Dagster a question of its own.
    show_batches(instance, keys)
    now = utc_now()
    moved = choices.places_to_change(in_queue(runs_now, before), views, now=now, horizon=horizon)
    for run_id, place in sorted(moved.items(), key=lambda pair: -pair[1])[:MOVED_PER_TICK]:
        instance.add_run_tags(run_id, {PRIORITY_TAG: str(place)})
    moving = under_way(runs_now, before, moved)
    runs = choices.runs_to_ask_for(views, moving, now=now, horizon=horizon)
    moving |= {run.key: run.priority for run in runs}
    revivals = choices.revivals_to_ask_for(views, moving, now=now)
    remember_revivals(services, [run.key for run in revivals])
    return dg.SensorResult(
        dynamic_partitions_requests=[legacy_sources.build_add_request(new_sources)] if new_sources else [],
        run_requests=[
            dg.RunRequest(
                run_key=run.run_key,
                partition_key=run.key,
                tags={PRIORITY_TAG: str(run.priority), SOURCE_TAG: run.source, BATCH_TAG: run.key},
            )
            for run in (*runs, *revivals)
        ],
        skip_reason=None
        if runs or revivals
        else dg.SkipReason(f"{len(views)} open batches, none of them has to start now"),
    )


def open_views(services: Services, names: list[str]) -> list[choices.BatchView]:
    """Open batches of these sources, soonest deadline first, then by number; as many as Dagster is shown."""
    row = LegacyBatch
    statement = (
        select(
            col(row.key),
            col(row.source),
            col(row.first_deadline_at),
            col(row.revive_at),
            col(row.revivals),
            col(row.revived_at),
        )
        .where(col(row.source).in_(names), col(row.done_at).is_(None))
        .order_by(col(row.first_deadline_at).is_(None), col(row.first_deadline_at), col(row.number))
        .limit(choices.MOST_PARTITIONS)
    )
    with services.catalog.read() as session:
        return [choices.BatchView(*columns) for columns in session.execute(statement).tuples()]


def count_anew(services: Services, keys: Sequence[str]) -> None:
    """Write down how these batches stand now."""
    refreshing = askable(services.provider)
    for key in keys:
        with services.catalog.write() as session:
            note_batch(session, batch_source(key), key, refreshing=refreshing)


def remember_revivals(services: Services, keys: Sequence[str]) -> None:
    """Count the tries before they are asked for: a tick that is killed here has spent one."""
    if not keys:
        return
    with services.catalog.write() as session:
        session.execute(
            update(LegacyBatch)
            .where(col(LegacyBatch.key).in_(keys))
            .values(revivals=LegacyBatch.revivals + 1, revived_at=utc_now())
        )


def unfinished_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs of the rescue that wait in the queue or work, those of backfills among them."""
    return [
        run
        for run in instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY), limit=MOST_RUNS)
        if run.job_name == rescue_job.name or LEGACY_RESCUE in (run.asset_selection or ())
    ]


def under_way(
    runs: Sequence[dg.DagsterRun], shown: Sequence[str], moved: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Batches whose runs wait in the queue or work, with the highest place that any of their runs has.

    One that is being worked has the highest there is, unless its run works several, one after the other.
    ``moved`` maps ids of runs to the places they have got meanwhile.
    """
    found: dict[str, int] = {}
    for run, keys in _with_keys(runs, shown):
        place = (moved or {}).get(run.run_id, _place(run.tags) or 0)
        if run.status is not dg.DagsterRunStatus.QUEUED and len(keys) == 1:
            place = choices.DYING_PRIORITY
        for key in keys:
            found[key] = max(place, found.get(key, place))
    return found


def in_queue(runs: Sequence[dg.DagsterRun], shown: Sequence[str]) -> list[choices.QueuedRun]:
    """The runs that wait in the queue."""
    return [
        choices.QueuedRun(run.run_id, keys, _place(run.tags), BACKFILL_TAG in run.tags)
        for run, keys in _with_keys(runs, shown)
        if run.status is dg.DagsterRunStatus.QUEUED
    ]


def _place(tags: Mapping[str, str]) -> int | None:
    try:
        return int(tags[PRIORITY_TAG])
    except (KeyError, ValueError):
        return None


def _with_keys(
    runs: Sequence[dg.DagsterRun], shown: Sequence[str]
) -> Iterator[tuple[dg.DagsterRun, Sequence[str]]]:
    """Runs with their batches; one of several names the first and the last of them."""
    at = {key: number for number, key in enumerate(shown)}
    for run in runs:
        first, last = at.get(run.tags.get(RANGE_START_TAG, "")), at.get(run.tags.get(RANGE_END_TAG, ""))
        if key := run.tags.get(PARTITION_TAG):
            yield run, [key]
        elif first is not None and last is not None:
            yield run, shown[first : last + 1]
        else:
            yield run, []
