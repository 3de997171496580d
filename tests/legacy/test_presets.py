"""Five well-known systems: their configuration finds everything their examples hold, on every database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.legacy.making import catalog_in, database_url, files, findings
from video_assets.catalog.legacy import FindingState
from video_assets.emulator import Emulator
from video_assets.legacy.config.load import parse_sources
from video_assets.legacy.config.presets import PRESETS
from video_assets.legacy.config.toml import source_toml
from video_assets.legacy.examples.create import ExampleExists, create_example
from video_assets.legacy.inventory.take import take_inventory
from video_assets.legacy.report.sizes import measure
from video_assets.media.probe import probe
from video_assets.transfer.download.downloader import Downloader, DownloadPolicy
from video_assets.transfer.download.host_throttle import HostThrottle
from video_assets.urls import classify

MOMENT = datetime(2026, 11, 21, tzinfo=UTC)


def strings(value: Any) -> Iterator[str]:
    """Every string anywhere in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def temporary_in(path: Path) -> int:
    """How many temporary URLs a database holds, found without any of the product's own searching."""
    count = 0
    with sqlite3.connect(path) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in connection.execute(f"SELECT * FROM {table}"):
                for value in row:
                    if not isinstance(value, str):
                        continue
                    try:
                        texts = list(strings(json.loads(value)))
                    except ValueError:
                        texts = [value]
                    count += sum(t.startswith("http") and not classify(t).is_persistable for t in texts)
    return count


@pytest.mark.parametrize("name", PRESETS)
def test_the_preset_finds_every_temporary_url_of_its_example(name: str, tmp_path: Path) -> None:
    path = tmp_path / "example.db"
    example = create_example(PRESETS[name], path, rows=120, now=MOMENT)
    catalog = catalog_in(tmp_path)
    report = take_inventory(catalog, example.source)
    assert report.problems == []
    found = [f for f in findings(catalog) if f.scheme != "blob"]
    assert len(found) == temporary_in(path) > 50
    videos = [f for f in files(catalog) if f.kind in ("video", "clip") and f.scheme != "blob"]
    assert all(f.task_id for f in videos), "the job id of every video is known"


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
@pytest.mark.parametrize("name", PRESETS)
def test_examples_on_other_databases_hold_the_same(
    name: str, dialect: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    catalog = catalog_in(tmp_path)
    take_inventory(
        catalog, create_example(PRESETS[name], tmp_path / "a.db", rows=60, now=MOMENT, name="a").source
    )
    url = database_url(request, dialect, tmp_path)
    report = take_inventory(catalog, create_example(PRESETS[name], url, rows=60, now=MOMENT, name="b").source)
    assert report.problems == []
    # UUID keys are written differently; what was found, and how often, is the same.
    here, there = (
        sorted(
            (f.column_name, f.pointer, f.scheme or "", str(f.deadline_at)) for f in findings(catalog, source=each)
        )
        for each in "ab"
    )
    assert here == there
    kept = files(catalog)
    assert sum(f.source == "a" for f in kept) == sum(f.source == "b" for f in kept)


def test_the_same_seed_gives_the_same_rows(tmp_path: Path) -> None:
    preset = PRESETS["generated_cards"]
    dumps = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        create_example(preset, tmp_path / f"{name}.db", rows=30, seed=seed, now=MOMENT)
        with sqlite3.connect(tmp_path / f"{name}.db") as connection:
            dumps.append(list(connection.iterdump()))
    assert dumps[0] == dumps[1] != dumps[2]


def test_an_example_never_touches_what_is_there(tmp_path: Path) -> None:
    create_example(PRESETS["sora_videos"], tmp_path / "a.db", rows=5)
    before = (tmp_path / "a.db").read_bytes()
    with pytest.raises(ExampleExists, match="already has a table 'videos'"):
        create_example(PRESETS["sora_videos"], tmp_path / "a.db", rows=5)
    assert (tmp_path / "a.db").read_bytes() == before


@pytest.mark.parametrize("name", PRESETS)
def test_a_presets_configuration_can_be_written_down_and_read_back(name: str, tmp_path: Path) -> None:
    source = PRESETS[name].source("mine", f"sqlite:///{tmp_path}/a.db")
    assert parse_sources(source_toml(source)) == {"mine": source}
    short = f'[[source]]\nname = "mine"\nurl = "sqlite:///{tmp_path}/a.db"\npreset = "{name}"\n'
    assert parse_sources(short) == {"mine": source}


def test_share_pages_of_heygen_are_no_findings(tmp_path: Path) -> None:
    catalog = catalog_in(tmp_path)
    example = create_example(PRESETS["heygen_content"], tmp_path / "a.db", rows=60, now=MOMENT)
    take_inventory(catalog, example.source)
    assert {f.pointer for f in findings(catalog)} == {"/videoUrl"}
    assert {f.state for f in findings(catalog)} == {FindingState.PENDING}


def test_blobs_of_an_example_are_real_videos(tmp_path: Path) -> None:
    create_example(PRESETS["clip_blobs"], tmp_path / "a.db", rows=20, now=MOMENT)
    with sqlite3.connect(tmp_path / "a.db") as connection:
        rows = connection.execute(
            "SELECT video_data FROM generated_videos WHERE video_data IS NOT NULL"
        ).fetchall()
    (tmp_path / "film.mp4").write_bytes(rows[0][0])
    facts = probe(tmp_path / "film.mp4")
    assert (facts.width, facts.height) == (160, 90)


def test_links_of_an_emulated_example_are_alive_dead_and_gone_as_they_should_be(
    tmp_path: Path, emulator: Emulator
) -> None:
    catalog = catalog_in(tmp_path)
    example = create_example(PRESETS["generated_cards"], tmp_path / "a.db", rows=80, emulator=emulator)
    take_inventory(catalog, example.source)
    now = datetime.now(UTC)
    works: dict[bool, set[bool]] = {True: set(), False: set()}
    refreshed = set()
    with Downloader(DownloadPolicy(allowed_hosts=(emulator.host,)), gate=HostThrottle()) as downloader:
        for file in files(catalog):
            assert file.temporary_url is not None
            assert file.deadline_at is not None
            works[file.deadline_at > now].add(measure(downloader, file.temporary_url).works)
            if file.deadline_at <= now:
                refreshed.add(emulator.job(file.task_id or "").plan.refresh)
    assert works == {True: {True}, False: {False}}
    assert refreshed == {"fresh", "gone"}
