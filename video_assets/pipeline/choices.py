"""What sensors decide, as pure functions of what the catalog said. No Dagster, no clock, no I/O."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
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


def submit_key(generation: Generation, now: datetime) -> str:
    """Run key of a submission: grows with a person's retry, and with time."""
    return f"submit:{generation.id}:{generation.attempt}:{window(now - generation.queued_at)}"


def store_runs(
    outputs: Iterable[Output], providers: dict[str, str], *, now: datetime, urgent: bool = False
) -> list[StoreRun]:
    """Group due outputs (soonest deadline first) into runs; the order of urgency is kept.

    ``providers`` maps generation id to provider name. An urgent run carries one generation: nothing may make it
    wait.
    """
    tries: dict[str, list[str]] = {}
    for output in outputs:
        since = output.next_attempt_at or output.created_at
        state = f"{output.id}:{output.attempts}:{window(now - since)}"
        tries.setdefault(output.generation_id, []).append(state)
    ids = list(tries)
    size = 1 if urgent or len(ids) <= SINGLES else BATCH
    return [_store_run(ids[at : at + size], tries, providers, urgent) for at in range(0, len(ids), size)]


def _store_run(
    ids: Sequence[str], tries: dict[str, list[str]], providers: dict[str, str], urgent: bool
) -> StoreRun:
    state = "\n".join(line for generation_id in ids for line in sorted(tries[generation_id]))
    digest = hashlib.sha256(state.encode()).hexdigest()[:16]
    names = {providers[generation_id] for generation_id in ids}
    kind = "urgent" if urgent else "store"
    return StoreRun(
        tuple(ids), f"{kind}:{ids[0]}:{len(ids)}:{digest}", names.pop() if len(names) == 1 else None, urgent
    )
