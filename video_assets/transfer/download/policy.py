"""What a download is asked for, under which limits, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from video_assets import __version__
from video_assets.media.container import ContainerReport
from video_assets.settings import Settings
from video_assets.transfer.download.expectation import Expected
from video_assets.transfer.ssrf.guard import DEFAULT_PORTS

USER_AGENT = f"Mozilla/5.0 (compatible; video-assets/{__version__})"
"""Honest, and in the form that CDNs expect of a browser: KIE's answers 403 to Python's own."""
OTHER_USER_AGENT = (
    f"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0 video-assets/{__version__}"
)
"""Sent once when the first was refused before the link's time: some CDNs only let known browsers in."""


@dataclass(frozen=True, slots=True)
class DownloadPolicy:
    """The limits of every fetch. Times in seconds, sizes in bytes."""

    max_bytes: int = 5 * 1024**3
    """Largest file, counted after decoding."""
    connect_timeout: float = 10.0
    idle_timeout: float = 30.0
    """Longest silence, longest wait for complete headers, and the window of the throughput floor."""
    total_timeout: float = 3600.0
    min_bytes_per_second: int = 16 * 1024
    per_host_concurrency: int = 6
    allowed_hosts: tuple[str, ...] = ()
    allowed_ports: tuple[int, ...] = DEFAULT_PORTS
    max_redirects: int = 5
    max_header_bytes: int = 65_536
    attempts: int = 4
    """Tries within one fetch, where trying again at once can help; long waits are the caller's."""
    first_wait: float = 0.5
    """Pause before the second try; it doubles from there."""
    longest_wait: float = 20.0
    """A source that asks for a longer pause than this ends the fetch, with that pause in the failure."""
    md5: bool = True
    """Compute MD5 beside SHA-256: it costs more than SHA-256 does, and only some stores compare it."""
    fsync_spool: bool = False
    """Force the finished file to the disk: only needed where the spool is not scratch."""

    @classmethod
    def from_settings(cls, settings: Settings) -> DownloadPolicy:
        """The limits of an installation."""
        return cls(
            max_bytes=settings.max_download_bytes,
            connect_timeout=settings.connect_timeout_seconds,
            idle_timeout=settings.idle_timeout_seconds,
            total_timeout=settings.total_timeout_seconds,
            min_bytes_per_second=settings.min_bytes_per_second,
            per_host_concurrency=settings.per_host_concurrency,
            allowed_hosts=settings.allowed_hosts,
            allowed_ports=settings.allowed_ports,
        )


@dataclass(frozen=True, slots=True)
class Download:
    """A verified file in the spool. Whoever asked for it moves or removes it."""

    path: Path
    size: int
    sha256: str
    """Hex, like every digest here."""
    md5: str | None
    """None where the policy leaves it out."""
    content_type: str
    """By the bytes, not by what the source said."""
    extension: str
    """Without a dot."""
    container: ContainerReport
    status: int
    hops: tuple[str, ...]
    """Where the requests went, without paths: safe to show."""
    seconds: float
    attempts: int
    resumed: int
    """How many times it went on where it had broken off."""
    etag: str | None
    verified_digests: tuple[str, ...] = ()
    """Names of the digests that the source offered and that agree."""
    unverified_digests: tuple[str, ...] = ()
    """Names of those it offered that nothing here can check cheaply."""
    is_local: bool = False
    """It was made from bytes that are here already (a BLOB, a file on disk) and can be made again."""


@dataclass(slots=True)
class FetchRequest:
    """What one fetch was asked for."""

    url: str = field(repr=False)
    directory: Path
    headers: Mapping[str, str] = field(repr=False)
    expected: Expected | None
    expires_at: datetime | None
    deadline: float
    """On the monotonic clock."""
    on_progress: Callable[[int, int | None], None] | None
    cancelled: Callable[[], bool] | None
