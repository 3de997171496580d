"""What the legacy sensor decides: the order of dying, few runs ahead, bounded partitions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from video_assets.pipeline.legacy.run_planning import (
    AHEAD,
    CALM_PRIORITY,
    DYING_PRIORITY,
    FIRST_REVIVAL_WAIT,
    LOWEST_PRIORITY,
    MOST_REVIVALS,
    SOON_PRIORITY,
    BatchView,
    QueuedRun,
    keys_to_retire,
    keys_to_show,
    places_to_change,
    priority,
    revival_due,
    revivals_to_ask_for,
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


def test_what_is_under_way_is_asked_for_again_only_in_its_last_hour_and_without_the_highest_place() -> None:
    soon = batch(1, 2)
    assert keys(soon, under_way={soon.key: CALM_PRIORITY}) == [], "its run climbs in the queue"
    assert keys(batch(1, 0.5), under_way={soon.key: CALM_PRIORITY}) == [soon.key]
    assert keys(batch(1, 0.5), under_way={soon.key: DYING_PRIORITY}) == []


def test_a_batch_whose_first_link_died_is_looked_at_again_for_the_next_one() -> None:
    batches = [batch(1, -0.1), batch(2, 3), batch(3, None, "other"), batch(4, -1, "other")]
    assert with_passed_deadlines(batches, {}, now=NOW) == ["app:000001", "other:000004"]
    assert with_passed_deadlines(batches, {"other:000004": 0}, now=NOW) == ["app:000001"]


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (0.9, DYING_PRIORITY),
        (2, 4),
        (5, 3),
        (11, 2),
        (23, 1),
        (40, SOON_PRIORITY),
        (None, CALM_PRIORITY),
        (-1, CALM_PRIORITY),
    ],
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


def dead(number: int, *, revivals: int = 0, hours_ago: float | None = None, source: str = "app") -> BatchView:
    """A batch of dead links whose provider can be asked, and was asked last so many hours ago."""
    asked = None if hours_ago is None else NOW - timedelta(hours=hours_ago)
    return BatchView(f"{source}:{number:06}", source, None, NOW - 9 * timedelta(hours=1), revivals, asked)


def revived(*batches: BatchView, under_way: dict[str, int] | None = None) -> list[str]:
    return [run.key for run in revivals_to_ask_for(batches, under_way or {}, now=NOW)]


def test_dead_links_that_a_provider_may_bring_back_are_asked_for_one_batch_at_a_time() -> None:
    batches = [dead(2), dead(1), dead(1, source="other"), batch(3, None), batch(4, -2)]
    assert revived(*batches) == ["app:000001", "other:000001"]
    assert revived(*batches, under_way={"app:000009": DYING_PRIORITY}) == ["other:000001"], (
        "what can die is first"
    )
    runs = revivals_to_ask_for(batches, {}, now=NOW)
    assert {run.priority for run in runs} == {LOWEST_PRIORITY}
    assert LOWEST_PRIORITY < CALM_PRIORITY
    assert all(run.is_revival for run in runs)


def test_a_file_whose_next_try_is_not_due_yet_is_not_asked_for() -> None:
    later = BatchView("app:000001", "app", None, NOW + timedelta(minutes=1))
    assert revived(later) == []
    assert revivals_to_ask_for([later], {}, now=NOW + timedelta(minutes=1)) != []


def test_what_was_asked_for_least_often_comes_first_so_that_one_batch_cannot_hold_up_the_others() -> None:
    assert revived(dead(1, revivals=1, hours_ago=50), dead(2)) == ["app:000002"]


def test_each_wait_is_twice_as_long_and_after_the_last_try_it_is_a_person_s_turn() -> None:
    waits = []
    for tries in range(1, MOST_REVIVALS):
        due = revival_due(dead(1, revivals=tries, hours_ago=0))
        assert due is not None
        waits.append((due - NOW) / FIRST_REVIVAL_WAIT)
    assert waits == [1, 2, 4, 8, 16, 32, 64]
    assert revived(dead(1, revivals=1, hours_ago=0.2)) == []
    assert revived(dead(1, revivals=1, hours_ago=0.3)) == ["app:000001"]
    assert revived(dead(1, revivals=MOST_REVIVALS, hours_ago=1000)) == []


def test_a_batch_whose_first_link_is_about_to_die_is_asked_for_ever_more_often() -> None:
    def wishes(left: timedelta, within: timedelta) -> int:
        dies = NOW + left
        keys = set()
        for step in range(int(within.total_seconds())):
            now = dies - left + timedelta(seconds=step)
            [asked] = runs_to_ask_for([BatchView("old:000001", "old", dies)], {}, now=now, horizon=DAY)
            keys.add(asked.run_key)
        return len(keys)

    quarter = timedelta(minutes=9)
    assert wishes(timedelta(hours=20), quarter) <= 2
    assert wishes(timedelta(minutes=50), quarter) in (2, 3)
    assert wishes(timedelta(minutes=9, seconds=30), quarter) >= 9


def test_each_try_has_a_run_key_of_its_own_so_that_a_tick_told_twice_starts_one_run() -> None:
    def run_key(tries: int) -> str:
        return revivals_to_ask_for([dead(1, revivals=tries, hours_ago=99)], {}, now=NOW)[0].run_key

    assert run_key(1) == run_key(1) != run_key(2)


def moved(*runs: QueuedRun) -> dict[str, int]:
    batches = [batch(1, 30), batch(2, 20), batch(3, 2), batch(4, 0.5), batch(5, None), batch(6, -3)]
    return places_to_change(runs, batches, now=NOW, horizon=DAY)


def queued(name: str, *numbers: int, place: int | None = None, of_backfill: bool = True) -> QueuedRun:
    return QueuedRun(name, [f"app:{number:06}" for number in numbers], place, of_backfill)


def test_a_backfill_without_priority_gets_its_places_by_the_deadlines_of_its_batches() -> None:
    runs = [queued("far", 1), queued("day", 1, 2), queued("soon", 3), queued("unknown", 5), queued("dead", 6)]
    assert moved(*runs, queued("settled", 77)) == {
        "far": CALM_PRIORITY,
        "day": 1,
        "soon": 4,
        "unknown": CALM_PRIORITY,
        "dead": CALM_PRIORITY,
        "settled": CALM_PRIORITY,
    }


def test_a_run_in_the_queue_climbs_as_its_deadline_comes_near_and_never_falls() -> None:
    assert moved(queued("a", 2, place=CALM_PRIORITY), queued("b", 3, place=1)) == {"a": 1, "b": 4}
    assert moved(queued("a", 3, place=9), queued("b", 5, place=0), queued("c", 3, place=4)) == {}


def test_in_its_last_hour_a_batch_of_a_backfill_gets_a_run_of_its_own_and_another_run_climbs_to_the_top() -> None:
    assert moved(queued("a", 4)) == {"a": DYING_PRIORITY - 1}
    assert keys(batch(4, 0.5), under_way={"app:000004": DYING_PRIORITY - 1}) == ["app:000004"]
    assert moved(queued("a", 4, place=1, of_backfill=False)) == {"a": DYING_PRIORITY}
    assert keys(batch(4, 0.5), under_way={"app:000004": DYING_PRIORITY}) == []
