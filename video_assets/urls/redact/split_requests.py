"""URLs that a text tells in pieces: the host in one place, the path and the query in another.

HTTP libraries do so in their debug lines and errors. A rule of the scheme table that needs the host knows the
secret only once the pieces stand together again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from video_assets.urls.classify.analyse import analyse
from video_assets.urls.syntax.parts import Span

# Per pattern: a sign that it is worth a search, and groups ``host``, ``target`` and perhaps ``query``.
_PARTED = (
    # urllib3: https://host:443 "GET /target HTTP/1.1" 200
    (' "', re.compile(r"https?://(?P<host>[^\s\"'/]{1,300}) \"[A-Z]{3,8} (?P<target>/[^\s\"]*)")),
    # urllib3: HTTPSConnectionPool(host='host', port=443): Max retries exceeded with url: /target
    # and: after connection broken by 'NewConnectionError("HTTPSConnection(host='host', port=443): ...")': /target
    (
        "Connection",
        re.compile(
            r"Connection(?:Pool)?\(host=\\{0,4}'(?P<host>[^'\\]{1,300})\\{0,4}'[^)]{0,40}\)"
            r"[^\n]{0,300}?(?: url|'): (?P<target>/\S*)"
        ),
    ),
    # http.client and curl: GET /target HTTP/1.1, and on the next line Host: host
    (
        "ost: ",
        re.compile(
            r"[A-Z]{3,8} (?P<target>/[^\s\"']*) HTTP/[0-9.]{1,3}(?:[\s>]|\\[rn]){1,12}[Hh]ost: "
            r"(?P<host>[^\s\"'\\]{1,300})"
        ),
    ),
    # curl with HTTP/2: [:authority: host], and on the next line [:path: /target]
    (
        "[:path: ",
        re.compile(
            r"\[:authority: (?P<host>[^\s\]]{1,300})\]\s{0,4}(?:\* )?(?:\[[A-Z0-9/]{1,10}\] ?){0,3}"
            r"\[:path: (?P<target>/[^\s\]]*)"
        ),
    ),
    # any log of HTTP/2: :authority: host and :path: /target, in this order or the other
    (
        ":path: ",
        re.compile(r":authority: (?P<host>[^\s\]]{1,300})\]?\s[^/]{0,80}?:path: (?P<target>/[^\s\]]*)"),
    ),
    (
        ":path: ",
        re.compile(r":path: (?P<target>/[^\s\]]*)\]?\s[^/]{0,80}?:authority: (?P<host>[^\s\]]{1,300})"),
    ),
    # structured logs: {"host": "host", "path": "/target"}, Request(host='host', target='/target')
    (
        "host",
        re.compile(
            r"host(?:name)?\\{0,4}[\"']?\s?[:=]\s?\\{0,4}[\"'](?P<host>[A-Za-z0-9.:\-]{3,253})\\{0,4}[\"'][^\n/{}]{0,120}?"
            r"(?:path|target|uri|url)\\{0,4}[\"']?\s?[:=]\s?\\{0,4}[\"'](?P<target>/[^\s\"'\\]*)"
        ),
    ),
    (
        "host",
        re.compile(
            r"(?:path|target|uri|url)\\{0,4}[\"']?\s?[:=]\s?\\{0,4}[\"'](?P<target>/[^\s\"'\\]*)\\{0,4}[\"']"
            r"(?:,\s?\\{0,4}[\"']?query(?:_string)?\\{0,4}[\"']?\s?[:=]\s?\\{0,4}[\"']\??(?P<query>[^\s\"'\\]*)\\{0,4}[\"'])?"
            r"[^\n/{}]{0,120}?host(?:name)?\\{0,4}[\"']?\s?[:=]\s?\\{0,4}[\"'](?P<host>[A-Za-z0-9.:\-]{3,253})"
        ),
    ),
    # urllib.parse: SplitResult(scheme='https', netloc='host', path='/target', query='...', fragment='')
    (
        "netloc='",
        re.compile(
            r"netloc='(?P<host>[^'\s]{1,300})', path='(?P<target>[^'\s]*)'(?:, params='[^'\s]*')?"
            r", query='(?P<query>[^'\s]*)'"
        ),
    ),
)


def parted_secrets(text: str) -> Iterator[Span]:
    """Where the secrets of such URLs stand in ``text``."""
    for sign, pattern in _PARTED:
        if sign in text:
            for match in pattern.finditer(text):
                yield from _secrets(match)


def _secrets(match: re.Match[str]) -> Iterator[Span]:
    url = f"https://{match['host']}"
    pieces = []
    for group, before in (("target", ""), ("query", "?")):
        if match.re.groupindex.get(group) and match[group]:
            url += before
            pieces.append((len(url), match.start(group)))
            url += match[group]
    for start, end in analyse(url).secrets:
        for begins, stands_at in reversed(pieces):
            if start >= begins:
                yield start - begins + stands_at, end - begins + stands_at
                break
