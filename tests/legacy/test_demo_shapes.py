"""The whole road on each of the five shapes, by the commands a person types, on SQLite and PostgreSQL."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlmodel import select

from tests.world import media_server
from video_assets.catalog.legacy import FindingState, LegacyFinding
from video_assets.cli.app import run
from video_assets.cli.dev.stack import emulator_environment
from video_assets.demo.legacy_accounts import content_digests, take_account
from video_assets.emulator import Emulator
from video_assets.legacy.config.load import load_sources
from video_assets.legacy.config.models import Source
from video_assets.legacy.config.presets import PRESETS
from video_assets.legacy.config.toml import source_toml
from video_assets.legacy.examples.create import create_example
from video_assets.services import open_services
from video_assets.settings import Settings, get_settings

ROWS = 25


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@dataclass
class Installation:
    """A home, an old database, and the command line."""

    source: Source
    home: Path
    emulator: Emulator

    def command(self, *arguments: str) -> Ran:
        get_settings.cache_clear()
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = run([*arguments])
        return Ran(code, out.getvalue(), err.getvalue())

    def content(self) -> dict[str, str]:
        return dict(content_digests(self.source))


Make = Callable[[str, str], Installation]


@pytest.fixture
def make(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Make]:
    for name in list(os.environ):
        if name.startswith("VIDEO_ASSETS_") or name == "DAGSTER_HOME":
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(tmp_path)
    with media_server(home) as base:
        for name, value in emulator_environment(emulator).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("VIDEO_ASSETS_HOME", str(home))
        monkeypatch.setenv("VIDEO_ASSETS_PUBLIC_BASE_URL", base)
        monkeypatch.setenv("VIDEO_ASSETS_LEDGER_KEY", Fernet.generate_key().decode())
        # A job that the emulator does not know is gone at once, not after the hour that a real provider is given.
        monkeypatch.setenv("VIDEO_ASSETS_UNKNOWN_JOB_PATIENCE", "PT0S")

        def make_one(shape: str, kind: str) -> Installation:
            where = (
                f"sqlite:///{tmp_path / 'app.db'}"
                if kind == "sqlite"
                else request.getfixturevalue("postgres_url")()
            )
            example = create_example(PRESETS[shape], where, rows=ROWS, name="app", emulator=emulator)
            source = example.source.model_copy(update={"batch_size": 15})
            (tmp_path / "legacy.toml").write_text(source_toml(source))
            assert load_sources(tmp_path / "legacy.toml")["app"].tables == source.tables
            return Installation(source, home, emulator)

        yield make_one
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        *((shape, "sqlite") for shape in PRESETS),
        # JSONB and bytea; how each database is rewritten is tested where rewriting is.
        *((shape, "postgresql") for shape in ("generated_cards", "clip_blobs")),
    ],
)
def test_the_whole_road(make: Make, shape: str, kind: str, tmp_path: Path) -> None:
    app = make(shape, kind)
    original = app.content()
    [inventory] = app.command("legacy", "inventory", "--json").document
    assert inventory["findings"] > 10
    [report] = app.command("legacy", "report", "--json").document
    assert report["places"] == inventory["findings"]

    [saved] = app.command("legacy", "run", "--json").document
    assert saved["findings"]["saved"] > 0
    assert saved["findings"].get("pending", 0) == 0
    dry = app.command("legacy", "run", "--dry-run")
    assert (dry.code, dry.out.count("\n+++ ") > 0) == (0, True)
    assert app.content() == original, "so far no row was touched"

    [applied] = app.command("legacy", "run", "--apply", "--json").document
    assert applied["rows_rewritten"] > 0
    assert applied["rows_left"] == {}
    rewritten = app.content()
    assert rewritten != original

    proof = app.command("proof", "--json", "--out", "proof.json", "--leaves", "leaves", "--html", "proof.html")
    [part] = proof.document["sources"]
    assert proof.code == 0
    assert part["accounted"]
    assert (part["remaining"]["pending"], part["remaining"]["unknown"]) == (0, 0)
    assert part["durable"] > 0
    assert part["remaining"]["lost"] == applied["findings"].get("lost", 0)
    assert "verify the JSON document" in (tmp_path / "proof.html").read_text()
    verified = app.command("proof", "verify", "proof.json", "--against", app.source.url, "--json")
    assert (verified.code, verified.document["failures"]) == (0, [])

    table = app.source.tables[0].name
    assert app.command("legacy", "guard", "install").code == 0
    assert app.command("legacy", "guard", "show").code == 0
    refused = app.command("legacy", "undo", "app", "--all")
    assert refused.code == 2
    assert "guard remove" in refused.err
    assert app.command("legacy", "guard", "remove").code == 0
    assert app.command("legacy", "guard", "show").code == 1

    undone = app.command("legacy", "undo", "app", "--all", "--json")
    assert (undone.code, undone.document["refused"]) == (0, [])
    assert app.content() == original, "byte for byte"
    again = app.command("proof", "verify", "proof.json", "--against", app.source.url)
    assert again.code == 1, "the proof was about the rewritten rows"

    assert app.command("legacy", "redo", "app", "--table", table).code == 0
    app.command("legacy", "redo", "app")
    [applied] = app.command("legacy", "run", "--apply", "--json").document
    assert app.content() == rewritten
    services = open_services(Settings())
    account = take_account(services.catalog, "app")
    services.catalog.close()
    assert account.unaccounted == 0
    assert account.states["rewritten"] == part["durable"]


def test_one_row_is_proven_by_its_key_and_everything_that_is_wrong_says_so(make: Make, tmp_path: Path) -> None:
    app = make("sora_videos", "sqlite")
    app.command("legacy", "inventory")
    app.command("legacy", "run", "--apply")
    app.command("proof", "--out", "proof.json", "--leaves", "leaves")
    services = open_services(Settings())
    with services.catalog.read() as session:
        finding = session.exec(select(LegacyFinding).where(LegacyFinding.state == FindingState.REWRITTEN)).first()
    services.catalog.close()
    assert finding is not None
    key = str(json.loads(finding.row_key)[0])
    made = app.command(
        "proof", "row", "proof.json", "--leaves", "leaves", "--table", "videos", "--key", key, "--out", "row.json"
    )
    assert made.code == 0, made.err
    verified = app.command("proof", "verify", "row.json", "--json").document
    assert verified["good"]
    assert any(leaf[2] == finding.row_key and "legacy/app/" in " ".join(leaf) for leaf in verified["leaves"])
    missing = app.command("proof", "row", "proof.json", "--leaves", "leaves", "--table", "videos", "--key", "no")
    assert (missing.code, "has no row" in missing.err) == (2, True)

    document = json.loads((tmp_path / "proof.json").read_text())
    document["verdict"]["clean"] = True
    (tmp_path / "forged.json").write_text(json.dumps(document))
    forged = app.command("proof", "verify", "forged.json")
    assert forged.code == 1
    assert "does not fit" in forged.out
    (tmp_path / "broken.json").write_text("{")
    assert app.command("proof", "verify", "broken.json").code == 2
    assert app.command("proof", "verify", "nowhere.json").code == 3


def test_sql_for_review_is_written_instead_of_a_rewrite(make: Make, tmp_path: Path) -> None:
    app = make("kie_gallery", "sqlite")
    before = app.content()
    app.command("legacy", "inventory")
    [emitted] = app.command("legacy", "run", "--emit-sql", "sql", "--json").document
    assert emitted["statements"] > 0
    assert app.content() == before
    assert any(Path(name).name.endswith(".undo.sql") for name in emitted["files_written"])
    guard = app.command("legacy", "guard", "install", "--emit-sql")
    assert "CREATE TRIGGER video_assets_guard_" in guard.out
    assert app.command("legacy", "guard", "show").code == 1, "nothing was installed"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("legacy", "run", "--apply", "--dry-run"), "Choose one"),
        (("legacy", "undo", "app"), "Say what to undo"),
        (("legacy", "undo", "app", "--key", "1"), "--key goes with --table"),
        (("legacy", "run", "nobody"), "no source is called"),
        (("proof", "--source", "nobody"), "no source is called"),
    ],
)
def test_a_command_that_makes_no_sense_says_what_to_do(
    make: Make, arguments: tuple[str, ...], words: str
) -> None:
    app = make("kie_gallery", "sqlite")
    ran = app.command(*arguments)
    assert ran.code == 2
    assert words in ran.err


def test_without_a_ledger_key_nothing_is_rewritten_and_undo_can_be_given_up(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make("kie_gallery", "sqlite")
    monkeypatch.delenv("VIDEO_ASSETS_LEDGER_KEY")
    app.command("legacy", "inventory")
    before = app.content()
    ran = app.command("legacy", "run", "--apply")
    assert ran.code == 2
    assert "VIDEO_ASSETS_LEDGER_KEY" in ran.err
    assert app.content() == before
    [applied] = app.command("legacy", "run", "--apply", "--no-undo", "--json").document
    assert applied["rows_rewritten"] > 0


def test_without_any_source_the_proof_covers_the_product_itself(make: Make, tmp_path: Path) -> None:
    app = make("kie_gallery", "sqlite")
    (tmp_path / "legacy.toml").unlink()
    proof = app.command("proof", "--json")
    assert proof.code == 0
    assert proof.document["sources"] == []
    assert proof.document["catalog"]["clean"]
