"""An installation in a temporary home, and the command line run on it inside this process."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.world import World, media_server
from video_assets.cli.app import run
from video_assets.cli.dev.stack import emulator_environment
from video_assets.emulator import Emulator
from video_assets.settings import get_settings


@dataclass(frozen=True)
class Ran:
    """What one command line did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as JSON: all of it has to be one document."""
        return json.loads(self.out)


Command = Callable[..., Ran]


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with Emulator(time_scale=0.05) as running:
        yield running


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A clean environment and working folder; gives the home."""
    for name in list(os.environ):
        if name.startswith("VIDEO_ASSETS_") or name == "DAGSTER_HOME":
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("VIDEO_ASSETS_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    yield home
    get_settings.cache_clear()


@pytest.fixture
def command(environment: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """``command("list", "--json")`` runs the command line and gives exit code, standard output and error."""

    def call(*arguments: str, stdin: bytes | None = None) -> Ran:
        get_settings.cache_clear()
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        code = run(list(arguments))
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call


@pytest.fixture
def with_keys(environment: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """Both providers have a key and are the emulator."""
    for name, value in emulator_environment(emulator).items():
        monkeypatch.setenv(name, value)
    return emulator


@pytest.fixture
def world(with_keys: Emulator, environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The same installation as the command line sees, with a media server, for setting scenes."""
    environment.mkdir(exist_ok=True)
    with media_server(environment) as base:
        monkeypatch.setenv("VIDEO_ASSETS_PUBLIC_BASE_URL", base)
        opened = World.open(with_keys, environment, public_base_url=base)
        yield opened
        opened.services.catalog.close()


def one_sentence(ran: Ran) -> str:
    """The complaint: exactly one line on standard error, and nothing on standard output."""
    assert ran.out == ""
    lines = [line for line in ran.err.splitlines() if not line.startswith("WARNING generated an encryption key")]
    assert len(lines) == 1, ran.err
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")
