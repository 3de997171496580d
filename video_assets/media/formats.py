"""What kind of file some first bytes begin. The bytes decide, never a name or a Content-Type."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

HEAD_BYTES = 4096
"""How much of a file's start :func:`recognise` wants to see; less is fine at the price of certainty."""

Kind = Literal["video", "image", "audio", "playlist", "archive", "subtitle", "document", "empty", "unknown"]


@dataclass(frozen=True, slots=True)
class FileFormat:
    """One format. ``document`` covers what stands where a file was promised: html, xml, json, text."""

    kind: Kind
    name: str
    mime: str
    extension: str
    """Without a dot."""


MP4 = FileFormat("video", "mp4", "video/mp4", "mp4")
MOV = FileFormat("video", "mov", "video/quicktime", "mov")
M4A = FileFormat("audio", "m4a", "audio/mp4", "m4a")
WEBM = FileFormat("video", "webm", "video/webm", "webm")
MKV = FileFormat("video", "mkv", "video/x-matroska", "mkv")
AVI = FileFormat("video", "avi", "video/x-msvideo", "avi")
MPEG_TS = FileFormat("video", "ts", "video/mp2t", "ts")
PNG = FileFormat("image", "png", "image/png", "png")
JPEG = FileFormat("image", "jpeg", "image/jpeg", "jpg")
WEBP = FileFormat("image", "webp", "image/webp", "webp")
GIF = FileFormat("image", "gif", "image/gif", "gif")
AVIF = FileFormat("image", "avif", "image/avif", "avif")
HEIC = FileFormat("image", "heic", "image/heic", "heic")
MP3 = FileFormat("audio", "mp3", "audio/mpeg", "mp3")
WAV = FileFormat("audio", "wav", "audio/wav", "wav")
OGG = FileFormat("audio", "ogg", "audio/ogg", "ogg")
FLAC = FileFormat("audio", "flac", "audio/flac", "flac")
M3U8 = FileFormat("playlist", "m3u8", "application/vnd.apple.mpegurl", "m3u8")
MPD = FileFormat("playlist", "mpd", "application/dash+xml", "mpd")
ZIP = FileFormat("archive", "zip", "application/zip", "zip")
SRT = FileFormat("subtitle", "srt", "application/x-subrip", "srt")
VTT = FileFormat("subtitle", "vtt", "text/vtt", "vtt")
HTML = FileFormat("document", "html", "text/html", "html")
XML = FileFormat("document", "xml", "application/xml", "xml")
JSON = FileFormat("document", "json", "application/json", "json")
TEXT = FileFormat("document", "text", "text/plain", "txt")
EMPTY = FileFormat("empty", "empty", "application/octet-stream", "bin")
UNKNOWN = FileFormat("unknown", "unknown", "application/octet-stream", "bin")

_ISO_BRANDS = {
    b"qt  ": MOV,
    b"M4A ": M4A,
    b"M4B ": M4A,
    b"avif": AVIF,
    b"avis": AVIF,
    b"heic": HEIC,
    b"heix": HEIC,
    b"mif1": HEIC,
    b"msf1": HEIC,
}
_ISO_FIRST_BOXES = frozenset((b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"sidx", b"wide", b"free", b"skip"))
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"OggS", OGG),
    (b"fLaC", FLAC),
    (b"ID3", MP3),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
)
_RIFF = {b"WEBP": WEBP, b"WAVE": WAV, b"AVI ": AVI}
_HTML = re.compile(r"<(?:!doctype\s+html|html|head|body|script|title|meta|h1|p|div|center|pre|style)\b", re.I)
_PROLOGUE = re.compile(r"\s+|<!--.*?-->|<\?xml.*?\?>|<!doctype\s+(?!html)[^>]*>", re.I | re.S)
_SRT = re.compile(r"(?:\d+[ \t]*\r?\n)?\d{1,3}:\d{2}:\d{2}[,.]\d{1,3}[ \t]*-->")


def recognise(head: bytes) -> FileFormat:
    """The format that ``head``, the first bytes of a file, begins; UNKNOWN when it begins none that is known."""
    if not head:
        return EMPTY
    return _binary(head) or _text(head) or UNKNOWN


def _binary(head: bytes) -> FileFormat | None:
    if head[4:8] in _ISO_FIRST_BOXES:
        return _ISO_BRANDS.get(head[8:12], MP4) if head[4:8] == b"ftyp" else MP4
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return WEBM if b"webm" in head[:64] else MKV
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    for magic, found in _MAGIC:
        if head.startswith(magic):
            return found
    if is_mp3_frame(head):
        return MP3
    if head[0] == 0x47 and len(head) > 376 and head[188] == head[376] == 0x47:
        return MPEG_TS
    return None


def is_mp3_frame(header: bytes) -> bool:
    """True when ``header`` begins an MPEG audio frame of layer I to III with a sensible rate."""
    return (
        len(header) >= 4
        and header[0] == 0xFF
        and header[1] & 0xE0 == 0xE0
        and header[1] & 0x18 != 0x08
        and header[1] & 0x06 != 0
        and header[2] >> 4 not in (0, 0xF)
        and header[2] & 0x0C != 0x0C
    )


def _text(head: bytes) -> FileFormat | None:
    text = _decoded(head[:HEAD_BYTES])
    if text is None:
        return None
    text = text.lstrip("\ufeff \t\r\n\f\0")
    if text.startswith("#EXTM3U"):
        return M3U8
    if text.startswith("WEBVTT"):
        return VTT
    if _SRT.match(text):
        return SRT
    if text.startswith("<"):
        body = _without_prologue(text)
        if _HTML.match(body):
            return HTML
        return MPD if body.startswith("<MPD") else XML
    return JSON if text.startswith(("{", "[")) else TEXT


def _without_prologue(text: str) -> str:
    """``text`` from its first real element on, behind comments and declarations."""
    place = 0
    while found := _PROLOGUE.match(text, place):
        place = found.end()
    return text[place:]


def _decoded(head: bytes) -> str | None:
    """``head`` as text when it is text: UTF-8, possibly cut inside a character, or UTF-16 with a mark."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", "ignore")
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return None
        text = head[: error.start].decode("utf-8")
    controls = any(char < " " and char not in "\t\r\n\f\x1b" for char in text.rstrip("\0"))
    return None if controls or not text.strip("\0") else text
