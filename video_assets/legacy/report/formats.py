"""The at-risk report as JSON, CSV and sentences. The keys and column names are promises: added, never renamed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from video_assets.legacy.report.at_risk import AtRisk, Bucket, HostRisk


def report_document(report: AtRisk) -> dict[str, Any]:
    """The report as a JSON document. Keys are promises: added, never renamed."""
    foreseen = report.forecast
    return {
        "source": report.source,
        "at": report.at,
        "scanned_at": report.scanned_at,
        "rows_scanned": report.rows_scanned,
        "places": report.places,
        "files": report.files,
        "jwts": report.jwts,
        "saved": report.saved,
        "rewritten": report.rewritten,
        "excepted": report.excepted,
        "already_lost": report.already_lost,
        "refreshable": report.refreshable,
        "bytes": report.bytes,
        "seconds": round(report.seconds, 1),
        "cost": {
            "storage_per_month_usd": round(report.storage_per_month, 4),
            "egress_usd": round(report.egress, 4),
            "storage_per_gb_month_usd": report.rates.storage_per_gb_month,
            "egress_per_gb_usd": report.rates.egress_per_gb,
        },
        "deadlines": report.buckets,
        "hosts": [_host_document(host) for host in report.hosts],
        "columns": report.tables,
        "left_alone": report.left_alone,
        "forecast": None
        if foreseen is None
        else {
            "files": foreseen.files,
            "saved": foreseen.saved,
            "lost": foreseen.lost,
            "seconds": round(foreseen.seconds, 1),
            "first_loss_seconds": foreseen.first_loss_seconds,
            "advice": [asdict(each) for each in foreseen.advice],
        },
    }


def left_alone_lines(left_alone: Iterable[Mapping[str, Any]]) -> list[str]:
    """Tables that are left alone (as ``Relation.document`` tells them), a sentence each or one for many."""
    by_role: dict[str, list[Mapping[str, Any]]] = {}
    for each in left_alone:
        by_role.setdefault(each["role"], []).append(each)
    lines = []
    for role, some in by_role.items():
        shown = some if role not in _MANY else some[:1]
        lines += [f"{each['name']} is left alone: {each['why']}" for each in shown]
        if len(some) > len(shown):
            lines[-1] += f" (and {len(some) - 1:,} more of the kind {role})"
    return lines


_MANY = ("shadow table", "part", "extension", "platform", "dagster", "catalog", "statistics")
"""Roles that tables have in great numbers, for one reason."""


def _host_document(host: HostRisk) -> dict[str, Any]:
    return {
        "host": host.host,
        "files": host.files,
        "places": host.places,
        "deadlines": dict(host.buckets),
        "schemes": dict(host.schemes),
        "first_deadline_at": host.first_deadline_at,
        "refreshable": host.refreshable,
        "already_lost": host.already_lost,
        "sampled": host.sampled,
        "sampled_alive": host.sampled_alive,
        "mean_bytes": None if host.mean_bytes is None else round(host.mean_bytes),
        "bytes": host.bytes,
        "forecast_lost": host.forecast_lost,
    }


def report_csv(report: AtRisk) -> str:
    """One line per host. A cell that a spreadsheet would take for a formula is quoted with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            "host", "files", "places", *map(str, Bucket), "first_deadline_at", "refreshable", "already_lost",
            "sampled", "sampled_alive", "mean_bytes", "bytes", "forecast_lost",
        ]
    )  # fmt: skip
    for host in report.hosts:
        document = _host_document(host)
        first = host.first_deadline_at.isoformat() if host.first_deadline_at is not None else ""
        writer.writerow(
            [
                _cell(host.host), host.files, host.places, *(host.buckets[b] for b in map(str, Bucket)), first,
                host.refreshable, host.already_lost, host.sampled, host.sampled_alive,
                document["mean_bytes"] or "", host.bytes, host.forecast_lost,
            ]
        )  # fmt: skip
    return out.getvalue()


def _cell(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t") else text


def advice_sentences(report: AtRisk) -> list[str]:
    """The forecast in words."""
    foreseen = report.forecast
    lost = []
    if report.already_lost:
        lost = [
            f"{report.already_lost:,} files are lost already: their links are dead and no provider can be asked "
            "for new ones. Whoever still has some: `video-assets legacy run --bring-your-own FOLDER`."
        ]
    if foreseen is None or foreseen.files == 0:
        return [*lost, f"There is nothing {'else ' if lost else ''}left to rescue."]
    if foreseen.lost == 0:
        return [*lost, "At the configured limits every living link is saved before it dies."]
    sentences = [
        f"At the configured limits {foreseen.lost:,} of {foreseen.files:,} files will die before their turn.",
    ]
    names = {
        "connections": "connections (all hosts together)",
        "connections_per_host": "connections_per_host",
        "megabytes_per_second": "megabytes_per_second (your line)",
    }
    for each in foreseen.advice:
        raised = f"{each.raised_to:g}"
        sentences.append(
            f"Raise {names[each.limit]} from {each.now:g} to {raised} to save {each.saves:,} of them."
        )
    if not foreseen.advice:
        sentences.append("No higher limit would save them: they die too soon.")
    return [*sentences, *lost]
