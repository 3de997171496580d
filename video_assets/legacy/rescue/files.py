"""The rescue of a legacy source's files, carried by the same saga as the live workflow's outputs.

A file is downloaded once, however many rows and signatures name it. Its findings learn what became of it in the
transaction that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, select

from video_assets.catalog import Catalog, MediaState, journal
from video_assets.catalog.legacy import FindingState, LegacyFile, LegacyFinding
from video_assets.catalog.models import utc_now
from video_assets.generations import unknown
from video_assets.legacy.errors import SourceError
from video_assets.legacy.rescue.refresh import GetProvider, fresh_link, wanted_file
from video_assets.legacy.search.rows import BLOB_SCHEME, FOLDER_SCHEME
from video_assets.providers.base import ProviderError, TaskUnknown
from video_assets.reasons import Reason
from video_assets.settings import Settings
from video_assets.storage.durable import DurableStorage
from video_assets.storage.keys import safe_segment, validate_key
from video_assets.transfer.download.expectation import Asked, path_of
from video_assets.transfer.download.policy import Download
from video_assets.transfer.download.provider_key import HeaderFetcher, Keyed
from video_assets.transfer.failures import DownloadFailed
from video_assets.transfer.rescue.fresh_links import fetch_by_link, from_download
from video_assets.transfer.rescue.kept_files import KeepLimits
from video_assets.transfer.rescue.saga import Saga
from video_assets.transfer.rescue.staging import stage
from video_assets.transfer.rescue.target import (
    MEDIA_KINDS,
    LinkGone,
    LinkUnavailable,
    Observer,
    Outcome,
    RescueFailed,
    Result,
    Step,
    StoredCopy,
    remove_unfinished,
)
from video_assets.urls import redact

OpenLocal = Callable[[LegacyFile], Iterable[bytes] | None]
"""The bytes of a file that is not fetched by a link (a BLOB, a file on disk); None for one that is."""

UNKNOWN = "unknown_to_provider"
"""Under this name a file's evidence keeps since when, and how often, its provider has not known the job."""

_SETTLED: dict[MediaState, tuple[FindingState, tuple[FindingState, ...]]] = {
    MediaState.STORED: (
        FindingState.SAVED,
        (FindingState.PENDING, FindingState.LOST, FindingState.GIVEN_UP),
    ),
    MediaState.LOST: (FindingState.LOST, (FindingState.PENDING,)),
    MediaState.GIVEN_UP: (FindingState.GIVEN_UP, (FindingState.PENDING, FindingState.LOST)),
}
"""State of a settled file → what its findings become, and which of them."""

FINDINGS_AT_ONCE = 1000
"""How many findings one transaction settles: a file may stand in a million rows."""


@dataclass(frozen=True, slots=True)
class LegacyRescuer:
    """The saga for legacy files, with its tools. One per process is enough; safe to use from many threads."""

    catalog: Catalog
    storage: DurableStorage
    downloader: HeaderFetcher
    spool: Path
    get_provider: GetProvider
    settings: Settings
    concurrency: int = 8
    lease: timedelta = timedelta(seconds=120)
    observer: Observer | None = None
    require_playable: bool = False
    """Refuse what nothing here can judge, instead of keeping it."""
    keep: KeepLimits = field(default_factory=KeepLimits)
    most_bytes: int = 5 * 1024**3
    """Largest file that is taken from a BLOB or a folder."""
    answered: dict[str, datetime] = field(default_factory=dict, repr=False)
    """When each provider was last seen to know one of the jobs, by this rescuer."""
    source_patience: timedelta = timedelta(days=7)

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
        saga = Saga(
            self.catalog,
            self.storage,
            self.spool,
            self.concurrency,
            self.lease,
            self.observer,
            self.keep,
            self.source_patience,
            require_playable=self.require_playable,
        )
        outcomes = saga.run(
            file_ids,
            lambda file_id: _LegacyTarget(file_id, self, open_local, (brought or {}).get(file_id)),
            run_id=run_id,
            patience=patience,
        )
        # A process that died between a file's commit and the last of its findings left the rest to us.
        settle_findings(self.catalog, [o.id for o in outcomes if o.next_attempt_at is None])
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
    settled, before = _SETTLED[MediaState(file.state)]
    stored = settled is FindingState.SAVED
    some = (
        select(LegacyFinding.id)
        .where(LegacyFinding.file_id == file.id, col(LegacyFinding.state).in_(before))
        .limit(FINDINGS_AT_ONCE)
    )
    result = session.execute(
        update(LegacyFinding)
        .where(col(LegacyFinding.id).in_(some))
        .values(
            state=settled,
            reason=None if stored else file.reason,
            message=None if stored else file.message,
            updated_at=utc_now(),
        )
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


class _LegacyTarget:
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
        self._needs_provider_key = False

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

    @property
    def failing_since(self) -> datetime | None:
        return self.row.failing_since

    def settled(self, session: Session) -> Outcome | None:
        self.row = session.get_one(LegacyFile, self.id, populate_existing=True)
        if self.row.state == MediaState.STORED:
            return Outcome(self.id, Result.SKIPPED)
        if self.row.state == MediaState.PENDING or self._brought is not None:
            return None
        reason = Reason(self.row.reason) if self.row.reason in set(Reason) else None
        given_up = self.row.state == MediaState.GIVEN_UP
        return Outcome(self.id, Result.GIVEN_UP if given_up else Result.LOST, reason, self.row.message)

    def begin(self, session: Session, run_id: str | None) -> None:
        self.row.attempts += 1
        self.row.updated_at = utc_now()

    def fetch(self, folder: Path, saw: Callable[[Step], None]) -> Download:
        try:
            blocks = self._open_local(self.row) if self._open_local is not None else None
            if blocks is None:
                return fetch_by_link(self, Keyed(self._tools.downloader, self._headers), folder, saw)
            return stage(blocks, folder, asked=self._asked(), max_bytes=self._tools.most_bytes)
        except DownloadFailed as failure:
            raise from_download(failure) from None
        except SourceError as exc:
            raise RescueFailed(Reason.SOURCE_SLOW, str(exc)) from None
        except OSError as exc:
            raise RescueFailed(
                Reason.SOURCE_SLOW, f"The file could not be read: {exc.strerror or type(exc).__name__}."
            ) from None

    def _asked(self) -> Asked:
        """What bytes that are no download should be. What lies in a BLOB or a folder is no host's stand-in."""
        is_own = self.row.scheme in (BLOB_SCHEME, FOLDER_SCHEME)
        return Asked.of(None if is_own else MEDIA_KINDS.get(self.kind), path_of(self.row.redacted or ""))

    def refresh(self) -> None:
        """Ask the provider by job id and write the fresh link into the row. Raises LinkGone, LinkUnavailable."""
        with self._tools.catalog.read() as session:
            wanted = wanted_file(session, self.row)
        try:
            fresh = fresh_link(wanted, self._tools.get_provider)
        except TaskUnknown as exc:
            raise self._unknown(exc) from None
        except LinkGone as exc:
            if self.row.temporary_url is not None:
                raise
            why = f"the link was cut off where it is stored, so it opens nothing; {exc}"
            raise LinkGone(why, data_gone=exc.data_gone) from None
        self._needs_provider_key = fresh.needs_provider_key
        self._tools.answered[wanted.provider or ""] = utc_now()
        with self._tools.catalog.write() as session:
            row = session.get_one(LegacyFile, self.id, populate_existing=True)
            if row.state != MediaState.PENDING:
                raise LinkGone("another worker has settled this file")
            row.temporary_url = self.row.temporary_url = fresh.url
            row.deadline_at = self.row.deadline_at = fresh.deadline_at
            row.refreshes += 1
            row.evidence = {name: value for name, value in row.evidence.items() if name != UNKNOWN}
            row.updated_at = utc_now()
            self._note(
                session,
                "refreshed",
                f"{row.provider} gave a fresh link for {fresh.task_id} (matched by {fresh.matched_by})",
                None,
            )

    def _headers(self, url: str) -> Mapping[str, str]:
        if not self._needs_provider_key or self.row.provider is None:
            return {}
        try:
            return self._tools.get_provider(self.row.provider).download_headers(url)
        except ProviderError as exc:
            raise RescueFailed(Reason.PROVIDER_ERROR, str(exc)) from None

    def _unknown(self, error: TaskUnknown) -> LinkGone | LinkUnavailable:
        """Note that the provider does not know the job: gone when it has said so for some time."""
        now = utc_now()
        with self._tools.catalog.write() as session:
            row = session.get_one(LegacyFile, self.id, populate_existing=True)
            before = row.evidence.get(UNKNOWN) or {"since": now.isoformat(), "answers": 0}
            since, answers = datetime.fromisoformat(before["since"]), before["answers"] + 1
            row.evidence = {**row.evidence, UNKNOWN: {"since": since.isoformat(), "answers": answers}}
            row.updated_at = now
        heard = self._tools.answered.get(row.provider or "")
        witness = heard is not None and heard >= since
        if unknown.lasts(answers, since, now, self._tools.settings, witness=witness):
            return LinkGone(f"{row.provider} no longer knows {row.task_id}: {error}", data_gone=True)
        doubt = (
            "" if witness else "; it has known none of the jobs asked about: is the key that of their account?"
        )
        return LinkUnavailable(
            f"{error}, said {answers} times{doubt}",
            retry_after=unknown.pause_after(answers, self._tools.settings),
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
        row.next_attempt_at = row.failing_since = row.lost_at = None
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
        failing_since: datetime | None,
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
        row.failing_since = failing_since
        row.updated_at = utc_now()
        lost = next_attempt_at is None
        if lost:
            row.state = MediaState.LOST
            row.lost_at = row.updated_at
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
