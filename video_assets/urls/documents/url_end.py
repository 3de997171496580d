"""Where a signed URL ends when a label, a size or a marker stands right behind it: ``URL,My film``, ``URL@2x``.

A URL may hold most of the characters that people put between a URL and the next thing, so running text alone does
not tell. The scheme table does: a beginning that is the same signed URL, complete, ends it. Of several such
beginnings the shortest is taken, because what is cut off too late is deleted when the URL is replaced.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final
from urllib.parse import unquote

from video_assets.urls import schemes
from video_assets.urls.classify.analyse import Analysis, Verdict, analyse, merge, recent_analysis
from video_assets.urls.classify.classification import Kind
from video_assets.urls.syntax.parts import Span
from video_assets.urls.syntax.tokens import decode_base64, read_json_object

_MOST_ENDS: Final = 12
"""Ends that are tried for one URL."""
_AUTHORITY_END = re.compile(r"[/?#]")
_DOUBTFUL = re.compile(r"[^A-Za-z0-9_\-.~%+/&?=]")
"""What no signature, number or plain name is written with. A fragment is not sent to the server."""
_MEASURED = re.compile(
    r"""(?<==)(?:
        (?P<digest>(?:[0-9a-f]{32,128}|[0-9A-F]{32,128})(?=[^0-9A-Za-z&]))
      | (?P<epoch>[12][0-9]{9}(?:[0-9]{3})?(?=[^0-9A-Za-z&%]))
      | (?P<padded>(?:[A-Za-z0-9+/_\-]|%2[bBfF])++(?:%3[dD]){1,2}(?=[^&%]))
      | (?P<jwt>e[yw][A-Za-z0-9_\-]++\.[A-Za-z0-9_\-]++\.[A-Za-z0-9_\-]++)
      | (?P<name>[A-Z0-9]{10,32}(?=[_\-.~]++[A-Za-z0-9]))            # of a key
    )""",
    re.VERBOSE,
)
"""Values that know by themselves where they stop."""
_DIGEST_LENGTHS: Final = frozenset((32, 40, 56, 64, 96, 128))
_JWT_SIGNATURES: Final = {
    "HS256": (43,),
    "HS384": (64,),
    **dict.fromkeys(("HS512", "ES256", "ES256K", "EdDSA", "Ed25519"), (86,)),
    "ES384": (128,),
    "ES512": (176,),
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), (342, 512, 683)),
}
"""Characters of a signature in base64url, by algorithm (RFC 7518; RSA keys of 2048, 3072 and 4096 bits)."""
_GOES_ON = re.compile(r"[_\-.~][0-9A-Fa-f]{8,}")
"""A time or another digest behind a digest: values of several parts."""
_SECOND_EQUALS = re.compile(r"[?&][^=&?#]*+=([^=&?#]++)(=++)")
_NO_BASE64 = re.compile(r"[0-9]+|(?:[0-9a-f]{32}|[0-9A-F]{32})+|.*[^A-Za-z0-9+/_\-%].*")
_EMPTY_END = re.compile(r"(?:[?&][^=&?]*=|\?)\Z")
_ONE_VALUE = re.compile(
    r"""
      [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?   # a time
    | =[A-Za-z][A-Za-z0-9+.\-]{1,20}://[^&]*+                      # a URL as a value
    | [?&](?:response-content-disposition|response-content-type|b2contentdisposition|rscd|rsct)=
      [a-z/0-9\-]+;[^&]*+                                          # the name of the download, its type
    | filename\*(?:=|%3d)[^&,;]*+
    | [?&]auto=(?:format|compress|enhance|redeye|true)(?:,(?:format|compress|enhance|redeye|true))*+
    | /plain/[^?\s]*@[a-z0-9]{3,4}\b                               # the wanted format of a picture
    | [?&](?:(?:x-)?[a-z]+-process|imageview2?|imagemogr2|vframe|rect|crop)[=/]  # how to process the file,
      (?![^&]*%2[cC])[^&]*+                                        # its commas as they are
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Values in which doubtful characters are the value's own."""
_NEXT_URL = re.compile(r"[^A-Za-z0-9=/&?](?=https?://)|(?<=[A-Za-z0-9])(?=https?://)", re.IGNORECASE)
_FILE_NAME_END = re.compile(r"\.[A-Za-z0-9]{2,5}\Z")
_MORE_PATH = re.compile(r"[/?]|\.[A-Za-z0-9]{2,5}\b")


def complete_end(url: str, also: Iterable[int] = ()) -> int:
    """Where the URL that ``url`` begins with ends: ``len(url)`` unless something else stands behind it.

    Args:
        url: what running text shows as one URL, decoded.
        also: places at which it may end for reasons that the text around it gives.
    """
    extra = set(also)
    opening = url.find("//") + 2
    authority = _AUTHORITY_END.search(url, opening)
    start = authority.start() if authority else opening
    signs = (_DOUBTFUL, _MEASURED, _SECOND_EQUALS)
    if not extra and not any(sign.search(url, start) for sign in signs):
        return len(url)
    whole = recent_analysis(url)
    # A URL that no scheme is about may still be one that a user's own rule is about.
    is_unknown = not whole.verdicts and not schemes.candidates(whole.parts)
    query = url.find("?", start)
    secrets = _secrets(whole)
    floor = max((begin for begin, _ in secrets), default=0)
    next_url = {match.start() for match in _NEXT_URL.finditer(url, start)}
    ends = sorted(extra | next_url | {end for end in _ends(url, start, whole, secrets) if end > floor})
    in_doubt: int | None = None
    plain: int | None = None
    for end in islice(ends, _MOST_ENDS):
        if in_doubt is not None and next_url and end > min(next_url):
            break
        in_path = query < 0 or end < query
        if end == len(url) or _EMPTY_END.search(url, 0, end):
            continue
        if in_path and end not in next_url and not _ends_a_path(url, end):
            continue
        if is_unknown:
            return end
        if not whole.verdicts and not whole.parts.placeholders:
            plain = plain or end
        part = analyse(url[:end])
        if end in next_url and _is_signed(part):
            return end
        if _is_complete(part, whole):
            if not _is_guess(part):
                return end
            in_doubt = in_doubt or end
    return in_doubt or plain or len(url)


def _ends(url: str, start: int, whole: Analysis, secrets: list[Span]) -> Iterator[int]:
    """Where ``url`` may end by the grammar of its values, in no order."""
    own = [match.span() for match in _ONE_VALUE.finditer(url, start)]
    for scheme in {verdict.scheme.name: verdict.scheme for verdict in whole.verdicts}.values():
        own += [param.span for name in scheme.lists for param in whole.parts.params.get(name, ())]
    marks = [match.start() for match in _DOUBTFUL.finditer(url, start)]
    marks += (
        match.end() if _is_padding(url, match) else match.start(2)
        for match in _SECOND_EQUALS.finditer(url, start)
        if not url.startswith("&", match.end())
    )
    own = merge(own)
    begins = [begin for begin, _ in own]
    for mark in marks:
        before = bisect_right(begins, mark) - 1
        if before < 0 or mark >= own[before][1]:
            yield mark
    for match in _MEASURED.finditer(url, start):
        kind, value, end = match.lastgroup, match.group(), match.end()
        if kind == "jwt":
            yield from (end - excess for excess in _behind_jwt(value))
            if not url.startswith("&", end):
                yield end
        elif kind == "digest":
            if len(value) in _DIGEST_LENGTHS and not _GOES_ON.match(url, end):
                yield end
        elif kind == "padded" or not any(begin < end < stop for begin, stop in secrets):
            yield end


def _is_padding(url: str, match: re.Match[str]) -> bool:
    """Whether the equals signs in group 2 complete the base64 text in group 1, as far as what follows tells."""
    value, signs = match.groups()
    value = value.rpartition(":")[2]  # "KEY:SIGNATURE"
    follows_word = url[match.end() : match.end() + 1].isalnum()
    if _NO_BASE64.fullmatch(value):
        return False
    return len(signs) <= 2 and (not follows_word or (len(unquote(value)) + len(signs)) % 4 == 0)


def _behind_jwt(token: str) -> Iterator[int]:
    """How many characters behind the signature a token may have taken in."""
    header, _, signature = token.split(".", 2)
    algorithm = (read_json_object(decode_base64(header)) or {}).get("alg")
    for length in _JWT_SIGNATURES.get(str(algorithm), ()):
        if len(signature) > length and signature[length] in "-_":
            yield len(signature) - length


def _ends_a_path(url: str, end: int) -> bool:
    """Whether the path may end here: behind the name of a file, or where no more of a path follows."""
    return _FILE_NAME_END.search(url, max(0, end - 6), end) is not None or not _MORE_PATH.search(url, end)


def _secrets(whole: Analysis) -> list[Span]:
    """Where the secrets of the URL itself stand. It is not complete before the last one has begun."""
    spans = [span for verdict in whole.verdicts[: whole.own] for span in verdict.secrets]
    return [whole.spelling.raw_span(*span) for span in spans] if whole.spelling.edits else spans


def _is_complete(part: Analysis, whole: Analysis) -> bool:
    """Whether ``part`` is temporary or secret in the same way as ``whole``, of which it is the beginning."""
    mine = _naming(part)
    if mine is None or mine.truncated:
        return False
    theirs = _naming(whole)
    if theirs is None:
        return True
    if mine.scheme is not theirs.scheme and not (theirs.scheme.fallback or theirs.truncated):
        return False
    return theirs.expires_at is None or mine.expires_at == theirs.expires_at


def _is_guess(analysis: Analysis) -> bool:
    """Whether only names and shapes say that this is a signed URL; a longer one may be known for certain."""
    named = _naming(analysis)
    return named is None or named.scheme.fallback


def _is_signed(part: Analysis) -> bool:
    """Whether ``part`` needs nothing of what follows it: another URL may be signed in another way."""
    verdict = _naming(part)
    return verdict is not None and verdict.kind is Kind.TEMPORARY and not verdict.truncated


def _naming(analysis: Analysis) -> Verdict | None:
    """The verdict that names a URL, as ``classify`` chooses it."""
    own = analysis.verdicts
    return next((verdict for verdict in own if verdict.kind is Kind.TEMPORARY), own[0] if own else None)
