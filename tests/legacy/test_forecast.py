"""The forecast against arithmetic, and against a simulation that moves every single file."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from video_assets.legacy.config.models import Rates
from video_assets.legacy.report.forecast import FOREVER, Load, forecast, simulate

QUICK = Rates(connections=8, connections_per_host=8, megabytes_per_second=1e6, seconds_per_file=1.0)


def by_hand(loads: list[Load], rates: Rates) -> int:
    """How many die when each connection fetches one file after the other, in deadline order. One host only."""
    free = [0.0] * min(rates.connections, rates.connections_per_host)
    lost = 0
    for load in sorted(loads, key=lambda load: load.dies_in):
        seconds = rates.seconds_per_file + load.megabytes / rates.megabytes_per_second_per_connection
        for _ in range(load.files):
            start = heapq.heappop(free)
            if start + seconds > load.dies_in:
                heapq.heappush(free, start)
                lost += 1
            else:
                heapq.heappush(free, start + seconds)
    return lost


def test_a_backlog_that_fits_loses_nothing() -> None:
    found = forecast([Load("a", 3600, 1000, 0.001)], QUICK)
    assert (found.lost, found.saved, found.advice) == (0, 1000, [])
    assert found.seconds == pytest.approx(125, rel=0.02)


def test_a_backlog_that_is_twice_too_large_loses_half_and_says_which_limit_would_save_it() -> None:
    rates = QUICK.model_copy(update={"connections_per_host": 2})
    found = forecast([Load("a", 1000, 4000, 0.001)], rates)
    assert found.lost == pytest.approx(2000, rel=0.02)
    best = found.advice[0]
    assert (best.limit, best.now, best.raised_to) == ("connections_per_host", 2, 4)
    assert best.saves == pytest.approx(2000, rel=0.02)


def test_the_line_can_be_the_bottleneck() -> None:
    rates = Rates(connections=64, connections_per_host=64, megabytes_per_second=10, seconds_per_file=0.01)
    found = forecast([Load("a", 1000, 2000, 10.0)], rates)
    assert found.lost == pytest.approx(1000, rel=0.02)
    assert found.advice[0].limit == "megabytes_per_second"
    assert found.lost_by_host == {"a": found.lost}


def test_links_without_a_known_death_wait_for_those_with_one() -> None:
    rates = QUICK.model_copy(update={"connections": 1, "connections_per_host": 1})
    found = forecast([Load("a", FOREVER, 10_000, 0.001), Load("a", 500, 400, 0.001)], rates)
    assert found.lost == 0
    assert found.seconds == pytest.approx(10_400, rel=0.05)


def test_nothing_to_do_is_no_work() -> None:
    found = forecast([], Rates())
    assert (found.files, found.lost, found.seconds, found.first_loss_seconds) == (0, 0, 0.0, None)


_loads = st.lists(
    st.builds(
        Load,
        host=st.just("a"),
        dies_in=st.integers(1, 5000).map(float),
        files=st.integers(1, 300),
        megabytes=st.just(1.0),
    ),
    max_size=12,
)


@given(_loads, st.integers(1, 16))
@settings(max_examples=60, deadline=None)
def test_the_forecast_is_close_to_what_happens_file_by_file(loads: list[Load], connections: int) -> None:
    rates = Rates(connections=connections, connections_per_host=connections, megabytes_per_second=1e6)
    found = forecast(loads, rates)
    files = sum(load.files for load in loads)
    # Whole files against a flow: a connection's worth per distinct deadline may differ.
    assert abs(found.lost - by_hand(loads, rates)) <= files * 0.02 + connections * (len(loads) + 1)


@given(
    st.lists(
        st.builds(
            Load,
            host=st.sampled_from("abc"),
            dies_in=st.one_of(st.just(FOREVER), st.floats(0.5, 1e6)),
            files=st.integers(0, 10**6),
            megabytes=st.floats(0.001, 5000),
        ),
        max_size=30,
    )
)
@settings(max_examples=60, deadline=None)
def test_every_file_is_either_saved_or_lost(loads: list[Load]) -> None:
    outcome = simulate([load for load in loads if load.files], Rates())
    files = sum(load.files for load in loads)
    assert outcome.saved + outcome.lost == pytest.approx(files, rel=0.001, abs=0.5)
