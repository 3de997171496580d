"""Where the URLs of running text begin and end, in whatever spelling they are written.

A URL is found by its separator ``://``, which has few spellings; the scheme is read backwards from it and the
rest forwards, one escape layer at a time, until a character that no URL contains. Nothing is classified here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from video_assets.urls.documents.codecs import HTML, PERCENT, STRING, Codec
from video_assets.urls.documents.url_end import complete_end
from video_assets.urls.documents.views import View


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something written as a URL: ``view.text[start:end]``, all escapes off."""

    view: View
    start: int
    end: int

    @property
    def url(self) -> str:
        """The URL, decoded and unescaped."""
        return self.view.text[self.start : self.end]


_COLON = (
    r"(?::|%(?:25){0,8}3[Aa]|(?<!\\)\\{1,64}(?:u003[Aa]|x3[Aa])"
    r"|&(?:amp;){0,8}(?:#0*58|#[xX]0*3[Aa]|colon);)"
)
_BACKSLASH = r"(?:\\|%(?:25){0,8}5[Cc])"
_SLASH = (
    rf"(?:{_BACKSLASH}{{0,64}}(?:/|%(?:25){{0,8}}2[Ff])|{_BACKSLASH}{{1,64}}(?:u002[Ff]|x2[Ff])"
    r"|&(?:amp;){0,8}(?:#0*47|#[xX]0*2[Ff]|sol);)"
)
_ESCAPED_SEPARATOR = re.compile(rf"{_COLON}{_SLASH}{_SLASH}")
_PLAIN_SEPARATOR = re.compile("://")
_NO_SCHEME = re.compile(r"(?<![:/\w\\.%~-])//(?=[\w-]+(?:\.[\w-]+)+[/:?])")
_UNIT = re.compile(
    r"\\+(?:u00([0-9a-fA-F]{2})|x([0-9a-fA-F]{2}))|%(?:25)*([0-9A-Fa-f]{2})"
    r"|&(?:amp;)*#(?:0*([0-9]{2,3})|[xX]0*([0-9a-fA-F]{2}));|([A-Za-z0-9+.\-])"
)
_SCHEME_LENGTH = 24
_SCHEME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-")

_HEAD = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.\-]*:)?//")
# Characters that end a URL in any text: blanks, controls, quotes, angle brackets, CJK punctuation.
_STOP = re.compile(
    '[\x00-\x20"<>`\x7f-\xa0\u1680\u2000-\u200f\u2018-\u201f\u2026\u2028-\u202f\u2039\u203a\u205f-\u206f'
    "\u3000\u3001\u3008-\u3011\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f\ufeff\u00ab\u00bb]"
)
_PERCENT_STOP = re.compile(r"[^A-Za-z0-9\-_.~!*'()%+$\\]")
_PERCENT_STOP_BUT_SLASH = re.compile(r"[^A-Za-z0-9\-_.~!*'()%+$\\/]")
_SOFT = re.compile(
    r"[()\[\]{}\\'|\u3002\uff0e\uff61]|[,;](?=[hH][tT][tT][pP][sS]?://)|(?P<member>,)(?=[A-Za-z_][\w\-]{0,63}:)"
)
_CLOSES = {")": "(", "]": "[", "}": "{"}
_QUOTES = frozenset("\"'")
_TRAILING = frozenset(".,;:!?'")
_EMPHASIS = frozenset("*_~")
_UNSIGNED_JWT = re.compile(r"(?<![A-Za-z0-9_\-.])e[yw][A-Za-z0-9_\-]{6,}+\.[A-Za-z0-9_\-]{6,}+\.\Z")
"""RFC 7519 section 6: nothing behind its last dot."""
_COMMENT_REACHES = 256
"""Characters before a URL in which the comment may begin that it stands in."""
_AUTHORITY_END = re.compile(r"[/?#]")
_FIRST_WINDOW = 192
_MARGIN = 48
_MAX_PEELS = 12
_QUOTE_REFERENCE = re.compile(r"&(?:amp;)*(?:#0*39|#[xX]0*27|apos);\Z")
_LESS_REFERENCE = re.compile(r"&(?:amp;)*(?:#0*60|#[xX]0*3[cC]|lt);\Z")
_SPACED = re.compile(
    r"""https?://[^\s?\#"'<>`\\]++(?:[ ][^\s?\#"'<>`\\:]++){0,20}   # a path, with blanks or without
        \?[^\s"'<>`\\,;&]++(?:&(?!amp;)[^\s"'<>`\\,;&]++)*?
        (?:[?&](?:download|filename|attname|dl)=(?:(?!://)[^"'<>`&\r\n])*\.[A-Za-z0-9]{2,5})?   # a name
        \Z""",
    re.VERBOSE,
)
"""A URL as some storage clients give it out, with blanks where a browser sends ``%20``."""
_FILE_BEFORE_QUERY = re.compile(r"\.[A-Za-z0-9]{2,5}\?")
_LONGEST_QUOTED = 4096
_PATH_START = re.compile(r"(?<![^\s\"'<>`=(,;|\[{])(?:\.{0,2}\\*+/|\?)")
_PATH_HEAD = re.compile(r"\.{0,2}/|\?")
_LABELLED = re.compile(
    r"\A(?:[^?]*[^/=?]|[^?]*=|[^?=]*\?[^=]*[,;|]\s*)https?:\\*/\\*/",
    re.IGNORECASE,
)
"""A URL with something before it that is no path to it."""
_PATH = re.compile(r"""\s*+["']?([\w.~%+,@-]*+[/?\\][^\s"<>`\u3002\uff0e\uff61]*+)"?\s*+\Z""")


def whole_path(view: View) -> Candidate | None:
    """The text as a whole, when it is one path or query without a host that carries something like a JWT."""
    if "eyJ" not in view.text or _LABELLED.search(view.text):
        return None
    inner = view
    for _ in range(_MAX_PEELS):
        match = _PATH.match(inner.text)
        if match is None or "eyJ" not in match.group(1):
            return None
        start, end = match.start(1), match.end(1)
        while inner.text[end - 1] == "'":
            end -= 1
        codec, layer, _ = _next_layer(inner.text, start, end, percent=False)
        if codec is None:
            return Candidate(inner, start, end)
        inner = View.inside(inner, start, end, codec=codec, layer=layer)
    return None


def whole_url_with_blanks(view: View) -> Candidate | None:
    """The text as a whole, when it is one URL that was written with blanks instead of ``%20``.

    A text that is no value of a document, such as a column, must look more like one: its path names a file.
    """
    text = view.text
    if " " not in text or not (view.is_value or view.parent is None):
        return None
    match = _SPACED.match(text)
    if match is None or not (view.is_value or _FILE_BEFORE_QUERY.search(text)):
        return None
    return Candidate(view, *match.span())


def candidates(view: View, start: int, end: int) -> Iterator[Candidate]:
    """Everything in ``view.text[start:end]`` that is written as a URL, in order.

    Paths without a host come only when they carry something like a JWT; the URLs inside them come too.
    """
    covered = covered_by_path = start
    for anchor, head in _anchors(view.text, start, end):
        if anchor < covered or (head is _PATH_HEAD and anchor < covered_by_path):
            continue
        candidate = _read(view, anchor, end, head, floor=start)
        if candidate is not None:
            reached = _raw_position(candidate.view, candidate.end, view)
            if head is _HEAD:
                covered = reached
            else:
                covered_by_path = reached
                if "eyJ" not in candidate.url:
                    continue
            yield candidate


def _raw_position(inner: View, position: int, view: View) -> int:
    """``position`` of a view peeled off ``view``, as a position in ``view``."""
    while inner is not view:
        assert inner.parent is not None
        position = inner.outwards(position)
        inner = inner.parent
    return position


def _anchors(text: str, start: int, end: int) -> list[tuple[int, re.Pattern[str]]]:
    """Where URLs begin, in order, each with the pattern of its beginning."""
    found: list[int] = []
    for match in _PLAIN_SEPARATOR.finditer(text, start, end):
        scheme = _scheme_before(text, match.start(), start)
        if scheme is not None:
            found.append(scheme)
    plain = len(found)
    if any(text.find(mark, start, end) >= 0 for mark in "\\%&"):
        for match in _ESCAPED_SEPARATOR.finditer(text, start, end):
            if match.end() - match.start() > 3:
                scheme = _scheme_before(text, match.start(), start)
                if scheme is not None:
                    found.append(scheme)
    if text.count("//", start, end) > plain:
        found.extend(match.start() for match in _NO_SCHEME.finditer(text, start, end))
    anchors = [(anchor, _HEAD) for anchor in found]
    if text.find("eyJ", start, end) >= 0:
        anchors.extend((anchor, _PATH_HEAD) for anchor in _path_starts(text, start, end))
    anchors.sort(key=lambda anchor: anchor[0])
    return anchors


def _path_starts(text: str, start: int, end: int) -> Iterator[int]:
    """Where paths begin that have something like a JWT before their word ends."""
    token = stop = start
    for match in _PATH_START.finditer(text, start, end):
        if token < match.end():
            token = text.find("eyJ", match.end(), end)
            if token < 0:
                return
        if stop < match.end():
            stop = _stop(text, match.end(), end)
        if token < stop:
            yield match.start()


def _scheme_before(text: str, colon: int, floor: int) -> int | None:
    first = colon
    shortest = max(floor, colon - _SCHEME_LENGTH)
    while first > shortest and text[first - 1] in _SCHEME_CHARACTERS:
        first -= 1
    word = text[first:colon].lower()
    if word.endswith("https"):
        return colon - 5
    if word.endswith("http"):
        return colon - 4
    if first > 0 and text[first - 1] in "\\%;":
        escaped = _escaped_scheme_before(text, colon, floor)
        if escaped is not None:
            return escaped
    while first < colon and not text[first].isalpha():
        first += 1
    return first if colon - first > 1 else None


def _escaped_scheme_before(text: str, colon: int, floor: int) -> int | None:
    """Where ``http`` or ``https`` begins when its letters are escaped too."""
    window = max(floor, colon - 256)
    starts: list[int] = []
    letters: list[str] = []
    reached = -1
    for match in _UNIT.finditer(text, window, colon):
        if match.start() != reached:
            starts.clear()
            letters.clear()
        reached = match.end()
        starts.append(match.start())
        hexadecimal = match.group(1) or match.group(2) or match.group(3) or match.group(5)
        if hexadecimal:
            letters.append(chr(int(hexadecimal, 16)))
        else:
            letters.append(chr(int(match.group(4))) if match.group(4) else match.group(6))
    if reached != colon:
        return None
    word = "".join(letters).lower()
    for scheme in ("https", "http"):
        if word.endswith(scheme):
            return starts[-len(scheme)]
    return None


def _read(view: View, anchor: int, end: int, head: re.Pattern[str], *, floor: int) -> Candidate | None:
    """The URL that begins at ``anchor``. Looks at a growing window, so that its cost is the URL's length."""
    end = min(end, _comment_end(view.text, anchor, end, floor=floor))
    before = view.text[anchor - 1] if anchor > floor else ""
    if before in _QUOTES and (quoted := _quoted_with_blanks(view, anchor, end, before)):
        return quoted
    if before == ";" and _QUOTE_REFERENCE.search(view.text, max(floor, anchor - 24), anchor):
        before = "'"
    elif before == ";" and _LESS_REFERENCE.search(view.text, max(floor, anchor - 24), anchor):
        before = "<"
    window = _FIRST_WINDOW
    while True:
        limit = min(end, anchor + window)
        inner, start, stop, head_end = _peel(view, anchor, limit, head)
        if head_end < 0:
            if limit == end or window > _FIRST_WINDOW:
                return None
        else:
            stop = _soft_stop(inner.text, start, head_end, stop, before)
            is_read = limit == end or _raw_position(inner, stop, view) < limit - _MARGIN
            if not is_read and head is _HEAD and inner.text.find("://", head_end, stop) >= 0:
                # URLs in a row are parted before the whole row is read.
                length = complete_end(inner.text[start:stop])
                if inner.text.find("http", start + length, min(start + length + 5, stop)) >= 0:
                    return Candidate(inner, start, start + length)
            if is_read:
                reached = _raw_position(inner, stop, view)
                is_whole_value = view.is_value and anchor == 0 and reached == len(view.text)
                if not is_whole_value:
                    if (
                        view.text.startswith(">", reached)
                        and before != "<"
                        and inner.text.endswith("--", head_end, stop)
                    ):
                        stop -= 2  # of a comment of markup
                    stop = _without_trailing(inner.text, head_end, stop, before)
                if stop <= head_end:
                    return None
                if head is _HEAD:
                    url = inner.text[start:stop]
                    length = complete_end(url, _ends_by_spelling(inner, start, stop, before))
                    # Punctuation alone behind a URL that fills a value is no label.
                    if not is_whole_value or any(map(str.isalnum, url[length:])):
                        stop = start + length
                return Candidate(inner, start, stop)
        window *= 4


def _quoted_with_blanks(view: View, anchor: int, end: int, quote: str) -> Candidate | None:
    """What stands in quotes from ``anchor`` on, when it is one URL with blanks in it."""
    text = view.text
    closing = text.find(quote, anchor, min(end, anchor + _LONGEST_QUOTED))
    if text.find(" ", anchor, max(closing, anchor)) < 0 or _SPACED.match(text, anchor, closing) is None:
        return None
    return Candidate(view, anchor, closing)


def _ends_by_spelling(view: View, start: int, stop: int, before: str) -> Iterator[int]:
    """Where the text of ``view.text[start:stop]`` shows that the URL may end, as offsets from ``start``.

    Before an ampersand that is escaped for markup, where one before it is not; before an arrow (``=>``, ``->``),
    unless the bracket is the one that closes ``<``; and before a percent sign that begins no escape.
    """
    if view.codec is HTML and view.parent is not None:
        raw = view.parent.text
        plain_before = False
        for match in re.finditer("&", view.text[start:stop]):
            position = view.outwards(start + match.start())
            is_plain = view.outwards(start + match.start() + 1) == position + 1
            if plain_before and not is_plain and raw[position] == "&":
                yield match.start()
                break
            plain_before |= is_plain
    outer, end = view, stop
    while outer.parent is not None and end == len(outer.text):
        outer, end = outer.parent, outer.outwards(end)
    is_arrow = before != "<" and view.text.endswith(("=", "-"), start, stop) and outer.text.startswith(">", end)
    if is_arrow or view.text.endswith("%", start, stop):
        yield stop - 1 - start


def _comment_end(text: str, anchor: int, end: int, *, floor: int) -> int:
    """Where the comment of code ends that ``text[anchor]`` stands in; ``end`` outside of one."""
    opening = text.rfind("/*", max(floor, anchor - _COMMENT_REACHES), anchor)
    if opening < 0 or text.find("*/", opening, anchor) >= 0:
        return end
    closing = text.find("*/", anchor, end)
    return end if closing < 0 else closing


def _peel(view: View, anchor: int, limit: int, head: re.Pattern[str]) -> tuple[View, int, int, int]:
    """``view.text[anchor:limit]`` without its escape layers: view, start, hard stop, end of its head or -1."""
    inner, start = view, anchor
    stop = _stop(view.text, anchor, limit)
    for _ in range(_MAX_PEELS):
        codec, layer, stop = _next_layer(inner.text, start, stop, percent=head is _HEAD)
        if codec is None:
            break
        inner = View.inside(inner, start, stop, codec=codec, layer=layer)
        start, stop = 0, _stop(inner.text, 0, len(inner.text))
    matched = head.match(inner.text, start, stop)
    return inner, start, stop, -1 if matched is None else matched.end()


def _stop(text: str, start: int, limit: int) -> int:
    match = _STOP.search(text, start, limit)
    return match.start() if match else limit


def _next_layer(text: str, start: int, stop: int, *, percent: bool = True) -> tuple[Codec | None, str, int]:
    """The outermost escape layer of ``text[start:stop]``, if any, and where a URL in that layer must end."""
    if text.find("\\", start, stop) >= 0 and STRING.pattern.search(text, start, stop):
        return STRING, "escape", stop
    if text.find("&", start, stop) >= 0 and any(
        HTML.decode(match) is not None for match in HTML.pattern.finditer(text, start, stop)
    ):
        return HTML, "html", stop
    if percent and _HEAD.match(text, start, stop) is None and text.find("%", start, stop) >= 0:
        separator = _ESCAPED_SEPARATOR.search(text, start, stop)
        slashes = separator is not None and "/" in separator.group()
        match = (_PERCENT_STOP_BUT_SLASH if slashes else _PERCENT_STOP).search(text, start, stop)
        return PERCENT, "percent", match.start() if match else stop
    return None, "", stop


def _soft_stop(text: str, start: int, head_end: int, stop: int, before: str) -> int:
    """Where brackets, quotes and separators around the URL end it before ``stop``."""
    opened = {"(": 0, "[": 0, "{": 0}
    authority = _AUTHORITY_END.search(text, head_end, stop)
    authority_end = authority.start() if authority else stop
    for match in _SOFT.finditer(text, head_end, stop):
        position, mark = match.start(), match.group()
        if mark in opened:
            if text.startswith("[/", position):  # the closing tag of a forum post
                return position
            opened[mark] += 1
        elif mark in _CLOSES:
            opened[_CLOSES[mark]] -= 1
            if mark == "]" and text.startswith("](", position):
                return position
            if opened[_CLOSES[mark]] < 0 and (mark != ")" or before == "("):
                return position
        elif mark == "'" or mark == "|":
            if before == mark or (
                mark == "|" and (before in {"<", "["} or text.startswith("http", position + 1))
            ):
                return position
        elif mark in "\u3002\uff0e\uff61":
            if position > authority_end or not text[position + 1 : position + 2].isalnum():
                return position
        elif match["member"] and before != ":":
            continue  # only in {a:https://...,b:1} does a comma before a name and a colon part members
        else:
            return position
    return stop


def _is_symbol(character: str) -> bool:
    """True for what no address ends in: arrows, emoji, dashes and quotes of any script."""
    return character > "\x7f" and unicodedata.category(character)[0] in "SP"


def _without_trailing(text: str, head_end: int, stop: int, before: str) -> int:
    """``stop`` without the punctuation of the sentence around the URL; balanced brackets stay."""
    excess: dict[str, int] | None = None
    while stop > head_end:
        last = text[stop - 1]
        if last == "." and _UNSIGNED_JWT.search(text, head_end, stop):
            break
        if last in _TRAILING or last == "|" or (last in _EMPHASIS and last == before) or _is_symbol(last):
            stop -= 1
        elif last in _CLOSES:
            if excess is None:
                excess = {
                    closing: text.count(closing, head_end, stop) - text.count(opening, head_end, stop)
                    for closing, opening in _CLOSES.items()
                }
            if excess[last] <= 0:
                break
            excess[last] -= 1
            stop -= 1
        else:
            break
    return stop
