"""The rescue of the live workflow: outputs of provider jobs, carried by the saga.

What a try does, step by step, is in :mod:`.saga`; here stands what an output's rows have to
say about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from sqlmodel import Session, col, select

from video_assets.catalog import (
    Catalog,
    Generation,
    MediaFile,
    MediaState,
    Output,
    ProviderJob,
    journal,
    queries,
)
from video_assets.catalog.models import utc_now
from video_assets.catalog.settling import settle
from video_assets.media.probe import MediaFacts
from video_assets.reasons import Reason
from video_assets.storage.durable import DurableStorage
from video_assets.storage.keys import KeyTemplate
from video_assets.transfer.download.downloader import Download, Downloader
from video_assets.transfer.download.provider_key import Keyed
from video_assets.transfer.rescue.fresh_links import Links, fetch_by_link
from video_assets.transfer.rescue.kept_files import KeepLimits
from video_assets.transfer.rescue.saga import Saga
from video_assets.transfer.rescue.target import (
    LeaseLost,
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

__all__ = [
    "Keys",
    "LeaseLost",
    "LinkGone",
    "LinkUnavailable",
    "Links",
    "Observer",
    "RescueResult",
    "Rescuer",
    "Result",
    "Step",
]


class Keys(Protocol):
    """Where the headers for files behind a provider's own key come from."""

    def download_headers(self, provider: str, url: str, /) -> Mapping[str, str]:
        """The headers for ``url``; empty where it is not the provider's own. Raises LinkUnavailable."""


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


@dataclass(frozen=True, slots=True)
class Rescuer:
    """The saga for outputs, with its tools. One per process is enough; it is safe to use from many threads."""

    catalog: Catalog
    storage: DurableStorage
    downloader: Downloader
    key_template: KeyTemplate
    spool: Path
    links: Links | None = None
    keys: Keys | None = None
    concurrency: int = 8
    lease: timedelta = timedelta(seconds=120)
    observer: Observer | None = None
    require_playable: bool = False
    """Refuse what nothing here can judge, instead of keeping it."""
    keep: KeepLimits = field(default_factory=KeepLimits)
    source_patience: timedelta = timedelta(days=7)

    def rescue(
        self, output_ids: Sequence[str], *, run_id: str | None = None, patience: timedelta = timedelta()
    ) -> list[RescueResult]:
        """Rescue every output, in the order given, ``concurrency`` at a time; results in the same order.

        A failure of one never touches another: it is recorded with its reason and next attempt and returned
        as a result. ``patience`` is how long in all to wait for next attempts that are near. Raises only what
        makes every rescue senseless (CatalogError).
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
        targets: dict[str, _OutputTarget] = {}

        def load(output_id: str) -> _OutputTarget:
            targets[output_id] = _OutputTarget(output_id, self)
            return targets[output_id]

        outcomes = saga.run(output_ids, load, run_id=run_id, patience=patience)
        return [_result(outcome, targets[outcome.id].row.generation_id) for outcome in outcomes]


def _result(outcome: Outcome, generation_id: str) -> RescueResult:
    return RescueResult(
        outcome.id,
        generation_id,
        outcome.result,
        outcome.reason,
        outcome.message,
        outcome.size,
        outcome.seconds,
        outcome.next_attempt_at,
    )


class _OutputTarget:
    """One row of ``output``, its ``media_file`` and its generation."""

    def __init__(self, output_id: str, tools: Rescuer) -> None:
        self.id = output_id
        self.resource = f"output:{output_id}"
        self.row: Output
        """As it was read when the try began; only ``refresh`` brings it up to date."""
        self._tools = tools

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
        self.row = session.get_one(Output, self.id, populate_existing=True)
        if self.row.state == MediaState.STORED:
            return Outcome(self.id, Result.SKIPPED)
        if self.row.state == MediaState.PENDING:
            return None
        given_up = self.row.state == MediaState.GIVEN_UP
        result = Result.GIVEN_UP if given_up else Result.LOST
        return Outcome(self.id, result, _reason(self.row.reason), self.row.message)

    def begin(self, session: Session, run_id: str | None) -> None:
        row = self.row
        row.attempts += 1
        row.updated_at = utc_now()
        self._note(
            session,
            Step.CLAIMED,
            f"try {row.attempts} for {row.kind} {row.index} from {row.source_redacted}",
            run_id,
        )

    def fetch(self, folder: Path, saw: Callable[[Step], None]) -> Download:
        return fetch_by_link(self, Keyed(self._tools.downloader, self.headers), folder, saw)

    def refresh(self) -> None:
        if self._tools.links is None:
            raise LinkGone("there is no provider to ask for a fresh link")
        self._tools.links.refresh(self.id)
        with self._tools.catalog.read() as session:
            fresh = session.get_one(Output, self.id)
        self.row.temporary_url = fresh.temporary_url
        self.row.deadline_at = fresh.deadline_at
        self.row.source_redacted = fresh.source_redacted
        self.row.needs_provider_key = fresh.needs_provider_key

    def headers(self, url: str) -> Mapping[str, str]:
        """What the output's own provider wants to see with a request for ``url``. Raises RescueFailed."""
        if not self.row.needs_provider_key or self._tools.keys is None:
            return {}
        with self._tools.catalog.read() as session:
            provider = session.get_one(ProviderJob, self.row.job_id).provider
        try:
            return self._tools.keys.download_headers(provider, url)
        except LinkUnavailable as exc:
            raise RescueFailed(Reason.PROVIDER_ERROR, str(exc)) from None

    def journal(self, session: Session, download: Download, bucket: str, run_id: str | None) -> tuple[str, bool]:
        generation = queries.get_generation(session, self.row.generation_id)
        key = self._key(session, generation, download.extension, bucket)
        media = session.get(MediaFile, self.id)
        known_before = media is not None and media.key == key
        if media is None:
            media = MediaFile(
                id=self.id,
                generation_id=self.row.generation_id,
                output_id=self.id,
                role=self.kind,
                bucket=bucket,
                key=key,
            )
        elif media.bucket == bucket and not known_before:
            remove_unfinished(self._tools.storage, media.key)
        media.bucket, media.key = bucket, key
        media.file_name = key.rpartition("/")[2]
        media.file_size = download.size
        media.file_type = download.content_type
        media.sha256 = download.sha256
        media.md5 = download.md5
        media.updated_at = utc_now()
        session.add(media)
        message = f"{download.size} bytes verified, about to store {key}"
        self._note(session, Step.JOURNALED, message, run_id, sha256=download.sha256)
        return key, known_before

    def _key(self, session: Session, generation: Generation, extension: str, bucket: str) -> str:
        key = self._tools.key_template.render(
            owner=generation.owner,
            generation=generation.id,
            provider=generation.provider,
            kind=self.row.kind,
            index=self.row.index,
            ext=extension,
            id=self.id,
            campaign=generation.campaign or "",
        )
        taken = session.exec(
            select(MediaFile.id).where(
                MediaFile.bucket == bucket, MediaFile.key == key, col(MediaFile.id) != self.id
            )
        ).first()
        if taken is None:
            return key
        # A template may leave out what tells two outputs apart; the later one then says what it is.
        stem, dot, suffix = key.rpartition(".")
        return f"{stem}-{self.row.kind}-{self.id.rsplit('.', 3)[1]}{dot}{suffix}"

    def commit(self, session: Session, copy: StoredCopy, run_id: str | None) -> None:
        now = utc_now()
        row = session.get_one(Output, self.id, populate_existing=True)
        stored = session.get_one(MediaFile, self.id, populate_existing=True)
        stored.state = MediaState.STORED
        stored.file_url = copy.file_url
        stored.proof = copy.proof
        stored.etag = copy.etag
        stored.uploaded_at = stored.verified_at = stored.updated_at = now
        if copy.facts is not None:
            _copy_facts(stored, copy.facts)
        row.state = MediaState.STORED
        row.stored_at = row.updated_at = now
        row.temporary_url = None
        row.next_attempt_at = row.failing_since = None
        row.reason = row.message = None
        message = f"{row.kind} {row.index} is durable as {copy.key} (proof: {copy.proof})"
        self._note(session, Step.COMMITTED, message, run_id, size=copy.download.size)
        settle(session, row.generation_id, run_id=run_id)

    def is_stored(self, session: Session) -> bool:
        return session.get_one(Output, self.id).state == MediaState.STORED

    def record_failure(
        self,
        session: Session,
        failure: RescueFailed,
        *,
        failing_since: datetime | None,
        next_attempt_at: datetime | None,
        run_id: str | None,
    ) -> None:
        row = session.get_one(Output, self.id, populate_existing=True)
        row.reason = str(failure.reason)
        row.message = failure.message
        row.evidence = journal.redacted_json(failure.evidence)
        row.next_attempt_at = next_attempt_at
        row.failing_since = failing_since
        row.updated_at = utc_now()
        lost = next_attempt_at is None
        if lost:
            row.state = MediaState.LOST
            row.lost_at = row.updated_at
        message = f"try {self.row.attempts}: {failure.message}"
        self._note(session, "lost" if lost else "failed_try", message, run_id, reason=str(failure.reason))
        settle(session, row.generation_id, run_id=run_id)

    def _note(self, session: Session, step: str, message: str, run_id: str | None, **detail: Any) -> None:
        journal.record(
            session,
            step,
            message,
            generation_id=self.row.generation_id,
            output_id=self.id,
            run_id=run_id,
            **detail,
        )


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
