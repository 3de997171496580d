"""The whole road on a small scale: an installation, a foreign database, and links of a running emulator."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool
from sqlmodel import func, select

from tests.world import World
from video_assets.catalog import MediaState
from video_assets.catalog.legacy import (
    FindingState,
    LedgerConfirmation,
    LedgerEntry,
    LedgerOutcome,
    LegacyFile,
    LegacyFinding,
)
from video_assets.emulator import Emulator
from video_assets.legacy.config.models import Source
from video_assets.legacy.inventory.batches import plan_batches
from video_assets.legacy.inventory.take import take_inventory
from video_assets.legacy.process_batch import BatchReport, Mode, process_batch
from video_assets.transfer.rescue.sweep import unknown_objects

TABLE = {
    "name": "cards",
    "columns": [{"name": "snapshot", "type": "json"}],
    "keep": ["prompt"],
    "jobs": [{"provider_at": "provider", "id_at": "snapshot#/versions/*/taskId"}],
}


@dataclass
class Road:
    """One foreign SQLite database with cards, and the installation that saves them."""

    world: World
    source: Source
    path: Path

    @classmethod
    def open(cls, emulator: Emulator, folder: Path, **changes: Any) -> Road:
        key = SecretStr(Fernet.generate_key().decode())
        values = {"lease_seconds": 1.0, "ledger_key": key, **changes}
        world = World.open(emulator, folder / "home", **values)
        path = folder / "old.db"
        path.touch()
        source = Source.model_validate({"name": "old", "url": f"sqlite:///{path}", "table": [TABLE]})
        road = cls(world, source, path)
        road.sql("CREATE TABLE cards (id INTEGER PRIMARY KEY, provider TEXT, prompt TEXT, snapshot TEXT)")
        return road

    def sql(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run a statement as another program would; its rows."""
        engine = create_engine(f"sqlite:///{self.path}", poolclass=NullPool)
        with engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return [tuple(row) for row in result] if result.returns_rows else []

    def video(self, prompt: str, *, provider: str = "runway") -> tuple[str, str]:
        """A finished video of the emulator: its link and its task."""
        key = self.world.finished(prompt, provider=provider)
        url = self.world.outputs(key)[0].temporary_url
        assert url is not None
        return url, self.world.task(key)

    def card(self, *videos: tuple[str, str], provider: str = "runway", prompt: str = "a card") -> int:
        """A card that names videos; its id."""
        versions = [{"url": url, "taskId": task} for url, task in videos]
        self.sql(
            "INSERT INTO cards (provider, prompt, snapshot) VALUES (:p, :q, :s)",
            p=provider,
            q=prompt,
            s=json.dumps({"versions": versions}),
        )
        found: int = self.sql("SELECT max(id) FROM cards")[0][0]
        return found

    def urls(self, card: int) -> list[str]:
        """The URLs that a card names now."""
        snapshot = json.loads(self.sql("SELECT snapshot FROM cards WHERE id = :i", i=card)[0][0])
        return [version["url"] for version in snapshot["versions"]]

    def take(self) -> list[str]:
        """Take the inventory and plan; the keys of the open batches in order."""
        report = take_inventory(self.world.services.catalog, self.source)
        assert report.problems == []
        plan = plan_batches(self.world.services.catalog, self.source.name)
        return [batch.key for batch in plan.open]

    def run(self, mode: Mode = Mode.APPLY, **more: Any) -> BatchReport:
        """Take the inventory and work off what is one batch in all."""
        keys = self.take() or ["old:000001"]
        assert len(keys) == 1
        return process_batch(self.world.services, self.source, keys[0], mode=mode, **more)

    def files(self) -> Sequence[LegacyFile]:
        with self.world.services.catalog.read() as session:
            return session.exec(select(LegacyFile)).all()

    def findings(self) -> Sequence[LegacyFinding]:
        with self.world.services.catalog.read() as session:
            return session.exec(select(LegacyFinding)).all()

    def assert_nothing_lost_or_doubled(self) -> None:
        """True after any crash and catching up."""
        catalog, storage = self.world.services.catalog, self.world.services.storage
        for file in self.files():
            assert file.state in (MediaState.STORED, MediaState.LOST)
            if file.state == MediaState.LOST:
                continue
            assert file.temporary_url is None
            if file.state == MediaState.STORED:
                assert storage.read_back(file.key or "", size=file.file_size or 0, sha256=file.sha256 or "")
        for finding in self.findings():
            assert finding.state in (FindingState.REWRITTEN, FindingState.LOST, FindingState.EXCEPTED)
        assert unknown_objects(catalog, storage) == [], "no orphan objects"
        with catalog.read() as session:
            entries = session.exec(select(LedgerEntry)).all()
            applied = session.exec(
                select(LedgerConfirmation.entry_id, func.count())
                .where(LedgerConfirmation.outcome == LedgerOutcome.APPLIED)
                .group_by(LedgerConfirmation.entry_id)
            ).all()
            confirmed = set(session.exec(select(LedgerConfirmation.entry_id)).all())
        assert confirmed == {entry.id for entry in entries}, "the ledger knows what became of each change"
        assert all(count == 1 for _, count in applied)
        changed = [finding for entry in entries if entry.id in dict(applied) for finding in entry.findings]
        assert len(changed) == len(set(changed)), "no place was rewritten twice"
