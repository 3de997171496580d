"""What the legacy workflow is walked with, opened for one piece of work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from video_assets.catalog import Catalog
from video_assets.legacy.config.models import Source
from video_assets.legacy.errors import SourceReadOnly
from video_assets.legacy.rescue.files import LegacyRescuer
from video_assets.legacy.rewrite.database_rows import DatabaseRows
from video_assets.legacy.rewrite.folder_documents import FolderDocuments
from video_assets.legacy.rewrite.plan import Planner
from video_assets.legacy.source.connect import SourceDatabase, connect, open_database
from video_assets.providers.base import Provider
from video_assets.settings import Settings
from video_assets.storage.durable import DurableStorage
from video_assets.transfer.download.downloader import Downloader
from video_assets.transfer.download.shared_host_limit import SharedDownloader
from video_assets.transfer.rescue.kept_files import KeepLimits
from video_assets.transfer.rescue.target import Observer


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
            require_playable=settings.require_playable,
            keep=KeepLimits.from_settings(settings),
            settings=settings,
            source_patience=settings.source_patience,
        )


@contextmanager
def open_rows(source: Source) -> Iterator[DatabaseRows | FolderDocuments]:
    """The rows of a source, open for writing. Raises SourceError."""
    if source.kind == "folder":
        yield FolderDocuments(source)
        return
    with open_primary(source) as reader, connect(source, for_writing=True) as writer:
        yield DatabaseRows(Planner(source, reader), reader, writer)


def closed_tables(rows: DatabaseRows | FolderDocuments, source: Source, tables: Iterable[str]) -> dict[str, str]:
    """Those of ``tables`` whose rows cannot be rewritten, each with the sentence that says why.

    They do not keep the rows of other tables from being written. Raises SourceReadOnly, before anything is done,
    when no table of the source can be written; SourceUnavailable.
    """
    if not isinstance(rows, DatabaseRows):
        return {}
    named = list(tables)
    closed = {table: why for table in named if (why := rows.why_closed(table)) is not None}
    others = (table.name for table in source.tables if table.name not in named)
    if named and len(closed) == len(named) and all(rows.why_closed(table) is not None for table in others):
        why, *more = dict.fromkeys(closed.values())
        others_too = f" (so it is with {len(more):,} more tables)" if more else ""
        raise SourceReadOnly(f"{why}{others_too}; nothing was changed (use --emit-sql, or a user who may write)")
    return closed
