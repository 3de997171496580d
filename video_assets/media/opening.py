"""Opening a file for decoding, and what an error of the decoder proves.

The file's own first bytes decide which demuxer may look at it, never its name. So a playlist or a text file
dressed as a video cannot make FFmpeg open other files or addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from video_assets.media.container import ContainerReport, UnreadableFile, check_container
from video_assets.media.structure import Bytes

MAX_PIXELS = 16_384 * 8_640
"""Largest picture that is decoded, in pixels. Above it a small file could ask for gigabytes of memory."""

_DEMUXERS = {
    "mp4": "mov",
    "mov": "mov",
    "3gp": "mov",
    "m4a": "mov",
    "avif": "mov",
    "heic": "mov",
    "webm": "matroska",
    "weba": "matroska",
    "mkv": "matroska",
    "mka": "matroska",
    "avi": "avi",
    "ts": "mpegts",
    "mpg": "mpeg",
    "flv": "flv",
    "wmv": "asf",
    "wma": "asf",
    "mxf": "mxf",
    "gif": "gif",
    "jpeg": "jpeg_pipe",
    "png": "png_pipe",
    "webp": "webp_pipe",
    "bmp": "bmp_pipe",
    "tiff": "tiff_pipe",
    "ico": "ico",
    "jp2": "j2k_pipe",
    "jxl": "jpegxl_pipe",
    "psd": "psd_pipe",
    "exr": "exr_pipe",
    "mp3": "mp3",
    "wav": "wav",
    "ogg": "ogg",
    "ogv": "ogg",
    "flac": "flac",
    "aac": "aac",
    "ac3": "ac3",
    "aiff": "aiff",
    "caf": "caf",
    "amr": "amr",
}
"""The one FFmpeg demuxer that may open a file of each format."""

_PARTLY_READ = frozenset(("avif", "heic", "jp2", "jxl", "psd", "exr", "tiff", "ico", "amr", "mxf"))
"""Formats of which FFmpeg knows a part only: an error may mean a part that it does not have."""
_WHOLLY_DECODED = frozenset((
    "h264", "hevc", "vp8", "vp9", "av1", "mpeg1video", "mpeg2video", "mpeg4", "mjpeg", "prores", "dnxhd", "h263",
    "flv1", "theora", "ffv1", "qtrle", "gif", "png", "apng", "webp", "bmp", "rawvideo",
    "aac", "mp3", "mp2", "opus", "vorbis", "flac", "alac", "ac3", "eac3",
))  # fmt: skip
"""Codecs of which FFmpeg decodes everything in use: an error means damaged data."""
_NOT_OF_THE_FILE = (
    av.error.PatchWelcomeError,
    av.error.DecoderNotFoundError,
    av.error.DemuxerNotFoundError,
    av.error.ExperimentalError,
    av.error.NotImplementedError,
    av.error.BugError,
    av.error.PermissionError,
    MemoryError,
)
"""What is missing here, of decoder or machine, whatever the file is."""


class NotPlayable(Exception):
    """The file does not play here. The message is one short, safe sentence.

    Raised as it is for a file that is proven broken or no media at all; :class:`CannotJudge` is the other case.
    """


class CannotJudge(NotPlayable):
    """Nothing here can tell whether the file plays; the message says why. It is no fault of the file."""


@contextmanager
def open_media(path: Path) -> Iterator[tuple[ContainerReport, InputContainer]]:
    """Open a whole local media file with the one demuxer its first bytes allow; FFmpeg may touch no other file.

    Raises NotPlayable for what is proven broken and CannotJudge for what cannot be decoded here, also for
    FFmpeg's errors inside the block.
    """
    try:
        report = check_container(path)
    except UnreadableFile as exc:
        raise NotPlayable(str(exc)) from None
    if report.kind == "unknown":
        raise CannotJudge(report.detail or "The file is of no known kind.")
    if report.kind == "playlist":
        raise NotPlayable(f"The file is a playlist ({report.format}): it only names the files that play.")
    if not report.complete:
        raise NotPlayable(report.detail or f"The {report.format} file is not whole.")
    if report.encrypted:
        raise CannotJudge(f"The {report.format} file is encrypted: without its key nobody can look inside.")
    demuxer = _demuxer(path, report)
    if demuxer is None:
        raise CannotJudge(
            f"The file is a {report.format} file, not a video, picture or sound that is decoded here."
        )
    if report.format == "png":  # of which FFmpeg says "damaged" when it is too large, before it tells a size
        with Bytes.open(path) as data:
            require_bearable_size(*(int.from_bytes(data.at(at, 4), "big") for at in (16, 20)))
    codecs: list[str] = []
    try:
        options = {"protocol_whitelist": "file"}
        with av.open(
            str(path.absolute()), format=demuxer, options=options, metadata_errors="ignore"
        ) as container:
            codecs += [_require_decoder(report, stream) for stream in main_streams(container)]
            for stream in container.streams.video:
                if stream.codec_context is not None:
                    require_bearable_size(stream.codec_context.width, stream.codec_context.height)
            yield report, container
    except (FFmpegError, ValueError, MemoryError) as exc:
        raise _verdict(path, report, codecs, exc) from None


def _demuxer(path: Path, report: ContainerReport) -> str | None:
    if report.format == "png" and _moves(path, b"acTL"):
        return "apng"
    return _DEMUXERS.get(report.format)


def _moves(path: Path, mark: bytes) -> bool:
    """Whether the name of the chunk that makes a PNG or WebP an animation stands near its beginning."""
    with Bytes.open(path) as data:
        return mark in data.at(0, 4096)


def main_streams(container: InputContainer) -> list[Any]:
    """The pictures, or the sound of a file that only sounds: what has to be decoded for the file to play."""
    return pictures(container) or list(container.streams.audio)


def pictures(container: InputContainer) -> list[Any]:
    """The streams that are moving or still pictures of their own, without the covers attached to a song."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def _require_decoder(report: ContainerReport, stream: Any) -> str:
    """FFmpeg's name of the stream's codec. Raises CannotJudge when there is no decoder."""
    context = stream.codec_context
    if context is None:
        raise CannotJudge(f"The {report.format} file uses a codec that is not known here.")
    return str(context.codec.canonical_name)


def _verdict(path: Path, report: ContainerReport, codecs: list[str], exc: BaseException) -> NotPlayable:
    """What an error proves: that the data are damaged, or that nothing here can judge them."""
    what = exc.strerror if isinstance(exc, FFmpegError) and exc.strerror else "damaged data"
    if isinstance(exc, _NOT_OF_THE_FILE):
        return CannotJudge(f"The {report.format} file cannot be decoded here ({what}).")
    if report.format == "webp" and _moves(path, b"ANIM"):
        return CannotJudge("The webp file is an animation, which is not decoded here.")
    known = all(codec in _WHOLLY_DECODED or codec.startswith(("pcm_", "adpcm_")) for codec in codecs)
    if report.format in _PARTLY_READ or not known:
        name = " and ".join(dict.fromkeys(codecs)) or report.format
        return CannotJudge(f"The {report.format} file cannot be decoded here ({name}: {what}).")
    return NotPlayable(f"The {report.format} file is damaged ({what}).")


def require_bearable_size(width: int, height: int) -> None:
    """Raises CannotJudge for a picture that is too large to decode."""
    if width * height > MAX_PIXELS:
        raise CannotJudge(f"The picture is too large to decode here ({width}×{height}).")
