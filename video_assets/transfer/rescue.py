"""The rescue: download → verify → journal → store → read back → commit and erase the temporary URL.

All or nothing, for one output or for many, by one process or by several. This module is the only writer of
``stored``. Every arrow above is a line between which the process may be killed:

* before the journal row nothing exists outside the spool; the next try starts over;
* after it, whatever reached the store lies under a key the row names, so the next try proves and adopts it,
  overwrites it, or the sweep removes it;
* the commit makes the copy public and erases the temporary URL in one transaction.

A lease with a fencing token makes one worker the owner of an output; it is shown again inside the commit.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col, select

from video_assets.catalog import (
    Catalog,
    CatalogError,
    Generation,
    MediaFile,
    MediaState,
    Output,
    journal,
    leases,
    queries,
)
from video_assets.catalog.models import utc_now
from video_assets.catalog.settling import settle
from video_assets.media.probe import MediaFacts, NotPlayable, probe
from video_assets.reasons import RETRY_POLICIES, Reason
from video_assets.storage.durable import DurableStorage, StorageFailed
from video_assets.storage.keys import KeyTemplate
from video_assets.transfer.download import Download, Downloader
from video_assets.transfer.failures import DownloadFailed
from video_assets.urls import redact

log = logging.getLogger(__name__)

MEDIA_KINDS = {
    "video": "video",
    "clip": "video",
    "captioned": "video",
    "thumbnail": "image",
    "gif": "image",
    "audio": "audio",
}
"""Which family of file each kind of output must be; others are taken as they come."""


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
"""Hears ``(step, output id)``. What it raises stops that output's rescue like any other failure."""


class LinkGone(Exception):
    """There will never be a fresh link: the provider deleted the output or cannot hand out another."""


class LinkUnavailable(Exception):
    """The provider cannot be asked for a fresh link at the moment."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Links(Protocol):
    """Where fresh links come from."""

    def refresh(self, output_id: str) -> None:
        """Write a fresh link into the output's row. Raises LinkGone or LinkUnavailable."""


class LeaseLost(Exception):
    """Somebody else owns this output now; nothing more is done here."""


class Result(StrEnum):
    """How the rescue of one output ended."""

    STORED = "stored"
    WAITING = "waiting"
    """It failed and is tried again at ``next_attempt_at``."""
    LOST = "lost"
    SKIPPED = "skipped"
    """Nothing to do: it is settled already, or another worker has it."""


@dataclass(frozen=True, slots=True)
class RescueResult:
    """What happened to one output."""

    output_id: str
    generation_id: str
    result: Result
    reason: Reason | None = None
    message: str | None = None
    size: int = 0
    seconds: float = 0.0
    next_attempt_at: datetime | None = None


@dataclass(eq=False)
class _Failure(Exception):
    reason: Reason
    message: str
    retryable: bool = True
    final: bool = False
    retry_after: timedelta | None = None
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rescuer:
    """The saga with its tools. One per process is enough; it is safe to use from many threads."""

    catalog: Catalog
    storage: DurableStorage
    downloader: Downloader
    key_template: KeyTemplate
    spool: Path
    links: Links | None = None
    concurrency: int = 8
    lease: timedelta = timedelta(seconds=120)
    observer: Observer | None = None

    def rescue(
        self, output_ids: Sequence[str], *, run_id: str | None = None, patience: timedelta = timedelta()
    ) -> list[RescueResult]:
        """Rescue every output, in the order given, ``concurrency`` at a time; results in the same order.

        A failure of one never touches another: it is recorded with its reason and next attempt and returned
        as a result. ``patience`` is how long in all to wait for next attempts that are near. Raises only what
        makes every rescue senseless (CatalogError).
        """
        results = {result.output_id: result for result in self._round(output_ids, run_id)}
        stop_at = utc_now() + patience
        while waiting := [
            result
            for result in results.values()
            if result.next_attempt_at is not None and result.next_attempt_at <= stop_at
        ]:
            soonest = min(result.next_attempt_at for result in waiting if result.next_attempt_at)
            time.sleep(max((soonest - utc_now()).total_seconds(), 0))
            due = [r.output_id for r in waiting if r.next_attempt_at and r.next_attempt_at <= utc_now()]
            results.update({result.output_id: result for result in self._round(due, run_id)})
        return [results[output_id] for output_id in output_ids]

    def _round(self, output_ids: Sequence[str], run_id: str | None) -> list[RescueResult]:
        if not output_ids:
            return []
        self.spool.mkdir(parents=True, exist_ok=True)
        holder = leases.new_holder()
        with (
            _Heartbeat(self.catalog, self.lease) as heartbeat,
            ThreadPoolExecutor(min(self.concurrency, len(output_ids)), thread_name_prefix="rescue") as pool,
        ):
            return list(
                pool.map(lambda output_id: self._rescue_one(output_id, holder, heartbeat, run_id), output_ids)
            )

    def _rescue_one(self, output_id: str, holder: str, heartbeat: _Heartbeat, run_id: str | None) -> RescueResult:
        started = utc_now()
        claimed = self._claim(output_id, holder, run_id)
        if isinstance(claimed, RescueResult):
            return claimed
        output, claim = claimed
        with heartbeat.keeps(claim):
            try:
                self._saw(Step.CLAIMED, output_id)
                size = self._save(output, claim, run_id)
                seconds = (utc_now() - started).total_seconds()
                return RescueResult(output_id, output.generation_id, Result.STORED, size=size, seconds=seconds)
            except LeaseLost:
                log.warning("%s: another worker has taken over", output_id)
                return RescueResult(output_id, output.generation_id, Result.SKIPPED)
            except _Failure as failure:
                return self._record_failure(output, claim, failure, run_id)
            finally:
                with suppress(CatalogError), self.catalog.write() as session:
                    leases.release(session, claim)

    def _claim(
        self, output_id: str, holder: str, run_id: str | None
    ) -> RescueResult | tuple[Output, leases.Claim]:
        with self.catalog.write() as session:
            output = session.get_one(Output, output_id)
            if output.state == MediaState.STORED:
                return RescueResult(output_id, output.generation_id, Result.SKIPPED)
            if output.state == MediaState.LOST:
                return RescueResult(
                    output_id, output.generation_id, Result.LOST, _reason(output.reason), output.message
                )
            claim = leases.acquire(session, f"output:{output_id}", holder, ttl=self.lease)
            if claim is None:
                return RescueResult(
                    output_id, output.generation_id, Result.SKIPPED, message="another worker has it"
                )
            session.refresh(output)
            if output.state != MediaState.PENDING:
                leases.release(session, claim)
                return RescueResult(output_id, output.generation_id, Result.SKIPPED)
            output.attempts += 1
            output.updated_at = utc_now()
            journal.record(
                session,
                Step.CLAIMED,
                f"try {output.attempts} for {output.kind} {output.index} from {output.source_redacted}",
                generation_id=output.generation_id,
                output_id=output_id,
                run_id=run_id,
            )
            return output, claim

    def _save(self, output: Output, claim: leases.Claim, run_id: str | None) -> int:
        """Everything between the claim and the commit. Returns the size in bytes."""
        with TemporaryDirectory(dir=self.spool, prefix="rescue-") as folder:
            download = self._fetch(output, Path(folder))
            self._saw(Step.DOWNLOADED, output.id)
            facts = self._verify(output, download)
            self._saw(Step.VERIFIED, output.id)
            media, known_before = self._journal(output, claim, download, run_id)
            self._saw(Step.JOURNALED, output.id)
            proof = self._adopt(media, download) if known_before else None
            etag = None
            if proof is None:
                etag = self._store(media, download)
                self._saw(Step.STORED, output.id)
                proof = self._read_back(media, download)
            self._saw(Step.READ_BACK, output.id)
            self._commit(output, claim, media, download, facts, proof, etag, run_id)
            self._saw(Step.COMMITTED, output.id)
            return download.size

    # -- the source -----------------------------------------------------------------------------------------

    def _fetch(self, output: Output, folder: Path) -> Download:
        """Download with the link at hand; a fresh one is asked for when it is dead, or after it failed."""
        refreshed = False
        if output.temporary_url is None or self._is_dead(output):
            refreshed = self._refresh(output, required=output.temporary_url is None)
        try:
            return self._download(output, folder)
        except DownloadFailed as failure:
            if refreshed or not RETRY_POLICIES[failure.reason].refresh_first or not failure_of_link(failure):
                raise _from_download(failure) from None
            first = failure
        try:
            self._refresh(output, required=True)
        except _Failure as refused:
            # Both halves of the evidence: what the source said, and why there is no other link.
            evidence = {**_from_download(first).evidence, "refresh": refused.message}
            raise _Failure(
                first.reason,
                f"{_sentence(first)} {_sentence(refused.message)}",
                retryable=not refused.final,
                final=refused.final,
                retry_after=refused.retry_after,
                evidence=evidence,
            ) from None
        try:
            return self._download(output, folder)
        except DownloadFailed as failure:
            raise _from_download(failure) from None

    @staticmethod
    def _is_dead(output: Output) -> bool:
        return output.deadline_at is not None and output.deadline_at <= utc_now()

    def _refresh(self, output: Output, *, required: bool) -> bool:
        """Put a fresh link into ``output``; False when there is none and none is required."""
        try:
            if self.links is None:
                raise LinkGone("there is no provider to ask for a fresh link")
            self.links.refresh(output.id)
        except LinkGone as exc:
            if not required:
                return False
            raise _Failure(
                Reason.SOURCE_EXPIRED if output.deadline_at else Reason.SOURCE_GONE,
                str(exc),
                retryable=False,
                final=True,
                evidence={"refresh": str(exc), "when": utc_now()},
            ) from None
        except LinkUnavailable as exc:
            if not required:
                return False
            raise _Failure(Reason.PROVIDER_ERROR, str(exc), retry_after=exc.retry_after) from None
        with self.catalog.read() as session:
            fresh = session.get_one(Output, output.id)
        output.temporary_url = fresh.temporary_url
        output.deadline_at = fresh.deadline_at
        output.source_redacted = fresh.source_redacted
        self._saw(Step.REFRESHED, output.id)
        return True

    def _download(self, output: Output, folder: Path) -> Download:
        if output.temporary_url is None:
            raise _Failure(Reason.SOURCE_GONE, "The output has no link.", retryable=False)
        return self.downloader.fetch(
            output.temporary_url,
            folder,
            expected=MEDIA_KINDS.get(output.kind),
            expires_at=output.deadline_at,
        )

    @staticmethod
    def _verify(output: Output, download: Download) -> MediaFacts | None:
        """Prove that the file decodes. None for kinds that are not media (archives, subtitles)."""
        if output.kind not in MEDIA_KINDS:
            return None
        try:
            return probe(download.path)
        except NotPlayable as exc:
            raise _Failure(
                Reason.BAD_CONTENT,
                f"The file does not play: {exc}.",
                evidence={"size": download.size, "sha256": download.sha256, "when": utc_now()},
            ) from None

    # -- the store ------------------------------------------------------------------------------------------

    def _journal(
        self, output: Output, claim: leases.Claim, download: Download, run_id: str | None
    ) -> tuple[MediaFile, bool]:
        """Write the pending row under the key that the upload will use. True beside it: an earlier try did so."""
        with self._fenced(claim) as session:
            generation = queries.get_generation(session, output.generation_id)
            key = self._key(session, generation, output, download.extension)
            media = session.get(MediaFile, output.id)
            known_before = media is not None and media.key == key
            if media is None:
                media = MediaFile(
                    id=output.id,
                    generation_id=output.generation_id,
                    output_id=output.id,
                    role=output.kind,
                    bucket=self.storage.bucket,
                    key=key,
                )
            media.bucket, media.key = self.storage.bucket, key
            media.file_name = key.rpartition("/")[2]
            media.file_size = download.size
            media.file_type = download.content_type
            media.sha256 = download.sha256
            media.md5 = download.md5
            media.updated_at = utc_now()
            session.add(media)
            journal.record(
                session,
                Step.JOURNALED,
                f"{download.size} bytes verified, about to store {key}",
                generation_id=output.generation_id,
                output_id=output.id,
                run_id=run_id,
                sha256=download.sha256,
            )
            return media, known_before

    def _key(self, session: Session, generation: Generation, output: Output, extension: str) -> str:
        key = self.key_template.render(
            owner=generation.owner,
            generation=generation.id,
            provider=generation.provider,
            kind=output.kind,
            index=output.index,
            ext=extension,
            id=output.id,
            campaign=generation.campaign or "",
        )
        taken = session.exec(
            select(MediaFile.id).where(
                MediaFile.bucket == self.storage.bucket, MediaFile.key == key, col(MediaFile.id) != output.id
            )
        ).first()
        if taken is None:
            return key
        # A template may leave out what tells two outputs apart; the later one then says what it is.
        stem, dot, suffix = key.rpartition(".")
        return f"{stem}-{output.kind}-{output.id.rsplit('.', 3)[1]}{dot}{suffix}"

    def _adopt(self, media: MediaFile, download: Download) -> str | None:
        """How the store proves that it holds these bytes already, from a try that was cut off; else None."""
        try:
            found = self.storage.head(media.key)
            if found is None or found.size != download.size:
                return None
            return self.storage.read_back(media.key, size=download.size, sha256=download.sha256, md5=download.md5)
        except StorageFailed:
            return None

    def _store(self, media: MediaFile, download: Download) -> str | None:
        try:
            stored = self.storage.put(
                media.key,
                download.path,
                content_type=download.content_type,
                sha256=download.sha256,
                md5=download.md5,
            )
        except StorageFailed as exc:
            raise _Failure(Reason.STORAGE_FAILED, str(exc)) from None
        return stored.etag

    def _read_back(self, media: MediaFile, download: Download) -> str:
        try:
            return self.storage.read_back(media.key, size=download.size, sha256=download.sha256, md5=download.md5)
        except StorageFailed as exc:
            self._remove(media)
            raise _Failure(Reason.STORAGE_FAILED, f"The store gave other bytes back: {exc}") from None

    # -- the catalog ----------------------------------------------------------------------------------------

    def _commit(
        self,
        output: Output,
        claim: leases.Claim,
        media: MediaFile,
        download: Download,
        facts: MediaFacts | None,
        proof: str,
        etag: str | None,
        run_id: str | None,
    ) -> None:
        """One transaction: the copy becomes ours, the temporary URL is gone, the generation is settled."""
        try:
            with self._fenced(claim) as session:
                now = utc_now()
                row = session.get_one(Output, output.id, populate_existing=True)
                stored = session.get_one(MediaFile, media.id, populate_existing=True)
                stored.state = MediaState.STORED
                stored.file_url = self.storage.public_url(media.key)
                stored.proof = proof
                stored.etag = etag
                stored.uploaded_at = stored.verified_at = stored.updated_at = now
                if facts is not None:
                    _copy_facts(stored, facts)
                row.state = MediaState.STORED
                row.stored_at = row.updated_at = now
                row.temporary_url = None
                row.next_attempt_at = None
                row.reason = row.message = None
                journal.record(
                    session,
                    Step.COMMITTED,
                    f"{row.kind} {row.index} is durable as {media.key} (proof: {proof})",
                    generation_id=row.generation_id,
                    output_id=row.id,
                    run_id=run_id,
                    size=download.size,
                )
                settle(session, row.generation_id, run_id=run_id)
        except LeaseLost:
            raise
        except Exception as exc:
            self._roll_back(output, media)
            if isinstance(exc, CatalogError):
                raise _Failure(Reason.DB_CONFLICT, str(exc)) from None
            if isinstance(exc, DBAPIError):
                raise _Failure(
                    Reason.DB_CONFLICT, f"The catalog refused the commit: {redact(str(exc.orig))}"
                ) from None
            raise

    def _roll_back(self, output: Output, media: MediaFile) -> None:
        """Remove what was uploaded, unless the commit did happen and only its answer was lost."""
        try:
            with self.catalog.read() as session:
                if session.get_one(Output, output.id).state == MediaState.STORED:
                    return
        except CatalogError:
            # Nobody can tell: the pending row and the object stay together, for the next try or the sweep.
            log.warning("%s: the commit is in doubt; its object is kept until the catalog answers", output.id)
            return
        self._remove(media)

    def _remove(self, media: MediaFile) -> None:
        try:
            self.storage.delete(media.key)
        except StorageFailed as exc:
            log.warning("an object is left behind for the sweep: %s", exc)

    @contextmanager
    def _fenced(self, claim: leases.Claim) -> Any:
        """A transaction that goes through only while the claim is still ours."""
        with self.catalog.write() as session:
            if not leases.holds(session, claim):
                raise LeaseLost(claim.resource)
            yield session

    def _record_failure(
        self, output: Output, claim: leases.Claim, failure: _Failure, run_id: str | None
    ) -> RescueResult:
        policy = RETRY_POLICIES[failure.reason]
        now = utc_now()
        pause = policy.wait_after(output.attempts)
        lost = failure.final or pause is None or (not failure.retryable and not policy.refresh_first)
        next_attempt_at = None if lost else now + _pause(pause or policy.longest_wait, failure, output, now)
        try:
            with self._fenced(claim) as session:
                row = session.get_one(Output, output.id, populate_existing=True)
                row.reason = str(failure.reason)
                row.message = failure.message
                row.evidence = journal.redacted_json(failure.evidence)
                row.next_attempt_at = next_attempt_at
                row.updated_at = now
                if lost:
                    row.state = MediaState.LOST
                    row.temporary_url = None
                journal.record(
                    session,
                    "lost" if lost else "failed_try",
                    f"try {output.attempts}: {failure.message}",
                    generation_id=row.generation_id,
                    output_id=row.id,
                    run_id=run_id,
                    reason=str(failure.reason),
                )
                settle(session, row.generation_id, run_id=run_id)
        except LeaseLost:
            return RescueResult(output.id, output.generation_id, Result.SKIPPED)
        return RescueResult(
            output.id,
            output.generation_id,
            Result.LOST if lost else Result.WAITING,
            failure.reason,
            failure.message,
            next_attempt_at=next_attempt_at,
        )

    def _saw(self, step: Step, output_id: str) -> None:
        log.debug("%s %s", output_id, step)
        if self.observer is not None:
            self.observer(step, output_id)


def failure_of_link(failure: DownloadFailed) -> bool:
    """Whether a fresh link could cure this failure: the source spoke, and what it said was about the link."""
    return failure.reason in (Reason.SOURCE_EXPIRED, Reason.SOURCE_GONE, Reason.SOURCE_REFUSED)


def _sentence(text: object) -> str:
    return str(text).rstrip(". ") + "."


def _from_download(failure: DownloadFailed) -> _Failure:
    return _Failure(
        failure.reason,
        str(failure),
        retryable=failure.retryable,
        retry_after=failure.retry_after,
        evidence={
            "fault": str(failure.fault),
            "status": failure.status,
            "when": utc_now(),
            **failure.evidence,
        },
    )


def _pause(wait: timedelta, failure: _Failure, output: Output, now: datetime) -> timedelta:
    """The pause before the next try: what the source asked for, but never past the link's own death."""
    if failure.retry_after is not None:
        wait = max(wait, failure.retry_after)
    if output.deadline_at is not None and output.deadline_at > now:
        wait = min(wait, (output.deadline_at - now) / 2)
    return wait


def _copy_facts(media: MediaFile, facts: MediaFacts) -> None:
    media.container = facts.container
    media.video_codec = facts.video_codec
    media.video_profile = facts.profile
    media.audio_codec = facts.audio_codec
    media.width, media.height = facts.width, facts.height
    media.fps = facts.fps
    media.duration_seconds = facts.duration_seconds
    media.bitrate = facts.bitrate


def _reason(word: str | None) -> Reason | None:
    return Reason(word) if word is not None and word in set(Reason) else None


class _Heartbeat:
    """Renews the leases of running rescues, so that a lease may be short and a file may be large."""

    def __init__(self, catalog: Catalog, ttl: timedelta) -> None:
        self._catalog = catalog
        self._ttl = ttl
        self._claims: set[leases.Claim] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease-heartbeat", daemon=True)

    def __enter__(self) -> _Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @contextmanager
    def keeps(self, claim: leases.Claim) -> Any:
        with self._lock:
            self._claims.add(claim)
        try:
            yield
        finally:
            with self._lock:
                self._claims.discard(claim)

    def _beat(self) -> None:
        while not self._stop.wait(self._ttl.total_seconds() / 3):
            with self._lock:
                claims = list(self._claims)
            try:
                with self._catalog.write() as session:
                    for claim in claims:
                        leases.renew(session, claim, ttl=self._ttl)
            except CatalogError as exc:
                log.warning("leases could not be renewed, trying again: %s", exc)
