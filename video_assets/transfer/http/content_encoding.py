"""Bodies that come compressed although ``identity`` was asked for: decoded with a cap, and to their very end.

A gzip body that is cut off passes every HTTP client silently when its length header matches; only the
decompressor's own end mark proves that it is whole.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from video_assets.transfer.failures import DownloadFailed, Fault

_BLOCK: Final = 262_144
_COMPRESSED: Final = frozenset(
    ("gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd", "dcb", "dcz", "exi", "pack200-gzip")
)
"""The content codings of the IANA registry, and old names of theirs."""


class Decoder:
    """Undoes gzip or deflate. Gives at most 256 KiB at a time, so that a bomb meets the size cap early."""

    def __init__(self, encoding: str) -> None:
        """``encoding`` as in Content-Encoding. Raises DownloadFailed for one that was not asked for at all."""
        self._encoding = encoding
        if encoding in ("gzip", "x-gzip"):
            self._window = 16 + zlib.MAX_WBITS
        elif encoding == "deflate":
            self._window = zlib.MAX_WBITS
        else:
            raise DownloadFailed(Fault.UNKNOWN_ENCODING)
        self._inflate = zlib.decompressobj(self._window)
        self._begun = False
        self._held = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The decoded form of ``data`` in blocks. Raises DownloadFailed when it is damaged."""
        data, self._held = self._held + data, b""
        if len(data) < 2 and not self._begun:
            self._held = data  # the first two bytes tell the two forms of deflate apart
            return
        more = True  # zlib may hold back output although it has taken all input
        try:
            while data or more:
                if self._inflate.eof:
                    if self._encoding == "deflate" or not data.strip(b"\0"):
                        return  # padding behind the end
                    self._inflate = zlib.decompressobj(self._window)  # gzip allows several members
                block = self._step(data)
                if block:
                    yield block
                more = len(block) == _BLOCK
                data = self._inflate.unconsumed_tail or self._inflate.unused_data
        except zlib.error:
            raise DownloadFailed(Fault.DAMAGED, "the compressed body is damaged") from None

    def _step(self, data: bytes) -> bytes:
        try:
            block = self._inflate.decompress(data, _BLOCK)
        except zlib.error:
            if self._begun or self._encoding != "deflate":
                raise
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)  # raw deflate, sent by many against the standard
            block = self._inflate.decompress(data, _BLOCK)
        self._begun = True
        return block

    def end(self) -> None:
        """The body is over: raises DownloadFailed unless the compressed stream is over as well."""
        if not self._inflate.eof:
            raise DownloadFailed(Fault.CUT_GZIP)


def decoder_for(encoding: str | None) -> Decoder | None:
    """A decoder for the value of Content-Encoding, None for a plain body. Raises DownloadFailed.

    Words that name no compression (``aws-chunked`` and ``utf-8`` are stored with many objects) mean nothing: the
    bytes are judged as they are.
    """
    names = [name for word in (encoding or "").split(",") if (name := word.strip().lower()) in _COMPRESSED]
    if len(names) > 1:
        raise DownloadFailed(Fault.UNKNOWN_ENCODING)
    return Decoder(names[0]) if names else None
