"""From the bytes of a document to its text and back, without losing one byte.

UTF-8 whose undecodable bytes become lone surrogates; UTF-16 and UTF-32 with a byte order mark, or UTF-16 without
one when every other byte of an ``http`` is zero.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DecodedBytes:
    """``text`` and how to get bytes from any part of it; ``prefix`` and ``suffix`` stand around the text."""

    text: str
    encoding: str = "utf-8"
    errors: str = "surrogateescape"
    prefix: bytes = b""
    suffix: bytes = b""

    def encode(self, text: str) -> bytes:
        """``text`` in the encoding of the document; what that cannot hold is kept as a surrogate's bytes."""
        try:
            return text.encode(self.encoding, self.errors)
        except UnicodeEncodeError:
            return text.encode(self.encoding, "surrogatepass")

    def whole(self, text: str) -> bytes:
        """The document with ``text`` as its text."""
        return self.prefix + self.encode(text) + self.suffix


def decode_bytes(content: bytes) -> DecodedBytes:
    """The text of ``content``; ``whole(text)`` gives the identical bytes back."""
    for mark, encoding, width in (
        (codecs.BOM_UTF32_LE, "utf-32-le", 4),
        (codecs.BOM_UTF32_BE, "utf-32-be", 4),
        (codecs.BOM_UTF16_LE, "utf-16-le", 2),
        (codecs.BOM_UTF16_BE, "utf-16-be", 2),
    ):
        if content.startswith(mark):
            wide = _wide(content, mark, encoding, width)
            if wide is not None:
                return wide
    if b"\0" in content:
        for needle, encoding, shift in ((b":\0/\0/\0", "utf-16-le", 0), (b"\0:\0/\0/", "utf-16-be", 0)):
            at = content.find(needle)
            if at >= 0 and at % 2 == shift:
                wide = _wide(content, b"", encoding, 2)
                if wide is not None:
                    return wide
    return DecodedBytes(content.decode("utf-8", "surrogateescape"))


def _wide(content: bytes, mark: bytes, encoding: str, width: int) -> DecodedBytes | None:
    body = content[len(mark) :]
    cut = len(body) - len(body) % width
    try:
        text = body[:cut].decode(encoding, "surrogatepass")
    except UnicodeDecodeError:
        return None
    if text.encode(encoding, "surrogatepass") != body[:cut]:
        return None
    return DecodedBytes(text, encoding, "surrogatepass", mark, body[cut:])


class ByteOffsets:
    """Character offsets of a decoded text as byte offsets; linear in all when asked in ascending order."""

    def __init__(self, decoded: DecodedBytes) -> None:
        self._decoded = decoded
        self._character = 0
        self._byte = len(decoded.prefix)

    def of(self, character: int) -> int:
        """The byte offset of one character offset."""
        first, last = sorted((self._character, character))
        size = len(self._decoded.encode(self._decoded.text[first:last]))
        self._byte += size if character > self._character else -size
        self._character = character
        return self._byte
