"""The scheme table: every way known here of making a URL temporary or secret, one entry each.

To teach a new scheme, add one entry to the module of its family. Where several hold, the first names the URL.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from video_assets.urls.classify.classification import Kind
from video_assets.urls.schemes.credentials import CREDENTIALS
from video_assets.urls.schemes.model import Scheme
from video_assets.urls.schemes.retention import RETENTION
from video_assets.urls.schemes.secret_names import may_name_a_secret
from video_assets.urls.schemes.signed import SIGNED
from video_assets.urls.syntax.parts import Parts, Span
from video_assets.urls.syntax.placeholders import has_placeholder

SCHEMES: tuple[Scheme, ...] = SIGNED + CREDENTIALS

_DIGEST_AND_TIME = re.compile(
    r"/(?:(?:[0-9a-fA-F]{32,64}|[A-Za-z0-9_\-]{22}(?:==)?)/(?:[0-9a-fA-F]{8}|[0-9]{10})"
    r"|[0-9]{12}(?:[0-9]{2})?/[0-9a-fA-F]{32}|[0-9a-fA-F]{32}/[0-9]{14})/"
)
_ENDING = re.compile(r".[_\-]([a-z0-9]+)$")
_KEY_LENGTH = 20
_MOST_LABELS = 6

_by_param: dict[str, list[int]] = {}
_by_ending: dict[str, list[int]] = {}
_by_host: dict[str, list[int]] = {}
_by_hint: dict[str, list[int]] = {}
_by_beginning: dict[str, list[int]] = {}
_with_jwt: list[int] = []
_with_userinfo: list[int] = []
_with_digest: list[int] = []
_with_name: list[int] = []
_with_long_value: list[int] = []


def _file(number: int, scheme: Scheme) -> None:
    """File an entry under the one sign that brings it up."""
    if scheme.jwt:
        _with_jwt.append(number)
    elif scheme.userinfo:
        _with_userinfo.append(number)
    elif scheme.digest:
        _with_digest.append(number)
    elif scheme.named:
        _with_name.append(number)
    elif scheme.long_value:
        _with_long_value.append(number)
    elif scheme.hosts:
        for host in scheme.hosts:
            _by_host.setdefault(host, []).append(number)
    elif scheme.hint:
        _by_hint.setdefault(scheme.hint, []).append(number)
    else:
        for name in scheme.any_of or scheme.needs[:1]:
            if name.startswith("*"):
                _by_ending.setdefault(name[1:], []).append(number)
            else:
                _by_param.setdefault(name, []).append(number)


for _number, _scheme in enumerate(SCHEMES):
    _file(_number, _scheme)
    for _name in _scheme.begins:
        _by_beginning.setdefault(_name.removeprefix("*"), []).append(_number)

_ANY_BEGINNING = _by_beginning.pop("")
_HOST_RULES = frozenset(scheme.name for scheme in RETENTION)

_hints = tuple(_by_hint.items())


LONG_VALUE = _KEY_LENGTH
"""From this length on the value of any parameter is looked at."""


def knows_host(host: str) -> bool:
    """Whether any entry is about this host (lower case) or one above it."""
    return bool(_about_host(host))


def knows_param(name: str) -> bool:
    """Whether any entry is about a parameter of this name (lower case), whole or cut off."""
    return bool(_about_param(name)) or bool(_begun_by(name)) or bool(_begun_by_half(name))


def knows_path(path: str) -> bool:
    """Whether two segments of the path look like a digest and a time."""
    return _DIGEST_AND_TIME.search(path) is not None


def candidates(parts: Parts) -> list[int]:
    """The numbers of the entries worth a closer look, in table order."""
    found: set[int] = set()
    long_value = False
    for name, params in parts.params.items():
        found.update(_about_param(name))
        if not long_value and (
            len(params[0].raw) >= _KEY_LENGTH
            or (len(params) > 1 and any(len(param.raw) >= _KEY_LENGTH for param in params))
        ):
            long_value = True
            found.update(_with_long_value)
    if parts.host:
        found.update(_about_host(parts.host))
    text = parts.text
    for hint, numbers in _hints:
        if hint in text:
            found.update(numbers)
    if parts.userinfo is not None:
        found.update(_with_userinfo)
    if _DIGEST_AND_TIME.search(text, parts.path_start, parts.path_end):
        found.update(_with_digest)
    if parts.jwts:
        found.update(_with_jwt)
    return sorted(found)


@lru_cache(maxsize=4096)
def _about_param(name: str) -> tuple[int, ...]:
    """The entries that a parameter of this name (lower case) brings up."""
    numbers = list(_by_param.get(name, ()))
    ending = _ENDING.search(name)
    if ending:
        numbers += _by_ending.get(f"-{ending[1]}", ())
    if may_name_a_secret(name):
        numbers += _with_name
    return tuple(numbers)


@lru_cache(maxsize=4096)
def _begun_by(name: str) -> tuple[int, ...]:
    """The entries that may have begun with a parameter of this name (lower case)."""
    numbers = _by_beginning.get(name, [])
    if "-" in name:
        numbers = numbers + _by_beginning.get(name[name.rindex("-") :], [])
    return tuple(numbers)


@lru_cache(maxsize=4096)
def _begun_by_half(name: str) -> tuple[int, ...]:
    """The entries that a URL is of when it breaks off in this name (lower case)."""
    return tuple(number for number, scheme in enumerate(SCHEMES) if scheme.is_named_by_half(name))


@lru_cache(maxsize=4096)
def _about_host(host: str) -> tuple[int, ...]:
    """The entries about this host (lower case) or one above it."""
    labels = host.rsplit(".", _MOST_LABELS)
    if len(labels) > _MOST_LABELS:
        labels = labels[1:]
    domains = (".".join(labels[index:]) for index in range(len(labels) - 1))
    found = (number for domain in domains for number in _by_host.get(domain, ()))
    return tuple(
        number for number in found if (like := SCHEMES[number].host_like) is None or like.search(host) is not None
    )


class Match(NamedTuple):
    """A scheme that holds for a URL."""

    scheme: Scheme
    secrets: list[Span]
    truncated: bool = False
    """The URL was cut off: it has the beginning of this scheme, or a signature that is not whole."""


def matching(parts: Parts) -> list[Match]:
    """The schemes that hold for a URL, the most telling first.

    Of the token schemes only the first is taken. A fallback is taken only for secrets that no other explains.
    Where no signature holds, a scheme of which the URL is the beginning is taken.
    """
    found: list[Match] = []
    fallbacks: list[Scheme] = []
    token_named = False
    for number in candidates(parts):
        scheme = SCHEMES[number]
        if scheme.fallback:
            fallbacks.append(scheme)
        elif not (scheme.jwt and token_named) and scheme.holds(parts):
            found.append(
                Match(scheme, scheme.secret_spans(parts), bool(scheme.cut or scheme.jwt) and scheme.is_cut(parts))
            )
            token_named = token_named or scheme.jwt
    if not (found and any(_is_signature(match, parts) for match in found)):
        begun = _beginning(parts)
        if begun is not None:
            found.append(Match(begun, begun.secret_spans(parts), truncated=True))
    for scheme in fallbacks:
        if scheme.holds(parts):
            explained = [
                span
                for match in found
                if scheme.kind is Kind.CREDENTIAL_ONLY
                or match.truncated
                or match.scheme.kind_of(parts) is Kind.TEMPORARY
                for span in match.secrets
            ]
            left = [
                (start, end)
                for start, end in scheme.secret_spans(parts)
                if not any(start < known_end and end > known_start for known_start, known_end in explained)
            ]
            if left:
                found.append(Match(scheme, left))
    return found


def _is_signature(match: Match, parts: Parts) -> bool:
    return match.scheme.name not in _HOST_RULES and match.scheme.kind_of(parts) is Kind.TEMPORARY


def _beginning(parts: Parts) -> Scheme | None:
    """The first entry of which ``parts`` can only be the beginning."""
    numbers: set[int] = set()
    for name in parts.params:
        if begun := _begun_by(name):
            numbers.update(begun)
    if "eyJ" in parts.text and parts.text.find("eyJ", parts.path_start) >= 0:
        numbers.update(_ANY_BEGINNING)
    last, half = parts.last, ""
    if last is not None and last.end == len(parts.text) and parts.text[last.value_start - 1] != "=":
        half = last.name
        numbers.update(_begun_by_half(half))
    if not numbers:
        return None
    for number in sorted(numbers):
        scheme = SCHEMES[number]
        if scheme.fallback and scheme.holds(parts):
            continue
        has_begun = (half and scheme.is_named_by_half(half)) or scheme.has_begun(parts)
        if has_begun and not has_placeholder(parts.text, parts.path_end):
            return scheme
    return None
