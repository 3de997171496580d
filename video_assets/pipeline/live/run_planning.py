"""What sensors decide, as pure functions of what the catalog said. No Dagster, no clock, no I/O."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from video_assets.catalog import Generation, Output

BATCH = 100
"""Generations per batch run: a run costs 4 s of latency and 1.5 s of processor, whatever it carries."""

SINGLES = 3
"""Up to so many ready generations get a run each, where a person can watch and retry them one by one."""

FIRST_WINDOW = timedelta(seconds=90)


@dataclass(frozen=True, slots=True)
class StoreRun:
    """One run to ask for: the generations it stores, a key that dedupes it, and why."""

    generation_ids: tuple[str, ...]
    run_key: str
    provider: str | None
    """Set when all are of one provider, so that a run tag can limit them."""
    urgent: bool = False

    @property
    def is_batch(self) -> bool:
        """True when the run carries several generations."""
        return len(self.generation_ids) > 1


def window(age: timedelta) -> int:
    """Which window of its waiting an item is in: 0, 1, 2 … each twice as long as the one before.

    Part of a run key, so that the same wish is repeated ever more rarely: a run that was killed before it could
    write anything is asked for again, a long queue is not flooded.
    """
    return int(math.log2(1 + max(age, timedelta()) / FIRST_WINDOW))


def submit_key(generation: Generation, now: datetime, *, unsent: int = 1) -> str:
    """Run key of a submission: changes with a person's retry, with each version that was sent, and with time."""
    return f"submit:{generation.id}:{generation.attempt}:{unsent}:{window(now - generation.queued_at)}"


@dataclass(frozen=True, slots=True)
class StorePlan:
    """The runs to ask for, and what was asked for so far: the sensor's next cursor."""

    runs: list[StoreRun]
    asked: dict[str, str]
    """Output id → its state when a run was last asked for it. Holds only what is due now, so it stays small."""


def plan_store_runs(
    outputs: Iterable[Output],
    providers: Mapping[str, str],
    *,
    now: datetime,
    asked: Mapping[str, str],
    urgent: bool = False,
    most: int = 50,
) -> StorePlan:
    """Group due outputs (soonest deadline first) into at most ``most`` runs; the order of urgency is kept.

    ``providers`` maps generation id to provider name. An output whose state is the one in ``asked`` has a run
    already, queued or going; it is asked for again after another try, or in the next window of its waiting.
    """
    states: dict[str, str] = {}
    owners: dict[str, str] = {}
    for output in outputs:
        since = output.next_attempt_at or output.created_at
        states[output.id] = f"{output.attempts}.{window(now - since)}"
        owners[output.id] = output.generation_id
    news = [output_id for output_id, state in states.items() if asked.get(output_id) != state]
    wanted = list(dict.fromkeys(owners[output_id] for output_id in news))
    size = 1 if len(wanted) <= SINGLES else BATCH
    groups = [wanted[at : at + size] for at in range(0, len(wanted), size)][:most]
    taken = {generation_id for group in groups for generation_id in group}
    lines = {output_id: f"{output_id}:{state}" for output_id, state in states.items()}
    runs = []
    for group in groups:
        members = set(group)
        digest = _digest([lines[output_id] for output_id in states if owners[output_id] in members])
        names = {providers[generation_id] for generation_id in group}
        kind = "urgent" if urgent else "store"
        runs.append(
            StoreRun(
                tuple(group),
                f"{kind}:{group[0]}:{len(group)}:{digest}",
                names.pop() if len(names) == 1 else None,
                urgent,
            )
        )
    known = set(states) - set(news)
    return StorePlan(runs, {key: state for key, state in states.items() if key in known or owners[key] in taken})


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
