"""``retry``, ``cancel`` and ``verify``: what a person does about a generation, and how anyone checks it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from video_assets.catalog import Catalog, Generation, GenerationStatus, open_catalog, queries
from video_assets.cli.failures import CommandFailed
from video_assets.cli.generations.follow import require_known
from video_assets.cli.generations.json_views import generation_document
from video_assets.cli.output import JsonOption, cell, console, print_json, say, table, to_json
from video_assets.generations.control import cancel_generation, give_up_outputs, retry_generation
from video_assets.providers import get_provider
from video_assets.settings import get_settings
from video_assets.storage import open_storage
from video_assets.transfer.rescue.checks import CheckOutcome, Verifier
from video_assets.urls import host_rules

GenerationId = Annotated[str, typer.Argument(metavar="ID")]


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(no_args_is_help=True)(retry)
    app.command(no_args_is_help=True)(cancel)
    app.command("give-up", no_args_is_help=True)(give_up)
    app.command(no_args_is_help=True)(verify)


def retry(
    generation_id: GenerationId,
    resubmit: Annotated[
        bool, typer.Option("--resubmit", help="Generate again where that may cost money a second time.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Try again what ended badly, or at once what waits for its next attempt.

    Lost files, and jobs that were given up, are asked of the provider once more, free of charge. Failed jobs are
    sent again. What may be paid twice needs --resubmit.

    \b
    Examples:
      video-assets retry video-1763690000000-a1b2c3
      video-assets retry video-1763690000000-a1b2c3 --resubmit
    """
    row = retry_generation(open_catalog(get_settings()), generation_id, resubmit=resubmit)
    _tell(row, f"{row.id} is {row.status}; see it with `video-assets watch {row.id}`.", as_json=as_json)


def cancel(generation_id: GenerationId, as_json: JsonOption = False) -> None:
    """Stop a generation that is not generated yet. What is paid for already is made durable, not thrown away.

    \b
    Example:
      video-assets cancel video-1763690000000-a1b2c3
    """
    settings = get_settings()
    row = cancel_generation(open_catalog(settings), generation_id, lambda name: get_provider(name, settings))
    if row.status == GenerationStatus.CANCELLED:
        message = f"{row.id} is cancelled."
    else:
        message = f"{row.id} is {row.status}: the cancellation is noted, and takes effect where it still can."
    _tell(row, message, as_json=as_json)


def give_up(
    generation_id: GenerationId,
    why: Annotated[str | None, typer.Option("--why", help="Kept with the files.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Give up the files of a generation that are lost or still wait. Their links are erased.

    What is durable stays. `retry` takes it back, where the provider can still give fresh links.

    \b
    Example:
      video-assets give-up video-1763690000000-a1b2c3 --why "the campaign was cancelled"
    """
    row = give_up_outputs(open_catalog(get_settings()), generation_id, why=why)
    said = row.error_message or "What was not durable is given up."
    _tell(row, f"{row.id} is {row.status}. {said}", as_json=as_json)


def _tell(row: Generation, message: str, *, as_json: bool) -> None:
    if as_json:
        print_json(generation_document(row))
    else:
        say(message)


def verify(
    generation_ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every completed generation.")] = False,
    owner: Annotated[str | None, typer.Option(help="With --all: only this owner's.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Prove from the store's own bytes that the durable copies are whole, public and play. Exits 1 if not.

    \b
    Examples:
      video-assets verify video-1763690000000-a1b2c3
      video-assets verify --all --json
    """
    settings = get_settings()
    chosen = list(dict.fromkeys(generation_ids or []))
    if everything == bool(chosen):
        raise CommandFailed("Name the generations to verify, or give --all.")
    if owner is not None and not everything:
        raise CommandFailed("--owner goes with --all.")
    catalog = open_catalog(settings)
    if chosen:
        require_known(catalog, chosen)
    verifier = Verifier(
        catalog,
        open_storage(settings),
        settings.spool,
        require_playable=settings.require_playable,
        hosts=host_rules(settings.deleting_hosts),
    )
    ids = _completed(catalog, owner) if everything else iter(chosen)
    results = ((generation_id, verifier.verify(generation_id)) for generation_id in ids)
    _, failed = _write_json(results) if as_json else _write_lines(results)
    raise typer.Exit(1 if failed else 0)


def _completed(catalog: Catalog, owner: str | None) -> Iterator[str]:
    """Ids of every completed generation, newest first, a page at a time."""
    before: datetime | None = None
    before_id: str | None = None
    while True:
        with catalog.read() as session:
            page = queries.list_generations(
                session,
                owner=owner,
                status=GenerationStatus.COMPLETED,
                limit=200,
                before=before,
                before_id=before_id,
            )
        if not page:
            return
        yield from (row.id for row in page)
        before, before_id = page[-1].created_at, page[-1].id


def _write_json(results: Iterator[tuple[str, list[CheckOutcome]]]) -> tuple[int, int]:
    """One document, written as it comes: a catalog of a million videos does not fit into memory."""
    checked = failed = 0
    sys.stdout.write('{"generations": [')
    for generation_id, outcomes in results:
        passed = all(outcome.passed for outcome in outcomes)
        document: dict[str, Any] = {
            "id": generation_id,
            "passed": passed,
            "checks": [asdict(outcome) for outcome in outcomes],
        }
        sys.stdout.write((",\n" if checked else "\n") + to_json(document, indent=None))
        checked += 1
        failed += not passed
    sys.stdout.write(
        f'\n], "checked": {checked}, "failed": {failed}, "passed": {"false" if failed else "true"}}}\n'
    )
    return checked, failed


def _write_lines(results: Iterator[tuple[str, list[CheckOutcome]]]) -> tuple[int, int]:
    checked = failed = 0
    out = console()
    for generation_id, outcomes in results:
        made = table("", "check", "what was found", title=generation_id)
        for outcome in outcomes:
            mark = cell("✓", "green") if outcome.passed else cell("✗", "bold red")
            if outcome.is_unknown:
                mark = cell("?", "yellow")
            made.add_row(mark, cell(outcome.name), cell(outcome.message))
        out.print(made)
        checked += 1
        failed += not all(outcome.passed for outcome in outcomes)
    say(f"{checked - failed} of {checked} generations proven." if checked else "There is nothing to verify yet.")
    return checked, failed
