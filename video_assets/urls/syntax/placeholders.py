"""What stands in the place of a secret: masks of logs, variables of templates, words of manuals.

``token={token}``, ``sig=#{signature}``, ``https://${PAT}@host``, ``key=[FILTERED]``: nothing of it is a secret,
and a URL with it is neither signed nor cut off.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote

from video_assets.urls.syntax.tokens import MARKER

_HIDDEN = r"(?i:redacted|masked|filtered|hidden|removed|omitted|sanitized|scrubbed|undisclosed)"
_NOUN = r"(?:token|key|secret|signature|sig|password|passwd|pass|pat|jwt|sas|credentials?)"
_PLACEHOLDER = re.compile(
    rf"[\[<({{*_]*{_HIDDEN}[\])>}}*_]*"
    r"|[\[<(\"]?[*xX.\u2022\u2026]{3,}[\])>\"]?|\*+|\u2026"
    r"|[$#%@]?\{{1,2} *(?:[A-Za-z_][^{}\"]{0,80}|[0-9]?)\}{0,2}"
    r"|\$[A-Za-z_]\w{0,80}|\$\([^()]{0,80}\)|%[A-Z_]{2,80}%"
    r"|<(?!<)[^<>]{0,80}>|<[A-Za-z_][\w \-]{0,80}"
    r"|\[[A-Za-z_][\w \-]{0,80}\]?|%(?:\([A-Za-z_]\w*\))?[sd@v]|__[A-Z][A-Z_]*__"
    rf"|(?i:(?:your|my|insert|replace|put)(?:[_\- ][a-z]+){{0,5}}[_\- ]{_NOUN}(?:[_\- ]here)?)"
    rf"|(?:your|my)(?:[A-Z][a-z]+){{0,3}}(?i:{_NOUN})"
)
PLACEHOLDER_BEGINS = frozenset('RrMmFfHhOoSsUu[<({*_xX.\u2022\u2026$#%@"YyIiPp')
"""A value that begins with none of these is no placeholder."""
_SOMEWHERE = re.compile(
    rf"=(?:[\[<({{*_]|%5[bB]|%3[cC]|%7[bB]){{0,4}}{_HIDDEN}"
    r"|[$#]\{|\{\{|\{[A-Za-z_][\w.\- ]*\}|<[A-Za-z_%][^<>]*>"
    r"|=\[[A-Za-z_]|=%3[cC]%?[A-Za-z_]|=%7[bB]%?[A-Za-z_]|\*{3}|(?:%2[aA]){3}|=\.{3}|\.{3}(?=&|\Z)|\u2026|%E2%80%A6"
    r"|(?i:=your[_\-]|=your(?=[A-Z]))|=[xX]{3,}(?=&|\Z)|=%s(?=&|\Z)"
)
_BEHIND = re.compile(r"(=?)([<{\[$#*]|\.{3}|\u2026)")


@lru_cache(maxsize=1024)
def is_placeholder(value: str) -> bool:
    """True for a whole value, percent-encoded or not, that stands for a secret and is none."""
    if value == MARKER:
        return True
    if len(value) > 100:
        return False
    return _PLACEHOLDER.fullmatch(unquote(value) if "%" in value else value) is not None


def has_placeholder(text: str, start: int = 0) -> bool:
    """True when one stands somewhere in a URL, from ``start`` on."""
    return _SOMEWHERE.search(text, start) is not None


def is_followed_by_placeholder(text: str, end: int) -> bool:
    """True when one stands behind a URL that ends at ``text[:end]``, or when it was shortened for the eye."""
    match = _BEHIND.match(text, end)
    if match is None:
        return False
    return match[2][0] in ".\u2026" or bool(match[1]) or text[end - 1 : end] == "="
