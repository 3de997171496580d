from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.world import World
from video_assets.cli.doctor import installation as checkup
from video_assets.cli.doctor.installation import check_clock
from video_assets.emulator import Emulator
from video_assets.storage import open_storage


def by_name(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {line["name"]: line for line in document["checks"]}


def test_an_installation_that_works_is_well(command: Command, world: World) -> None:
    ran = command("doctor", "--json")
    assert ran.code == 0, ran.out
    lines = by_name(ran.document)
    for name in (
        "settings",
        "catalog",
        "luma",
        "runway",
        "runway clock",
        "media server",
        "storage: write",
        "stuck",
    ):
        assert lines[name]["status"] == "ok", lines[name]
    assert "credits left" in lines["runway"]["message"]


def test_every_problem_has_a_remedy(command: Command, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEO_ASSETS_RUNWAY_API_KEY", "key_" + "0" * 64)
    monkeypatch.setenv("VIDEO_ASSETS_PUBLIC_BASE_URL", "http://127.0.0.1:1/media")
    monkeypatch.setenv("VIDEO_ASSETS_KEY_TEMPLATE", "{nonsense}")
    ran = command("doctor", "--json")
    assert ran.code == 1
    lines = by_name(ran.document)
    assert lines["runway"]["status"] == "failed"
    assert lines["media server"]["status"] == "warning"
    assert lines["settings"]["status"] == "failed"
    assert all(line["remedy"] for line in lines.values() if line["status"] in ("failed", "warning"))
    assert "0" * 64 not in ran.out


def test_a_catalog_that_cannot_be_opened_does_not_end_the_examination(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEO_ASSETS_DATABASE_URL", "postgresql+psycopg2://ann:hunter22@127.0.0.1:1/catalog")
    ran = command("doctor", "--json")
    assert ran.code == 1
    lines = by_name(ran.document)
    assert lines["catalog"]["status"] == "failed"
    assert lines["encryption key"]["status"] == "warning", "a shared catalog needs a shared key"
    assert lines["storage: write"]["status"] == "ok"
    assert "hunter22" not in ran.out


def test_wrong_settings_are_the_only_thing_said(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEO_ASSETS_STORAGE", "ftp")
    ran = command("doctor", "--json")
    assert ran.code == 1
    [line] = ran.document["checks"]
    assert "VIDEO_ASSETS_STORAGE" in line["message"]


def test_too_little_disk_is_a_failure(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "NO_DISK", 1 << 62)
    lines = by_name(command("doctor", "--json").document)
    assert lines["disk"]["status"] == "failed"


@pytest.fixture
def clock() -> Iterator[tuple[str, dict[str, timedelta]]]:
    """A server whose clock can be set: its address, and ``{"ahead": …}``."""
    setting = {"ahead": timedelta()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(404)
            self.send_header("Date", format_datetime(datetime.now(UTC) + setting["ahead"], usegmt=True))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", setting
    server.shutdown()
    server.server_close()


def test_a_clock_that_is_wrong_is_noticed(clock: tuple[str, dict[str, timedelta]]) -> None:
    address, setting = clock
    assert check_clock("runway", address).status == "ok"
    setting["ahead"] = timedelta(minutes=5)
    late = check_clock("runway", address)
    assert late.status == "failed"
    assert "5 min behind runway's" in late.message
    setting["ahead"] = -timedelta(minutes=5)
    assert "5 min ahead of" in check_clock("runway", address).message


def test_a_provider_without_a_clock_is_no_problem() -> None:
    assert check_clock("runway", "http://127.0.0.1:1").status == "skipped"


def test_a_durable_video_is_followed_to_the_player(command: Command, world: World) -> None:
    key = world.finished("plays")
    world.rescue(key)
    ran = command("doctor", key, "--json")
    assert ran.code == 0, ran.out
    lines = by_name(ran.document)
    assert {"generation", "address", "object", "publicly readable", "playable"} <= set(lines)


def test_an_object_that_was_deleted_is_found_missing(command: Command, world: World) -> None:
    key = world.finished("deleted behind our back")
    world.rescue(key)
    open_storage(world.settings).delete(world.media(key)[0].key)
    ran = command("doctor", key, "--json")
    assert ran.code == 1
    line = by_name(ran.document)["object"]
    assert line["status"] == "failed"
    assert "is not in the store" in line["message"]


def test_a_lost_video_is_explained_with_what_the_source_said(
    command: Command, world: World, with_keys: Emulator
) -> None:
    key = world.finished("gone [emulator: dead_links=1, refresh=gone]")
    world.rescue(key)
    ran = command("doctor", key, "--json")
    assert ran.code == 1
    lines = by_name(ran.document)
    assert lines["generation"]["message"].startswith("expired")
    assert "401" in lines["video 0"]["message"]
    assert lines["durable file"]["remedy"]
    assert not [secret for secret in with_keys.issued_secrets() if secret in ran.out + ran.err]


def test_one_that_still_waits_is_told_from_one_that_failed(command: Command, world: World) -> None:
    waiting = world.finished("waits")
    lines = by_name(command("doctor", waiting, "--json").document)
    assert lines["generation"]["status"] == "warning"
    assert "not durable yet" in lines["video 0"]["message"]
