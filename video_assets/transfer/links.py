"""Fetching by link: with the one at hand, and with a fresh one when it is dead or was refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from video_assets.catalog.models import utc_now
from video_assets.reasons import RETRY_POLICIES, Reason
from video_assets.transfer.cargo import MEDIA_KINDS, LinkGone, LinkUnavailable, RescueFailed, Step, sentence
from video_assets.transfer.failures import DownloadFailed
from video_assets.transfer.orders import Download
from video_assets.urls import classify


class Links(Protocol):
    """Where fresh links come from."""

    def refresh(self, output_id: str, /) -> None:
        """Write a fresh link into the row. Raises LinkGone or LinkUnavailable."""


class Linked(Protocol):
    """A file that is fetched by a link."""

    @property
    def kind(self) -> str:
        """An output kind."""

    @property
    def url(self) -> str | None:
        """The link at hand, a secret."""

    @property
    def deadline_at(self) -> datetime | None:
        """When that link dies, as far as is known."""

    def refresh(self) -> None:
        """Take a fresh link. Raises LinkGone or LinkUnavailable."""


class Fetcher(Protocol):
    """Who downloads: a ``Downloader``, or one that shares its limits with other processes."""

    def fetch(
        self, url: str, directory: Path, *, expected: str | None = None, expires_at: datetime | None = None
    ) -> Download:
        """A verified file. Raises DownloadFailed."""


def fetch_by_link(file: Linked, downloader: Fetcher, folder: Path, saw: Callable[[Step], None]) -> Download:
    """Download with the link at hand; a fresh one is asked for when it is dead, or after it failed.

    Raises RescueFailed, with what the source said and why there is no other link.
    """
    refreshed = False
    refused: RescueFailed | None = None
    cut = file.url is not None and classify(file.url).truncated
    if file.url is None or cut or _is_dead(file):
        try:
            _refresh(file, saw)
            refreshed = True
        except RescueFailed as failure:
            if file.url is None or cut:
                raise
            refused = failure
    try:
        return _download(file, downloader, folder)
    except DownloadFailed as failure:
        if refreshed or not RETRY_POLICIES[failure.reason].refresh_first or not failure_of_link(failure):
            raise from_download(failure) from None
        first = failure
    if refused is None:
        try:
            _refresh(file, saw)
        except RescueFailed as failure:
            refused = failure
    if refused is not None:
        # Both halves of the evidence: what the source said, and why there is no other link.
        raise RescueFailed(
            first.reason,
            f"{sentence(first)} {sentence(refused.message)}",
            retryable=not refused.final,
            final=refused.final,
            retry_after=refused.retry_after,
            evidence={**from_download(first).evidence, "refresh": refused.message},
        ) from None
    try:
        return _download(file, downloader, folder)
    except DownloadFailed as failure:
        raise from_download(failure) from None


def failure_of_link(failure: DownloadFailed) -> bool:
    """Whether a fresh link could cure this failure: the source spoke, and what it said was about the link."""
    return failure.reason in (Reason.SOURCE_EXPIRED, Reason.SOURCE_GONE, Reason.SOURCE_REFUSED)


def _is_dead(file: Linked) -> bool:
    return file.deadline_at is not None and file.deadline_at <= utc_now()


def _refresh(file: Linked, saw: Callable[[Step], None]) -> None:
    """Take a fresh link. Raises RescueFailed, final when there will never be one."""
    try:
        file.refresh()
    except LinkGone as exc:
        raise RescueFailed(
            Reason.SOURCE_EXPIRED if file.deadline_at else Reason.SOURCE_GONE,
            str(exc),
            retryable=False,
            final=True,
            evidence={"refresh": str(exc), "when": utc_now()},
        ) from None
    except LinkUnavailable as exc:
        raise RescueFailed(Reason.PROVIDER_ERROR, str(exc), retry_after=exc.retry_after) from None
    saw(Step.REFRESHED)


def _download(file: Linked, downloader: Fetcher, folder: Path) -> Download:
    if file.url is None:
        raise RescueFailed(Reason.SOURCE_GONE, "The output has no link.", retryable=False)
    return downloader.fetch(file.url, folder, expected=MEDIA_KINDS.get(file.kind), expires_at=file.deadline_at)


def from_download(failure: DownloadFailed) -> RescueFailed:
    """A failed fetch as a failed try, with its evidence."""
    evidence: dict[str, Any] = {
        "fault": str(failure.fault),
        "status": failure.status,
        "when": utc_now(),
        **failure.evidence,
    }
    return RescueFailed(
        failure.reason,
        str(failure),
        retryable=failure.retryable,
        retry_after=failure.retry_after,
        evidence=evidence,
    )
