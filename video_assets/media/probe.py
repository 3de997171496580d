"""What a media file is, and whether it really plays: facts and a bounded proof of decoding, by FFmpeg (PyAV).

The file's own first bytes decide which demuxer may look at it, never its name. So a playlist or a text file
dressed as a video cannot make FFmpeg open other files or addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
from av.container import InputContainer
from av.error import FFmpegError

from video_assets.media.container import ContainerReport, UnreadableFile, check_container

MAX_PIXELS = 16_384 * 8_640
"""Largest picture that is decoded, in pixels. Above it a small file could ask for gigabytes of memory."""

_PROOF_AT_START = 3
"""Frames decoded at the beginning; one more is decoded near the end."""
_END_TOLERANCE_SECONDS = 1.0
"""How much earlier than its stated duration a stream may end before the file counts as cut off."""
_DEMUXERS = {
    "mp4": "mov",
    "mov": "mov",
    "m4a": "mov",
    "webm": "matroska",
    "mkv": "matroska",
    "avi": "avi",
    "ts": "mpegts",
    "gif": "gif",
    "jpeg": "jpeg_pipe",
    "png": "png_pipe",
    "webp": "webp_pipe",
    "mp3": "mp3",
    "wav": "wav",
    "ogg": "ogg",
    "flac": "flac",
}
"""The one FFmpeg demuxer that may open a file of each format."""
_STILLS = frozenset(("jpeg", "png", "webp"))


class NotPlayable(Exception):
    """The file is not a complete media file that can be decoded. The message is one short, safe sentence."""


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """What a media file is. Sizes are as displayed, that is after the rotation the file asks for."""

    kind: Literal["video", "image", "audio"]
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


@contextmanager
def open_media(path: Path) -> Iterator[tuple[ContainerReport, InputContainer]]:
    """Open a whole local media file with the one demuxer its first bytes allow; FFmpeg may touch no other file.

    Raises NotPlayable, also for FFmpeg's errors inside the block.
    """
    try:
        report = check_container(path)
    except UnreadableFile as exc:
        raise NotPlayable(str(exc)) from None
    if not report.complete:
        raise NotPlayable(report.detail or f"The {report.format} file is not whole.")
    demuxer = _DEMUXERS.get(report.format)
    if demuxer is None:
        raise NotPlayable(
            f"The file is a {report.format} file, not a video, picture or sound that is decoded here."
        )
    try:
        options = {"protocol_whitelist": "file"}
        with av.open(
            str(path.absolute()), format=demuxer, options=options, metadata_errors="ignore"
        ) as container:
            streams: list[Any] = [*container.streams.video, *container.streams.audio]
            for stream in streams:
                if stream.codec_context is None:
                    raise NotPlayable(f"The {report.format} file uses a codec that is not known here.")
            for stream in container.streams.video:
                _require_bearable_size(stream.codec_context.width, stream.codec_context.height)
            yield report, container
    except (FFmpegError, ValueError, MemoryError) as exc:
        what = exc.strerror if isinstance(exc, FFmpegError) and exc.strerror else "damaged data"
        raise NotPlayable(f"The {report.format} file is damaged ({what}).") from None


def is_still(report: ContainerReport) -> bool:
    """Whether the format holds one picture that never moves."""
    return report.format in _STILLS


def probe(path: Path) -> MediaFacts:
    """Read what the file is and prove that it plays, by decoding its first frames and one near its end.

    Memory is bounded by a few decoded frames, time by one group of pictures at each end.
    Raises NotPlayable for anything that is not a complete, decodable video, picture or sound.
    """
    with open_media(path) as (report, container):
        streams = container.streams
        if not streams.video and not streams.audio:
            raise NotPlayable(f"The {report.format} file holds neither picture nor sound.")
        size = path.stat().st_size
        if not streams.video:
            return _probe_audio(path, report, container, size)
        stream: Any = streams.video[0]
        context = stream.codec_context
        context.thread_count = 1
        width, height, rotation, decoded = 0, 0, 0, 0
        for frame in container.decode(stream):
            if decoded == 0:
                _require_bearable_size(frame.width, frame.height)
                rotation = clockwise_rotation(frame)
                width, height = display_size(frame, stream)
            decoded += _proved(frame)
            if decoded == _PROOF_AT_START:
                break
        if decoded == 0:
            raise NotPlayable(f"No frame of the {report.format} file can be decoded.")
        is_picture = is_still(report) or (report.format == "gif" and decoded == 1)
        duration = None if is_picture else _stated_duration(container, stream) or _measured_duration(path)
        if not is_picture:
            decoded += _prove_end(container, stream, size)
        rate = stream.average_rate or stream.guessed_rate
        audio = streams.audio[0].codec_context.name if streams.audio else None
        return MediaFacts(
            kind="image" if is_picture else "video",
            container=report.format,
            mime_type=report.mime,
            size=size,
            video_codec=context.codec.canonical_name,
            profile=stream.profile or None,
            width=width,
            height=height,
            rotation=rotation,
            fps=None if is_picture or not rate else round(float(rate), 3),
            duration_seconds=duration,
            bitrate=round(size * 8 / duration) if duration else None,
            audio_codec=audio,
            frame_count=1 if is_picture else stream.frames or None,
            decoded_frames=decoded,
        )


def play(path: Path) -> int:
    """Decode every frame of the video, as a patient viewer would, and return how many there were.

    Raises NotPlayable when the file holds no video, or when a frame is damaged.
    """
    frames = 0
    with open_media(path) as (report, container):
        if not container.streams.video:
            raise NotPlayable(f"The {report.format} file holds no video.")
        stream: Any = container.streams.video[0]
        stream.codec_context.thread_count = 2
        for frame in container.decode(stream):
            frames += _proved(frame)
        if frames == 0:
            raise NotPlayable(f"No frame of the {report.format} file can be decoded.")
        _require_all_samples(stream, path.stat().st_size)
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


def _probe_audio(path: Path, report: ContainerReport, container: InputContainer, size: int) -> MediaFacts:
    stream: Any = container.streams.audio[0]
    duration = _stated_duration(container, stream) or _measured_duration(path)
    decoded = 0
    for frame in container.decode(stream):
        decoded += _proved(frame)
        if decoded == _PROOF_AT_START:
            break
    if decoded == 0:
        raise NotPlayable(f"No sound of the {report.format} file can be decoded.")
    decoded += _prove_end(container, stream, size)
    return MediaFacts(
        kind="audio",
        container=report.format,
        mime_type=report.mime.replace("video/", "audio/"),
        size=size,
        profile=stream.profile or None,
        duration_seconds=duration,
        bitrate=round(size * 8 / duration) if duration else None,
        audio_codec=stream.codec_context.codec.canonical_name,
        decoded_frames=decoded,
    )


def _proved(frame: Any) -> int:
    if frame.is_corrupt:
        raise NotPlayable("A frame of the file is damaged.")
    return 1


def _stated_duration(container: InputContainer, stream: Any) -> float | None:
    """Seconds as the container tells, None when it does not."""
    if stream.duration and stream.time_base:
        return round(float(stream.duration * stream.time_base), 3)
    return round(container.duration / av.time_base, 3) if container.duration else None


def _measured_duration(path: Path) -> float | None:
    """Seconds counted from the packets, for a live recording that tells nothing. Reads the whole file once."""
    start, end = None, None
    with open_media(path) as (_, container):
        for packet in container.demux((container.streams.video or container.streams.audio)[0]):
            if packet.pts is not None and packet.time_base:
                at = packet.pts * packet.time_base
                start = at if start is None else min(start, at)
                stop = at + (packet.duration or 0) * packet.time_base
                end = stop if end is None else max(end, stop)
    return round(float(end - start), 3) if start is not None and end is not None and end > start else None


def _prove_end(container: InputContainer, stream: Any, size: int) -> int:
    """Decode one frame near the end and see that the last packet is there. Returns the frames decoded."""
    _require_all_samples(stream, size)
    length = stream.duration or (container.duration or 0) / av.time_base / (stream.time_base or 1)
    if not length:
        return 0
    start = stream.start_time or 0
    try:
        container.seek(int(start + length), stream=stream, backward=True, any_frame=False)
    except FFmpegError:
        return 0  # not seekable: the beginning and the sample index are the proof
    decoded, end = 0, None
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise NotPlayable("The file is cut off: its last packet is incomplete.")
        if packet.pts is not None:
            stop = packet.pts + (packet.duration or 0)
            end = stop if end is None else max(end, stop)
        if decoded == 0:
            for frame in packet.decode():
                decoded += _proved(frame)
                break
    missing = float((start + length - (end or start)) * stream.time_base)
    if missing > max(_END_TOLERANCE_SECONDS, 0.1 * float(length * stream.time_base)):
        raise NotPlayable(f"The file is cut off: its last {missing:.1f} seconds are missing.")
    return decoded


def _require_all_samples(stream: Any, size: int) -> None:
    """The container's index names where each sample lies: none may lie past the end of the file."""
    entries = stream.index_entries
    count = len(entries)
    for index in {count - 1, count // 2} if count else ():
        entry = entries[index]
        if entry.pos + entry.size > size:
            raise NotPlayable("The file is cut off: it ends before its last frame.")


def _require_bearable_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise NotPlayable(f"The picture is too large to decode ({width}×{height}).")
