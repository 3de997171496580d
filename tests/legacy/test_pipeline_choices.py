"""What the legacy sensor decides: the order of dying, few runs ahead, bounded partitions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from video_assets.pipeline.legacy_choices import (
    AHEAD,
    CALM_PRIORITY,
    DYING_PRIORITY,
    SOON_PRIORITY,
    BatchView,
    keys_to_retire,
    keys_to_show,
    priority,
    runs_to_ask_for,
    with_passed_deadlines,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(hours=24)


def batch(number: int, hours: float | None, source: str = "app") -> BatchView:
    deadline = None if hours is None else NOW + timedelta(hours=hours)
    return BatchView(f"{source}:{number:06}", source, deadline)


def keys(*batches: BatchView, under_way: dict[str, int] | None = None, ahead: int = AHEAD) -> list[str]:
    return [run.key for run in runs_to_ask_for(batches, under_way or {}, now=NOW, horizon=DAY, ahead=ahead)]


def test_what_dies_first_is_asked_for_first_whatever_its_number() -> None:
    assert keys(batch(1, 20), batch(2, 2), batch(3, 0.5)) == ["app:000003", "app:000002", "app:000001"]


def test_beyond_the_horizon_without_an_end_or_dead_nothing_is_urgent() -> None:
    assert keys(batch(1, 25), batch(2, None), batch(3, -1)) == []


def test_only_a_few_runs_of_one_source_are_ahead_so_that_a_later_cut_batch_can_overtake() -> None:
    backlog = [batch(number, 10 + number / 100) for number in range(1, 50)]
    first = keys(*backlog)
    assert first == [f"app:{number:06}" for number in range(1, AHEAD + 1)]
    under_way = dict.fromkeys(first, SOON_PRIORITY)
    newcomer = batch(99, 3)
    assert keys(*backlog, newcomer, under_way=under_way) == [], "no place until one has ended"
    del under_way["app:000001"]
    assert keys(*backlog, newcomer, under_way=under_way) == ["app:000099"]


def test_one_source_does_not_take_the_places_of_another() -> None:
    crowded = [batch(number, 1.5, "big") for number in range(1, 9)]
    assert keys(*crowded, batch(1, 20, "small"))[-1] == "small:000001"


def test_a_run_that_waits_in_the_queue_is_asked_for_again_only_when_it_deserves_a_better_place() -> None:
    soon = batch(1, 2)
    assert keys(soon, under_way={soon.key: CALM_PRIORITY}) == [soon.key], "from a backfill"
    assert keys(soon, under_way={soon.key: SOON_PRIORITY}) == []
    assert keys(batch(1, 0.5), under_way={soon.key: SOON_PRIORITY}) == [soon.key]
    assert keys(batch(1, 0.5), under_way={soon.key: DYING_PRIORITY}) == []


def test_a_batch_whose_first_link_died_is_looked_at_again_for_the_next_one() -> None:
    batches = [batch(1, -0.1), batch(2, 3), batch(3, None, "other"), batch(4, -1, "other")]
    assert with_passed_deadlines(batches, {}, now=NOW) == ["app", "other"]
    assert with_passed_deadlines(batches, {"other:000004": 0}, now=NOW) == ["app"]


@pytest.mark.parametrize(
    ("hours", "expected"), [(0.9, DYING_PRIORITY), (5, SOON_PRIORITY), (None, CALM_PRIORITY), (-1, CALM_PRIORITY)]
)
def test_the_priority_follows_the_deadline_and_stays_below_the_live_road_s(
    hours: float | None, expected: int
) -> None:
    assert priority(batch(1, hours).first_deadline_at, NOW) == expected
    assert expected < 10


def test_the_same_wish_has_the_same_run_key_for_a_while_and_a_higher_place_has_another() -> None:
    def run_key(hours: float, minutes: float) -> str:
        later = NOW + timedelta(minutes=minutes)
        view = BatchView("app:000001", "app", NOW + timedelta(hours=hours))
        return runs_to_ask_for([view], {}, now=later, horizon=DAY)[0].run_key

    assert run_key(10, 0) == run_key(10, 20)
    assert run_key(10, 0) != run_key(10, 40)
    assert run_key(10, 0) != run_key(0.5, 0)


def test_partitions_are_bounded_and_settled_ones_make_room() -> None:
    shown = [f"app:{number:06}" for number in range(8)]
    open_keys = [*shown[5:], "app:000100", "app:000101", "app:000102"]
    assert keys_to_show(open_keys, shown, most=10) == ["app:000100", "app:000101"]
    assert keys_to_retire(open_keys, shown, waiting=3, most=10) == ["app:000000"]
    assert keys_to_retire(open_keys, shown, waiting=2, most=10) == []
    assert keys_to_retire(open_keys, shown, waiting=99, most=10) == shown[:5], "never one that is open"
