"""The escapes a character can be written in, one codec per layer, each in both directions.

Every match of a codec's pattern stands for exactly one character; that is what lets a ``View`` say which raw
characters a decoded one came from.
"""

from __future__ import annotations

import html.entities
import re
from collections.abc import Set
from typing import Protocol


class Codec(Protocol):
    """How the characters of one layer are escaped."""

    trigger: str
    """A character that is in every escape: text without it needs no decoding."""
    pattern: re.Pattern[str]
    """Matches one escaped character."""

    def decode(self, match: re.Match[str]) -> str | None:
        """The one character that ``match`` stands for, or None when it is no escape after all."""

    def encode(self, character: str, *, lower_case: bool) -> str:
        """The escape of one character, hexadecimal digits in the case of its surroundings."""

    def must_escape(self, new: str, plain: Set[str], *, ascii_only: bool) -> Set[str]:
        """The characters of ``new`` that cannot stand as they are; ``plain`` ones stood so in the old text."""


_SIMPLE = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "/": "/"}
_SIMPLE_BACK = {character: "\\" + letter for letter, character in _SIMPLE.items() if letter != "/"}


class JsonEscapes:
    r"""The inside of a JSON string: ``\/``, ``\u0026``, surrogate pairs; an unknown escape stays as it is."""

    trigger = "\\"
    pattern = re.compile(
        r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL
    )

    def decode(self, match: re.Match[str]) -> str | None:
        """The character behind one JSON escape."""
        escape = match.group()
        if len(escape) == 2:
            return _SIMPLE.get(escape[1])
        if len(escape) == 6:
            return chr(int(escape[2:], 16))
        high, low = int(escape[2:6], 16), int(escape[8:], 16)
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))

    def encode(self, character: str, *, lower_case: bool) -> str:
        r"""A short escape where JSON has one, else ``\uXXXX``."""
        if character in _SIMPLE_BACK:
            return _SIMPLE_BACK[character]
        form = "\\u%04x" if lower_case else "\\u%04X"
        code = ord(character)
        if code < 0x10000:
            return form % code
        return form % (0xD800 + ((code - 0x10000) >> 10)) + form % (0xDC00 + ((code - 0x10000) & 0x3FF))

    def must_escape(self, new: str, plain: Set[str], *, ascii_only: bool) -> Set[str]:
        """Quotes, backslashes, control characters, and all that is not ASCII in an ASCII document."""
        return {c for c in set(new) if c < " " or c in '"\\' or (ascii_only and c > "\x7f")}


class StringEscapes(JsonEscapes):
    r"""String escapes outside a JSON document: also JavaScript's ``\x26`` and ``\'`` and Markdown's ``\_``."""

    pattern = re.compile(
        r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}"
        r"|[\"\\/bfnrt'_*~&()\[\]#+.!|=?%\-])"
    )

    def decode(self, match: re.Match[str]) -> str | None:
        """The character behind one escape."""
        escape = match.group()
        if len(escape) == 4:
            return chr(int(escape[2:], 16))
        if len(escape) == 2:
            return _SIMPLE.get(escape[1], escape[1])
        return super().decode(match)


_NAMED = {
    name[:-1]: character
    for name, character in html.entities.html5.items()
    if name.endswith(";") and len(character) == 1
}
_NAMED_BACK = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}


class Entities:
    """Character references of HTML and XML, with their semicolon: ``&amp;``, ``&#38;``, ``&#x26;``."""

    trigger = "&"
    pattern = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")

    def decode(self, match: re.Match[str]) -> str | None:
        """The character behind one reference; an unknown name stays as it is."""
        name = match.group()[1:-1]
        if name[0] != "#":
            return _NAMED.get(name) or (_NAMED.get(name.lower()) if name.isupper() else None)
        code = int(name[2:], 16) if name[1] in "xX" else int(name[1:])
        return chr(code) if 0 < code < 0x110000 else None

    def encode(self, character: str, *, lower_case: bool) -> str:
        """The usual name, else a decimal reference."""
        return _NAMED_BACK.get(character) or f"&#{ord(character)};"

    def must_escape(self, new: str, plain: Set[str], *, ascii_only: bool) -> Set[str]:
        """Angle brackets and quotes; ampersands unless bare ones are this document's habit and do no harm."""
        must = {c for c in '<>"' if c not in plain}
        if "'" not in plain:
            must.add("'")
        if "&" not in plain or self.pattern.search(new):
            must.add("&")
        return must


_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")


class Percent:
    """A URL percent-encoded as a whole: one pattern match is one UTF-8 character."""

    trigger = "%"
    pattern = re.compile(
        r"%[0-7][0-9A-Fa-f]|%[C-Dc-d][0-9A-Fa-f]%[89ABab][0-9A-Fa-f]"
        r"|%[Ee][0-9A-Fa-f](?:%[89ABab][0-9A-Fa-f]){2}|%[Ff][0-4](?:%[89ABab][0-9A-Fa-f]){3}"
    )

    def decode(self, match: re.Match[str]) -> str | None:
        """The character behind one percent-encoded UTF-8 sequence."""
        try:
            return bytes.fromhex(match.group().replace("%", "")).decode()
        except UnicodeDecodeError:
            return None

    def encode(self, character: str, *, lower_case: bool) -> str:
        """The UTF-8 bytes of the character."""
        form = "%%%02x" if lower_case else "%%%02X"
        return "".join(form % byte for byte in character.encode("utf-8", "surrogatepass"))

    def must_escape(self, new: str, plain: Set[str], *, ascii_only: bool) -> Set[str]:
        """All but the unreserved characters and those that stood plainly before."""
        return {c for c in set(new) if c not in _UNRESERVED and (c not in plain or c == "%" or c > "\x7f")}


class DoubledQuotes:
    """The inside of a quoted CSV cell: ``""`` is one quote."""

    trigger = '"'
    pattern = re.compile('""')

    def decode(self, match: re.Match[str]) -> str | None:
        """Always a quote."""
        return '"'

    def encode(self, character: str, *, lower_case: bool) -> str:
        """A doubled quote."""
        return '""' if character == '"' else character

    def must_escape(self, new: str, plain: Set[str], *, ascii_only: bool) -> Set[str]:
        """Only quotes."""
        return {'"'}


class SqlEscapes:
    r"""The inside of a quoted SQL string as ``mysqldump`` writes it: ``\'`` or ``''`` is one quote."""

    trigger = ""
    pattern = re.compile(r"\\(.)|''", re.DOTALL)

    def decode(self, match: re.Match[str]) -> str | None:
        """The escaped character; letters that stand for another one are those of MySQL."""
        letter = match.group(1)
        return "'" if letter is None else _SQL_LETTERS.get(letter, letter)

    def encode(self, character: str, *, lower_case: bool) -> str:
        """A backslash before the character."""
        return "\\" + character

    def must_escape(self, new: str, plain: Set[str], *, ascii_only: bool) -> Set[str]:
        """Quotes and backslashes."""
        return frozenset("'\"\\")


_SQL_LETTERS = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}


JSON = JsonEscapes()
STRING = StringEscapes()
HTML = Entities()
PERCENT = Percent()
CSV = DoubledQuotes()
SQL = SqlEscapes()


def decoded(codec: Codec, raw: str) -> str:
    """``raw`` without the escapes of ``codec``."""
    if codec.trigger not in raw:
        return raw

    def character(match: re.Match[str]) -> str:
        found = codec.decode(match)
        return match.group() if found is None else found

    return codec.pattern.sub(character, raw)
