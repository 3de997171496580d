"""One file on its way: written to the spool folder, hashed as it comes, gone when it fails."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from video_assets.transfer.failures import DownloadFailed, Fault

SPOOL_PREFIX: Final = "download-"


class Hasher(Protocol):
    """What hashlib gives, and what wraps a checksum."""

    def update(self, data: memoryview, /) -> None:
        """Take in more bytes."""

    def hexdigest(self) -> str:
        """The digest so far, in hex."""


class SpoolFile:
    """A file being downloaded. ``size`` is also the offset at which a resumed download goes on."""

    def __init__(self, directory: Path, make_hashers: Callable[[], dict[str, Hasher]]) -> None:
        """Create an empty file in ``directory``, which is made when missing. Raises DownloadFailed."""
        self._make_hashers = make_hashers
        self.hashers = make_hashers()
        self.size = 0
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._descriptor, name = tempfile.mkstemp(prefix=SPOOL_PREFIX, suffix=".part", dir=directory)
        except OSError as error:
            raise _spool_failed(error) from None
        self.path = Path(name)
        self._open = True

    def write(self, data: memoryview) -> None:
        """Append ``data`` and hash it. Raises DownloadFailed when the disk does not take it."""
        for hasher in self.hashers.values():
            hasher.update(data)
        rest = data
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            raise _spool_failed(error) from None
        self.size += len(data)

    def restart(self) -> None:
        """Forget every byte and begin again."""
        try:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        except OSError as error:
            raise _spool_failed(error) from None
        self.size = 0
        self.hashers = self._make_hashers()

    def close(self, *, sync: bool = False) -> None:
        """Close the file, forced to the disk when ``sync``."""
        if not self._open:
            return
        self._open = False
        try:
            if sync:
                os.fsync(self._descriptor)
        except OSError as error:
            raise _spool_failed(error) from None
        finally:
            os.close(self._descriptor)

    def discard(self) -> None:
        """Close and remove the file; never raises for a file that is gone already."""
        self.close()
        self.path.unlink(missing_ok=True)


def default_hashers() -> dict[str, Hasher]:
    """The digests a file gets: SHA-256 is its identity, MD5 is what stores compare."""
    return {**identity_hashers(), "md5": hashlib.md5(usedforsecurity=False)}


def identity_hashers() -> dict[str, Hasher]:
    """The one digest that every file gets."""
    return {"sha256": hashlib.sha256()}


def _spool_failed(error: OSError) -> DownloadFailed:
    return DownloadFailed(Fault.SPOOL, error.strerror or type(error).__name__)
