"""Batches: what dies soonest first, a row in one piece, and an order that follows the clock."""

from __future__ import annotations

import itertools
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import select, update

from tests.legacy.making import NOW, catalog_in, database_url, fill, findings, run, signed, source_of
from video_assets.catalog import Catalog, MediaState
from video_assets.catalog.legacy import FindingState, LegacyBatch, LegacyFile, LegacyFinding
from video_assets.legacy.config.models import Source
from video_assets.legacy.inventory.batches import findings_of, next_batch, plan_batches
from video_assets.legacy.inventory.take import take_inventory

HOURS = timedelta(hours=1)


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    url = database_url(request, "sqlite", tmp_path)
    run(url, "CREATE TABLE t (id INTEGER PRIMARY KEY, doc TEXT)")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Catalog:
    """Planning streams and writes at once: both kinds of catalog have to take it."""
    if request.param == "sqlite":
        return catalog_in(tmp_path)
    from video_assets.catalog import open_catalog
    from video_assets.settings import Settings

    url = database_url(request, "postgresql", tmp_path)
    return open_catalog(Settings(_env_file=None, home=tmp_path / "home", database_url=url))  # type: ignore[call-arg, arg-type]


def rows(url: str, deaths: dict[int, list[datetime | None]]) -> Source:
    """One row per entry, with one URL per death; None is a URL of which nobody knows when it dies."""
    documents = {
        number: [
            "https://tempfile.redpandaai.co/kieai/" + f"{number}-{n}.mp4"
            if death is None
            else signed(f"{number}-{n}.mp4", death)
            for n, death in enumerate(some)
        ]
        for number, some in deaths.items()
    }
    fill(url, "t", [{"id": number, "doc": urls} for number, urls in documents.items()])
    return source_of(url, {"name": "t", "column": [{"name": "doc", "type": "json"}]})


def batch_of(catalog: Catalog) -> dict[int, set[str | None]]:
    """Row id → the batches its findings are in."""
    found = findings(catalog)
    return {
        key: {f.batch for f in some}
        for key, some in itertools.groupby(found, key=lambda f: json.loads(f.row_key)[0])
    }


def test_living_links_come_first_soonest_death_first_then_unknown_then_dead(url: str, catalog: Catalog) -> None:
    deaths = {1: [NOW - 5 * HOURS], 2: [NOW + 9 * HOURS], 3: [None], 4: [NOW + 2 * HOURS], 5: [NOW - HOURS]}
    source = rows(url, deaths)
    take_inventory(catalog, source)
    plan = plan_batches(catalog, source.name, size=1, now=NOW)
    order = [json.loads(findings_for(catalog, batch.key)[0].row_key)[0] for batch in plan.open]
    assert order == [4, 2, 3, 5, 1]  # of the dead, the latest first: a cache may still have it
    assert [batch.next_deadline_at for batch in plan.open][:2] == [NOW + 2 * HOURS, NOW + 9 * HOURS]
    assert [batch.key for batch in plan.open] == [f"legacy:{n:06}" for n in range(1, 6)]


def findings_for(catalog: Catalog, key: str) -> list[LegacyFinding]:
    with catalog.read() as session:
        return list(findings_of(session, key, now=NOW))


def test_all_findings_of_a_row_are_in_one_batch_and_batches_have_their_size(url: str, catalog: Catalog) -> None:
    source = rows(url, {n: [NOW + (n * 7 + k * 11) % 40 * HOURS for k in range(1, 4)] for n in range(1, 101)})
    take_inventory(catalog, source)
    plan = plan_batches(catalog, source.name, size=20, now=NOW)
    assert all(len(batches) == 1 for batches in batch_of(catalog).values())
    sizes = [batch.findings for batch in plan.open]
    assert sum(sizes) == 300
    assert all(20 <= size <= 22 for size in sizes[:-1])
    deadlines = [batch.next_deadline_at for batch in plan.open if batch.next_deadline_at is not None]
    assert deadlines == sorted(deadlines)


def test_planning_again_changes_nothing(url: str, catalog: Catalog) -> None:
    source = rows(url, {n: [NOW + n * HOURS] for n in range(1, 30)})
    take_inventory(catalog, source)
    first = plan_batches(catalog, source.name, size=10, now=NOW)
    before = batch_of(catalog)
    second = plan_batches(catalog, source.name, size=10, now=NOW)
    assert (second.new, second.closed, second.open) == ([], [], first.open)
    assert batch_of(catalog) == before


def test_the_order_follows_the_clock(url: str, catalog: Catalog) -> None:
    source = rows(url, {1: [NOW + HOURS], 2: [NOW + 5 * HOURS], 3: [NOW + 8 * HOURS]})
    take_inventory(catalog, source)
    plan_batches(catalog, source.name, size=1, now=NOW)
    later = NOW + 2 * HOURS
    assert order_of_work(catalog, source.name, later) == ["2", "3", "1"]  # the first has died meanwhile
    plan = plan_batches(catalog, source.name, size=1, now=later)
    assert [batch.key[-1] for batch in plan.open] == ["2", "3", "1"]


def order_of_work(catalog: Catalog, source: str, now: datetime) -> list[str]:
    """The last digit of each batch's key, as one who works them off one by one gets them."""
    done: list[str] = []
    while batch := next_batch(catalog, source, besides=done, now=now):
        done.append(batch.key)
    return [key[-1] for key in done]


def test_the_next_batch_is_the_first_of_the_plan(url: str, catalog: Catalog) -> None:
    deaths = {1: [NOW - 5 * HOURS], 2: [NOW + 9 * HOURS], 3: [None], 4: [NOW + 2 * HOURS, None], 5: [NOW - HOURS]}
    source = rows(url, deaths)
    take_inventory(catalog, source)
    plan = plan_batches(catalog, source.name, size=1, now=NOW)
    assert order_of_work(catalog, source.name, NOW) == [batch.key[-1] for batch in plan.open]
    _set(catalog, plan.open[0].key, FindingState.REWRITTEN)
    first = next_batch(catalog, source.name, now=NOW)
    assert first == plan.open[1], "one that turns out to be done is closed on the way"
    with catalog.read() as session:
        assert session.get_one(LegacyBatch, plan.open[0].key).done_at is not None


def test_a_file_that_is_safe_has_no_deadline_any_more(url: str, catalog: Catalog) -> None:
    source = rows(url, {1: [NOW + HOURS], 2: [NOW + 5 * HOURS]})
    take_inventory(catalog, source)
    [first, second] = plan_batches(catalog, source.name, size=1, now=NOW).open
    with catalog.write() as session:
        file_id = session.exec(select(LegacyFinding.file_id).where(LegacyFinding.batch == first.key)).one()
        session.get_one(LegacyFile, file_id).state = MediaState.STORED
    _set(catalog, first.key, FindingState.SAVED)
    plan = plan_batches(catalog, source.name, size=1, now=NOW)
    assert [(batch.key, batch.next_deadline_at) for batch in plan.open] == [
        (second.key, NOW + 5 * HOURS),
        (first.key, None),
    ]


def test_a_batch_knows_when_a_provider_can_be_asked_for_its_dead_links(url: str, catalog: Catalog) -> None:
    source = rows(url, {1: [NOW - 5 * HOURS], 2: [NOW - 2 * HOURS], 3: [NOW + HOURS], 4: [NOW - HOURS]})
    take_inventory(catalog, source)
    plan_batches(catalog, source.name, size=1, now=NOW)

    def job(row: int, **values: object) -> None:
        with catalog.write() as session:
            ids = select(LegacyFinding.file_id).where(LegacyFinding.row_key == f"[{row}]")
            session.execute(update(LegacyFile).where(LegacyFile.id.in_(ids)).values(**values))  # type: ignore[attr-defined]

    for row, provider in ((1, "runway"), (2, "runway"), (3, "runway"), (4, "nobody")):
        job(row, provider=provider, task_id=f"task-{row}")
    job(2, next_attempt_at=NOW + 3 * HOURS)

    def known() -> dict[int, datetime | None]:
        open_ = plan_batches(catalog, source.name, size=1, refreshing=["runway", "luma"], now=NOW).open
        with catalog.read() as session:
            stored = {batch.key: batch.revive_at for batch in session.exec(select(LegacyBatch))}
        assert stored == {batch.key: batch.revive_at for batch in open_}
        return {json.loads(findings_for(catalog, key)[0].row_key)[0]: at for key, at in stored.items()}

    assert known() == {1: NOW - 5 * HOURS, 2: NOW + 3 * HOURS, 3: None, 4: None}
    assert {batch.revive_at for batch in plan_batches(catalog, source.name, now=NOW).open} == {None}
    job(1, state=MediaState.LOST)
    assert known()[1] is None, "who is lost is not asked for again"


def test_a_new_urgent_finding_gets_a_batch_that_comes_first(url: str, catalog: Catalog) -> None:
    source = rows(url, {n: [NOW + 10 * HOURS] for n in range(1, 11)})
    take_inventory(catalog, source)
    plan_batches(catalog, source.name, size=5, now=NOW)
    rows(url, {99: [NOW + HOURS]})
    take_inventory(catalog, source)
    plan = plan_batches(catalog, source.name, size=5, now=NOW)
    assert plan.new == ["legacy:000003"]
    assert plan.open[0].key == "legacy:000003"


def test_a_new_finding_of_a_row_joins_the_batch_its_row_is_in(url: str, catalog: Catalog) -> None:
    source = rows(url, {1: [NOW + 10 * HOURS], 2: [NOW + 20 * HOURS]})
    take_inventory(catalog, source)
    plan_batches(catalog, source.name, size=1, now=NOW)
    more = json.dumps([signed("2-0.mp4", NOW + 20 * HOURS), signed("more.mp4", NOW + HOURS)])
    run(url, ("UPDATE t SET doc = :d WHERE id = 2", {"d": more}))
    take_inventory(catalog, source)
    plan = plan_batches(catalog, source.name, size=1, now=NOW)
    assert plan.new == []
    assert batch_of(catalog)[2] == {"legacy:000002"}
    assert plan.open[0].key == "legacy:000002"  # and draws it to the front


def test_a_batch_without_work_is_closed_and_opened_again_when_work_comes_back(url: str, catalog: Catalog) -> None:
    source = rows(url, {1: [NOW + HOURS], 2: [NOW + 2 * HOURS]})
    take_inventory(catalog, source)
    [first, second] = plan_batches(catalog, source.name, size=1, now=NOW).open
    _set(catalog, first.key, FindingState.REWRITTEN)
    plan = plan_batches(catalog, source.name, size=1, now=NOW)
    assert (plan.closed, [batch.key for batch in plan.open]) == ([first.key], [second.key])
    _set(catalog, first.key, FindingState.SAVED)
    assert [batch.key for batch in plan_batches(catalog, source.name, now=NOW).open] == [first.key, second.key]


def _set(catalog: Catalog, key: str, state: FindingState) -> None:
    with catalog.write() as session:
        session.execute(update(LegacyFinding).where(LegacyFinding.batch == key).values(state=state.value))
