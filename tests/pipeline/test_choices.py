"""What sensors decide, as properties of pure functions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from video_assets.catalog import Generation, Output
from video_assets.pipeline.live import run_planning as choices

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def output(generation: int, number: int = 0, *, attempts: int = 0, waited: float = 0) -> Output:
    moment = NOW - timedelta(seconds=waited)
    return Output(
        id=f"g{generation}.0.1.video.{number}",
        generation_id=f"g{generation}",
        job_id=f"g{generation}.0.1",
        kind="video",
        attempts=attempts,
        next_attempt_at=moment,
        created_at=moment,
    )


PROVIDERS = {f"g{number}": "runway" if number % 2 else "luma" for number in range(1000)}


def plan(outputs: list[Output], *, after: float = 0, asked: dict[str, str] | None = None) -> choices.StorePlan:
    moment = NOW + timedelta(seconds=after)
    return choices.plan_store_runs(outputs, PROVIDERS, now=moment, asked=asked or {})


@given(st.lists(st.integers(0, 400), max_size=300), st.booleans())
def test_every_due_generation_is_in_exactly_one_run_and_urgency_order_is_kept(
    generations: list[int], urgent: bool
) -> None:
    outputs = [output(generation, at) for at, generation in enumerate(generations)]
    runs = choices.plan_store_runs(outputs, PROVIDERS, now=NOW, asked={}, urgent=urgent, most=999).runs
    flat = [generation_id for run in runs for generation_id in run.generation_ids]
    assert flat == list(dict.fromkeys(f"g{generation}" for generation in generations))
    assert len({run.run_key for run in runs}) == len(runs)
    assert all(len(run.generation_ids) <= choices.BATCH for run in runs)


def test_a_few_ready_generations_get_a_run_each_and_many_share_one() -> None:
    assert [run.is_batch for run in plan([output(n) for n in range(3)]).runs] == [False, False, False]
    assert [len(run.generation_ids) for run in plan([output(n) for n in range(60)]).runs] == [60]


def test_asking_twice_for_the_same_state_gives_the_same_run_key() -> None:
    assert plan([output(1)]).runs[0].run_key == plan([output(1)], after=5).runs[0].run_key


def test_what_has_been_asked_for_is_not_asked_for_again_while_its_run_waits() -> None:
    first = plan([output(n) for n in range(5)])
    again = plan([output(n) for n in range(7)], asked=first.asked)
    assert [run.generation_ids for run in again.runs] == [("g5",), ("g6",)]


def test_a_generation_of_which_a_part_is_being_stored_is_not_asked_for_again() -> None:
    parts = [output(1, n) for n in range(3)]
    first = plan(parts)
    assert plan(parts[2:], asked=first.asked).runs == []


def test_a_new_try_gives_a_new_run_key() -> None:
    first = plan([output(1)])
    again = plan([output(1, attempts=1)], asked=first.asked)
    assert first.runs[0].run_key != again.runs[0].run_key


@given(st.lists(st.integers(0, 400), max_size=300))
def test_the_cursor_holds_only_what_is_due(generations: list[int]) -> None:
    outputs = [output(generation, at) for at, generation in enumerate(generations)]
    asked = plan(outputs, asked={"gone.0.1.video.0": "0.0"}).asked
    assert set(asked) <= {one.id for one in outputs}


def test_a_run_that_was_killed_before_it_wrote_anything_is_asked_for_again_ever_more_rarely() -> None:
    asked: dict[str, str] = {}
    runs = 0
    for second in range(0, 24 * 3600, 30):
        planned = plan([output(1)], after=second, asked=asked)
        asked = planned.asked
        runs += len(planned.runs)
    assert 5 < runs < 12


def test_no_tick_asks_for_more_runs_than_it_may_and_the_rest_comes_next() -> None:
    outputs = [output(n) for n in range(250)]
    first = choices.plan_store_runs(outputs, PROVIDERS, now=NOW, asked={}, most=2)
    assert sum(len(run.generation_ids) for run in first.runs) == 200
    second = choices.plan_store_runs(outputs, PROVIDERS, now=NOW, asked=first.asked, most=2)
    assert sum(len(run.generation_ids) for run in second.runs) == 50


@given(st.floats(-1e6, 1e9))
def test_windows_only_grow(seconds: float) -> None:
    age = timedelta(seconds=seconds)
    assert 0 <= choices.window(age) <= choices.window(age + timedelta(days=1))


def test_a_persons_retry_is_submitted_at_once() -> None:
    generation = Generation(owner="a", provider="runway", model="m", prompt="p", queued_at=NOW)
    before = choices.submit_key(generation, NOW)
    generation.attempt += 1
    assert choices.submit_key(generation, NOW) != before
