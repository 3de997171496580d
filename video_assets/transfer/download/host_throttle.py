"""Good manners towards a source: so many connections, so far apart, and slower as soon as it complains.

Additive increase, multiplicative decrease, as in TCP: a 429 or 503 halves the number of simultaneous requests to
that host and spaces them out; every file that arrives relaxes it a little.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

_FIRST_INTERVAL: Final = 0.1
_LONGEST_INTERVAL: Final = 30.0
_LEAST_INTERVAL: Final = 0.01
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 300.0
_MOST_HOSTS: Final = 4096
_SLICE: Final = 0.5


@dataclass(slots=True)
class _Host:
    active: int = 0
    limit: float | None = None
    """Simultaneous requests while the host complains; None when it never did."""
    interval: float = 0.0
    """Seconds between the starts of two requests."""
    next_start: float = 0.0
    """When the next request may start, for the sake of the interval."""
    paused_until: float = 0.0
    """Until when the host asked to be left alone."""
    pause: float = 0.0
    """Length of the last pause that was taken without being told how long."""


class HostThrottle:
    """Who may ask a host now. One per process, shared by all threads and downloaders."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, first_pause: float = _FIRST_PAUSE) -> None:
        """``first_pause`` is the pause in seconds after a complaint that names none; the next ones double."""
        self._clock = clock
        self._first_pause = first_pause
        self._changed = threading.Condition()
        self._hosts: OrderedDict[str, _Host] = OrderedDict()

    @contextmanager
    def slot(
        self, host: str, most: int, patience: Callable[[], float], *, during_pause: bool = False
    ) -> Iterator[None]:
        """Wait for a place at ``host`` and hold it during the block; at most ``most`` are held at once.

        ``patience()`` gives the seconds that may still be waited and raises when there are none.
        ``during_pause`` does not wait until the end of a pause, for what would be dead by then; requests stay as
        few and as far apart.
        """
        with self._changed:
            state = self._state(host)
            while (wait := self._wait(state, most, during_pause)) > 0:
                self._changed.wait(min(wait, patience(), _SLICE))
                state = self._state(host)
            patience()
            state.active += 1
            state.next_start = self._clock() + state.interval
        try:
            yield
        finally:
            with self._changed:
                state.active -= 1
                self._changed.notify_all()

    def pause_left(self, host: str) -> float:
        """Seconds until ``host`` may be asked again; 0 when it does not complain."""
        with self._changed:
            state = self._state(host)
            return max(0.0, max(state.next_start, state.paused_until) - self._clock())

    def complained(self, host: str, most: int, retry_after: float | None) -> float:
        """``host`` answered 429 or 503: slow down. Returns the seconds nobody will ask it."""
        with self._changed:
            state = self._state(host)
            state.limit = max(1.0, min(state.limit or most, most) / 2)
            state.interval = min(_LONGEST_INTERVAL, max(_FIRST_INTERVAL, state.interval * 2))
            if retry_after is None:
                state.pause = min(_LONGEST_PAUSE, max(self._first_pause, state.pause * 2))
                retry_after = state.pause
            state.paused_until = max(state.paused_until, self._clock() + retry_after)
            return retry_after

    def served(self, host: str, most: int) -> None:
        """``host`` delivered a file: relax a little."""
        with self._changed:
            state = self._state(host)
            if state.limit is not None:
                state.limit += 1 / state.limit
                if state.limit >= most:
                    state.limit = None
            state.interval = state.interval * 0.7 if state.interval > _LEAST_INTERVAL else 0.0
            state.pause = 0.0
            self._changed.notify_all()

    def _wait(self, state: _Host, most: int, during_pause: bool) -> float:
        """Seconds to wait before looking again; 0 when a place is free now."""
        limit = most if state.limit is None else max(1, min(most, int(state.limit)))
        if state.active >= limit:
            return _SLICE
        start = state.next_start if during_pause else max(state.next_start, state.paused_until)
        return max(0.0, start - self._clock())

    def _state(self, host: str) -> _Host:
        state = self._hosts.setdefault(host, _Host())
        self._hosts.move_to_end(host)
        if len(self._hosts) > _MOST_HOSTS:
            for name, other in self._hosts.items():
                if other.active == 0 and other.limit is None and name != host:
                    del self._hosts[name]
                    break
        return state


PROCESS_THROTTLE: Final = HostThrottle()
"""The gate of this process."""
