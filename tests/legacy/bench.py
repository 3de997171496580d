"""A bench for rewrites: a foreign database with rows, its inventory, and files that are durable already."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool
from sqlmodel import select

from video_assets.catalog import Catalog, MediaState, open_catalog
from video_assets.catalog.legacy import LedgerEntry, LegacyFile, LegacyFinding
from video_assets.catalog.models import utc_now
from video_assets.legacy.config.models import Source
from video_assets.legacy.inventory.batches import plan_batches
from video_assets.legacy.inventory.take import take_inventory
from video_assets.legacy.rescue.files import settle_findings
from video_assets.legacy.rescue.open import open_rows
from video_assets.legacy.rewrite.ledger import Images
from video_assets.legacy.rewrite.rewriter import Rewriter, RewriteReport
from video_assets.legacy.rewrite.undo import Selection, Undoer, UndoReport
from video_assets.settings import Settings
from video_assets.storage import DurableStorage, open_storage

KEY = SecretStr(Fernet.generate_key().decode())


def signed(name: str, *, host: str = "clips.s3.amazonaws.com", signature: str = "ab" * 32) -> str:
    """A link of S3 that lives for another hour."""
    now = datetime.now(UTC)
    return (
        f"https://{host}/{name}?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20250101%2Fus-east-1%2Fs3%2Faws4_request"
        f"&X-Amz-Date={now:%Y%m%dT%H%M%SZ}&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature={signature}"
    )


@dataclass
class Bench:
    """One foreign database and one catalog."""

    source: Source
    catalog: Catalog
    storage: DurableStorage
    engine: Engine
    observer: Any = None
    runs: int = 0
    stack: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def open(cls, home: Path, url: str, tables: Sequence[Mapping[str, Any]], **more: Any) -> Bench:
        settings = Settings(_env_file=None, home=home)
        engine = create_engine(url, poolclass=NullPool)
        source = Source.model_validate({"name": "old", "url": url, "table": list(tables), **more})
        return cls(source, open_catalog(settings), open_storage(settings), engine)

    def sql(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run a statement as another program would; its rows."""
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return [tuple(row) for row in result] if result.returns_rows else []

    def take(self) -> None:
        """Take the inventory, cut batches, and make every file durable."""
        report = take_inventory(self.catalog, self.source)
        assert report.problems == []
        plan_batches(self.catalog, self.source.name)
        self.store()

    def store(self, content: bytes = b"a whole video") -> None:
        """Let every pending file be stored and read back, without a network."""
        for file in self.files():
            if file.state != MediaState.PENDING:
                continue
            key = f"legacy/old/{file.id}.mp4"
            with self.catalog.write() as session:
                row = session.get_one(LegacyFile, file.id)
                row.state = MediaState.STORED
                row.bucket, row.key = self.storage.bucket, key
                row.file_url = self.storage.public_url(key)
                row.file_name, row.file_type, row.file_size = f"{file.id}.mp4", "video/mp4", len(content)
                row.sha256, row.proof = hashlib.sha256(content).hexdigest(), "bytes"
                row.stored_at, row.temporary_url = utc_now(), None
            settle_findings(self.catalog, [file.id])

    def url_of(self, temporary: str) -> str:
        """The durable URL of the file behind a temporary one."""
        from video_assets.legacy.search.rows import file_id
        from video_assets.urls import fingerprint

        with self.catalog.read() as session:
            url = session.get_one(LegacyFile, file_id(self.source.name, fingerprint(temporary))).file_url
        assert url is not None
        return url

    def files(self) -> Sequence[LegacyFile]:
        with self.catalog.read() as session:
            return session.exec(select(LegacyFile)).all()

    def findings(self) -> Sequence[LegacyFinding]:
        with self.catalog.read() as session:
            return session.exec(select(LegacyFinding)).all()

    def states(self) -> list[str]:
        return sorted(str(finding.state) for finding in self.findings())

    def entries(self) -> Sequence[LedgerEntry]:
        with self.catalog.read() as session:
            return session.exec(select(LedgerEntry)).all()

    def rewrite(self, *, images: Images | None = None, run: str | None = None) -> RewriteReport:
        self.runs += 1
        with ExitStack() as stack:
            rewriter = Rewriter(
                self.catalog,
                stack.enter_context(open_rows(self.source)),
                images=images or Images(KEY, timedelta(days=30)),
                run=run or f"run-{self.runs}",
                observer=self.observer,
            )
            return rewriter.rewrite()

    def undo(self, *, dry_run: bool = False, key: SecretStr = KEY, **selection: Any) -> UndoReport:
        self.runs += 1
        with ExitStack() as stack:
            undoer = Undoer(
                self.catalog,
                self.storage,
                stack.enter_context(open_rows(self.source)),
                images=Images(key, timedelta(days=30)),
                run=f"undo-{self.runs}",
                observer=self.observer,
            )
            return undoer.undo(Selection(**selection), dry_run=dry_run)

    def close(self) -> None:
        self.catalog.close()
        self.engine.dispose()
