"""What is broken around the product is named in one sentence, with the remedy and the exit code of its kind."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.cli.conftest import Command, one_sentence
from tests.world import World
from video_assets.catalog import database
from video_assets.emulator import Emulator

SUBMIT = ("submit", "--provider", "runway", "--model", "gen4.5", "--owner", "ana", "--prompt", "A fox")


def test_a_locked_catalog(
    command: Command, with_keys: Emulator, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("list")
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    with closing(sqlite3.connect(environment / "catalog.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ran = command(*SUBMIT)
    assert ran.code == 3
    assert "another process holds it" in one_sentence(ran)
    assert command("list", "--json").document["generations"] == [], "nothing was half taken in"


def test_a_catalog_that_is_no_database(command: Command, environment: Path) -> None:
    environment.mkdir()
    (environment / "catalog.db").write_bytes(b"this is a text file, not a database\n" * 40)
    ran = command("list")
    assert ran.code == 3
    assert "this is not a catalog" in one_sentence(ran)


def test_a_catalog_on_a_server_that_is_gone(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEO_ASSETS_DATABASE_URL", "postgresql+psycopg2://ann:hunter22@127.0.0.1:1/catalog")
    ran = command("list")
    assert ran.code == 3
    sentence = one_sentence(ran)
    assert "VIDEO_ASSETS_DATABASE_URL" in sentence
    assert "hunter22" not in sentence


def test_a_database_url_that_is_none(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEO_ASSETS_DATABASE_URL", "my database, password hunter22")
    ran = command("list")
    assert ran.code == 2
    sentence = one_sentence(ran)
    assert "VIDEO_ASSETS_DATABASE_URL" in sentence
    assert "hunter22" not in sentence


def test_a_catalog_of_a_later_version_is_left_alone(command: Command, environment: Path) -> None:
    command("list")
    with closing(sqlite3.connect(environment / "catalog.db")) as other, other:
        other.execute("UPDATE video_assets_revision SET version_num = '9999'")
    ran = command("list")
    assert ran.code == 3
    assert "upgrade this installation, nothing was changed" in one_sentence(ran)


def test_a_home_that_is_a_file(command: Command, environment: Path) -> None:
    environment.write_text("in the way")
    ran = command("list")
    assert ran.code == 3
    assert "VIDEO_ASSETS_HOME" in one_sentence(ran)


def test_the_wrong_encryption_key(command: Command, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    key = world.finished("locked away")
    monkeypatch.setenv("VIDEO_ASSETS_ENCRYPTION_KEY", Fernet.generate_key().decode())
    ran = command("show", key)
    assert ran.code == 2
    assert "VIDEO_ASSETS_ENCRYPTION_KEY" in one_sentence(ran)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("VIDEO_ASSETS_STORAGE", "ftp"),
        ("VIDEO_ASSETS_MEDIA_PORT", "99999"),
        ("VIDEO_ASSETS_ALLOWED_PORTS", "80,http"),
        ("VIDEO_ASSETS_ENCRYPTION_KEY", "too short"),
        ("VIDEO_ASSETS_LEASE_SECONDS", "-1"),
    ],
)
def test_a_setting_that_cannot_be_is_named_without_its_value(
    command: Command, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    ran = command("list")
    assert ran.code == 2
    sentence = one_sentence(ran)
    assert variable in sentence or "encryption key" in sentence
    assert "too short" not in sentence


def test_a_store_that_cannot_be_reached(command: Command, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    key = world.finished("out of reach")
    world.rescue(key)
    for name, value in {
        "STORAGE": "s3",
        "S3_ENDPOINT_URL": "http://127.0.0.1:1",
        "S3_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "S3_SECRET_ACCESS_KEY": "secretsecretsecret",
    }.items():
        monkeypatch.setenv(f"VIDEO_ASSETS_{name}", value)
    ran = command("verify", key, "--json")
    assert ran.code == 1
    failed = {check["name"]: check["message"] for check in ran.document["generations"][0]["checks"]}
    assert "127.0.0.1:1" in failed["stored_bytes_match"]
    assert "secretsecret" not in ran.out + ran.err


def test_a_provider_that_cannot_be_asked_leaves_everything_as_it_was(command: Command, world: World) -> None:
    key = world.request("still running [emulator: run_seconds=600, poll_errors=99]")
    world.submit(key)
    ran = command("cancel", key)
    assert ran.code == 3
    assert "runway" in one_sentence(ran).lower()
    assert command("show", key, "--json").document["status"] == "processing"


def test_an_option_that_does_not_exist(command: Command) -> None:
    ran = command("list", "--colour")
    assert ran.code == 2
    assert "--colour" in one_sentence(ran)


def test_a_command_that_does_not_exist(command: Command) -> None:
    ran = command("frobnicate")
    assert ran.code == 2
    assert "frobnicate" in one_sentence(ran)
