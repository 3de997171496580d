"""What one run can reach: hosts that fail for faults outside them are left alone, and a run that meets nothing
else stops early and says so."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from video_assets.reasons import RETRY_POLICIES, Reason, Side
from video_assets.transfer.rescue.target import Outcome, Result

ENOUGH_FILES = 10
"""So many files of a host that failed, and none that did not, tell how the others would fare."""
ENOUGH_HOSTS = 3
"""So many hosts, twice ENOUGH_FILES in all, and nothing else met, tell how the other hosts would fare."""


@dataclass(slots=True)
class Reach:
    """What a run has met so far."""

    reasons: Counter[Reason] = field(default_factory=Counter)
    """Files that failed for faults outside their sources, by reason."""
    others: int = 0
    """Files that fared in any other way, well or badly."""
    untried: int = 0
    """Files that were left alone because of that."""
    _failed: Counter[str | None] = field(default_factory=Counter)
    _reached: set[str | None] = field(default_factory=set)

    def note(self, host: str | None, outcome: Outcome) -> None:
        """Take note of how a file of ``host`` fared; what another worker has says nothing."""
        if outcome.result in (Result.SKIPPED, Result.GIVEN_UP):
            return
        policy = None if outcome.reason is None else RETRY_POLICIES[outcome.reason]
        if (
            outcome.reason is None
            or policy is None
            or outcome.result is not Result.WAITING
            or policy.side not in (Side.OURS, Side.BETWEEN)
        ):
            self.others += 1
            self._reached.add(host)
            return
        self.reasons[outcome.reason] += 1
        if policy.stops_run:
            self._failed[host] += 1
        else:
            self._reached.add(host)

    def is_down(self, host: str | None) -> bool:
        """Whether the files of ``host`` that are left need not be tried in this run."""
        return self._is_down(host) or self.is_hopeless

    @property
    def is_hopeless(self) -> bool:
        """Nothing else was met, and that of enough hosts."""
        failed = {host: count for host, count in self._failed.items() if host not in self._reached}
        return not self.others and len(failed) >= ENOUGH_HOSTS and sum(failed.values()) >= 2 * ENOUGH_FILES

    def _is_down(self, host: str | None) -> bool:
        return self._failed[host] >= ENOUGH_FILES and host not in self._reached

    @property
    def sentence(self) -> str | None:
        """What is said about a run that met nothing else; None when it did, or tried nothing."""
        if self.others or not self.reasons:
            return None
        [(most, count), *others] = self.reasons.most_common()
        more = "".join(f", {number:,} × {reason}" for reason, number in others)
        left = f"; {self.untried:,} more were not tried" if self.untried else ""
        return f"0 of {self.reasons.total():,} {RETRY_POLICIES[most].when_all} ({count:,} × {most}{more}{left})"
