"""The world of pipeline tests: an installation with a media server, and a Dagster instance in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from tests.world import World, media_server
from video_assets.definitions import build_defs
from video_assets.emulator import Emulator


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with Emulator(time_scale=0.05) as running:
        yield running


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    with media_server(tmp_path / "home") as base:
        opened = World.open(emulator, tmp_path / "home", public_base_url=base)
        yield opened
        opened.services.catalog.close()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture
def defs(world: World) -> dg.Definitions:
    return build_defs(services=world.services)
