"""How one URL is written down: the layers that documents, databases and logs wrap around it.

``read_spelling`` takes them off and remembers where every character came from, so that a secret found in the
decoded URL can be named or hidden in the text as it was given. Used by classify, redact and fingerprint; the
codecs of ``documents`` do this work for find and replace.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Layer(StrEnum):
    """One way of writing a URL that is not the URL itself."""

    WRAPPING = "wrapping"
    """Blanks, quotes or angle brackets around it."""
    JSON = "json"
    r"""Backslash escapes of a JSON or JavaScript string: ``\/``, ``\u0026``, ``\x26``."""
    HTML = "html"
    """Character references: ``&amp;``, ``&#38;``, ``&#x26;``."""
    PERCENT = "percent"
    """The whole URL percent-encoded: ``https%3A%2F%2F...``."""


MAX_LAYERS = 8
"""Layers taken off before giving up: real documents stay below four, hostile ones must not cost more."""

_QUOTED = re.compile("[\"'`\u2018\u2019\u201c\u201d\u00ab\u00bb]")
_OPENING = " \t\r\n\f\v\"'`<\u00a0\u2018\u2019\u201c\u201d\u00ab\ufeff"
_CLOSING = " \t\r\n\f\v\x00\"'`>\u00a0\u2018\u2019\u201c\u201d\u00bb\ufeff"
_JSON_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[\"'\\/bfnrt])")
# Only references that stand for a character of a URL, and only with their semicolon: "&para=1" is a parameter.
_HTML_REFERENCE = re.compile(
    r"&(?:#0{0,6}[0-9]{1,7}|#[xX]0{0,6}[0-9a-fA-F]{1,6}|[aA][mM][pP]|[lL][tT]|[gG][tT]|quot|QUOT|apos|equals|sol|colon"
    r"|quest|num|percnt|period|lowbar|hyphen|dash|plus|commat|semi|comma|excl|ast|lpar|rpar|dollar|Tilde|tilde);"
)
_PERCENT = re.compile(r"%[0-7][0-9A-Fa-f]|(?:%[89A-Fa-f][0-9A-Fa-f])+")
# "https" and then a separator that is still encoded; or "//host" wholly encoded.
_PERCENT_WHOLE = re.compile(
    r"[A-Za-z][A-Za-z0-9+.\-]{0,20}(?::%(?:25){0,8}2[fF]|%(?:25){0,8}3[aA])|%(?:25){0,8}2[fF]%(?:25){0,8}2[fF]"
)
_SIMPLE_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def _json_escape(match: re.Match[str]) -> str:
    body = match.group()[1:]
    if body[0] in "ux":
        return chr(int(body[1:], 16)) if len(body) > 1 else body
    return _SIMPLE_ESCAPES.get(body, body)


def _html_reference(match: re.Match[str]) -> str:
    return html.unescape(match.group().lower())


def _percent(match: re.Match[str]) -> str:
    return bytes.fromhex(match.group().replace("%", "")).decode("utf-8", "replace")


@dataclass(slots=True)
class _Edits:
    """Where one layer changed the text: position and length of each change, decoded and raw."""

    decoded_at: list[int] = field(default_factory=list)
    decoded_length: list[int] = field(default_factory=list)
    raw_at: list[int] = field(default_factory=list)
    raw_length: list[int] = field(default_factory=list)

    def raw_position(self, position: int, *, is_end: bool) -> int:
        """The raw offset of a decoded one; an end inside a change is moved behind the whole change."""
        index = bisect_right(self.decoded_at, position - 1 if is_end else position) - 1
        if index < 0:
            return position
        offset = position - self.decoded_at[index]
        if offset < self.decoded_length[index] or (is_end and offset <= self.decoded_length[index]):
            return self.raw_at[index] + (self.raw_length[index] if is_end else 0)
        return self.raw_at[index] + self.raw_length[index] + offset - self.decoded_length[index]


def _apply(pattern: re.Pattern[str], decode: Callable[[re.Match[str]], str], text: str) -> tuple[str, _Edits]:
    edits = _Edits()
    pieces: list[str] = []
    taken = length = 0
    for match in pattern.finditer(text):
        start, end = match.span()
        replacement = decode(match)
        pieces.append(text[taken:start])
        length += start - taken
        edits.decoded_at.append(length)
        edits.decoded_length.append(len(replacement))
        edits.raw_at.append(start)
        edits.raw_length.append(end - start)
        pieces.append(replacement)
        length += len(replacement)
        taken = end
    pieces.append(text[taken:])
    return "".join(pieces), edits


@dataclass(frozen=True, slots=True)
class Spelling:
    """A URL and the layers it was written in, outermost first."""

    raw: str
    url: str
    layers: tuple[Layer, ...] = ()
    edits: tuple[_Edits, ...] = ()

    def raw_span(self, start: int, end: int) -> tuple[int, int]:
        """Where ``url[start:end]`` stands in ``raw``."""
        for edits in reversed(self.edits):
            start = edits.raw_position(start, is_end=False)
            end = edits.raw_position(end, is_end=True)
        return start, max(start, end)


def peel(layer: Layer, text: str) -> tuple[str, _Edits]:
    """Take one known layer off ``text``, wherever it stands in it."""
    if layer is Layer.PERCENT:
        return _apply(_PERCENT, _percent, text)
    if layer is Layer.JSON:
        return _apply(_JSON_ESCAPE, _json_escape, text)
    if layer is Layer.HTML:
        return _apply(_HTML_REFERENCE, _html_reference, text)
    return _unwrap(text) or (text, _Edits())


def _unwrap(text: str) -> tuple[str, _Edits] | None:
    left = text.lstrip(_OPENING)
    inner = left.rstrip(_CLOSING)
    cut = len(text) - len(left)
    if inner[-1:] in (",", ";") and _QUOTED.search(text, 0, cut):  # a line of a list or of code: "https://...",
        listed = left.rstrip(",;" + _CLOSING)
        if left[len(listed)] in _CLOSING:
            inner = listed
    if inner.endswith("\\"):  # the quote itself was escaped
        inner = inner.rstrip("\\").rstrip(_CLOSING)
    if len(inner) == len(text):
        return None
    return inner, _Edits([0], [0], [0], [cut])


def is_plain(text: str) -> bool:
    """A cheap first look: True when ``text`` certainly has no layer to take off."""
    if not text:
        return True
    return not (
        "\\" in text
        or ("&" in text and ";" in text)
        or text[0] in _OPENING
        or text[-1] in _CLOSING
        or ("%" in text[:64] and _PERCENT_WHOLE.match(text) is not None)
    )


def read_spelling(text: str) -> Spelling:
    """Take every layer off ``text``. Never raises; linear in its length."""
    if is_plain(text):
        return Spelling(text, text)
    url = text
    layers: list[Layer] = []
    all_edits: list[_Edits] = []
    while len(layers) < MAX_LAYERS:
        layer: Layer
        if (unwrapped := _unwrap(url)) is not None:
            layer, (url, edits) = Layer.WRAPPING, unwrapped
        elif "\\" in url and _JSON_ESCAPE.search(url):
            layer, (url, edits) = Layer.JSON, _apply(_JSON_ESCAPE, _json_escape, url)
        elif "&" in url and ";" in url and _HTML_REFERENCE.search(url):
            layer, (url, edits) = Layer.HTML, _apply(_HTML_REFERENCE, _html_reference, url)
        elif "%" in url[:64] and _PERCENT_WHOLE.match(url):
            layer, (url, edits) = Layer.PERCENT, _apply(_PERCENT, _percent, url)
        else:
            break
        layers.append(layer)
        all_edits.append(edits)
    return Spelling(text, url, tuple(layers), tuple(all_edits))
