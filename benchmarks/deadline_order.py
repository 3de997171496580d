"""Deadline order against first in, first out, on the same backlog at the same rate; and the forecast beside both.

    python benchmarks/deadline_order.py [--files 50000] [--seed 1] [--json]

Every file is moved on its own: each connection fetches one file after the other, hosts take only so many at once,
sizes vary around the mean that the forecast knows. The backlog is that of a database nobody has looked after:
most links die within hours, some live for weeks, of some nobody knows. The order is the only thing that differs.
The forecast knows hosts, counts, deadlines to the minute and mean sizes, nothing of single files.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from video_assets.legacy.config.models import Rates
from video_assets.legacy.report.forecast import FOREVER, Load, forecast

HOSTS = {"runway": (0.45, 9.0), "luma": (0.25, 14.0), "openai": (0.2, 28.0), "kie": (0.1, 6.0)}
"""Share of the files, and mean size in megabytes."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of the backlog."""

    number: int
    host: str
    dies_in: float
    megabytes: float


def backlog(count: int, seed: int) -> list[File]:
    """The files in the order of their rows: older rows first, whose links do not always die first."""
    chance = random.Random(seed)
    files = []
    for number in range(count):
        host = chance.choices(list(HOSTS), weights=[share for share, _ in HOSTS.values()])[0]
        kind = chance.random()
        if kind < 0.55:
            dies = chance.uniform(60, 6 * 3600)
        elif kind < 0.85:
            dies = chance.uniform(6 * 3600, 7 * 86_400)
        else:
            dies = FOREVER
        files.append(File(number, host, dies, HOSTS[host][1] * chance.lognormvariate(-0.125, 0.5)))
    return files


def carry_out(files: Sequence[File], rates: Rates, order: Callable[[File], Any]) -> Counter[str]:
    """Fetch file by file in the given order; how many were saved and lost."""
    waiting: dict[str, list[File]] = defaultdict(list)
    for file in sorted(files, key=order, reverse=True):
        waiting[file.host].append(file)  # the next one at the end
    active: Counter[str] = Counter()
    running: list[tuple[float, int, str]] = []
    clock, outcome = 0.0, Counter[str]()
    while running or any(waiting.values()):
        while len(running) < rates.connections:
            open_hosts = [h for h, some in waiting.items() if some and active[h] < rates.connections_per_host]
            if not open_hosts:
                break
            host = min(open_hosts, key=lambda name: order(waiting[name][-1]))
            file = waiting[host].pop()
            if file.dies_in <= clock:
                outcome["lost"] += 1
                continue
            seconds = rates.seconds_per_file + file.megabytes / rates.megabytes_per_second_per_connection
            # A link has to live until the transfer begins: servers judge it when it is asked for.
            outcome["saved"] += 1
            active[host] += 1
            heapq.heappush(running, (clock + seconds, file.number, host))
        if running:
            clock, _, host = heapq.heappop(running)
            active[host] -= 1
    outcome["seconds"] = round(clock)
    return outcome


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    files = backlog(options.files, options.seed)
    results = []
    for connections in (2, 4, 8, 16):
        # The line is no limit here, so that every transfer takes its own time in both models.
        rates = Rates(
            connections=connections, connections_per_host=max(connections // 2, 1), megabytes_per_second=1e6
        )
        by_deadline = carry_out(files, rates, lambda file: (file.dies_in, file.number))
        by_row = carry_out(files, rates, lambda file: file.number)
        bins = Counter(
            (file.host, file.dies_in // 60 * 60 if file.dies_in != FOREVER else FOREVER) for file in files
        )
        began = time.perf_counter()
        found = forecast(
            [Load(host, max(dies, 1.0), count, HOSTS[host][1]) for (host, dies), count in bins.items()], rates
        )
        results.append(
            {
                "connections": connections,
                "deadline_order_lost": by_deadline["lost"],
                "first_in_first_out_lost": by_row["lost"],
                "saved_by_order": by_row["lost"] - by_deadline["lost"],
                "forecast_lost": found.lost,
                "forecast_error": round(abs(found.lost - by_deadline["lost"]) / options.files, 4),
                "advice": [f"{a.limit} {a.now:g} → {a.raised_to:g} saves {a.saves}" for a in found.advice],
                "forecast_ms": round((time.perf_counter() - began) * 1000),
            }
        )
    if options.json:
        print(json.dumps({"files": options.files, "results": results}, indent=2))
        return
    print(f"{options.files:,} files, 85 % of which die within a week, 55 % within six hours")
    print("connections   lost, deadline order   lost, first in first out   forecast   off by   ms")
    for each in results:
        counts = (each["deadline_order_lost"], each["first_in_first_out_lost"], each["forecast_lost"])
        print(f"{each['connections']:>11} {counts[0]:>22,} {counts[1]:>26,} {counts[2]:>10,}", end="")
        print(f" {each['forecast_error']:>8.1%} {each['forecast_ms']:>4}")
    for each in results:
        for sentence in each["advice"]:
            print(f"  at {each['connections']} connections: {sentence}")


if __name__ == "__main__":
    main()
