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
from video_assets.media.file_types import (
    AAC,
    FLAC,
    M4A,
    MKA,
    MKV,
    MP4,
    WEBA,
    WEBM,
    WMA,
    WMV,
    WRITTEN,
    FileFormat,
    Kind,
)
from video_assets.media.formats import HEAD_BYTES, recognise
from video_assets.media.structure import Bytes, StructureError

Problem = Literal["empty", "not_media", "incomplete", "missing_moov", "damaged"]


class UnreadableFile(Exception):
    """The file could not be opened or read. The message names neither its content nor its address."""


@dataclass(frozen=True, slots=True)
class ContainerReport:
    """What a file is and whether it is whole.

    ``problem`` is None for a whole file, else one word: ``empty``, ``not_media`` (a web page, XML, JSON, text, or
    nothing known; whether such a file was asked for is not decided here), ``incomplete`` (it ends before its own
    structure does), ``missing_moov``, ``damaged``.
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
    encrypted: bool = False
    has_end: bool = False
    """Whether the structure tells where the file ends, so that nothing can be missing behind a whole one."""

    @property
    def complete(self) -> bool:
        """True when the whole file is there."""
        return self.problem is None


_WALKERS: dict[str, Callable[[Bytes], None]] = {
    "png": small_formats.check_png,
    "jpeg": small_formats.check_jpeg,
    "gif": small_formats.check_gif,
    "webp": small_formats.check_riff,
    "wav": small_formats.check_riff,
    "avi": small_formats.check_riff,
    "wmv": small_formats.check_asf,
    "wma": small_formats.check_asf,
    "aiff": small_formats.check_iff,
    "caf": small_formats.check_caf,
    "tiff": small_formats.check_tiff,
    "bmp": small_formats.check_length_at(2),
    "glb": small_formats.check_length_at(8),
    "jxl": small_formats.check_boxes,
    "jp2": small_formats.check_boxes,
    "pdf": small_formats.check_pdf,
    "svg": small_formats.check_xml,
    "ttml": small_formats.check_xml,
    "xml": small_formats.check_xml,
    "json": small_formats.check_json,
    "zip": small_formats.check_zip,
}
_OPEN_WALKERS: dict[str, Callable[[Bytes], None]] = {
    "flv": small_formats.check_flv,
    "mpg": small_formats.check_mpeg_ps,
    "mxf": small_formats.check_mxf,
    "aac": small_formats.check_adts,
    "mp3": small_formats.check_mp3,
    "ogg": small_formats.check_ogg,
    "ogv": small_formats.check_ogg,
    "ts": small_formats.check_mpeg_ts,
}
"""Formats in which a cut between two pieces leaves a shorter file that is as good as any."""


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
    if found.kind == "unknown":
        return _report(data, found, "not_media", "The file is of no known kind.")
    try:
        if found.name in isobmff.FORMATS:
            return _check_iso(data, found)
        if found in (WEBM, MKV):
            return _check_ebml(data, found)
        if found is WMV and not small_formats.asf_has_picture(data):
            found = WMA
        found = _behind_tag(data, found)
        walk = _WALKERS.get(found.name) or _OPEN_WALKERS.get(found.name)
        if walk is not None:
            walk(data)
    except StructureError as error:
        return _report(data, found, error.flaw, str(error))
    if found in WRITTEN:
        return _report(data, found, "not_media", f"The file is a document ({found.name}).")
    return _report(data, found, has_end=found.name in _WALKERS)


def _behind_tag(data: Bytes, found: FileFormat) -> FileFormat:
    """A tag that is usual for MP3 stands before other sound at times: then the format of what follows."""
    if found.name != "mp3" or not (length := small_formats.tag_length(data)):
        return found
    sound = recognise(data.at(length, HEAD_BYTES))
    return sound if sound in (AAC, FLAC) else found


def _check_ebml(data: Bytes, found: FileFormat) -> ContainerReport:
    walked = ebml.Walk()
    problem: Problem | None = None
    detail: str | None = None
    try:
        walked.check(data)
    except StructureError as error:
        problem, detail = error.flaw, str(error)
    if walked.has_sound and not walked.has_picture:
        found = WEBA if found is WEBM else MKA
    return _report(data, found, problem, detail, has_end=walked.has_end)


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
    return _report(
        data,
        found,
        problem,
        detail,
        has_moov=walked.has_moov,
        fragmented=walked.fragmented,
        encrypted=walked.encrypted,
        has_end=not walked.fragmented,
    )


def _report(
    data: Bytes,
    found: FileFormat,
    problem: Problem | None = None,
    detail: str | None = None,
    *,
    has_moov: bool | None = None,
    fragmented: bool = False,
    encrypted: bool = False,
    has_end: bool = False,
) -> ContainerReport:
    return ContainerReport(
        kind=found.kind,
        format=found.name,
        mime=found.mime,
        extension=found.extension,
        size=data.size,
        problem=problem,
        detail=detail,
        has_moov=has_moov,
        fragmented=fragmented,
        encrypted=encrypted,
        has_end=has_end,
    )
