"""What the bytes of a file say without decoding them: its container, and whether its end is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_MAX_BOXES = 10_000
"""Outermost boxes that are looked at; a fragmented recording has a few per second."""
_TRAILER_WINDOW = 64 * 1024
"""Bytes at the end of a picture in which its end mark must be found (phones append data after it)."""


class NotPlayable(Exception):
    """The file is not a complete media file that can be decoded. The message is one short, safe sentence."""


@dataclass(frozen=True, slots=True)
class Container:
    """What the first bytes say: our name, the MIME type, and the only FFmpeg demuxer that may open the file."""

    name: str
    mime_type: str
    demuxer: str
    image: bool = False


def sniff(head: bytes) -> Container | None:
    """The container that ``head`` (the first 64 bytes or more of a file) begins, None for an unknown one."""
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1"):
            return None
        if brand == b"qt  ":
            return Container("mov", "video/quicktime", "mov")
        return Container("m4a", "audio/mp4", "mov") if brand == b"M4A " else Container("mp4", "video/mp4", "mov")
    if head[4:8] in (b"moov", b"mdat", b"wide", b"pnot", b"free", b"skip"):
        return Container("mov", "video/quicktime", "mov")
    if head.startswith(b"\x1aE\xdf\xa3"):
        webm = b"webm" in head[:64]
        return Container("webm" if webm else "mkv", "video/webm" if webm else "video/x-matroska", "matroska")
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return Container("png", "image/png", "png_pipe", image=True)
    if head.startswith(b"\xff\xd8\xff"):
        return Container("jpeg", "image/jpeg", "jpeg_pipe", image=True)
    if head.startswith(b"RIFF"):
        return {
            b"WEBP": Container("webp", "image/webp", "webp_pipe", image=True),
            b"AVI ": Container("avi", "video/x-msvideo", "avi"),
            b"WAVE": Container("wav", "audio/wav", "wav"),
        }.get(head[8:12])
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return Container("gif", "image/gif", "gif")
    if head.startswith(b"OggS"):
        return Container("ogg", "application/ogg", "ogg")
    if head.startswith(b"fLaC"):
        return Container("flac", "audio/flac", "flac")
    if head.startswith(b"FLV\x01"):
        return Container("flv", "video/x-flv", "flv")
    if len(head) > 4 and head[0] == 0x47 and (len(head) <= 188 or head[188] == 0x47):
        return Container("mpegts", "video/mp2t", "mpegts")
    if head.startswith(b"ID3") or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 in (0xE2, 0xE4, 0xE6)):
        return Container("mp3", "audio/mpeg", "mp3")
    return None


def require_complete(path: Path, container: Container) -> None:
    """See that the file reaches to the end its own structure promises. Raises NotPlayable for a cut one."""
    if container.image:
        _require_complete_image(path, container)
    elif container.demuxer in ("mov", "matroska"):
        _require_complete_boxes(path, container)


def describe(head: bytes) -> str:
    """A safe name for content that is no media; never an excerpt, which could hold a secret."""
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<body")):
        return "a web page"
    if text.startswith((b"<?xml", b"<error")):
        return "an XML error answer"
    if text.startswith((b"{", b"[")):
        return "a JSON answer"
    if text.startswith(b"#extm3u"):
        return "a playlist"
    if head.startswith(b"PK\x03\x04"):
        return "a zip archive"
    return "an unknown format"


def _require_complete_image(path: Path, kind: Container) -> None:
    """FFmpeg shows the upper half of a cut picture without complaint, so look for the end mark ourselves."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        file.seek(max(0, size - _TRAILER_WINDOW))
        tail = file.read(_TRAILER_WINDOW)
    complete = {
        "jpeg": b"\xff\xd9" in tail,
        "png": b"IEND" in tail,
        "webp": int.from_bytes(head[4:8], "little") + 8 <= size,
    }[kind.name]
    if not complete:
        raise NotPlayable(f"the {kind.name} picture is cut off: its end is missing")


def _require_complete_boxes(path: Path, kind: Container) -> None:
    """The outermost boxes of MP4 and MOV, and the segment of Matroska and WebM, must end inside the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 0
        for _ in range(_MAX_BOXES):
            if at >= size:
                return
            file.seek(at)
            head = file.read(16)
            length = _element_length(head) if kind.demuxer == "matroska" else _box_length(head)
            if length is None:
                return
            if length < 2 or at + length > size:
                raise NotPlayable(f"the {kind.name} file is cut off: {at + length - size} bytes are missing")
            at += length


def _box_length(head: bytes) -> int | None:
    """Length of the MP4 box that ``head`` begins; None when it runs to the end of the file or is no box.

    Bytes appended after the last box are harmless: players ignore them, and so do we.
    """
    if not (head[4:8].isascii() and head[4:8].isalnum()):
        return None
    length = int.from_bytes(head[:4], "big")
    if length == 1:
        return int.from_bytes(head[8:16], "big")
    return length or None


def _element_length(head: bytes) -> int | None:
    """Length of the EBML element ``head`` begins, header included; None when it was left open (a live one)."""
    id_bytes = 9 - head[0].bit_length()
    first = head[id_bytes] if id_bytes < len(head) else 0
    size_bytes = 9 - first.bit_length()
    field = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") & ((1 << 7 * size_bytes) - 1)
    return None if field == (1 << 7 * size_bytes) - 1 else id_bytes + size_bytes + field
