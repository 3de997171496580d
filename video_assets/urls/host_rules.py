"""Hosts that a user knows to delete what they serve: what the built-in table cannot know.

A rule is written ``HOST``, ``HOST/PATH`` or ``HOST/PATH = RETENTION``: ``media.example.com/renders/ = 7d``.
The host counts with every name below it. The path is what the URL's path begins with; ``*`` stands for any
characters. The retention (``30m``, ``24h``, ``7d``, ``2w``) counts from the file's creation; without one the end
is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache

from video_assets.urls.schemes.model import Scheme
from video_assets.urls.syntax.parts import Parts

SCHEME = "deleting_host"
"""What URLs of such hosts are classified as."""

_RULE = re.compile(
    r"\s*(?P<host>(?:[a-z0-9_](?:[a-z0-9_\-]{0,62})\.)*[a-z0-9_](?:[a-z0-9_\-]{0,62}))"
    r"(?P<path>/[A-Za-z0-9._~%+@:,!$&'()*/\-]*)?\s*(?:=\s*(?P<count>[0-9]{1,6})\s*(?P<unit>[mhdw])\s*)?"
)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class InvalidHostRule(ValueError):
    """A text is no rule. The message says how one is written; it does not repeat the text."""


@dataclass(frozen=True, slots=True)
class HostRule:
    """One host, perhaps only below some path, and how long it keeps a file."""

    host: str
    """In lower case."""
    path: str = "/"
    """What the path begins with; ``*`` stands for any characters. Compared without regard to case."""
    retention: timedelta | None = None

    def __str__(self) -> str:
        kept = ""
        if self.retention is not None:
            minutes = int(self.retention.total_seconds() // 60)
            unit, size = next((u, n) for u, n in (("d", 1440), ("h", 60), ("m", 1)) if minutes % n == 0)
            kept = f" = {minutes // size}{unit}"
        return f"{self.host}{'' if self.path == '/' else self.path}{kept}"


def read_rule(text: str) -> HostRule:
    """One rule from its text. Raises InvalidHostRule."""
    host, slash, rest = text.strip().partition("/")
    match = _RULE.fullmatch(host.lower() + slash + rest)
    if match is None or match["host"].isdigit():
        raise InvalidHostRule(
            "a host that deletes is written as HOST, HOST/PATH or HOST/PATH = RETENTION, such as "
            "media.example.com/renders/ = 7d (m, h, d, w)"
        )
    kept = timedelta(**{_UNITS[match["unit"]]: int(match["count"])}) if match["count"] else None
    return HostRule(match["host"], match["path"] or "/", kept)


@dataclass(frozen=True, slots=True)
class HostRules:
    """Some rules, ready for use. Immutable, small, and fit to be sent to another process."""

    rules: tuple[HostRule, ...] = ()
    _by_host: dict[str, tuple[tuple[re.Pattern[str], Scheme], ...]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        for rule in self.rules:
            path = ".*".join(map(re.escape, rule.path.split("*")))
            pattern = re.compile(path, re.IGNORECASE | re.DOTALL)
            scheme = Scheme(name=SCHEME, source=str(rule), hosts=(rule.host,), retention=rule.retention)
            self._by_host[rule.host] = (*self._by_host.get(rule.host, ()), (pattern, scheme))

    def __bool__(self) -> bool:
        return bool(self.rules)

    def __reduce__(self) -> tuple[type[HostRules], tuple[tuple[HostRule, ...]]]:
        return HostRules, (self.rules,)

    def texts(self) -> tuple[str, ...]:
        """The rules as they are written."""
        return tuple(map(str, self.rules))

    def knows_host(self, host: str) -> bool:
        """Whether any rule is about this host (lower case) or one above it."""
        return next(self._about(host), None) is not None

    def scheme_of(self, parts: Parts) -> Scheme | None:
        """The rule that holds for a URL, as an entry of the scheme table, or None. The longest host wins."""
        if parts.path_end - parts.path_start <= 1:
            return None  # the bare origin is no file
        for entries in self._about(parts.host):
            for pattern, scheme in entries:
                if pattern.match(parts.text, parts.path_start, parts.path_end):
                    return scheme
        return None

    def _about(self, host: str) -> Iterator[tuple[tuple[re.Pattern[str], Scheme], ...]]:
        while host:
            if (entries := self._by_host.get(host)) is not None:
                yield entries
            host = host.partition(".")[2]


NO_RULES = HostRules()


@lru_cache(maxsize=256)
def host_rules(texts: tuple[str, ...]) -> HostRules:
    """The rules of some texts. Raises InvalidHostRule."""
    return HostRules(tuple(dict.fromkeys(map(read_rule, texts)))) if texts else NO_RULES
