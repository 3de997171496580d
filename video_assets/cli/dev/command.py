"""``video-assets dev``: everything on this machine until Ctrl-C, with the addresses to open."""

from __future__ import annotations

import contextlib
import os
from typing import Annotated

import typer

from video_assets.cli.dev.dev_file import shared_environment
from video_assets.cli.dev.stack import (
    HOST,
    Addresses,
    Ports,
    emulator_environment,
    require_free,
    start_stack,
)
from video_assets.cli.dev.supervisor import ChildFailed, Stopped, Supervisor, free_ports, stopping_on_signals
from video_assets.cli.failures import CommandFailed, ExitCode
from video_assets.cli.output import JsonOption, cell, console, note, print_json, say
from video_assets.providers import configured
from video_assets.settings import Settings, get_settings

DAGSTER_PORT = 3000
EMULATOR_PORT = 8900


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(dev)


def dev(
    emulator: Annotated[
        bool | None,
        typer.Option(
            "--emulator/--no-emulator",
            help="Local stand-ins for the providers. Default: only when no provider key is set.",
        ),
    ] = None,
    port_base: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_000,
            help="Port of Dagster; media server and emulator take the next two. 0 picks free ones.",
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the logs of every part, redacted.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Dagster (webserver and daemon), the media server and the emulator, until Ctrl-C. Nothing is left running.

    \b
    Examples:
      video-assets dev
      video-assets dev --verbose --port-base 4000
      VIDEO_ASSETS_RUNWAY_API_KEY=key_… video-assets dev --no-emulator
    """
    settings = get_settings()
    with_emulator = emulator if emulator is not None else not configured(settings)
    ports = choose_ports(settings, port_base)
    wanted = {"Dagster UI": ports.dagster, "media server": ports.media}
    require_free({**wanted, "emulator": ports.emulator} if with_emulator else wanted)
    logs = settings.home.absolute() / "logs"

    def show_line(name: str, line: str) -> None:
        console(stderr=True).print(cell(f"{name:<8}", "bold cyan"), cell(line), soft_wrap=True)

    with stopping_on_signals() as stop_asked, contextlib.ExitStack() as stack:
        # The emulator is imported only when it is wanted: it brings the encoder along.
        running = None
        if with_emulator:
            from video_assets.emulator import Emulator

            state = settings.home / "emulator"
            state.mkdir(parents=True, exist_ok=True)
            running = stack.enter_context(Emulator(ports.emulator, state_dir=state))
        overrides = emulator_environment(running) if running else {}
        stack.enter_context(shared_environment(settings.home.absolute(), overrides))
        settings = apply_overrides(settings, ports, overrides)
        supervisor = stack.enter_context(
            Supervisor(logs, stop_asked=stop_asked, on_line=show_line if verbose else None)
        )
        note("Starting Dagster and the media server …")
        try:
            addresses = start_stack(
                supervisor, settings, ports, environment=os.environ, logs=logs, emulator=running
            )
            _announce(addresses, as_json=as_json)
            while not stop_asked.wait(0.5):
                supervisor.check()
        except Stopped:
            pass
        except ChildFailed as exc:
            if exc.last_words:
                note(exc.last_words)
            raise CommandFailed(str(exc), ExitCode.UNAVAILABLE) from None
        note("Stopping …")
    note("Stopped. Everything is kept; `video-assets dev` goes on where it was.")


def choose_ports(settings: Settings, port_base: int | None) -> Ports:
    """The usual ports, three in a row from ``port_base``, or three free ones for 0."""
    if port_base is None:
        return Ports(DAGSTER_PORT, settings.media_port, EMULATOR_PORT)
    if port_base == 0:
        return Ports(*free_ports(3))
    return Ports(port_base, port_base + 1, port_base + 2)


def apply_overrides(settings: Settings, ports: Ports, more: dict[str, str]) -> Settings:
    """Make this process, and so its children, see the ports and the emulator; the settings as they are then."""
    changes = {
        **more,
        # Absolute, because Dagster starts its runs in folders of its own choice.
        "VIDEO_ASSETS_HOME": str(settings.home.absolute()),
        "VIDEO_ASSETS_MEDIA_PORT": str(ports.media),
    }
    if ports.media != settings.media_port:
        changes["VIDEO_ASSETS_PUBLIC_BASE_URL"] = f"http://{HOST}:{ports.media}/media"
    os.environ.update(changes)
    get_settings.cache_clear()
    return get_settings()


def _announce(addresses: Addresses, *, as_json: bool) -> None:
    if as_json:
        print_json(addresses.document())
        return
    say()
    say(f"  Dagster UI     {addresses.dagster}")
    say(f"  Media server   {addresses.media}/…")
    if addresses.emulator:
        say(f"  Emulator       {addresses.emulator}")
    say(f"  Files          {addresses.home}")
    say()
    say('  Try:  video-assets submit --provider runway --model gen4.5 --owner you --prompt "A fox" --wait')
    say("  Stop: Ctrl-C")
    console().file.flush()
