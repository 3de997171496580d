"""``video-assets storage``: is the durable storage fit for its promise, and what is left to set up."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from video_assets.settings import Settings, get_settings
from video_assets.storage import DurableStorage, StorageFailed, open_storage
from video_assets.storage.health import CheckLine, is_healthy, iter_checks
from video_assets.storage.policies import aws_public_read_policy, cors_rules, supabase_policies

app = typer.Typer(help="The durable storage.", no_args_is_help=True)

_MARKS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "failed": "[red]✗[/]", "skipped": "[dim]–[/]"}


@app.callback()
def _storage() -> None:
    """Keeps `check` a word of its own even where it is the only command."""


@app.command()
def check(
    create_bucket: Annotated[bool, typer.Option(help="Create the bucket first when it is missing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")] = False,
) -> None:
    """Write, read, range, sign and delete a probe; name what is missing. Exits 1 when a step failed."""
    console = Console(stderr=as_json, highlight=False)
    lines: list[CheckLine] = []
    settings, storage, problem = _open()
    if settings is not None and storage is not None:
        with console.status("Asking the store…") as status:
            if create_bucket and (line := _create_bucket(storage)):
                lines.append(line)
                _show(console, line, quiet=as_json)
            if is_healthy(lines):
                for line in iter_checks(storage, settings):
                    lines.append(line)
                    _show(console, line, quiet=as_json)
                    status.update(f"{line.name}: {line.status}")
    if problem is not None:
        lines.append(problem)
        _show(console, problem, quiet=as_json)
    healthy = is_healthy(lines)
    if as_json:
        report = {
            "healthy": healthy,
            "storage": settings.storage if settings else None,
            "bucket": settings.bucket if settings else None,
            "checks": [{**asdict(line), "settings": line.settings} for line in lines],
        }
        typer.echo(json.dumps(report, indent=2))
    else:
        warnings = sum(line.status == "warning" for line in lines)
        noted = f", {warnings} to look at" if warnings else ""
        console.print(f"[green]The storage is fit{noted}.[/]" if healthy else "[red]The storage is not fit.[/]")
    raise typer.Exit(0 if healthy else 1)


@app.command()
def policies() -> None:
    """Print what makes the bucket public to read: SQL for Supabase, a bucket policy and CORS rules for others."""
    settings = get_settings()
    if settings.s3_public_flavour == "supabase":
        typer.echo(supabase_policies(settings.bucket), nl=False)
    else:
        typer.echo(aws_public_read_policy(settings.bucket))
        typer.echo(cors_rules())


def _open() -> tuple[Settings | None, DurableStorage | None, CheckLine | None]:
    try:
        settings = get_settings()
    except ValidationError as error:
        names = ", ".join("VIDEO_ASSETS_" + str(part["loc"][0]).upper() for part in error.errors() if part["loc"])
        return None, None, CheckLine("settings", "failed", "A setting cannot be read.", f"Check {names}.")
    try:
        return settings, open_storage(settings), None
    except StorageFailed as error:
        return settings, None, CheckLine("settings", "failed", "The settings allow no storage.", str(error))


def _create_bucket(storage: DurableStorage) -> CheckLine | None:
    ensure = getattr(storage, "ensure_bucket", None)
    if ensure is None:  # a folder is made when it is needed
        return None
    try:
        created = ensure()
    except StorageFailed as error:
        return CheckLine("bucket", "failed", "The bucket could not be made.", str(error))
    return CheckLine("bucket", "ok", f"{storage.bucket!r} " + ("was created" if created else "is there"))


def _show(console: Console, line: CheckLine, *, quiet: bool) -> None:
    if quiet:
        return
    took = f" [dim]{line.seconds * 1000:.0f} ms[/]" if line.status == "ok" else ""
    detail = _wrap(line.detail, console.width, 15)
    # Lines are broken here, between words only: a setting and its value stay in one piece to be copied.
    console.print(f"{_MARKS[line.status]} {line.name:<12} {escape(detail)}{took}", soft_wrap=True)
    if line.remedy:
        console.print(f"  [bold]→[/] {escape(_wrap(line.remedy, console.width, 4))}", soft_wrap=True)


def _wrap(text: str, width: int, indent: int) -> str:
    """``text`` in lines of at most ``width`` columns where its words allow, all but the first indented."""
    lines = textwrap.wrap(text, max(width - indent, 20), break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join(lines)
