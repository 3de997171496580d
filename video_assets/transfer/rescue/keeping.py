"""Keeping verified bytes while our own side fails: in the spool of this machine, or in another's.

The bytes are in :mod:`.kept_files`. A row of the catalog says which spool holds them, from
before the upload until the commit, so that other workers know. A worker without the bytes leaves the file to a
machine that has them and was seen a moment ago, and does not call it lost while such a machine may still come
back. When it does not, the file is fetched like any other.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from sqlmodel import Session

from video_assets.catalog import Catalog, CatalogError, KeptFile, MediaState, Output, kept, leases
from video_assets.catalog.legacy import LegacyFile
from video_assets.catalog.models import utc_now
from video_assets.reasons import Reason
from video_assets.transfer.rescue.kept_files import KeepLimits, KeptFiles, Standing
from video_assets.transfer.rescue.kept_folder import KeptFileDamaged, KeptFileUnreadable, Verified
from video_assets.transfer.rescue.target import RescueFailed, RescueTarget, sentence

log = logging.getLogger(__name__)

HOLDER_IS_ALIVE: Final = timedelta(minutes=15)
"""A machine that holds verified bytes and tried to store them so recently is left to it."""
HOLDER_IS_AWAITED: Final = timedelta(days=1)
"""For so long nothing is called lost that such a machine may still have."""


class Keeping:
    """The kept files of this machine together with their rows. Safe to use from many threads."""

    def __init__(self, catalog: Catalog, spool: Path, limits: KeepLimits) -> None:
        self._catalog = catalog
        self._files = KeptFiles(spool, limits)

    def bring(self, target: RescueTarget, fetch: Callable[[], Verified]) -> Verified:
        """The bytes that an earlier try verified, else what ``fetch`` brings, which is kept from here on.

        Raises RescueFailed. While the bytes may be in a spool it is never for the source's sake.
        """
        unreadable: str | None = None
        damaged: str | None = None
        try:
            found = self._files.find(target.resource)
            if found is not None:
                return found
        except KeptFileDamaged as exc:
            damaged = str(exc)
            log.warning("%s is downloaded again: %s", target.id, exc)
        except KeptFileUnreadable as exc:
            unreadable = str(exc)
            log.warning("%s: %s", target.id, exc)
        holder = self._other_holder(target)
        with suppress(OSError):  # a disk that does not work is named by the download
            self._forget(self._files.make_room(target.deadline_at))
        try:
            file = fetch()
        except RescueFailed as failure:
            if damaged is not None:
                failure.evidence["kept_file"] = damaged
            where = unreadable or (None if holder is None else _held_by(holder))
            if where is None:
                raise
            raise RescueFailed(
                Reason.STORAGE_FAILED,
                f"{where} {sentence(failure.message)}",
                retry_after=failure.retry_after,
                evidence=failure.evidence,
                bytes_are_kept=True,
            ) from None
        if file.download.is_local:
            return file
        return self._files.add(target.resource, file.download, file.facts, target.deadline_at)

    def note(self, session: Session, target: RescueTarget, file: Verified) -> None:
        """Tell the other workers that the bytes are here, in the transaction that journals the upload."""
        if file.is_kept and (spool := self._spool_id()):
            kept.note(session, target.resource, spool, host=socket.gethostname(), size=file.download.size)

    def put_back(self, target: RescueTarget, file: Verified, exc: BaseException) -> None:
        """After a failure behind the verification: the bytes wait for the next try, within the limits."""
        if not file.is_kept:
            return
        try:
            given_up = self._files.put_back(target.resource)
        except OSError as error:
            given_up = []
            log.warning("%s: its verified bytes could not be put back: %s", target.id, error.strerror)
        self._forget(given_up)
        if isinstance(exc, RescueFailed) and target.resource not in given_up:
            exc.bytes_are_kept = True
            exc.message = f"{sentence(exc.message)} The verified bytes are kept; only the upload is tried again."

    def remove(self, target: RescueTarget, file: Verified) -> None:
        """After the commit, which has forgotten the row: the bytes are not needed any more."""
        if file.is_kept:
            self._files.remove(target.resource)

    def sweep(self, older_than: timedelta) -> int:
        """Remove the bytes, and the rows, of files that are settled or unknown; returns how many were removed.

        Those of killed processes are counted among the ones that wait. Raises CatalogError.
        """
        removed, here = self._files.sweep(self._standing, older_than)
        spool = self._spool_id()
        with self._catalog.read() as session:
            old = [row for row in kept.all_kept(session) if row.seen_at < utc_now() - older_than]
            gone = [
                row
                for row in old
                if not leases.is_held(session, row.resource)
                and ((row.spool == spool and row.resource not in here) or not _is_pending(session, row.resource))
            ]
        if gone:
            with self._catalog.write() as session:
                for row in gone:
                    kept.forget(session, [row.resource], spool=row.spool)
        return removed

    def _standing(self, resource: str) -> Standing:
        with self._catalog.read() as session:
            if leases.is_held(session, resource):
                return Standing.IN_USE
            return Standing.WANTED if _is_pending(session, resource) else Standing.SETTLED

    def _other_holder(self, target: RescueTarget) -> KeptFile | None:
        """Another machine that holds the verified bytes and may still store them.

        Raises RescueFailed when it is at it, so that the file is neither downloaded twice nor its link renewed;
        but a link that dies before that machine could be missed is used while it lives.
        """
        now = utc_now()
        with self._catalog.read() as session:
            row = kept.elsewhere(session, target.resource, self._spool_id())
        if row is None or row.seen_at < now - HOLDER_IS_AWAITED:
            return None
        missed_at = row.seen_at + HOLDER_IS_ALIVE
        dies_first = target.deadline_at is not None and now < target.deadline_at <= missed_at
        if now < missed_at and not dies_first:
            raise RescueFailed(Reason.STORAGE_FAILED, _held_by(row), bytes_are_kept=True)
        return row

    def _forget(self, resources: Sequence[str]) -> None:
        if resources:
            with suppress(CatalogError), self._catalog.write() as session:
                kept.forget(session, resources, spool=self._spool_id())

    def _spool_id(self) -> str:
        try:
            return self._files.spool_id
        except OSError:
            return ""  # nothing can be kept here


def _held_by(holder: KeptFile) -> str:
    return f"The verified bytes are kept on {holder.host or 'another machine'}, which uploads them."


def _is_pending(session: Session, resource: str) -> bool:
    """Whether the file with this lease is still to be stored; False also when nobody knows it."""
    kind, _, file_id = resource.partition(":")
    row: Output | LegacyFile | None = None
    if kind == "output":
        row = session.get(Output, file_id, populate_existing=True)
    elif kind == "legacy":
        row = session.get(LegacyFile, file_id, populate_existing=True)
    return row is not None and row.state == MediaState.PENDING
