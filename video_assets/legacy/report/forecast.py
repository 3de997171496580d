"""The forecast: at this rate, how many files die before their turn, and which limit would save how many.

A fluid model, in steps of time. Work goes in deadline order; a host takes only so many connections, all together
are limited too, and so is the line. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from video_assets.legacy.config.models import Rates

Limit = Literal["connections", "connections_per_host", "megabytes_per_second"]

_MOST_STEPS: Final = 20_000
_COARSENESS: Final = 0.004
"""A step is at least this share of the time that has passed: minutes matter today, not next week."""
_RAISES: Final = (2, 4, 8)
FOREVER: Final = float("inf")
"""The deadline of a link that is not known to die."""


@dataclass(frozen=True, slots=True)
class Load:
    """Files of one host that die at the same time."""

    host: str
    dies_in: float
    """Seconds from now; ``FOREVER`` when nobody knows."""
    files: int
    megabytes: float
    """Of one file, on average."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happens at given limits."""

    saved: float
    lost: float
    seconds: float
    """Until the last file is saved or dead."""
    first_loss: float | None
    """Seconds until the first file dies unsaved."""
    lost_by_host: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Advice:
    """One limit, raised, and what that saves."""

    limit: Limit
    now: float
    raised_to: float
    saves: int
    """Files that would otherwise be lost."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What will happen, and what to do about it."""

    files: int
    saved: int
    lost: int
    seconds: float
    first_loss_seconds: float | None
    lost_by_host: Mapping[str, int]
    advice: Sequence[Advice]
    """The cheapest raise of each limit that saves something, the best first."""


def forecast(loads: Iterable[Load], rates: Rates) -> Forecast:
    """Forecast the rescue of ``loads`` at the limits of ``rates``, and what raising each limit would save."""
    work = [load for load in loads if load.files > 0]
    now = simulate(work, rates)
    advice = _advice(work, rates, now.lost) if now.lost >= 0.5 else []
    files = sum(load.files for load in work)
    lost = min(round(now.lost), files)
    return Forecast(
        files=files,
        saved=files - lost,
        lost=lost,
        seconds=now.seconds,
        first_loss_seconds=now.first_loss,
        lost_by_host={host: round(count) for host, count in now.lost_by_host.items() if count >= 0.5},
        advice=advice,
    )


def _advice(work: Sequence[Load], rates: Rates, lost: float) -> list[Advice]:
    found: list[Advice] = []
    limits: tuple[Limit, ...] = ("connections", "connections_per_host", "megabytes_per_second")
    for limit in limits:
        known = float(getattr(rates, limit))
        best: Advice | None = None
        for factor in _RAISES:
            raised = known * factor
            value = raised if limit == "megabytes_per_second" else int(raised)
            saves = round(lost - simulate(work, rates.model_copy(update={limit: value})).lost)
            # More of the same limit has to save noticeably more to be worth saying.
            if saves >= 1 and (best is None or saves > best.saves * 1.2):
                best = Advice(limit, known, raised, saves)
        if best is not None:
            found.append(best)
    both = rates.model_copy(
        update={
            "connections": rates.connections * 4,
            "connections_per_host": rates.connections_per_host * 4,
            "megabytes_per_second": rates.megabytes_per_second * 4,
        }
    )
    if not found and (saves := round(lost - simulate(work, both).lost)) >= 1:
        found.append(Advice("connections", rates.connections, both.connections, saves))
    return sorted(found, key=lambda each: -each.saves)


@dataclass(slots=True)
class _Queue:
    """What is left of one host, what dies soonest at the end of the list."""

    host: str
    bins: list[list[float]]
    """``[dies_in, files]``."""
    megabytes: float
    seconds_per_file: float


def simulate(loads: Sequence[Load], rates: Rates) -> Outcome:
    """Let the time pass until everything is saved or dead."""
    queues = _queues(loads, rates)
    total = sum(load.files for load in loads)
    clock = 0.0
    lost_by_host: dict[str, float] = {}
    first_loss: float | None = None
    saved = 0.0
    for _ in range(_MOST_STEPS):
        active = [queue for queue in queues if queue.bins]
        if not active:
            break
        active.sort(key=lambda queue: queue.bins[-1][0])
        shares = _rates(active, rates)
        step = _step(active, shares, clock)
        clock += step
        for queue, per_second in zip(active, shares, strict=True):
            saved += _work(queue, per_second * step)
            dead = _bury(queue, clock)
            if dead > 1e-9:
                lost_by_host[queue.host] = lost_by_host.get(queue.host, 0.0) + dead
                first_loss = clock if first_loss is None else first_loss
    lost = sum(lost_by_host.values())
    return Outcome(min(saved, total), lost, clock, first_loss, lost_by_host)


def _queues(loads: Sequence[Load], rates: Rates) -> list[_Queue]:
    by_host: dict[str, list[Load]] = {}
    for load in loads:
        by_host.setdefault(load.host, []).append(load)
    queues = []
    for host, some in by_host.items():
        files = sum(load.files for load in some)
        megabytes = sum(load.files * load.megabytes for load in some) / files
        bins = [[load.dies_in, float(load.files)] for load in sorted(some, key=lambda load: -load.dies_in)]
        seconds = rates.seconds_per_file + megabytes / rates.megabytes_per_second_per_connection
        queues.append(_Queue(host, bins, megabytes, max(seconds, 1e-6)))
    return queues


def _rates(active: Sequence[_Queue], rates: Rates) -> list[float]:
    """Files per second of each host, connections given to what dies soonest first."""
    free = float(rates.connections)
    shares: list[float] = []
    for queue in active:
        # Less than one file left needs no more than one connection.
        left = sum(files for _, files in queue.bins[-3:]) if len(queue.bins) <= 3 else FOREVER
        mine = min(free, float(rates.connections_per_host), max(left, 0.0) if left < 1 else FOREVER)
        free -= mine
        shares.append(mine / queue.seconds_per_file)
    flow = sum(share * queue.megabytes for share, queue in zip(shares, active, strict=True))
    squeeze = min(1.0, rates.megabytes_per_second / flow) if flow > 0 else 1.0
    return [share * squeeze for share in shares]


def _step(active: Sequence[_Queue], shares: Sequence[float], clock: float) -> float:
    """Until something changes: a host is through, or the next deadline; not finer than it matters."""
    ends = [
        sum(files for _, files in queue.bins) / share
        for queue, share in zip(active, shares, strict=True)
        if share > 0
    ]
    deadlines = [queue.bins[-1][0] - clock for queue in active if queue.bins[-1][0] != FOREVER]
    return max(min([*ends, *deadlines], default=FOREVER), 0.5, clock * _COARSENESS)


def _work(queue: _Queue, files: float) -> float:
    done = 0.0
    while queue.bins and files > 1e-12:
        taken = min(queue.bins[-1][1], files)
        queue.bins[-1][1] -= taken
        files -= taken
        done += taken
        if queue.bins[-1][1] <= 1e-9:
            queue.bins.pop()
    return done


def _bury(queue: _Queue, clock: float) -> float:
    dead = 0.0
    while queue.bins and queue.bins[-1][0] <= clock:
        dead += queue.bins.pop()[1]
    return dead
