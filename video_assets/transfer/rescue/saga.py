"""The saga: download → verify → journal → store → read back → commit and erase the temporary URL.

All or nothing, for one file or for many, by one process or by several. This engine is the only way to
``stored``. Every arrow above is a line between which the process may be killed:

* before the download is verified nothing is kept; the next try starts over;
* from then on the bytes stay in the spool until the commit, whatever fails or is killed, and the next try only
  uploads (:mod:`video_assets.transfer.rescue.keeping`);
* after it, whatever reached the store lies under a key the row names, so the next try proves and adopts it,
  overwrites it, or the sweep removes it;
* the commit makes the copy public and erases the temporary URL in one transaction.

A lease with a fencing token makes one worker the owner of a file; it is shown again inside the commit.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from video_assets.catalog import Catalog, CatalogError, kept, leases
from video_assets.catalog.heartbeat import Heartbeat
from video_assets.catalog.models import utc_now
from video_assets.media.probe import MediaFacts, NotPlayable, probe
from video_assets.reasons import RETRY_POLICIES, Reason, Side
from video_assets.storage.durable import DurableStorage, StorageFailed
from video_assets.transfer.download.policy import Download
from video_assets.transfer.rescue.fresh_links import certain_death
from video_assets.transfer.rescue.keeping import Keeping
from video_assets.transfer.rescue.kept_files import KeepLimits
from video_assets.transfer.rescue.kept_folder import Verified
from video_assets.transfer.rescue.retrying import next_attempt
from video_assets.transfer.rescue.target import (
    LeaseLost,
    Observer,
    Outcome,
    RescueFailed,
    RescueTarget,
    Result,
    Step,
    StoredCopy,
    sentence,
)
from video_assets.urls import redact

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Saga:
    """The engine with its tools; it is safe to use from many threads."""

    catalog: Catalog
    storage: DurableStorage
    spool: Path
    concurrency: int = 8
    lease: timedelta = timedelta(seconds=120)
    observer: Observer | None = None
    keep: KeepLimits = field(default_factory=KeepLimits)
    source_patience: timedelta = timedelta(days=7)
    """How long a source is asked whose link has no known death, or whose fresh links do not work either."""
    require_playable: bool = False
    """Refuse what nothing here can judge, instead of keeping it."""
    _keeping: Keeping = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_keeping", Keeping(self.catalog, self.spool, self.keep))

    def run(
        self,
        ids: Sequence[str],
        load: Callable[[str], RescueTarget],
        *,
        run_id: str | None = None,
        patience: timedelta = timedelta(),
    ) -> list[Outcome]:
        """Rescue every file, in the order given, ``concurrency`` at a time; outcomes in the same order.

        A failure of one never touches another: it is recorded with its reason and next attempt and returned
        as an outcome. ``load`` gives the target of one id, anew for every try. ``patience`` is how long in all to
        wait for next attempts that are near. Raises only what makes every rescue senseless (CatalogError).
        """
        outcomes = {outcome.id: outcome for outcome in self._round(ids, load, run_id)}
        stop_at = utc_now() + patience
        while waiting := [
            outcome
            for outcome in outcomes.values()
            if outcome.next_attempt_at is not None and outcome.next_attempt_at <= stop_at
        ]:
            soonest = min(outcome.next_attempt_at for outcome in waiting if outcome.next_attempt_at)
            time.sleep(max((soonest - utc_now()).total_seconds(), 0))
            due = [o.id for o in waiting if o.next_attempt_at and o.next_attempt_at <= utc_now()]
            outcomes.update({outcome.id: outcome for outcome in self._round(due, load, run_id)})
        return [outcomes[id_] for id_ in ids]

    def _round(
        self, ids: Sequence[str], load: Callable[[str], RescueTarget], run_id: str | None
    ) -> list[Outcome]:
        if not ids:
            return []
        self.spool.mkdir(parents=True, exist_ok=True)
        holder = leases.new_holder()
        with (
            Heartbeat(self.catalog, self.lease) as heartbeat,
            ThreadPoolExecutor(min(self.concurrency, len(ids)), thread_name_prefix="rescue") as pool,
        ):
            return list(pool.map(lambda id_: self._rescue_one(load(id_), holder, heartbeat, run_id), ids))

    def _rescue_one(self, target: RescueTarget, holder: str, heartbeat: Heartbeat, run_id: str | None) -> Outcome:
        started = utc_now()
        claim = self._claim(target, holder, run_id)
        if isinstance(claim, Outcome):
            return claim
        with heartbeat.keeps(claim):
            try:
                self._saw(Step.CLAIMED, target)
                size = self._save(target, claim, run_id)
                seconds = (utc_now() - started).total_seconds()
                return Outcome(target.id, Result.STORED, size=size, seconds=seconds)
            except LeaseLost:
                log.warning("%s: another worker has taken over", target.id)
                return Outcome(target.id, Result.SKIPPED)
            except RescueFailed as failure:
                return self._record_failure(target, claim, failure, run_id)
            except BaseException:
                # The two ways above give the lease back in the transaction that ends the work.
                with suppress(CatalogError), self.catalog.write() as session:
                    leases.release(session, claim)
                raise

    def _claim(self, target: RescueTarget, holder: str, run_id: str | None) -> Outcome | leases.Claim:
        with self.catalog.write() as session:
            claim = leases.acquire(session, target.resource, holder, ttl=self.lease)
            outcome = target.settled(session)
            if claim is None:
                return outcome or Outcome(target.id, Result.SKIPPED, message="another worker has it")
            if outcome is not None:
                leases.release(session, claim)
                return outcome
            target.begin(session, run_id)
            return claim

    def _save(self, target: RescueTarget, claim: leases.Claim, run_id: str | None) -> int:
        """Everything between the claim and the commit. Returns the size in bytes."""
        with TemporaryDirectory(dir=self.spool, prefix="rescue-") as folder:
            file = self._keeping.bring(target, lambda: self._download(target, Path(folder)))
            try:
                self._saw(Step.VERIFIED, target)
                self._make_durable(target, claim, file, run_id)
            except LeaseLost:
                raise  # what is kept belongs to the one who has taken over
            except BaseException as exc:
                self._keeping.put_back(target, file, exc)
                raise
            self._keeping.remove(target, file)
            self._saw(Step.COMMITTED, target)
            return file.download.size

    def _download(self, target: RescueTarget, folder: Path) -> Verified:
        download = target.fetch(folder, lambda step: self._saw(step, target))
        self._saw(Step.DOWNLOADED, target)
        return Verified(download, verify(download, require_playable=self.require_playable), is_kept=False)

    def _make_durable(
        self, target: RescueTarget, claim: leases.Claim, file: Verified, run_id: str | None
    ) -> None:
        download = file.download
        with self._fenced(claim) as session:
            key, known_before = target.journal(session, download, self.storage.bucket, run_id)
            self._keeping.note(session, target, file)
        self._saw(Step.JOURNALED, target)
        proof = self._adopt(key, download) if known_before else None
        etag = None
        if proof is None:
            etag = self._store(key, download)
            self._saw(Step.STORED, target)
            proof = self._read_back(key, download)
        self._saw(Step.READ_BACK, target)
        url = self.storage.public_url(key)
        copy = StoredCopy(self.storage.bucket, key, url, download, file.facts, proof, etag)
        self._commit(target, claim, copy, run_id)

    # -- the store ------------------------------------------------------------------------------------------

    def _adopt(self, key: str, download: Download) -> str | None:
        """How the store proves that it holds these bytes already, from a try that was cut off; else None."""
        try:
            found = self.storage.head(key)
            if found is None or found.size != download.size:
                return None
            return self.storage.read_back(key, size=download.size, sha256=download.sha256, md5=download.md5)
        except StorageFailed:
            return None

    def _store(self, key: str, download: Download) -> str | None:
        try:
            stored = self.storage.put(
                key,
                download.path,
                content_type=download.content_type,
                sha256=download.sha256,
                md5=download.md5,
            )
        except StorageFailed as exc:
            raise RescueFailed(Reason.STORAGE_FAILED, str(exc)) from None
        return stored.etag

    def _read_back(self, key: str, download: Download) -> str:
        try:
            return self.storage.read_back(key, size=download.size, sha256=download.sha256, md5=download.md5)
        except StorageFailed as exc:
            self._remove(key)
            raise RescueFailed(Reason.STORAGE_FAILED, f"The store gave other bytes back: {exc}") from None

    def _remove(self, key: str) -> None:
        try:
            self.storage.delete(key)
        except StorageFailed as exc:
            log.warning("an object is left behind for the sweep: %s", exc)

    # -- the catalog ----------------------------------------------------------------------------------------

    def _commit(self, target: RescueTarget, claim: leases.Claim, copy: StoredCopy, run_id: str | None) -> None:
        """One transaction: the copy becomes ours and the temporary URL is gone."""
        try:
            with self._fenced(claim) as session:
                target.commit(session, copy, run_id)
                kept.forget(session, [target.resource])
                leases.release(session, claim)
        except LeaseLost:
            raise
        except Exception as exc:
            self._roll_back(target, copy.key)
            if isinstance(exc, CatalogError):
                raise RescueFailed(Reason.DB_CONFLICT, str(exc)) from None
            if isinstance(exc, DBAPIError):
                raise RescueFailed(
                    Reason.DB_CONFLICT, f"The catalog refused the commit: {redact(str(exc.orig))}"
                ) from None
            raise

    def _roll_back(self, target: RescueTarget, key: str) -> None:
        """Remove what was uploaded, unless the commit did happen and only its answer was lost."""
        try:
            with self.catalog.read() as session:
                if target.is_stored(session):
                    return
        except CatalogError:
            # Nobody can tell: the pending row and the object stay together, for the next try or the sweep.
            log.warning("%s: the commit is in doubt; its object is kept until the catalog answers", target.id)
            return
        self._remove(key)

    @contextmanager
    def _fenced(self, claim: leases.Claim) -> Iterator[Session]:
        """A transaction that goes through only while the claim is still ours."""
        with self.catalog.write() as session:
            if not leases.holds(session, claim):
                raise LeaseLost(claim.resource)
            yield session

    def _record_failure(
        self, target: RescueTarget, claim: leases.Claim, failure: RescueFailed, run_id: str | None
    ) -> Outcome:
        now = utc_now()
        policy = RETRY_POLICIES[failure.reason]
        failing_since = None if policy.side is Side.OURS else target.failing_since or now
        next_attempt_at = self._next_attempt(target, failure, now, failing_since or now)
        if next_attempt_at is None:
            failure.evidence["given_up_because"] = (
                "what the source or the provider said is certain"
                if failure.certain
                else f"no clear answer since {failing_since or now:%F %T} UTC, and its link lives no longer"
            )
        try:
            with self._fenced(claim) as session:
                target.record_failure(
                    session,
                    failure,
                    failing_since=failing_since,
                    next_attempt_at=next_attempt_at,
                    run_id=run_id,
                )
                leases.release(session, claim)
        except LeaseLost:
            return Outcome(target.id, Result.SKIPPED)
        waits = Result.REFUSED if policy.side is Side.RULES else Result.WAITING
        return Outcome(
            target.id,
            Result.LOST if next_attempt_at is None else waits,
            failure.reason,
            failure.message,
            next_attempt_at=next_attempt_at,
        )

    def _next_attempt(
        self, target: RescueTarget, failure: RescueFailed, now: datetime, first_seen: datetime
    ) -> datetime | None:
        """When to try again; None when the file is lost."""
        if failure.certain and not failure.renewable:
            return None
        death = certain_death(target.url, target.deadline_at)
        if death is None and target.deadline_at is not None:
            first_seen = max(first_seen, target.deadline_at)  # until then at least the link lives
        return next_attempt(
            now,
            target.attempts,
            None if failure.renewable or failure.bytes_are_kept else death,
            first_seen,
            RETRY_POLICIES[failure.reason],
            failure.retry_after,
            patience=self.source_patience,
        )

    def _saw(self, step: Step, target: RescueTarget) -> None:
        log.debug("%s %s", target.id, step)
        if self.observer is not None:
            self.observer(step, target.id)


def verify(download: Download, *, require_playable: bool = False) -> MediaFacts | None:
    """Prove that the file decodes. None for what is no media by its bytes.

    A whole file that nothing here can judge is kept; its facts say why (``unjudged``), and with
    ``require_playable`` it is refused instead. Raises RescueFailed.
    """
    if download.container.kind not in ("video", "image", "audio"):
        return None
    evidence = {"size": download.size, "sha256": download.sha256, "when": utc_now()}
    try:
        facts = probe(download.path)
    except NotPlayable as exc:
        raise RescueFailed(
            Reason.BAD_CONTENT, f"The file does not play: {sentence(exc)}", evidence=evidence
        ) from None
    if facts.unjudged is not None and require_playable:
        raise RescueFailed(
            Reason.UNJUDGED, f"The file cannot be judged here: {sentence(facts.unjudged)}", evidence=evidence
        )
    return facts
