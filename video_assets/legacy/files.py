"""The rescue of a legacy source's files, carried by the same saga as the live road's outputs.

A file is downloaded once, however many rows and signatures name it. Its findings learn what became of it in the
transaction that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, select

from video_assets.catalog import Catalog, MediaState, journal
from video_assets.catalog.legacy import FindingState, LegacyFile, LegacyFinding
from video_assets.catalog.models import utc_now
from video_assets.legacy.errors import SourceError
from video_assets.legacy.resurrection import GetProvider, fresh_link, wanted_file
from video_assets.reasons import Reason
from video_assets.storage.durable import DurableStorage
from video_assets.storage.keys import safe_segment, validate_key
from video_assets.transfer.cargo import (
    MEDIA_KINDS,
    LinkGone,
    Observer,
    Outcome,
    RescueFailed,
    Result,
    Step,
    StoredCopy,
    remove_unfinished,
)
from video_assets.transfer.failures import DownloadFailed
from video_assets.transfer.links import Fetcher, fetch_by_link, from_download
from video_assets.transfer.orders import Download
from video_assets.transfer.saga import Saga
from video_assets.transfer.staging import stage
from video_assets.urls import redact

OpenLocal = Callable[[LegacyFile], Iterable[bytes] | None]
"""The bytes of a file that is not fetched by a link (a BLOB, a file on disk); None for one that is."""

FINDINGS_AT_ONCE = 1000
"""How many findings one transaction settles: a file may stand in a million rows."""


@dataclass(frozen=True, slots=True)
class LegacyRescuer:
    """The saga for legacy files, with its tools. One per process is enough; safe to use from many threads."""

    catalog: Catalog
    storage: DurableStorage
    downloader: Fetcher
    spool: Path
    get_provider: GetProvider
    concurrency: int = 8
    lease: timedelta = timedelta(seconds=120)
    observer: Observer | None = None
    most_bytes: int = 5 * 1024**3
    """Largest file that is taken from a BLOB or a folder."""

    def rescue(
        self,
        file_ids: Sequence[str],
        *,
        open_local: OpenLocal | None = None,
        brought: Mapping[str, Mapping[str, Any]] | None = None,
        run_id: str | None = None,
        patience: timedelta = timedelta(),
    ) -> list[Outcome]:
        """Rescue every file, in the order given; outcomes in the same order, findings settled.

        ``brought`` names files that are lost and come back by other means than their link, each with what is to
        be kept as evidence of that; until their bytes are durable they stay lost.

        A failure of one never touches another. Raises only what makes every rescue senseless (CatalogError).
        """
        saga = Saga(self.catalog, self.storage, self.spool, self.concurrency, self.lease, self.observer)
        outcomes = saga.run(
            file_ids,
            lambda file_id: _LegacyCargo(file_id, self, open_local, (brought or {}).get(file_id)),
            run_id=run_id,
            patience=patience,
        )
        # A process that died between a file's commit and the last of its findings left the rest to us.
        settle_findings(self.catalog, [o.id for o in outcomes if o.result is not Result.WAITING])
        return outcomes


def settle_findings(catalog: Catalog, file_ids: Iterable[str]) -> int:
    """Tell all findings of settled files what became of them, in bounded transactions; returns how many."""
    settled = 0
    for file_id in file_ids:
        while True:
            with catalog.write() as session:
                file = session.get_one(LegacyFile, file_id)
                count = _settle_some(session, file)
            settled += count
            if count < FINDINGS_AT_ONCE:
                break
    return settled


def _settle_some(session: Session, file: LegacyFile) -> int:
    """Move at most ``FINDINGS_AT_ONCE`` findings of ``file`` to its own state; returns how many."""
    if file.state == MediaState.PENDING:
        return 0
    stored = file.state == MediaState.STORED
    waiting = [FindingState.PENDING, FindingState.LOST] if stored else [FindingState.PENDING]
    some = (
        select(LegacyFinding.id)
        .where(LegacyFinding.file_id == file.id, col(LegacyFinding.state).in_(waiting))
        .limit(FINDINGS_AT_ONCE)
    )
    result = session.execute(
        update(LegacyFinding)
        .where(col(LegacyFinding.id).in_(some))
        .values(
            state=FindingState.SAVED if stored else FindingState.LOST,
            reason=None if stored else file.reason,
            message=None if stored else file.message,
            updated_at=utc_now(),
        )
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


class _LegacyCargo:
    """One row of ``legacy_file`` and the findings that name it."""

    def __init__(
        self,
        file_id: str,
        tools: LegacyRescuer,
        open_local: OpenLocal | None,
        brought: Mapping[str, Any] | None,
    ) -> None:
        self.id = file_id
        self.resource = f"legacy:{file_id}"
        self.row: LegacyFile
        """As it was read when the try began; only ``refresh`` brings it up to date."""
        self._tools = tools
        self._open_local = open_local
        self._brought = brought

    @property
    def kind(self) -> str:
        return self.row.kind

    @property
    def attempts(self) -> int:
        return self.row.attempts

    @property
    def deadline_at(self) -> datetime | None:
        return self.row.deadline_at

    @property
    def url(self) -> str | None:
        return self.row.temporary_url

    def settled(self, session: Session) -> Outcome | None:
        self.row = session.get_one(LegacyFile, self.id, populate_existing=True)
        if self.row.state == MediaState.STORED:
            return Outcome(self.id, Result.SKIPPED)
        if self.row.state == MediaState.LOST and self._brought is None:
            reason = Reason(self.row.reason) if self.row.reason in set(Reason) else None
            return Outcome(self.id, Result.LOST, reason, self.row.message)
        return None

    def begin(self, session: Session, run_id: str | None) -> None:
        self.row.attempts += 1
        self.row.updated_at = utc_now()

    def fetch(self, folder: Path, saw: Callable[[Step], None]) -> Download:
        try:
            blocks = self._open_local(self.row) if self._open_local is not None else None
            if blocks is None:
                return fetch_by_link(self, self._tools.downloader, folder, saw)
            return stage(
                blocks,
                folder,
                expected=MEDIA_KINDS.get(self.kind),
                max_bytes=self._tools.most_bytes,
            )
        except DownloadFailed as failure:
            raise from_download(failure) from None
        except SourceError as exc:
            raise RescueFailed(Reason.SOURCE_SLOW, str(exc)) from None
        except OSError as exc:
            raise RescueFailed(
                Reason.SOURCE_SLOW, f"The file could not be read: {exc.strerror or type(exc).__name__}."
            ) from None

    def refresh(self) -> None:
        """Ask the provider by job id and write the fresh link into the row. Raises LinkGone, LinkUnavailable."""
        with self._tools.catalog.read() as session:
            wanted = wanted_file(session, self.row)
        try:
            fresh = fresh_link(wanted, self._tools.get_provider)
        except LinkGone as exc:
            if self.row.temporary_url is not None:
                raise
            raise LinkGone(f"the link was cut off where it is stored, so it opens nothing; {exc}") from None
        with self._tools.catalog.write() as session:
            row = session.get_one(LegacyFile, self.id, populate_existing=True)
            if row.state != MediaState.PENDING:
                raise LinkGone("another worker has settled this file")
            row.temporary_url = self.row.temporary_url = fresh.url
            row.deadline_at = self.row.deadline_at = fresh.deadline_at
            row.refreshes += 1
            row.updated_at = utc_now()
            self._note(
                session,
                "refreshed",
                f"{row.provider} gave a fresh link for {fresh.task_id} (matched by {fresh.matched_by})",
                None,
            )

    def journal(self, session: Session, download: Download, bucket: str, run_id: str | None) -> tuple[str, bool]:
        row = session.get_one(LegacyFile, self.id, populate_existing=True)
        key = storage_key(row, download.extension)
        known_before = (row.bucket, row.key) == (bucket, key)
        if row.key is not None and row.bucket == bucket and not known_before:
            remove_unfinished(self._tools.storage, row.key)
        row.bucket, row.key = bucket, key
        row.file_name = key.rpartition("/")[2]
        row.file_size = download.size
        row.file_type = download.content_type
        row.sha256 = download.sha256
        row.md5 = download.md5
        row.updated_at = utc_now()
        return key, known_before

    def commit(self, session: Session, copy: StoredCopy, run_id: str | None) -> None:
        now = utc_now()
        row = session.get_one(LegacyFile, self.id, populate_existing=True)
        row.state = MediaState.STORED
        row.file_url = copy.file_url
        row.proof = copy.proof
        row.etag = copy.etag
        row.facts = asdict(copy.facts) if copy.facts is not None else {}
        if self._brought is not None:
            row.evidence = {**row.evidence, "lost_because": row.message, "brought": dict(self._brought)}
        row.stored_at = row.updated_at = now
        row.temporary_url = None
        row.next_attempt_at = None
        row.reason = row.message = None
        session.flush()
        _settle_some(session, row)
        message = f"{row.kind} is durable as {copy.key} (proof: {copy.proof})"
        self._note(session, Step.COMMITTED, message, run_id, size=copy.download.size)

    def is_stored(self, session: Session) -> bool:
        return session.get_one(LegacyFile, self.id).state == MediaState.STORED

    def record_failure(
        self,
        session: Session,
        failure: RescueFailed,
        *,
        lost: bool,
        next_attempt_at: datetime | None,
        run_id: str | None,
    ) -> None:
        row = session.get_one(LegacyFile, self.id, populate_existing=True)
        if self._brought is not None:
            message = f"what was brought could not be taken: {failure.message}"
            self._note(session, "failed_try", message, run_id, reason=str(failure.reason))
            return
        row.reason = str(failure.reason)
        row.message = redact(failure.message)
        row.evidence = {**row.evidence, **journal.redacted_json(failure.evidence)}
        row.next_attempt_at = next_attempt_at
        row.updated_at = utc_now()
        if lost:
            row.state = MediaState.LOST
            row.temporary_url = None
            session.flush()
            _settle_some(session, row)
        message = f"try {self.row.attempts}: {failure.message}"
        self._note(session, "lost" if lost else "failed_try", message, run_id, reason=str(failure.reason))

    def _note(self, session: Session, step: str, message: str, run_id: str | None, **detail: Any) -> None:
        journal.record(
            session, step, message, run_id=run_id, source=self.row.source, legacy_file=self.id, **detail
        )


def storage_key(file: LegacyFile, extension: str) -> str:
    """Where a legacy file is kept: ``legacy/{source}/{file id}.{ext}``, for ever the same. Raises InvalidKey."""
    return validate_key(f"legacy/{safe_segment(file.source)}/{safe_segment(file.id)}.{extension}")
