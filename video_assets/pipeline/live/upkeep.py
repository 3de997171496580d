"""Upkeep on schedules: leases, leftovers, stuck generations, retired partitions, and the audit of everything."""

from datetime import timedelta

import dagster as dg

from video_assets.catalog import kept, leases, queries
from video_assets.catalog.lost_links import erase_lost_links
from video_assets.catalog.models import Generation, utc_now
from video_assets.pipeline.live.jobs import audit_job
from video_assets.pipeline.partitions import generation_requests, retire_keys
from video_assets.pipeline.resources import ServicesParam
from video_assets.services import Services
from video_assets.transfer.rescue.kept_files import KeepLimits
from video_assets.transfer.rescue.sweep import sweep_leftovers

LEFTOVER_AGE = timedelta(hours=1)
WARN_PARTITIONS = 50_000


@dg.op(description="Remove what killed processes left, report what is stuck, retire settled partitions.")
def tidy(context: dg.OpExecutionContext, services: ServicesParam) -> None:
    now = utc_now()
    report = sweep_leftovers(
        services.catalog,
        services.storage,
        services.settings.spool,
        older_than=LEFTOVER_AGE,
        keep=KeepLimits.from_settings(services.settings),
    )
    erased = erase_lost_links(services.catalog, kept_for=services.settings.keep_lost_links, now=now)
    with services.catalog.write() as session:
        swept = leases.sweep(session, older_than=timedelta(days=1), now=now)
    with services.catalog.read() as session:
        stuck = queries.stuck_generations(session, now=now, after=services.settings.stuck_after)
        waiting = kept.waiting(session, now=now)
    if waiting.files:
        context.log.warning(
            f"{waiting.files} verified files ({waiting.bytes:,} bytes) wait for the store; `video-assets storage "
            "check` names what is wrong with it"
        )
    for generation in stuck:
        context.log.warning(
            f"{generation.id} has been {generation.status} without progress since {generation.updated_at:%F %T} "
            f"UTC ({generation.error_message or 'no error'}); `video-assets retry {generation.id}` asks at once"
        )
    retired = retire(context.instance, services)
    live = len(context.instance.get_dynamic_partitions(str(generation_requests.name)))
    if live > WARN_PARTITIONS:
        context.log.warning(f"{live} live partitions slow the UI down; lower VIDEO_ASSETS_RETIRE_AFTER")
    context.add_output_metadata(
        {
            "removed_objects": report.removed_objects,
            "removed_journal_rows": report.removed_rows,
            "removed_scratch": report.removed_scratch,
            "removed_kept_files": report.removed_kept,
            "kept_files": waiting.files,
            "kept_bytes": waiting.bytes,
            "aborted_uploads": report.aborted_uploads,
            "lost_links_erased": erased,
            "leases_swept": swept,
            "stuck": len(stuck),
            "retired_partitions": retired,
            "live_partitions": live,
        }
    )


def retire(instance: dg.DagsterInstance, services: Services) -> int:
    """Take settled generations out of the partitions: the old ones, and more when there are too many."""
    now = utc_now()
    name = str(generation_requests.name)
    with services.catalog.read() as session:
        old = list(queries.retirable_generations(session, settled_before=now - services.settings.retire_after))
        excess = len(instance.get_dynamic_partitions(name)) - len(old) - services.settings.max_live_partitions
        if excess > 0:
            settled = queries.retirable_generations(session, settled_before=now, limit=len(old) + excess)
            old = list(dict.fromkeys([*old, *settled]))
    retired = retire_keys(instance, old)
    with services.catalog.write() as session:
        for generation_id in old:
            session.get_one(Generation, generation_id).retired_at = now
    return retired


@dg.job(
    executor_def=dg.in_process_executor,
    description="Remove what was left over and report what is stuck; safe to run at any time.",
)
def upkeep() -> None:
    tidy()


every_five_minutes = dg.ScheduleDefinition(
    name="upkeep_every_five_minutes",
    job=upkeep,
    cron_schedule="*/5 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Remove what was left over, report what is stuck.",
)

every_hour = dg.ScheduleDefinition(
    name="audit_every_hour",
    job=audit_job,
    cron_schedule="17 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Prove over the whole catalog that nothing temporary is kept.",
)
