"""The heartbeat: renews the leases of running work, so that a lease may be short and a file may be large."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from video_assets.catalog import Catalog, CatalogError, leases

log = logging.getLogger(__name__)


class Heartbeat:
    """A thread that renews every claim it was told to keep, three times within each lease of ``ttl``."""

    def __init__(self, catalog: Catalog, ttl: timedelta) -> None:
        self._catalog = catalog
        self._ttl = ttl
        self._claims: set[leases.Claim] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease-heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @contextmanager
    def keeps(self, claim: leases.Claim) -> Iterator[None]:
        """Keep ``claim`` alive during the block."""
        with self._lock:
            self._claims.add(claim)
        try:
            yield
        finally:
            with self._lock:
                self._claims.discard(claim)

    def _beat(self) -> None:
        while not self._stop.wait(self._ttl.total_seconds() / 3):
            with self._lock:
                claims = list(self._claims)
            try:
                with self._catalog.write() as session:
                    for claim in claims:
                        leases.renew(session, claim, ttl=self._ttl)
            except CatalogError as exc:
                log.warning("leases could not be renewed, trying again: %s", exc)
