"""Where the strings of PHP-serialised text are (``s:5:"hello";``, ``C:3:"Foo":12:{...}``), with their lengths.

The lengths count bytes. A string is believed only when its closing quote stands where its length says, so the
same search is safe on any text: sessions (``key|a:1:{...}``), fragments and cut-off values included.
A wrong length is not the end of it: once a URL behind it has another length, it may be right.
Source: php_var_serialize, https://www.php.net/manual/en/function.serialize.php
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

from video_assets.urls.documents.views import byte_length

_HEAD = re.compile(r'(?<![A-Za-z0-9_])(?:s:([0-9]{1,10}):"|C:[0-9]{1,4}:"[\w\\]{1,255}":([0-9]{1,10}):\{)')
_LENGTH = re.compile(r'[sC]:[0-9]{1,10}:"')
_STRING_END = re.compile(r'"(?:;|\Z)')
_OBJECT_END = re.compile(r"\}")
_LONGEST_URL = 4096
"""Characters of what may come in the place of a URL."""
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
    for _, span in _heads(text):
        if span is not None:
            yield span


def looks_like_php(text: str) -> bool:
    """True when ``text`` holds at least one well-formed PHP string."""
    return ':"' in text and next(php_strings(text), None) is not None


def _heads(text: str, *, nested: bool = False) -> Iterator[tuple[re.Match[str], PhpSpan | None]]:
    """What begins like a string, and the string, when its length is right; unless ``nested``, the outermost."""
    offsets: _ByteOffsets | None = None
    position = 0
    while match := _HEAD.search(text, position):
        if offsets is None:
            offsets = _ByteOffsets(text)
        count = int(match[_length_group(match)])
        start = match.end()
        span: PhpSpan | None = None
        for counts_bytes, end in ((True, offsets.after(start, count)), (False, start + count)):
            if end is not None and _end_of(match).match(text, end):
                length_start, length_end = match.span(_length_group(match))
                span = PhpSpan(match.start(), start, end, length_start, length_end, counts_bytes)
                break
        position = start if span is None or nested else span.end
        yield match, span


def _length_group(head: re.Match[str]) -> int:
    return 2 if head[1] is None else 1


def _end_of(head: re.Match[str]) -> re.Pattern[str]:
    return _OBJECT_END if head[1] is None else _STRING_END


def may_be_undecided(text: str) -> bool:
    """False when no string begins in ``text``, or the length of each is right and counts bytes."""
    return _LENGTH.search(text) is not None and any(
        span is None or not (span.counts_bytes or text.isascii()) for _, span in _heads(text)
    )


def undecided_strings(text: str, changing: Sequence[tuple[int, int]]) -> Iterator[Iterator[PhpSpan]]:
    """The PHP strings whose length is wrong, and may be right when ``changing`` parts of them get another length.

    ``changing`` are spans of ``text``, in order and apart. Each string comes with each of its possible ends: the
    nearest, the farthest, then the others. A length that counts characters is one that may come to count bytes.
    """
    ends: dict[re.Pattern[str], _PossibleEnds] = {}
    for head, span in _heads(text, nested=True) if changing else ():
        if span is not None and (span.counts_bytes or text.isascii()):
            continue
        closing = _end_of(head)
        if closing not in ends:
            ends[closing] = _PossibleEnds(text, closing, changing)
        yield _with_ends(head, ends[closing], None if span is None else span.end)


def _with_ends(head: re.Match[str], ends: _PossibleEnds, other_than: int | None) -> Iterator[PhpSpan]:
    start, length_group = head.end(), _length_group(head)
    for end in ends.of(start, int(head[length_group]), other_than):
        yield PhpSpan(head.start(), start, end, *head.span(length_group))


class _PossibleEnds:
    """Where strings of a text can end, found without looking at the text again for each string."""

    def __init__(self, text: str, closing: re.Pattern[str], changing: Sequence[tuple[int, int]]) -> None:
        self._closings = [match.start() for match in closing.finditer(text, changing[0][1])]
        self._gaps = [end for _, end in changing]
        """Where what stays begins: behind each changing part."""
        self._gap_ends = [*(start for start, _ in changing[1:]), len(text)]
        self._changed = list(accumulate((end - start for start, end in changing), initial=0))

    def of(self, start: int, count: int, other_than: int | None) -> Iterator[int]:
        """The ends of the string that begins at ``start`` and has ``count`` bytes once others stand in its
        changing parts, of which it has at least one."""
        first = bisect_left(self._gaps, start)

        def kept(gap: int) -> int:
            return self._gaps[gap] - start - self._changed[gap + 1] + self._changed[first]

        def most(gap: int) -> int:
            return 4 * (self._gap_ends[gap] - start) + _LONGEST_URL * (gap - first + 1)

        gaps = range(first, len(self._gaps))
        behind = first + bisect_right(gaps, count, key=kept)
        nearest = first + bisect_left(gaps, count, key=most)
        if nearest >= behind:
            return
        missing = count - _LONGEST_URL * (nearest - first + 1)
        low = max(self._gaps[nearest], start + missing // 4)
        high = min(self._gap_ends[behind - 1], self._gaps[behind - 1] + count - kept(behind - 1))
        ends = range(bisect_left(self._closings, low), bisect_right(self._closings, high))
        if ends and self._closings[ends[0]] == other_than:
            ends = ends[1:]
        if ends and self._closings[ends[-1]] == other_than:
            ends = ends[:-1]
        for index in chain(ends[:1], ends[:0:-1][:1], ends[1:-1]):
            if self._closings[index] != other_than:
                yield self._closings[index]
