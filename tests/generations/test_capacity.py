"""No more jobs than a provider takes at once; the others stay queued and say why."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.world import World
from video_assets.catalog import GenerationStatus, JobStatus
from video_assets.catalog.models import utc_now
from video_assets.emulator import Emulator
from video_assets.generations.capacity import ready_to_submit
from video_assets.generations.submission import SubmissionDelayed
from video_assets.settings import Settings

ENDLESS = "[emulator: run_seconds=9999]"


@pytest.fixture
def narrow(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    world = World.open(emulator, tmp_path / "home", max_concurrent_jobs={"runway": 2})
    yield world
    world.services.catalog.close()


def ready(world: World) -> list[str]:
    found = ready_to_submit(world.services.catalog, world.services.provider, world.settings, limit=50)
    return [generation.id for generation in found]


def test_what_finds_no_place_waits_with_a_sentence_and_goes_when_a_place_is_free(
    narrow: World, emulator: Emulator
) -> None:
    keys = [narrow.request(f"in line {number} {ENDLESS}") for number in range(4)]
    assert ready(narrow) == keys[:2], "the oldest first, and no more runs than places"
    for key in keys[:2]:
        narrow.submit(key)
    assert ready(narrow) == []
    generation = narrow.generation(keys[2])
    assert generation.status is GenerationStatus.QUEUED
    assert "Runway has 2 jobs of ours under way" in (generation.error_message or "")
    assert generation.reason is None, "waiting is no failure"
    with pytest.raises(SubmissionDelayed, match="waits for one of them"):
        narrow.submit(keys[2])
    assert narrow.jobs(keys[2])[0].status is JobStatus.PLANNED
    emulator.fail_job(narrow.task(keys[0]))
    narrow.follow(keys[0])
    assert ready(narrow) == [keys[2]]
    narrow.submit(keys[2])
    assert narrow.status(keys[2]) is GenerationStatus.PROCESSING
    assert narrow.generation(keys[2]).error_message is None


def test_the_versions_of_one_request_are_sent_as_places_become_free(narrow: World, emulator: Emulator) -> None:
    key = narrow.request(f"three of them {ENDLESS}", versions=3)
    assert ready(narrow) == [key]
    narrow.submit(key)
    assert [job.status.unsent for job in narrow.jobs(key)] == [False, False, True]
    assert narrow.status(key) is GenerationStatus.PROCESSING
    assert "waits for one of them" in (narrow.generation(key).error_message or "")
    assert ready(narrow) == []
    task = narrow.jobs(key)[0].task_id
    assert task is not None
    emulator.fail_job(task)
    narrow.until(lambda: narrow.poll() or ready(narrow) == [key])  # type: ignore[func-returns-value]
    narrow.submit(key)
    assert [job.status.unsent for job in narrow.jobs(key)] == [False] * 3


def test_a_full_provider_does_not_hold_up_the_others(narrow: World) -> None:
    for number in range(3):
        narrow.request(f"full {number} {ENDLESS}")
    other = narrow.request("elsewhere", provider="luma")
    assert other in ready(narrow)


def test_a_submission_that_was_interrupted_is_cleared_up_although_there_is_no_place(narrow: World) -> None:
    keys = [narrow.request(f"interrupted {number} {ENDLESS}", provider="luma") for number in range(2)]

    def interrupt(session: object) -> None:
        for key in keys:
            row = narrow.jobs(key)[0]
            row.status, row.intended_at = JobStatus.INTENDED, utc_now() - timedelta(hours=1)
            session.merge(row)  # type: ignore[attr-defined]

    narrow.edit(interrupt)
    full = World(
        narrow.emulator, narrow.settings.model_copy(update={"max_concurrent_jobs": {"luma": 1}}), narrow.services
    )
    assert ready(full) == keys


SUBMIT = """
import sys
from pathlib import Path
from video_assets.generations.submission import SubmissionDelayed, submit_generation
from video_assets.services import open_services
from video_assets.settings import Settings
services = open_services(Settings.model_validate_json(sys.stdin.readline()))
print("ready", flush=True)
sys.stdin.readline()
for key in sys.argv[1:]:
    try:
        submit_generation(services.catalog, key, services.provider, services.settings)
    except SubmissionDelayed:
        pass
"""


def test_processes_that_submit_at_once_keep_the_limit_together(narrow: World, emulator: Emulator) -> None:
    keys = [narrow.request(f"rush {number} {ENDLESS}") for number in range(8)]
    keyed = {"runway_api_key": emulator.runway_key, "luma_api_key": emulator.luma_key}
    line = json.dumps(narrow.settings.model_dump(mode="json") | keyed) + "\n"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SUBMIT, *keys[number::2]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for process in processes:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line)
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.communicate("go\n", timeout=60)
        assert process.returncode == 0
    statuses = [narrow.jobs(key)[0].status for key in keys]
    assert sum(not status.unsent for status in statuses) == 2
    assert sum(len(emulator.jobs_of(f"rush {number} {ENDLESS}")) for number in range(8)) == 2


def test_limits_are_written_as_names_and_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEO_ASSETS_MAX_CONCURRENT_JOBS", "luma=50, runway=0")
    assert Settings(_env_file=None).max_concurrent_jobs == {"luma": 50, "runway": 0}
    for wrong in ("luma", "luma=many", "luma=-1"):
        monkeypatch.setenv("VIDEO_ASSETS_MAX_CONCURRENT_JOBS", wrong)
        with pytest.raises(ValueError, match="max_concurrent_jobs"):
            Settings(_env_file=None)
