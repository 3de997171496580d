"""Where a redirect leads: references resolved by hand, so that no byte of a signed URL is rewritten."""

from __future__ import annotations

import re

from video_assets.transfer.ssrf.guard import Verdict

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_LOGIN = re.compile(r"/(?:log[-_]?in|sign[-_]?in|sso|oauth2?/authorize|accounts/login)(?:[/?#.]|$)", re.I)


def next_url(verdict: Verdict, location: str) -> str:
    """The URL that a ``Location`` header means when it comes as the answer to ``verdict`` (RFC 3986, 5.2).

    ``location`` is as ``http.client`` gives it: bytes as Latin-1. Blanks become ``%20`` as in browsers;
    everything else stays as it is, and the guard judges the result.
    """
    reference = _as_text(location.strip(" \t")).replace(" ", "%20")
    if _ABSOLUTE.match(reference):
        return reference
    if reference.startswith("//"):
        return f"{verdict.scheme}:{reference}"
    path, mark, query = verdict.target.partition("?")
    if reference.startswith("/"):
        return verdict.origin + reference
    if not reference or reference.startswith("#"):
        return verdict.origin + verdict.target
    if reference.startswith("?"):
        return verdict.origin + path + reference
    new_path, mark, query = reference.partition("?")
    return verdict.origin + _without_dots(path.rpartition("/")[0] + "/" + new_path) + mark + query


def _as_text(location: str) -> str:
    try:
        return location.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return location


def _without_dots(path: str) -> str:
    """``path`` with ``.`` and ``..`` segments carried out (RFC 3986, 5.2.4)."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for position, segment in enumerate(segments):
        last = position == len(segments) - 1
        if segment == "..":
            if kept:
                kept.pop()
            if last:
                kept.append("")
        elif segment == ".":
            if last:
                kept.append("")
        else:
            kept.append(segment)
    return "/" + "/".join(kept)


def is_login(verdict: Verdict) -> bool:
    """True when the path looks like a login page: where a source sends those it does not know."""
    return bool(_LOGIN.search(verdict.target.partition("?")[0]))
