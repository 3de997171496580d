"""What every demonstration needs: an empty folder, settings of its own, and the last look for leaks."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from video_assets.cli.dev.stack import HOST, Ports, emulator_environment
from video_assets.cli.dev.supervisor import ChildFailed, Supervisor
from video_assets.cli.failures import CommandFailed
from video_assets.cli.output import cell, console, say
from video_assets.settings import Settings

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from video_assets.demo.leak_scan import LeakReport
    from video_assets.emulator import Emulator

MARKER = ".video-assets-demo"
RUNS_SETTLE_SECONDS = 60.0


def start_afresh(home: Path) -> None:
    """Empty the folder, if it is one of ours."""
    if home.exists():
        if any(home.iterdir()) and not (home / MARKER).is_file():
            raise CommandFailed(
                f"{home} is not empty and was not made by the demonstration: give another folder with --home."
            )
        shutil.rmtree(home)
    new_folder(home)
    (home / MARKER).write_text("`video-assets demo` empties this folder at each start.\n", encoding="utf-8")


def new_folder(path: Path) -> Path:
    """The folder, made when it is not there."""
    path.mkdir(parents=True, exist_ok=True)
    return path


def demo_settings(home: Path, ports: Ports, emulator: Emulator, **more: str) -> Settings:
    """The settings of the demonstration, made the environment of this process and its children.

    Nobody's own keys, database or bucket take part. ``more`` are further variables without their prefix.
    """
    for name in list(os.environ):
        if name.upper().startswith("VIDEO_ASSETS_") or name == "DAGSTER_HOME":
            del os.environ[name]
    os.environ.update(emulator_environment(emulator))
    os.environ.update(
        {
            "VIDEO_ASSETS_HOME": str(home),
            "VIDEO_ASSETS_MEDIA_PORT": str(ports.media),
            "VIDEO_ASSETS_PUBLIC_BASE_URL": f"http://{HOST}:{ports.media}/media",
            "VIDEO_ASSETS_POLL_INTERVAL_SCALE": "0.2",
            "VIDEO_ASSETS_UNKNOWN_JOB_PATIENCE": "PT10S",  # two seconds at this pace
            **{f"VIDEO_ASSETS_{name.upper()}": value for name, value in more.items()},
        }
    )
    return Settings(_env_file=None)


def wait_for_runs(instance: DagsterInstance, supervisor: Supervisor) -> None:
    """Let Dagster finish its checks and previews, so that the UI has the whole picture too."""
    from dagster import DagsterRunStatus, RunsFilter

    open_statuses = [
        DagsterRunStatus.QUEUED,
        DagsterRunStatus.NOT_STARTED,
        DagsterRunStatus.STARTING,
        DagsterRunStatus.STARTED,
    ]
    with contextlib.suppress(ChildFailed):
        supervisor.wait_until(
            lambda: instance.get_runs_count(RunsFilter(statuses=open_statuses)) == 0,
            "Dagster's last run",
            timeout=RUNS_SETTLE_SECONDS,
            every=0.5,
        )


def dagster_sentence(instance: DagsterInstance) -> str:
    """What Dagster did meanwhile, its own failures included."""
    from dagster import DagsterRunStatus, RunsFilter

    failed_runs = instance.get_runs_count(RunsFilter(statuses=[DagsterRunStatus.FAILURE]))
    ticks = [
        tick
        for state in instance.all_instigator_state()
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id)
    ]
    failed_ticks = sum(tick.status.value == "FAILURE" for tick in ticks)
    return (
        f"Dagster: {instance.get_runs_count()} runs, {failed_runs} failed (a loss is a failure); "
        f"{len(ticks)} ticks of sensors and schedules, {failed_ticks} failed."
    )


def look_for_leaks(places: Iterable[Path], emulator: Emulator) -> LeakReport:
    """Look for everything secret that the emulator ever issued, in all that was written."""
    from video_assets.demo.leak_scan import scan

    return scan(places, emulator.issued_secrets())


def tell_leaks(leaks: LeakReport) -> None:
    """What the last look found, for people."""
    looked = f"{leaks.secrets} secrets in {leaks.files} files and {leaks.values} database values"
    if leaks.clean:
        say(f"No temporary link and no key was left behind: looked for {looked}.")
        return
    for leak in leaks.leaks[:20]:
        console().print(cell(f"✗ secret {leak.fingerprint} stands in {leak.path} ({leak.where})", "bold red"))
    for unread in leaks.unread:
        console().print(cell(f"✗ could not be read: {unread}", "bold red"))
    say(f"Looked for {looked}: {len(leaks.leaks)} found.")
