"""Posters and previews: upright, small, real files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from video_assets.media.poster import poster
from video_assets.media.preview import preview
from video_assets.media.probe import NotPlayable, play, probe

from .making import clip, sound_only, still


def brightness(path: Path, x: float, y: float) -> int:
    """Luma of the first picture of ``path`` at a relative position."""
    with av.open(str(path)) as container:
        frame: Any = next(container.decode(video=0)).reformat(format="gray")
    plane = frame.planes[0]
    return bytes(plane)[int(y * (frame.height - 1)) * plane.line_size + int(x * (frame.width - 1))]


def test_a_poster_is_a_jpeg_no_wider_than_asked(tmp_path: Path) -> None:
    facts = poster(clip(tmp_path / "a.mp4", width=640, height=360), tmp_path / "a.jpg", width=320)
    assert (facts.container, facts.width, facts.height) == ("jpeg", 320, 180)
    assert (tmp_path / "a.jpg").read_bytes().startswith(b"\xff\xd8\xff")
    assert list(tmp_path.glob("*.part")) == []


def test_a_small_video_is_never_enlarged(tmp_path: Path) -> None:
    facts = poster(clip(tmp_path / "a.mp4", width=160, height=90), tmp_path / "a.jpg", width=1280)
    assert (facts.width, facts.height) == (160, 90)


def test_the_poster_shows_a_moment_inside_the_video_not_its_first_frame(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", frames=300, fps=15, gop=300)
    poster(path, tmp_path / "a.jpg")
    assert brightness(tmp_path / "a.jpg", 0.9, 0.5) > brightness(path, 0.9, 0.5) + 20


@pytest.mark.parametrize(
    ("turn", "dark"), [(0, (0.1, 0.5)), (90, (0.5, 0.9)), (180, (0.9, 0.5)), (270, (0.5, 0.1))]
)
def test_a_rotated_video_gives_an_upright_poster_and_preview(
    tmp_path: Path, turn: int, dark: tuple[float, float]
) -> None:
    path = clip(tmp_path / "a.mp4", rotation=turn)  # its left half is dark; FFmpeg turns anticlockwise
    facts = poster(path, tmp_path / "a.jpg")
    assert (facts.width, facts.height) == ((320, 180) if turn in (0, 180) else (180, 320))
    assert preview(path, tmp_path / "p.mp4").width == facts.width
    x, y = dark
    for made in (tmp_path / "a.jpg", tmp_path / "p.mp4"):
        assert brightness(made, x, y) < 50
        assert brightness(made, 1 - x, 1 - y) > 100


def test_pixels_that_are_not_square_are_made_square(tmp_path: Path) -> None:
    facts = poster(clip(tmp_path / "a.mp4", width=160, height=180, aspect=Fraction(2)), tmp_path / "a.jpg")
    assert (facts.width, facts.height) == (320, 180)


def test_odd_sizes_are_rounded_to_even_ones(tmp_path: Path) -> None:
    path = still(tmp_path / "odd.png", "png", "rgb24", width=201, height=121)
    facts = poster(path, tmp_path / "a.jpg")
    assert (facts.width, facts.height) == (200, 120)


def test_a_preview_is_short_small_silent_and_plays(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", width=640, height=360, frames=75, fps=15, sound=True)
    facts = preview(path, tmp_path / "p.mp4", seconds=2, width=320)
    assert (facts.video_codec, facts.audio_codec, facts.width, facts.height) == ("h264", None, 320, 180)
    assert facts.duration_seconds == pytest.approx(2, abs=0.1)
    assert play(tmp_path / "p.mp4") == 48
    data = (tmp_path / "p.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_a_preview_of_a_variable_rate_runs_at_the_true_speed(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mkv", times=[0, 0.1, 0.5, 0.6, 1.5, 1.6, 2.5])
    assert preview(path, tmp_path / "p.mp4", seconds=2).duration_seconds == pytest.approx(2, abs=0.1)


def test_a_video_shorter_than_the_preview_is_kept_whole(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", frames=15, fps=15)
    assert preview(path, tmp_path / "p.mp4", seconds=3).duration_seconds == pytest.approx(1, abs=0.1)


def test_nothing_is_left_behind_when_there_is_no_picture(tmp_path: Path) -> None:
    path = sound_only(tmp_path / "a.mp4")
    with pytest.raises(NotPlayable):
        poster(path, tmp_path / "a.jpg")
    with pytest.raises(NotPlayable):
        preview(path, tmp_path / "p.mp4")
    with pytest.raises(NotPlayable):
        preview(still(tmp_path / "a.png", "png", "rgb24"), tmp_path / "p.mp4")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "a.png"]


def test_a_webm_gets_a_poster_and_a_preview_too(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.webm", codec="libvpx")
    assert poster(path, tmp_path / "a.jpg").container == "jpeg"
    assert probe(tmp_path / "a.jpg").width == 320
    assert preview(path, tmp_path / "p.mp4").video_codec == "h264"
