"""What the saga carries: the words of its steps and results, and what it has to be told about one file.

A :class:`RescueTarget` is the bridge between the engine (:mod:`.saga`) and the rows that describe
a file: an output of a provider job, or a file that a legacy source links to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from sqlmodel import Session

from video_assets.media.probe import MediaFacts
from video_assets.reasons import Reason
from video_assets.storage.durable import DurableStorage, StorageFailed
from video_assets.transfer.download.expectation import Expected
from video_assets.transfer.download.policy import Download

MEDIA_KINDS: Final[dict[str, Expected]] = {
    "video": "video",
    "clip": "video",
    "captioned": "video",
    "thumbnail": "image",
    "image": "image",
    "gif": "image",
    "audio": "audio",
    "subtitle": "subtitle",
    "file": "file",
}
"""Which family of file each kind of output should be; others are taken as they come."""


class Step(StrEnum):
    """The lines of the saga, in order. An observer hears each one after it is done."""

    CLAIMED = "claimed"
    REFRESHED = "refreshed"
    DOWNLOADED = "downloaded"
    VERIFIED = "verified"
    JOURNALED = "journaled"
    STORED = "stored"
    READ_BACK = "read_back"
    COMMITTED = "committed"


Observer = Callable[[Step, str], None]
"""Hears ``(step, id of the file's row)``. What it raises stops that rescue like any other failure."""


class Result(StrEnum):
    """How the rescue of one file ended."""

    STORED = "stored"
    WAITING = "waiting"
    """It failed and is tried again at ``next_attempt_at``."""
    REFUSED = "refused"
    """One of our own rules refuses it: a person may change that rule. Tried again like what waits."""
    LOST = "lost"
    GIVEN_UP = "given_up"
    """A person does not want it any more."""
    SKIPPED = "skipped"
    """Nothing to do: it is settled already, or another worker has it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to one file."""

    id: str
    result: Result
    reason: Reason | None = None
    message: str | None = None
    size: int = 0
    seconds: float = 0.0
    next_attempt_at: datetime | None = None


class LinkGone(Exception):
    """There will never be a fresh link: the provider deleted the output or cannot hand out another.

    ``data_gone`` says that the provider itself no longer has what the job made; else there merely is no other
    link than the one at hand, which may still work.
    """

    def __init__(self, message: str, *, data_gone: bool = False) -> None:
        super().__init__(message)
        self.data_gone = data_gone


class LinkUnavailable(Exception):
    """The provider cannot be asked for a fresh link at the moment; ``reason`` says whose fault that is."""

    def __init__(
        self, message: str, *, reason: Reason = Reason.PROVIDER_ERROR, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


class LeaseLost(Exception):
    """Somebody else owns this file now; nothing more is done here."""


@dataclass(eq=False)
class RescueFailed(Exception):
    """One try ended. ``message`` is a sentence that is safe to show."""

    reason: Reason
    message: str
    certain: bool = False
    """The link will not work again: without another one the file is lost."""
    renewable: bool = False
    """Another link was had in this try, or may be had later: the death of the one at hand is not the end."""
    retry_after: timedelta | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    bytes_are_kept: bool = False
    """The verified bytes are in a spool: the next try only uploads, and the link's death does not matter."""


@dataclass(frozen=True, slots=True)
class StoredCopy:
    """A copy that was read back from the store and may now be called durable."""

    bucket: str
    key: str
    file_url: str
    download: Download
    facts: MediaFacts | None
    """None for files that are no media (archives, subtitles, documents)."""
    proof: str
    """How the read-back was proven: ``etag`` or ``bytes``."""
    etag: str | None


class RescueTarget(Protocol):
    """One file that has to become durable, as the rows that describe it know it.

    Methods that get a session work inside one short transaction of the engine and do not commit it.
    """

    @property
    def id(self) -> str:
        """Id of the file's row."""

    @property
    def resource(self) -> str:
        """Name of the lease that makes one worker the owner of this file."""

    @property
    def kind(self) -> str:
        """An output kind: ``video``, ``thumbnail`` …"""

    @property
    def attempts(self) -> int:
        """How many tries have begun, this one included."""

    @property
    def deadline_at(self) -> datetime | None:
        """When its link dies, as far as is known."""

    @property
    def url(self) -> str | None:
        """The link at hand, a secret."""

    @property
    def failing_since(self) -> datetime | None:
        """Since when its source has failed without a break; faults of our own side end that."""

    def settled(self, session: Session) -> Outcome | None:
        """Read the row as it is now: the outcome when nothing is left to do, None when it is to be rescued."""

    def begin(self, session: Session, run_id: str | None) -> None:
        """Note that a try begins."""

    def fetch(self, folder: Path, saw: Callable[[Step], None]) -> Download:
        """Bring the file into ``folder``, whole and verified. Raises RescueFailed."""

    def journal(self, session: Session, download: Download, bucket: str, run_id: str | None) -> tuple[str, bool]:
        """Write down the key that the upload will use; True beside it when an earlier try wrote the same."""

    def commit(self, session: Session, copy: StoredCopy, run_id: str | None) -> None:
        """Make the copy public and erase the temporary URL."""

    def is_stored(self, session: Session) -> bool:
        """Whether a commit whose answer was lost did happen."""

    def record_failure(
        self,
        session: Session,
        failure: RescueFailed,
        *,
        failing_since: datetime | None,
        next_attempt_at: datetime | None,
        run_id: str | None,
    ) -> None:
        """Write down why the try failed and when the next one is; None means that the file is lost.

        A lost file keeps its link, encrypted, for ``catalog.lost_links`` to erase.
        """


def remove_unfinished(storage: DurableStorage, key: str) -> None:
    """Remove what a try that was cut off stored as another kind of file, while a row still names it.

    Raises:
        RescueFailed: when the store does not answer; nobody would know of the object any more.
    """
    try:
        storage.delete(key)
    except StorageFailed as exc:
        raise RescueFailed(Reason.STORAGE_FAILED, str(exc)) from None


def sentence(text: object) -> str:
    """``text`` with a capital at its beginning and exactly one full stop at its end."""
    words = str(text).rstrip(". ") + "."
    return words[0].upper() + words[1:]
