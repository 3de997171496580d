"""Answers spelled out byte by byte, as odd sources send them: which are a file, and what the others count as."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pytest

from tests.transfer.scripted import Script, script
from video_assets.transfer.download.downloader import Downloader, DownloadFailed, DownloadPolicy
from video_assets.transfer.download.host_throttle import HostThrottle
from video_assets.transfer.failures import Fault


def box(name: bytes, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + name + content


FILE = (
    box(b"ftyp", b"isom\0\0\2\0isom")
    + box(b"moov", box(b"mvhd", bytes(100)))
    + box(b"mdat", bytes(range(256)) * 40)
)
SIZE = len(FILE)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n"
ETAG = b'ETag: "one"\r\n'


def whole(body: bytes = FILE, headers: bytes = b"", length: int | None = None) -> bytes:
    return OK + headers + b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


def chunked(
    body: bytes, headers: bytes = b"", *, step: int = 3000, extension: bytes = b"", end: bytes = b"0\r\n\r\n"
) -> bytes:
    parts = [body[at : at + step] for at in range(0, len(body), step)]
    framed = b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts)
    return OK + headers + b"Transfer-Encoding: chunked\r\n\r\n" + framed + end


def part(
    start: int, body: bytes, headers: bytes = b"", *, total: bytes = b"%d" % SIZE, length: bool = True
) -> bytes:
    said = b"Content-Length: %d\r\n" % len(body) if length else b""
    span = b"Content-Range: bytes %d-%d/%s\r\n" % (start, SIZE - 1, total)
    return b"HTTP/1.1 206 Partial\r\n" + ETAG + span + headers + said + b"\r\n" + body


def redirect(location: bytes) -> bytes:
    return b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"


def raw_deflate(body: bytes) -> bytes:
    squeezer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeezer.compress(body) + squeezer.flush()


HALF = SIZE // 2
CUT = whole(FILE, ETAG)[: HALF - SIZE]


def downloader(server: Script) -> Downloader:
    policy = DownloadPolicy(
        allowed_hosts=(server.netloc,),
        idle_timeout=1.0,
        total_timeout=20.0,
        first_wait=0.0,
        attempts=3,
        max_bytes=4_000_000,
    )
    return Downloader(policy, gate=HostThrottle(first_pause=0.0))


ACCEPTED: dict[str, list[bytes]] = {
    "HTTP/1.0 without a length": [b"HTTP/1.0 200 OK\r\n\r\n" + FILE],
    "no reason phrase": [b"HTTP/1.1 200\r\nContent-Length: %d\r\n\r\n" % SIZE + FILE],
    "bare line feeds": [b"HTTP/1.1 200 OK\nContent-Length: %d\n\n" % SIZE + FILE],
    "the same length twice": [whole(headers=b"Content-Length: %d\r\n" % SIZE)],
    "an unknown transfer coding": [whole(headers=b"Transfer-Encoding: binary\r\n")],
    "chunks with extensions and a trailer": [
        chunked(FILE, extension=b';a="b"', end=b"0\r\nContent-MD5: nonsense\r\n\r\n")
    ],
    "chunks beside a length": [chunked(FILE, b"Content-Length: 5\r\n")],
    "no line behind the last chunk": [chunked(FILE, end=b"0\r\n")],
    "a 206 with everything": [part(0, FILE)],
    "a 200 with the range of everything": [whole(headers=b"Content-Range: bytes 0-%d/%d\r\n" % (SIZE - 1, SIZE))],
    "raw deflate": [whole(raw_deflate(FILE), b"Content-Encoding: deflate\r\n")],
    "gzip in two members and padding": [
        whole(gzip.compress(FILE[:99]) + gzip.compress(FILE[99:]) + bytes(20), b"Content-Encoding: gzip\r\n")
    ],
    "an encoding that is none": [whole(headers=b"Content-Encoding: aws-chunked\r\nContent-Encoding: UTF-8\r\n")],
    "identity and gzip": [
        whole(gzip.compress(FILE), b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\n")
    ],
    "a refresh header and a cookie": [whole(headers=b"Refresh: 0; url=http://10.0.0.1/\r\nSet-Cookie: a=b\r\n")],
    "redirects by reference": [
        redirect(b"../../b?c=%2F"),
        redirect(b"?d"),
        redirect("//$HOST/ü f".encode()),
        whole(),
    ],
    "a rest of a file of unknown size": [CUT, part(HALF, FILE[HALF:], total=b"*")],
    "a rest behind a redirect": [CUT, redirect(b"/elsewhere"), part(HALF, FILE[HALF:])],
    "everything instead of the rest": [CUT, whole(headers=ETAG)],
    "a rest too long": [CUT, part(HALF, FILE[HALF:] + b"more", length=False), whole()],
    "a rest too short, then the rest of it": [
        CUT,
        part(HALF, FILE[HALF:-7], length=False),
        part(SIZE - 7, FILE[-7:]),
    ],
    "a compressed rest": [
        CUT,
        part(HALF, gzip.compress(FILE[HALF:]), b"Content-Encoding: gzip\r\n", length=False),
        whole(),
    ],
    "a rest of several parts": [
        CUT,
        b"HTTP/1.1 206 P\r\nContent-Type: multipart/byteranges; boundary=x\r\nContent-Length: 3\r\n\r\n--x",
        whole(),
    ],
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_odd_answers_that_carry_the_file(name: str, tmp_path: Path) -> None:
    with script(*ACCEPTED[name]) as server, downloader(server) as client:
        download = client.fetch(f"http://{server.netloc}/a/b.mp4?c=d", tmp_path, expected="video")
        assert download.path.read_bytes() == FILE
        assert len(server.requests) == len(ACCEPTED[name])
        assert not any(b"\r\nCookie:" in request for request in server.requests)


REFUSED: dict[str, tuple[Fault, bytes]] = {
    "HTTP/0.9": (Fault.BAD_RESPONSE, FILE),
    "a head that breaks off": (Fault.RESET, OK + b"Content-Len"),
    "two lengths in one header": (Fault.BAD_RESPONSE, OK + b"Content-Length: %d, 5\r\n\r\n" % SIZE + FILE),
    "a length of -1": (Fault.BAD_RESPONSE, OK + b"Content-Length: -1\r\n\r\n" + FILE),
    "a length of +3": (Fault.BAD_RESPONSE, OK + b"Content-Length: +3\r\n\r\n" + FILE),
    "an absurd length": (Fault.BAD_RESPONSE, OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + FILE),
    "a length of exabytes": (Fault.TOO_LARGE, OK + b"Content-Length: " + b"9" * 18 + b"\r\n\r\n" + FILE),
    "compressed chunks": (Fault.UNKNOWN_ENCODING, OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + FILE),
    "no last chunk": (Fault.TRUNCATED, chunked(FILE, end=b"")),
    "a chunk of exabytes": (Fault.TRUNCATED, chunked(b"", end=b"F" * 16 + b"\r\n" + FILE)),
    "a chunk with more than it says": (Fault.DAMAGED, chunked(FILE).replace(b"\r\n0\r\n", b"more\r\n0\r\n")),
    "interim answers without end": (Fault.BAD_RESPONSE, b"HTTP/1.1 100 C\r\n\r\n" * 500 + whole()),
    "another protocol": (Fault.UNEXPECTED_STATUS, b"HTTP/1.1 101 S\r\nUpgrade: h2c\r\n\r\n" + FILE),
    "a 204 with a body": (Fault.ZERO_BYTES, b"HTTP/1.1 204 N\r\nContent-Length: %d\r\n\r\n" % SIZE + FILE),
    "a 205": (Fault.ZERO_BYTES, b"HTTP/1.1 205 R\r\nContent-Length: 0\r\n\r\n"),
    "a choice": (Fault.UNEXPECTED_STATUS, b"HTTP/1.1 300 M\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"),
    "a proxy": (Fault.UNEXPECTED_STATUS, b"HTTP/1.1 305 P\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"),
    "a 206 for nothing": (Fault.BROKEN_RESUME, b"HTTP/1.1 206 P\r\nContent-Length: %d\r\n\r\n" % SIZE + FILE),
    "a 206 that ends early": (Fault.TRUNCATED, part(0, FILE[:-9], length=False)),
    "a 200 with a part": (Fault.TRUNCATED, whole(FILE[:900], b"Content-Range: bytes 0-899/%d\r\n" % SIZE)),
    "a stranger's compression": (Fault.UNKNOWN_ENCODING, whole(headers=b"Content-Encoding: zstd\r\n")),
    "compressed twice": (Fault.UNKNOWN_ENCODING, whole(headers=b"Content-Encoding: gzip, br\r\n")),
    "gzip with a false checksum": (
        Fault.DAMAGED,
        whole(gzip.compress(FILE)[:-8] + bytes(8), b"Content-Encoding: gzip\r\n"),
    ),
    "an error with a number beyond measure": (
        Fault.REFUSED,
        b'HTTP/1.1 400 B\r\n\r\n{"statusCode": "' + b"9" * 5000 + b'"}',
    ),
    "an error that is a bomb": (
        Fault.REFUSED,
        b"HTTP/1.1 400 B\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(30_000_000)),
    ),
    "the same place in other letters": (Fault.REDIRECT_LOOP, redirect(b"HTTP://$HOST/a/b.mp4?c=d#e")),
    "boxes in boxes": (
        Fault.INCOMPLETE,
        whole(box(b"ftyp", b"isom\0\0\2\0") + box(b"moov", (bytes(4) + b"trak") + (bytes(4) + b"mdia") * 9000)),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_odd_answers_that_do_not(name: str, tmp_path: Path) -> None:
    fault, answer = REFUSED[name]
    with script(answer) as server, downloader(server) as client:
        with pytest.raises(DownloadFailed) as caught:
            client.fetch(f"http://{server.netloc}/a/b.mp4?c=d", tmp_path, expected="video")
        assert caught.value.fault is fault
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "location",
    [
        "ftp://$HOST/",
        "data:video/mp4;base64,AAAA",
        "javascript:alert(1)",
        "http:b",
        "http:///b",
        "http://me@$HOST/",
        "http://$HOST@10.0.0.1/",
        "http://2130706433/",
        "http://[::1]/",
        "HTTP://LOCALHOST/",
        "//10.0.0.1/",
        "\\\\10.0.0.1\\b",
        "/\\10.0.0.1/",
        "https:/\\10.0.0.1/",
        "http://127.0.0.1:22/",
    ],
)
def test_a_redirect_to_a_forbidden_place_is_not_followed(location: str, tmp_path: Path) -> None:
    with script(redirect(location.encode())) as server, downloader(server) as client:
        with pytest.raises(DownloadFailed) as caught:
            client.fetch(f"http://{server.netloc}/a", tmp_path)
        assert caught.value.fault is Fault.REDIRECT_REFUSED
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("first", "connections"),
    [
        (whole(), 1),
        (chunked(FILE), 1),
        (whole() + whole(), 2),
        (chunked(FILE) + b"HTTP/1.1 200 OK\r\n\r\n", 2),
        (whole(headers=b"Connection: close\r\n"), 2),
        (chunked(FILE, b"Content-Length: 5\r\n"), 2),
        (whole(headers=b"Transfer-Encoding: binary\r\n"), 2),
        (whole().replace(b"HTTP/1.1", b"HTTP/1.0"), 2),
    ],
)
def test_a_connection_is_used_again_only_when_nothing_about_it_is_suspect(
    first: bytes, connections: int, tmp_path: Path
) -> None:
    with script(first, whole(), keep_open=True) as server, downloader(server) as client:
        for _ in range(2):
            assert client.fetch(f"http://{server.netloc}/a", tmp_path).path.read_bytes() == FILE
        assert server.connections == connections
