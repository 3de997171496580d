"""A file plays, is proven broken, or cannot be judged here: files of many shapes, whole and cut."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from video_assets.media.container import check_container
from video_assets.media.probe import NotPlayable, play, probe

from .samples import AAC, LONG, SHORT, X264, both, ffmpeg, picture, subtitles, tone

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg program to make files")

VPX = ("-c:v", "libvpx", "-b:v", "200k", "-c:a", "libopus")
Make = Callable[[Path], Path]


def _made(name: str, *arguments: str) -> Make:
    def make(folder: Path) -> Path:
        ffmpeg(*arguments, folder / name)
        return folder / name

    return make


def _both(name: str, video: str, audio: str, *options: str) -> Make:
    return lambda folder: both(folder / name, video, audio, *options)


def _again(name: str, first: str, *options: str, before: tuple[str, ...] = ()) -> Make:
    """The streams of a finished MP4 copied into another file."""

    def make(folder: Path) -> Path:
        source = both(folder / first, LONG, LONG)
        ffmpeg(*before, "-i", source, "-c", "copy", *options, folder / name)
        return folder / name

    return make


def _with_subtitles(name: str, codec: str, *options: str) -> Make:
    def make(folder: Path) -> Path:
        lines = subtitles(folder / "s.srt")
        ffmpeg(*picture(SHORT), "-i", lines, *options, "-c:s", codec, folder / name)
        return folder / name

    return make


def _piped(name: str, container: str, *arguments: str) -> Make:
    """Written without ever going back, as a recorder does: no duration, no sizes."""

    def make(folder: Path) -> Path:
        ffmpeg(*arguments, "-f", container, "-live", "1", folder / name)
        return folder / name

    return make


def _padded(name: str, make: Make, padding: bytes) -> Make:
    def build(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(path.read_bytes() + padding)
        return path.rename(folder / name)

    return build


PLAYS: dict[str, tuple[Make, str, str]] = {
    "an MKV whose sound is longer": (_both("a.mkv", SHORT, LONG), "video", "video/x-matroska"),
    "a WebM whose sound is longer": (_both("a.webm", SHORT, LONG, *VPX), "video", "video/webm"),
    "a WebM whose picture is longer": (_both("a.webm", LONG, SHORT, *VPX), "video", "video/webm"),
    "an MP4 whose sound is longer": (_both("a.mp4", SHORT, LONG), "video", "video/mp4"),
    "a fragmented MP4 whose sound is longer": (
        _both("a.mp4", SHORT, LONG, *X264, *AAC, "-movflags", "frag_keyframe+empty_moov"),
        "video",
        "video/mp4",
    ),
    "an FLV whose sound is longer": (_both("a.flv", SHORT, LONG), "video", "video/x-flv"),
    "an MKV with a subtitle behind the end": (
        _with_subtitles("a.mkv", "srt", *X264),
        "video",
        "video/x-matroska",
    ),
    "an MKV that starts late": (
        _again("b.mkv", "a.mp4", before=("-itsoffset", "5")),
        "video",
        "video/x-matroska",
    ),
    "an MP4 cut by an edit list": (_again("b.mp4", "a.mp4", before=("-ss", "1.3")), "video", "video/mp4"),
    "an MKV with negative times": (
        _again("b.mkv", "a.mp4", "-avoid_negative_ts", "disabled", before=("-itsoffset", "-0.7")),
        "video",
        "video/x-matroska",
    ),
    "a MOV with a time code track": (
        _both("a.mov", SHORT, SHORT, *X264, *AAC, "-timecode", "01:00:00:00"),
        "video",
        "video/quicktime",
    ),
    "a WMV": (_both("a.wmv", SHORT, LONG, "-c:v", "wmv2", "-c:a", "wmav2"), "video", "video/x-ms-wmv"),
    "an MPEG program stream": (_both("a.mpg", SHORT, LONG, "-c:v", "mpeg2video"), "video", "video/mpeg"),
    "an M2TS": (_again("b.m2ts", "a.mp4", "-f", "mpegts", "-mpegts_m2ts_mode", "1"), "video", "video/mp2t"),
    "an Ogg with a picture": (_made("a.ogv", *picture(SHORT), "-c:v", "libtheora"), "video", "video/ogg"),
    "a WAV": (_made("a.wav", *tone(LONG)), "audio", "audio/wav"),
    "a WAV of 64 bits": (_made("a.wav", *tone(SHORT), "-rf64", "always"), "audio", "audio/wav"),
    "a WebM that only sounds": (_made("a.webm", *tone(SHORT), "-c:a", "libopus"), "audio", "audio/webm"),
    "an MKA": (_made("a.mka", *tone(SHORT), "-c:a", "libopus"), "audio", "audio/x-matroska"),
    "an AAC stream": (_made("a.aac", *tone(SHORT)), "audio", "audio/aac"),
    "an AIFF": (_made("a.aiff", *tone(SHORT)), "audio", "audio/aiff"),
    "a WMA": (_made("a.wma", *tone(SHORT)), "audio", "audio/x-ms-wma"),
    "an AVIF": (
        _made("a.avif", *picture(SHORT), "-frames:v", "1", "-c:v", "libaom-av1", "-cpu-used", "8"),
        "image",
        "image/avif",
    ),
    "an animated PNG": (_made("a.png", *picture(SHORT), "-f", "apng"), "video", "image/png"),
    "a BMP": (_made("a.bmp", *picture(SHORT), "-frames:v", "1"), "image", "image/bmp"),
    "an MP4 with zeros behind it": (
        _padded("p", _both("a.mp4", SHORT, SHORT), bytes(9000)),
        "video",
        "video/mp4",
    ),
    "a transport stream with zeros behind it": (
        _padded("p", _both("a.ts", SHORT, SHORT), bytes(1000)),
        "video",
        "video/mp2t",
    ),
    "a live MKV with zeros behind it": (
        _padded("p", _piped("a.mkv", "matroska", *picture(SHORT), *X264), bytes(1000)),
        "video",
        "video/x-matroska",
    ),
}


@pytest.mark.parametrize("what", PLAYS)
def test_a_whole_file_plays_and_is_called_what_it_is(what: str, tmp_path: Path) -> None:
    make, kind, mime = PLAYS[what]
    facts = probe(make(tmp_path).rename(tmp_path / "nameless"))
    assert (facts.kind, facts.mime_type, facts.unjudged) == (kind, mime, None)
    assert facts.decoded_frames


ENDING = {
    "mp4": _both("a.mp4", SHORT, LONG),
    "fragmented mp4": _both("a.mp4", SHORT, LONG, *X264, *AAC, "-movflags", "frag_keyframe+empty_moov"),
    "mov": _made("a.mov", *picture("1"), "-c:v", "prores_ks"),
    "mkv": _both("a.mkv", SHORT, LONG),
    "webm": _both("a.webm", LONG, SHORT, *VPX),
    "flv": _both("a.flv", LONG, LONG),
    "avi": _both("a.avi", SHORT, LONG, "-c:v", "mpeg4", "-c:a", "mp3"),
    "wmv": _both("a.wmv", SHORT, LONG, "-c:v", "wmv2", "-c:a", "wmav2"),
    "ts": _both("a.ts", LONG, SHORT),
    "mpg": _both("a.mpg", SHORT, SHORT, "-c:v", "mpeg2video"),
    "wav": _made("a.wav", *tone(SHORT)),
    "aac": _made("a.aac", *tone(SHORT)),
    "m4a": _made("a.m4a", *tone(SHORT)),
    "apng": _made("a.png", *picture("1"), "-f", "apng"),
    "webp": _made("a.webp", *picture("1"), "-c:v", "libwebp_anim"),
    "avif": _made("a.avif", *picture("1"), "-c:v", "libaom-av1", "-cpu-used", "8"),
    "tiff": _made("a.tiff", *picture("1"), "-frames:v", "1"),
}


BETWEEN_PIECES: dict[str, Callable[[bytes, int], bool]] = {
    "ts": lambda whole, place: place % 188 == 0,
    "mpg": lambda whole, place: place % 2048 == 0,
    "flv": lambda whole, place: whole[place] in (8, 9, 18),
    "aac": lambda whole, place: whole[place] == 0xFF and whole[place + 1] & 0xF6 == 0xF0,
}
"""Formats without an end: a cut exactly between two of their pieces leaves a shorter file as good as any."""


@pytest.mark.parametrize("name", ENDING)
def test_of_a_hundred_cut_files_every_one_is_refused(name: str, tmp_path: Path) -> None:
    whole = ENDING[name](tmp_path).read_bytes()
    near = [1, 2, 3, 7, 11, 19, 20, 97, 100, 188, 311, 500, 512, 777, 1000, 1024, 1500, 2048, 3001, 4096]
    places = {len(whole) * part // 81 for part in range(1, 81)} | {len(whole) - missing for missing in near}
    path = tmp_path / "cut"
    accepted = []
    is_piece = BETWEEN_PIECES.get(name, lambda whole, place: False)
    for place in sorted(place for place in places if not is_piece(whole, place)):
        path.write_bytes(whole[:place])
        try:
            probe(path)
        except NotPlayable:
            continue
        accepted.append(place)
    assert accepted == []


def test_a_flac_without_its_last_second_is_refused(tmp_path: Path) -> None:
    ffmpeg(*tone(SHORT), tmp_path / "a.flac")
    whole = (tmp_path / "a.flac").read_bytes()
    assert probe(tmp_path / "a.flac").kind == "audio"
    for missing in (1, 50, 3000, len(whole) // 2):
        (tmp_path / "a.flac").write_bytes(whole[:-missing])
        with pytest.raises(NotPlayable):
            probe(tmp_path / "a.flac")


def test_a_live_recording_that_states_its_length_and_ends_early_is_refused(tmp_path: Path) -> None:
    whole = both(tmp_path / "a.flv", LONG, LONG).read_bytes()
    place = 13
    while place < len(whole) * 0.6:  # cut between two tags: only the stated duration tells
        place += 15 + int.from_bytes(whole[place + 1 : place + 4], "big")
    (tmp_path / "a.flv").write_bytes(whole[:place])
    assert check_container(tmp_path / "a.flv").complete
    with pytest.raises(NotPlayable, match=r"last 3\.\d seconds"):
        probe(tmp_path / "a.flv")


@pytest.mark.parametrize("name", ["song.mp3", "song.m4a", "song.flac"])
@pytest.mark.parametrize("cover", ["cover.jpg", "cover.png"])
def test_a_song_with_a_cover_is_sound(name: str, cover: str, tmp_path: Path) -> None:
    ffmpeg(*picture("1"), "-frames:v", "1", tmp_path / cover)
    ffmpeg(*tone(LONG), tmp_path / f"plain-{name}")
    ffmpeg("-i", tmp_path / f"plain-{name}", "-i", tmp_path / cover, "-map", "0", "-map", "1", "-c", "copy",
           "-disposition:v", "attached_pic", tmp_path / name)  # fmt: skip
    facts = probe(tmp_path / name)
    assert (facts.kind, facts.video_codec, facts.fps, facts.width) == ("audio", None, None, None)
    assert facts.mime_type.startswith("audio/")
    assert facts.duration_seconds == pytest.approx(9, abs=0.1)


def test_a_video_with_a_cover_in_front_is_judged_by_its_moving_picture(tmp_path: Path) -> None:
    ffmpeg(*picture("1"), "-frames:v", "1", tmp_path / "cover.jpg")
    both(tmp_path / "a.mp4", SHORT, SHORT)
    ffmpeg("-i", tmp_path / "a.mp4", "-i", tmp_path / "cover.jpg", "-map", "1", "-map", "0", "-c", "copy",
           "-disposition:v:0", "attached_pic", tmp_path / "b.mp4")  # fmt: skip
    facts = probe(tmp_path / "b.mp4")
    assert (facts.kind, facts.video_codec) == ("video", "h264")
    assert play(tmp_path / "b.mp4") == 48


def test_a_length_written_wrong_into_a_whole_file_does_not_break_it(tmp_path: Path) -> None:
    data = bytearray(both(tmp_path / "a.mp4", SHORT, SHORT).read_bytes())
    at = data.index(b"mdhd")
    scale = int.from_bytes(data[at + 16 : at + 20], "big")
    data[at + 20 : at + 24] = (60 * scale).to_bytes(4, "big")
    (tmp_path / "a.mp4").write_bytes(data)
    assert probe(tmp_path / "a.mp4").unjudged is None


def test_a_sound_whose_length_is_only_estimated_is_not_called_cut(tmp_path: Path) -> None:
    quiet = ("-f", "lavfi", "-i", "anullsrc=d=20", "-f", "lavfi", "-i", "anoisesrc=d=10")
    ffmpeg(
        *quiet, "-filter_complex", "[0][1]concat=n=2:v=0:a=1", "-q:a", "0", "-write_xing", "0", tmp_path / "a.mp3"
    )
    assert probe(tmp_path / "a.mp3").decoded_frames


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_made("a.webp", *picture("1"), "-c:v", "libwebp_anim"), "animation"),
        (
            _both("a.mp4", SHORT, SHORT, *X264, *AAC, "-encryption_scheme", "cenc-aes-ctr", "-encryption_key",
                  "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8"),
            "encrypted",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_decoded_here_is_unknown_and_not_broken(make: Make, why: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    facts = probe(path)
    assert why in (facts.unjudged or "")
    assert (facts.decoded_frames, facts.size) == (0, path.stat().st_size)
    with pytest.raises(NotPlayable):
        play(path)


def test_a_picture_too_large_for_the_memory_is_unknown_and_never_decoded(tmp_path: Path) -> None:
    ffmpeg(*picture("1"), "-frames:v", "1", tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    (tmp_path / "a.png").write_bytes(data)
    facts = probe(tmp_path / "a.png")
    assert facts.decoded_frames == 0
    assert "too large" in (facts.unjudged or "")


@pytest.mark.parametrize(
    ("content", "kind", "extension"),
    [
        (b'<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x" [<!ENTITY n "v">]>\n'
         b'<svg xmlns="http://www.w3.org/2000/svg"><path/></svg>\n', "image", "svg"),
        (b"<svg:svg xmlns:svg='http://www.w3.org/2000/svg'/>", "image", "svg"),
        (b"[Script Info]\nTitle: x\n[Events]\nDialogue: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,Hello\n",
         "subtitle", "ass"),
        (b'<?xml version="1.0"?><tt xmlns="http://www.w3.org/ns/ttml"><body/></tt>', "subtitle", "ttml"),
        ("1\n00:00:00,000 --> 00:00:01,000\nGrüße\n".encode("latin-1"), "subtitle", "srt"),
        ("1\n00:00:00,000 --> 00:00:01,000\n你好世界\n".encode("gbk"), "subtitle", "srt"),
        ("WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n".encode("utf-16"), "subtitle", "vtt"),
        (b"glTF\x02\0\0\0\x2c\0\0\0\x14\0\0\0JSON" + b'{"asset":{"v":"2"}} ' + b"    ", "model", "glb"),
        (b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n", "document", "pdf"),
        (b"\xff\x0a" + bytes(40), "image", "jxl"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "image", "avif"),
    ],
)  # fmt: skip
def test_pictures_subtitles_and_documents_are_known_by_their_bytes(
    content: bytes, kind: str, extension: str, tmp_path: Path
) -> None:
    (tmp_path / "nameless").write_bytes(content)
    report = check_container(tmp_path / "nameless")
    assert (report.kind, report.extension) == (kind, extension)


@pytest.mark.parametrize("end", [b"</svg>", b"%%EOF"])
def test_a_cut_document_is_incomplete(end: bytes, tmp_path: Path) -> None:
    start = b"<svg><path d='M0 0'/><g>" if end == b"</svg>" else b"%PDF-1.4\n1 0 obj<<>>endobj\n"
    (tmp_path / "a").write_bytes(start + end)
    assert check_container(tmp_path / "a").complete
    (tmp_path / "a").write_bytes(start)
    assert check_container(tmp_path / "a").problem == "incomplete"
