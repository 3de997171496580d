"""SIGKILL of a real run process after each step of the saga, then catching up."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest

from tests.world import World, media_server
from video_assets.catalog import GenerationStatus
from video_assets.emulator import Emulator
from video_assets.pipeline.partitions import add_keys
from video_assets.transfer.rescue.outputs import Step


def run(world: World, generation_id: str, step: str, folder: Path) -> int:
    """Execute the job of one partition in a process of its own; its exit code (negative: the signal)."""
    values = world.settings.model_dump(mode="json")
    for name in ("runway_api_key", "luma_api_key"):
        values[name] = getattr(world.settings, name).get_secret_value()
    command = [sys.executable, "-m", "tests.saga.killed", json.dumps(values), generation_id, step, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1, -signal.SIGKILL), done.stdout[-3000:] + done.stderr[-3000:]
    return done.returncode


@pytest.mark.parametrize("step", list(Step))
def test_a_run_killed_after_any_step_is_caught_up_with_nothing_lost_or_doubled(
    emulator: Emulator, tmp_path: Path, step: Step
) -> None:
    folder = tmp_path / "dagster"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with media_server(tmp_path / "home") as base:
        world = World.open(emulator, tmp_path / "home", lease_seconds=1.0, public_base_url=base)
        key = world.finished(f"killed after {step} [emulator: dead_links=1]", versions=2)
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            add_keys(instance, [key])
        assert run(world, key, str(step), folder) == -signal.SIGKILL
        world.until(lambda: run(world, key, "-", folder) == 0, seconds=60)
    assert world.status(key) is GenerationStatus.COMPLETED
    originals = [media for media in world.media(key) if media.role == "video"]
    assert len(originals) == 2
    assert len(world.objects()) == len(world.media(key))
    assert emulator.submits(world.generation(key).prompt) == 2, "each version was paid for once"
    world.assert_nothing_lost_or_doubled()


def test_two_run_processes_racing_for_one_generation_download_and_store_once(
    emulator: Emulator, tmp_path: Path
) -> None:
    folder = tmp_path / "dagster"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with media_server(tmp_path / "home") as base:
        world = World.open(emulator, tmp_path / "home", public_base_url=base)
        key = world.finished("two processes [emulator: bytes_per_second=40000]")
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            add_keys(instance, [key])
        with ThreadPoolExecutor(2) as pool:
            codes = list(pool.map(lambda _: run(world, key, "-", folder), range(2)))
    assert 0 in codes, "the one that had the lease finished"
    assert world.status(key) is GenerationStatus.COMPLETED
    assert emulator.downloads(world.task(key)) == 1
    world.assert_nothing_lost_or_doubled()
