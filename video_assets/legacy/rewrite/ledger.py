"""The ledger: what was changed in a source, written down before it is changed, and what came of it.

An *entry* is one column of one row. It is committed to the catalog before the source is asked to change, and
confirmed afterwards. Whoever is killed in between leaves an entry without a confirmation; the next who takes the
pen compares digests and writes the missing word. Only one process writes into a source at a time: it holds *the
pen*, a lease.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from pydantic import SecretStr
from sqlalchemy import delete
from sqlmodel import Session, col, select

from video_assets.catalog import Catalog, CatalogError, leases
from video_assets.catalog.legacy import LedgerConfirmation, LedgerEntry, LedgerImage, LedgerOutcome
from video_assets.catalog.models import utc_now
from video_assets.legacy.errors import SourceError
from video_assets.legacy.source.cell import Value

MOST_ENTRIES = 2000
"""Most entries that are open at a time; so many of the newest are looked at when the pen is taken."""

PEN = timedelta(seconds=120)
"""How long a writer may go without a sign of life before another takes the pen."""


class LedgerKeyMissing(SourceError):
    """No key for before-images is set, or it is not a Fernet key."""


class LedgerKeyWrong(SourceError):
    """A before-image was encrypted with another key."""


class PenTaken(SourceError):
    """Another process is writing into this source."""


class PenLost(SourceError):
    """This process was silent for so long that another took the pen."""


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """One column of one row, before and after."""

    table: str
    row_key: str
    column: str
    before: Value
    after: Value
    findings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Finding id → file id, SHA-256 and pointer, for each place that changes."""
    undoes: int | None = None
    before_from_file: str | None = None
    """The id of the file that holds the bytes of ``before``, which is then too large to be kept as an image."""


class Images:
    """Before-images: encrypted with a key that only the user has, and gone after a while."""

    def __init__(self, key: SecretStr | None, lifetime: timedelta) -> None:
        """Raises LedgerKeyMissing for a key that is none."""
        self.lifetime = lifetime
        if key is None:
            raise LedgerKeyMissing(
                "a rewrite keeps what it replaces, encrypted with a key of yours: set VIDEO_ASSETS_LEDGER_KEY "
                "(make one with `python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key()"
                ".decode())'` and keep it apart from the catalog), or give up undoing with --no-undo"
            )
        try:
            self._fernet = Fernet(key.get_secret_value().encode())
        except ValueError:
            raise LedgerKeyMissing(
                "VIDEO_ASSETS_LEDGER_KEY is not a Fernet key: 32 bytes in URL-safe base64 are needed"
            ) from None

    def seal(self, change: ColumnChange) -> bytes:
        """What ``change`` replaces, as it is kept."""
        if change.before_from_file is not None:
            return self._fernet.encrypt(b"F" + change.before_from_file.encode())
        return self._fernet.encrypt(b"V" + zlib.compress(change.before.dump(), 1))

    def open(self, sealed: bytes) -> Value | str:
        """The value, or the id of the file that holds its bytes. Raises LedgerKeyWrong."""
        try:
            plain = self._fernet.decrypt(sealed)
        except InvalidToken:
            raise LedgerKeyWrong(
                "what stood in the source before was encrypted with another key: set VIDEO_ASSETS_LEDGER_KEY to "
                "the one that the rewrite was run with"
            ) from None
        if plain[:1] == b"F":
            return plain[1:].decode()
        return Value.load(zlib.decompress(plain[1:]))


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of one source in one run."""

    catalog: Catalog
    source: str
    run: str
    images: Images | None
    """None: nothing is kept and nothing can be undone."""

    def intend(self, session: Session, changes: Sequence[ColumnChange], action: str) -> list[int]:
        """Write entries for changes that are about to be made; their ids in the same order."""
        now = utc_now()
        entries = [
            LedgerEntry(
                at=now,
                run=self.run,
                action=action,
                undoes=change.undoes,
                source=self.source,
                table_name=change.table,
                row_key=change.row_key,
                column_name=change.column,
                before_digest=change.before.digest,
                after_digest=change.after.digest,
                findings={key: dict(value) for key, value in change.findings.items()},
            )
            for change in changes
        ]
        session.add_all(entries)
        session.flush()
        ids = [entry.id for entry in entries if entry.id is not None]
        if self.images is not None:
            expires = now + self.images.lifetime
            session.add_all(
                LedgerImage(entry_id=entry_id, ciphertext=self.images.seal(change), expires_at=expires)
                for entry_id, change in zip(ids, changes, strict=True)
            )
        return ids


def confirm(session: Session, entry_ids: Iterable[int], outcome: LedgerOutcome) -> None:
    """Write down what became of entries."""
    now = utc_now()
    session.add_all(LedgerConfirmation(entry_id=entry_id, at=now, outcome=outcome) for entry_id in entry_ids)


def outcomes(session: Session, entry_ids: Sequence[int]) -> dict[int, LedgerOutcome]:
    """The newest confirmation of each entry; entries without any are left out."""
    found: dict[int, LedgerOutcome] = {}
    for start in range(0, len(entry_ids), 500):
        statement = (
            select(LedgerConfirmation.entry_id, LedgerConfirmation.outcome)
            .where(col(LedgerConfirmation.entry_id).in_(entry_ids[start : start + 500]))
            .order_by(col(LedgerConfirmation.id))
        )
        found.update({entry_id: LedgerOutcome(outcome) for entry_id, outcome in session.exec(statement)})
    return found


def open_entries(session: Session, source: str) -> list[LedgerEntry]:
    """Entries that nobody confirmed: their writer died. Only the newest can be open, as one writes at a time."""
    newest = session.exec(
        select(LedgerEntry)
        .where(LedgerEntry.source == source)
        .order_by(col(LedgerEntry.id).desc())
        .limit(MOST_ENTRIES)
    ).all()
    known = outcomes(session, [entry.id for entry in newest if entry.id is not None])
    return [entry for entry in reversed(newest) if entry.id not in known]


def expire_images(catalog: Catalog, *, now: datetime | None = None) -> int:
    """Remove before-images whose time is over; returns how many. Their entries stay."""
    with catalog.write() as session:
        result = session.execute(delete(LedgerImage).where(col(LedgerImage.expires_at) <= (now or utc_now())))
        return int(result.rowcount)  # type: ignore[attr-defined]


class WriteLock:
    """The right to write into a source, while it lasts."""

    def __init__(self, catalog: Catalog, claim: leases.Claim, ttl: timedelta) -> None:
        self._catalog = catalog
        self._claim = claim
        self._ttl = ttl
        self._renewed = time.monotonic()

    def still(self) -> None:
        """Make sure that the pen is ours for a while longer. Raises PenLost, CatalogError."""
        if time.monotonic() - self._renewed < self._ttl.total_seconds() / 3:
            return
        renewed = time.monotonic()
        with self._catalog.write() as session:
            if not leases.holds(session, self._claim):
                raise PenLost("another process took over writing into the source; nothing more is written here")
            leases.renew(session, self._claim, ttl=self._ttl)
        self._renewed = renewed

    def check(self, session: Session) -> None:
        """Show the pen inside a transaction of the catalog. Raises PenLost."""
        if not leases.holds(session, self._claim):
            raise PenLost("another process took over writing into the source; nothing more is written here")


@contextmanager
def take_pen(
    catalog: Catalog, source: str, *, ttl: timedelta = PEN, patience: timedelta = timedelta(minutes=10)
) -> Iterator[WriteLock]:
    """Hold the pen of ``source`` during the block, waiting for it up to ``patience``. Raises PenTaken."""
    holder = leases.new_holder()
    give_up = time.monotonic() + patience.total_seconds()
    while True:
        with catalog.write() as session:
            claim = leases.acquire(session, f"legacy-pen:{source}", holder, ttl=ttl)
        if claim is not None:
            break
        if time.monotonic() >= give_up:
            raise PenTaken(f"another process has been writing into source {source!r} for a long time; try later")
        time.sleep(0.05)
    try:
        yield WriteLock(catalog, claim, ttl)
    finally:
        with suppress(CatalogError), catalog.write() as session:
            leases.release(session, claim)
