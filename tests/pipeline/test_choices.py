"""What sensors decide, as properties of pure functions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from video_assets.catalog import Generation, Output
from video_assets.pipeline import choices

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


@given(st.lists(st.integers(0, 400), max_size=300), st.booleans())
def test_every_due_generation_is_in_exactly_one_run_and_urgency_order_is_kept(
    generations: list[int], urgent: bool
) -> None:
    outputs = [output(generation, at) for at, generation in enumerate(generations)]
    runs = choices.store_runs(outputs, PROVIDERS, now=NOW, urgent=urgent)
    flat = [generation_id for run in runs for generation_id in run.generation_ids]
    assert flat == list(dict.fromkeys(f"g{generation}" for generation in generations))
    assert len({run.run_key for run in runs}) == len(runs)
    assert all(len(run.generation_ids) <= choices.BATCH for run in runs)


def test_a_few_ready_generations_get_a_run_each_and_many_share_one() -> None:
    few = choices.store_runs([output(n) for n in range(3)], PROVIDERS, now=NOW)
    assert [run.is_batch for run in few] == [False, False, False]
    many = choices.store_runs([output(n) for n in range(60)], PROVIDERS, now=NOW)
    assert [len(run.generation_ids) for run in many] == [60]


def test_a_dying_link_never_shares_its_run() -> None:
    runs = choices.store_runs([output(n) for n in range(60)], PROVIDERS, now=NOW, urgent=True)
    assert len(runs) == 60
    assert all(run.urgent and not run.is_batch for run in runs)


def test_asking_twice_for_the_same_state_gives_the_same_run_key() -> None:
    first = choices.store_runs([output(1)], PROVIDERS, now=NOW)
    again = choices.store_runs([output(1)], PROVIDERS, now=NOW + timedelta(seconds=5))
    assert first[0].run_key == again[0].run_key


def test_a_new_try_gives_a_new_run_key() -> None:
    first = choices.store_runs([output(1)], PROVIDERS, now=NOW)
    again = choices.store_runs([output(1, attempts=1)], PROVIDERS, now=NOW)
    assert first[0].run_key != again[0].run_key


def test_a_run_that_was_killed_before_it_wrote_anything_is_asked_for_again_ever_more_rarely() -> None:
    keys = [
        choices.store_runs([output(1)], PROVIDERS, now=NOW + timedelta(seconds=second))[0].run_key
        for second in range(0, 24 * 3600, 30)
    ]
    assert 5 < len(set(keys)) < 12


@given(st.floats(-1e6, 1e9))
def test_windows_only_grow(seconds: float) -> None:
    age = timedelta(seconds=seconds)
    assert 0 <= choices.window(age) <= choices.window(age + timedelta(days=1))


def test_a_persons_retry_is_submitted_at_once() -> None:
    generation = Generation(owner="a", provider="runway", model="m", prompt="p", queued_at=NOW)
    before = choices.submit_key(generation, NOW)
    generation.attempt += 1
    assert choices.submit_key(generation, NOW) != before
