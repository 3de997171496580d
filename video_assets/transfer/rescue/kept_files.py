"""Kept files: verified bytes stay in the spool until the store has them, so that only the upload is repeated.

Each is one folder under ``spool/kept``, named after its lease. The folder is completed elsewhere and renamed into
place, so a process that is killed at any moment leaves all of it or nothing.

A folder that ends with ``.uploading`` is being worked on by the holder of its lease. Without that ending it
waits, and may be given up when there are too many: the bound counts what waits. Given up first is what can be
downloaded again for the longest time: the link that dies last; then links of which nobody knows when they die.
Files whose link is dead are not given up for others. A file that is given up is not lost by that: it is
downloaded again, as long as its link lives.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from video_assets.catalog.models import utc_now
from video_assets.media.probe import MediaFacts
from video_assets.settings import Settings
from video_assets.transfer.download.policy import Download
from video_assets.transfer.rescue.kept_folder import (
    KeptFileDamaged,
    KeptFileUnreadable,
    KeptItem,
    Verified,
    item_of,
    proven_file,
    sync_file,
    sync_folder,
    write_note,
    write_private,
)

log = logging.getLogger(__name__)

FOLDER: Final = "kept"
"""Where kept files are, inside the spool."""
_UPLOADING: Final = ".uploading"


class Standing(StrEnum):
    """What the catalog says of a file that is kept."""

    WANTED = "wanted"
    IN_USE = "in_use"
    """Wanted, and somebody holds its lease."""
    SETTLED = "settled"
    """Stored, lost, or unknown to the catalog."""


@dataclass(frozen=True, slots=True)
class KeepLimits:
    """How much may be kept, in bytes."""

    most_bytes: int = 20 * 1024**3
    """Of all files that wait; 0 keeps none."""
    least_free: int = 1024**3
    """Free space of the disk below which files make way."""

    @classmethod
    def from_settings(cls, settings: Settings) -> KeepLimits:
        """The limits of an installation."""
        return cls(settings.kept_files_max_bytes, settings.kept_files_min_free_bytes)


class KeptFiles:
    """The kept files of one spool. Safe for many threads and processes; a file's lease says whose it is."""

    def __init__(self, spool: Path, limits: KeepLimits) -> None:
        self._root = spool / FOLDER
        self._limits = limits
        self._id: str | None = None

    # -- one file, by the holder of its lease ---------------------------------------------------------------

    def add(
        self, resource: str, download: Download, facts: MediaFacts | None, deadline_at: datetime | None
    ) -> Verified:
        """Keep a verified download; its folder, which must hold nothing else, becomes the kept file's.

        When it cannot be kept (a full disk, a spool that cannot be written), everything stays as it was.
        """
        folder = download.path.parent
        place = self._place(resource, uploading=True)
        try:
            self._make_root()
            write_note(folder, resource, download, facts, deadline_at)
            # Onto a folder that holds something, which is somebody else's, this fails.
            folder.rename(place)
        except OSError as error:
            log.warning("%s cannot be kept in the spool: %s", resource, _reason(error))
            return Verified(download, facts, is_kept=False)
        return Verified(replace(download, path=place / download.path.name), facts, is_kept=True)

    def find(self, resource: str) -> Verified | None:
        """Take up the kept bytes of ``resource``, read again and proven; None when there are none.

        Raises KeptFileDamaged, and nothing is left of it then; KeptFileUnreadable.
        """
        waiting, uploading = self._place(resource), self._place(resource, uploading=True)
        try:
            if waiting.is_dir() and not uploading.exists():
                with suppress(FileNotFoundError):  # it was given up a moment ago
                    waiting.rename(uploading)
            if not uploading.is_dir():
                return None
            return proven_file(uploading)
        except KeptFileDamaged:
            self.remove(resource)
            raise
        except FileNotFoundError:
            self.remove(resource)
            raise KeptFileDamaged("The kept file is not complete.") from None
        except OSError as error:
            raise KeptFileUnreadable(f"The kept file cannot be read: {_reason(error)}.") from None

    def put_back(self, resource: str) -> list[str]:
        """Let the file wait for another try, within the limits.

        Returns the names of the files that were given up for that; ``resource`` itself may be among them. Raises
        OSError.
        """
        uploading = self._place(resource, uploading=True)
        mine = item_of(uploading)
        if mine is None:
            self.remove(resource)
            return [resource]
        sync_file(uploading)
        with self._locked():
            given_up = self._give_up(mine)
            for item in given_up:
                self._discard(item.folder)
            if mine not in given_up:
                waiting = self._place(resource)
                if waiting.exists():
                    self._discard(waiting)
                uploading.rename(waiting)
        sync_folder(self._root)
        return [item.resource for item in given_up]

    def remove(self, resource: str) -> None:
        """Remove what is kept of ``resource``; what cannot be removed now is left for the sweep."""
        for place in (self._place(resource, uploading=True), self._place(resource)):
            try:
                self._discard(place)
            except OSError as error:
                log.warning("a kept file is left for the sweep: %s", _reason(error))

    # -- all of them ----------------------------------------------------------------------------------------

    @property
    def spool_id(self) -> str:
        """What this spool is called in the catalog, made at first use. Raises OSError."""
        if self._id is None:
            self._make_root()
            path = self._root / "id"
            with suppress(FileNotFoundError):
                self._id = path.read_text(encoding="ascii").strip() or None
            if self._id is None:
                fresh = self._root / f"id.{secrets.token_hex(8)}"
                write_private(fresh, secrets.token_hex(16).encode())
                try:
                    # An empty file is what a full disk or a power cut left; two that start together agree.
                    if path.exists() and path.stat().st_size == 0:
                        path.unlink()
                    with suppress(FileExistsError):
                        os.link(fresh, path)
                finally:
                    fresh.unlink()
                self._id = path.read_text(encoding="ascii").strip()
        return self._id

    def make_room(self, deadline_at: datetime | None) -> list[str]:
        """Give up files that wait while the disk is too full, before another is downloaded.

        ``deadline_at`` is when the link of that other one dies: only what can wait longer makes way. Returns the
        names of the files that were given up. Raises OSError.
        """
        if not self._root.is_dir() or self._lacking() == 0:
            return []
        now = utc_now()
        newcomer = KeptItem(self._root, "", 0, deadline_at)
        given_up: list[str] = []
        with self._locked():
            for item in sorted(self._waiting(), key=lambda item: item.rank(now), reverse=True):
                if self._lacking() == 0 or item.rank(now) <= newcomer.rank(now) or not item.is_replaceable(now):
                    break
                self._discard(item.folder)
                given_up.append(item.resource)
        return given_up

    def sweep(self, standing: Callable[[str], Standing], older_than: timedelta) -> tuple[int, list[str]]:
        """Remove what nobody wants any more and is older than ``older_than``.

        Returns how many were removed, and the names of those that are here still.
        """
        removed = 0
        here: list[str] = []
        until = time.time() - older_than.total_seconds()
        for folder in self._folders():
            try:
                is_old = folder.stat().st_mtime < until
                item = item_of(folder)
                found = Standing.SETTLED if item is None else standing(item.resource)
                if found is Standing.SETTLED and is_old:
                    self._discard(folder)
                    removed += 1
                    continue
                if item is None:
                    continue
                here.append(item.resource)
                if found is Standing.WANTED and is_old and folder.name.endswith(_UPLOADING):
                    # Its process was killed: from now on it counts as one that waits.
                    given_up = self.put_back(item.resource)
                    removed += len(given_up)
                    here = [resource for resource in here if resource not in given_up]
            except OSError as error:
                log.warning("a kept file is left for the next sweep: %s", _reason(error))
        with suppress(OSError):
            for draft in self._root.glob("id.*"):
                if draft.stat().st_mtime < until:
                    draft.unlink()
        return removed, here

    # -- the bound ------------------------------------------------------------------------------------------

    def _give_up(self, mine: KeptItem) -> list[KeptItem]:
        """What has to go so that ``mine`` may wait; ``mine`` alone when it is worth least or cannot fit."""
        now = utc_now()
        waiting = [item for item in self._waiting() if item.resource != mine.resource]
        over = sum(item.size for item in waiting) + mine.size - self._limits.most_bytes
        over = max(over, self._lacking())
        chosen: list[KeptItem] = []
        if over <= 0:
            return chosen
        for item in sorted([*waiting, mine], key=lambda item: item.rank(now), reverse=True):
            if item is mine:
                return [mine]
            if not item.is_replaceable(now):
                break
            chosen.append(item)
            over -= item.size
            if over <= 0:
                return chosen
        return [mine]

    def _waiting(self) -> list[KeptItem]:
        folders = (folder for folder in self._folders() if not folder.name.endswith(_UPLOADING))
        return [item for folder in folders if (item := item_of(folder)) is not None]

    def _lacking(self) -> int:
        """Bytes by which the disk is too full."""
        return max(self._limits.least_free - shutil.disk_usage(self._root).free, 0)

    def _folders(self) -> list[Path]:
        try:
            return [entry for entry in self._root.iterdir() if entry.is_dir()]
        except FileNotFoundError:
            return []

    def _place(self, resource: str, *, uploading: bool = False) -> Path:
        name = hashlib.sha256(resource.encode()).hexdigest()[:32]
        return self._root / (name + _UPLOADING if uploading else name)

    def _make_root(self) -> None:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Whoever decides what is given up does so alone, among all threads and processes."""
        descriptor = os.open(self._root / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _discard(self, folder: Path) -> None:
        """Remove a folder; away first, so that nobody takes up half of it."""
        gone = self._root.parent / f"rescue-given-up-{secrets.token_hex(8)}"
        try:
            folder.rename(gone)
        except FileNotFoundError:
            return
        shutil.rmtree(gone, ignore_errors=True)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
