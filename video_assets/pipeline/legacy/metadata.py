"""The legacy workflow as Dagster metadata: what is at risk, what a batch did, what a proof says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from video_assets.legacy.config.models import Source
from video_assets.legacy.inventory.batches import BatchPlan
from video_assets.legacy.inventory.take import InventoryReport
from video_assets.legacy.process_batch import BatchReport
from video_assets.legacy.proof.scan_report import CLASSES
from video_assets.legacy.report.at_risk import BUCKET_TITLES, AtRisk, Bucket, build_report
from video_assets.legacy.report.formats import advice_sentences, report_document
from video_assets.legacy.rescue.refresh import askable
from video_assets.pipeline.presentation import table_value
from video_assets.services import Services
from video_assets.urls import redact

Metadata = Mapping[str, Any]

TABLES = {
    "table": "string",
    **dict.fromkeys(("rows", "temporary_urls", "new", "gone_since"), "int"),
    "problem": "string",
}
COLUMNS = {
    **dict.fromkeys(("table", "column"), "string"),
    **dict.fromkeys(("values", "temporary", *CLASSES, "durable"), "int"),
}


def inventory_metadata(services: Services, source: Source, report: InventoryReport, plan: BatchPlan) -> Metadata:
    """What was read, what is open, and in which order it will be worked off."""
    tables: list[dict[str, str | int]] = [
        {
            "table": table.table,
            "rows": table.rows,
            "temporary_urls": table.findings,
            "new": table.new_findings,
            "gone_since": table.vanished,
            "problem": redact(table.problem) if table.problem else "",
        }
        for table in report.tables
    ]
    found: dict[str, Any] = {
        "rows_read": report.rows,
        "temporary_urls": report.findings,
        "new_findings": report.new_findings,
        "new_files": report.new_files,
        "seconds": round(report.seconds, 2),
        "complete": report.complete,
        "tables": table_value(tables, TABLES),
        "open_batches": len(plan.open),
        "open_findings": sum(batch.findings for batch in plan.open),
    }
    if report.problems:
        found["left_out"] = dg.MetadataValue.json([redact(problem) for problem in report.problems])
    refreshing = askable(services.provider)
    found |= risk_metadata(build_report(services.catalog, source, can_refresh=refreshing.__contains__))
    deadlines = [batch.next_deadline_at for batch in plan.open if batch.next_deadline_at is not None]
    if deadlines:
        found["first_link_dies_at"] = dg.MetadataValue.timestamp(min(deadlines))
    return found


def risk_metadata(report: AtRisk) -> Metadata:
    """The at-risk report: by host and deadline, what it costs, and what will be lost."""
    titles = [BUCKET_TITLES[bucket] for bucket in Bucket]
    lines = [
        f"| host | files | places | {' | '.join(titles)} | refreshable | lost | forecast lost |",
        "|---" * (len(titles) + 6) + "|",
    ]
    lines += [
        f"| {host.host} | {host.files} | {host.places} | "
        f"{' | '.join(str(host.buckets[bucket]) for bucket in Bucket)} | {host.refreshable} | "
        f"{host.already_lost} | {host.forecast_lost} |"
        for host in report.hosts
    ]
    document = json.loads(json.dumps(report_document(report), default=str))
    return {
        "at_risk": dg.MetadataValue.md("\n".join(lines)),
        "at_risk_report": dg.MetadataValue.json(document),
        "forecast": dg.MetadataValue.md("\n".join(f"- {line}" for line in advice_sentences(report))),
        "files_at_risk": report.files,
        "already_lost": report.already_lost,
        "refreshable": report.refreshable,
        "bytes_to_fetch": report.bytes,
        "storage_usd_per_month": round(report.storage_per_month, 4),
    }


def batch_metadata(report: BatchReport) -> Metadata:
    """What happened to one batch."""
    found: dict[str, Any] = {
        "mode": str(report.mode),
        "bytes": report.bytes,
        "seconds": round(report.seconds, 2),
        "findings": dg.MetadataValue.json(dict(report.findings)),
        "files": dg.MetadataValue.json(dict(report.files)),
    }
    if report.reasons:
        found["reasons"] = dg.MetadataValue.json(dict(report.reasons))
    if report.rewrite is not None:
        found["rows_rewritten"] = report.rewrite.rows
        found["places_rewritten"] = report.rewrite.places
        found["rows_left"] = dg.MetadataValue.json({str(k): n for k, n in report.rewrite.troubles.items()})
    if report.problems:
        found["problems"] = dg.MetadataValue.json([redact(problem) for problem in report.problems[:20]])
    return found


def proof_metadata(document: Mapping[str, Any], path: Path) -> Metadata:
    """A proof in figures."""
    part = document["sources"][0]
    return {
        "rows": part["rows"],
        "clean": part["clean"],
        "accounted": part["accounted"],
        "complete": part["coverage"]["complete"],
        "not_read": dg.MetadataValue.json(part["coverage"]["not_read"][:100]),
        "durable_places": part["durable"],
        "columns": columns_table(part),
        "merkle_root": document["merkle"]["root"],
        "public_key": document["signature"]["public_key"],
        "catalog_clean": document["catalog"]["clean"],
        "dagster_clean": all(store["clean"] for store in document["stores"]),
        "proof": dg.MetadataValue.path(path),
        "verify": f"video-assets proof verify {path}",
    }


def check_metadata(part: Mapping[str, Any]) -> Metadata:
    """Counts per class and column, and the exceptions, each class by itself."""
    listed = {
        name: {
            "count": found["count"],
            "sample": [
                f"{place['table']} {place['row']} {place['column']}{place['pointer']}: "
                f"{place.get('why') or place['redacted']}"
                for place in found["listed"][:20]
            ],
        }
        for name, found in part["exceptions"].items()
    }
    return {
        "rows": part["rows"],
        "jwts": part["jwts"],
        **{name: part["remaining"][name] for name in CLASSES},
        "columns": columns_table(part),
        "not_read": dg.MetadataValue.json(part["coverage"]["not_read"][:100]),
        "exceptions": dg.MetadataValue.json(listed),
        "what_to_do": "nothing"
        if part["accounted"]
        else "Materialise legacy_findings and then the open partitions of legacy_rescue, in mode apply.",
    }


def columns_table(part: Mapping[str, Any]) -> dg.TableMetadataValue:
    """Counts per column."""
    return table_value(
        [
            {
                "table": name,
                "column": column,
                "values": counts["values"],
                "temporary": counts["temporary"],
                **{each: counts.get(each, 0) for each in CLASSES},
                "durable": counts["durable"],
            }
            for name, table in part["tables"].items()
            for column, counts in table["columns"].items()
        ],
        COLUMNS,
    )
