"""SIGKILL of a batch run and of an undo after each of their steps, then catching up."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.legacy.road import Road
from video_assets.emulator import Emulator
from video_assets.legacy.rewrite.rewriter import RewriteStep
from video_assets.transfer.rescue.target import Step

SECRETS = ("runway_api_key", "luma_api_key", "ledger_key")


def run(road: Road, work: str, step: str = "-", number: int = 1) -> int:
    """Run a batch, or the undo, in a process of its own; its exit code (negative: the signal)."""
    settings = road.world.settings
    values = settings.model_dump(mode="json")
    for name in SECRETS:
        values[name] = getattr(settings, name).get_secret_value()
    source = json.dumps(road.source.model_dump(mode="json", by_alias=True))
    command = [sys.executable, "-m", "tests.legacy.killed", json.dumps(values), source, work, step, str(number)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1, -signal.SIGKILL), done.stdout[-3000:] + done.stderr[-3000:]
    return done.returncode


@pytest.fixture
def road(emulator: Emulator, tmp_path: Path) -> Road:
    return Road.open(emulator, tmp_path)


def fill(road: Road) -> dict[int, list[str]]:
    """Some cards that share files, one whose link is dead, one that is lost; what they name."""
    shared = road.video("shared")
    cards = [
        road.card(shared, road.video("late [emulator: dead_links=1]")),
        road.card(shared),
        road.card(road.video("alone"), shared),
        road.card(road.video("gone [emulator: dead_links=99, refresh=gone]")),
    ]
    return {card: road.urls(card) for card in cards}


KILLS = [(str(step), 1) for step in Step] + [(str(step), 1) for step in RewriteStep]
KILLS += [(str(RewriteStep.ROW_WRITTEN), 2), (str(Step.COMMITTED), 3)]


@pytest.mark.parametrize(("step", "number"), KILLS)
def test_a_batch_killed_after_any_step_is_caught_up_with_nothing_lost_or_doubled(
    road: Road, emulator: Emulator, step: str, number: int
) -> None:
    before = fill(road)
    rows = road.sql("SELECT * FROM cards ORDER BY id")
    key = road.take()[0]
    assert run(road, key, step, number) == -signal.SIGKILL
    road.world.until(lambda: run(road, key) == 0, seconds=60)
    base = road.world.settings.public_base_url
    after = {card: road.urls(card) for card in before}
    assert [all(url.startswith(base) for url in urls) for urls in after.values()] == [True, True, True, False]
    assert after[4] == before[4], "what is lost stays as it stood"
    assert after[1][0] == after[2][0] == after[3][1]
    assert len(road.world.objects()) == 3
    road.assert_nothing_lost_or_doubled()
    assert run(road, "undo") == 0
    assert road.sql("SELECT * FROM cards ORDER BY id") == rows, "every byte comes back"


@pytest.mark.parametrize(("step", "number"), [(str(step), 2) for step in RewriteStep])
def test_an_undo_killed_after_any_step_is_finished_by_the_next(road: Road, step: str, number: int) -> None:
    fill(road)
    rows = road.sql("SELECT * FROM cards ORDER BY id")
    key = road.take()[0]
    assert run(road, key) == 0
    assert run(road, "undo", step, number) == -signal.SIGKILL
    assert run(road, "undo") == 0
    assert road.sql("SELECT * FROM cards ORDER BY id") == rows
    assert {str(finding.state) for finding in road.findings()} == {"undone", "lost"}
