"""When a file is tried again, and when it is lost: decided by its link's death, not by a count of tries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_assets.reasons import RETRY_POLICIES, Reason, Side
from video_assets.transfer.rescue.retrying import GRACE, LEAST_PAUSE, next_attempt

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
PATIENCE = timedelta(days=7)
SOURCE = [reason for reason in Reason if RETRY_POLICIES[reason].side is Side.SOURCE]
OURS = [reason for reason in Reason if RETRY_POLICIES[reason].side is Side.OURS]
BETWEEN = [reason for reason in Reason if RETRY_POLICIES[reason].side is Side.BETWEEN]


def tries(
    reason: Reason, life: timedelta | None, *, most: int = 10_000, patience: timedelta = PATIENCE
) -> list[datetime]:
    """When a source that always fails for ``reason`` is tried, from now on until the file is lost."""
    deadline = None if life is None else NOW + life
    now, made = NOW, [NOW]
    while len(made) < most:
        following = next_attempt(now, len(made), deadline, NOW, RETRY_POLICIES[reason], patience=patience)
        if following is None:
            break
        made.append(following)
        now = following
    return made


@pytest.mark.parametrize(
    "reason", [Reason.SOURCE_SLOW, Reason.SOURCE_GONE, Reason.SOURCE_REFUSED, Reason.BAD_CONTENT]
)
def test_a_source_that_fails_all_week_is_tried_until_just_before_its_link_dies(reason: Reason) -> None:
    made = tries(reason, timedelta(days=7))
    deadline = NOW + timedelta(days=7)
    before = [moment for moment in made if moment < deadline]
    assert timedelta() < deadline - before[-1] <= 2 * LEAST_PAUSE
    pauses = [later - sooner for sooner, later in pairwise(made)]
    assert max(pauses) >= timedelta(hours=1), "a week of tries has to be cheap"
    assert len(before) < 250
    assert made[-1] > deadline, "and asked once more when it is dead, because clocks differ"
    assert made[-1] <= deadline + GRACE


def test_tries_come_ever_closer_as_the_death_of_a_link_comes_near() -> None:
    deadline = NOW + timedelta(days=1)
    before = [moment for moment in tries(Reason.SOURCE_SLOW, timedelta(days=1)) if moment < deadline]
    last_hour = [moment for moment in before if moment > deadline - timedelta(hours=1)]
    gaps = [later - sooner for sooner, later in pairwise(last_hour)]
    assert gaps == sorted(gaps, reverse=True)
    assert len(last_hour) >= 8


@pytest.mark.parametrize("reason", OURS)
@pytest.mark.parametrize("life", [timedelta(hours=-5), timedelta(hours=1), None])
def test_faults_of_our_own_side_lose_nothing_however_long_they_last(
    reason: Reason, life: timedelta | None
) -> None:
    made = tries(reason, life, most=2000)
    assert len(made) == 2000


@pytest.mark.parametrize("reason", BETWEEN)
def test_faults_on_the_way_are_borne_much_longer_than_a_link_lives(reason: Reason) -> None:
    assert tries(reason, timedelta(hours=1))[-1] == NOW + timedelta(hours=1) + PATIENCE
    assert tries(reason, timedelta(days=-300))[-1] == NOW + PATIENCE


@pytest.mark.parametrize("reason", SOURCE)
def test_without_a_deadline_patience_is_counted_in_days(reason: Reason) -> None:
    if RETRY_POLICIES[reason].longest_wait:
        assert tries(reason, None, patience=timedelta(days=3))[-1] == NOW + timedelta(days=3)


def test_a_link_that_was_dead_before_it_was_first_tried_gets_an_hour() -> None:
    made = tries(Reason.SOURCE_SLOW, timedelta(days=-400))
    assert made[-1] == NOW + GRACE
    assert len(made) > 4


def test_a_short_link_is_tried_several_times() -> None:
    made = tries(Reason.SOURCE_SLOW, timedelta(seconds=20))
    assert len([moment for moment in made if moment < NOW + timedelta(seconds=20)]) >= 4


def test_a_source_that_asks_for_a_pause_gets_it_unless_its_link_would_die() -> None:
    policy, pause = RETRY_POLICIES[Reason.SOURCE_SLOW], timedelta(hours=6)
    day = NOW + timedelta(days=1)
    assert next_attempt(NOW, 1, day, NOW, policy, pause, patience=PATIENCE) == NOW + pause
    soon = NOW + timedelta(hours=2)
    assert next_attempt(NOW, 1, soon, NOW, policy, pause, patience=PATIENCE) == NOW + timedelta(hours=1)


@given(
    st.sampled_from(sorted(Reason)),
    st.integers(1, 10**6),
    st.one_of(st.none(), st.timedeltas(timedelta(days=-400), timedelta(days=400))),
    st.timedeltas(timedelta(days=-40), timedelta()),
    st.one_of(st.none(), st.timedeltas(timedelta(), timedelta(days=1))),
)
def test_a_file_is_never_lost_while_its_link_may_live_and_is_never_forgotten(
    reason: Reason,
    attempts: int,
    life: timedelta | None,
    failing_for: timedelta,
    retry_after: timedelta | None,
) -> None:
    deadline = None if life is None else NOW + life
    first_seen = NOW + failing_for
    policy = RETRY_POLICIES[reason]
    following = next_attempt(NOW, attempts, deadline, first_seen, policy, retry_after, patience=PATIENCE)
    alive = first_seen + PATIENCE > NOW if deadline is None else deadline > NOW
    if alive or policy.side is Side.OURS:
        assert following is not None
    if following is not None:
        assert following >= NOW
        if deadline is not None and deadline > NOW:
            assert following <= deadline + timedelta(seconds=1), "the death of a link is not slept through"


def test_only_the_deadline_matters_not_how_often_it_was_tried() -> None:
    deadline, policy = NOW + timedelta(days=6), RETRY_POLICIES[Reason.SOURCE_GONE]
    a_few = next_attempt(NOW, 50, deadline, NOW, policy, patience=PATIENCE)
    assert a_few == next_attempt(NOW, 50_000, deadline, NOW, policy, patience=PATIENCE) is not None
