"""What a link was asked for decides whether JSON, XML, text or a page is the file or an error in its place."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from tests.transfer.scripted import script
from video_assets.media.file_types import HTML, JSON, TEXT, XML
from video_assets.providers import reading
from video_assets.providers.base import OutputKind
from video_assets.reasons import Reason
from video_assets.storage.content_types import content_type_of
from video_assets.transfer.download.downloader import Download, Downloader, DownloadFailed, DownloadPolicy
from video_assets.transfer.download.expectation import reads_like_refusal
from video_assets.transfer.download.host_throttle import HostThrottle
from video_assets.transfer.failures import Fault

SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><rect width="1" height="1"/></svg>'
ASS = b"[Script Info]\nTitle: x\n[Events]\nDialogue: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,Hello\n"
GLB = b"glTF\x02\0\0\0\x28\0\0\0\x14\0\0\0JSON" + b'{"asset":{"v":"2"}} '
PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"
TRANSCRIPT = b'{"segments":[{"start":0,"end":1.5,"text":"hello"}],"error":null}'
NOISE = bytes(range(128, 256)) * 40
PICTURE = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0" + bytes(28)
S3_ERROR = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>'
PAGE = b"<!doctype html><html><head><title>My storyboard</title></head><body>One</body></html>"


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "hello")
    return buffer.getvalue()


def fetched(
    path: str, body: bytes, folder: Path, *, expected: str | None = "video", headers: str = ""
) -> Download:
    """Fetch ``path`` from a server that answers 200 with ``body``."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode("latin-1")
    with script(head + body) as server:
        policy = DownloadPolicy(allowed_hosts=(server.netloc,), allowed_ports=(80,), first_wait=0.01)
        with Downloader(policy, gate=HostThrottle()) as downloader:
            return downloader.fetch(f"http://{server.netloc}{path}?sig=x", folder, expected=expected)


def refused(
    path: str, body: bytes, folder: Path, *, expected: str | None = "video", headers: str = ""
) -> DownloadFailed:
    with pytest.raises(DownloadFailed) as caught:
        fetched(path, body, folder, expected=expected, headers=headers)
    assert list(folder.iterdir()) == []
    return caught.value


@pytest.mark.parametrize(
    ("path", "body", "mime", "extension"),
    [
        ("/logo.svg", SVG, "image/svg+xml", "svg"),
        ("/transcript.json", TRANSCRIPT, "application/json", "json"),
        ("/words.jsonl", b'{"word":"a"}\n{"word":"b"}\n', "application/jsonl", "jsonl"),
        ("/captions.ass", ASS, "text/x-ssa", "ass"),
        ("/captions.srt", b"1\n00:00:00,000 --> 00:00:01,000\nH\xe9\n", "application/x-subrip", "srt"),
        ("/prompt.txt", b"A paper boat in the rain", "text/plain", "txt"),
        ("/prompt.txt", "Ein Papierschiff im grauen Fluß".encode("latin-1"), "text/plain", "txt"),
        ("/table.csv", b"a,b\n1,2\n", "text/csv", "csv"),
        ("/model.glb", GLB, "model/gltf-binary", "glb"),
        ("/scene.usdz", _zip(), "model/vnd.usdz+zip", "usdz"),
        ("/all.zip", _zip(), "application/zip", "zip"),
        ("/report.pdf", PDF, "application/pdf", "pdf"),
        ("/My%20Notes.PDF", PDF, "application/pdf", "pdf"),
        ("/weights.safetensors", NOISE, "application/octet-stream", "safetensors"),
        ("/noise.bin", NOISE, "application/octet-stream", "bin"),
        ("/poster.bmp", PICTURE, "image/bmp", "bmp"),
    ],
)  # fmt: skip
def test_a_file_that_the_link_names_is_kept_as_what_it_is(
    path: str, body: bytes, mime: str, extension: str, tmp_path: Path
) -> None:
    # "video" is what a table's row is taken for when nothing says more
    download = fetched(path, body, tmp_path)
    assert (download.content_type, download.extension, download.size) == (mime, extension, len(body))
    assert content_type_of(f"a.{extension}").partition(";")[0] == mime


@pytest.mark.parametrize(
    ("body", "fault", "reason"),
    [
        (TRANSCRIPT, Fault.JSON_BODY, Reason.BAD_CONTENT),
        (b"A paper boat", Fault.TEXT_BODY, Reason.BAD_CONTENT),
        (SVG.replace(b"svg", b"feed"), Fault.XML_BODY, Reason.BAD_CONTENT),
        (PAGE, Fault.HTML_BODY, Reason.BAD_CONTENT),
        (S3_ERROR, Fault.EXPIRED, Reason.SOURCE_EXPIRED),
        (NOISE, Fault.WRONG_CONTAINER, Reason.BAD_CONTENT),
        (PICTURE, Fault.WRONG_CONTAINER, Reason.BAD_CONTENT),
    ],
)
def test_a_document_noise_or_a_picture_in_the_place_of_a_video_stays_refused(
    body: bytes, fault: Fault, reason: Reason, tmp_path: Path
) -> None:
    for path in ("/clip.mp4", "/clip", "/download.php"):
        failure = refused(path, body, tmp_path, headers="Content-Type: application/octet-stream\r\n")
        assert (failure.fault, failure.reason) == (fault, reason), path


@pytest.mark.parametrize(
    ("path", "body", "fault"),
    [
        ("/transcript.json", b'{"statusCode":"400","error":"InvalidJWT","message":"exp"}', Fault.JSON_BODY),
        ("/transcript.json", b'{"code":"ExpiredToken","message":"The token has expired"}', Fault.EXPIRED),
        ("/transcript.json", b'{"message": "Forbidden"}', Fault.JSON_BODY),
        ("/transcript.json", b'{"success": false, "error": {"code": 7}, "data": null}', Fault.JSON_BODY),
        ("/transcript.json", b'{"segments":[{"start":0', Fault.INCOMPLETE),
        ("/transcript.json", PAGE, Fault.HTML_BODY),
        ("/transcript.json", b"Not Found", Fault.TEXT_BODY),
        ("/transcript.json", NOISE, Fault.WRONG_CONTAINER),
        ("/logo.svg", S3_ERROR, Fault.EXPIRED),
        ("/logo.svg", SVG[:-4], Fault.INCOMPLETE),
        ("/prompt.txt", b"Access Denied\n", Fault.TEXT_BODY),
        ("/captions.srt", b"404 page not found", Fault.TEXT_BODY),
        ("/feed.rss", S3_ERROR, Fault.EXPIRED),
        ("/story.html", PAGE.replace(b"My storyboard", b"Just a moment..."), Fault.HTML_BODY),
        ("/report.pdf", PDF[:-8], Fault.INCOMPLETE),
        ("/model.glb", GLB[:-3], Fault.INCOMPLETE),
    ],
)
def test_an_error_or_a_stump_is_refused_also_where_a_document_was_asked_for(
    path: str, body: bytes, fault: Fault, tmp_path: Path
) -> None:
    assert refused(path, body, tmp_path).fault is fault


def test_a_page_that_was_asked_for_is_kept_for_saving_and_not_for_opening(tmp_path: Path) -> None:
    download = fetched("/story.html", PAGE, tmp_path)
    assert (download.extension, download.content_type) == ("html", "application/octet-stream")


@pytest.mark.parametrize(
    "headers",
    [
        'Content-Disposition: attachment; filename="words.json"\r\n',
        "Content-Disposition: attachment; filename*=UTF-8''w%C3%B6rter.json\r\n",
    ],
)
def test_the_name_that_the_answer_gives_counts_where_the_link_has_none(headers: str, tmp_path: Path) -> None:
    assert fetched("/download/17", TRANSCRIPT, tmp_path, headers=headers).extension == "json"
    assert refused("/clip.mp4", TRANSCRIPT, _fresh(tmp_path), headers=headers)


def _fresh(folder: Path) -> Path:
    made = folder / "fresh"
    made.mkdir()
    return made


def test_the_type_of_an_answer_names_no_error_page_but_a_format_that_bytes_do_not_tell(tmp_path: Path) -> None:
    docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    assert fetched("/d/1", _zip(), tmp_path, headers=f"Content-Type: {docx}\r\n").extension == "docx"
    refused("/d/1", TRANSCRIPT, _fresh(tmp_path), headers="Content-Type: application/json\r\n")


@pytest.mark.parametrize("kind", ["video", "file", None])
def test_a_playlist_is_refused_with_its_own_word_and_not_called_broken(kind: str | None, tmp_path: Path) -> None:
    body = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:4,\nseg0.ts\n#EXT-X-ENDLIST\n"
    failure = refused("/stream.m3u8", body, tmp_path, expected=kind)
    assert (failure.fault, failure.reason) == (Fault.PLAYLIST, Reason.ONLY_A_PLAYLIST)
    assert "would save nothing" in str(failure)


def test_sound_and_moving_pictures_are_kept_whatever_a_row_calls_them(tmp_path: Path) -> None:
    wav = (
        b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\x08\0\0\0"
        + bytes(8)
    )
    for number, kind in enumerate(("video", "image", "audio", None)):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert fetched("/preview", wav, folder, expected=kind).content_type == "audio/wav"


@pytest.mark.parametrize(
    ("found", "body", "is_refusal"),
    [
        (JSON, b'{"code": 0, "msg": "gone", "data": {}}', True),
        (JSON, b'{"code": 0, "data": {"words": ["a"]}}', False),
        (JSON, b'{"title": "My film"}', False),
        (JSON, b'[{"error": "x"}]', False),
        (JSON, b'{"detail": "Not Found"}', True),
        (TEXT, b"The forbidden city at dawn", False),
        (TEXT, b"Forbidden", True),
        (TEXT, b"Expired film, grainy and warm", False),
        (TEXT, b"Error: link expired", True),
        (XML, b"<rss><channel><title>Errors of the week</title></channel></rss>", False),
        (XML, b"<ErrorResponse><x/></ErrorResponse>", True),
        (HTML, b"<html><title>Sign in</title>", True),
        (HTML, PAGE, False),
    ],
)
def test_an_error_document_is_told_from_a_document_about_errors(
    found: object, body: bytes, is_refusal: bool
) -> None:
    assert reads_like_refusal(found, body) is is_refusal  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.mp4", OutputKind.VIDEO),
        ("a.m3u8", OutputKind.VIDEO),
        ("a", OutputKind.VIDEO),
        ("a.avif", OutputKind.THUMBNAIL),
        ("a.GIF", OutputKind.GIF),
        ("a.opus", OutputKind.AUDIO),
        ("a.ass", OutputKind.SUBTITLE),
        ("a.zip", OutputKind.ARCHIVE),
        ("a.glb", OutputKind.FILE),
        ("a.json", OutputKind.FILE),
    ],
)
def test_what_a_provider_offers_is_called_by_the_one_table(name: str, kind: OutputKind) -> None:
    assert reading.kind_of(f"https://cdn.example.com/x/{name}?sig=a.b") is kind
