"""Which values of a table have to be searched: all but JSON texts whose URLs are plain beyond doubt.

The rows of a real table are mostly alike: their URLs differ in numbers. So many rows are looked at together, and
what is known of one outline (the URLs of a text, every digit the same) holds for each text that has it. That is
half the price of searching text by text, which is a third of what an inventory costs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from video_assets.urls import NO_RULES, HostRules
from video_assets.urls.documents.prefilter import (
    PLAIN_IN_QUOTES,
    all_plain_paths,
    has_plain_query,
    is_plain,
    is_plain_host,
)

_TOGETHER = 256
"""Values that are looked at together: some that fit into a processor's cache."""
_SAMPLE = 16
"""Of these, the ones that tell whether the rows are alike."""
_LONGEST = 4096
_NO_HOST = "-"
_SEPARATOR = f'"http://{_NO_HOST}"'
"""Stands between two texts and looks like a URL itself, so that one simple search finds both."""
_URL = re.compile(r'"https?://[A-Za-z0-9._~/?=&\-]*"')
_DIGITS_BLURRED = bytes.maketrans(b"123456789", b"0" * 9)
_HEX_HTTP = "68747470"
"""``http`` in hexadecimal: the one thing that digits alone can tell."""


def not_plain(values: Sequence[object], hosts: HostRules = NO_RULES) -> Iterator[int]:
    """The places of the values that have to be searched, in order. NULL is not among them."""
    for start in range(0, len(values), _TOGETHER):
        some = values[start : start + _TOGETHER]
        for place, (value, plain) in enumerate(zip(some, _are_plain(some, hosts), strict=True), start):
            if not plain and value is not None:
                yield place


def _are_plain(values: Sequence[object], hosts: HostRules) -> list[bool]:
    """Whether ``find`` certainly finds nothing in each of the values. False says nothing."""
    # A text that ends with a bracket does not reach over into the separator.
    texts = [
        value
        if type(value) is str and len(value) <= _LONGEST and value[:1] in ("{", "[") and value[-1] in "}]"
        else ""
        for value in values
    ]
    if not any(texts):
        return [False] * len(texts)
    are_alike = len(set(_outlines(texts[:_SAMPLE]))) <= _SAMPLE // 2
    # Of each text, how many of its double slashes belong to URLs that are plain.
    known = _plain_if_alike(texts, hosts) if are_alike else _plain_together(texts, hosts)
    return [
        count > 0
        # No other URL stands anywhere.
        and text.count("//") == count
        # Nor one whose slashes are written in another way.
        and not ("\\" in text or "%" in text or "&" in text or ";" in text)
        for text, count in zip(texts, known, strict=True)
    ]


def _plain_if_alike(texts: Sequence[str], hosts: HostRules) -> list[int]:
    """The number of URLs in quotes in each text, 0 when one is not plain; quick when there are few outlines."""
    outlines = _outlines(texts)
    if len(outlines) != len(texts):  # a text holds the separator itself: nobody knows which URL is whose
        return [0] * len(texts)
    return [_plain_urls(outline, hosts) for outline in outlines]


def _plain_together(texts: Sequence[str], hosts: HostRules) -> list[int]:
    """The same for texts each of which has an outline of its own: their paths are looked through as one."""
    rows: list[list[str]] = []
    tails: list[str] = []
    plain = True
    for host, tail in [*PLAIN_IN_QUOTES.findall(_SEPARATOR.join(texts)), (_NO_HOST, "")]:
        if host == _NO_HOST:
            rows.append(tails if plain else [])
            tails, plain = [], True
        elif plain:
            tails.append(tail)
            plain = (
                is_plain_host(host)
                and not (hosts and hosts.knows_host(host.lower().rstrip(".")))
                and ("?" not in tail or has_plain_query(tail))
            )
    if len(rows) != len(texts):
        return [0] * len(texts)
    if all_plain_paths([tail for tails in rows for tail in tails]):
        return [len(tails) for tails in rows]
    return [len(tails) if all_plain_paths(tails) else 0 for tails in rows]


def _outlines(texts: Sequence[str]) -> list[bytes]:
    """The URLs in quotes of each text, every digit a 0; another number of them when they cannot be told apart."""
    found = "".join(_URL.findall(_SEPARATOR.join(texts)))
    if _HEX_HTTP in found:
        return []
    return found.encode().translate(_DIGITS_BLURRED).split(_SEPARATOR.encode())


@lru_cache(maxsize=4096)
def _plain_urls(outline: bytes, hosts: HostRules) -> int:
    """How many URLs in quotes these are, when all are plain whatever their digits are; else 0."""
    urls = outline.decode()[1:-1].split('""')
    for url in urls:
        host, _, rest = url.partition("//")[2].partition("/")
        # A digit in a host tells it from another host.
        if "0" in host.partition("?")[0] or "//" in rest or not is_plain(url, hosts):
            return 0
    return len(urls)
