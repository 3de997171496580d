"""A large table is read by several processes; whoever looks at the catalog cannot tell."""

from __future__ import annotations

import multiprocessing
import os
import signal
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest

from tests.legacy.making import DIALECTS, cards, catalog_in, database_url, files, findings, make_cards, run
from video_assets.catalog import Catalog
from video_assets.catalog.legacy import LegacySource
from video_assets.legacy.errors import SourceUnavailable
from video_assets.legacy.inventory import parallel as lanes
from video_assets.legacy.inventory.take import TableReport, take_inventory

ROWS = 600


@pytest.fixture(autouse=True)
def small_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "STRETCH_ROWS", 20)


@pytest.fixture(params=DIALECTS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    url = database_url(request, request.param, tmp_path)
    make_cards(url, ROWS)
    return url


def known(catalog: Catalog) -> list[tuple[object, ...]]:
    return sorted(
        (f.id, f.row_key, f.pointer, f.file_id, f.url_digest, f.redacted, f.state) for f in findings(catalog)
    )


def noted(catalog: Catalog) -> dict[str, object]:
    with catalog.read() as session:
        cursor = session.get_one(LegacySource, "legacy").cursor["cards"]
    return {name: value for name, value in cursor.items() if name not in ("began", "all_began")}


def test_several_processes_find_what_one_finds(url: str, tmp_path: Path) -> None:
    alone, together = catalog_in(tmp_path / "alone"), catalog_in(tmp_path / "together")
    one = cards(url)
    one = one.model_copy(update={"reading": one.reading.model_copy(update={"lanes": 1})})
    by_one = take_inventory(alone, one)
    heard: list[int] = []
    by_several = take_inventory(together, cards(url), on_progress=lambda table: heard.append(table.rows))
    assert by_several.complete
    assert heard == sorted(heard), "progress is told in the order of the key"
    assert (by_several.rows, by_several.findings, by_several.new_findings, by_several.new_files) == (
        by_one.rows,
        by_one.findings,
        by_one.new_findings,
        by_one.new_files,
    )
    assert known(together) == known(alone)
    assert {f.id: f.temporary_url for f in files(together)} == {f.id: f.temporary_url for f in files(alone)}
    assert noted(together) == noted(alone)


def test_a_second_pass_by_several_processes_changes_nothing_and_sees_what_went_away(
    url: str, tmp_path: Path
) -> None:
    catalog = catalog_in(tmp_path)
    take_inventory(catalog, cards(url))
    before = known(catalog)
    again = take_inventory(catalog, cards(url), full=True)
    assert (again.rows, again.new_findings, again.new_files) == (ROWS, 0, 0)
    assert known(catalog) == before
    gone = findings(catalog)[0]
    run(url, (f"UPDATE cards SET snapshot = '{{}}' WHERE id = {gone.row_key.strip('[]')}", {}))
    third = take_inventory(catalog, cards(url), full=True)
    assert sum(table.vanished for table in third.tables) == 1


def test_an_inventory_that_runs_out_of_time_among_several_processes_goes_on_where_it_stopped(
    url: str, tmp_path: Path
) -> None:
    catalog = catalog_in(tmp_path)
    first = take_inventory(catalog, cards(url), budget=timedelta(0))
    assert not first.complete
    assert 0 < first.rows < ROWS
    second = take_inventory(catalog, cards(url))
    assert second.complete
    assert first.rows + second.rows == ROWS


def test_who_asks_an_inventory_to_stop_waits_for_one_stretch_and_loses_nothing(url: str, tmp_path: Path) -> None:
    catalog, stop = catalog_in(tmp_path), Event()
    first = take_inventory(catalog, cards(url), stop=stop, on_progress=lambda _: stop.set())
    assert not first.complete
    assert first.rows == noted(catalog)["rows"] < ROWS
    second = take_inventory(catalog, cards(url))
    assert second.complete
    assert first.rows + second.rows == ROWS


def test_a_process_that_dies_is_told_with_advice_and_costs_nothing(url: str, tmp_path: Path) -> None:
    catalog = catalog_in(tmp_path)

    def kill_one(_: TableReport) -> None:
        for process in multiprocessing.active_children():
            if process.pid is not None:
                os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(SourceUnavailable, match="lanes = 1"):
        take_inventory(catalog, cards(url), on_progress=kill_one)
    read_before = noted(catalog)["rows"]
    assert isinstance(read_before, int)
    rest = take_inventory(catalog, cards(url))
    assert rest.complete
    assert read_before + rest.rows == ROWS
    assert len(findings(catalog)) == ROWS // 10 + ROWS // 20
