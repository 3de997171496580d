"""``legacy undo`` and ``legacy redo``: rows get back what they held, and are rewritten again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from video_assets.catalog.models import utc_now
from video_assets.cli.failures import CommandFailed, ExitCode
from video_assets.cli.legacy.proof import row_key
from video_assets.cli.legacy.sources import ConfigOption, Stop, load
from video_assets.cli.output import JsonOption, cell, console, print_json, say
from video_assets.legacy.config.models import FILE_NAME, Source
from video_assets.legacy.errors import SourceError
from video_assets.legacy.guard.triggers import installed_guards
from video_assets.legacy.inventory.batches import plan_batches
from video_assets.legacy.rescue.refresh import askable
from video_assets.legacy.rewrite.undo import Selection, UndoReport, redo, undo_rewrites
from video_assets.services import Services, open_services
from video_assets.settings import get_settings

SourceArgument = Annotated[str, typer.Argument(metavar="SOURCE", help="Name of a source of the file.")]


def mount(app: typer.Typer) -> None:
    """Add the commands to the group ``legacy``."""
    app.command("undo")(undo_command)
    app.command("redo")(redo_command)


def undo_command(
    name: SourceArgument,
    config: ConfigOption = Path(FILE_NAME),
    run: Annotated[str | None, typer.Option("--run", help="What this run rewrote.")] = None,
    table_name: Annotated[str | None, typer.Option("--table", "-t", help="Rows of this table.")] = None,
    key: Annotated[
        str | None, typer.Option("--key", "-k", help="One row: its key, or a JSON list of the key's values.")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option("--since", help="What was rewritten from then on (UTC).")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--until", help="What was rewritten before then (UTC).")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every rewrite of the source.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be refused.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give rows back, byte for byte, what they held before a rewrite. Rows changed since are refused and named.

    Exit code 1 when a row was refused.

    \b
    Examples:
      video-assets legacy undo shop --run run-20261121T101500-shop
      video-assets legacy undo shop --table videos --key 17
    """
    if not everything and not any((run, table_name, key, since, until)):
        raise CommandFailed("Say what to undo: --run, --table, --key, --since, --until, or --all.")
    if key is not None and table_name is None:
        raise CommandFailed("--key goes with --table.")
    selection = Selection(run, table_name, None if key is None else row_key(key), _utc(since), _utc(until))
    [source] = load(config, [name])
    services = open_services(get_settings())
    try:
        report = undo_source(services, source, selection, dry_run=dry_run)
    except SourceError as exc:
        raise Stop(exc) from None
    finally:
        services.catalog.close()
    if as_json:
        print_json(_undo_document(report))
    else:
        show_undo(report, dry_run=dry_run)
    raise typer.Exit(ExitCode.NEGATIVE if report.refused else ExitCode.OK)


def undo_source(services: Services, source: Source, selection: Selection, *, dry_run: bool = False) -> UndoReport:
    """Take back the selected rewrites of a source. Raises SourceError, CommandFailed while a guard stands."""
    if not dry_run and installed_guards(source):
        raise CommandFailed(
            f"A standing guard refuses the old values of {source.name!r}: run `video-assets legacy guard remove "
            f"{source.name}` first."
        )
    run = f"undo-{utc_now():%Y%m%dT%H%M%S}-{source.name}"
    return undo_rewrites(services, source, selection, run_id=run, dry_run=dry_run)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=moment.tzinfo or UTC)


def _undo_document(report: UndoReport) -> dict[str, Any]:
    return {
        "rows": report.rows,
        "columns": report.columns,
        "refused": [
            {
                "table": each.table,
                "row": each.row_key,
                "column": each.column,
                "why": str(each.refusal),
                "message": each.message,
            }
            for each in report.refused
        ],
    }


def show_undo(report: UndoReport, *, dry_run: bool = False) -> None:
    """An undo for people."""
    verb = "would get" if dry_run else "got"
    say(f"{report.rows:,} rows {verb} back what they held before ({report.columns:,} columns).")
    for each in report.refused[:50]:
        console().print(cell(f"✗ {each.table} {each.row_key} {each.column}: {each.message}", "red"))
    if len(report.refused) > 50:
        say(f"… and {len(report.refused) - 50:,} more")


def redo_command(
    name: SourceArgument,
    config: ConfigOption = Path(FILE_NAME),
    table_name: Annotated[str | None, typer.Option("--table", "-t", help="Rows of this table.")] = None,
    key: Annotated[
        str | None, typer.Option("--key", "-k", help="One row: its key, or a JSON list of the key's values.")
    ] = None,
) -> None:
    """Put rows that were undone back to work: the next run with --apply rewrites them again.

    \b
    Example:
      video-assets legacy redo shop && video-assets legacy run shop --apply
    """
    if key is not None and table_name is None:
        raise CommandFailed("--key goes with --table.")
    [source] = load(config, [name])
    services = open_services(get_settings())
    try:
        count = redo_source(services, source, Selection(None, table_name, None if key is None else row_key(key)))
    finally:
        services.catalog.close()
    say(f"{count:,} places are ready. Next: video-assets legacy run {source.name} --apply --config {config}")


def redo_source(services: Services, source: Source, selection: Selection | None = None) -> int:
    """Put what was undone back to work; returns how many places."""
    count = redo(services.catalog, source.name, selection)
    refreshing = askable(services.provider)
    plan_batches(services.catalog, source.name, size=source.batch_size, refreshing=refreshing)
    return count
