"""Is this file whole? The structure of a media file, walked from its first byte to its last.

No decoder runs here: only sizes and end marks are read, in constant memory, so that a download can be judged
before anything else touches it. A file that fails here is cut off, still being written, or something else
altogether. Whether it plays is for :mod:`video_assets.media.probe`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from video_assets.media import ebml, isobmff, small_formats
from video_assets.media.formats import HEAD_BYTES, M4A, MP4, FileFormat, Kind, recognise
from video_assets.media.structure import Bytes, StructureError

Problem = Literal["empty", "not_media", "incomplete", "missing_moov", "damaged"]


class UnreadableFile(Exception):
    """The file could not be opened or read. The message names neither its content nor its address."""


@dataclass(frozen=True, slots=True)
class ContainerReport:
    """What a file is and whether it is whole.

    ``problem`` is None for a whole file, else one word: ``empty``, ``not_media`` (a web page, XML, JSON, text, or
    nothing known), ``incomplete`` (it ends before its own structure does), ``missing_moov``, ``damaged``.
    """

    kind: Kind
    format: str
    mime: str
    extension: str
    size: int
    problem: Problem | None = None
    detail: str | None = None
    """One sentence about the problem, without anything of the file's content."""
    has_moov: bool | None = None
    """For MP4 and MOV: whether the index is there."""
    fragmented: bool = False

    @property
    def complete(self) -> bool:
        """True when the whole file is there."""
        return self.problem is None


_WALKERS: dict[str, Callable[[Bytes], None]] = {
    "webm": ebml.check,
    "mkv": ebml.check,
    "png": small_formats.check_png,
    "jpeg": small_formats.check_jpeg,
    "gif": small_formats.check_gif,
    "webp": small_formats.check_riff,
    "wav": small_formats.check_riff,
    "avi": small_formats.check_riff,
    "mp3": small_formats.check_mp3,
    "ogg": small_formats.check_ogg,
    "ts": small_formats.check_mpeg_ts,
    "zip": small_formats.check_zip,
}


def check_container(path: str | os.PathLike[str]) -> ContainerReport:
    """Walk the structure of the file at ``path``. Raises UnreadableFile, whatever the bytes are nothing else."""
    try:
        with Bytes.open(Path(path)) as data:
            return _check(data)
    except OSError as error:
        raise UnreadableFile(f"The file could not be read: {error.strerror or type(error).__name__}.") from None


def _check(data: Bytes) -> ContainerReport:
    found = recognise(data.at(0, HEAD_BYTES))
    if found.kind == "empty":
        return _report(data, found, "empty", "The file has no bytes.")
    if found.kind == "document":
        return _report(data, found, "not_media", f"The file is a document ({found.name}).")
    if found.kind == "unknown":
        return _report(data, found, "not_media", "The file is of no known kind.")
    if found.name in isobmff.FORMATS:
        return _check_iso(data, found)
    try:
        walk = _WALKERS.get(found.name)
        if walk is not None:
            walk(data)
    except StructureError as error:
        return _report(data, found, error.flaw, str(error))
    return _report(data, found)


def _check_iso(data: Bytes, found: FileFormat) -> ContainerReport:
    walked = isobmff.Walk()
    problem: Problem | None = None
    detail: str | None = None
    try:
        walked.check(data)
    except StructureError as error:
        problem, detail = error.flaw, str(error)
    if found is M4A and b"vide" in walked.handlers:
        found = MP4
    elif found is MP4 and walked.handlers and b"vide" not in walked.handlers and b"soun" in walked.handlers:
        found = M4A
    return _report(data, found, problem, detail, has_moov=walked.has_moov, fragmented=walked.fragmented)


def _report(
    data: Bytes,
    found: FileFormat,
    problem: Problem | None = None,
    detail: str | None = None,
    *,
    has_moov: bool | None = None,
    fragmented: bool = False,
) -> ContainerReport:
    return ContainerReport(
        found.kind, found.name, found.mime, found.extension, data.size, problem, detail, has_moov, fragmented
    )
