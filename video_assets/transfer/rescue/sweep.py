"""The sweep: what a killed process left behind is adopted by the next try, or removed here.

Three kinds of leftover exist: a pending journal row (with or without its object), scratch files in the spool, and
kept files there whose row is settled.
"""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlmodel import Session, col, select

from video_assets.catalog import Catalog, MediaFile, MediaState, Output, journal, leases, queries
from video_assets.catalog.legacy import LegacyFile
from video_assets.catalog.models import utc_now
from video_assets.storage.durable import DurableStorage, StorageFailed
from video_assets.transfer.rescue.keeping import Keeping
from video_assets.transfer.rescue.kept_files import FOLDER as KEPT_FOLDER
from video_assets.transfer.rescue.kept_files import KeepLimits

log = logging.getLogger(__name__)

_GONE = (MediaState.LOST, MediaState.GIVEN_UP)


@dataclass(slots=True)
class SweepReport:
    """What one sweep did."""

    removed_objects: int = 0
    removed_rows: int = 0
    kept: int = 0
    """Pending rows whose output is still to be rescued: the next try adopts or overwrites their object."""
    failed: int = 0
    removed_scratch: int = 0
    removed_kept: int = 0
    """Kept files that are not wanted any more."""
    aborted_uploads: int = 0
    """Half-written uploads that the store itself was told to forget."""


def sweep_leftovers(
    catalog: Catalog,
    storage: DurableStorage,
    spool: Path,
    *,
    older_than: timedelta,
    keep: KeepLimits | None = None,
) -> SweepReport:
    """Remove pending uploads that nobody will finish, and scratch and kept files that nobody wants.

    An object is removed only after its row was looked at again and is still pending, unleased, and its output
    settled (or its original gone). Raises CatalogError.
    """
    report = SweepReport()
    with catalog.read() as session:
        rows = queries.pending_media(session, older_than=utc_now() - older_than)
    for row in rows:
        _sweep_row(catalog, storage, row.id, report)
    _sweep_legacy(catalog, storage, report, older_than)
    report.removed_kept = Keeping(catalog, spool, keep or KeepLimits()).sweep(older_than)
    report.removed_scratch = _sweep_scratch(spool, older_than)
    try:
        report.aborted_uploads = storage.abort_stale_uploads(older_than)
    except StorageFailed as exc:
        report.failed += 1
        log.warning("half-written uploads could not be removed: %s", exc)
    return report


def _sweep_row(catalog: Catalog, storage: DurableStorage, media_id: str, report: SweepReport) -> None:
    with catalog.write() as session:
        media = session.get(MediaFile, media_id, populate_existing=True, with_for_update=True)
        if media is None or media.state != MediaState.PENDING or _wanted(session, media):
            report.kept += 1
            return
        try:
            report.removed_objects += storage.delete(media.key)
        except StorageFailed as exc:
            report.failed += 1
            journal.record(
                session, "sweep_failed", str(exc), generation_id=media.generation_id, output_id=media.output_id
            )
            return
        journal.record(
            session,
            "swept",
            f"removed the unfinished upload {media.key}",
            generation_id=media.generation_id,
            output_id=media.output_id,
        )
        session.delete(media)
        report.removed_rows += 1


def _sweep_legacy(catalog: Catalog, storage: DurableStorage, report: SweepReport, older_than: timedelta) -> None:
    """Remove what was uploaded for files of legacy sources that were lost afterwards; their rows stay."""
    with catalog.read() as session:
        ids = session.exec(
            select(LegacyFile.id).where(
                col(LegacyFile.state).in_(_GONE),
                col(LegacyFile.key).is_not(None),
                col(LegacyFile.updated_at) < utc_now() - older_than,
            )
        ).all()
    for file_id in ids:
        with catalog.write() as session:
            file = session.get_one(LegacyFile, file_id, populate_existing=True, with_for_update=True)
            if file.state not in _GONE or file.key is None or leases.is_held(session, f"legacy:{file_id}"):
                report.kept += 1
                continue
            try:
                report.removed_objects += storage.delete(file.key)
            except StorageFailed as exc:
                report.failed += 1
                journal.record(session, "sweep_failed", str(exc), file=file_id)
                continue
            journal.record(session, "swept", f"removed the unfinished upload {file.key}", file=file_id)
            file.bucket = file.key = None


def _wanted(session: Session, media: MediaFile) -> bool:
    """Whether somebody will still finish this upload, or is at it."""
    if media.output_id is None:
        return False
    if leases.is_held(session, f"output:{media.output_id}"):
        return True
    output = session.get(Output, media.output_id)
    return output is not None and output.state == MediaState.PENDING


def _sweep_scratch(spool: Path, older_than: timedelta) -> int:
    if not spool.is_dir():
        return 0
    limit = time.time() - older_than.total_seconds()
    removed = 0
    for entry in spool.iterdir():
        if entry.name == KEPT_FOLDER:
            continue
        try:
            if _last_change(entry) >= limit:
                continue
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
            removed += 1
        except FileNotFoundError:
            continue  # its owner was faster
    return removed


def _last_change(entry: Path) -> float:
    """When something in ``entry`` was last written: a folder does not change while a file in it grows."""
    times = [entry.stat().st_mtime]
    if entry.is_dir():
        times += [child.stat().st_mtime for child in entry.iterdir()]
    return max(times)


def unknown_objects(catalog: Catalog, storage: DurableStorage, *, prefix: str = "") -> list[str]:
    """Keys in the store that no row of the catalog names. Reads every key under ``prefix``; for audits."""
    unknown = []
    with catalog.read() as session:
        for item in storage.list(prefix):
            for table in (MediaFile, LegacyFile):
                named = select(table.id).where(table.bucket == storage.bucket, table.key == item.key)
                if session.exec(named).first() is not None:
                    break
            else:
                unknown.append(item.key)
    return unknown
