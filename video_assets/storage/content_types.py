"""Which Content-Type an object has, by the ending of its key.

A table of our own, because ``mimetypes`` answers differently from machine to machine.
"""

from __future__ import annotations

from typing import Final

OCTET_STREAM: Final = "application/octet-stream"

_BY_ENDING: Final[dict[str, str]] = {
    "mp4": "video/mp4",
    "m4v": "video/mp4",
    "webm": "video/webm",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "ts": "video/mp2t",
    "gif": "image/gif",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "avif": "image/avif",
    "mp3": "audio/mpeg",
    "m4a": "audio/mp4",
    "aac": "audio/aac",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "flac": "audio/flac",
    "vtt": "text/vtt",
    "srt": "application/x-subrip",
    "ass": "text/x-ssa",
    "json": "application/json",
    "txt": "text/plain; charset=utf-8",
    "zip": "application/zip",
}


def content_type_of(key: str) -> str:
    """The Content-Type of an object called ``key``; ``application/octet-stream`` when its ending says nothing."""
    name = key.rsplit("/", 1)[-1]
    _, dot, ending = name.rpartition(".")
    return _BY_ENDING.get(ending.lower(), OCTET_STREAM) if dot else OCTET_STREAM
