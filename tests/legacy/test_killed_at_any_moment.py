"""SIGKILL at every moment of a redo, of bringing files, of a folder's rewrite, and of moving BLOBs; then again.

Each command runs once undisturbed, and then once per moment: killed there, started again. What both leave must be
the same: rows, files of a folder, objects, findings, batches, the ledger's applied entries, every file name below
the installation. After a kill between intent and confirmation an undo must give back every byte.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import create_engine, make_url, text, update
from sqlalchemy.pool import NullPool
from sqlmodel import col, select

from tests.legacy.bench import signed
from tests.legacy.killing import Command, perform, processes
from tests.media.making import clip
from video_assets.catalog import Lease, MediaState
from video_assets.catalog.legacy import LedgerConfirmation, LedgerEntry, LegacyBatch, LegacyFile, LegacyFinding
from video_assets.catalog.models import utc_now
from video_assets.legacy.config.models import Source
from video_assets.legacy.inventory.batches import plan_batches
from video_assets.legacy.inventory.take import take_inventory
from video_assets.legacy.rescue.files import settle_findings
from video_assets.services import Services, open_services
from video_assets.settings import Settings
from video_assets.transfer.rescue.sweep import sweep_leftovers, unknown_objects

DATABASES = ("sqlite", "postgresql")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def commits_of(*tables: str) -> Callable[[str], bool]:
    """Chooses the moments at which a change of one of these tables is committed."""
    return lambda moment: moment.startswith("commit of ") and moment.removeprefix("commit of ").startswith(tables)


LEDGER = ("ledger", "legacy_finding")
AMONG_THE_ROWS = ("commit of ledger", "commit of cards", "commit of generated", "open old/", "rename old/")


@dataclass
class Scene:
    """An installation and old data below one folder, which is put back as it was before each kill."""

    root: Path
    kept: Path
    database: str | None
    """URL of the PostgreSQL database that holds both catalog and old rows; None for two files of SQLite."""
    source: dict[str, Any] = field(default_factory=dict)
    key: str = field(default_factory=lambda: Fernet.generate_key().decode())

    @property
    def old(self) -> Path:
        """The folder of the old data."""
        return self.root / "old"

    @property
    def brought(self) -> Path:
        """The folder of what somebody brings."""
        return self.root / "brought"

    @property
    def url(self) -> str:
        return self.database or f"sqlite:///{self.old / 'old.db'}"

    @property
    def values(self) -> dict[str, Any]:
        """The settings, as plain values."""
        home = {"home": str(self.root / "home"), "ledger_key": self.key, "download_concurrency": 1}
        return home if self.database is None else {**home, "database_url": self.database}

    @contextmanager
    def services(self) -> Iterator[Services]:
        opened = open_services(Settings(_env_file=None, **self.values))
        try:
            yield opened
        finally:
            opened.catalog.close()

    def sql(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run a statement as another program would; its rows."""
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return [tuple(row) for row in result] if result.returns_rows else []

    def use(self, *tables: dict[str, Any]) -> None:
        """The source is a database with these tables."""
        self.source = {"name": "old", "url": self.url, "table": list(tables)}

    def command(self, name: str) -> Command:
        brought = self.brought if self.brought.exists() else None
        with self.services() as services:
            handle = services.catalog.handle()
        return Command(name, self.values, handle, self.source, self.root, brought)

    # -- preparing --------------------------------------------------------------------------------------------

    def take(self, state: MediaState = MediaState.PENDING) -> None:
        """Take the inventory and cut batches; then let every file be pending, stored or lost."""
        with self.services() as services:
            source = Source.model_validate(self.source)
            assert take_inventory(services.catalog, source).problems == []
            plan_batches(services.catalog, "old")
            with services.catalog.write() as session:
                files = session.exec(select(LegacyFile).order_by(col(LegacyFile.id))).all()
                for file in files if state != MediaState.PENDING else []:
                    file.state, file.temporary_url = state, None
                    if state == MediaState.LOST:
                        file.reason, file.message, file.evidence = (
                            "source_expired",
                            "It is gone.",
                            {"status": 404},
                        )
                        continue
                    found = services.storage.put(
                        f"legacy/old/{file.id}.mp4", self.video(0), content_type="video/mp4", sha256=""
                    )
                    file.bucket, file.key = services.storage.bucket, found.key
                    file.file_url = services.storage.public_url(found.key)
                    file.file_name, file.file_type, file.file_size = f"{file.id}.mp4", "video/mp4", found.size
                    file.sha256, file.proof, file.stored_at = _sha256(self.video(0)), "bytes", utc_now()
            settle_findings(services.catalog, [file.id for file in files])
            plan_batches(services.catalog, "old")

    def video(self, number: int) -> Path:
        """A little video of its own; the same for the same number."""
        path = self.kept.with_name(f"{number}.mp4")
        return path if path.exists() else clip(path, width=64, height=48, frames=4 + number)

    def keep(self) -> None:
        """From now on :meth:`again` comes back to here."""
        shutil.copytree(self.root, self.kept)
        if self.database is not None:
            self._server(f"CREATE DATABASE {self._name}_kept TEMPLATE {self._name}")

    def again(self) -> None:
        """Everything is as it was when it was kept."""
        shutil.rmtree(self.root)
        shutil.copytree(self.kept, self.root)
        if self.database is not None:
            self._server(f"DROP DATABASE {self._name} WITH (FORCE)")
            self._server(f"CREATE DATABASE {self._name} TEMPLATE {self._name}_kept")

    @property
    def _name(self) -> str:
        return str(make_url(str(self.database)).database)

    def _server(self, statement: str) -> None:
        address = make_url(str(self.database)).set(database="postgres")
        engine = create_engine(address, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))

    # -- looking ----------------------------------------------------------------------------------------------

    def content(self) -> dict[str, Any]:
        """Every byte of the old data."""
        if self.source.get("kind") == "folder":
            return {path.name: path.read_bytes() for path in sorted(self.old.rglob("*")) if path.is_file()}
        table = self.source["table"][0]["name"]
        rows = self.sql(f"SELECT * FROM {table} ORDER BY id")
        return {str(row[0]): [bytes(v) if isinstance(v, memoryview) else v for v in row] for row in rows}

    def left(self, services: Services) -> dict[str, Any]:
        """What a command leaves, in every place it can leave something; and no object is an orphan or damaged."""
        storage = services.storage
        sweep_leftovers(services.catalog, storage, services.settings.spool, older_than=timedelta())
        assert unknown_objects(services.catalog, storage) == [], "no orphan"
        with services.catalog.read() as session:
            files = session.exec(select(LegacyFile).order_by(col(LegacyFile.id))).all()
            findings = session.exec(select(LegacyFinding).order_by(col(LegacyFinding.id))).all()
            batches = session.exec(select(LegacyBatch)).all()
            entries = session.exec(select(LedgerEntry)).all()
            outcomes = session.exec(select(LedgerConfirmation)).all()
        for file in files:
            if file.state == MediaState.STORED:
                storage.read_back(file.key or "", size=file.file_size or 0, sha256=file.sha256 or "")
        objects = [(item.key, item.size) for item in storage.list()]
        confirmed = {each.entry_id: str(each.outcome) for each in outcomes}
        assert len(outcomes) == len(entries) == len(confirmed), "each entry has exactly one outcome"
        return {
            "content": self.content(),
            "objects": objects,
            "files": [(file.id, file.state, file.key, file.file_url, file.sha256) for file in files],
            "findings": [(each.id, each.state, each.batch, each.reason) for each in findings],
            "batches": [(batch.key, batch.findings, batch.done_at is not None) for batch in batches],
            "applied": sorted(
                (it.action, it.table_name, it.row_key, it.column_name, it.before_digest, it.after_digest)
                for it in entries
                if confirmed[it.id or 0] == "applied"
            ),
            "names": sorted(
                str(path.relative_to(self.root))
                for path in self.root.rglob("*")
                if path.is_file() and not path.name.endswith(("-wal", "-shm"))
            ),
        }

    def apply(self) -> None:
        """Work everything off in this process."""
        with self.services() as services:
            assert perform(self.command("apply"), services) == []

    def undo(self) -> None:
        """Take everything back in this process."""
        with self.services() as services:
            assert perform(self.command("undo"), services) == []


@pytest.fixture
def make_scene(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Scene]:
    def make(database: str) -> Scene:
        url = request.getfixturevalue("postgres_url")() if database == "postgresql" else None
        scene = Scene(tmp_path / "world", tmp_path / "kept", url)
        scene.old.mkdir(parents=True)
        if url is None:
            (scene.old / "old.db").touch()
        return scene

    return make


def kill_everywhere(
    scene: Scene, name: str, before: dict[str, Any], *, at: Callable[[str], bool] = bool
) -> list[str]:
    """Run a command undisturbed, then kill it at each of its moments and do it again. Returns their names.

    ``before`` is what an undo must bring back, wherever ledger and rows were not at rest, and at last. ``at`` may
    choose moments by their names.
    """
    scene.keep()
    command = scene.command(name)
    with processes(command, scene.root.with_name("told.txt")) as run, scene.services() as services:
        services.catalog.close()
        scene.again()
        undisturbed = run(0)
        assert undisturbed.code == 0
        expected = scene.left(services)
        chosen = [(number, told) for number, told in enumerate(undisturbed.moments, 1) if at(told)]
        last, _ = chosen[-1]
        for number, told in chosen:
            services.catalog.close()
            scene.again()
            ran = run(number)
            moment = f"moment {number}: {ran.moments[-1]}"
            assert ran.was_killed, moment
            with services.catalog.write() as session:
                session.execute(update(Lease).values(expires_at=LONG_AGO))  # time passes
            assert perform(command, services) == [], moment
            assert scene.left(services) == expected, moment
            if told.startswith(AMONG_THE_ROWS) or number == last:
                assert perform(replace(command, name="undo"), services) == [], moment
                assert scene.content() == before, moment
    return undisturbed.moments


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# -- rows that are rewritten again ------------------------------------------------------------------------------

CARDS = {"name": "cards", "columns": [{"name": "snapshot", "type": "json"}, {"name": "url"}]}
TRIGGERS = {
    # Both make something else of a durable URL, which the rewrite only learns when it has written it.
    "sqlite": [
        "CREATE TRIGGER marking AFTER UPDATE OF url ON cards WHEN NEW.url LIKE '%/legacy/old/%' "
        "AND NEW.url NOT LIKE '%#' BEGIN UPDATE cards SET url = NEW.url || '#' WHERE id = NEW.id; END"
    ],
    "postgresql": [
        "CREATE FUNCTION marked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.url LIKE '%/legacy/old/%' THEN NEW.url := rtrim(NEW.url, '#') || '#'; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER marking BEFORE UPDATE ON cards FOR EACH ROW EXECUTE FUNCTION marked()",
    ],
}


def cards(scene: Scene, database: str) -> None:
    """Two rows with three links to two files, in a table whose trigger has its own mind."""
    scene.use(CARDS)
    scene.sql("CREATE TABLE cards (id INTEGER PRIMARY KEY, snapshot TEXT, url TEXT)")
    first, second = signed("first.mp4"), signed("second.mp4")
    snapshot = json.dumps({"video": first, "title": "é"}, indent=1)
    scene.sql("INSERT INTO cards VALUES (1, :s, NULL), (2, NULL, :u)", s=snapshot, u=second)
    scene.sql("INSERT INTO cards VALUES (3, :s, :u)", s=json.dumps([second]), u="https://example.com/stays")
    for statement in TRIGGERS[database]:
        scene.sql(statement)


@pytest.mark.parametrize("database", DATABASES)
def test_a_redo(make_scene: Callable[[str], Scene], database: str) -> None:
    scene = make_scene(database)
    cards(scene, database)
    before = scene.content()
    scene.take(MediaState.STORED)
    scene.apply()
    scene.undo()
    assert scene.content() == before
    at = {"sqlite": bool, "postgresql": commits_of("cards", *LEDGER)}
    moments = kill_everywhere(scene, "redo", before, at=at[database])
    assert moments.count("commit of legacy_finding")
    assert moments.count("commit of cards") == 3


# -- files that are brought -------------------------------------------------------------------------------------


@pytest.mark.parametrize("database", DATABASES)
def test_bringing_files(make_scene: Callable[[str], Scene], database: str) -> None:
    scene = make_scene(database)
    cards(scene, database)
    before = scene.content()
    scene.take(MediaState.LOST)
    scene.brought.mkdir()
    for number, name in enumerate(("first.mp4", "second.mp4")):
        shutil.copy(scene.video(number), scene.brought / name)
    (scene.brought / "note.txt").write_text("mine")
    # How rows are rewritten then is killed above, and what happens to files is the same on both.
    files = commits_of("legacy_file", "legacy_finding")
    at = {"sqlite": lambda moment: files(moment) or "home/" in moment or moment == "fsync", "postgresql": files}
    moments = kill_everywhere(scene, "bring", before, at=at[database])
    assert sum(moment.startswith("rename home/storage/") for moment in moments) == 2


def test_another_kind_of_file_brought_after_a_kill_leaves_no_orphan(make_scene: Callable[[str], Scene]) -> None:
    scene = make_scene("sqlite")
    cards(scene, "sqlite")
    scene.take(MediaState.LOST)
    scene.brought.mkdir()
    brought = scene.brought / "first.mp4"
    shutil.copy(scene.video(0), brought)
    scene.keep()
    command = scene.command("bring")
    with processes(command, scene.root.with_name("told.txt")) as run:
        scene.again()
        stored = [moment.startswith("rename home/storage/") for moment in run(0).moments].index(True) + 1
        scene.again()
        assert run(stored + 1).was_killed
    shutil.copy(clip(brought.with_suffix(".mov"), width=64, height=48), brought)
    brought.with_suffix(".mov").unlink()
    with scene.services() as services:
        with services.catalog.write() as session:
            session.execute(update(Lease).values(expires_at=LONG_AGO))
            [before] = [item.key for item in services.storage.list()]
        assert perform(command, services) == []
        scene.left(services)
        [after] = [item.key for item in services.storage.list()]
    assert (before[-4:], after[-4:]) == (".mp4", ".mov")


# -- documents of a folder --------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["apply", "undo"])
def test_the_documents_of_a_folder(make_scene: Callable[[str], Scene], command: str) -> None:
    scene = make_scene("sqlite")
    shutil.rmtree(scene.old)
    (scene.old / "deep").mkdir(parents=True)
    scene.source = {
        "name": "old",
        "kind": "folder",
        "url": str(scene.old),
        "folder": {"media": [], "documents": ["**/*.json", "**/*.html"]},
    }
    first, second = signed("first.mp4"), signed("second.mp4")
    (scene.old / "a.json").write_bytes(json.dumps({"url": first, "title": "é"}).encode("utf-16"))
    page = f'<a href="{first.replace("&", "&amp;")}">1</a>\r\n<a href="{second}">2</a>'
    (scene.old / "deep" / "b.html").write_bytes(b"\xff" + page.encode())
    before = scene.content()
    scene.take(MediaState.STORED)
    if command == "undo":
        scene.apply()
    moments = kill_everywhere(scene, command, before)
    assert moments.count("fsync") == 2
    assert sum(moment.startswith("rename old/") for moment in moments) == 2


# -- BLOBs ------------------------------------------------------------------------------------------------------

GENERATED = {
    "name": "generated",
    "columns": [
        {
            "name": "video_data",
            "type": "blob",
            "url_column": "video_url",
            "clear": True,
            "related": [{"column": "size", "fact": "file_size"}],
        }
    ],
}


@pytest.mark.parametrize("command", ["apply", "undo"])
@pytest.mark.parametrize("database", DATABASES)
def test_blobs_that_make_room(make_scene: Callable[[str], Scene], database: str, command: str) -> None:
    scene = make_scene(database)
    scene.use(GENERATED)
    kind = {"sqlite": "BLOB", "postgresql": "BYTEA"}[database]
    scene.sql(f"CREATE TABLE generated (id INTEGER PRIMARY KEY, video_data {kind}, video_url TEXT, size BIGINT)")
    first, second = (scene.video(number).read_bytes() for number in range(2))
    scene.sql("INSERT INTO generated VALUES (1, :a, NULL, NULL), (2, NULL, NULL, 7)", a=first)
    scene.sql("INSERT INTO generated VALUES (3, :b, 'https://example.com/x', 1)", b=second)
    before = scene.content()
    scene.take()
    if command == "undo":
        scene.apply()
    # How the bytes reach the storage is killed above, but for their way out of the table.
    at = commits_of("generated", *LEDGER, *(["legacy_file"] if database == "sqlite" else []))
    moments = kill_everywhere(scene, command, before, at=at)
    assert moments.count("commit of generated") == 2
