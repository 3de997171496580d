"""A real small video, a server that fails on demand, and a downloader that is allowed to ask it."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from video_assets.emulator.faults.server import FaultServer
from video_assets.transfer.download.downloader import Downloader, DownloadPolicy
from video_assets.transfer.download.host_throttle import HostThrottle


@pytest.fixture(scope="session")
def video() -> bytes:
    """A real H.264 MP4 of some 400 kB, with the index at its end."""
    buffer = io.BytesIO()
    noise = random.Random(7)
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for _ in range(12):
            frame = av.VideoFrame(320, 180, "rgb24")
            frame.planes[0].update(noise.randbytes(frame.planes[0].buffer_size))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


@pytest.fixture
def source(video: bytes) -> Iterator[FaultServer]:
    """A fault server with that video."""
    with FaultServer(video) as server:
        yield server


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A spool folder that does not exist yet."""
    return tmp_path / "spool"


@pytest.fixture
def make_downloader(source: FaultServer) -> Iterator[Callable[..., Downloader]]:
    """Downloaders for the fault server: impatient, and polite to nobody else."""
    made: list[Downloader] = []

    def make(**limits: object) -> Downloader:
        defaults: dict[str, object] = {
            "allowed_hosts": (source.netloc,),
            "idle_timeout": 0.5,
            "total_timeout": 20.0,
            "first_wait": 0.0,
            "attempts": 2,
        }
        policy = DownloadPolicy(**{**defaults, **limits})  # type: ignore[arg-type]
        downloader = Downloader(policy, gate=HostThrottle(first_pause=0.0))
        made.append(downloader)
        return downloader

    yield make
    for downloader in made:
        downloader.close()


@pytest.fixture
def downloader(make_downloader: Callable[..., Downloader]) -> Downloader:
    """The usual one."""
    return make_downloader()
