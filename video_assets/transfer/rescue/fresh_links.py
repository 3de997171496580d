"""Fetching by link: with the one at hand, and with a fresh one when it is dead or was refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from video_assets.catalog.models import utc_now
from video_assets.reasons import RETRY_POLICIES, Reason, Side
from video_assets.transfer.download.policy import Download
from video_assets.transfer.failures import DownloadFailed
from video_assets.transfer.rescue.target import (
    MEDIA_KINDS,
    LinkGone,
    LinkUnavailable,
    RescueFailed,
    Step,
    sentence,
)
from video_assets.urls import Bound, classify


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
    no_link: LinkGone | LinkUnavailable | None = None
    refreshed = False
    cut = file.url is not None and classify(file.url).truncated
    if file.url is None or cut or _is_dead(file):
        no_link = _refresh(file, saw)
        refreshed = no_link is None
    if file.url is None or (cut and not refreshed):
        raise _without_link(file, no_link)
    try:
        return _download(file.url, file, downloader, folder)
    except DownloadFailed as failure:
        if refreshed or not (RETRY_POLICIES[failure.reason].refresh_first and failure_of_link(failure)):
            renewable = refreshed or isinstance(no_link, LinkUnavailable)
            raise from_download(failure, renewable=renewable) from None
        first = failure
    if no_link is None:
        no_link = _refresh(file, saw)
    if no_link is not None:
        raise _refused_twice(first, no_link) from None
    try:
        return _download(file.url, file, downloader, folder)
    except DownloadFailed as failure:
        raise from_download(failure, renewable=True) from None


def failure_of_link(failure: DownloadFailed) -> bool:
    """Whether a fresh link could cure this failure: the source spoke, and what it said was about the link."""
    return failure.reason in (Reason.SOURCE_EXPIRED, Reason.SOURCE_GONE, Reason.SOURCE_REFUSED)


def certain_death(url: str | None, deadline_at: datetime | None) -> datetime | None:
    """``deadline_at`` unless the link only tells how long it lives at least."""
    if deadline_at is None or url is None:
        return deadline_at
    return None if classify(url).bound is Bound.LOWER else deadline_at


def _is_dead(file: Linked) -> bool:
    return file.deadline_at is not None and file.deadline_at <= utc_now()


def _refresh(file: Linked, saw: Callable[[Step], None]) -> LinkGone | LinkUnavailable | None:
    """Take a fresh link; why there is none, else None."""
    try:
        file.refresh()
    except (LinkGone, LinkUnavailable) as refused:
        return refused
    saw(Step.REFRESHED)
    return None


def _without_link(file: Linked, no_link: LinkGone | LinkUnavailable | None) -> RescueFailed:
    """The failure of a file that has no link at all."""
    if isinstance(no_link, LinkUnavailable):
        return RescueFailed(no_link.reason, str(no_link), renewable=True, retry_after=no_link.retry_after)
    said = str(no_link) if no_link is not None else "The output has no link."
    return RescueFailed(
        Reason.SOURCE_EXPIRED if file.deadline_at else Reason.SOURCE_GONE,
        said,
        certain=True,
        evidence={"refresh": said, "when": utc_now()},
    )


def _refused_twice(first: DownloadFailed, no_link: LinkGone | LinkUnavailable) -> RescueFailed:
    """Both halves of the evidence: what the source said, and why there is no other link."""
    unavailable = no_link if isinstance(no_link, LinkUnavailable) else None
    ours = unavailable is not None and RETRY_POLICIES[unavailable.reason].side is Side.OURS
    return RescueFailed(
        unavailable.reason if unavailable is not None and ours else first.reason,
        f"{sentence(first)} {sentence(no_link)}",
        certain=first.certain or (isinstance(no_link, LinkGone) and no_link.data_gone),
        renewable=unavailable is not None,
        retry_after=unavailable.retry_after if unavailable else None,
        evidence={**from_download(first).evidence, "refresh": str(no_link)},
    )


def _download(url: str, file: Linked, downloader: Fetcher, folder: Path) -> Download:
    return downloader.fetch(
        url,
        folder,
        expected=MEDIA_KINDS.get(file.kind),
        expires_at=certain_death(url, file.deadline_at),
    )


def from_download(failure: DownloadFailed, *, renewable: bool = False) -> RescueFailed:
    """A failed fetch as a failed try, with its evidence. ``renewable``: the provider may give another link."""
    evidence: dict[str, Any] = {
        "fault": str(failure.fault),
        "status": failure.status,
        "when": utc_now(),
        **failure.evidence,
    }
    return RescueFailed(
        failure.reason,
        str(failure),
        certain=failure.certain,
        renewable=renewable,
        retry_after=failure.retry_after,
        evidence=evidence,
    )
