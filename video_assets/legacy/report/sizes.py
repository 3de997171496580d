"""How large files are, without fetching them: one byte of each is asked for, through the guarded connections."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from video_assets.transfer.download.downloader import Downloader
from video_assets.transfer.download.policy import USER_AGENT
from video_assets.transfer.failures import DownloadFailed
from video_assets.transfer.http.redirects import next_url
from video_assets.transfer.http.timeouts import TimeLimits

_TOTAL: Final = re.compile(r"bytes\s+\d+-\d+/(\d+)")
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_SECONDS: Final = 15.0
"""Longest wait for one answer."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one ranged GET told."""

    works: bool
    """The link gave a byte of the file."""
    size: int | None
    status: int | None
    problem: str | None
    """Why it does not work, one sentence without secrets."""


def measure(downloader: Downloader, url: str) -> Measured:
    """Ask for the first byte of ``url``. Never raises for what the source does; follows redirects as guarded."""
    policy = downloader.policy
    watch = TimeLimits(deadline=time.monotonic() + _SECONDS, idle=_SECONDS, floor=0)
    headers = {
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        # A presigned GET is not valid for HEAD, so the size is asked for by the smallest GET there is.
        "Range": "bytes=0-0",
    }
    try:
        for _ in range(policy.max_redirects + 1):
            verdict = downloader.judge(url)
            if not verdict.allowed:
                return Measured(False, None, None, verdict.reason)
            with downloader.gate.slot(verdict.netloc, policy.per_host_concurrency, watch.remaining):
                connection = downloader.pool.connect(verdict, timeout=policy.connect_timeout, fresh=True)
                try:
                    answer = connection.ask(verdict, headers, watch, most_header_bytes=policy.max_header_bytes)
                    status, answered = answer.status, answer.headers
                    length = answer.length
                finally:
                    connection.close()  # a server that ignores the range would send the whole file
            if status not in _REDIRECTS:
                break
            location = answered.get("Location")
            if location is None:
                return Measured(False, None, status, "it redirects to nowhere")
            url = next_url(verdict, location)
        else:
            return Measured(False, None, None, "it redirects too often")
    except DownloadFailed as failure:
        return Measured(False, None, failure.status, str(failure))
    if status == 206 and (match := _TOTAL.match(answered.get("Content-Range", ""))):
        return Measured(True, int(match[1]), status, None)
    if status in (200, 206):
        return Measured(True, length if status == 200 else None, status, None)
    return Measured(False, None, status, f"the source answered {status}")


def measure_all(downloader: Downloader, urls: Sequence[str], *, concurrency: int = 8) -> list[Measured]:
    """``measure`` for several, in the same order."""
    if not urls:
        return []
    with ThreadPoolExecutor(min(concurrency, len(urls)), thread_name_prefix="measure") as pool:
        return list(pool.map(lambda url: measure(downloader, url), urls))
