"""Proofs about a generation's durable copies, asked of the store and the catalog, never of our memory.

The same five questions are asset checks in Dagster and the ``verify`` command of the terminal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests

from video_assets.catalog import Catalog, MediaFile, MediaState, queries
from video_assets.catalog.audit import Audit, Violation, audit_persisted_urls
from video_assets.media.probe import NotPlayable, probe
from video_assets.storage.durable import DurableStorage, StorageFailed
from video_assets.urls import NO_RULES, HostRules

MEDIA_TYPES = ("video/", "image/", "audio/")


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """The answer to one question about one generation. Everything in it is safe to show."""

    name: str
    passed: bool
    message: str
    """For ``playable`` it says "unknown" with the reason where a file could not be judged."""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def is_unknown(self) -> bool:
        """Whether nothing is wrong as far as is known, but some file could not be judged."""
        return self.passed and bool(self.details.get("unknown"))


@dataclass(frozen=True, slots=True)
class Verifier:
    """Asks the questions. ``timeout`` is in seconds, for the anonymous request of ``publicly_readable``."""

    catalog: Catalog
    storage: DurableStorage
    spool: Path
    timeout: float = 10.0
    require_playable: bool = False
    """Whether a file that nothing here can judge fails ``playable``."""
    hosts: HostRules = NO_RULES
    """The user's own rules about hosts that delete."""

    def verify(self, generation_id: str) -> list[CheckOutcome]:
        """Every question about one generation, in the order of :data:`CHECKS`. Raises GenerationNotFound."""
        return [self.check(name, generation_id) for name in CHECKS]

    def check(self, name: str, generation_id: str) -> CheckOutcome:
        """One question, by its name in :data:`CHECKS`. Raises GenerationNotFound."""
        with self.catalog.read() as session:
            queries.get_generation(session, generation_id)
        return CHECKS[name](self, generation_id)

    # -- the catalog --------------------------------------------------------------------------------------

    def no_persisted_jwt(self, generation_id: str) -> CheckOutcome:
        """No column of any row of the generation holds a JWT."""
        audit = self._audit(generation_id)
        found = [violation for violation in audit.sample if violation.carries_jwt]
        return _audited("no_persisted_jwt", audit, audit.jwts, found, "a JWT")

    def no_temporary_url(self, generation_id: str) -> CheckOutcome:
        """No column of any row of the generation holds a URL that dies or carries a credential."""
        audit = self._audit(generation_id)
        what = "a temporary or credential-carrying URL"
        return _audited("no_temporary_url", audit, audit.violations, audit.sample, what)

    def _audit(self, generation_id: str) -> Audit:
        with self.catalog.read() as session:
            return audit_persisted_urls(session, generation_id=generation_id, hosts=self.hosts)

    # -- the store ----------------------------------------------------------------------------------------

    def stored_bytes_match(self, generation_id: str) -> CheckOutcome:
        """Every stored file has the size and SHA-256 that the catalog says, read back from the store."""

        def look(media: MediaFile) -> str | None:
            digest, size = hashlib.sha256(), 0
            for block in self.storage.read(media.key):
                digest.update(block)
                size += len(block)
            if size != media.file_size:
                return f"{media.key}: {size} bytes in the store, {media.file_size} in the catalog"
            if digest.hexdigest() != media.sha256:
                return f"{media.key}: SHA-256 {digest.hexdigest()} in the store, {media.sha256} in the catalog"
            return None

        return self._each("stored_bytes_match", generation_id, look, "read back with the right SHA-256")

    def publicly_readable(self, generation_id: str) -> CheckOutcome:
        """An anonymous ranged GET of every durable link gives its first byte."""
        with requests.Session() as http:
            http.trust_env = False

            def look(media: MediaFile) -> str | None:
                try:
                    answer = http.get(
                        media.file_url or "",
                        headers={"Range": "bytes=0-0"},
                        timeout=self.timeout,
                        stream=True,
                    )
                except requests.RequestException as exc:
                    return (
                        f"{media.file_url}: {type(exc).__name__}; is the media server (or the bucket's public "
                        "address) up?"
                    )
                with answer:
                    if answer.status_code not in (200, 206):
                        return f"{media.file_url}: HTTP {answer.status_code}; the bucket must allow public reads"
                    if not next(answer.iter_content(1), b""):
                        return f"{media.file_url}: an empty answer"
                return None

            return self._each("publicly_readable", generation_id, look, "readable by anyone")

    def playable(self, generation_id: str) -> CheckOutcome:
        """Every stored video, picture and sound decodes, from the store's own bytes.

        Three answers for a file: it decodes, it is broken, or nothing here can judge it. The last is told as
        ``unknown`` with its reason; it fails the check only where ``require_playable`` is set.
        """
        frames: dict[str, int] = {}
        unknown: dict[str, str] = {}

        def look(media: MediaFile) -> str | None:
            if not (media.file_type or "").startswith(MEDIA_TYPES):
                return None
            with copy_from_store(self.storage, media.key, self.spool) as path:
                try:
                    facts = probe(path)
                except NotPlayable as exc:
                    return f"{media.key}: {exc}"
            if facts.unjudged is None:
                frames[media.key] = facts.decoded_frames
                return None
            unknown[media.key] = facts.unjudged
            return f"{media.key}: unknown: {facts.unjudged}" if self.require_playable else None

        outcome = self._each("playable", generation_id, look, "decoded")
        outcome.details["decoded_frames"] = frames
        if not unknown:
            return outcome
        outcome.details["unknown"] = unknown
        if not outcome.passed:
            return outcome
        files = outcome.details["files"]
        key, why = next(iter(unknown.items()))
        message = f"{files - len(unknown)} of {files} files decoded, {len(unknown)} unknown: {key}: {why}"
        return replace(outcome, message=message)

    def _each(
        self, name: str, generation_id: str, look: Callable[[MediaFile], str | None], success: str
    ) -> CheckOutcome:
        with self.catalog.read() as session:
            files = queries.media_of(session, generation_id, state=MediaState.STORED)
        problems = []
        for media in files:
            try:
                problem = look(media)
            except StorageFailed as exc:
                problem = str(exc)
            if problem is not None:
                problems.append(problem)
        if not files:
            return CheckOutcome(name, False, "there is no stored file to look at", {"files": 0})
        if problems:
            message = f"{len(problems)} of {len(files)} files: {problems[0]}"
            return CheckOutcome(name, False, message, {"files": len(files), "problems": problems[:20]})
        return CheckOutcome(name, True, f"{len(files)} of {len(files)} files {success}", {"files": len(files)})


CHECKS: dict[str, Callable[[Verifier, str], CheckOutcome]] = {
    "no_persisted_jwt": Verifier.no_persisted_jwt,
    "no_temporary_url": Verifier.no_temporary_url,
    "stored_bytes_match": Verifier.stored_bytes_match,
    "publicly_readable": Verifier.publicly_readable,
    "playable": Verifier.playable,
}


@contextmanager
def copy_from_store(storage: DurableStorage, key: str, spool: Path) -> Iterator[Path]:
    """A scratch copy of an object, gone when the block ends. Streams; raises StorageFailed."""
    spool.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=spool, prefix="copy-") as folder:
        path = Path(folder) / key.rpartition("/")[2]
        with path.open("wb") as file:
            for block in storage.read(key):
                file.write(block)
        yield path


def _audited(name: str, audit: Audit, count: int, sample: Sequence[Violation], what: str) -> CheckOutcome:
    details: dict[str, Any] = {"rows_scanned": audit.rows, "violations": count}
    if count == 0:
        return CheckOutcome(name, True, f"{audit.rows} rows scanned, none holds {what}", details)
    details["sample"] = [str(violation) for violation in sample]
    return CheckOutcome(name, False, f"{count} values hold {what}; the first: {sample[0]}", details)
