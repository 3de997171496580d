"""Which Content-Type an object has, by the ending of its key.

A table of our own, because ``mimetypes`` answers differently from machine to machine.
"""

from __future__ import annotations

from typing import Final

from video_assets.media.file_types import HTML, by_extension, extension_of

OCTET_STREAM: Final = "application/octet-stream"


def content_type_of(key: str) -> str:
    """The Content-Type of an object called ``key``; ``application/octet-stream`` when its ending says nothing."""
    found = by_extension(extension_of(key))
    if found is None or found is HTML:  # a page from elsewhere is only ever saved, never opened from our address
        return OCTET_STREAM
    return f"{found.mime}; charset=utf-8" if found.mime == "text/plain" else found.mime
