"""Leases: one owner at a time, over processes, and no late writes by one that lost its turn."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import delete
from sqlmodel import select

from tests.catalog.building import a_generation
from tests.catalog.processes import run_together
from video_assets.catalog import Catalog, Generation, Lease, leases

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
TTL = timedelta(minutes=2)


def _acquire(catalog: Catalog, holder: str, now: datetime = NOW) -> leases.Claim | None:
    with catalog.write() as session:
        return leases.acquire(session, "output:1", holder, ttl=TTL, now=now)


def test_only_one_holder_at_a_time(catalog: Catalog) -> None:
    assert _acquire(catalog, "first") == leases.Claim("output:1", "first", 1)
    assert _acquire(catalog, "second") is None
    assert _acquire(catalog, "first") is None
    with catalog.write() as session:
        assert leases.acquire(session, "output:2", "second", ttl=TTL, now=NOW) is not None


def test_a_lease_that_ran_out_changes_hands_and_its_token_grows(catalog: Catalog) -> None:
    _acquire(catalog, "first")
    assert _acquire(catalog, "second", NOW + TTL - timedelta(microseconds=1)) is None
    assert _acquire(catalog, "second", NOW + TTL) == leases.Claim("output:1", "second", 2)


def test_a_released_lease_is_free_at_once_and_its_token_still_grows(catalog: Catalog) -> None:
    claim = _acquire(catalog, "first")
    assert claim is not None
    with catalog.write() as session:
        leases.release(session, claim, now=NOW)
    assert _acquire(catalog, "second") == leases.Claim("output:1", "second", 2)


def test_a_renewed_lease_lives_on(catalog: Catalog) -> None:
    claim = _acquire(catalog, "first")
    assert claim is not None
    with catalog.write() as session:
        assert leases.renew(session, claim, ttl=TTL, now=NOW + timedelta(minutes=1))
    assert _acquire(catalog, "second", NOW + TTL) is None
    assert _acquire(catalog, "second", NOW + TTL + timedelta(minutes=1)) is not None


def test_a_holder_that_slept_past_its_lease_can_neither_commit_renew_nor_release(catalog: Catalog) -> None:
    stale = _acquire(catalog, "first")
    assert stale is not None
    fresh = _acquire(catalog, "second", NOW + TTL)
    assert fresh is not None
    with catalog.write() as session:
        assert not leases.holds(session, stale)
        assert not leases.renew(session, stale, ttl=TTL, now=NOW + TTL)
        leases.release(session, stale, now=NOW + TTL)
    with catalog.write() as session:
        assert leases.holds(session, fresh)
    assert _acquire(catalog, "third", NOW + TTL) is None


def test_the_same_worker_that_takes_a_lease_again_is_told_from_its_own_past(catalog: Catalog) -> None:
    stale = _acquire(catalog, "worker")
    fresh = _acquire(catalog, "worker", NOW + TTL)
    assert stale is not None
    assert fresh is not None
    with catalog.write() as session:
        assert not leases.holds(session, stale)
        assert leases.holds(session, fresh)


def test_nobody_takes_a_lease_between_the_proof_and_the_commit(catalog: Catalog) -> None:
    with catalog.write() as session:
        session.add(a_generation())
    claim = _acquire(catalog, "first")
    assert claim is not None
    taken: list[leases.Claim | None] = []
    thief = threading.Thread(target=lambda: taken.append(_acquire(catalog, "thief", NOW + TTL)))
    with catalog.write() as session:
        assert leases.holds(session, claim)
        thief.start()
        thief.join(0.2)
        assert thief.is_alive(), "the thief has to wait for our transaction"
        session.get_one(Generation, "video-1").title = "written by first"
    thief.join()
    assert taken == [leases.Claim("output:1", "thief", 2)]
    with catalog.read() as session:
        assert session.get_one(Generation, "video-1").title == "written by first"


def test_sweeping_removes_what_ended_long_ago_and_nothing_else(catalog: Catalog) -> None:
    with catalog.write() as session:
        leases.acquire(session, "old", "w", ttl=TTL, now=NOW - timedelta(days=3))
        leases.acquire(session, "recent", "w", ttl=TTL, now=NOW - timedelta(hours=1))
        leases.acquire(session, "live", "w", ttl=TTL, now=NOW)
        released = leases.acquire(session, "released", "w", ttl=TTL, now=NOW)
        assert released is not None
        leases.release(session, released, now=NOW)
    with catalog.write() as session:
        assert leases.sweep(session, older_than=timedelta(days=1), now=NOW) == 1
    with catalog.read() as session:
        assert sorted(session.exec(select(Lease.resource)).all()) == ["live", "recent", "released"]


def test_threads_that_race_for_one_lease_find_exactly_one_winner(catalog: Catalog) -> None:
    for round_number in range(5):
        barrier = threading.Barrier(8)
        won: list[leases.Claim] = []

        def race(number: int, barrier: threading.Barrier, won: list[leases.Claim], resource: str) -> None:
            barrier.wait()
            with catalog.write() as session:
                claim = leases.acquire(session, resource, f"worker-{number}", ttl=TTL)
            if claim is not None:
                won.append(claim)

        threads = [
            threading.Thread(target=race, args=(n, barrier, won, f"output:{round_number}")) for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1


def test_processes_that_race_for_leases_share_them_without_any_double(database_url: str, tmp_path: Path) -> None:
    outcomes = run_together(
        3,
        """
        from datetime import timedelta
        from video_assets.catalog import leases, open_catalog
        catalog = open_catalog(settings)
        won = []
        for resource in range(30):
            with catalog.write() as session:
                if leases.acquire(session, f"output:{resource}", f"worker-{number}", ttl=timedelta(hours=1)):
                    won.append(resource)
        print(*won)
        """,
        database_url=database_url,
        home=tmp_path / "home",
    )
    won = [int(word) for outcome in outcomes for word in outcome.split()]
    assert sorted(won) == list(range(30))


STEPS = st.lists(
    st.tuples(st.sampled_from(["acquire", "renew", "release", "wait"]), st.integers(0, 2)), max_size=25
)


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_whatever_workers_do_at_most_one_claim_holds_and_tokens_only_grow(
    catalog: Catalog, steps: list[tuple[str, int]]
) -> None:
    now, newest, claims = NOW, 0, list[leases.Claim]()
    given_back: set[leases.Claim] = set()
    with catalog.write() as session:
        session.execute(delete(Lease))
    for action, worker in steps:
        mine = [claim for claim in claims if claim.holder == f"worker-{worker}"]
        with catalog.write() as session:
            if action == "wait":
                now += TTL / 2
            elif action == "acquire":
                claim = leases.acquire(session, "output:1", f"worker-{worker}", ttl=TTL, now=now)
                if claim is not None:
                    assert claim.token > newest
                    newest = claim.token
                    claims.append(claim)
            elif mine and action == "renew":
                leases.renew(session, mine[-1], ttl=TTL, now=now)
            elif mine:
                leases.release(session, mine[-1], now=now)
                given_back.add(mine[-1])
        with catalog.write() as session:
            assert [claim for claim in claims if leases.holds(session, claim)] == [
                claim for claim in claims[-1:] if claim not in given_back
            ]


def test_a_late_heartbeat_cannot_prolong_a_lease_that_was_given_back(catalog: Catalog) -> None:
    with catalog.write() as session:
        claim = leases.acquire(session, "output:x", "one", ttl=timedelta(minutes=1))
        assert claim is not None
        leases.release(session, claim)
    with catalog.write() as session:
        assert not leases.renew(session, claim, ttl=timedelta(minutes=1))
        assert leases.acquire(session, "output:x", "two", ttl=timedelta(minutes=1)) is not None
