"""The work behind classify, redact and fingerprint: one URL, all schemes that hold, and the URLs inside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from video_assets.urls.classify.classification import Bound, Kind
from video_assets.urls.schemes import matching
from video_assets.urls.schemes.model import Scheme
from video_assets.urls.syntax.escapes import Layer, Spelling, peel, read_spelling
from video_assets.urls.syntax.parts import Param, Parts, Span
from video_assets.urls.syntax.tokens import decode_base64, is_marker

MAX_DEPTH = 4
"""URLs inside URLs are followed this far."""

NESTED_URL = re.compile(
    r"(?:https?|s?ftp)(?::|%(?:25){0,6}3[aA]|\\u003[aA])(?:/|\\/|%(?:25){0,6}2[fF]|\\u002[fF]){1,2}[^\s\"'<>`]+",
    re.IGNORECASE,
)
BARE_PROXIES = ("wp.com", "statically.io", "wsrv.nl", "weserv.nl")
"""Image proxies that take the address of their source without a scheme (wsrv.nl/docs, Photon, Statically)."""
_BARE_ADDRESS = re.compile(r"(?:ssl:)?((?:[\w\-]+\.)+[A-Za-z]{2,}/.+)")
_NAMED_BASE64 = re.compile(r"[:,](aHR0c[A-Za-z0-9+_\-]{8,}+=*)")


@dataclass(slots=True)
class Verdict:
    """One scheme that holds, with what it says about this URL."""

    scheme: Scheme
    kind: Kind
    expires_at: datetime | None
    bound: Bound
    secrets: list[Span]
    """Where its secrets stand in the decoded URL that it was found in."""
    truncated: bool = False
    """That URL was cut off."""


@dataclass(slots=True)
class Analysis:
    """All that is known about one text that spells a URL. Spans are offsets into that text."""

    spelling: Spelling
    parts: Parts
    verdicts: list[Verdict] = field(default_factory=list)
    """Its own, then those of the URLs inside it."""
    own: int = 0
    """How many of the verdicts are its own."""
    secrets: list[Span] = field(default_factory=list)
    carries_jwt: bool = False
    inside: list[Parts] = field(default_factory=list)
    """The URLs inside it, at any depth."""

    @property
    def retention(self) -> timedelta | None:
        """The shortest time a host keeps the file, where a host rule holds."""
        return min([v.scheme.retention for v in self.verdicts if v.scheme.retention is not None], default=None)


def analyse(text: str, depth: int = 0) -> Analysis:
    """Look at one URL and those inside it. Linear in the length of ``text``; never raises."""
    spelling = read_spelling(text)
    parts = Parts(spelling.url)
    analysis = Analysis(spelling, parts)
    spans: list[Span] = []
    for scheme, secrets, truncated in matching(parts):
        death = scheme.death_of_beginning(parts) if truncated else scheme.death(parts)
        kind = scheme.kind if truncated else scheme.kind_of(parts)
        analysis.verdicts.append(Verdict(scheme, kind, death.at, death.bound, secrets, truncated))
        spans += secrets
        analysis.carries_jwt = analysis.carries_jwt or scheme.jwt
    if parts.jwts and not analysis.carries_jwt:
        analysis.carries_jwt = True
    analysis.own = len(analysis.verdicts)
    if depth < MAX_DEPTH:
        for child, child_spans in _inner(parts, depth):
            # An address that was not escaped in a query ends at the first "&"; the rest is the outer URL's own.
            own = {verdict.scheme.name for verdict in analysis.verdicts if not verdict.truncated}
            analysis.verdicts += [v for v in child.verdicts if not (v.truncated and v.scheme.name in own)]
            analysis.inside += [child.parts, *child.inside]
            analysis.carries_jwt = analysis.carries_jwt or child.carries_jwt
            spans += child_spans
    if spans:
        url = parts.text
        spans = [span for span in spans if span[1] > span[0] and not is_marker(url[span[0] : span[1]])]
        analysis.secrets = merge([spelling.raw_span(*span) for span in spans]) if spelling.edits else merge(spans)
    return analysis


@lru_cache(maxsize=4)
def recent_analysis(text: str) -> Analysis:
    """``analyse``, remembered for as long as one URL is asked about: what is it, and what of it may be shown.

    The answer is shared, so nobody may change it.
    """
    return analyse(text)


def merge(spans: list[Span]) -> list[Span]:
    """The spans in order, overlapping ones made one."""
    merged: list[Span] = []
    if len(spans) < 2:
        return spans
    for start, end in sorted(set(spans)):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _inner(parts: Parts, depth: int) -> Iterator[tuple[Analysis, list[Span]]]:
    """Each URL inside ``parts`` that matters, with its secrets as spans of the outer URL."""
    text = parts.text
    origin = parts.path_start + 1
    any_http = text.find("ttp", origin) >= 0 or text.find("TTP", origin) >= 0 or text.find("ftp", origin) >= 0
    escaped_query = "%3" in text and ("%3F" in text or "%3f" in text)
    if any_http or escaped_query:
        for found in parts.params.values():
            for param in found:
                if len(param.raw) > 8 and not param.in_path:
                    yield from _inside(text, param.value_start, param.end, depth)
        yield from _inside_path(parts, depth)
    if "%26" in text:
        for found in parts.params.values():
            for param in found:
                if "%26" in param.raw and "ttp" not in param.raw:
                    yield _escaped_pairs(text, param, depth)
    if parts.on_host(*BARE_PROXIES):
        yield from _bare(parts, depth)
    if "aHR0c" in text or "68747470" in text:
        yield from _encoded(parts, depth)


def _inside(text: str, start: int, end: int, depth: int) -> Iterator[tuple[Analysis, list[Span]]]:
    """URLs in ``text[start:end]``, which is percent-encoded once more than its surroundings."""
    raw = text[start:end]
    value, edits = peel(Layer.PERCENT, raw) if "%" in raw else (raw, None)
    spelling = Spelling(raw, value, (Layer.PERCENT,), (edits,)) if edits else Spelling(raw, value)
    any_url = False
    for match in NESTED_URL.finditer(value):
        any_url = True
        yield _child(match.group(), depth, spelling, start, match.start())
    if not any_url and "?" in value and "=" in value:
        yield _child(value, depth, spelling, start, 0)


def _escaped_pairs(text: str, param: Param, depth: int) -> tuple[Analysis, list[Span]]:
    """``a=1%26b=2``: what was a query before somebody escaped it, or its separators alone, into one value."""
    raw = text[param.start : param.end]
    value, edits = peel(Layer.PERCENT, raw)
    return _child(f"?{value}", depth, Spelling(raw, value, (Layer.PERCENT,), (edits,)), param.start, -1)


def _child(text: str, depth: int, spelling: Spelling, start: int, offset: int) -> tuple[Analysis, list[Span]]:
    child = analyse(text, depth + 1)
    spans = []
    for secret_start, secret_end in child.secrets:
        raw_start, raw_end = spelling.raw_span(offset + secret_start, offset + secret_end)
        spans.append((start + raw_start, start + raw_end))
    return child, spans


def _inside_path(parts: Parts, depth: int) -> Iterator[tuple[Analysis, list[Span]]]:
    text = parts.text
    match = NESTED_URL.search(text, min(parts.path_start + 1, parts.path_end), parts.path_end)
    if match is None:
        if "%3" in parts.path and ("%3F" in parts.path or "%3f" in parts.path):
            yield from _inside(text, parts.path_start, parts.path_end, depth)
        return
    is_raw = ":/" in match.group()[:8]
    start = match.start()
    inner = text[start:] if is_raw else match.group()
    child = analyse(inner, depth + 1)
    yield child, [(start + a, start + b) for a, b in child.secrets]


def _bare(parts: Parts, depth: int) -> Iterator[tuple[Analysis, list[Span]]]:
    """The source of an image proxy that is an address without its scheme."""
    places = [param.span for param in parts.params.get("url", ())]
    places += [(segment.start, parts.path_end) for segment in parts.segments[:2]]
    for start, end in places:
        if match := _BARE_ADDRESS.fullmatch(parts.text, start, end):
            begin = match.start(1)
            child = analyse(f"//{match[1]}", depth + 1)
            yield child, [(begin + a - 2, begin + b - 2) for a, b in child.secrets]


def _encoded(parts: Parts, depth: int) -> Iterator[tuple[Analysis, list[Span]]]:
    """A source URL in base64 or hex (imgproxy, camo); a secret in it makes the whole of it secret."""
    for found in parts.params.values():
        for param in found:
            if param.raw.startswith(("aHR0c", "68747470")):
                yield from _decoded(param.value, param.span, depth)
    for segment in parts.segments:
        for named in _NAMED_BASE64.finditer(segment.text):  # Cloudinary: l_fetch:<base64>
            start, end = named.span(1)
            yield from _decoded(named[1], (segment.start + start, segment.start + end), depth)
        if segment.text.startswith("aHR0c"):
            # imgproxy may cut the base64 text with slashes; what follows a dot or an "@" is the wanted format.
            whole = parts.text[segment.start : parts.path_end]
            yield from _decoded(re.split(r"[.@]", whole, maxsplit=1)[0], (segment.start, parts.path_end), depth)
            break
        if segment.text.startswith("68747470"):
            yield from _decoded(segment.text, (segment.start, segment.end), depth)


def _decoded(encoded: str, span: Span, depth: int) -> Iterator[tuple[Analysis, list[Span]]]:
    if encoded.startswith("68747470"):
        try:
            data: bytes | None = bytes.fromhex(encoded)
        except ValueError:
            data = None
    else:
        data = decode_base64(encoded.replace("/", "")) or decode_base64(encoded)
    if data and data[:4].lower() == b"http":
        child = analyse(data.decode("utf-8", "replace"), depth + 1)
        yield child, [span] if child.secrets else []
