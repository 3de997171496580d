"""What kind of file some first bytes begin. The bytes decide, never a name or a Content-Type."""

from __future__ import annotations

import re

from video_assets.media.file_types import (
    AAC,
    AC3,
    AIFF,
    AMR,
    ASS,
    AVI,
    AVIF,
    BMP,
    BZIP2,
    CAF,
    EMPTY,
    EXR,
    FBX,
    FLAC,
    FLV,
    GIF,
    GLB,
    GZIP,
    HEIC,
    HTML,
    ICO,
    JP2,
    JPEG,
    JSON,
    JXL,
    M3U8,
    M4A,
    MIDI,
    MKV,
    MOV,
    MP3,
    MP4,
    MPD,
    MPEG_PS,
    MPEG_TS,
    MXF,
    OGG,
    OGV,
    PDF,
    PLY,
    PNG,
    PSD,
    RAR,
    SEVEN_ZIP,
    SRT,
    SVG,
    TAR,
    TEXT,
    THREE_GP,
    TIFF,
    TTML,
    UNKNOWN,
    VTT,
    WAV,
    WEBM,
    WEBP,
    WMV,
    XML,
    XZ,
    ZIP,
    ZSTD,
    FileFormat,
)

HEAD_BYTES = 4096
"""How much of a file's start :func:`recognise` wants to see; less is fine at the price of certainty."""

_ISO_BRANDS = {
    b"qt  ": MOV,
    b"M4A ": M4A,
    b"M4B ": M4A,
    b"avif": AVIF,
    b"avis": AVIF,
    b"heic": HEIC,
    b"heix": HEIC,
    b"heim": HEIC,
    b"heis": HEIC,
    b"hevc": HEIC,
    b"hevx": HEIC,
    b"mif1": HEIC,
    b"msf1": HEIC,
}
_GENERAL_IMAGE_BRANDS = (b"mif1", b"msf1", b"miaf")
"""Brands of HEIF that leave it to the other brands which codec is inside (ISO/IEC 23008-12)."""
_ISO_FIRST_BOXES = {
    **dict.fromkeys((b"styp", b"moof", b"sidx", b"mdat", b"free", b"skip"), MP4),
    **dict.fromkeys((b"moov", b"wide", b"pnot"), MOV),
}
"""How a file may begin that lacks the box with its type: a piece of a stream, or a movie older than the box."""
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"fLaC", FLAC),
    (b"ID3", MP3),
    (b"FLV\x01", FLV),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", WMV),
    (b"\x00\x00\x01\xba", MPEG_PS),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02", MXF),
    (b"caff\x00\x01", CAF),
    (b"#!AMR", AMR),
    (b"MThd", MIDI),
    (b"\x0b\x77", AC3),
    (b"\xff\x0a", JXL),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", JXL),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", JP2),
    (b"\xff\x4f\xff\x51", JP2),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
    (b"II+\x00", TIFF),
    (b"MM\x00+", TIFF),
    (b"8BPS", PSD),
    (b"\x76\x2f\x31\x01", EXR),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"\x1f\x8b\x08", GZIP),
    (b"7z\xbc\xaf\x27\x1c", SEVEN_ZIP),
    (b"Rar!\x1a\x07", RAR),
    (b"\xfd7zXZ\x00", XZ),
    (b"\x28\xb5\x2f\xfd", ZSTD),
    (b"%PDF-", PDF),
    (b"glTF", GLB),
    (b"ply\n", PLY),
    (b"ply\r", PLY),
    (b"Kaydara FBX Binary", FBX),
)
_RIFF = {b"WEBP": WEBP, b"WAVE": WAV, b"AVI ": AVI}
_BITMAP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
"""Sizes that the second header of a BMP may have; two letters alone would be too little to go by."""
_HTML = re.compile(r"<(?:!doctype\s+html|html|head|body|script|title|meta|h1|p|div|center|pre|style)\b", re.I)
_PROLOGUE = re.compile(
    r"\s+|<!--.*?-->|<\?xml.*?\?>|<\?xml-.*?\?>|<!doctype\s+(?!html)[^>\[]*(?:\[[^\]]*\]\s*)?>", re.I | re.S
)
_ROOTS = {"mpd": MPD, "svg": SVG, "tt": TTML}
_ROOT = re.compile(r"<(?:[A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)")
_SRT = re.compile(r"(?:\d+[ \t]*\r?\n)?\d{1,3}:\d{2}:\d{2}[,.]\d{1,3}[ \t]*-->")
_JSON = re.compile(r"\{\s*(?:[\"}]|$)|\[\s*(?:[\"\[\]{\d-]|true|false|null|$)")
_NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")


def recognise(head: bytes) -> FileFormat:
    """The format that ``head``, the first bytes of a file, begins; UNKNOWN when it begins none that is known."""
    if not head:
        return EMPTY
    return _binary(head) or _text(head) or UNKNOWN


def _binary(head: bytes) -> FileFormat | None:
    if head[4:8] == b"ftyp":
        return _iso(head)
    if head[4:8] in _ISO_FIRST_BOXES:
        return _ISO_FIRST_BOXES[head[4:8]]
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return WEBM if b"webm" in head[:64] else MKV
    if head.startswith((b"RIFF", b"RF64", b"BW64")):
        return _RIFF.get(head[8:12])
    if head.startswith(b"FORM") and head[8:12] in (b"AIFF", b"AIFC"):
        return AIFF
    if head.startswith(b"OggS"):
        return OGV if b"\x80theora" in head[:512] else OGG
    for magic, found in _MAGIC:
        if head.startswith(magic):
            return found
    if is_mp3_frame(head):
        return MP3
    if _is_adts(head):
        return AAC
    if packet_size(head) is not None:
        return MPEG_TS
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS:
        return BMP
    if (
        head.startswith(b"\x00\x00\x01\x00")
        and 0 < int.from_bytes(head[4:6], "little") <= 64
        and head[9:10] == b"\0"
    ):
        return ICO
    if head.startswith(b"BZh") and head[4:10] == b"1AY&SY":
        return BZIP2
    return TAR if head[257:262] == b"ustar" else None


def _iso(head: bytes) -> FileFormat:
    """By the brands of the type box: the major one, and for general image brands the others too."""
    major = head[8:12]
    if major in _GENERAL_IMAGE_BRANDS:
        size = min(int.from_bytes(head[:4], "big"), 256)
        others = {head[place : place + 4] for place in range(16, size, 4)}
        return AVIF if others & {b"avif", b"avis"} else HEIC
    return THREE_GP if major.startswith((b"3gp", b"3g2")) else _ISO_BRANDS.get(major, MP4)


def is_mp3_frame(header: bytes) -> bool:
    """True when ``header`` begins an MPEG audio frame of layer I to III with a sensible rate."""
    return (
        len(header) >= 4
        and header[0] == 0xFF
        and header[1] != 0xFE  # the mark of UTF-16; as sound it would be layer I, which nobody writes
        and header[1] & 0xE0 == 0xE0
        and header[1] & 0x18 != 0x08
        and header[1] & 0x06 != 0
        and header[2] >> 4 not in (0, 0xF)
        and header[2] & 0x0C != 0x0C
    )


def _is_adts(head: bytes) -> bool:
    """An AAC frame (ISO/IEC 13818-7, 6.2), and another one where the first says that it ends."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return False
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    following = head[length : length + 2]
    return length > 7 and (len(following) < 2 or (following[0] == 0xFF and following[1] & 0xF6 == 0xF0))


def packet_size(head: bytes) -> int | None:
    """Bytes of a packet when ``head`` begins an MPEG transport stream: 188, or 192 with a time before each."""
    for size, at in ((188, 0), (192, 4)):
        if len(head) > at + 2 * size and all(head[at + number * size] == 0x47 for number in range(3)):
            return size
    return None


def _text(head: bytes) -> FileFormat | None:
    text = _decoded(head[:HEAD_BYTES])
    certain = text is not None
    if text is None:
        if _NO_TEXT.search(head[:HEAD_BYTES]):
            return None
        text = head[:HEAD_BYTES].decode("latin-1")  # an older encoding: what is plain ASCII in it still tells
    text = text.lstrip("\ufeff \t\r\n\f\0")
    if text.startswith("#EXTM3U"):
        return M3U8
    if text.startswith("WEBVTT"):
        return VTT
    if _SRT.match(text):
        return SRT
    if text[:13].lower() == "[script info]":
        return ASS
    if text.startswith("<"):
        body = _without_prologue(text)
        if _HTML.match(body):
            return HTML
        root = _ROOT.match(body)
        return _ROOTS.get(root.group(1).lower(), XML) if root else XML
    if not certain:
        return None
    return JSON if _JSON.match(text) else TEXT


def _without_prologue(text: str) -> str:
    """``text`` from its first real element on, behind comments and declarations."""
    place = 0
    while found := _PROLOGUE.match(text, place):
        place = found.end()
    return text[place:]


def is_plain(head: bytes) -> bool:
    """Whether ``head`` holds no byte that no text has, whatever its encoding."""
    return head.startswith((b"\xff\xfe", b"\xfe\xff")) or not _NO_TEXT.search(head)


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
