"""The second look at a document: are all its URLs so plain that none of them can be temporary?

``may_contain`` dismisses texts without any URL. Most rows of a real table hold URLs, and most of those are plain:
a usual host, a short path, no parameter that any scheme knows. Telling that apart costs a tenth of an analysis.
"""

from __future__ import annotations

import re
from functools import lru_cache

from video_assets.urls import schemes
from video_assets.urls.documents.triggers import may_contain

_PLAIN = re.compile(r"https?://([A-Za-z0-9.\-]+)(/[A-Za-z0-9._~/\-]*)?(?:\?([A-Za-z0-9_.\-=&]*))?")
_IN_QUOTES = re.compile(r'"(https?://[A-Za-z0-9._~/?=&\-]+)"')
_DISGUISED = re.compile(r"\\[/ux]|%(?:2[fF5]|5[cC])|[&;]#|&sol;|;sol;")
"""Other spellings of slashes."""


@lru_cache(maxsize=4096)
def _plain_host(host: str) -> bool:
    return not schemes.knows_host(host.lower().rstrip("."))


@lru_cache(maxsize=4096)
def _plain_name(name: str) -> bool:
    return not schemes.knows_param(name.lower())


def is_plain(url: str) -> bool:
    """True only when ``classify`` certainly finds ``url`` permanent. False says nothing."""
    match = _PLAIN.fullmatch(url)
    if match is None:
        return False
    host, path, query = match.groups()
    if not _plain_host(host) or schemes.knows_text(url):
        return False
    if path is not None and len(path) > 20 and schemes.knows_path(path):
        return False
    if query:
        for pair in query.split("&"):
            name, _, value = pair.partition("=")
            if len(value) >= schemes.LONG_VALUE or not _plain_name(name):
                return False
    # A token, or a URL inside the URL.
    return not ("eyJ" in url or "ttp" in url[4:] or "TTP" in url or "aHR0c" in url or "68747470" in url)


def only_plain(text: str) -> bool:
    """True only when ``find`` certainly finds nothing in ``text``. False says nothing."""
    slashes = text.count("//")
    if slashes == 0:
        return not may_contain(text)
    if "eyJ" in text or (
        ("\\" in text or "%" in text or "&" in text or ";" in text) and _DISGUISED.search(text) is not None
    ):
        return False
    if text.startswith("http"):
        return slashes == 1 and is_plain(text)
    urls = _IN_QUOTES.findall(text)
    return len(urls) == slashes and all(map(is_plain, urls))
