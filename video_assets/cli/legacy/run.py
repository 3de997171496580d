"""``legacy run``: saves the files behind the findings, deadline first, and rewrites rows when it is told to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from video_assets.catalog.lost_links import erase_lost_links
from video_assets.catalog.models import utc_now
from video_assets.cli.failures import CommandFailed, ExitCode
from video_assets.cli.legacy.run_report import RunReport, show_run
from video_assets.cli.legacy.sources import ConfigOption, SourceArguments, Stop, load
from video_assets.cli.output import (
    JsonOption,
    deadline_text,
    note,
    print_json,
    say,
)
from video_assets.legacy.config.models import FILE_NAME, Source
from video_assets.legacy.errors import SourceError
from video_assets.legacy.import_files import bring_your_own
from video_assets.legacy.inventory.batches import OpenBatch, next_batch, plan_batches
from video_assets.legacy.process_batch import Mode, Progress, process_batch
from video_assets.legacy.rescue.lost import again_lost, open_findings
from video_assets.legacy.rescue.reachability import Reach
from video_assets.legacy.rescue.refresh import askable
from video_assets.services import Services, open_services
from video_assets.settings import get_settings


def mount(app: typer.Typer) -> None:
    """Add the command to the group ``legacy``."""
    app.command("run")(run_command)


def run_command(
    sources: SourceArguments = None,
    config: ConfigOption = Path(FILE_NAME),
    apply: Annotated[bool, typer.Option("--apply", help="Rewrite the rows whose files are safe.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Fetch and change nothing; show what a rewrite would do to each row."),
    ] = False,
    emit_sql: Annotated[
        Path | None,
        typer.Option("--emit-sql", help="Write the rewrite and its inverse as SQL files into this folder."),
    ] = None,
    undoable: Annotated[
        bool, typer.Option("--undo/--no-undo", help="Keep what rows held before, encrypted with your own key.")
    ] = True,
    most: Annotated[int | None, typer.Option("--batches", min=1, help="Stop after so many batches.")] = None,
    brought: Annotated[
        Path | None,
        typer.Option("--bring-your-own", help="Match the files of this folder to what was lost, first."),
    ] = None,
    again: Annotated[
        bool,
        typer.Option("--again-lost", help="Try lost files once more, by their kept link or their provider."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Save the files behind the findings, what dies soonest first; with --apply rewrite the rows too.

    Without a mode only files are saved and no row is touched. May be stopped and started again at any time.
    Exit code 1 when a file is lost or a row could not be rewritten, 3 when nothing could be reached from here, 4
    when something has to wait for a later run, 5 when a file waits for a person: our own limits refuse it.

    \b
    Examples:
      video-assets legacy run
      video-assets legacy run shop --dry-run | less
      video-assets legacy run shop --apply
      video-assets legacy run shop --again-lost
    """
    chosen_modes = [apply, dry_run, emit_sql is not None]
    if sum(chosen_modes) > 1:
        raise CommandFailed("Choose one of --apply, --dry-run and --emit-sql.")
    mode = Mode.APPLY if apply else Mode.DRY_RUN if dry_run else Mode.EMIT_SQL if emit_sql else Mode.RESCUE
    chosen = load(config, sources)
    if brought is not None and len(chosen) != 1:
        raise CommandFailed("Name one source for --bring-your-own.")
    if again and dry_run:
        raise CommandFailed("--again-lost fetches files; leave out --dry-run.")
    services = open_services(get_settings())
    erase_lost_links(services.catalog, kept_for=services.settings.keep_lost_links)
    reports = []
    try:
        for source in chosen:
            if brought is not None:
                _bring(services, source, brought, dry_run=dry_run, quiet=as_json)
            reports.append(
                run_source(
                    services,
                    source,
                    mode,
                    emit_sql=emit_sql,
                    undoable=undoable,
                    most=most,
                    again=again,
                    quiet=as_json,
                )
            )
            if not as_json:
                show_run(reports[-1])
    except SourceError as exc:
        raise Stop(exc) from None
    except FileExistsError as exc:
        raise CommandFailed(
            f"{exc.filename} exists already and is kept, for it may be the only way back: choose another folder"
        ) from None
    finally:
        services.catalog.close()
    if as_json:
        print_json([report.document() for report in reports])
    codes = {report.exit_code for report in reports}
    for code in (ExitCode.NEGATIVE, ExitCode.UNAVAILABLE, ExitCode.REFUSED, ExitCode.WAITING):
        if code in codes:
            raise typer.Exit(code)


def run_source(
    services: Services,
    source: Source,
    mode: Mode,
    *,
    emit_sql: Path | None = None,
    undoable: bool = True,
    most: int | None = None,
    again: bool = False,
    quiet: bool = False,
) -> RunReport:
    """Work the open batches of a source off, in the order of dying as it stands each time. Raises SourceError."""
    run = f"run-{utc_now():%Y%m%dT%H%M%S}-{source.name}"
    report = RunReport(source.name, mode, run)
    reach = Reach()
    if again:
        report.again = again_lost(services.catalog, source.name)
    refreshing = askable(services.provider)
    done: set[str] = set()

    def plan() -> None:
        plan_batches(services.catalog, source.name, size=source.batch_size, refreshing=refreshing)

    def most_urgent() -> OpenBatch | None:
        """Of the batches that this run has not worked yet: links die while others are saved."""
        return next_batch(services.catalog, source.name, besides=done, refreshing=refreshing)

    plan()
    while batch := most_urgent():
        done.add(batch.key)
        if not quiet and mode is not Mode.DRY_RUN:
            note(f"{batch.key}: {batch.findings:,} findings, {_when(batch)}")
        path = None
        if emit_sql is not None:
            emit_sql.mkdir(parents=True, exist_ok=True)
            path = emit_sql / f"{batch.key.replace(':', '-')}.sql"
        report.add(
            process_batch(
                services,
                source,
                batch.key,
                mode=mode,
                run_id=run,
                sql_path=path,
                undoable=undoable,
                on_progress=None if quiet else _teller(),
                on_diff=_show_diff if mode is Mode.DRY_RUN and not quiet else None,
                reach=reach,
            )
        )
        if reach.is_hopeless or (most is not None and len(done) >= most):
            break
        if not most_urgent():
            plan()  # what was saved may stand in rows of batches that were done before
    report.unavailable = reach.sentence
    report.source_findings = open_findings(services.catalog, source.name)
    return report


def _when(batch: OpenBatch) -> str:
    if batch.next_deadline_at is not None:
        return f"the first link {deadline_text(batch.next_deadline_at)}"
    return "nobody knows when its links die" if batch.unknown else "its files are safe, or their links are dead"


def _teller() -> Callable[[Progress], None]:
    def tell(progress: Progress) -> None:
        if progress.done < progress.total:
            note(f"  {progress.step}: {progress.done:,} of {progress.total:,}")

    return tell


def _show_diff(diff: str) -> None:
    if diff:
        typer.echo(diff)


def _bring(services: Services, source: Source, folder: Path, *, dry_run: bool, quiet: bool) -> None:
    report = bring_your_own(services, source.name, folder, dry_run=dry_run)
    if quiet:
        return
    for match in report.matched:
        note(f"{match.path.name} is {match.file_id} (by {match.by})")
    for problem in report.failed.values():
        note(problem)
    say(
        f"{report.looked_at:,} files looked at, {len(report.matched):,} were lost here, {report.saved:,} saved, "
        f"{len(report.unmatched):,} belong to nothing that was lost"
    )
