"""Staging: bytes that are here already (a BLOB, a file on disk) become a verified file in the spool."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from video_assets.transfer.download.expectation import Asked
from video_assets.transfer.download.policy import Download
from video_assets.transfer.download.spool_file import SpoolFile, default_hashers
from video_assets.transfer.download.verify import proven_container
from video_assets.transfer.failures import DownloadFailed, Fault

BLOCK_BYTES: Final = 1024 * 1024


def stage(blocks: Iterable[bytes], folder: Path, *, asked: Asked, max_bytes: int) -> Download:
    """Write ``blocks`` into ``folder`` and verify what they are, as the downloader does with a body.

    ``asked`` is what the file should be. On failure nothing is left in ``folder``.
    Raises DownloadFailed, and whatever reading the blocks raises.
    """
    started = time.monotonic()
    spool = SpoolFile(folder, default_hashers)
    try:
        for block in blocks:
            if spool.size + len(block) > max_bytes:
                raise DownloadFailed(Fault.TOO_LARGE, f"{max_bytes} bytes are allowed")
            spool.write(memoryview(block))
        spool.close()
        report = proven_container(spool.path, asked)
    except BaseException:
        spool.discard()
        raise
    return Download(
        path=spool.path,
        size=spool.size,
        sha256=spool.hashers["sha256"].hexdigest(),
        md5=spool.hashers["md5"].hexdigest(),
        content_type=report.mime,
        extension=report.extension,
        container=report,
        status=0,
        hops=(),
        seconds=time.monotonic() - started,
        attempts=1,
        resumed=0,
        etag=None,
        is_local=True,
    )


def file_blocks(path: Path) -> Iterable[bytes]:
    """The bytes of a file on disk. Raises OSError while it is read."""
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block
