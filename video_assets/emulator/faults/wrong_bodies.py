"""Faults of what comes: something else than the file, a digest that does not fit, a redirect, "later"."""

from __future__ import annotations

import hashlib
import struct
import zlib
from base64 import b64encode
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlencode

from video_assets.emulator.faults.exchange import Exchange, Fault
from video_assets.emulator.faults.refusals import REFUSALS

FAULTS: dict[str, Fault] = {}
"""The faults of this module, by name."""


def _fault(function: Fault) -> Fault:
    FAULTS[function.__name__.removeprefix("write_")] = function
    return function


# Something else under 200


@_fault
def write_zero_bytes(exchange: Exchange) -> None:
    """A file without a byte."""
    exchange.whole(b"")


@_fault
def write_no_content(exchange: Exchange) -> None:
    """Status 204."""
    exchange.head(204, {})


@_fault
def write_accepted(exchange: Exchange) -> None:
    """Status 202: the file is not ready yet."""
    exchange.whole(b'{"status":"processing"}', 202, Content_Type="application/json")


@_fault
def write_html(exchange: Exchange) -> None:
    """A web page, under the label ``type``: honest by default, ``type=video/mp4`` lies."""
    page = b"\n<!-- edge -->\n<!DOCTYPE html><html><head><title>Oops</title></head><body>Try later</body></html>"
    exchange.whole(page, Content_Type=exchange.text("type", "text/html; charset=utf-8"))


@_fault
def write_xml(exchange: Exchange) -> None:
    """An XML document that is no known error."""
    exchange.whole(
        b'<?xml version="1.0"?><status><state>processing</state></status>',
        Content_Type=exchange.text("type", "application/xml"),
    )


@_fault
def write_json(exchange: Exchange) -> None:
    """A JSON document."""
    exchange.whole(b'{"state":"processing"}', Content_Type=exchange.text("type", "application/json"))


@_fault
def write_plain_text(exchange: Exchange) -> None:
    """A line of text."""
    exchange.whole(b"The asset is being prepared.\n", Content_Type=exchange.text("type", "text/plain"))


@_fault
def write_expired_under_200(exchange: Exchange) -> None:
    """An error document of a cloud under status 200 and a video's label."""
    exchange.whole(REFUSALS["s3_request_has_expired"].body)


@_fault
def write_playlist(exchange: Exchange) -> None:
    """An HLS playlist instead of a video."""
    exchange.whole(
        b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:4.0,\nsegment-0.ts\n#EXT-X-ENDLIST\n",
        Content_Type="application/vnd.apple.mpegurl",
    )


@_fault
def write_wrong_container(exchange: Exchange) -> None:
    """A picture (one grey pixel) instead of a video."""
    exchange.whole(GREY_PIXEL)


@_fault
def write_garbage(exchange: Exchange) -> None:
    """Bytes that are nothing at all."""
    exchange.whole(bytes(range(128, 256)) * 64)


@_fault
def write_missing_moov(exchange: Exchange) -> None:
    """An MP4 whose index was never written: whole by every length, and no video."""
    exchange.whole(b"".join(box for box in _top_boxes(exchange.payload) if box[4:8] != b"moov"))


@_fault
def write_cut_file(exchange: Exchange) -> None:
    """A file that is cut at the source: every length matches the stump."""
    exchange.whole(exchange.cut())


def _top_boxes(payload: bytes) -> Iterator[bytes]:
    place = 0
    while place + 8 <= len(payload):
        size = int.from_bytes(payload[place : place + 4], "big") or len(payload) - place
        yield payload[place : place + size]
        place += max(size, 8)


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


GREY_PIXEL: Final = (
    b"\x89PNG\r\n\x1a\n"
    + _png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    + _png_chunk(b"IDAT", zlib.compress(b"\0\x80"))
    + _png_chunk(b"IEND", b"")
)
"""A whole PNG of one grey pixel."""


# Digests


@_fault
def write_digest(exchange: Exchange) -> None:
    """Offers the digest ``header`` of the payload; with ``flip=1`` the payload is damaged on the way."""
    header = exchange.text("header", "Content-MD5")
    body = bytearray(exchange.payload)
    if exchange.option("flip", 0):
        body[-1] ^= 1
    headers: dict[str, object] = {"Content-Type": exchange.content_type, "Content-Length": len(body)}
    exchange.head(200, {**headers, header: digest_header(header, exchange.payload)})
    exchange.raw(bytes(body))


def digest_header(header: str, payload: bytes) -> str:
    """The honest value of a digest header for ``payload``."""

    def base64(raw: bytes) -> str:
        return b64encode(raw).decode()

    name = header.lower()
    if name in ("content-md5", "x-ms-blob-content-md5"):
        return base64(hashlib.md5(payload, usedforsecurity=False).digest())
    if name == "x-goog-hash":
        return f"md5={base64(hashlib.md5(payload, usedforsecurity=False).digest())}"
    if name == "x-amz-checksum-sha256":
        return base64(hashlib.sha256(payload).digest())
    if name == "x-amz-checksum-sha1":
        return base64(hashlib.sha1(payload, usedforsecurity=False).digest())
    if name == "x-amz-checksum-crc32":
        return base64(struct.pack(">I", zlib.crc32(payload)))
    if name == "digest":
        return f"SHA-256={base64(hashlib.sha256(payload).digest())}"
    if name == "repr-digest":
        return f"sha-512=:{base64(hashlib.sha512(payload).digest())}:"
    return "1234567890123456789"  # crc64ecma: a number that nobody here checks


# Redirects


@_fault
def write_redirect(exchange: Exchange) -> None:
    """A redirect to ``to`` with ``status`` (302); without ``to``, ``hops`` of them and then the payload."""
    target = exchange.text("to")
    hops = int(exchange.option("hops", 1))
    if not target and hops <= 0:
        exchange.whole()
        return
    target = target or exchange.request.path + "?" + urlencode({"hops": hops - 1})
    exchange.whole(b"", int(exchange.option("status", 302)), Location=target, Set_Cookie="session=abc; Path=/")


@_fault
def write_redirect_loop(exchange: Exchange) -> None:
    """A circle of two redirects."""
    turn = int(exchange.option("turn", 0))
    exchange.whole(b"", 302, Location=f"{exchange.request.path}?turn={1 - turn}")


@_fault
def write_redirect_nowhere(exchange: Exchange) -> None:
    """A redirect without a Location."""
    exchange.whole(b"", 302)


@_fault
def write_redirect_to_login(exchange: Exchange) -> None:
    """A redirect to a login page, which answers 200."""
    exchange.whole(b"", 302, Location="/login?next=/video")


# Later


@_fault
def write_too_many_requests(exchange: Exchange) -> None:
    """Status 429 with ``after`` as Retry-After (none when empty)."""
    _later(exchange, 429)


@_fault
def write_unavailable(exchange: Exchange) -> None:
    """Status 503 with ``after`` as Retry-After (none when empty)."""
    _later(exchange, 503)


def _later(exchange: Exchange, status: int) -> None:
    after = exchange.text("after")
    headers: dict[str, object] = {"Content-Type": "text/plain", "Content-Length": 5}
    exchange.head(status, {**headers, "Retry-After": after} if after else headers)
    exchange.raw(b"later")


@_fault
def write_status(exchange: Exchange) -> None:
    """Any status (``code``) with a word as body."""
    exchange.whole(b"odd", int(exchange.option("code", 418)), Content_Type="text/plain")


@_fault
def write_only_browsers(exchange: Exchange) -> None:
    """403 for every User-Agent without a browser's engine in it."""
    if "Gecko" in exchange.request.headers.get("user-agent", ""):
        exchange.whole()
    else:
        exchange.whole(b"no robots", 403, Content_Type="text/plain")
