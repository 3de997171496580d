"""What the legacy road is walked with, opened for one piece of work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from video_assets.catalog import Catalog
from video_assets.legacy.config import Source
from video_assets.legacy.connecting import SourceDatabase, open_database
from video_assets.legacy.files import LegacyRescuer
from video_assets.providers.base import Provider
from video_assets.settings import Settings
from video_assets.storage.durable import DurableStorage
from video_assets.transfer.cargo import Observer
from video_assets.transfer.download import Downloader
from video_assets.transfer.host_slots import SharedDownloader


class Tools(Protocol):
    """The open parts of one process; ``video_assets.services.Services`` is one."""

    @property
    def settings(self) -> Settings: ...
    @property
    def catalog(self) -> Catalog: ...
    @property
    def storage(self) -> DurableStorage: ...
    @property
    def downloader(self) -> Downloader: ...
    def provider(self, name: str) -> Provider:
        """The provider called ``name``."""


@contextmanager
def open_primary(source: Source) -> Iterator[SourceDatabase]:
    """The source itself, never its replica: what is rewritten must be what stands there now."""
    with open_database(source.writing_url(), name=source.name, reading=source.reading) as database:
        yield database


@contextmanager
def open_rescuer(services: Tools, observer: Observer | None = None) -> Iterator[LegacyRescuer]:
    """The saga for legacy files; its limits per host hold for all processes of this catalog."""
    settings = services.settings
    lease = timedelta(seconds=settings.lease_seconds)
    with SharedDownloader(services.downloader, services.catalog, lease=lease) as downloader:
        yield LegacyRescuer(
            catalog=services.catalog,
            storage=services.storage,
            downloader=downloader,
            spool=settings.spool,
            get_provider=services.provider,
            concurrency=settings.download_concurrency,
            lease=lease,
            observer=observer,
            most_bytes=settings.max_download_bytes,
        )
