"""SIGKILL at every step of the inventory: the next run finishes with nothing lost and nothing doubled."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from tests.legacy.making import cards, catalog_in, database_url, files, findings, make_cards
from video_assets.catalog import Lease
from video_assets.catalog.legacy import LegacySource
from video_assets.catalog.models import utc_now
from video_assets.legacy.inventory import InventoryRunning, take_inventory

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
