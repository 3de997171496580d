"""``video-assets demo-legacy``: the legacy workflow on five example databases, with real Dagster processes."""

from __future__ import annotations

import contextlib
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from cryptography.fernet import Fernet

from video_assets.cli.demo.legacy_walk import Road, Story
from video_assets.cli.demo.stage import (
    demo_settings,
    look_for_leaks,
    new_folder,
    start_afresh,
    tell_leaks,
)
from video_assets.cli.dev.stack import Ports, require_free
from video_assets.cli.dev.supervisor import ChildFailed, Stopped, Supervisor, free_ports, stopping_on_signals
from video_assets.cli.failures import CommandFailed, ExitCode
from video_assets.cli.legacy.proof import show_proof
from video_assets.cli.output import (
    JsonOption,
    cell,
    console,
    note,
    print_json,
    say,
    size_text,
    table,
)

if TYPE_CHECKING:
    from video_assets.demo.leak_scan import LeakReport


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo-legacy")(demo_legacy)


def demo_legacy(
    home: Annotated[Path, typer.Option(help="Where it takes place; emptied at the start.")] = Path(
        ".demo-legacy"
    ),
    rows: Annotated[int, typer.Option(min=50, help="Rows in all five example databases together.")] = 2000,
    port_base: Annotated[
        int, typer.Option(min=0, max=65_000, help="Three ports from here on; 0 picks free ones.")
    ] = 0,
    timeout: Annotated[float, typer.Option(min=1, help="Longest wait in seconds for the backfill.")] = 240.0,
    as_json: JsonOption = False,
) -> None:
    """Five old databases: discover, inventory, report, backfill through Dagster, rewrite, prove, undo, redo.

    Needs no key and no network. Exits 1 when any place is neither saved nor accounted for, or any step disagrees.

    \b
    Example:
      video-assets demo-legacy
    """
    from video_assets.emulator import Emulator

    began = time.monotonic()
    home = home.absolute()
    start_afresh(home)
    ports = Ports(port_base, port_base + 1, port_base + 2) if port_base else Ports(*free_ports(3))
    require_free({"Dagster UI": ports.dagster, "media server": ports.media, "emulator": ports.emulator})
    with stopping_on_signals() as stop_asked, contextlib.ExitStack() as stack:
        emulator = stack.enter_context(
            Emulator(ports.emulator, state_dir=new_folder(home / "emulator"), time_scale=0.05)
        )
        settings = demo_settings(
            home,
            ports,
            emulator,
            legacy_config=str(home / "legacy.toml"),
            legacy_horizon="PT0S",  # the backfill is the story; the sensor would take the soonest away
            ledger_key=Fernet.generate_key().decode(),
            unknown_job_patience="PT0S",  # the emulator forgets only what it is told to forget
        )
        supervisor = stack.enter_context(Supervisor(home / "logs", stop_asked=stop_asked))
        try:
            story = Road(home, settings, emulator, supervisor, stop_asked, quiet=as_json).walk(
                ports, rows, timeout
            )
            supervisor.stop()  # before the scan: what is only in memory is written then
        except Stopped:
            raise CommandFailed("The demonstration was stopped before its end.", ExitCode.NEGATIVE) from None
        except ChildFailed as exc:
            if exc.last_words:
                note(exc.last_words)
            raise CommandFailed(str(exc), ExitCode.UNAVAILABLE) from None
        # The old databases hold what is lost, as they did before; everything of ours must be clean.
        leaks = look_for_leaks([each for each in home.iterdir() if each.name != "databases"], emulator)
    _tell(story, leaks, seconds=time.monotonic() - began, as_json=as_json)
    raise typer.Exit(ExitCode.OK if leaks.clean and not story.problems else ExitCode.NEGATIVE)


def _tell(story: Story, leaks: LeakReport, *, seconds: float, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "rows": story.rows,
                "accounts": [account.document() for account in story.accounts],
                "problems": story.problems,
                "steps": story.steps,
                "dagster_runs": story.runs,
                "proof": {
                    "verdict": story.proof.get("verdict"),
                    "merkle": story.proof.get("merkle"),
                    "remaining": {part["name"]: part["remaining"] for part in story.proof.get("sources", ())},
                },
                "leaks": {**asdict(leaks), "clean": leaks.clean},
                "seconds": round(seconds, 1),
            }
        )
        return
    say()
    made = table(
        "database", ">places", ">rewritten", ">lost", ">left alone", ">files saved", ">brought back",
        ">lost files", ">size",
    )  # fmt: skip
    for account in story.accounts:
        made.add_row(
            cell(account.source, "bold"),
            cell(f"{account.places:,}"),
            *(cell(f"{account.states[word]:,}", style)
              for word, style in (("rewritten", "green"), ("lost", "red"), ("excepted", "dim"))),
            *map(cell, (f"{account.stored:,}", f"{account.refreshed:,}", f"{account.lost.total():,}")),
            cell(size_text(account.bytes)),
        )  # fmt: skip
    console().print(made)
    say("Lost, and why:")
    for account in story.accounts:
        for message, count in account.lost.most_common(3):
            say(f"  {account.source}: {count:,} × {message}")
    if story.proof:
        show_proof(story.proof)
    tell_leaks(leaks)
    for problem in story.problems:
        console().print(cell(f"✗ {problem}", "bold red"))
    places = sum(account.places for account in story.accounts)
    unaccounted = sum(account.unaccounted for account in story.accounts)
    good = leaks.clean and not story.problems
    console().print(
        cell(
            f"{places - unaccounted:,} of {places:,} places saved or accounted for",
            "bold green" if good else "bold red",
        ),
        cell(f"({story.rows:,} rows, five shapes, {story.runs} Dagster runs), {seconds:.0f} s."),
    )
