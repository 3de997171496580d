"""The second look at a document: which of its URLs, if any, are worth a careful reading?

``may_contain`` dismisses texts without any URL. Most rows of a real table hold URLs, and most of those are plain:
a usual host, a short path, no parameter that any scheme knows. The rest is mostly well-formed JSON whose strings
are URLs as a whole. Telling both apart costs a fraction of reading a document format by format, and whatever is
neither is left to that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from video_assets.urls import schemes
from video_assets.urls.classify.analyse import BARE_PROXIES
from video_assets.urls.documents.reader import ONE_URL
from video_assets.urls.documents.triggers import may_contain
from video_assets.urls.documents.url_end import complete_end
from video_assets.urls.host_rules import NO_RULES, HostRules

_PLAIN = r"https?://([A-Za-z0-9.\-]+)((?:/[A-Za-z0-9._~/\-]*)?(?:\?[A-Za-z0-9_.\-=&]*)?)"
_PLAIN_URL = re.compile(_PLAIN)
PLAIN_IN_QUOTES = re.compile(f'"{_PLAIN}"')
"""A string that is a URL of usual characters: its host, and what follows the host."""
_DISGUISED = re.compile(r"\\[/ux]|%(?:2[fF5]|5[cC])|[&;]#|&sol;|;sol;")
"""Other spellings of slashes."""
_BARE_PROXIES = tuple(f".{host}" for host in BARE_PROXIES)
_MARKS = (
    *("ttp", "TTP", "eyJ", "aHR0c"),
    *{
        scheme.hint
        for scheme in schemes.SCHEMES
        if re.fullmatch(r"[A-Za-z0-9._~/?=&\-]+", scheme.hint) and "eyJ" not in scheme.hint
    },
)
"""What behind a host makes a URL worth a closer look: a URL inside it, a token, a literal of the scheme table."""
_HEX_HTTP = "68747470"
_HEX_BLURRED = bytes.maketrans(b"123456789abcdef", b"0" * 15)
_DIGITS_BLURRED = bytes.maketrans(b"123456789", b"0" * 9)
_MARKS_IN_PATHS = tuple({mark.encode().translate(_HEX_BLURRED).decode() for mark in _MARKS})
_MARKS_IN_QUERIES = tuple({mark.encode().translate(_DIGITS_BLURRED).decode() for mark in _MARKS})
_WHOLE_STRING = re.compile(r'"(https?://[^"]*)"')
_LONG = 4096
_MOST_CHARACTERS = 1 << 16
"""Longer documents are read without being held in memory a second time."""


class Suspect(NamedTuple):
    """A string of a JSON document that is one URL as a whole, and perhaps a temporary one."""

    start: int
    end: int
    pointer: str
    """RFC 6901."""


@lru_cache(maxsize=4096)
def is_plain_host(host: str) -> bool:
    name = host.lower().rstrip(".")
    return not schemes.knows_host(name) and not f".{name}".endswith(_BARE_PROXIES)


@lru_cache(maxsize=4096)
def _plain_name(name: str) -> bool:
    return not schemes.knows_param(name.lower())


# The URLs of a table differ in numbers and identifiers and are otherwise few. So what is remembered is whether
# anything that looks like this, with all digits the same, needs a closer look.


@lru_cache(maxsize=8192)
def _plain_blurred_path(blurred: bytes) -> bool:
    path = blurred.decode()
    for mark in _MARKS_IN_PATHS:
        if mark in path:
            return False
    return not schemes.knows_path(path)


@lru_cache(maxsize=8192)
def _plain_blurred_query(blurred: bytes) -> bool:
    query = blurred.decode()
    for mark in _MARKS_IN_QUERIES:
        if mark in query:
            return False
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if len(value) >= schemes.LONG_VALUE or "0" in name or not _plain_name(name):
            return False  # which digit it was decides whether a name is a known one
    return True


def _all_plain(urls: Sequence[tuple[str, str]], hosts: HostRules = NO_RULES) -> bool:
    """Whether pairs of a host and what follows it are plain, all of them."""
    for host, tail in urls:
        path, _, query = tail.encode().partition(b"?")
        if (
            not is_plain_host(host)
            or (hosts and hosts.knows_host(host.lower().rstrip(".")))
            or not _plain_blurred_path(path.translate(_HEX_BLURRED))
            or (query and not _plain_blurred_query(query.translate(_DIGITS_BLURRED)))
            or _HEX_HTTP in tail
        ):
            return False
    return True


def all_plain_paths(tails: Sequence[str]) -> bool:
    """Whether what follows the hosts of many URLs is plain but for its parameters; False says nothing."""
    together = "\n".join(tails)
    for mark in _MARKS:
        if mark in together:
            return False
    return _HEX_HTTP not in together and not schemes.knows_path(together)


def has_plain_query(tail: str) -> bool:
    """Whether the parameters in what follows the host of a URL are plain, if there are any."""
    query = tail.partition("?")[2]
    return not query or _plain_blurred_query(query.encode().translate(_DIGITS_BLURRED))


def is_plain(url: str, hosts: HostRules = NO_RULES) -> bool:
    """True only when ``classify`` certainly finds ``url`` permanent. False says nothing."""
    match = _PLAIN_URL.fullmatch(url)
    return match is not None and _all_plain([(match[1], match[2])], hosts)


def look(text: str, hosts: HostRules = NO_RULES) -> list[Suspect] | None:
    """The only places of ``text`` where ``find`` can find anything; None when only ``find`` itself can tell."""
    # Counting would be a second pass over a text of megabytes.
    if (len(text) > _LONG or "//" not in text) and not may_contain(text):
        return []
    slashes = text.count("//")
    if slashes == 0:
        return None
    if text.startswith("http"):
        return [] if slashes == 1 and is_plain(text, hosts) else None
    urls = PLAIN_IN_QUOTES.findall(text)
    if len(urls) == slashes and _all_plain(urls, hosts) and not _is_disguised(text):
        return []
    return (
        _suspects(text, hosts) if text[0] in "{[" and "\\" not in text and len(text) <= _MOST_CHARACTERS else None
    )


def _is_disguised(text: str) -> bool:
    return ("\\" in text or "%" in text or "&" in text or ";" in text) and _DISGUISED.search(text) is not None


def _suspects(text: str, hosts: HostRules) -> list[Suspect] | None:
    """The strings of a JSON text that are URLs, when these are all that need be looked at."""
    urls = _WHOLE_STRING.findall(text)
    for url in urls:
        if url.count("//") > 1 or not ONE_URL.match(url):
            return None
    if may_contain(_WHOLE_STRING.sub("", text)):
        return None
    # Distinct URLs in the same order stand at the same places, whatever key may stand twice.
    hook = _without_doubles if len(set(urls)) < len(urls) else None
    strings: list[tuple[str, str]] = []
    try:
        _collect(json.loads(text, object_pairs_hook=hook), "", strings)
    except (ValueError, RecursionError):
        return None
    if [url for url, _ in strings] != urls:
        return None
    suspects = []
    position = 0
    for url, pointer in strings:
        start = text.index(f'"{url}"', position) + 1
        position = start + len(url)
        if not is_plain(url, hosts):
            if complete_end(url) < len(url):
                return None
            suspects.append(Suspect(start, position, pointer))
    return suspects


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return members


def _collect(node: Any, pointer: str, strings: list[tuple[str, str]]) -> None:
    """Every string below ``node`` that begins like a URL, with its pointer, in the order of the document."""
    for token, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, str):
            if "//" in value:
                strings.append((value, f"{pointer}/{_escaped(token)}"))
        elif isinstance(value, dict | list):
            _collect(value, f"{pointer}/{_escaped(token)}", strings)


def _escaped(token: str | int) -> str:
    if isinstance(token, int):
        return str(token)
    return token.replace("~", "~0").replace("/", "~1") if "~" in token or "/" in token else token
