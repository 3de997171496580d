"""What the legacy sensor decides, as pure functions of what the catalog said. No Dagster, no clock, no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

AHEAD = 4
"""Runs of one source that wait or work at the same time. Few, so that the next one asked for is always the one
that dies soonest, however long the backlog is."""

MOST_PARTITIONS = 10_000
"""Batches that are Dagster partitions: with so many a page of the UI takes 0.4 s after each added key."""

CALM_PRIORITY = -10
"""Of a backfill: live work always comes first."""
SOON_PRIORITY = 0
DYING_PRIORITY = 5
"""Still below 10, which the live road's dying links have: those nobody else looks after."""

DYING = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class BatchView:
    """A batch as a choice sees it."""

    key: str
    source: str
    first_deadline_at: datetime | None
    """When the first of its links that live dies; None when none is known to die."""


@dataclass(frozen=True, slots=True)
class BatchRun:
    """One run to ask for."""

    key: str
    source: str
    priority: int
    run_key: str


def priority(deadline: datetime | None, now: datetime) -> int:
    """A run's place in Dagster's queue: the sooner a link dies the higher, and never above the live road's."""
    if deadline is None or deadline <= now:
        return CALM_PRIORITY
    return DYING_PRIORITY if deadline - now <= DYING else SOON_PRIORITY


def runs_to_ask_for(
    batches: Iterable[BatchView],
    under_way: Mapping[str, int],
    *,
    now: datetime,
    horizon: timedelta,
    ahead: int = AHEAD,
) -> list[BatchRun]:
    """The batches to start now: what dies first comes first, few at a time per source.

    ``under_way`` maps the key of a batch that waits in the queue or is being worked to its run's priority. One
    that is on its way is asked for again only when it now deserves a higher place than it has.
    """
    dying = sorted(
        (
            (batch.first_deadline_at, batch)
            for batch in batches
            if batch.first_deadline_at is not None and now < batch.first_deadline_at <= now + horizon
        ),
        key=lambda pair: (pair[0], pair[1].key),
    )
    taken = Counter(key.rpartition(":")[0] for key in under_way)
    chosen: list[BatchRun] = []
    for deadline, batch in dying:
        place = priority(deadline, now)
        known = under_way.get(batch.key)
        if known is not None and known >= place:
            continue
        if known is None and taken[batch.source] >= ahead:
            continue
        taken[batch.source] += 1
        chosen.append(BatchRun(batch.key, batch.source, place, run_key(batch, place, now)))
    return chosen


def with_passed_deadlines(
    batches: Iterable[BatchView], under_way: Mapping[str, int], *, now: datetime
) -> list[str]:
    """Sources with a batch whose first deadline has passed while nobody works it: it has to be found anew."""
    passed = (
        batch.source
        for batch in batches
        if batch.first_deadline_at is not None and batch.first_deadline_at <= now and batch.key not in under_way
    )
    return list(dict.fromkeys(passed))


def run_key(batch: BatchView, place: int, now: datetime) -> str:
    """Dedupes one wish: the same batch is asked for again at the earliest after half an hour, or when it rises.

    What is waiting for a next attempt of its own is not helped by more runs.
    """
    return f"legacy:{batch.key}:{place}:{int(now.timestamp()) // 1800}"


def keys_to_show(open_keys: Sequence[str], shown: Sequence[str], *, most: int = MOST_PARTITIONS) -> list[str]:
    """Batches to make partitions of: in the order of work, while there is room beside those that are shown."""
    known = set(shown)
    room = max(most - len(known), 0)
    return [key for key in open_keys if key not in known][:room]


def keys_to_retire(
    open_keys: Iterable[str], shown: Sequence[str], *, waiting: int, most: int = MOST_PARTITIONS
) -> list[str]:
    """Settled batches that make room, oldest first, when ``waiting`` open ones find none."""
    excess = len(shown) + waiting - most
    if excess <= 0:
        return []
    still = set(open_keys)
    return [key for key in shown if key not in still][:excess]
