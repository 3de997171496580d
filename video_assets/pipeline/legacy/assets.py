"""The legacy workflow in Dagster: inventory per source, rescue per batch, proof per source.

``legacy_findings`` reads a source and cuts what it found into batches; ``legacy_rescue`` works batches off, as an
ordinary backfill or started by the ``expiring_legacy`` sensor; ``legacy_proof`` scans every row again and signs
what it found, with the check that nothing temporary is left.
"""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg

from video_assets.catalog.legacy import LegacyFile, LegacyFinding
from video_assets.legacy.config.load import load_sources
from video_assets.legacy.config.models import Source
from video_assets.legacy.errors import ConfigurationInvalid, SourceError
from video_assets.legacy.inventory.batches import plan_batches
from video_assets.legacy.inventory.take import take_inventory
from video_assets.legacy.process_batch import BatchReport, Mode, process_batch
from video_assets.legacy.proof.prove import make_proof
from video_assets.legacy.proof.signing import SigningKeyUnusable, load_signing_key
from video_assets.legacy.proof.write import write_proof
from video_assets.legacy.rescue.reachability import Reach
from video_assets.legacy.rescue.refresh import askable
from video_assets.pipeline.failures import failure
from video_assets.pipeline.instance_storage import scan_instance
from video_assets.pipeline.legacy import metadata as legacy_reports
from video_assets.pipeline.legacy.run_planning import CALM_PRIORITY, keys_to_show
from video_assets.pipeline.partitions import add_keys, batch_source, legacy_batches, legacy_sources
from video_assets.pipeline.presentation import OWNERS, catalog_table, touches
from video_assets.pipeline.resources import ServicesParam
from video_assets.pipeline.run_tags import PRIORITY_TAG
from video_assets.services import Services
from video_assets.urls import host_rules

LEGACY_RESCUE = dg.AssetKey("legacy_rescue")
CHECK = "no_temporary_url_left"
REMEDY = "Put that right and materialise the partition again."


class BatchMode(dg.Config):
    """What is done to the rows; a run needs no configuration, then VIDEO_ASSETS_LEGACY_MODE counts."""

    mode: str = ""
    """``rescue``, ``dry_run`` or ``apply``."""


def source_called(services: Services, name: str) -> Source:
    """The source of this name in the configuration file. Fails, naming the remedy."""
    path = services.settings.legacy_config
    try:
        sources = load_sources(path, deleting_hosts=services.settings.deleting_hosts)
    except ConfigurationInvalid as exc:
        raise failure(name, str(exc), remedy=f"Correct {path}, or set VIDEO_ASSETS_LEGACY_CONFIG.") from None
    if name not in sources:
        raise failure(
            name,
            f"{path} describes no source of this name; it has {', '.join(sources) or 'none'}",
            remedy="Add it to the file, or delete this partition.",
        )
    return sources[name]


def show_batches(instance: dg.DagsterInstance, open_keys: list[str]) -> int:
    """Make open batches partitions, in the order of work, as far as there is room; returns how many were new."""
    shown = instance.get_dynamic_partitions(str(legacy_batches.name))
    return add_keys(instance, keys_to_show(open_keys, shown), legacy_batches)


@dg.asset(
    partitions_def=legacy_sources,
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=1),
    group_name="legacy",
    kinds={"sql"},
    owners=OWNERS,
    tags=touches("nothing"),
    metadata=catalog_table(LegacyFinding),
    code_version="1",
    description="The inventory of one legacy source: every temporary URL in it, cut into batches in the order in "
    "which they die. Incremental; a killed run goes on where it stopped. Nothing in the source is changed.",
)
def legacy_findings(
    context: dg.AssetExecutionContext, services: ServicesParam
) -> Iterator[dg.MaterializeResult[None]]:
    source = source_called(services, context.partition_key)
    try:
        report = take_inventory(services.catalog, source)
    except SourceError as exc:
        raise failure(
            source.name, str(exc), remedy="What was read is kept; materialise the partition again."
        ) from None
    for problem in report.problems:
        context.log.warning(problem)
    refreshing = askable(services.provider)
    plan = plan_batches(services.catalog, source.name, size=source.batch_size, refreshing=refreshing)
    new = show_batches(context.instance, [batch.key for batch in plan.open])
    context.log.info(f"{report.rows} rows read, {report.new_findings} new findings, {new} new batches")
    yield dg.MaterializeResult(metadata=legacy_reports.inventory_metadata(services, source, report, plan))


@dg.asset(
    partitions_def=legacy_batches,
    deps=[dg.AssetDep(legacy_findings, partition_mapping=dg.AllPartitionMapping())],
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=5),
    output_required=False,
    group_name="legacy",
    kinds={"sql", "objectstore"},
    owners=OWNERS,
    tags=touches("source"),
    metadata={"dagster/table_name": str(LegacyFile.__tablename__)},
    code_version="1",
    description="One batch of a legacy source made durable: each file once, whatever number of rows name it, a "
    "dead link asked for again from its provider first. Rows are rewritten only in mode `apply`. Repeating it is "
    "harmless; a batch that is not finished goes on.",
)
def legacy_rescue(
    context: dg.AssetExecutionContext, config: BatchMode, services: ServicesParam
) -> Iterator[dg.MaterializeResult[None]]:
    mode = Mode(config.mode or services.settings.legacy_mode)
    unfinished: list[str] = []
    sources: dict[str, Source] = {}
    reach = Reach()
    keys = context.partition_keys
    for key in keys:
        name = batch_source(key)
        if name not in sources:
            sources[name] = source_called(services, name)
        try:
            report = process_batch(
                services, sources[name], key, mode=mode, run_id=context.run.run_id, reach=reach
            )
        except SourceError as exc:
            raise failure(key, str(exc), remedy=REMEDY) from None
        for problem in report.problems[:20]:
            context.log.warning(problem)
        if waiting := _waiting(report):
            unfinished.append(f"{key}: {waiting}")
            if reach.is_hopeless:
                break
            continue
        metadata = legacy_reports.batch_metadata(report)
        if len(keys) == 1:
            yield dg.MaterializeResult(metadata=metadata)
        else:
            context.log_event(dg.AssetMaterialization(LEGACY_RESCUE, partition=key, metadata=metadata))
    if unfinished:
        raise failure(
            f"{len(unfinished)} of {len(keys)} batches",
            "; ".join(filter(None, (reach.sentence, *unfinished[:10]))),
            remedy="Nothing is lost: what is saved stays saved. Materialise the partition again later; the log "
            "says why each file waits.",
        )


def _waiting(report: BatchReport) -> str:
    """What keeps a batch from being done in its mode; empty when nothing does."""
    if report.mode is Mode.DRY_RUN:
        return ""
    waiting = report.findings["pending"]
    if report.mode is Mode.APPLY:
        waiting += report.findings["saved"]
    reasons = ", ".join(f"{count} {reason}" for reason, count in report.reasons.most_common(3))
    return f"{waiting} findings wait" + (f" ({reasons})" if reasons else "") if waiting else ""


@dg.asset(
    partitions_def=legacy_sources,
    deps=[dg.AssetDep(legacy_rescue, partition_mapping=dg.AllPartitionMapping())],
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=1),
    check_specs=[
        dg.AssetCheckSpec(
            CHECK,
            asset="legacy_proof",
            partitions_def=legacy_sources,
            description="Every row of the source, not a sample: no JWT and no temporary URL is left but what is "
            "lost, with its evidence, or left alone on purpose.",
        )
    ],
    group_name="legacy",
    kinds={"sql"},
    owners=OWNERS,
    tags=touches("nothing"),
    # A source that is still written to can be given a temporary URL at any time: a proof is of its day.
    freshness_policy=dg.FreshnessPolicy.time_window(
        warn_window=timedelta(days=7), fail_window=timedelta(days=31)
    ),
    code_version="1",
    description="The signed proof of one source: every row scanned, what is left and why, Merkle roots over all "
    "values and files, the product's own catalog and Dagster's storage included.",
)
def legacy_proof(
    context: dg.AssetExecutionContext, services: ServicesParam
) -> Iterator[dg.MaterializeResult[None]]:
    source = source_called(services, context.partition_key)
    try:
        document = make_proof(
            services.catalog,
            [source],
            key=load_signing_key(services.settings.home),
            scratch=services.settings.spool,
            stores=[scan_instance(context.instance)],
            hosts=host_rules(services.settings.deleting_hosts),
        )
    except (SourceError, SigningKeyUnusable) as exc:
        raise failure(source.name, str(exc), remedy=REMEDY) from None
    path = write_proof(services.settings.home, source.name, document).absolute()
    part = document["sources"][0]
    yield dg.MaterializeResult(
        metadata=legacy_reports.proof_metadata(document, path),
        check_results=[
            dg.AssetCheckResult(
                passed=bool(part["accounted"]), check_name=CHECK, metadata=legacy_reports.check_metadata(part)
            )
        ],
    )


inventory_job = dg.define_asset_job(
    "take_legacy_inventory",
    dg.AssetSelection.assets("legacy_findings"),
    executor_def=dg.in_process_executor,
    description="Read one legacy source and cut what is found into batches.",
)

rescue_job = dg.define_asset_job(
    "rescue_legacy_batch",
    dg.AssetSelection.assets("legacy_rescue"),
    executor_def=dg.in_process_executor,
    tags={PRIORITY_TAG: str(CALM_PRIORITY)},
    description="Work one batch of a legacy source off. Backfill its partitions; live work always comes first.",
)

proof_job = dg.define_asset_job(
    "prove_legacy_source",
    dg.AssetSelection.assets("legacy_proof"),
    executor_def=dg.in_process_executor,
    description="Scan every row of one legacy source and sign what is found.",
)


def configured_sources(services: Services) -> Iterator[Source]:
    """Every source of the configuration file; none when there is no file. Raises ConfigurationInvalid."""
    if services.settings.legacy_config.is_file():
        settings = services.settings
        yield from load_sources(settings.legacy_config, deleting_hosts=settings.deleting_hosts).values()
