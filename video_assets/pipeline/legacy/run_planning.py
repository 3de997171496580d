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

LOWEST_PRIORITY = -20
"""Of dead links that a provider may bring back: whatever can still die comes first."""
CALM_PRIORITY = -10
"""Of a backfill: live work always comes first."""
SOON_PRIORITY = 0
DYING_PRIORITY = 5
"""Still below 10, which the dying links of live work have: those nobody else looks after."""

RUNGS = ((1, DYING_PRIORITY), (3, 4), (6, 3), (12, 2), (24, 1))
"""Hours to live, at most → place in the queue: what waits climbs as its deadline comes near."""

_STEPS = ((timedelta(minutes=10), 60), (timedelta(hours=1), 300))
"""What is left of the first link's life, at most → seconds until the same batch may be asked for again."""

REVIVALS_AHEAD = 1
"""Runs per source that ask providers about dead links at the same time: a provider's patience is limited."""
MOST_REVIVALS = 8
"""Runs asked for because of a batch's dead links, in all: over a day and a half. Then it is a person's turn."""
FIRST_REVIVAL_WAIT = timedelta(minutes=15)
"""After the first of them; twice as long after each further one."""


@dataclass(frozen=True, slots=True)
class BatchView:
    """A batch as a choice sees it."""

    key: str
    source: str
    first_deadline_at: datetime | None
    """When the first of its links that live dies; None when none is known to die."""
    revive_at: datetime | None = None
    """From when on a provider can be asked for its dead links; None when none can."""
    revivals: int = 0
    """Runs that were asked for because of that so far, …"""
    revived_at: datetime | None = None
    """… the last of them then."""


@dataclass(frozen=True, slots=True)
class BatchRun:
    """One run to ask for."""

    key: str
    source: str
    priority: int
    run_key: str
    is_revival: bool = False
    """Nothing in it is about to die: it is asked for because of links that are dead."""


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A run of the rescue that waits in Dagster's queue."""

    id: str
    keys: Sequence[str]
    """The batches it will work."""
    priority: int | None
    """As its tag says; None when it has none."""
    of_backfill: bool


def priority(deadline: datetime | None, now: datetime) -> int:
    """A run's place in Dagster's queue: the sooner a link dies the higher, and never above live work."""
    if deadline is None or deadline <= now:
        return CALM_PRIORITY
    left = (deadline - now) / timedelta(hours=1)
    return next((place for hours, place in RUNGS if left <= hours), SOON_PRIORITY)


def runs_to_ask_for(
    batches: Iterable[BatchView],
    under_way: Mapping[str, int],
    *,
    now: datetime,
    horizon: timedelta,
    ahead: int = AHEAD,
) -> list[BatchRun]:
    """The batches to start now: what dies first comes first, few at a time per source.

    ``under_way`` maps the key of a batch that waits in the queue or is being worked to its run's place. One that
    is on its way climbs in the queue (``places_to_change``); it is asked for again only in its last hour, when
    that run has not the highest place.
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
        if known is not None and (known >= place or place < DYING_PRIORITY):
            continue
        if known is None and taken[batch.source] >= ahead:
            continue
        taken[batch.source] += 1
        chosen.append(BatchRun(batch.key, batch.source, place, run_key(batch, place, now)))
    return chosen


def revivals_to_ask_for(
    batches: Iterable[BatchView],
    under_way: Mapping[str, int],
    *,
    now: datetime,
    ahead: int = REVIVALS_AHEAD,
) -> list[BatchRun]:
    """The batches whose dead links a provider is to be asked about now, the first of each source.

    A source of which anything is under way waits: its places belong to what can still die. A batch is asked for
    ``MOST_REVIVALS`` times at most, each wait twice as long as the one before. ``under_way`` as above.
    """
    taken = Counter(key.rpartition(":")[0] for key in under_way)
    chosen: list[BatchRun] = []
    for batch in sorted(batches, key=lambda batch: (batch.revivals, batch.key)):
        due = revival_due(batch)
        if due is None or due > now or taken[batch.source] >= ahead:
            continue
        taken[batch.source] += 1
        key = f"legacy:{batch.key}:revival:{batch.revivals}"
        chosen.append(BatchRun(batch.key, batch.source, LOWEST_PRIORITY, key, is_revival=True))
    return chosen


def revival_due(batch: BatchView) -> datetime | None:
    """When a provider is to be asked about a batch's dead links; None when there is nothing to ask any more."""
    if batch.revive_at is None or batch.revivals >= MOST_REVIVALS:
        return None
    if batch.revived_at is None:
        return batch.revive_at
    wait = FIRST_REVIVAL_WAIT * float(2 ** max(batch.revivals - 1, 0))
    return max(batch.revive_at, batch.revived_at + wait)


def places_to_change(
    queued: Iterable[QueuedRun], batches: Iterable[BatchView], *, now: datetime, horizon: timedelta
) -> dict[str, int]:
    """Run id → its new place, for runs in the queue that stand too low, or nowhere because nobody gave them one.

    A backfill from Dagster's UI has no priority, which counts as 0: it would stand level with live work. What a
    person chose is raised when a deadline comes near, and never lowered. A backfill's run does not climb to
    ``DYING_PRIORITY``, because backfills have few places: in its last hour a batch gets a run of its own.
    """
    deadlines = {batch.key: batch.first_deadline_at for batch in batches}
    changed: dict[str, int] = {}
    for run in queued:
        known = [deadlines.get(key) for key in run.keys]
        first = min((each for each in known if each is not None and now < each <= now + horizon), default=None)
        place = priority(first, now)
        if run.of_backfill:
            place = min(place, DYING_PRIORITY - 1)
        if run.priority is None or (place > run.priority and first is not None):
            changed[run.id] = place
    return changed


def with_passed_deadlines(
    batches: Iterable[BatchView], under_way: Mapping[str, int], *, now: datetime
) -> list[str]:
    """Keys of batches whose first deadline has passed while nobody works them: it has to be found anew."""
    return [
        batch.key
        for batch in batches
        if batch.first_deadline_at is not None and batch.first_deadline_at <= now and batch.key not in under_way
    ]


def run_key(batch: BatchView, place: int, now: datetime) -> str:
    """Dedupes one wish: the same batch is asked for again at the earliest after half an hour, or when it rises.

    What is waiting for a next attempt of its own is not helped by more runs; when its first link is about to die,
    it is tried ever more often.
    """
    left = timedelta.max if batch.first_deadline_at is None else batch.first_deadline_at - now
    step = next((seconds for until, seconds in _STEPS if left <= until), 1800)
    return f"legacy:{batch.key}:{place}:{int(now.timestamp()) // step}"


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
