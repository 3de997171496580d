"""What a media file is, and whether it really plays: facts and a bounded proof of decoding, by FFmpeg (PyAV).

Three answers: it plays; it is proven broken (:class:`NotPlayable`); nothing here can judge it, which
``MediaFacts.unjudged`` says with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError

from video_assets.media.container import ContainerReport, check_container
from video_assets.media.file_types import Kind
from video_assets.media.opening import (
    CannotJudge,
    NotPlayable,
    open_media,
    pictures,
    require_bearable_size,
)

__all__ = ["CannotJudge", "MediaFacts", "NotPlayable", "is_still", "open_media", "play", "probe"]

_PROOF_AT_START = 3
"""Frames decoded at the beginning; one more is decoded near the end."""
_BEFORE_END_SECONDS = 1.0
"""How far before its end a stream is entered for that."""
_END_TOLERANCE_SECONDS = 1.0
"""How much earlier than its stated duration a stream may end before the file counts as cut off."""
_EXACT_TOLERANCE_SECONDS = 0.001
_STATE_THEIR_END = frozenset(("mp4", "mov", "m4a", "webm", "weba", "mkv", "mka", "flv", "flac"))
"""Formats that write down how long they are; the duration of others is FFmpeg's estimate and proves nothing."""
_STILLS = frozenset(("jpeg", "png", "webp", "bmp", "tiff", "ico", "jp2", "jxl", "psd", "exr"))
_PICTURE_FILES = _STILLS | {"gif", "avif", "heic"}


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """What a media file is. Sizes are as displayed, that is after the rotation the file asks for."""

    kind: Kind
    container: str
    """Short name of the container: mp4, mov, webm, mkv, jpeg, png, webp, gif, mp3 … (see formats.py)"""
    mime_type: str
    size: int
    """Bytes."""
    video_codec: str | None = None
    """FFmpeg's name of the codec: h264, hevc, vp9, av1, mjpeg …; None for a file that only sounds."""
    profile: str | None = None
    width: int | None = None
    height: int | None = None
    rotation: int = 0
    """Degrees clockwise that a player turns the stored picture: 0, 90, 180 or 270."""
    fps: float | None = None
    """Average frames per second; None for pictures and sound."""
    duration_seconds: float | None = None
    bitrate: int | None = None
    """Bits per second over the whole file; None without a duration."""
    audio_codec: str | None = None
    frame_count: int | None = None
    """Frames as the container tells; None when it does not."""
    decoded_frames: int = 0
    """Frames that were really decoded as proof: the first three and one near the end."""
    unjudged: str | None = None
    """Why nothing here could tell whether the whole file plays; None for one that was decoded."""


def is_still(report: ContainerReport) -> bool:
    """Whether the format holds one picture that never moves."""
    return report.format in _STILLS


def probe(path: Path) -> MediaFacts:
    """Read what the file is and prove that it plays, by decoding its first frames and one near its end.

    Memory is bounded by a few decoded frames, time by one group of pictures at each end. A whole file that cannot
    be decoded here gives facts with ``unjudged`` and nothing decoded. Raises NotPlayable for anything that is
    proven to be no complete video, picture or sound.
    """
    try:
        with open_media(path) as (report, container):
            if pictures(container):
                return _probe_picture(path, report, container)
            if container.streams.audio:
                return _probe_audio(path, report, container)
            raise CannotJudge(f"The {report.format} file holds neither picture nor sound.")
    except CannotJudge as exc:
        report = check_container(path)
        return MediaFacts(
            kind=report.kind,
            container=report.format,
            mime_type=report.mime,
            size=report.size,
            unjudged=str(exc),
        )


def _probe_picture(path: Path, report: ContainerReport, container: InputContainer) -> MediaFacts:
    stream = _main_picture(report, container)
    context = stream.codec_context
    context.thread_count = 1
    width, height, rotation, decoded = 0, 0, 0, 0
    for frame in _frames(container, stream):
        if decoded == 0:
            require_bearable_size(frame.width, frame.height)
            rotation = clockwise_rotation(frame)
            width, height = display_size(frame, stream)
        decoded += 1
        if decoded == _PROOF_AT_START:
            break
    if decoded == 0:
        raise NotPlayable(f"No frame of the {report.format} file can be decoded.")
    is_picture = report.format in _PICTURE_FILES and decoded == 1
    tiles = is_picture and len(container.streams.video) > 2  # FFmpeg gives the parts of a large HEIC or AVIF
    duration = None if is_picture else _stated_duration(container, stream) or _measured_duration(path)
    if not is_picture:
        decoded += _prove_end(container, report, stream)
    rate = stream.average_rate or stream.guessed_rate
    audio = next((s.codec_context.name for s in container.streams.audio if s.codec_context is not None), None)
    return MediaFacts(
        kind="image" if is_picture else "video",
        container=report.format,
        mime_type=report.mime,
        size=report.size,
        video_codec=context.codec.canonical_name,
        profile=stream.profile or None,
        width=None if tiles else width,
        height=None if tiles else height,
        rotation=rotation,
        fps=None if is_picture or not rate else round(float(rate), 3),
        duration_seconds=duration,
        bitrate=round(report.size * 8 / duration) if duration else None,
        audio_codec=audio,
        frame_count=1 if is_picture else stream.frames or None,
        decoded_frames=decoded,
    )


def _main_picture(report: ContainerReport, container: InputContainer) -> Any:
    """The first picture track; in an image sequence the longest, because its cover picture is a track too."""
    tracks = pictures(container)
    if report.format in ("avif", "heic"):
        return max(tracks, key=lambda stream: stream.duration or 0)
    return tracks[0]


def play(path: Path) -> int:
    """Decode every frame of the video, as a patient viewer would, and return how many there were.

    Raises NotPlayable when the file holds no video, or when a frame is damaged.
    """
    frames = 0
    with open_media(path) as (report, container):
        if not pictures(container):
            raise NotPlayable(f"The {report.format} file holds no video.")
        stream = _main_picture(report, container)
        stream.codec_context.thread_count = 2
        for _ in _frames(container, stream):
            frames += 1
        if frames == 0:
            raise NotPlayable(f"No frame of the {report.format} file can be decoded.")
        _require_all_samples(stream, report.size)
    return frames


def clockwise_rotation(frame: Any) -> int:
    """Degrees clockwise that a player turns this decoded frame: 0, 90, 180 or 270."""
    return int(round(-frame.rotation / 90) * 90 % 360)


def display_size(frame: Any, stream: Any) -> tuple[int, int]:
    """Width and height in square pixels as a player shows the frame, after aspect ratio and rotation."""
    width, height = frame.width, frame.height
    aspect = stream.sample_aspect_ratio
    if aspect and aspect > 0 and aspect != 1:
        width = max(1, round(width * float(aspect)))
    return (height, width) if clockwise_rotation(frame) in (90, 270) else (width, height)


def _probe_audio(path: Path, report: ContainerReport, container: InputContainer) -> MediaFacts:
    stream: Any = container.streams.audio[0]
    duration = _stated_duration(container, stream) or _measured_duration(path)
    decoded = 0
    for _ in _frames(container, stream):
        decoded += 1
        if decoded == _PROOF_AT_START:
            break
    if decoded == 0:
        raise NotPlayable(f"No sound of the {report.format} file can be decoded.")
    decoded += _prove_end(container, report, stream)
    return MediaFacts(
        kind="audio",
        container=report.format,
        mime_type=report.mime.replace("video/", "audio/"),
        size=report.size,
        profile=stream.profile or None,
        duration_seconds=duration,
        bitrate=round(report.size * 8 / duration) if duration else None,
        audio_codec=stream.codec_context.codec.canonical_name,
        decoded_frames=decoded,
    )


def _frames(container: InputContainer, stream: Any) -> Iterator[Any]:
    """Decoded frames from where the container stands. Raises NotPlayable for a damaged one, and FFmpegError.

    A recording may be entered in the middle: what comes before its first key frame cannot be decoded whole by
    anyone, so it proves nothing.
    """
    entered = False
    for packet in container.demux(stream):
        entered = entered or packet.is_keyframe
        try:
            frames = packet.decode()
        except FFmpegError:
            if entered:
                raise
            continue
        for frame in frames:
            if not frame.is_corrupt:
                yield frame
            elif entered:
                raise NotPlayable("A frame of the file is damaged.")


def _stated_duration(container: InputContainer, stream: Any) -> float | None:
    """Seconds as the container tells, None when it does not."""
    if stream.duration and stream.time_base:
        return round(float(stream.duration * stream.time_base), 3)
    return round(container.duration / av.time_base, 3) if container.duration else None


def _measured_duration(path: Path) -> float | None:
    """Seconds counted from the packets, for a live recording that tells nothing. Reads the whole file once."""
    start, end = None, None
    with open_media(path) as (_, container):
        for packet in container.demux((pictures(container) or container.streams.audio)[0]):
            if packet.pts is not None and packet.time_base:
                at = packet.pts * packet.time_base
                start = at if start is None else min(start, at)
                stop = at + (packet.duration or 0) * packet.time_base
                end = stop if end is None else max(end, stop)
    return round(float(end - start), 3) if start is not None and end is not None and end > start else None


def _prove_end(container: InputContainer, report: ContainerReport, stream: Any) -> int:
    """Decode one frame near the end and see that nothing is missing behind it. Returns the frames decoded.

    Where the structure has proven the end, durations are not asked: they count other tracks too, and some lie.
    """
    for other in (*container.streams.video, *container.streams.audio):
        _require_all_samples(other, report.size)
    base = float(stream.time_base or 1)
    own = stream.duration * base if stream.duration else None
    whole = (container.duration or 0) / av.time_base
    length = own or whole
    if not length:
        return 0
    start = (stream.start_time or 0) * base
    try:
        near = start + max(0.0, length - _BEFORE_END_SECONDS)
        container.seek(int(near / base), stream=stream, backward=True, any_frame=False)
    except FFmpegError:
        return 0  # not seekable: the beginning and the sample index are the proof
    frames = _frames(container, stream)
    decoded = 1 if next(frames, None) is not None else 0
    if report.format == "ts":
        _require_last_packet(container, stream)
    if report.has_end or report.format not in _STATE_THEIR_END:
        return decoded
    is_exact = report.format == "flac"
    if is_exact:
        decoded += sum(1 for _ in frames)  # its last frame ends with a checksum and has no other end mark
    if report.fragmented or is_exact:
        end = _last_moment(container, [stream], near)
    else:  # the duration is the longest track's, which need not be this one
        length, start = whole, 0.0
        end = _last_moment(container, [], whole - _BEFORE_END_SECONDS)
    missing = length - max(end, end - start)
    tolerance = _EXACT_TOLERANCE_SECONDS if is_exact else max(_END_TOLERANCE_SECONDS, 0.1 * length)
    if missing > tolerance:
        raise NotPlayable(f"The file is cut off: its last {missing:.1f} seconds are missing.")
    return decoded


def _last_moment(container: InputContainer, streams: list[Any], near: float) -> float:
    """When the last packet ends, in seconds; of any stream when none is named. Looks from ``near`` on first."""
    for start in (max(near, 0.0), 0.0):
        container.seek(int(start * av.time_base), backward=True, any_frame=False)
        ends = [
            float((packet.pts + (packet.duration or 0)) * packet.time_base)
            for packet in container.demux(*streams)
            if packet.pts is not None and packet.time_base
        ]
        if ends:
            return max(ends)
    return 0.0


def _require_last_packet(container: InputContainer, stream: Any) -> None:
    """FFmpeg marks a packet that ends before its own length. Only the last one tells of a cut."""
    is_corrupt = False
    for packet in container.demux(stream):
        is_corrupt = packet.is_corrupt if packet.size else is_corrupt
    if is_corrupt:
        raise NotPlayable("The file is cut off: its last packet is incomplete.")


def _require_all_samples(stream: Any, size: int) -> None:
    """The container's index names where each sample lies: none may lie past the end of the file."""
    entries = stream.index_entries
    count = len(entries)
    for index in {count - 1, count // 2} if count else ():
        entry = entries[index]
        if entry.pos + entry.size > size:
            raise NotPlayable("The file is cut off: it ends before its last frame.")
