"""Limits per host that hold across processes: a connection to a host needs one of its numbered slots.

Inside one process :mod:`.host_throttle` is enough; when several runs work at the same time, each takes leases
``host:{host}:{slot}`` in the catalog, so that together they stay within the limit.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from video_assets.catalog import Catalog, CatalogError, leases
from video_assets.catalog.heartbeat import Heartbeat
from video_assets.transfer.download.downloader import Downloader
from video_assets.transfer.download.policy import Download, DownloadPolicy
from video_assets.transfer.failures import DownloadFailed, Fault


class SharedDownloader:
    """A downloader whose limit per host holds for every process that shares the catalog.

    Use it as a context manager around the work of one run: it keeps the slots alive meanwhile.
    """

    def __init__(self, downloader: Downloader, catalog: Catalog, *, lease: timedelta) -> None:
        """``lease`` is how long the slots of a killed process stay taken."""
        self._lease = lease
        self._downloader = downloader
        self._catalog = catalog
        self._holder = leases.new_holder()
        self._heartbeat = Heartbeat(catalog, lease)

    def __enter__(self) -> SharedDownloader:
        self._heartbeat.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._heartbeat.__exit__(*exc)

    @property
    def policy(self) -> DownloadPolicy:
        """The limits of every fetch."""
        return self._downloader.policy

    def fetch(
        self,
        url: str,
        directory: Path,
        *,
        headers: Mapping[str, str] | None = None,
        expected: str | None = None,
        expires_at: datetime | None = None,
    ) -> Download:
        """``Downloader.fetch``, once a slot of the URL's host is free. Raises DownloadFailed, CatalogError."""
        with self._slot(_host(url)):
            return self._downloader.fetch(
                url, directory, headers=headers, expected=expected, expires_at=expires_at
            )

    @contextmanager
    def _slot(self, host: str) -> Iterator[None]:
        claim = self._wait_for_slot(host)
        try:
            with self._heartbeat.keeps(claim):
                yield
        finally:
            with suppress(CatalogError), self._catalog.write() as session:
                leases.release(session, claim)

    def _wait_for_slot(self, host: str) -> leases.Claim:
        give_up = time.monotonic() + self.policy.total_timeout
        slots = list(range(self.policy.per_host_concurrency))
        while True:
            random.shuffle(slots)
            with self._catalog.write() as session:
                tries = (
                    leases.acquire(session, f"host:{host}:{slot}", self._holder, ttl=self._lease)
                    for slot in slots
                )
                claim = next((claim for claim in tries if claim is not None), None)
            if claim is not None:
                return claim
            if time.monotonic() > give_up:
                raise DownloadFailed(Fault.DEADLINE, "other runs kept all connections to its host")
            time.sleep(random.uniform(0.05, 0.25))  # noqa: S311  spreads the waiters


def _host(url: str) -> str:
    try:
        parts: Any = urlsplit(url)
        return f"{parts.hostname or ''}:{parts.port or ''}".lower()
    except ValueError:
        return ""
