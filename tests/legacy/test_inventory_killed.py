"""SIGKILL at every step of the inventory: the next run finishes with nothing lost and nothing doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from tests.legacy.making import cards, catalog_in, database_url, files, findings, make_cards
from video_assets.catalog import Lease
from video_assets.catalog.legacy import LegacySource
from video_assets.catalog.models import utc_now
from video_assets.legacy.inventory.take import InventoryRunning, take_inventory

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("moment", ["read", "searched", "recorded", "committed"])
def test_a_killed_inventory_is_finished_by_the_next(
    moment: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = database_url(request, "sqlite", tmp_path)
    make_cards(url, 230)
    command = [sys.executable, "-m", "tests.legacy.killed_inventory", str(tmp_path), url, moment, "2"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()

    catalog = catalog_in(tmp_path)
    with catalog.read() as session:
        source = session.get_one(LegacySource, "legacy")
    rows_before = source.cursor["cards"]["rows"]
    assert rows_before == len({f.row_key for f in findings(catalog)}) * 10, "cursor and findings are one commit"
    with pytest.raises(InventoryRunning):
        take_inventory(catalog, cards(url))  # the killed one still holds its lease …
    with catalog.write() as session:
        for lease in session.exec(select(Lease)):
            lease.expires_at = utc_now() - timedelta(seconds=1)  # … until that runs out

    report = take_inventory(catalog, cards(url))
    assert report.complete
    assert rows_before + report.rows == 230, "no page is read twice"
    assert len(findings(catalog)) == 34
    assert len(files(catalog)) == 34


def test_the_processes_of_a_killed_inventory_end_with_it_and_the_next_one_finishes(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = database_url(request, "sqlite", tmp_path)
    make_cards(url, 230)
    command = [sys.executable, "-m", "tests.legacy.killed_inventory", str(tmp_path), url, "lanes", "9"]
    # The first stretches are read by the process itself, the ninth by a lane.
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    assert process.wait(timeout=60) == -signal.SIGKILL

    def is_anybody_left() -> bool:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    deadline = time.monotonic() + 30
    while is_anybody_left():
        assert time.monotonic() < deadline, "a process of the inventory outlived it"
        time.sleep(0.05)

    catalog = catalog_in(tmp_path)
    with catalog.write() as session:
        noted = session.get_one(LegacySource, "legacy").cursor["cards"]["rows"]
        for lease in session.exec(select(Lease)):
            lease.expires_at = utc_now() - timedelta(seconds=1)
    assert 0 < noted < 230
    report = take_inventory(catalog, cards(url))
    assert report.complete
    assert noted + report.rows == 230, "what was noted is the beginning of the table"
    assert len(findings(catalog)) == 34
    assert len(files(catalog)) == 34
