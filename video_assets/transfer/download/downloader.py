"""The guarded downloader: a URL in, a verified file in the spool or a failure with its reason out.

One :class:`Downloader` serves a whole process and any number of threads. What one fetch does, step by step, is in
:mod:`video_assets.transfer.download.fetch`; every way it can fail is in :mod:`video_assets.transfer.failures`.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, cast, get_args

from video_assets.transfer.download.expectation import Expected
from video_assets.transfer.download.fetch import Fetch
from video_assets.transfer.download.host_throttle import PROCESS_THROTTLE, HostThrottle
from video_assets.transfer.download.policy import Download, DownloadPolicy, FetchRequest
from video_assets.transfer.failures import DownloadFailed, Fault
from video_assets.transfer.http.connection import ConnectionPool
from video_assets.transfer.ssrf.guard import Verdict, system_resolve, verdict
from video_assets.urls import classify


class Downloader:
    """Fetches files, safely and politely. One per process; safe for many threads."""

    def __init__(
        self,
        policy: DownloadPolicy | None = None,
        resolve: Callable[[str], list[str]] = system_resolve,
        *,
        context: ssl.SSLContext | None = None,
        gate: HostThrottle = PROCESS_THROTTLE,
    ) -> None:
        """``context`` replaces the verifying TLS context, for a private certificate authority."""
        self.policy = policy or DownloadPolicy()
        self.pool = ConnectionPool(context)
        self.gate = gate
        self._resolve = resolve

    def fetch(
        self,
        url: str,
        directory: Path,
        *,
        headers: Mapping[str, str] | None = None,
        expected: Expected | str | None = None,
        expires_at: datetime | None = None,
        deadline: datetime | None = None,
        on_progress: Callable[[int, int | None], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Download:
        """Download ``url`` into ``directory`` and verify it. On failure nothing is left there.

        ``headers`` may hold a credential: they go to the URL's own origin only, never across a redirect.
        ``expected`` is the family the file should belong to; None takes whatever tells by itself what it is. What
        an error page may come as (JSON, XML, text, a web page) is taken where the URL or the answer names such a
        file, see :mod:`video_assets.transfer.download.expectation`.
        ``expires_at`` (when the link dies; by default what the URL itself tells) tells an expired link from a
        refused one. ``deadline`` ends the fetch
        before the policy's total time-out does. ``on_progress`` gets bytes so far and bytes in all, None when
        unknown. Raises DownloadFailed; ValueError for headers that cannot be sent.
        """
        for moment in (expires_at, deadline):
            if moment is not None and moment.tzinfo is None:
                raise ValueError("moments must be timezone-aware")
        patience = self.policy.total_timeout
        if deadline is not None:
            patience = min(patience, (deadline - datetime.now(UTC)).total_seconds())
        order = FetchRequest(
            url,
            directory,
            checked_headers(headers or {}),
            _expected(expected),
            classify(url).expires_at if expires_at is None else expires_at,
            time.monotonic() + patience,
            on_progress,
            cancelled,
        )
        return Fetch(order, self.policy, self.pool, self.gate, self.judge).run()

    def judge(self, url: str) -> Verdict:
        """The guard's verdict on ``url`` under this policy. Never raises."""
        return verdict(
            url, self._resolve, allowed_hosts=self.policy.allowed_hosts, allowed_ports=self.policy.allowed_ports
        )

    def close(self) -> None:
        """Close every kept connection."""
        self.pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_OWN_HEADERS = frozenset(
    ("host", "connection", "accept-encoding", "range", "if-range", "content-length", "transfer-encoding", "te")
)


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """``headers`` if they can be sent as they are. Raises ValueError, which never repeats a value."""
    for name, value in headers.items():
        token = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
        if not token or name.lower() in _OWN_HEADERS:
            raise ValueError(f"the header {name!r} cannot be set")
        if not value.isprintable() or not value.isascii():
            raise ValueError(f"the value of the header {name!r} is not plain text")
    return dict(headers)


def _expected(word: str | None) -> Expected | None:
    for known in get_args(Expected):
        if word == known:
            return cast(Expected, known)
    if word is None:
        return None
    raise ValueError(f"{word!r} is not a family of files")


__all__ = ["Download", "DownloadFailed", "DownloadPolicy", "Downloader", "Expected", "Fault"]
