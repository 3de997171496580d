"""One URL taken apart without losing where anything stood: host, path, parameters, each with its span.

Deliberately forgiving: it must see the parameter in every URL that some server would accept, and it never
raises. It is not the parser of the downloader, which must refuse what is odd.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from video_assets.urls.syntax.placeholders import PLACEHOLDER_BEGINS, is_placeholder
from video_assets.urls.syntax.tokens import Jwt, find_jwts

Span = tuple[int, int]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]{0,30}):(?=/)[/\\]{1,8}|//")
_AUTHORITY_END = re.compile(r"[/?#\\]")
# ";" parts parameters only where another name follows: "q-sign-time=1;2" is one value.
_SEPARATOR = re.compile(r"[&?]|;(?=[A-Za-z_~][\w.~%\-]*=)")
# "https://proxy.example/?https%3A%2F%2F...": a URL that is the whole query.
_BARE_URL = re.compile(r"[A-Za-z]{3,6}(?::|%3[aA])(?:/|%2[fF])")
# "?expires%3D1795000000%26signature%3D...": a query that was escaped as a whole, as logs and copies hold it.
_ESCAPED_EQUALS = re.compile(r"(%(?:25){0,6})3[dD]")
_PATH_SEPARATOR = re.compile(r"[&~,]|;(?=[A-Za-z_][\w.\-]*=)")
_ESCAPED = re.compile(r"%([0-7][0-9A-Fa-f])|((?:%[89A-Fa-f][0-9A-Fa-f])+)")


def _unescape(match: re.Match[str]) -> str:
    if match[1]:
        return chr(int(match[1], 16))
    return bytes.fromhex(match[2].replace("%", "")).decode("utf-8", "replace")


def percent_decode(text: str) -> str:
    """``%41`` to ``A``; a plus stays a plus, because signatures hold them."""
    return _ESCAPED.sub(_unescape, text) if "%" in text else text


class Param(NamedTuple):
    """A ``name=value`` of the query, the fragment or a path segment."""

    name: str
    """Decoded and in lower case; of ``file[expires]`` the last part. Empty for a URL that is a whole query."""
    raw: str
    """The value as it stands in the URL."""
    start: int
    """Where the name begins."""
    value_start: int
    end: int
    in_path: bool = False

    @property
    def value(self) -> str:
        """The value, percent-decoded."""
        return percent_decode(self.raw)

    @property
    def span(self) -> Span:
        """Where the value stands."""
        return self.value_start, self.end


class Segment(NamedTuple):
    """What stands between two slashes of the path."""

    text: str
    start: int
    end: int


@lru_cache(maxsize=1024)
def _below(domains: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f".{domain}" for domain in domains)


class Parts:
    """A URL in pieces. ``params`` maps a lower-case name to all parameters of that name, in order."""

    __slots__ = (
        *("_jwts", "host", "last", "params", "path_end", "path_start", "placeholders", "port", "scheme", "text"),
        "userinfo",
    )

    def __init__(self, text: str) -> None:
        self.text = text
        self.scheme = self.host = self.port = ""
        self.userinfo: Span | None = None
        self._jwts: list[Jwt] | None = None
        self.params: dict[str, list[Param]] = {}
        self.placeholders: list[Param] = []
        """Parameters with a mask or a template's variable in the place of a value; not among ``params``."""
        self.last: Param | None = None
        """The last parameter of the query or the fragment."""
        self.path_start = 0
        opening = _SCHEME.match(text)
        if opening:
            self.scheme = (opening[1] or "").lower()
            self._read_authority(opening.end())
        end = len(text)
        fragment = text.find("#", self.path_start)
        query_end = end if fragment < 0 else fragment
        query = text.find("?", self.path_start, query_end)
        self.path_end = query_end if query < 0 else query
        if query >= 0:
            self._read_params(query + 1, query_end)
        if fragment >= 0 and (text.find("=", fragment) >= 0):
            self._read_params(fragment + 1, end)
        equals = text.find("=", self.path_start, self.path_end)
        if equals >= 0:
            self._read_path_params()

    def _read_authority(self, start: int) -> None:
        text = self.text
        stop = _AUTHORITY_END.search(text, start)
        end = stop.start() if stop else len(text)
        self.path_start = end
        at = text.rfind("@", start, end)
        if at >= 0:
            self.userinfo = (start, at)
            start = at + 1
        host = text[start:end].lower()
        if host.startswith("["):
            host, bracket, port = host.partition("]")
            host, self.port = host + bracket, port.lstrip(":")
        elif ":" in host:
            host, _, self.port = host.partition(":")
        self.host = host.rstrip(".")

    def _read_params(self, start: int, end: int) -> None:
        text = self.text
        params = self.params
        if text.find(";", start, end) < 0 and text.find("?", start, end) < 0:
            for pair in text[start:end].split("&"):
                stop = start + len(pair)
                name, sign, _ = pair.partition("=")
                if not sign and _BARE_URL.match(name):
                    self._keep(params, "", start, start, stop)
                elif name and (sign or "%" not in name or not self._read_escaped(name, start)):
                    self._keep(params, name, start, start + len(name) + len(sign), stop)
                start = stop + 1
            return
        while start <= end:
            separator = _SEPARATOR.search(text, start, end)
            stop = separator.start() if separator else end
            equals = text.find("=", start, stop)
            name = text[start : equals if equals >= 0 else stop]
            if equals < 0 and _BARE_URL.match(name):
                self._keep(params, "", start, start, stop)
            elif name and (equals >= 0 or "%" not in name or not self._read_escaped(name, start)):
                self._keep(params, name, start, equals + 1 if equals >= 0 else stop, stop)
            start = stop + 1

    def _read_escaped(self, text: str, start: int) -> bool:
        """Pairs whose ``=`` and ``&`` are escaped alike; deeper escapes are of the values. False for none."""
        first = _ESCAPED_EQUALS.search(text)
        if first is None:
            return False
        escape = first[1]
        pairs = text.split(escape + "26")
        if len(pairs) == 1:
            return False
        equals = re.compile(escape + "3[dD]")
        for pair in pairs:
            sign = equals.search(pair)
            stop = start + len(pair)
            if sign and sign.start():
                self._keep(self.params, pair[: sign.start()], start, start + sign.end(), stop)
            start = stop + len(escape) + 2
        return True

    def _keep(
        self,
        params: dict[str, list[Param]],
        name: str,
        start: int,
        value_start: int,
        end: int,
        *,
        in_path: bool = False,
    ) -> None:
        raw = self.text[value_start:end]
        if "%" in name:
            name = percent_decode(name)
        name = name.lower()
        if name.startswith("amp;"):
            name = name[4:]
        if name.endswith("]"):  # "file[expires]" of PHP and Rails
            name = name[name.rfind("[") + 1 : -1] or name
        param = Param(name, raw, start, value_start, end, in_path)
        is_name = name == "keyname" and raw[:1].islower()  # "my-key" is one
        if raw[:1] in PLACEHOLDER_BEGINS and not is_name and is_placeholder(raw):
            # Hidden, or not filled in: it is not there.
            self.placeholders.append(param)
            return
        known = params.get(name)
        if known is None:
            params[name] = [param]
        else:
            known.append(param)
        if not in_path:
            self.last = param

    def _read_path_params(self) -> None:
        for segment in self.segments:
            if "=" not in segment.text:
                continue
            start = segment.start
            while start <= segment.end:
                separator = _PATH_SEPARATOR.search(self.text, start, segment.end)
                stop = separator.start() if separator else segment.end
                equals = self.text.find("=", start, stop)
                if equals > start:
                    name = self.text[start:equals]
                    self._keep(self.params, name, start, equals + 1, stop, in_path=True)
                start = stop + 1

    @property
    def path(self) -> str:
        """The path, still percent-encoded."""
        return self.text[self.path_start : self.path_end]

    @property
    def segments(self) -> list[Segment]:
        """The non-empty path segments."""
        found = []
        start = self.path_start
        for text in self.path.split("/"):
            if text:
                found.append(Segment(text, start, start + len(text)))
            start += len(text) + 1
        return found

    @property
    def jwts(self) -> list[Jwt]:
        """Every JSON Web Token in the URL."""
        if self._jwts is None:
            self._jwts = find_jwts(self.text)
        return self._jwts

    def first(self, name: str) -> str | None:
        """The decoded value of the first parameter ``name`` (lower case), or None."""
        found = self.params.get(name)
        return found[0].value if found else None

    def has(self, *names: str) -> bool:
        """True when every one of ``names`` is there with a value."""
        for name in names:
            found = self.params.get(name)
            if not found or not found[0].raw:
                return False
        return True

    def on_host(self, *domains: str) -> bool:
        """True when the host is one of ``domains`` or below one, on a label boundary."""
        return self.host in domains or self.host.endswith(_below(domains))
