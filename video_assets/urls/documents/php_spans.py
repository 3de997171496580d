"""Where the strings of PHP-serialised text are (``s:5:"hello";``, ``C:3:"Foo":12:{...}``), with their lengths.

The lengths count bytes. A string is believed only when its closing quote stands where its length says, so the
same search is safe on any text: sessions (``key|a:1:{...}``), fragments and cut-off values included.
Source: php_var_serialize, https://www.php.net/manual/en/function.serialize.php
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from video_assets.urls.documents.views import byte_length

_HEAD = re.compile(r'(?<![A-Za-z0-9_])(?:s:([0-9]{1,10}):"|C:[0-9]{1,4}:"[\w\\]{1,255}":([0-9]{1,10}):\{)')
_STRING_END = re.compile(r'"(?:;|\Z)')
_OBJECT_END = re.compile(r"\}")
_STRIDE = 256


@dataclass(slots=True)
class PhpSpan:
    """One string: ``start`` and ``end`` are inside its quotes, ``length_start`` and ``length_end`` its digits."""

    head: int
    """Where its type begins: the ``s`` or ``C``."""
    start: int
    end: int
    length_start: int
    length_end: int
    counts_bytes: bool = True
    """False when its length was written by a tool that counts characters."""


class _ByteOffsets:
    """From a character and a number of bytes to the character that many bytes on; linear to set up."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._ascii = text.isascii()
        self._at: list[int] = [0]
        if not self._ascii:
            for start in range(0, len(text), _STRIDE):
                self._at.append(self._at[-1] + byte_length(text[start : start + _STRIDE]))

    def after(self, position: int, count: int) -> int | None:
        """The position ``count`` bytes after ``position``; None inside a character or behind the end."""
        if self._ascii:
            end = position + count
            return end if end <= len(self._text) else None
        block = position // _STRIDE
        target = self._at[block] + byte_length(self._text[block * _STRIDE : position]) + count
        if target > self._at[-1]:
            return None
        block = min(bisect_right(self._at, target) - 1, (len(self._text) - 1) // _STRIDE)
        position, missing = block * _STRIDE, target - self._at[block]
        try:
            encoded = self._text[position : position + _STRIDE].encode()
            return position + len(encoded[:missing].decode())
        except UnicodeDecodeError:
            return None
        except UnicodeEncodeError:  # bytes that are no UTF-8 are among them
            while missing > 0:
                missing -= byte_length(self._text[position])
                position += 1
            return position if missing == 0 else None


def php_strings(text: str) -> Iterator[PhpSpan]:
    """The outermost PHP strings and custom objects of ``text``, in order."""
    offsets: _ByteOffsets | None = None
    position = 0
    while match := _HEAD.search(text, position):
        if offsets is None:
            offsets = _ByteOffsets(text)
        group = 2 if match[1] is None else 1
        closing = _OBJECT_END if match[1] is None else _STRING_END
        count = int(match[group])
        position = start = match.end()
        for counts_bytes, end in ((True, offsets.after(start, count)), (False, start + count)):
            if end is not None and closing.match(text, end):
                position = end
                yield PhpSpan(match.start(), start, end, *match.span(group), counts_bytes)
                break


def looks_like_php(text: str) -> bool:
    """True when ``text`` holds at least one well-formed PHP string."""
    return ':"' in text and next(php_strings(text), None) is not None
