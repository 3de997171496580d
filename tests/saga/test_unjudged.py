"""A video that nothing here can decode: kept and called unknown, or refused where that is wanted."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.media.samples import AAC, X264, both
from tests.transfer.scripted import script
from tests.world import World
from video_assets.catalog import GenerationStatus, MediaState, Output
from video_assets.emulator import Emulator
from video_assets.transfer.rescue.previews import make_previews

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg program to make files")

KEYS = (
    "-encryption_key",
    "76a6c65c5ea762046bd749a2e632ccbb",
    "-encryption_kid",
    "a7e61c373e219033c21091fa607bf3b8",
)


@pytest.fixture
def answer(tmp_path: Path) -> bytes:
    """An answer with a whole video that is encrypted."""
    path = both(tmp_path / "a.mp4", "1", "1", *X264, *AAC, "-encryption_scheme", "cenc-aes-ctr", *KEYS)
    body = path.read_bytes()
    return b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _finished(world: World, netloc: str) -> str:
    """A generation whose video lies at another host."""
    key = world.finished("locked")
    [output] = world.outputs(key)

    def move(session: object) -> None:
        row = session.get_one(Output, output.id)  # type: ignore[attr-defined]
        row.temporary_url = f"http://{netloc}/clip.mp4?sig=0123456789abcdef"

    world.edit(move)
    return key


def test_what_cannot_be_judged_is_stored_and_playable_says_unknown(
    emulator: Emulator, tmp_path: Path, answer: bytes
) -> None:
    with script(answer) as server:
        world = World.open(emulator, tmp_path / "home", allowed_hosts=(emulator.host, server.netloc))
        key = _finished(world, server.netloc)
        assert world.rescue(key) == ["stored"]
    assert world.status(key) is GenerationStatus.COMPLETED
    verifier = world.services.verifier
    outcome = verifier.check("playable", key)
    assert (outcome.passed, outcome.is_unknown) == (True, True)
    assert "1 unknown" in outcome.message
    assert "encrypted" in outcome.message
    assert list(outcome.details["unknown"]) == [world.media(key)[0].key]
    assert verifier.check("stored_bytes_match", key).passed
    strict = replace(verifier, require_playable=True).check("playable", key)
    assert not strict.passed
    assert "unknown" in strict.message
    assert make_previews(world.services.catalog, world.services.storage, key, spool=tmp_path / "spool") == []
    world.services.catalog.close()


def test_where_every_file_has_to_play_the_same_one_is_refused_with_its_own_word(
    emulator: Emulator, tmp_path: Path, answer: bytes
) -> None:
    with script(answer) as server:
        hosts = (emulator.host, server.netloc)
        world = World.open(emulator, tmp_path / "home", allowed_hosts=hosts, require_playable=True)
        key = _finished(world, server.netloc)
        assert world.rescue(key) != ["stored"]
    [output] = world.outputs(key)
    assert output.reason == "unjudged"
    assert "encrypted" in (output.message or "")
    assert all(media.state != MediaState.STORED for media in world.media(key))
    world.services.catalog.close()
