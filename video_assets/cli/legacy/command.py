"""``legacy``: find, count and report the temporary URLs of a database or folder. No source is changed here."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.text import Text

from video_assets.catalog import Catalog, open_catalog
from video_assets.cli.dev.supervisor import stopping_on_signals
from video_assets.cli.failures import CommandFailed, ExitCode
from video_assets.cli.legacy import discover as legacy_discovering
from video_assets.cli.legacy.sources import ConfigOption, SourceArguments, Stop, load
from video_assets.cli.output import (
    JsonOption,
    cell,
    console,
    deadline_text,
    duration_text,
    note,
    print_json,
    say,
    size_text,
    table,
)
from video_assets.legacy.config import load as configuration
from video_assets.legacy.config.models import FILE_NAME, Source
from video_assets.legacy.config.presets import PRESETS
from video_assets.legacy.config.toml import source_toml
from video_assets.legacy.errors import ConfigurationInvalid, SourceError
from video_assets.legacy.examples.create import create_example
from video_assets.legacy.inventory.batches import plan_batches
from video_assets.legacy.inventory.take import InventoryReport, TableReport, take_inventory
from video_assets.legacy.report.at_risk import BUCKET_TITLES, AtRisk, Bucket, build_report
from video_assets.legacy.report.formats import advice_sentences, left_alone_lines, report_csv, report_document
from video_assets.legacy.report.html import report_html
from video_assets.legacy.rescue.refresh import askable
from video_assets.providers import get_provider
from video_assets.settings import Settings, get_settings
from video_assets.transfer.download.downloader import Downloader, DownloadPolicy

app = typer.Typer(
    help="Rescue the temporary URLs of a database that exists already.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

legacy_discovering.mount(app)


# --- inventory --------------------------------------------------------------------------------------------------


@app.command("inventory")
def inventory_command(
    sources: SourceArguments = None,
    config: ConfigOption = Path(FILE_NAME),
    full: Annotated[
        bool, typer.Option("--full", help="Read every row again, also where only changes would be read.")
    ] = False,
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0.01, help="Stop after this time; the next run goes on.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Record every temporary URL of the sources in the catalog. Reads only; may be stopped and started again."""
    chosen = load(config, sources)
    settings = get_settings()
    catalog = open_catalog(settings)
    budget = None if minutes is None else timedelta(minutes=minutes)
    reports = []
    is_stopped = False
    with stopping_on_signals() as stop:
        for source in chosen:
            shown = [time.monotonic()]

            def progress(counts: TableReport, shown: list[float] = shown) -> None:
                if time.monotonic() - shown[0] >= 5:
                    shown[0] = time.monotonic()
                    note(f"{counts.table}: {counts.rows:,} rows, {counts.findings:,} temporary URLs")

            try:
                report = take_inventory(
                    catalog, source, budget=budget, stop=stop, full=full, on_progress=progress
                )
            except SourceError as exc:
                raise Stop(exc) from None
            plan_batches(catalog, source.name, size=source.batch_size, refreshing=_refreshing(settings))
            reports.append(report)
            if not as_json:
                _show_inventory(report)
            if is_stopped := stop.is_set() and not (report.complete and source is chosen[-1]):
                note("stopped: the same command goes on where this one was")
                break
    if as_json:
        print_json([_inventory_document(report) for report in reports])
    if is_stopped:
        raise typer.Exit(ExitCode.INTERRUPTED)
    if any(report.problems for report in reports):
        raise typer.Exit(ExitCode.NEGATIVE)


def _show_inventory(report: InventoryReport) -> None:
    made = table(
        "table", ">rows", ">temporary URLs", ">new", ">new files", ">gone again", "", title=report.source
    )
    for each in report.tables:
        end = each.problem or ("complete" if each.complete else "to be continued")
        made.add_row(
            *map(cell, (each.table, f"{each.rows:,}", f"{each.findings:,}", f"{each.new_findings:,}")),
            *map(cell, (f"{each.new_files:,}", f"{each.vanished:,}", end)),
        )
    console().print(made)
    rate = report.rows / report.seconds if report.seconds else 0
    say(f"{report.rows:,} rows in {duration_text(report.seconds)} ({rate:,.0f} rows/s)")


def _inventory_document(report: InventoryReport) -> dict[str, object]:
    return {
        "source": report.source,
        "complete": report.complete,
        "seconds": round(report.seconds, 3),
        "rows": report.rows,
        "findings": report.findings,
        "new_findings": report.new_findings,
        "new_files": report.new_files,
        "tables": [
            {
                "table": each.table,
                "rows": each.rows,
                "findings": each.findings,
                "new_findings": each.new_findings,
                "new_files": each.new_files,
                "vanished": each.vanished,
                "complete": each.complete,
                "problem": each.problem,
            }
            for each in report.tables
        ],
    }


# --- report -----------------------------------------------------------------------------------------------------


@app.command("report")
def report_command(
    sources: SourceArguments = None,
    config: ConfigOption = Path(FILE_NAME),
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with charts here.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write one line per host here.")] = None,
    sample: Annotated[
        int, typer.Option("--sample", min=0, help="Links per host that are asked for one byte; 0 asks nobody.")
    ] = 5,
    as_json: JsonOption = False,
) -> None:
    """What is at risk, what saving it takes, and what will be lost at this rate. Changes nothing."""
    chosen = load(config, sources)
    if len(chosen) != 1 and (html is not None or csv is not None):
        raise CommandFailed("Name one source for --html or --csv.")
    settings = get_settings()
    catalog = open_catalog(settings)
    reports = [_report(catalog, source, settings, sample) for source in chosen]
    if as_json:
        print_json([report_document(report) for report in reports])
    else:
        for report in reports:
            console().print(_report_view(report))
    if html is not None:
        html.write_text(report_html(reports[0]), encoding="utf-8")
        note(f"Wrote {html}")
    if csv is not None:
        csv.write_text(report_csv(reports[0]), encoding="utf-8")
        note(f"Wrote {csv}")


def _refreshing(settings: Settings) -> tuple[str, ...]:
    return askable(lambda name: get_provider(name, settings))


def _report(catalog: Catalog, source: Source, settings: Settings, sample: int) -> AtRisk:
    can_refresh = _refreshing(settings).__contains__
    if not sample:
        return build_report(catalog, source, can_refresh=can_refresh)
    with Downloader(DownloadPolicy.from_settings(settings)) as downloader:
        return build_report(catalog, source, can_refresh=can_refresh, downloader=downloader, sample=sample)


def _report_view(report: AtRisk) -> Group:
    made = table(
        "host", ">files", ">places", *(f">{BUCKET_TITLES[bucket]}" for bucket in Bucket), "next", ">refreshable",
        ">lost", ">size", ">will be lost", title=f"At risk in {report.source}",
    )  # fmt: skip
    for host in report.hosts:
        made.add_row(
            *map(cell, (host.host, f"{host.files:,}", f"{host.places:,}")),
            *(cell(f"{host.buckets[bucket]:,}", _STYLES.get(bucket, "")) for bucket in Bucket),
            cell(deadline_text(host.first_deadline_at, now=report.at) if host.first_deadline_at else "—"),
            *map(cell, (f"{host.refreshable:,}", f"{host.already_lost:,}", size_text(host.bytes))),
            cell(f"{host.forecast_lost:,}", "red" if host.forecast_lost else ""),
        )
    lines = [
        f"{report.files:,} files behind {report.places:,} places; {report.jwts:,} places hold a token; "
        f"{report.saved:,} files are durable, {report.rewritten:,} places rewritten, {report.excepted:,} kept",
        f"{report.refreshable:,} dead ones can be refreshed, {report.already_lost:,} are lost already",
        f"{size_text(report.bytes)} in {duration_text(report.seconds)}; "
        f"storage {report.storage_per_month:,.2f} USD a month, egress {report.egress:,.2f} USD",
        *advice_sentences(report),
        *left_alone_lines(report.left_alone),
    ]
    if report.scanned_at is None:
        lines.insert(0, "The inventory is not complete yet: there may be more than this.")
    return Group(made, *(Text(line) for line in lines))


_STYLES = {Bucket.DEAD: "dim", Bucket.HOUR: "red", Bucket.DAY: "yellow"}


# --- example ----------------------------------------------------------------------------------------------------


@app.command("example")
def example_command(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(PRESETS)}.")],
    where: Annotated[
        str | None, typer.Option("--to", help="SQLite file or SQLAlchemy URL; NAME.db by default.")
    ] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Rows of the main table.")] = 400,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same rows.")] = 7,
    config: ConfigOption = Path(FILE_NAME),
) -> None:
    """Make an example database of one of the five systems and add it to the configuration file.

    Its links look real and lead nowhere; `make demo-legacy` makes one whose links work.
    """
    if name not in PRESETS:
        raise CommandFailed(f"There is no example {name!r}; known are {', '.join(PRESETS)}.")
    preset = PRESETS[name]
    place = where or f"{name}.db"
    try:
        known = configuration.load_sources(config) if config.exists() else {}
        source_name = preset.name.replace("_", "-")
        if source_name in known:
            raise ConfigurationInvalid(f"{config} already has a source {source_name!r}; choose another --config")
        example = create_example(preset, place, rows=rows, seed=seed)
        text = source_toml(example.source, {(): [preset.title, preset.description]}, head=not known)
        configuration.parse_sources(text)  # a password in the address would be refused here
    except SourceError as exc:
        raise Stop(exc) from None
    with config.open("a", encoding="utf-8") as file:
        file.write(f"\n{text}" if known else text)
    say(f"{example.rows:,} rows in {place}; source {example.source.name!r} is in {config}")
    say(f"Next: video-assets legacy inventory {example.source.name} --config {config}")
