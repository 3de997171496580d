"""What the bytes of a BLOB are: only text may be rewritten, and what was not looked through is not clean."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zlib

import pytest

from tests.legacy.bench import signed
from video_assets.legacy.search import byte_values
from video_assets.legacy.search.byte_values import Form, is_text, look_into
from video_assets.urls import find

URL = signed("a.mp4")
JSON = json.dumps({"videoUrl": URL, "é": 1}, ensure_ascii=False)


def jsonb(url: str) -> bytes:
    """``{"url": …}`` as SQLite 3.45 keeps it: https://sqlite.org/jsonb.html."""
    text = url.encode()
    width = 0xC0 if len(text) < 256 else 0xD0
    head = bytes([width | 7]) + len(text).to_bytes(1 if width == 0xC0 else 2, "big")
    body = b"\x37url" + head + text
    width = 0xC0 if len(body) < 256 else 0xD0
    return bytes([width | 12]) + len(body).to_bytes(1 if width == 0xC0 else 2, "big") + body


def protocol_buffer(url: str) -> bytes:
    """A message with one text, as its field 1."""
    size, head = len(url), b"\n"
    while size > 127:
        head += bytes([size & 127 | 128])
        size >>= 7
    return head + bytes([size]) + url.encode()


@pytest.mark.parametrize(
    "value",
    [
        JSON.encode(),
        JSON.encode("utf-16"),
        JSON.encode("utf-16-le"),
        b"\xef\xbb\xbf" + JSON.encode(),
        JSON.encode("latin-1"),
        f" \n{JSON}".encode(),
        URL.encode(),
        f"voyez là: {URL}\r\n".encode(),
        f"voyez là: {URL}\r\n".encode("latin-1"),
        f"Über {URL}".encode(),
        f"<a href='{URL}'>".encode(),
    ],
)
def test_bytes_that_are_text_are_known_in_every_encoding(value: bytes) -> None:
    assert is_text(value)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (jsonb(URL), "SQLite's JSONB"),
        # Both headers of this one are letters in UTF-8.
        (jsonb("https://a.example/v.mp4?" + "x" * 130), "SQLite's JSONB"),
        (protocol_buffer(URL), "texts with their lengths before them"),
        (
            protocol_buffer("https://replicate.delivery/x/out-0123456789.mp4"),
            "texts with their lengths before them",
        ),
        (
            b"\xd9\x98" + b"https://a.example/" + b"x" * 134,
            "texts with their lengths before them",
        ),  # MessagePack, CBOR
        (b"\x81\xa3url\xda\x01\x26" + URL.encode(), "bytes"),  # MessagePack
        (b"\xa1csrcx\xc8" + b"https://a.example/" + b"x" * 182, "texts with their lengths before them"),  # CBOR
        (b"\x01\x02" + URL.encode(), "bytes"),
        (b"\x80\x04\x95" + URL.encode() + b"\x94.", "bytes"),
    ],
)  # fmt: skip
def test_a_format_that_counts_its_bytes_is_searched_and_is_no_text(value: bytes, kind: str) -> None:
    looked = look_into(value)
    assert (looked.form, looked.kind) == (Form.BINARY, kind)
    assert not is_text(value)
    assert not looked.is_seen_through
    assert looked.content == value


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (gzip.compress(JSON.encode()), "gzip"),
        (zlib.compress(JSON.encode()), "zlib"),
        (zlib.compress(JSON.encode(), 1), "zlib"),
        (bz2.compress(JSON.encode()), "bzip2"),
        (lzma.compress(JSON.encode()), "xz"),
    ],
)
def test_compressed_bytes_are_unpacked_and_searched_and_not_rewritten(value: bytes, kind: str) -> None:
    looked = look_into(value)
    assert (looked.form, looked.kind, looked.is_seen_through) == (Form.COMPRESSED, kind, True)
    assert [found.url for found in find(looked.content or b"")] == [URL]
    assert not is_text(value)


def test_what_is_packed_beyond_the_limit_or_cut_off_is_not_called_searched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = gzip.compress(b"x" * 100_000)
    assert look_into(whole).is_seen_through
    assert look_into(whole[:-20]).form is Form.UNREADABLE
    monkeypatch.setattr(byte_values, "MOST_UNPACKED", 99_999)
    assert look_into(whole).form is Form.UNREADABLE


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (b"\0\0\0\x18ftypisom" + b"\0" * 100, Form.MEDIA),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, Form.MEDIA),
        (b"ID3\x04" + b"\0" * 100, Form.MEDIA),
        (b"\x28\xb5\x2f\xfd" + b"\0" * 100, Form.UNREADABLE),
        (b"PK\x03\x04" + b"\0" * 100, Form.UNREADABLE),
        (bytes(range(200, 256)) * 3, Form.BINARY),
    ],
)
def test_files_and_what_nobody_unpacks_are_not_called_searched(value: bytes, form: Form) -> None:
    looked = look_into(value)
    assert looked.form is form
    assert not looked.is_seen_through


@pytest.mark.parametrize("value", [b"", b"\x00\xff\x00\xff", bytes(range(16)), b"hello"])
def test_bytes_too_few_for_a_url_hide_nothing(value: bytes) -> None:
    assert look_into(value).is_seen_through
