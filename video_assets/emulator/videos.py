"""The videos: real moving H.264, rendered once per seed and kept on disk, and their real JPEG thumbnails."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from video_assets.media.poster import poster

FPS = 24
_SHARED_RENDERINGS = 4
"""Padded files (for benchmarks) share this many renderings per size; their padding makes each one unique."""


@dataclass(frozen=True, slots=True)
class VideoOrder:
    """What one video shall be. Equal orders give the same bytes."""

    seed: str
    width: int = 1280
    height: int = 720
    seconds: float = 2.0
    size: int = 0
    """Bytes the file is padded to with a ``free`` box; 0 or less than its natural size leaves it as it is."""
    moov_at_end: bool = False

    @property
    def name(self) -> str:
        """A file name that belongs to this order alone."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:32]


class VideoShelf:
    """Renders orders into a folder, each once. Thread-safe; a second caller waits for the first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._guard = threading.Lock()

    def video(self, order: VideoOrder) -> Path:
        """The MP4 of ``order``."""
        path = self.folder / f"{order.name}.mp4"
        with self._lock(path.name):
            if not path.exists():
                part = path.with_suffix(".part")
                if order.size:
                    self._pad(order, part)
                else:
                    _render(order, part)
                os.replace(part, path)
        return path

    def thumbnail(self, order: VideoOrder) -> Path:
        """A JPEG of a moment of that video."""
        path = self.folder / f"{order.name}.jpg"
        video = self.video(order)
        with self._lock(path.name):
            if not path.exists():
                poster(video, path, width=640)
        return path

    def _lock(self, name: str) -> threading.Lock:
        with self._guard:
            return self._locks[name]

    def _pad(self, order: VideoOrder, part: Path) -> None:
        digest = hashlib.sha256(order.seed.encode()).digest()
        shared = VideoOrder(
            f"shared-{digest[0] % _SHARED_RENDERINGS}",
            order.width,
            order.height,
            order.seconds,
            moov_at_end=order.moov_at_end,
        )
        base = self.video(shared).read_bytes()
        missing = order.size - len(base)
        with part.open("wb") as file:
            file.write(base)
            if missing >= 8:
                file.write(missing.to_bytes(4, "big") + b"free")
                block = hashlib.shake_256(digest).digest(min(missing - 8, 1 << 20))
                left = missing - 8
                while left > 0:
                    file.write(block[:left])
                    left -= len(block)


def _render(order: VideoOrder, path: Path) -> None:
    """Draw and encode: a coloured field, a square that travels, and the seed as a bar code along the bottom."""
    options = {} if order.moov_at_end else {"movflags": "+faststart"}
    with av.open(str(path), "w", format="mp4", options=options) as out:
        stream: Any = out.add_stream(
            "libx264", rate=FPS, options={"preset": "ultrafast", "crf": "23", "g": str(FPS), "threads": "2"}
        )
        stream.width, stream.height, stream.pix_fmt = order.width, order.height, "yuv420p"
        painter = _Painter(order)
        for index in range(max(1, round(order.seconds * FPS))):
            frame = painter.frame(index)
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


class _Painter:
    """Paints the frames of one order by joining prepared rows, which is quick without any picture library."""

    def __init__(self, order: VideoOrder) -> None:
        digest = hashlib.sha256(order.seed.encode()).digest()
        self.width, self.height = order.width, order.height
        self.u, self.v = 64 + digest[0] // 2, 64 + digest[1] // 2
        self.ground = 60 + digest[2] % 80
        self.side = max(8, order.height // 4 // 2 * 2)
        self.speed = (
            (2 + digest[3] % 5) * max(1, order.width // 320),
            (1 + digest[4] % 4) * max(1, order.height // 240),
        )
        self.start = digest[5] * 3, digest[6] * 3
        self.bits = int.from_bytes(digest[7:15], "big")

    def frame(self, index: int) -> Any:
        frame = av.VideoFrame(self.width, self.height, "yuv420p")
        luma, blue, red = frame.planes
        luma.update(self._luma(index, luma.line_size))
        blue.update(bytes([self.u]) * blue.buffer_size)
        red.update(bytes([self.v]) * red.buffer_size)
        return frame

    def _luma(self, index: int, stride: int) -> bytes:
        x = _bounce(self.start[0] + index * self.speed[0], self.width - self.side)
        y = _bounce(self.start[1] + index * self.speed[1], self.height - self.side)
        shades = [bytes([self.ground + row * 60 // self.height]) * stride for row in range(self.height)]
        square = bytes([225]) * self.side
        for row in range(y, y + self.side):
            line = shades[row]
            shades[row] = line[:x] + square + line[x + self.side :]
        bar = self._bar_code(index, stride)
        thick = max(4, self.height // 16)
        shades[self.height - thick :] = [bar] * thick
        return b"".join(shades)

    def _bar_code(self, index: int, stride: int) -> bytes:
        cell = max(1, self.width // 80)
        bits = format(self.bits, "064b") + format(index, "016b")
        line = b"".join((b"\xeb" if bit == "1" else b"\x10") * cell for bit in bits)
        return line[:stride].ljust(stride, b"\x10")


def _bounce(value: int, room: int) -> int:
    """``value`` walking to and fro in 0…room."""
    if room <= 0:
        return 0
    value %= 2 * room
    return value if value <= room else 2 * room - value
