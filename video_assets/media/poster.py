"""One still picture of a video, as JPEG, upright and with square pixels."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.context import CodecContext
from av.error import FFmpegError

from video_assets.media.probe import MediaFacts, NotPlayable, clockwise_rotation, display_size, open_media, probe

_POSTER_AT_SECONDS = 1.0
"""Generated videos often fade in; a second later there is something to see."""
_JPEG_QUALITY = 3
"""FFmpeg's qscale for JPEG, 2 (best) to 31."""


def poster(path: Path, destination: Path, *, width: int = 1280) -> MediaFacts:
    """Write a JPEG of a representative frame to ``destination``, at most ``width`` pixels wide, never enlarged.

    Works for videos and pictures. The file appears under its name only when complete. Returns the facts of the
    JPEG. Raises NotPlayable, or OSError when ``destination`` cannot be written.
    """
    with open_media(path) as (report, container):
        if not container.streams.video:
            raise NotPlayable(f"The {report.format} file holds no picture.")
        stream: Any = container.streams.video[0]
        stream.codec_context.thread_count = 1
        frame = _representative_frame(container, stream)
        target = scaled_size(*display_size(frame, stream), width)
        data = _encode_jpeg(upright(frame, target, "yuvj420p"))
    part = destination.with_name(destination.name + ".part")
    part.write_bytes(data)
    os.replace(part, destination)
    return probe(destination)


def scaled_size(width: int, height: int, limit: int) -> tuple[int, int]:
    """The size with both sides even and at most ``limit`` wide, in the same proportion and never enlarged."""
    factor = min(1.0, limit / width)
    return max(2, round(width * factor / 2) * 2), max(2, round(height * factor / 2) * 2)


class UprightScaler:
    """Turns frames upright and brings them to one size and pixel format; one FFmpeg filter graph, kept."""

    def __init__(self, first: Any, size: tuple[int, int], pixel_format: str) -> None:
        """``first`` is a decoded frame that tells the shape of the frames to come."""
        self._shape = (first.width, first.height, first.format.name)
        self._graph = av.filter.Graph()
        source = self._graph.add(
            "buffer",
            f"video_size={first.width}x{first.height}:pix_fmt={first.format.name}:time_base=1/1000:pixel_aspect=1/1",
        )
        turn: dict[int, list[tuple[str, str | None]]] = {
            90: [("transpose", "clock")],
            180: [("hflip", None), ("vflip", None)],
            270: [("transpose", "cclock")],
        }
        chain = [
            source,
            *(self._graph.add(name, args) for name, args in turn.get(clockwise_rotation(first), [])),
            self._graph.add("scale", f"{size[0]}:{size[1]}:flags=bicubic"),
            self._graph.add("setsar", "1"),
            self._graph.add("format", pixel_format),
            self._graph.add("buffersink"),
        ]
        self._graph.link_nodes(*chain).configure()

    def fits(self, frame: Any) -> bool:
        """Whether ``frame`` has the shape this scaler was made for (a stream may change in the middle)."""
        return (frame.width, frame.height, frame.format.name) == self._shape

    def __call__(self, frame: Any) -> Any:
        """The upright, scaled picture of ``frame``."""
        self._graph.vpush(frame)
        return self._graph.vpull()


def upright(frame: Any, size: tuple[int, int], pixel_format: str) -> Any:
    """One frame upright, scaled to ``size`` and in ``pixel_format``."""
    return UprightScaler(frame, size, pixel_format)(frame)


def _representative_frame(container: Any, stream: Any) -> Any:
    """The frame one second in, or a tenth into a shorter video; the first one where that cannot be reached."""
    length = float(stream.duration * stream.time_base) if stream.duration else 0.0
    wanted = min(_POSTER_AT_SECONDS, length / 10)
    start = float((stream.start_time or 0) * stream.time_base) if stream.time_base else 0.0
    found = None
    try:
        for frame in container.decode(stream):
            found = frame
            if frame.time is None or frame.time - start >= wanted:
                break
    except FFmpegError:
        if found is None:
            raise
    if found is None:
        raise NotPlayable("No frame of the file can be decoded.")
    return found


def _encode_jpeg(frame: Any) -> bytes:
    encoder: Any = CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, frame.format.name
    encoder.time_base = Fraction(1, 1)
    encoder.qmin = encoder.qmax = _JPEG_QUALITY
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
