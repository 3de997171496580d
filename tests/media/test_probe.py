"""Facts and the proof of playing, on real files and on what servers send instead of files."""

from __future__ import annotations

import os
from pathlib import Path

import av
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from video_assets.media.probe import NotPlayable, play, probe

from .making import clip, sound_only, still

CUT = r"missing|past the end|shorter"
"""How the structure check says that a file ends too early."""


def test_the_facts_of_an_mp4_are_what_was_encoded(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", width=320, height=180, frames=30, fps=15, sound=True)
    facts = probe(path)
    assert (facts.kind, facts.container, facts.mime_type) == ("video", "mp4", "video/mp4")
    assert (facts.video_codec, facts.audio_codec, facts.profile) == ("h264", "aac", "High")
    assert (facts.width, facts.height, facts.rotation) == (320, 180, 0)
    assert facts.fps == pytest.approx(15, abs=0.01)
    assert facts.duration_seconds == pytest.approx(2.0, abs=0.1)
    assert facts.size == path.stat().st_size
    assert facts.bitrate == pytest.approx(facts.size * 8 / 2.0, rel=0.1)
    assert facts.frame_count == 30
    assert facts.decoded_frames == 4
    assert play(path) == 30


@pytest.mark.parametrize(
    ("name", "codec", "container", "canonical"),
    [
        ("a.mp4", "libx264", "mp4", "h264"),
        ("a.mov", "libx264", "mov", "h264"),
        ("a.mkv", "libx264", "mkv", "h264"),
        ("a.webm", "libvpx-vp9", "webm", "vp9"),
        ("a.avi", "mpeg4", "avi", "mpeg4"),
        ("a.ts", "libx264", "ts", "h264"),
    ],
)
def test_every_container_a_provider_sends_is_known_by_its_bytes_not_its_name(
    tmp_path: Path, name: str, codec: str, container: str, canonical: str
) -> None:
    path = clip(tmp_path / name, codec=codec)
    nameless = path.rename(tmp_path / "spooled")
    facts = probe(nameless)
    assert (facts.container, facts.video_codec) == (container, canonical)
    assert facts.duration_seconds == pytest.approx(2.0, abs=0.15)
    assert play(nameless) == 30


def test_a_gif_is_a_video_when_it_moves(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("gif", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb8"  # type: ignore[attr-defined]
        for index in range(8):
            frame = av.VideoFrame(64, 48, "rgb8")
            frame.planes[0].update(bytes([index * 30]) * frame.planes[0].buffer_size)
            frame.pts = index
            out.mux(stream.encode(frame))  # type: ignore[attr-defined]
        out.mux(stream.encode(None))  # type: ignore[attr-defined]
    facts = probe(path)
    assert (facts.kind, facts.mime_type, facts.width) == ("video", "image/gif", 64)
    assert facts.decoded_frames >= 3


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_rotated_video_is_described_as_it_is_displayed(tmp_path: Path, turn: int) -> None:
    facts = probe(clip(tmp_path / "a.mp4", rotation=turn))
    assert (facts.width, facts.height) == ((320, 180) if turn == 180 else (180, 320))
    assert facts.rotation == 360 - turn  # FFmpeg turns anticlockwise, people say clockwise


def test_a_variable_frame_rate_has_an_average(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mkv", times=[0, 0.1, 0.5, 0.6, 1.5, 1.6, 3.0])
    facts = probe(path)
    assert facts.fps is not None
    assert 1 < facts.fps < 20
    assert facts.duration_seconds == pytest.approx(3.0, abs=0.2)
    assert play(path) == 7


def test_a_recording_that_tells_no_duration_is_measured_by_its_packets(tmp_path: Path) -> None:
    path = tmp_path / "live.mkv"
    finished = clip(tmp_path / "a.mkv", frames=30, fps=15)
    with av.open(str(finished)) as source, av.open(str(path), "w", options={"live": "1"}) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    with av.open(str(path)) as live:
        assert live.duration is None
    assert probe(path).duration_seconds == pytest.approx(2.0, abs=0.1)


def test_sound_without_picture_is_audio(tmp_path: Path) -> None:
    for name in ("a.m4a", "a.mp4"):
        facts = probe(sound_only(tmp_path / name))
        assert (facts.kind, facts.mime_type, facts.video_codec) == ("audio", "audio/mp4", None)
        assert facts.audio_codec == "aac"
        assert facts.decoded_frames == 4
        with pytest.raises(NotPlayable, match="no video"):
            play(tmp_path / name)


@pytest.mark.parametrize(
    ("codec", "pixels", "container", "mime"),
    [
        ("mjpeg", "yuvj420p", "jpeg", "image/jpeg"),
        ("png", "rgb24", "png", "image/png"),
        ("libwebp", "yuv420p", "webp", "image/webp"),
    ],
)
def test_a_picture_is_a_picture_and_a_cut_one_is_refused(
    tmp_path: Path, codec: str, pixels: str, container: str, mime: str
) -> None:
    path = still(tmp_path / "picture", codec, pixels, width=201, height=121) if codec != "mjpeg" else None
    path = path or still(tmp_path / "picture", codec, pixels, width=200, height=120)
    facts = probe(path)
    assert (facts.kind, facts.container, facts.mime_type) == ("image", container, mime)
    assert facts.width in (200, 201)
    assert (facts.fps, facts.duration_seconds, facts.frame_count, facts.decoded_frames) == (None, None, 1, 1)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(NotPlayable, match=CUT):
        probe(path)


@pytest.mark.parametrize("name", ["front.mp4", "back.mp4", "a.webm", "a.mkv"])
@pytest.mark.parametrize("missing", [1, 10, 400, 2500])
def test_a_truncated_video_is_never_playable(tmp_path: Path, name: str, missing: int) -> None:
    codec = "libvpx" if name.endswith("webm") else "libx264"
    path = clip(tmp_path / name, codec=codec, faststart=name != "back.mp4")
    whole = path.read_bytes()
    path.write_bytes(whole[:-missing])
    for judge in (probe, play):
        with pytest.raises(NotPlayable, match=CUT):
            judge(path)


def test_a_video_whose_frames_were_overwritten_is_not_playable(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", width=640, height=360, frames=40)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = os.urandom(len(data) - start)
    path.write_bytes(data)
    with pytest.raises(NotPlayable):
        probe(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no bytes"),
        (b"<!DOCTYPE html><html><body>Login</body></html>", "html"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "xml"),
        (b'{"error": "expired", "token": "eyJhbGciOiJIUzI1NiJ9.e30.c2VjcmV0"}', "json"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "m3u8"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "text"),
        (b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 500, "moov"),
    ],
)
def test_what_is_no_media_is_named_but_never_quoted(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "body.mp4"
    path.write_bytes(content)
    for judge in (probe, play):
        with pytest.raises(NotPlayable) as caught:
            judge(path)
        assert said in str(caught.value)
        assert "eyJ" not in str(caught.value)
        assert str(tmp_path) not in str(caught.value)


def test_a_missing_file_is_not_playable(tmp_path: Path) -> None:
    with pytest.raises(NotPlayable, match="could not be read"):
        probe(tmp_path / "nothing")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A small whole file of each common format."""
    folder = tmp_path_factory.mktemp("samples")
    made = [
        clip(folder / "a.mp4", sound=True, frames=12),
        clip(folder / "a.mov", frames=12, faststart=False),
        clip(folder / "a.webm", codec="libvpx", frames=12),
        clip(folder / "a.ts", frames=12),
        clip(folder / "a.avi", codec="mpeg4", frames=12),
        sound_only(folder / "a.m4a"),
        still(folder / "a.jpg", "mjpeg", "yuvj420p"),
        still(folder / "a.png", "png", "rgb24"),
        still(folder / "a.webp", "libwebp", "yuv420p"),
    ]
    return [path.read_bytes() for path in made]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    which=st.integers(0, 8),
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6),
    near=st.sampled_from([64, 1024, 1 << 30]),
)
def test_a_damaged_file_plays_or_is_refused_but_never_surprises(
    samples: list[bytes], tmp_path: Path, which: int, changes: list[tuple[float, bytes]], near: int
) -> None:
    data = bytearray(samples[which])
    for place, replacement in changes:
        at = int(place * (min(len(data), near) - 1))
        data[at : at + len(replacement)] = replacement
    path = tmp_path / "damaged"
    path.write_bytes(data)
    refusals = []
    for judge in (probe, play):
        try:
            judge(path)
        except NotPlayable as refused:
            refusals.append(str(refused))
    assert all(len(text) < 200 and str(tmp_path) not in text for text in refusals)
