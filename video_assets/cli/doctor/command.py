"""``video-assets doctor``: what is wrong here, or with one video, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from video_assets.cli.doctor.generation import check_generation
from video_assets.cli.doctor.installation import Line, check_installation
from video_assets.cli.output import JsonOption, cell, console, print_json
from video_assets.settings import get_settings

MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "bold red"), "skipped": ("–", "dim")}


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    generation_id: Annotated[str | None, typer.Argument(metavar="[ID]")] = None,
    as_json: JsonOption = False,
) -> None:
    """Look at the whole installation; with an ID, find out why this video does not play. Exits 1 on a failure.

    \b
    Examples:
      video-assets doctor
      video-assets doctor video-1763690000000-a1b2c3
      video-assets doctor --json | jq '.checks[] | select(.status == "failed")'
    """
    lines = check_installation() if generation_id is None else check_generation(get_settings(), generation_id)
    seen = list(lines) if as_json else _show(lines)
    failed = [line for line in seen if line.status == "failed"]
    if as_json:
        document = {
            "healthy": not failed,
            "generation": generation_id,
            "checks": [asdict(line) for line in seen],
        }
        print_json(document)
    else:
        warnings = sum(line.status == "warning" for line in seen)
        subject = generation_id or "The installation"
        noted = f", {warnings} thing(s) to look at" if warnings else ""
        verdict = (
            f"{len(failed)} thing(s) wrong with {subject}{noted}." if failed else f"{subject} is well{noted}."
        )
        console().print(cell(verdict, "bold red" if failed else "bold green"))
    raise typer.Exit(1 if failed else 0)


def _show(lines: Iterator[Line]) -> list[Line]:
    out = console()
    seen = []
    for line in lines:
        seen.append(line)
        mark, style = MARKS[line.status]
        out.print(cell(mark, style), cell(f"{line.name:<22}"), cell(line.message), soft_wrap=True)
        if line.remedy and line.status != "ok":
            out.print(cell("  →", "bold"), cell(line.remedy), soft_wrap=True)
    return seen
