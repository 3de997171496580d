"""Times that mislead: transactions that end late, clocks that are wrong, values that no calendar here knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from tests.legacy.making import catalog_in, database_url, findings, run, signed, source_of
from video_assets.catalog import Catalog
from video_assets.catalog.legacy import LegacySource
from video_assets.legacy.config.models import Source
from video_assets.legacy.inventory.take import READ_ALL_EVERY, take_inventory

NOW = datetime.now(UTC).replace(microsecond=0)
LIVES = NOW + timedelta(hours=5)
VIDEOS = {"name": "videos", "changed_at": "changed_at", "column": [{"name": "url"}]}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return database_url(request, request.param, tmp_path)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return catalog_in(tmp_path)


def make(url: str, kind: str, *rows: tuple[int, Any]) -> Source:
    run(url, f"CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT, changed_at {kind})")
    for number, moment in rows:
        add(url, number, moment)
    return source_of(url, VIDEOS)


def add(url: str, number: int, moment: Any) -> None:
    values = {"i": number, "u": signed(f"{number}.mp4", LIVES), "c": moment}
    run(url, ("INSERT INTO videos VALUES (:i, :u, :c)", values))


def a_day_passes(catalog: Catalog) -> None:
    """Let every time that an inventory has noted lie so far back that all is to be read again."""
    with catalog.write() as session:
        row = session.get_one(LegacySource, "legacy")
        cursors = {name: dict(cursor) for name, cursor in row.cursor.items()}
        for cursor in cursors.values():
            cursor["all_began"] = (
                datetime.fromisoformat(cursor["all_began"]) - READ_ALL_EVERY - timedelta(seconds=1)
            ).isoformat()
        row.cursor = cursors


def shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def test_a_row_committed_late_with_an_older_time_is_found_by_the_next_inventory(
    request: pytest.FixtureRequest, tmp_path: Path, catalog: Catalog
) -> None:
    url = database_url(request, "postgresql", tmp_path)
    source = make(url, "TIMESTAMPTZ", (1, NOW - timedelta(hours=3)))
    engine = sa.create_engine(url, poolclass=NullPool)
    late = sa.text("INSERT INTO videos VALUES (2, :u, :c)")
    with engine.connect() as connection:  # a transaction that began half an hour ago and has not ended yet
        connection.execute(late, {"u": signed("2.mp4", LIVES), "c": NOW - timedelta(minutes=30)})
        add(url, 3, NOW)
        assert take_inventory(catalog, source).new_findings == 2
        connection.commit()
    report = take_inventory(catalog, source)
    assert (report.rows, report.new_findings) == (2, 1), "not everything was read, and the late row was"


def test_a_row_committed_later_than_that_is_found_within_a_day(url: str, catalog: Catalog) -> None:
    source = make(url, "TIMESTAMP", (1, shown(NOW)), (2, shown(NOW - timedelta(days=9))))
    take_inventory(catalog, source)
    add(url, 3, shown(NOW - timedelta(days=8)))
    assert take_inventory(catalog, source).rows == 1, "the overlap does not reach so far back"
    a_day_passes(catalog)
    assert take_inventory(catalog, source).new_findings == 1
    assert take_inventory(catalog, source).rows == 1, "and the day counts from then on"


@pytest.mark.parametrize("kind", ["TIMESTAMP", "DATE", "BIGINT", "TEXT", "NUMERIC"])
def test_one_row_from_the_future_does_not_hide_later_changes(url: str, catalog: Catalog, kind: str) -> None:
    def told(moment: datetime) -> Any:
        return int(moment.timestamp()) if kind in ("BIGINT", "NUMERIC") else shown(moment)

    source = make(url, kind, (1, told(NOW)), (2, told(datetime(2099, 1, 1, tzinfo=UTC))))
    assert take_inventory(catalog, source).new_findings == 2
    add(url, 3, told(NOW + timedelta(seconds=1)))
    assert take_inventory(catalog, source).new_findings == 1


@pytest.mark.parametrize("kind", ["DATE", "TEXT"])
@pytest.mark.parametrize("hour", [1, 13, 23])
def test_a_day_without_a_time_is_read_again_until_it_is_over_whatever_the_clock_says(
    url: str, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, kind: str, hour: int
) -> None:
    now = NOW.replace(hour=hour, minute=30)
    monkeypatch.setattr("video_assets.legacy.inventory.take.utc_now", lambda: now)
    source = make(url, kind, (1, f"{now:%Y-%m-%d}"), (2, "2099-01-01"))
    assert take_inventory(catalog, source).new_findings == 2
    add(url, 3, f"{now:%Y-%m-%d}")
    assert take_inventory(catalog, source).new_findings == 1


def test_a_far_east_clock_without_a_zone_is_no_mistake(url: str, catalog: Catalog) -> None:
    source = make(url, "TIMESTAMP", (1, shown(NOW + timedelta(hours=14))))
    take_inventory(catalog, source)
    add(url, 2, shown(NOW + timedelta(hours=14, seconds=5)))
    assert take_inventory(catalog, source).new_findings == 1


def test_times_of_every_kind_in_one_column_do_not_stop_an_inventory(
    request: pytest.FixtureRequest, tmp_path: Path, catalog: Catalog
) -> None:
    url = database_url(request, "sqlite", tmp_path)
    times = [None, 5, "2026-01-01", "garbage", 1.7e9, b"\x00", "", shown(NOW)]
    source = make(url, "", *enumerate(times, 1))
    assert take_inventory(catalog, source).new_findings == len(times)
    add(url, 99, shown(NOW + timedelta(seconds=5)))
    assert take_inventory(catalog, source).new_findings == 1


def test_times_that_python_cannot_hold_are_read_as_text_and_serve_as_keys(
    request: pytest.FixtureRequest, tmp_path: Path, catalog: Catalog
) -> None:
    url = database_url(request, "postgresql", tmp_path)
    times = ["infinity", "-infinity", "0044-03-15 BC", "20000-01-01 10:00:00+00", "2026-01-01 10:00:00+00"]
    run(
        url, "CREATE TABLE videos (at TIMESTAMPTZ PRIMARY KEY, url TEXT, changed_at TIMESTAMPTZ, created_at DATE)"
    )
    for number, moment in enumerate(times):
        values = {"u": signed(f"{number}.mp4", LIVES), "t": moment}
        run(url, ("INSERT INTO videos VALUES (:t, :u, :t, :t)", values))
    source = source_of(
        url, {**VIDEOS, "created_at": "created_at", "keep": ["changed_at"]}, reading={"page_rows": 2}
    )
    for number in range(2):
        report = take_inventory(catalog, source, full=True)
        assert (report.problems, report.rows, report.new_findings) == ([], 5, 0 if number else 5)
        assert report.tables[0].vanished == 0, "every row is found again by its key"
    assert len(findings(catalog)) == 5


@pytest.mark.parametrize(
    ("kind", "keys"), [("INTERVAL", ["1 day", "1 mon 2 days 03:04:05.678"]), ("TIME", ["10:00", "23:59:59.5"])]
)
def test_intervals_and_times_of_day_serve_as_keys(
    request: pytest.FixtureRequest, tmp_path: Path, catalog: Catalog, kind: str, keys: list[str]
) -> None:
    url = database_url(request, "postgresql", tmp_path)
    run(url, f"CREATE TABLE videos (k {kind} PRIMARY KEY, url TEXT)")
    for key in keys:
        run(url, ("INSERT INTO videos VALUES (:k, :u)", {"k": key, "u": signed("a.mp4", LIVES)}))
    source = source_of(url, {"name": "videos", "column": [{"name": "url"}]}, reading={"page_rows": 1})
    for _ in range(2):
        report = take_inventory(catalog, source)
        assert (report.problems, report.rows, report.tables[0].vanished) == ([], 2, 0)
