"""How long a source may take: nothing of a fetch waits for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from video_assets.transfer.failures import DownloadFailed, Fault

_SLICE: Final = 1.0
"""Seconds between two looks at cancellation while the source is silent."""


class TimeLimits:
    """The patience of one fetch: total deadline, longest silence, least rate, cancellation.

    A socket timeout alone never fires on a source that drips one byte at a time, so every read of the wire is
    accounted here. Only time spent waiting for the source counts against its rate, not time spent on our disk.
    """

    def __init__(
        self, *, deadline: float, idle: float, floor: int, cancelled: Callable[[], bool] | None = None
    ) -> None:
        """``deadline`` on the monotonic clock, ``idle`` in seconds, ``floor`` in bytes per second (0: none)."""
        self._deadline = deadline
        self._idle = idle
        self._floor = floor
        self._cancelled = cancelled
        self._silence = 0.0
        self._waited = 0.0
        self._window_bytes = 0
        self._headers_until: float | None = None

    def remaining(self) -> float:
        """Seconds until the total deadline; raises DownloadFailed when there are none, or when cancelled."""
        if self._cancelled is not None and self._cancelled():
            raise DownloadFailed(Fault.CANCELLED)
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise DownloadFailed(Fault.DEADLINE)
        return left

    def begin_headers(self) -> None:
        """From here until :meth:`begin_body` the answer's headers are awaited."""
        self._headers_until = time.monotonic() + self._idle
        self._silence = 0.0

    def begin_body(self) -> None:
        """The headers are complete; the rate is measured from here."""
        self._headers_until = None
        self._silence = self._waited = 0.0
        self._window_bytes = 0

    def patience(self) -> float:
        """Seconds the next read may block before :meth:`account` is asked again."""
        left = min(self.remaining(), self._idle - self._silence)
        if self._headers_until is not None:
            left = min(left, self._headers_until - time.monotonic())
        return max(0.001, min(left, _SLICE) if self._cancelled is not None else left)

    def account(self, waited: float, received: int | None) -> None:
        """Take note of one read: the seconds it took, and its bytes (None when nothing came in time)."""
        self._silence = self._silence + waited if received is None else 0.0
        if self._headers_until is not None:
            if received is None and time.monotonic() >= self._headers_until:
                raise DownloadFailed(Fault.STALLED, "no complete answer came")
            return
        if self._silence >= self._idle:
            raise DownloadFailed(Fault.STALLED, f"nothing came for {self._idle:g} seconds")
        self._waited += waited
        self._window_bytes += received or 0
        if self._waited >= self._idle:
            if self._window_bytes < self._floor * self._waited:
                rate = int(self._window_bytes / self._waited)
                raise DownloadFailed(Fault.TOO_SLOW, f"{rate} bytes per second, {self._floor} are the least")
            self._waited, self._window_bytes = 0.0, 0
