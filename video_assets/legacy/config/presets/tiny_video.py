"""A real MP4 of a few kilobytes, for BLOB columns of examples."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import av

_FRAMES = 12
_WIDTH, _HEIGHT = 160, 90


@lru_cache(maxsize=32)
def tiny_video(number: int) -> bytes:
    """Half a second of moving grey stripes. Another number gives another video."""
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as out:
        stream: Any = out.add_stream("libx264", rate=24, options={"preset": "ultrafast", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        for index in range(_FRAMES):
            frame = av.VideoFrame(_WIDTH, _HEIGHT, "yuv420p")
            for plane, value in zip(frame.planes, (60, 128, 128), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            luma = frame.planes[0]
            stripe = bytes([(90 + (x // 8 + index + number * 5) % 9 * 16) for x in range(luma.line_size)])
            luma.update(stripe * _HEIGHT)
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return target.getvalue()
