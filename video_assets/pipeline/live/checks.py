"""The asset checks: five blocking ones per partition beside the publishing step, and one audit of everything."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import dagster as dg

from video_assets.catalog.audit import audit_persisted_urls
from video_assets.pipeline.live import metadata as reports
from video_assets.pipeline.partitions import generation_requests
from video_assets.pipeline.presentation import OWNERS, touches
from video_assets.pipeline.resources import ServicesParam
from video_assets.transfer.rescue.checks import CHECKS, Verifier
from video_assets.urls import host_rules

QUESTIONS: dict[str, Callable[..., object]] = {name: getattr(Verifier, name) for name in CHECKS}


def _partition_check(name: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name=name,
        asset=reports.HOSTED_VIDEO,
        partitions_def=generation_requests,
        blocking=True,
        description=QUESTIONS[name].__doc__,
    )
    def check(context: dg.AssetCheckExecutionContext, services: ServicesParam) -> dg.AssetCheckResult:
        keys = list(context.op_execution_context.partition_keys)
        outcomes = {key: services.verifier.check(name, key) for key in keys}
        failed = {key: outcome for key, outcome in outcomes.items() if not outcome.passed}
        if len(keys) == 1:
            outcome = outcomes[keys[0]]
            return dg.AssetCheckResult(passed=outcome.passed, metadata=reports.check_metadata(outcome))
        for key, outcome in outcomes.items():
            # A run over several partitions evaluates a check once; each partition gets its own answer here.
            reports.log_check(context.op_execution_context, key, outcome)
        return dg.AssetCheckResult(
            passed=not failed,
            metadata={"partitions": len(keys), "failed": len(failed), "sample": ", ".join(list(failed)[:20])},
        )

    return check


partition_checks = [_partition_check(name) for name in CHECKS]


NOTHING_TEMPORARY = "nothing_temporary_anywhere"


@dg.asset(
    check_specs=[
        dg.AssetCheckSpec(
            NOTHING_TEMPORARY,
            asset="catalog_audit",
            description="The whole catalog, every row and column: no JWT, temporary URL or credential.",
        )
    ],
    group_name="audit",  # apart, so that "Materialize all" of the live group stays a choice of partitions
    kinds={"sql"},
    owners=OWNERS,
    tags=touches("nothing"),
    # The schedule asks every hour: an audit that is older than two is not running.
    freshness_policy=dg.FreshnessPolicy.time_window(
        warn_window=timedelta(hours=2), fail_window=timedelta(hours=6)
    ),
    code_version="1",
    description="The audit of the whole catalog, every hour: how many rows were read, and what was found that "
    "must not be kept. Its figures are a history; its check says whether anything is wrong now.",
)
def catalog_audit(services: ServicesParam) -> Iterator[dg.MaterializeResult[None]]:
    with services.catalog.read() as session:
        audit = audit_persisted_urls(session, hosts=host_rules(services.settings.deleting_hosts))
    yield dg.MaterializeResult(
        metadata={"rows_scanned": audit.rows, "violations": audit.violations, "jwts": audit.jwts},
        check_results=[
            dg.AssetCheckResult(
                passed=audit.no_temporary_url,
                check_name=NOTHING_TEMPORARY,
                metadata=reports.audit_metadata(audit),
            )
        ],
    )
