"""``video-assets demo``: the main job, end to end, on embedded defaults and local stand-ins for the providers."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from video_assets.catalog import GenerationStatus
from video_assets.cli.demo.stage import (
    dagster_sentence,
    demo_settings,
    look_for_leaks,
    new_folder,
    start_afresh,
    tell_leaks,
    wait_for_runs,
)
from video_assets.cli.dev.stack import (
    Addresses,
    Ports,
    open_dagster,
    require_free,
    start_stack,
)
from video_assets.cli.dev.supervisor import ChildFailed, Stopped, Supervisor, free_ports, stopping_on_signals
from video_assets.cli.failures import CommandFailed, ExitCode
from video_assets.cli.generations.follow import follow
from video_assets.cli.output import (
    JsonOption,
    cell,
    console,
    note,
    print_json,
    say,
    size_text,
    status,
    table,
)
from video_assets.generations.intake import take_in
from video_assets.services import open_services
from video_assets.settings import Settings

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from video_assets.demo.evidence import Evidence
    from video_assets.demo.leak_scan import LeakReport
    from video_assets.emulator import Emulator

WIDE = 190
"""Columns of a terminal that has room for whole links in the table."""


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    home: Annotated[Path, typer.Option(help="Where it takes place; emptied at the start.")] = Path(".demo"),
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything up at the end, until Ctrl-C.")] = False,
    port_base: Annotated[
        int, typer.Option(min=0, max=65_000, help="Three ports from here on; 0 picks free ones.")
    ] = 0,
    timeout: Annotated[float, typer.Option(min=1, help="Longest wait in seconds for the dozen.")] = 180.0,
    as_json: JsonOption = False,
) -> None:
    """A dozen generations over two emulated providers, with everything that goes wrong, made durable and proven.

    Needs no key and no network. Exits 1 when any generation is neither safe nor accounted for.

    \b
    Examples:
      video-assets demo
      video-assets demo --keep         # then look around in the Dagster UI
      video-assets demo --json | jq '.generations[] | {scene, status, saved_by}'
    """
    from video_assets.emulator import Emulator

    began = time.monotonic()
    # The warning to back up the generated key is for those who keep what it encrypts.
    logging.getLogger("video_assets.catalog.database").setLevel(logging.ERROR)
    home = home.absolute()
    start_afresh(home)
    ports = Ports(port_base, port_base + 1, port_base + 2) if port_base else Ports(*free_ports(3))
    require_free({"Dagster UI": ports.dagster, "media server": ports.media, "emulator": ports.emulator})
    with stopping_on_signals() as stop_asked, contextlib.ExitStack() as stack:
        emulator = stack.enter_context(Emulator(ports.emulator, state_dir=new_folder(home / "emulator")))
        settings = demo_settings(home, ports, emulator)
        supervisor = stack.enter_context(Supervisor(home / "logs", stop_asked=stop_asked))
        note("Starting the emulator, the media server and Dagster …")
        try:
            # The children's working folder holds no .env, so nobody's own configuration takes part.
            addresses = start_stack(
                supervisor,
                settings,
                ports,
                environment=os.environ,
                logs=home / "logs",
                emulator=emulator,
                folder=home,
            )
            if not as_json:
                _announce(addresses, seconds=time.monotonic() - began)
            evidence = _perform(
                settings, addresses, emulator, supervisor, stop_asked, timeout=timeout, quiet=as_json
            )
            if not keep:
                supervisor.stop()  # before the scan: what is only in memory is written then
            leaks = look_for_leaks([home], emulator)
            _report(evidence, leaks, seconds=time.monotonic() - began, as_json=as_json)
            if keep and not stop_asked.is_set():
                _keep_up(addresses, supervisor, stop_asked)
        except Stopped:
            raise CommandFailed("The demonstration was stopped before its end.", ExitCode.NEGATIVE) from None
        except ChildFailed as exc:
            if exc.last_words:
                note(exc.last_words)
            raise CommandFailed(str(exc), ExitCode.UNAVAILABLE) from None
    accounted = all(one.accounted_for for one in evidence) and leaks.clean
    raise typer.Exit(0 if accounted else 1)


def _announce(addresses: Addresses, *, seconds: float) -> None:
    say(f"Up after {seconds:.0f} s. Dagster UI {addresses.dagster} — emulator {addresses.emulator}")
    say()
    console().file.flush()


def _perform(
    settings: Settings,
    addresses: Addresses,
    emulator: Emulator,
    supervisor: Supervisor,
    stop_asked: Event,
    *,
    timeout: float,
    quiet: bool,
) -> list[Evidence]:
    """Submit the dozen, wait, and gather the evidence while everything is still up."""
    from video_assets.demo.evidence import gather
    from video_assets.demo.scenes import SCENES

    def look() -> None:
        supervisor.check()
        if stop_asked.is_set():
            raise Stopped

    services = open_services(settings)
    try:
        ids = [
            take_in(services.catalog, scene.request(), services.provider(scene.provider)).generation.id
            for scene in SCENES
        ]
        names = dict(zip(ids, (scene.name for scene in SCENES), strict=True))
        follow(services.catalog, ids, quiet=quiet, timeout=timeout, names=names, on_look=look)
        if not quiet:
            say()
            note("Settled. Now every source link dies, and the durable copies are fetched and decoded …")
        with open_dagster(addresses.dagster_home) as instance:
            wait_for_runs(instance, supervisor)
            if not quiet:
                note(dagster_sentence(instance))
            return [
                gather(
                    scene,
                    generation_id,
                    catalog=services.catalog,
                    verifier=services.verifier,
                    emulator=emulator,
                    sensor_of=lambda run_id: _sensor_of(instance, run_id),
                    scratch=settings.spool,
                )
                for scene, generation_id in zip(SCENES, ids, strict=True)
            ]
    finally:
        services.catalog.close()


def _sensor_of(instance: DagsterInstance, run_id: str) -> str | None:
    run = instance.get_run_by_id(run_id)
    return run.tags.get("dagster/sensor_name") if run is not None else None


def _report(evidence: Sequence[Evidence], leaks: LeakReport, *, seconds: float, as_json: bool) -> None:
    accounted = sum(one.accounted_for for one in evidence)
    if as_json:
        print_json(
            {
                "generations": [one.document() for one in evidence],
                "accounted_for": accounted,
                "leaks": {**asdict(leaks), "clean": leaks.clean},
                "seconds": round(seconds, 1),
            }
        )
        return
    out = console()
    out.print(_table(out, evidence))
    _tell_links(out, evidence)
    _tell_stories(out, evidence)
    for one in evidence:
        for problem in one.problems:
            out.print(cell(f"✗ “{one.scene}”: {problem}", "bold red"))
    tell_leaks(leaks)
    safe = sum(one.status == GenerationStatus.COMPLETED for one in evidence if one.accounted_for)
    verdict = f"{accounted} of {len(evidence)} generations safe or accounted for"
    out.print(
        cell(verdict, "bold green" if accounted == len(evidence) and leaks.clean else "bold red"),
        cell(f"({safe} safe, {accounted - safe} accounted for), {seconds:.0f} s."),
    )


def _tell_links(out: Console, evidence: Sequence[Evidence]) -> None:
    """The durable links line by line, where the table has no room for them."""
    if out.width >= WIDE:
        return
    say("Durable links:")
    for one in evidence:
        for file in one.videos:
            out.print(cell(file.url, "underline"), soft_wrap=True)
    say()


def _tell_stories(out: Console, evidence: Sequence[Evidence]) -> None:
    from video_assets.demo.scenes import SCENES

    for scene, one in zip(SCENES, evidence, strict=True):
        if scene.tells and one.accounted_for:
            out.print(
                cell(scene.name, "bold"), cell("—"), cell(scene.tells.format(**one.document())), soft_wrap=True
            )
    say()


def _table(out: Console, evidence: Sequence[Evidence]) -> Table:
    wide = out.width >= WIDE
    links = ("durable link",) if wide else ()
    made = table(
        "generation", "provider", "status", *links, ">size", "sha256", ">s", "checks", "source", ">plays"
    )
    for one in evidence:
        row: list[Text | str] = [cell(one.scene, "bold"), cell(one.provider), status(one.status)]
        proofs: list[Text | str] = [
            "" if one.seconds_to_durable is None else f"{one.seconds_to_durable:.1f}",
            f"{one.checks_passed}/{one.checks}" if one.checks else "",
            ", ".join(str(code) for code in sorted(set(one.source_answers))) or "—",
        ]
        if not one.videos:
            made.add_row(*row, *([cell(one.reason)] if wide else []), "", "", *proofs, "")
        for file in one.videos:
            link = [cell(file.url, "underline")] if wide else []
            plays = cell(f"{file.frames} frames" if file.frames else "no", "" if file.frames else "bold red")
            made.add_row(*row, *link, size_text(file.size), file.sha256[:12], *proofs, plays)
            row, proofs = ["", "", ""], ["", "", ""]  # further versions of the same generation
    return made


def _keep_up(addresses: Addresses, supervisor: Supervisor, stop_asked: Event) -> None:
    say()
    say("Still up, until Ctrl-C:")
    say(f"  Dagster UI   {addresses.dagster}")
    say(f"  Emulator     {addresses.emulator}")
    say(f"  Catalog      VIDEO_ASSETS_HOME={addresses.home} video-assets list")
    console().file.flush()
    while not stop_asked.wait(0.5):
        supervisor.check()
