"""The cheap first look: can this text hold anything that the careful reading would find?

Whatever its spelling, a URL has ``//`` in it, or two slashes of which at least one is escaped by a backslash,
by ``%`` or by a character reference; a path without a host is looked for only when it carries a JWT (``eyJ``).
"""

from __future__ import annotations

import re

# On long texts a compiled literal beats ``in``; on short ones the call costs more than the search.
_LONG = 4096
_SLASHES = re.compile("//").search
_BACKSLASHED = re.compile(r"\\[/ux]").search
_PERCENT = re.compile("%2[fF5]|%5[cC]").search
_REFERENCE = re.compile("[&;]#|&sol;|;sol;").search


def may_contain(text: str | bytes) -> bool:
    """False only when ``find`` certainly finds nothing in ``text``. Fit for a million rows a second."""
    if isinstance(text, bytes):
        if b"\0" in text:
            return True  # perhaps UTF-16 or UTF-32
        text = text.decode("latin-1")  # every character that matters is ASCII
    if len(text) < _LONG:
        if "//" in text or "eyJ" in text:
            return True
    elif _SLASHES(text) or ("J" in text and text.rfind("eyJ") >= 0):
        return True
    return (
        ("\\" in text and _BACKSLASHED(text) is not None)
        or ("%" in text and _PERCENT(text) is not None)
        or ("&" in text and _REFERENCE(text) is not None)
    )
