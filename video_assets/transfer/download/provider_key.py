"""Downloading a file that is behind a provider's own key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from video_assets.transfer.download.policy import Download


class HeaderFetcher(Protocol):
    """Who downloads and can send headers along: they go to the URL's own origin only."""

    def fetch(
        self,
        url: str,
        directory: Path,
        *,
        headers: Mapping[str, str] | None = None,
        expected: str | None = None,
        expires_at: datetime | None = None,
    ) -> Download:
        """A verified file. Raises DownloadFailed."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """Asks for the headers of each URL at the moment of its download, and keeps none."""

    downloader: HeaderFetcher
    headers: Callable[[str], Mapping[str, str]]
    """The headers for a URL: empty where it is to see no key. What it raises ends the try."""

    def fetch(
        self, url: str, directory: Path, *, expected: str | None = None, expires_at: datetime | None = None
    ) -> Download:
        """A verified file. Raises DownloadFailed."""
        headers = self.headers(url)
        return self.downloader.fetch(url, directory, headers=headers, expected=expected, expires_at=expires_at)
