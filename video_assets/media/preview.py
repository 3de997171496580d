"""A short, small, silent version of a video that a gallery plays on hover."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from video_assets.media.poster import UprightScaler, scaled_size
from video_assets.media.probe import MediaFacts, NotPlayable, display_size, is_still, open_media, probe

_FRAMES_PER_SECOND = 24
"""Fixed rate of a preview; a source with a variable rate becomes even."""
_QUALITY = "28"
"""x264's constant rate factor: small files, fine at thumbnail size."""


def preview(path: Path, destination: Path, *, seconds: float = 3, width: int = 480) -> MediaFacts:
    """Write the first ``seconds`` as silent H.264 MP4 (index in front), at most ``width`` pixels wide.

    The file appears under its name only when complete. Returns its facts. Raises NotPlayable for a file
    without moving picture, or OSError when ``destination`` cannot be written.
    """
    part = destination.with_name(destination.name + ".part")
    try:
        with open_media(path) as (report, container):
            if not container.streams.video or is_still(report):
                raise NotPlayable(f"The {report.format} file holds no moving picture.")
            _encode(container, part, seconds, width)
        os.replace(part, destination)
    finally:
        part.unlink(missing_ok=True)
    return probe(destination)


def _encode(container: Any, part: Path, seconds: float, width: int) -> None:
    with av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as out:
        target: Any = None
        for index, picture in enumerate(_even_pictures(container, seconds, width)):
            if target is None:
                options = {"crf": _QUALITY, "preset": "veryfast", "threads": "2"}
                target = out.add_stream("libx264", rate=_FRAMES_PER_SECOND, options=options)
                target.width, target.height, target.pix_fmt = picture.width, picture.height, "yuv420p"
            picture.pts, picture.time_base = index, Fraction(1, _FRAMES_PER_SECOND)
            picture.pict_type = av.video.frame.PictureType.NONE
            out.mux(target.encode(picture))
        if target is None:
            raise NotPlayable("No frame of the file can be decoded.")
        out.mux(target.encode(None))


def _even_pictures(container: Any, seconds: float, width: int) -> Iterator[Any]:
    """Scaled pictures at the fixed rate; one is repeated or left out where the source is slower or faster."""
    stream: Any = container.streams.video[0]
    stream.codec_context.thread_count = 2
    wanted = max(1, round(seconds * _FRAMES_PER_SECOND))
    size, scale, picture = (0, 0), None, None
    start, shown = None, 0
    for frame in container.decode(stream):
        if frame.time is None:
            continue
        if start is None:
            start, size = frame.time, scaled_size(*display_size(frame, stream), width)
        due = min(round((frame.time - start) * _FRAMES_PER_SECOND), wanted)
        while picture is not None and shown < due:
            yield picture
            shown += 1
        if shown >= wanted:
            return
        if scale is None or not scale.fits(frame):
            scale = UprightScaler(frame, size, "yuv420p")
        picture = scale(frame)
    if picture is not None:
        yield picture
