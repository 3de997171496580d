"""What one process works with, opened once: settings, catalog, storage, downloader, providers, rescuer.

Pipeline, web and command line all get theirs here; tests build one with their own parts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property, lru_cache

from video_assets.catalog import Catalog, open_catalog
from video_assets.generations.refreshing import ProviderLinks
from video_assets.providers import get_provider
from video_assets.providers.base import Provider
from video_assets.settings import Settings, get_settings
from video_assets.storage import DurableStorage, open_storage
from video_assets.storage.keys import KeyTemplate
from video_assets.transfer.download.downloader import Downloader, DownloadPolicy
from video_assets.transfer.rescue.checks import Verifier
from video_assets.transfer.rescue.kept_files import KeepLimits
from video_assets.transfer.rescue.outputs import Observer, Rescuer
from video_assets.urls import host_rules


@dataclass(frozen=True)
class Services:
    """The open parts of one process."""

    settings: Settings
    catalog: Catalog
    storage: DurableStorage
    downloader: Downloader
    observer: Observer | None = None

    def provider(self, name: str) -> Provider:
        """The provider called ``name``, one instance per process: it keeps its connections.

        Raises UnknownProvider.
        """
        if name not in self._providers:
            self._providers[name] = get_provider(name, self.settings)
        return self._providers[name]

    @cached_property
    def _providers(self) -> dict[str, Provider]:
        return {}

    @cached_property
    def rescuer(self) -> Rescuer:
        """The saga, with these parts as its tools."""
        links = ProviderLinks(self.catalog, self.provider, self.settings)
        return Rescuer(
            catalog=self.catalog,
            storage=self.storage,
            downloader=self.downloader,
            key_template=KeyTemplate.parse(self.settings.key_template),
            spool=self.settings.spool,
            links=links,
            keys=links,
            concurrency=self.settings.download_concurrency,
            lease=timedelta(seconds=self.settings.lease_seconds),
            observer=self.observer,
            require_playable=self.settings.require_playable,
            keep=KeepLimits.from_settings(self.settings),
            source_patience=self.settings.source_patience,
        )

    @cached_property
    def verifier(self) -> Verifier:
        """The proofs about durable copies."""
        return Verifier(
            self.catalog,
            self.storage,
            self.settings.spool,
            require_playable=self.settings.require_playable,
            hosts=host_rules(self.settings.deleting_hosts),
        )


def open_services(settings: Settings) -> Services:
    """Open everything. Raises CatalogError, StorageFailed or a settings error, each saying what to do."""
    storage = open_storage(settings)
    policy = replace(DownloadPolicy.from_settings(settings), md5=storage.compares_md5)
    return Services(settings, open_catalog(settings), storage, Downloader(policy))


@lru_cache(maxsize=1)
def process_services() -> Services:
    """The services of this process, opened at first use and kept."""
    return open_services(get_settings())
