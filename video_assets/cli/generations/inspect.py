"""``list``, ``show`` and ``watch``: what is there, one thing from all sides, and what is going on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from video_assets.catalog import Generation, GenerationStatus, MediaState, open_catalog, queries
from video_assets.cli.failures import CommandFailed
from video_assets.cli.generations.follow import require_known, show_following
from video_assets.cli.generations.json_views import (
    GenerationView,
    list_document,
    load_view,
    seconds_to_durable,
    view_document,
)
from video_assets.cli.output import (
    JsonOption,
    age_text,
    cell,
    console,
    deadline_text,
    duration_text,
    note,
    print_json,
    say,
    size_text,
    status,
    table,
)
from video_assets.settings import get_settings

WATCHED_AT_ONCE = 200


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("list")(list_)
    app.command(no_args_is_help=True)(show)
    app.command()(watch)


def list_(
    owner: Annotated[str | None, typer.Option(help="Only this owner's.")] = None,
    status: Annotated[GenerationStatus | None, typer.Option(help="Only those that stand here.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only this provider's.")] = None,
    campaign: Annotated[str | None, typer.Option(help="Only this campaign's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many on one page.")] = 20,
    after: Annotated[
        str | None, typer.Option(help="The next page: the id of the last generation of this one.", metavar="ID")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """The newest generations first.

    \b
    Examples:
      video-assets list
      video-assets list --owner ana --status failed
      video-assets list --limit 100 --json | jq -r '.generations[].id'
    """
    catalog = open_catalog(get_settings())
    with catalog.read() as session:
        last = queries.get_generation(session, after) if after is not None else None
        rows = queries.list_generations(
            session,
            owner=owner,
            status=status,
            provider=provider,
            campaign=campaign,
            limit=limit + 1,
            before=last.created_at if last else None,
            before_id=last.id if last else None,
        )
        counts = queries.count_by_status(session)
    page = rows[:limit]
    next_page = page[-1].id if len(rows) > limit else None
    if as_json:
        print_json(list_document(page, next_page=next_page))
        return
    if not page:
        say("No generations here yet. `video-assets submit --help` shows how to ask for one.")
        return
    console().print(_list_table(page))
    say(", ".join(f"{count} {word}" for word, count in sorted(counts.items())) + " in the catalog.")
    if next_page is not None:
        note(f"More with --after {next_page}")


def _list_table(rows: Sequence[Generation]) -> Table:
    made = table("generation", "owner", "provider", "model", "status", ">durable after", "age", "prompt")
    for row in rows:
        seconds = seconds_to_durable(row)
        made.add_row(
            cell(row.id),
            cell(row.owner),
            cell(row.provider),
            cell(row.model),
            status(row.status),
            duration_text(seconds) if seconds is not None else "",
            age_text(row.created_at),
            cell(_shortened(row.title or row.prompt)),
        )
    return made


def _shortened(text: str, longest: int = 48) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def show(
    generation_id: Annotated[str, typer.Argument(metavar="ID")],
    events: Annotated[int, typer.Option(min=0, max=10_000, help="How many of the newest events.")] = 40,
    as_json: JsonOption = False,
) -> None:
    """Everything about one generation: jobs, outputs with their deadlines, durable links, what happened when.

    \b
    Examples:
      video-assets show video-1763690000000-a1b2c3
      video-assets show video-1763690000000-a1b2c3 --json | jq -r '.media[].url'
    """
    view = load_view(open_catalog(get_settings()), generation_id, events=events)
    if as_json:
        print_json(view_document(view))
    else:
        _show_view(console(), view)


def _show_view(out: Console, view: GenerationView) -> None:
    generation = view.generation
    head = Table.grid(padding=(0, 2))
    head.add_row("generation", cell(generation.id, "bold"))
    head.add_row("status", status(generation.status))
    if generation.reason or generation.error_message:
        head.add_row("why", cell(f"{generation.reason or ''} {generation.error_message or ''}".strip()))
    head.add_row("owner", cell(generation.owner))
    head.add_row("asked of", cell(f"{generation.provider} {generation.model}, {generation.versions} version(s)"))
    for name in ("title", "campaign", "language", "idempotency_key"):
        if getattr(generation, name):
            head.add_row(name.replace("_", " "), cell(getattr(generation, name)))
    head.add_row("prompt", cell(generation.prompt))
    if generation.parameters:
        head.add_row("parameters", cell(", ".join(f"{k}={v}" for k, v in generation.parameters.items())))
    head.add_row(
        "asked", cell(f"{generation.created_at:%Y-%m-%d %H:%M:%S} UTC, {age_text(generation.created_at)}")
    )
    seconds = seconds_to_durable(generation)
    if seconds is not None:
        head.add_row("durable", cell(f"{duration_text(seconds)} after the provider had finished"))
    out.print(head)
    _show_jobs(out, view)
    _show_outputs(out, view)
    _show_media(out, view)
    if view.events:
        timeline = table("when (UTC)", "what", "", title="Events")
        for event in view.events:
            timeline.add_row(f"{event.at:%H:%M:%S.%f}"[:-3], cell(event.step, "bold"), cell(event.message))
        out.print(timeline)


def _show_jobs(out: Console, view: GenerationView) -> None:
    jobs = table(">version", ">try", "task", "status", ">progress", ">cost", "message", title="Provider jobs")
    for job in view.jobs:
        cost = job.cost if job.cost is not None else job.estimated_cost
        jobs.add_row(
            str(job.ordinal),
            str(job.try_number),
            cell(job.task_id or "not sent yet"),
            status(job.status),
            "" if job.progress is None else f"{job.progress:.0%}",
            "" if cost is None else f"{'' if job.cost is not None else '~'}{cost:g} {job.cost_unit or ''}",
            cell(job.failure_message or ""),
        )
    out.print(jobs)


def _show_outputs(out: Console, view: GenerationView) -> None:
    if not view.outputs:
        return
    outputs = table("output", "state", "its link", ">tries", ">refreshes", "source", "message", title="Outputs")
    for output in view.outputs:
        countdown = deadline_text(output.deadline_at)
        outputs.add_row(
            cell(f"{output.kind} {output.index}"),
            status(output.state),
            cell("erased" if output.state == MediaState.STORED else countdown),
            str(output.attempts),
            str(output.refreshes),
            cell((output.source_redacted or "").partition("?")[0]),
            cell(output.message),
        )
    out.print(outputs)


def _show_media(out: Console, view: GenerationView) -> None:
    if not view.videos:
        return
    media = table("durable file", ">size", ">picture", ">length", "codec", "sha256", "proof", title="Durable")
    for file in view.videos:
        media.add_row(
            cell(file.file_url, "underline"),
            size_text(file.file_size),
            f"{file.width}×{file.height}" if file.width else "",
            f"{file.duration_seconds:.1f} s" if file.duration_seconds else "",
            cell(file.video_codec or file.file_type),
            cell((file.sha256 or "")[:16] + "…"),
            cell(file.proof),
        )
    out.print(media)


def watch(
    generation_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="All unsettled ones when none is given.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(min=0, help="Stop after this many seconds.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Live progress until everything is settled. Exits 1 unless all are completed.

    \b
    Examples:
      video-assets watch
      video-assets watch video-1763690000000-a1b2c3 --timeout 600
      video-assets watch --json        # waits, then one document
    """
    catalog = open_catalog(get_settings())
    chosen = list(dict.fromkeys(generation_ids or []))
    if chosen:
        require_known(catalog, chosen)
    else:
        with catalog.read() as session:
            for word in (status for status in GenerationStatus if not status.settled):
                chosen += [
                    row.id for row in queries.list_generations(session, status=word, limit=WATCHED_AT_ONCE)
                ]
        if not chosen:
            if as_json:
                print_json({"generations": []})
            else:
                say("Everything is settled; there is nothing to watch.")
            return
    if len(chosen) > WATCHED_AT_ONCE:
        raise CommandFailed(f"At most {WATCHED_AT_ONCE} generations can be watched at once: name fewer.")
    raise typer.Exit(0 if show_following(catalog, chosen, as_json=as_json, timeout=timeout) else 1)
