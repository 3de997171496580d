"""Whole files and cut ones, told apart by structure alone."""

from __future__ import annotations

import io
import random
import struct
import wave
import zipfile
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from video_assets.media.container import ContainerReport, UnreadableFile, check_container


def _encode(name: str, form: str, codec: str, folder: Path, **options: str) -> bytes:
    """A real file of twelve noisy frames."""
    path = folder / name
    noise = random.Random(11)
    with av.open(str(path), "w", format=form, options=options) as container:
        stream = container.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.gop_size = 4
        for _ in range(12):
            frame = av.VideoFrame(160, 96, "rgb24")
            frame.planes[0].update(noise.randbytes(frame.planes[0].buffer_size))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


def _sound(form: str, codec: str, folder: Path, name: str) -> bytes:
    path = folder / name
    noise = random.Random(3)
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        for number in range(20):
            frame = av.AudioFrame(format="s16", layout="mono", samples=960)
            frame.sample_rate, frame.pts, frame.time_base = 48_000, number * 960, Fraction(1, 48_000)
            frame.planes[0].update(noise.randbytes(frame.planes[0].buffer_size))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


def _jpeg() -> bytes:
    camera = av.CodecContext.create("mjpeg", "w")
    camera.width, camera.height, camera.pix_fmt, camera.time_base = 160, 96, "yuvj420p", Fraction(1, 1)
    frame = av.VideoFrame(160, 96, "yuvj420p")
    noise = random.Random(5)
    for plane in frame.planes:
        plane.update(noise.randbytes(plane.buffer_size))
    return bytes(camera.encode(frame)[0])


def _wav() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(8000))
    return buffer.getvalue()


def _png() -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + bytes(64) for _ in range(64))
    header = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows, 0))
        + chunk(b"IEND", b"")
    )


def _gif() -> bytes:
    picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, 4, 4, 0) + b"\x02" + b"\x05\x84\x8f\xa9\xcb\x05" + b"\0"
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", 4, 4, 0x80, 0, 0)
        + bytes(6)
        + b"\x21\xf9\x04"
        + bytes(5)
        + picture
        + b";"
    )


def _webp() -> bytes:
    body = b"WEBPVP8L" + struct.pack("<I", 64) + b"\x2f" + bytes(63)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", bytes(5000))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A real file of every kind."""
    folder = tmp_path_factory.mktemp("made")
    return {
        "mp4": _encode("a.mp4", "mp4", "libx264", folder),
        "mp4 faststart": _encode("b.mp4", "mp4", "libx264", folder, movflags="faststart"),
        "mp4 fragmented": _encode("c.mp4", "mp4", "libx264", folder, movflags="frag_keyframe+empty_moov"),
        "mp4 dash": _encode("d.mp4", "mp4", "libx264", folder, movflags="dash"),
        "mov": _encode("a.mov", "mov", "libx264", folder),
        "webm": _encode("a.webm", "webm", "libvpx", folder),
        "mkv": _encode("a.mkv", "matroska", "libx264", folder),
        "avi": _encode("a.avi", "avi", "libx264", folder),
        "ts": _encode("a.ts", "mpegts", "libx264", folder),
        "m4a": _sound("ipod", "aac", folder, "a.m4a"),
        "m4a in mp4": _sound("mp4", "aac", folder, "b.mp4"),
        "ogg": _sound("ogg", "libopus", folder, "a.ogg"),
        "mp3": _sound("mp3", "libmp3lame", folder, "a.mp3"),
        "flac": _sound("flac", "flac", folder, "a.flac"),
        "wav": _wav(),
        "png": _png(),
        "jpeg": _jpeg(),
        "gif": _gif(),
        "webp": _webp(),
        "zip": _zip(),
        "srt": b"1\r\n00:00:00,000 --> 00:00:01,500\r\nHello\r\n",
        "vtt": b"\xef\xbb\xbfWEBVTT\n\n00:00.000 --> 00:01.500\nHello\n",
    }


KINDS = {
    "mp4": ("video", "mp4", "video/mp4"),
    "mp4 faststart": ("video", "mp4", "video/mp4"),
    "mp4 fragmented": ("video", "mp4", "video/mp4"),
    "mp4 dash": ("video", "mp4", "video/mp4"),
    "mov": ("video", "mov", "video/quicktime"),
    "webm": ("video", "webm", "video/webm"),
    "mkv": ("video", "mkv", "video/x-matroska"),
    "avi": ("video", "avi", "video/x-msvideo"),
    "ts": ("video", "ts", "video/mp2t"),
    "m4a": ("audio", "m4a", "audio/mp4"),
    "m4a in mp4": ("audio", "m4a", "audio/mp4"),
    "ogg": ("audio", "ogg", "audio/ogg"),
    "mp3": ("audio", "mp3", "audio/mpeg"),
    "flac": ("audio", "flac", "audio/flac"),
    "wav": ("audio", "wav", "audio/wav"),
    "png": ("image", "png", "image/png"),
    "jpeg": ("image", "jpg", "image/jpeg"),
    "gif": ("image", "gif", "image/gif"),
    "webp": ("image", "webp", "image/webp"),
    "zip": ("archive", "zip", "application/zip"),
    "srt": ("subtitle", "srt", "application/x-subrip"),
    "vtt": ("subtitle", "vtt", "text/vtt"),
}
WITHOUT_AN_END = {"flac", "mp3", "srt", "vtt"}
"""Formats in which a cut leaves a shorter file that is as good as any."""

Check = Callable[[bytes], ContainerReport]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Checks bytes as a file."""

    def run(data: bytes) -> ContainerReport:
        path = tmp_path / "file"
        path.write_bytes(data)
        return check_container(path)

    return run


@pytest.mark.parametrize("name", KINDS)
def test_a_whole_file_is_recognised_and_found_whole(name: str, files: dict[str, bytes], check: Check) -> None:
    report = check(files[name])
    assert report.complete, report.detail
    assert (report.kind, report.extension, report.mime) == KINDS[name]
    assert report.size == len(files[name])


@pytest.mark.parametrize("name", sorted(set(KINDS) - WITHOUT_AN_END))
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9, 1.0])
def test_a_cut_file_is_never_whole(name: str, part: float, files: dict[str, bytes], check: Check) -> None:
    whole = files[name]
    report = check(whole[: min(int(len(whole) * part), len(whole) - 1)])
    assert not report.complete
    assert report.problem in ("incomplete", "missing_moov")
    assert report.detail


def _boxes(data: bytes) -> list[bytes]:
    found, place = [], 0
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        found.append(data[place : place + size])
        place += size
    return found


def test_a_video_without_its_index_is_still_being_written(files: dict[str, bytes], check: Check) -> None:
    report = check(b"".join(box for box in _boxes(files["mp4"]) if box[4:8] != b"moov"))
    assert (report.problem, report.has_moov) == ("missing_moov", False)


def test_an_index_without_media_is_incomplete(files: dict[str, bytes], check: Check) -> None:
    report = check(b"".join(box for box in _boxes(files["mp4 faststart"]) if box[4:8] != b"mdat"))
    assert (report.problem, report.has_moov) == ("incomplete", True)


def test_a_file_that_begins_in_the_middle_of_a_stream_is_damaged(files: dict[str, bytes], check: Check) -> None:
    segment = (24).to_bytes(4, "big") + b"styp" + files["mp4"][8:24]
    assert check(segment + b"".join(_boxes(files["mp4"])[1:])).problem == "damaged"


def test_a_movie_older_than_the_box_with_its_type_is_whole(files: dict[str, bytes], check: Check) -> None:
    report = check(files["mov"][:4] + b"wide" + files["mov"][8:])
    assert (report.complete, report.format) == (True, "mov")


def test_a_64_bit_size_is_understood(files: dict[str, bytes], check: Check) -> None:
    boxes = _boxes(files["mp4"])
    at = next(place for place, box in enumerate(boxes) if box[4:8] == b"mdat")
    if boxes[at - 1][4:8] == b"free" and len(boxes[at - 1]) == 8:  # the place kept for the wide header
        wide = b"\0\0\0\1mdat" + (len(boxes[at]) + 8).to_bytes(8, "big") + boxes[at][8:]
        boxes[at - 1 : at + 1] = [wide]
    whole = b"".join(boxes)
    assert len(whole) == len(files["mp4"])
    assert check(whole).complete
    assert check(whole[: len(whole) // 2]).problem == "incomplete"


def test_a_size_of_zero_means_to_the_end_and_the_index_still_finds_a_cut(
    files: dict[str, bytes], check: Check
) -> None:
    boxes = _boxes(files["mp4 faststart"])
    assert boxes[-1][4:8] == b"mdat"
    whole = b"".join(boxes[:-1]) + b"\0\0\0\0" + boxes[-1][4:]
    assert check(whole).complete
    head = sum(map(len, boxes[:-1]))
    assert check(whole[: head + 100]).problem is None or check(whole[: head + 8]).problem == "incomplete"
    assert check(whole[: head + 8]).problem == "incomplete"


def test_a_cut_at_a_fragment_border_leaves_a_moof_without_media(files: dict[str, bytes], check: Check) -> None:
    boxes = _boxes(files["mp4 fragmented"])
    last = max(place for place, box in enumerate(boxes) if box[4:8] == b"moof")
    assert check(b"".join(boxes[: last + 1])).problem == "incomplete"


def test_zeros_behind_the_last_box_are_padding(files: dict[str, bytes], check: Check) -> None:
    assert check(files["mp4"] + bytes(1000)).complete
    assert check(files["mp4"] + bytes(3)).complete


STRAY = [
    b"\n",
    b"abc",
    b"</body>\n<p>junk",
    b"\0" * 8 + b"\xff" * 90,
    b"TAG" + bytes(125),
    b"\0\1\2\3\4\5\6\7\x08",
]


@pytest.mark.parametrize("stray", STRAY)
def test_stray_bytes_behind_a_whole_video_are_ignored_as_players_do(
    stray: bytes, files: dict[str, bytes], check: Check
) -> None:
    for name in ("mp4", "mp4 faststart", "mov", "mp4 fragmented"):
        assert check(files[name] + stray).complete


@pytest.mark.parametrize("stray", STRAY)
def test_stray_bytes_never_hide_that_something_is_missing(
    stray: bytes, files: dict[str, bytes], check: Check
) -> None:
    first, *_rest = _boxes(files["mp4 faststart"])
    without_media = b"".join(box for box in _boxes(files["mp4 faststart"]) if box[4:8] != b"mdat")
    fragments = _boxes(files["mp4 fragmented"])
    last = max(place for place, box in enumerate(fragments) if box[4:8] == b"moof")
    for cut in (first, without_media, b"".join(fragments[: last + 1]), files["mp4"][:-300]):
        assert not check(cut + stray).complete


@pytest.mark.parametrize("name", [b"moof", b"mdat", b"free", b"moov"])
def test_a_cut_box_behind_a_whole_video_is_no_stray_bytes(
    name: bytes, files: dict[str, bytes], check: Check
) -> None:
    assert check(files["mp4"] + (5000).to_bytes(4, "big") + name + b"abc").problem == "incomplete"


@pytest.mark.parametrize("left", [3, 7, 8, 30])
def test_what_is_left_of_the_next_fragment_is_no_stray_bytes(
    left: int, files: dict[str, bytes], check: Check
) -> None:
    next_fragment = (500).to_bytes(4, "big") + b"moof" + bytes(492)
    assert check(files["mp4 fragmented"] + next_fragment[:left]).problem in (
        "incomplete",
        None if left < 4 else "",
    )


def test_an_empty_media_box_is_no_media(files: dict[str, bytes], check: Check) -> None:
    rest = b"".join(box for box in _boxes(files["mp4 faststart"]) if box[4:8] != b"mdat")
    assert check(rest + b"\0\0\0\x08mdat").problem == "incomplete"


@pytest.mark.parametrize("name", [b"mdia", b"minf", b"stbl"])
def test_boxes_nested_without_end_are_not_followed(name: bytes, files: dict[str, bytes], check: Check) -> None:
    nested = b""
    for _ in range(5000):
        nested = (len(nested) + 8).to_bytes(4, "big") + name + nested
    track = (len(nested) + 8).to_bytes(4, "big") + b"trak" + nested
    moov = (len(track) + 8).to_bytes(4, "big") + b"moov" + track
    first, *_rest = _boxes(files["mp4"])
    assert check(first + moov + b"\0\0\0\x0cmdatabcd").complete


def test_a_live_recording_of_unknown_size_is_accepted(files: dict[str, bytes], check: Check) -> None:
    webm = files["webm"]
    at = webm.index(b"\x18\x53\x80\x67") + 4
    assert webm[at] == 0x01
    assert check(webm[:at] + b"\x01" + b"\xff" * 7 + webm[at + 8 :]).complete


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"<!DOCTYPE html><html>", "html"),
        (b"\xef\xbb\xbf \n<!-- x --><HTML lang=en>", "html"),
        (b'<?xml version="1.0"?><!-- c --><html xmlns="x">', "html"),
        ("<html>ü".encode("utf-16"), "html"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "xml"),
        (b"<Error/>", "xml"),
        (b'{"error": "x"}', "json"),
        (b"  [1, 2]", "json"),
        (b"Not Found", "text"),
        (b"\xc3\xbc" * 3000 + b"\xc3", "text"),
    ],
)
def test_a_document_is_no_media(head: bytes, name: str, check: Check) -> None:
    report = check(head)
    assert (report.kind, report.format, report.problem) == ("document", name, "not_media")


def test_playlists_are_told_apart_from_videos(check: Check) -> None:
    assert check(b"#EXTM3U\n#EXTINF:4,\na.ts\n").kind == "playlist"
    assert check(b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011">').kind == "playlist"


def test_nothing_and_noise_are_named(check: Check) -> None:
    assert check(b"").problem == "empty"
    assert check(bytes(range(128, 256)) * 9).problem == "not_media"
    assert check(bytes(5000)).problem == "not_media"


def test_a_file_that_cannot_be_read_is_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile) as caught:
        check_container(tmp_path / "missing")
    assert str(tmp_path) not in str(caught.value)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_damage_anywhere_never_raises(
    data: st.DataObject, files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = files[data.draw(st.sampled_from(sorted(files)))]
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 6))):
        if damaged:
            place = data.draw(st.integers(0, min(len(damaged) - 1, 600)))
            damaged[place : place + 4] = data.draw(st.binary(min_size=1, max_size=9))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(damaged)
    report = check_container(path)
    assert (report.problem is None) == report.complete


@settings(max_examples=300, deadline=None)
@given(
    head=st.sampled_from(
        [
            b"\0\0\0\x18ftypmp42",
            b"\x1a\x45\xdf\xa3",
            b"RIFF",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"\xff\xd8\xff",
            b"ID3",
            b"OggS",
            b"PK\x03\x04",
            b"\xff\xfb\x90\x00",
            b"<",
            b"",
        ]
    ),
    rest=st.binary(max_size=300),
)
def test_noise_behind_a_known_beginning_never_raises(
    head: bytes, rest: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "noise"
    path.write_bytes(head + rest)
    check_container(path)
