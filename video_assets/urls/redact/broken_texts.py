"""Secrets that a text tells in pieces: string literals in a row, continued lines, lines that were wrapped.

Programs join such pieces when they run, mail readers and shells when they show them. So they are joined here too,
the whole is searched, and what was found is hidden piece by piece.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator

from video_assets.urls.syntax.parts import Span
from video_assets.urls.syntax.tokens import RUN_START, decode_base64, is_random

_LINE_END = r"(?:\r?\n|\\r\\n|\\n)"
_SEAM = re.compile(
    rf"""
    (?P<literals>\\{{0,3}}["'`]
        (?:
            [ \t]*+(?:\\?\r?\n[ \t]*+)?
                (?P<operator>\+{{1,2}}|\.{{1,2}}|&|\|\||<>|~)
                [ \t]*+(?:[_\\]?\r?\n[ \t]*+)?
            |[ \t]*+\)?;?[ \t]*+\r?\n[ \t]*+[\w$.]{{1,64}}[ \t]*+
                (?P<append>[+.]=|=[ \t]*+[\w$.]{{1,64}}[ \t]*+[+.])[ \t]*+
            |(?P<argument>\.concat\(|[ \t]*+,[ \t]*+(?:\r?\n[ \t]*+)?)
            |(?P<blank>[ \t]*+\\?\r?\n[ \t]*+|[ \t]{{1,8}})
        )
        [bBfFrRuU]{{0,2}}\\{{0,3}}["'`])
    |(?P<continued>(?<=[^\s\\])[\\^]\r?\n[ \t]*+)
    |(?P<wrapped>(?P<soft>=?)(?P<end>{_LINE_END})[ \t]*+(?:>[> \t]*+)?)(?=[A-Za-z0-9%&?=+/_.~\-])
    |(?P<plus>(?<=[A-Za-z0-9/])[ ](?=[A-Za-z0-9/+]{{6,200}}(?:%3D|=|&)))
    """,
    re.VERBOSE,
)
_MAY_BREAK = re.compile(
    r"\n|\\n|[\"'`][ \t]*(?:[+.&|<~,]|[bBfFrRuU]?[\"'`])|[\"'`][ \t]+[\"'`]|[A-Za-z0-9/] [A-Za-z0-9/+]{6}"
)
_BREAK = re.compile(r"[\s\"'<>`]")
_WORD_BEHIND = re.compile(r"[^\s\"'<>`\\]*")
_REACH = 4096
"""How far a word is looked at on each side of a place where it may be broken."""
_LONG_NAME = 128
_OF_A_QUERY = re.compile(r"[?&][\w.\[\]%\-]+|://[^?]*\?|%(?:25){0,3}(?:26|3[fFdD])")
_SEPARATOR = re.compile(r"[?&]|%(?:25){0,3}(?:26|3[fF])")
_EQUALS = re.compile(r"%(?:25){0,3}3[dD]")
_ASSIGNS = re.compile(r"=|%3|\\u003|&#|^ey|\.ey")
_NAME_ENDS = re.compile(r"(?:\A|[?&;\s\"'`(])[A-Za-z_][\w.%\-]{0,63}(?:=|%(?:25){0,3}3[dD])\Z")
_OPENS_ANEW = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{1,20}://|--?[A-Za-z]|//")
_MEMBER = re.compile(r"[\w.\-]{1,64}[ \t]*[:=]")
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_WHOLE_HEX = frozenset((32, 40, 56, 64, 96, 128, 256, 512))
_SHA256 = 64
_LONG_LINE = 60
_SHORT_LINE = 24
"""From here on a line may have been wrapped, if the one before it is as long."""
_BLANKS = (" ", "\t")

_PIECE = re.compile(
    rf"[A-Za-z0-9_\-]+|\.|(?:[ \t]{{1,3}}|[ \t]*{_LINE_END}[ \t]*(?:>[> \t]*)?|%20|%0[aA]|\\u0020)"
)
_TOKEN_START = re.compile(rf"{RUN_START}[A-Za-z0-9_\-]{{6,}}")
_MOST_PIECES = 400
_WHOLE_MACS = frozenset((43, 64, 86, 128, 171, 342, 512, 683))
"""Characters of base64url of the signatures that RFC 7518 knows."""


def broken_secrets(text: str, secrets_of: Callable[[str], list[Span]]) -> list[Span]:
    """Where the pieces of secrets stand that a seam parts; ``secrets_of`` finds those of a text without seams."""
    spans = list(_broken_tokens(text)) if "ey" in text or "ew" in text else []
    if ("=" not in text and "%3" not in text and "\\u003" not in text) or not _MAY_BREAK.search(text):
        return spans
    for cluster in _clusters(text, _seams(text)):
        spans += _secrets_across(text, cluster, secrets_of)
    return spans


def _clusters(text: str, seams: list[Span]) -> Iterator[tuple[int, int, list[Span]]]:
    """Pieces of text that seams hold together: from the line of the first to the end of the line of the last."""
    at = 0
    while at < len(seams):
        first = at
        end = _line_end(text, seams[at][1])
        while at + 1 < len(seams) and seams[at + 1][0] <= end:
            at += 1
            end = max(end, _line_end(text, seams[at][1]))
        at += 1
        start = max(text.rfind("\n", 0, seams[first][0]) + 1, seams[first][0] - _REACH)
        yield start, end, seams[first:at]


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position, position + _REACH)
    return end if end >= 0 else min(len(text), position + _REACH)


def _secrets_across(
    text: str, cluster: tuple[int, int, list[Span]], secrets_of: Callable[[str], list[Span]]
) -> Iterator[Span]:
    begin, end, seams = cluster
    pieces = []
    joints = []  # where each seam stood in the joined text
    behind = []  # and what of the text comes behind it
    position = begin
    length = 0
    for start, stop in seams:
        pieces.append(text[position:start])
        length += start - position
        joints.append(length)
        behind.append(stop)
        position = stop
    pieces.append(text[position:end])

    def place(at: int) -> int:
        index = bisect_left(joints, at + 1) - 1
        return begin + at if index < 0 else behind[index] + at - joints[index]

    for start, stop in secrets_of("".join(pieces)):
        cuts = [joint for joint in joints if start < joint < stop]
        for left, right in zip([start, *cuts], [*cuts, stop], strict=True):
            raw = place(left)
            yield raw, raw + right - left


def _seams(text: str) -> list[Span]:
    """What is left out so that pieces stand side by side that belong together."""
    seams: list[Span] = []
    left, reached = "", -1  # the word before the last seam, and where that seam ended
    for match in _SEAM.finditer(text):
        start, end = match.span()
        if match["literals"]:
            before = text[max(0, start - _LONG_NAME) : start]
            behind = text[end : end + _LONG_NAME]
            if _ASSIGNS.search(before + behind) and _are_one_literal(match, before, behind):
                seams.append((start, end))
        elif match["continued"]:
            if not _OPENS_ANEW.match(text, end):
                seams.append((start, end))
        elif match["soft"] and ("=3D" in text or "quoted-printable" in text):
            seams.append((start, match.end("end")))
        else:
            start = match.end("soft") if match["wrapped"] else start
            line_start = max(text.rfind("\n", 0, start) + 1, start - _REACH)
            word = text[max(line_start, text.rfind(" ", line_start, start) + 1) : start]
            if start - len(word) != reached and "=" not in word and "?" not in word and "%3" not in word:
                continue
            word = _BREAK.split(word)[-1]
            length = start - line_start
            is_long = length >= _LONG_LINE or (
                length >= _SHORT_LINE and text[max(0, line_start - length - 2) : line_start - length - 1] == "\n"
            )
            if start - len(word) == reached:
                word = left[-_REACH:] + word
                is_long = True
            if _goes_on(word, text, end, is_blank=match["plus"] is not None, is_long=is_long):
                seams.append((start, end))
                left, reached = word, end
    return seams


def _are_one_literal(match: re.Match[str], before: str, behind: str) -> bool:
    if match["argument"]:
        return _NAME_ENDS.search(before) is not None
    if match["operator"] or match["append"]:
        return True
    quotes = match.group().strip("\\")
    if _OPENS_ANEW.match(behind) or quotes[0] != quotes[-1]:
        return False
    return "\n" in match["blank"] or before.endswith(("=", "&", "?", "%3D")) or not _MEMBER.match(behind)


def _goes_on(left: str, text: str, end: int, *, is_blank: bool, is_long: bool) -> bool:
    """True when what stands at ``end``, behind a blank or a line end, is the rest of the query in ``left``."""
    if not _OF_A_QUERY.search(left) or _OPENS_ANEW.match(text, end):
        return False
    match = _WORD_BEHIND.match(text, end, end + _REACH)
    right = match.group() if match else ""
    _, sign, value = _EQUALS.sub("=", _SEPARATOR.split(left)[-1]).partition("=")
    rest = _SEPARATOR.split(right)[0]
    if not sign:  # within a name
        return not is_blank and "=" in right
    if right[:1] in "&?%=":
        return not is_blank
    if not value:
        return not is_blank and not _MEMBER.match(right)
    bare = rest.rstrip("=.,;)")
    if "=" in bare:  # NAME=value of the next line
        return False
    if not is_long and text[end + len(right) : end + len(right) + 1] in _BLANKS:
        return False  # the first word of another line
    if _HEX.fullmatch(value):
        if len(value) in _WHOLE_HEX and not (is_long and len(value) + len(bare) == _SHA256):
            return False
        if _HEX.fullmatch(bare) and len(value) + len(bare) in _WHOLE_HEX:
            return True
    return is_random(bare.replace("%", ""), least=8 if is_long else 12)


# --- tokens -----------------------------------------------------------------------------------------------------


def _broken_tokens(text: str) -> Iterator[Span]:
    """JSON Web Tokens with blanks or line ends in them, piece by piece."""
    reached = 0
    for match in _TOKEN_START.finditer(text):
        if match.start() >= reached and (decode_base64(match.group()[:8]) or b"")[:1] == b"{":
            pieces, reached = _pieces_of_token(text, match.start())
            if len(pieces) > 1:
                yield from pieces


def _pieces_of_token(text: str, start: int) -> tuple[list[Span], int]:
    pieces: list[Span] = []
    dots = length = 0
    position = begun = start
    for _ in range(_MOST_PIECES):
        piece = _PIECE.match(text, position)
        if piece is None:
            break
        sign = piece.group()
        if sign == ".":
            if dots == 2:
                break
            dots += 1
            length = 0
        elif sign[0].isalnum() or sign[0] in "_-":
            length += len(sign)
        else:
            if (dots == 2 and length in _WHOLE_MACS) or not _token_goes_on(text, piece.end(), dots):
                break
            if begun < position:
                pieces.append((begun, position))
            begun = piece.end()
        position = piece.end()
    if begun < position:
        pieces.append((begun, position))
    return (pieces if dots else []), position


_LEAST_BEFORE_GAP = 4  # fewer may be the number of a list: "2. ..."
_NEXT_OF_TOKEN = re.compile(r"(?P<run>[A-Za-z0-9_\-]*)(?P<dot>\.(?P<gap>\s{0,3})(?P<after>[A-Za-z0-9_\-]*))?")


def _token_goes_on(text: str, position: int, dots: int) -> bool:
    """True when what stands behind a blank belongs to a token of which ``dots`` dots have been read."""
    match = _NEXT_OF_TOKEN.match(text, position)
    if match is None:
        return False
    run, after = match["run"], match["after"] or ""
    if dots == 0:
        return after.startswith(("ey", "ew")) and len(after) >= 8
    if dots == 1 and match["dot"] and is_random(after, least=16):
        return not match["gap"] or len(run) >= _LEAST_BEFORE_GAP
    return is_random(run, least=10)
