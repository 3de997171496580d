"""Small real media files, written with PyAV, for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av


def picture(width: int, height: int, index: int) -> Any:
    """A frame whose brightness rises with ``index``, with a dark left half so that orientation shows."""
    frame = av.VideoFrame(width, height, "yuv420p")
    for number, plane in enumerate(frame.planes):
        rows, stride = plane.height, plane.line_size
        if number:
            plane.update(bytes([128]) * (rows * stride))
            continue
        bright = 120 + index * 3 % 120
        row = bytes([16]) * (width // 2) + bytes([bright]) * (stride - width // 2)
        plane.update(row * rows)
    return frame


def clip(
    path: Path,
    *,
    width: int = 320,
    height: int = 180,
    frames: int = 30,
    fps: int = 15,
    codec: str = "libx264",
    rotation: int = 0,
    sound: bool = False,
    faststart: bool = True,
    times: Iterable[float] | None = None,
    aspect: Fraction | None = None,
    gop: int = 12,
) -> Path:
    """Write a clip; ``times`` (seconds per frame) makes the rate variable."""
    moments = list(times) if times is not None else [i / fps for i in range(frames)]
    options = {"movflags": "+faststart"} if faststart and path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", options=options) as out:
        video: Any = out.add_stream(codec, rate=fps, options={"g": str(gop)})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        if aspect:
            video.codec_context.sample_aspect_ratio = aspect
        if rotation:
            video.set_display_rotation(rotation)
        audio: Any = out.add_stream("aac", rate=44100) if sound else None
        for index, moment in enumerate(moments):
            frame = picture(width, height, index)
            frame.pts, frame.time_base = round(moment * 1000), Fraction(1, 1000)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if audio is not None:
            for samples in _silence(audio, moments[-1]):
                out.mux(audio.encode(samples))
            out.mux(audio.encode(None))
    return path


def sound_only(path: Path, seconds: float = 1.0) -> Path:
    """Write silence without any picture."""
    with av.open(str(path), "w") as out:
        audio: Any = out.add_stream("aac", rate=44100)
        for samples in _silence(audio, seconds):
            out.mux(audio.encode(samples))
        out.mux(audio.encode(None))
    return path


def still(path: Path, codec: str, pixel_format: str, width: int = 200, height: int = 120) -> Path:
    """Write one picture as JPEG (mjpeg), PNG (png) or WebP (libwebp)."""
    encoder: Any = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, pixel_format
    encoder.time_base = Fraction(1, 25)
    frame = picture(width, height, 5).reformat(format=pixel_format)
    frame.pts = 0
    path.write_bytes(b"".join(bytes(p) for p in [*encoder.encode(frame), *encoder.encode(None)]))
    return path


def _silence(audio: Any, seconds: float) -> Iterable[Any]:
    for start in range(0, max(1024, int(seconds * 44100)), 1024):
        frame = av.AudioFrame(format="fltp", layout="stereo", samples=1024)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts, frame.time_base = 44100, start, Fraction(1, 44100)
        yield frame
