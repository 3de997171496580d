"""The world that these tests live in: one emulator for all, one installation each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import World
from video_assets.emulator import Emulator


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with Emulator(time_scale=0.05) as running:
        yield running


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    opened = World.open(emulator, tmp_path / "home")
    yield opened
    opened.services.catalog.close()
