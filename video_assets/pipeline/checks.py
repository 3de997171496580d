"""The asset checks: five blocking ones per partition beside the publishing step, and one audit of everything."""

from collections.abc import Callable

import dagster as dg

from video_assets.catalog.audit import audit_persisted_urls
from video_assets.pipeline import reports
from video_assets.pipeline.partitions import generation_requests
from video_assets.pipeline.resources import ServicesParam
from video_assets.services import Services
from video_assets.transfer.verification import CHECKS, Verifier
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


@dg.asset_check(
    asset=reports.HOSTED_VIDEO,
    name="nothing_temporary_anywhere",
    description="The whole catalog, every row and column: no JWT, temporary URL or credential. On a schedule.",
)
def nothing_temporary_anywhere(services: ServicesParam) -> dg.AssetCheckResult:
    return whole_catalog(services)


def whole_catalog(services: Services) -> dg.AssetCheckResult:
    """Ask the whole catalog one question; count, bounded sample and the way to recover."""
    with services.catalog.read() as session:
        audit = audit_persisted_urls(session, hosts=host_rules(services.settings.deleting_hosts))
    return dg.AssetCheckResult(
        passed=audit.no_temporary_url,
        metadata={
            "rows_scanned": audit.rows,
            "violations": audit.violations,
            "jwts": audit.jwts,
            "by_column": dg.MetadataValue.json(dict(audit.by_column)),
            "sample": dg.MetadataValue.json([str(violation) for violation in audit.sample]),
            "what_to_do": "nothing"
            if audit.no_temporary_url
            else "Something else than this product wrote the rows named here. Find the writer, then "
            "`video-assets retry ID` for a generation, or clear the column.",
        },
    )
