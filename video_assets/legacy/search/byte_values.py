"""What the bytes of a BLOB hold: text, a compressed document, a media file, or something else.

Text may be searched and rewritten as it stands. Everything else is only looked into: a document with lengths in
it (SQLite's JSONB, Protocol Buffers, MessagePack) is broken by a URL of another length.
"""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from video_assets.urls.documents.encodings import decode_bytes

MOST_UNPACKED: Final = 16 * 1024**2
"""Bytes that a compressed value is unpacked to at most."""
SHORTEST: Final = 24
"""Fewer bytes than that hold no signed URL, whatever they are: hashes of 16 bytes, UUIDs, numbers."""

_MAGIC = (
    ("video/mp4", re.compile(rb"....ftyp", re.DOTALL)),
    ("video/webm", re.compile(rb"\x1aE\xdf\xa3")),
    ("image/png", re.compile(rb"\x89PNG")),
    ("image/jpeg", re.compile(rb"\xff\xd8\xff")),
    ("image/gif", re.compile(rb"GIF8")),
    ("image/webp", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("audio/wav", re.compile(rb"RIFF....WAVE", re.DOTALL)),
    ("audio/mpeg", re.compile(rb"ID3[\x02-\x04]|\xff[\xfb\xf3\xf2][\x10-\xeb]")),
    ("audio/ogg", re.compile(rb"OggS\x00")),
    ("audio/flac", re.compile(rb"fLaC")),
)
_UNREADABLE = (
    ("zstd", b"\x28\xb5\x2f\xfd"),
    ("LZ4", b"\x04\x22\x4d\x18"),
    ("Snappy", b"\xff\x06\x00\x00sNaPpY"),
    ("a ZIP archive", b"PK\x03\x04"),
    ("a PDF document", b"%PDF-"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f]")
_NO_LATIN = re.compile(rb'[\x80-\x9f]|[^\s"\'<>()=\[{,;|]https?:')
"""What one-byte text does not have: its second range of control characters, and a byte that may be a length right
before a URL."""
_COUNTED_TEXT = re.compile(rb'https?:|[{\["]')


class Form(StrEnum):
    """What the bytes of one value are."""

    TEXT = "text"
    COMPRESSED = "compressed"
    """Unpacked and searched."""
    MEDIA = "media"
    BINARY = "binary"
    """Nothing that is known here; searched as it stands."""
    UNREADABLE = "unreadable"
    """Packed in a way that is not unpacked here, or larger than the limit."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look into some bytes gave."""

    form: Form
    kind: str
    """What it is in words: ``gzip``, ``video/mp4``, ``SQLite's JSONB``."""
    content: bytes | None = field(default=None, repr=False)
    """What there is to be searched; None when that is nothing."""

    @property
    def is_seen_through(self) -> bool:
        """Whether a URL that stands in it would be found."""
        match self.form:
            case Form.TEXT | Form.COMPRESSED:
                return True
            case Form.BINARY:
                return self.content is None or len(self.content) < SHORTEST
        return False


def look_into(value: bytes) -> Looked:
    """What ``value`` is, and what of it can be searched. Raises nothing."""
    if not value:
        return Looked(Form.TEXT, "text", value)
    kind = media_type_of(value)
    if kind != "unknown":
        return Looked(Form.MEDIA, kind)
    unpacked = _unpacked(value)
    if unpacked is not None:
        return unpacked
    for name, magic in _UNREADABLE:
        if value.startswith(magic):
            return Looked(Form.UNREADABLE, name)
    if (counted := _counted(value)) is not None:
        return Looked(Form.BINARY, counted, value)
    return Looked(Form.TEXT, "text", value) if _reads_as_text(value) else Looked(Form.BINARY, "bytes", value)


def is_text(value: bytes) -> bool:
    """Whether ``value`` is text, so that a URL in it may be replaced by one of another length."""
    return bool(value) and look_into(value).form is Form.TEXT


def media_type_of(head: bytes) -> str:
    """The MIME type that the first bytes of a file tell; ``unknown`` when they tell none."""
    return next((kind for kind, magic in _MAGIC if magic.match(head)), "unknown")


def _reads_as_text(value: bytes) -> bool:
    decoded = decode_bytes(value)
    if _CONTROL.search(decoded.text):
        return False
    if decoded.encoding != "utf-8":
        return not decoded.suffix
    try:
        value.decode()
    except UnicodeDecodeError:
        # Latin-1 and the like, as long as most of it is ASCII.
        return _NO_LATIN.search(value) is None and sum(byte > 127 for byte in value) * 2 < len(value)
    return True


# --- what is packed ---------------------------------------------------------------------------------------------


def _unpacked(value: bytes) -> Looked | None:
    """A compressed value unpacked; None for what is none."""
    try:
        if value.startswith(b"\x1f\x8b\x08"):
            return _bounded("gzip", zlib.decompressobj(zlib.MAX_WBITS | 16), value)
        if value[0] == 0x78 and len(value) > 2 and int.from_bytes(value[:2], "big") % 31 == 0:
            return _bounded("zlib", zlib.decompressobj(), value)
        if value.startswith(b"BZh"):
            return _bounded("bzip2", bz2.BZ2Decompressor(), value)
        if value.startswith(b"\xfd7zXZ\x00"):
            return _bounded("xz", lzma.LZMADecompressor(), value)
    except (zlib.error, OSError, EOFError, lzma.LZMAError):
        return None
    return None


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _bounded(kind: str, unpacker: _Unpacker, value: bytes) -> Looked:
    content = unpacker.decompress(value, MOST_UNPACKED)
    if not unpacker.eof:
        return Looked(Form.UNREADABLE, f"{kind}, cut off or larger than {MOST_UNPACKED // 1024**2} MB")
    return Looked(Form.COMPRESSED, kind, content)


# --- what counts its own bytes ----------------------------------------------------------------------------------


def _counted(value: bytes) -> str | None:
    """The name of a format that writes lengths before its texts, when ``value`` is a whole one of them."""
    if _is_jsonb(value):
        return "SQLite's JSONB"
    if _is_protocol_buffer(value):
        return "texts with their lengths before them"
    size = len(value)
    heads = (
        (1, value[:1] in (bytes([min(size - 1, 255)]), bytes([min(2 * (size - 1), 255)]))),
        (2, value[1:2] == bytes([min(size - 2, 255)])),
        (3, int.from_bytes(value[1:3], "big") == size - 3),
    )
    is_counted = any(fits and _COUNTED_TEXT.match(value, width) for width, fits in heads)
    return "texts with their lengths before them" if is_counted else None


def _is_jsonb(value: bytes) -> bool:
    """As SQLite itself judges: the header of the outermost element tells exactly the bytes behind it.

    https://sqlite.org/jsonb.html: the low half of the first byte is the type, the high half the payload's size,
    or from 12 on how many bytes tell it. A smaller one holds no URL.
    """
    kind, size = value[0] & 15, value[0] >> 4
    if kind > 12 or size < 12:
        return False
    width = 1 << (size - 12)
    return int.from_bytes(value[1 : 1 + width], "big") == len(value) - 1 - width


def _is_protocol_buffer(value: bytes) -> bool:
    """Whether the bytes are fields of a message from the first to the last, one of them with a length."""
    at, texts = 0, 0
    while at < len(value):
        tag, at = _varint(value, at)
        if tag >> 3 == 0:
            return False
        match tag & 7:
            case 0:
                _, at = _varint(value, at)
            case 1:
                at += 8
            case 2:
                size, at = _varint(value, at)
                at += size
                texts += 1
            case 5:
                at += 4
            case _:
                return False
    return at == len(value) and texts > 0


def _varint(value: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(value) and shift < 64:
        byte = value[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
    return number, len(value) + 1
