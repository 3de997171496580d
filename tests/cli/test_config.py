from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command
from video_assets.cli.config.docs import render
from video_assets.settings import Settings

ROOT = Path(__file__).parent.parent.parent


def test_every_value_says_where_it_comes_from(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("VIDEO_ASSETS_BUCKET=from-file\nVIDEO_ASSETS_MEDIA_PORT=4000\n")
    monkeypatch.setenv("video_assets_media_port", "4001")
    settings = command("config", "show", "--json").document["settings"]
    assert settings["bucket"] == {"value": "from-file", "variable": "VIDEO_ASSETS_BUCKET", "source": ".env"}
    assert (settings["media_port"]["value"], settings["media_port"]["source"]) == (4001, "environment")
    assert settings["storage"]["source"] == "default"
    assert set(settings) == set(Settings.model_fields)


def test_no_secret_is_shown(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "RUNWAY_API_KEY": "key_" + "a1" * 32,
        "LUMA_API_KEY": "luma-" + "b2" * 24,
        "S3_SECRET_ACCESS_KEY": "c3" * 20,
        "ENCRYPTION_KEY": "d4" * 22,
        "DATABASE_URL": "postgresql+psycopg2://ann:hunter22@db.example.com/catalog?password=hunter33",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(f"VIDEO_ASSETS_{name}", value)
    for arguments in (("config", "show"), ("config", "show", "--json")):
        ran = command(*arguments)
        assert ran.code == 0
        assert "db.example.com" in ran.out
        for secret in ("a1a1", "b2b2", "c3c3", "d4d4", "hunter"):
            assert secret not in ran.out + ran.err


@pytest.mark.parametrize(("text", "seconds"), [("00:30:00", 1800), ("PT30M", 1800), ("P1D", 86_400)])
def test_durations_are_written_as_the_documentation_says(
    monkeypatch: pytest.MonkeyPatch, text: str, seconds: int
) -> None:
    monkeypatch.setenv("VIDEO_ASSETS_EXPIRY_HORIZON", text)
    assert Settings(_env_file=None).expiry_horizon.total_seconds() == seconds


def test_the_documentation_of_the_settings_is_up_to_date(command: Command) -> None:
    written = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert written == render(), "run: video-assets config docs > docs/configuration.md"
    assert command("config", "docs").out == written


def test_every_setting_has_a_meaning() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert f"`VIDEO_ASSETS_{name.upper()}`" in render()
