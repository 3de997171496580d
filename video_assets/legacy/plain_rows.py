"""Which values of a table have to be searched: all but JSON texts whose URLs are plain beyond doubt.

The rows of a real table are mostly alike: their URLs differ in numbers. So many rows are looked at together, and
what is known of one outline (the URLs of a text, every digit the same) holds for each text that has it. That is
half the price of searching text by text, which is a third of what an inventory costs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from video_assets.urls.second_look import is_plain

_TOGETHER = 256
"""Values that are looked at together: some that fit into a processor's cache."""
_SAMPLE = 16
"""Of these, the ones that tell whether the rows are alike."""
_LONGEST = 4096
_SEPARATOR = '"http://"'
"""Stands between two texts and looks like a URL itself, so that one simple search finds both."""
_URL = re.compile(r'"https?://[A-Za-z0-9._~/?=&\-]*"')
_DIGITS_BLURRED = bytes.maketrans(b"123456789", b"0" * 9)
_HEX_HTTP = "68747470"
"""``http`` in hexadecimal: the one thing that digits alone can tell."""


def not_plain(values: Sequence[object]) -> Iterator[int]:
    """The places of the values that have to be searched, in order. NULL is not among them."""
    for start in range(0, len(values), _TOGETHER):
        some = values[start : start + _TOGETHER]
        for place, (value, plain) in enumerate(zip(some, _are_plain(some), strict=True), start):
            if not plain and value is not None:
                yield place


def _are_plain(values: Sequence[object]) -> list[bool]:
    """Whether ``find`` certainly finds nothing in each of the values. False says nothing."""
    # A text that ends with a bracket does not reach over into the separator.
    texts = [
        value
        if type(value) is str and len(value) <= _LONGEST and value[:1] in ("{", "[") and value[-1] in "}]"
        else ""
        for value in values
    ]
    if not any(texts) or len(set(_outlines(texts[:_SAMPLE]))) > _SAMPLE // 2:
        return [False] * len(texts)  # each has an outline of its own: nothing would be gained
    outlines = _outlines(texts)
    if len(outlines) != len(texts):  # a text holds the separator itself: nobody knows which URL is whose
        return [False] * len(texts)
    return [
        (slashes := _slashes_if_plain(outline)) > 0
        # No other URL stands anywhere: there is no other slash, or at least no other two.
        and (text.count("/") == slashes or text.count("//") == outline.count(b"//"))
        # Nor one whose slashes are written in another way.
        and not ("\\" in text or "%" in text or "&" in text or ";" in text)
        for text, outline in zip(texts, outlines, strict=True)
    ]


def _outlines(texts: Sequence[str]) -> list[bytes]:
    """The URLs in quotes of each text, every digit a 0; another number of them when they cannot be told apart."""
    found = "".join(_URL.findall(_SEPARATOR.join(texts)))
    if _HEX_HTTP in found:
        return []
    return found.encode().translate(_DIGITS_BLURRED).split(_SEPARATOR.encode())


@lru_cache(maxsize=4096)
def _slashes_if_plain(outline: bytes) -> int:
    """How many slashes some URLs in quotes hold that are plain whatever their digits are; 0 unless all are."""
    urls = outline.decode()[1:-1].split('""')
    for url in urls:
        host, _, rest = url.partition("//")[2].partition("/")
        # A digit in a host tells it from another host.
        if "0" in host.partition("?")[0] or "//" in rest or not is_plain(url):
            return 0
    return outline.count(b"/")
