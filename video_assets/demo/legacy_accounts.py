"""The accounts of the legacy demonstration: what became of every place, and whether rows are as before."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool
from sqlmodel import col, func, select

from video_assets.catalog import Catalog, MediaState
from video_assets.catalog.legacy import FindingState, LegacyFile, LegacyFinding
from video_assets.legacy.config.models import Source

_ID = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b")
"""Left out of a message, so that alike losses are counted together."""

SETTLED = frozenset({FindingState.REWRITTEN, FindingState.LOST, FindingState.EXCEPTED, FindingState.GIVEN_UP})


@dataclass(slots=True)
class Account:
    """What became of one source."""

    source: str
    states: Counter[str] = field(default_factory=Counter)
    """Places by state."""
    stored: int = 0
    """Files."""
    refreshed: int = 0
    """Of these, the ones whose dead link the provider replaced."""
    lost: Counter[str] = field(default_factory=Counter)
    """Lost files by what is known of the loss."""
    without_evidence: int = 0
    """Lost files that nobody could explain."""
    bytes: int = 0

    @property
    def places(self) -> int:
        """Temporary URLs and BLOBs that the inventory found."""
        return self.states.total()

    @property
    def unaccounted(self) -> int:
        """Places that are neither rewritten, nor lost with evidence, nor left alone on purpose."""
        settled = sum(self.states[str(state)] for state in SETTLED)
        return self.places - settled + self.without_evidence

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "source": self.source,
            "places": dict(self.states),
            "files_stored": self.stored,
            "files_refreshed": self.refreshed,
            "files_lost": dict(self.lost),
            "bytes": self.bytes,
            "unaccounted": self.unaccounted,
        }


def take_account(catalog: Catalog, source: str) -> Account:
    """Count what the catalog knows of one source."""
    account = Account(source)
    with catalog.read() as session:
        states = session.exec(
            select(LegacyFinding.state, func.count())
            .where(LegacyFinding.source == source)
            .group_by(col(LegacyFinding.state))
        ).all()
        account.states.update({str(state): count for state, count in states})
        for file in session.exec(select(LegacyFile).where(LegacyFile.source == source)):
            if file.state == MediaState.STORED:
                account.stored += 1
                account.refreshed += file.refreshes > 0
                account.bytes += file.file_size or 0
            elif file.state == MediaState.LOST:
                account.lost[_ID.sub("…", file.message or "no word about it")] += 1
                account.without_evidence += not (file.message and file.evidence)
    return account


def content_digests(source: Source) -> Mapping[str, str]:
    """SHA-256 over every value of every row of each configured table: equal only when every byte is."""
    engine = sa.create_engine(source.writing_url(), poolclass=NullPool)
    digests: dict[str, str] = {}
    try:
        with engine.connect() as connection:
            for table in source.tables:
                described = sa.Table(table.name, sa.MetaData(), autoload_with=engine)
                # Types are left out: what is compared is what is stored.
                columns: list[Any] = [sa.literal_column(f'"{column.name}"') for column in described.columns]
                keys: list[Any] = [
                    sa.literal_column(f'"{column.name}"') for column in described.primary_key.columns
                ]
                digest = hashlib.sha256()
                rows = connection.execution_options(yield_per=200).execute(
                    sa.select(*columns).select_from(sa.text(f'"{table.name}"')).order_by(*keys)
                )
                for row in rows:
                    for value in row:
                        is_binary = isinstance(value, bytes | memoryview)
                        written = bytes(value) if is_binary else repr(value).encode()
                        digest.update(len(written).to_bytes(8) + written)
                digests[table.name] = digest.hexdigest()
    finally:
        engine.dispose()
    return digests
