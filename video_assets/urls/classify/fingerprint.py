"""``fingerprint``: the identity of the file behind a URL, whatever its signature, spelling or proxy."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote

from video_assets.urls.classify.analyse import MAX_DEPTH, NESTED_URL, Verdict, recent_analysis
from video_assets.urls.schemes.model import Scheme
from video_assets.urls.syntax.parts import Param, Parts, Span, percent_decode
from video_assets.urls.syntax.tokens import MARKER

_DEFAULT_PORTS = {"http": "80", "https": "443", "": "443"}
_UNRESERVED = "-._~!$&'()*+,;=:@/"
_MARK = "\x00"
_IS_NORMAL = re.compile(f"[A-Za-z0-9{re.escape(_UNRESERVED)}]*")


def fingerprint(url: str) -> str:
    """SHA-256 (hex) of what names the file: host, path and the parameters that are not part of a signature.

    Two signatures, spellings or parameter orders of one file give one fingerprint; ``http`` is ``https``; a
    version or file id keeps two files apart. Never raises.
    """
    return hashlib.sha256(canonical(url).encode("utf-8", "surrogatepass")).hexdigest()


def canonical(url: str, depth: int = 0) -> str:
    """The text that is hashed. It holds no secret."""
    analysis = recent_analysis(url)
    parts = analysis.parts
    own = analysis.verdicts[: analysis.own]
    query = sorted(_kept(parts, own, depth))
    host = parts.host
    port = parts.port if parts.port and parts.port != _DEFAULT_PORTS.get(parts.scheme) else ""
    scheme = "" if parts.scheme in ("http", "https", "") else parts.scheme
    return "\n".join((scheme, f"{host}:{port}" if port else host, _path(parts, own, depth), *query))


def _kept(parts: Parts, verdicts: list[Verdict], depth: int) -> list[str]:
    schemes = [verdict.scheme for verdict in verdicts]
    secrets = _spans(verdicts)
    fragment = parts.text.find("#", parts.path_end)
    is_cut = any(verdict.truncated for verdict in verdicts)
    kept = []
    for name, found in parts.params.items():
        if _is_volatile(schemes, name):
            continue
        for param in found:
            if param.in_path or (0 <= fragment < param.start and "ttp" not in param.raw.lower()):
                continue
            if any(start < param.end and end > param.start for start, end in secrets):
                continue
            if is_cut and param is parts.last and (not param.raw or param.end == len(parts.text)):
                continue  # a name or a value of which the rest is missing
            kept.append(f"{name}={_value(param, depth)}")
    kept += [
        f"{param.name}={param.value}"
        for param in parts.placeholders
        if param.raw != MARKER and not _is_volatile(schemes, param.name)
    ]
    return kept


def _is_volatile(schemes: list[Scheme], name: str) -> bool:
    for scheme in schemes:  # noqa: SIM110  a generator would cost more than the search
        if scheme.is_volatile(name):
            return True
    return False


def _spans(verdicts: list[Verdict]) -> list[Span]:
    """The secrets as spans of the decoded URL."""
    return [span for verdict in verdicts for span in verdict.secrets]


def _value(param: Param, depth: int) -> str:
    value = param.value
    if depth < MAX_DEPTH and "ttp" in value.lower():
        return NESTED_URL.sub(lambda match: canonical(match.group(), depth + 1), value)
    return value


def _path(parts: Parts, verdicts: list[Verdict], depth: int) -> str:
    """The path without the segments or parts of segments that sign it, each octet written one way."""
    path = parts.path
    start = parts.path_start
    nested = NESTED_URL.search(path, 1) if len(path) > 1 and "ttp" in path else None
    if nested and depth < MAX_DEPTH:
        inner = parts.text[start + nested.start() :] if "://" in nested.group() else nested.group()
        return _normal(path[: nested.start()]) + _MARK + canonical(inner, depth + 1)
    cut: list[Span] = []
    schemes = [verdict.scheme for verdict in verdicts]
    for span_start, span_end in _spans(verdicts):
        if start <= span_start < parts.path_end:
            cut.append((span_start - start, span_end - start))
    for name, found in parts.params.items():
        for param in found:
            if param.in_path and _is_volatile(schemes, name):
                cut += [(param.start - start, param.end - start)]
    for scheme in schemes:
        cut += [(a - start, b - start) for a, b in scheme.volatile_spans(parts)]
    pieces = []
    done = 0
    for cut_start, cut_end in sorted(cut):
        pieces.append(path[done : max(done, cut_start)])
        done = max(done, cut_end)
    pieces.append(path[done:])
    normal = _normal("".join(pieces))
    return (re.sub(r"/{2,}", "/", normal) if "//" in normal else normal) or "/"


def _normal(path: str) -> str:
    if _IS_NORMAL.fullmatch(path):
        return path
    return quote(percent_decode(path), safe=_UNRESERVED, errors="surrogatepass")
