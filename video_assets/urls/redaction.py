"""``redact``: any text made safe to show. URLs are read with the scheme table; the rest by names and shapes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from video_assets.urls.analysis import analyse, merge
from video_assets.urls.parts import Parts, Span
from video_assets.urls.schemes import SCHEMES
from video_assets.urls.schemes.credentials import API_KEY_NAMES
from video_assets.urls.tokens import KNOWN_KEY, MARKER, TOKEN_EDGE, is_key, is_random

_MAX_ROUNDS = 12
_LEAST_REPEATED = 12  # shorter ones may be words of their own
_MOST_REPEATED = 50  # a text with more is a list of links, not one link told twice

# Without one of these signs a text holds nothing that any rule below would hide.
_WORTH_A_LOOK = re.compile(
    r"[=@:/%\\&]|['\"] ?,|[-_.][A-Za-z0-9]{16}|e[yw][A-Za-z0-9]{6}|AIza|EAA|[Bb]earer |[Bb]asic |[Tt]oken "
)

_WORD = re.compile(
    r"(?:[^\s\"'<>`\\]|\\{1,8}+(?:[/=&?:]|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2})|'(?=[^\s\"'<>`]*[&=]))+"
)
_URL_MARK = re.compile(
    r"(?::|%(?:25){0,6}3[aA]|\\{1,4}u003[aA]|&#(?:58|x3[aA]);)"
    r"(?:\\{0,4}/|%(?:25){0,6}2[fF]|\\{1,4}u002[fF]|&#(?:47|x2[fF]);){2}"
)
_WHOLE_URL = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.\-]{0,30}:\\{0,4}/\\{0,4}/|\s*//")
_BREAK = re.compile(r"[\s\"'<>`,;]")
_NEXT_URL = re.compile(r"[,|;](?=https?:\\{0,4}/)", re.IGNORECASE)
_SCHEME_BEFORE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*$")
_TRAILING = ".,;:!?)]}*"

_EQUALS = r"(?:[ \t]{0,2}=[ \t]{0,2}|%(?:25){0,6}3[dD]|\\{1,4}u003[dD]|\\{1,4}x3[dD]|&#(?:61|x3[dD]);)"
_QUOTE = r"(?:\\{0,7}[\"'`]|&quot;|&#(?:34|39);|%22)"
_EDGE = r"(?:(?<![A-Za-z0-9_.\-])|(?<=%[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4}))"
# name=value of a query, wherever it stands and however it is escaped
_PAIR = re.compile(
    rf"{_EDGE}([A-Za-z_][A-Za-z0-9_.\-]{{0,63}})({_EQUALS}{_QUOTE}?)"
    r"((?:(?!%(?:25){0,6}26)[^\s\"'<>&;,\\)}\]|`]|&#(?:43|61|47);)+)"
)
# "name": "value" of JSON, of a Python repr, of a header list; name: value of a header line
_MEMBER = re.compile(
    rf"(?<![A-Za-z0-9_.\-])([A-Za-z_][A-Za-z0-9_.\-]{{0,63}})({_QUOTE}?\s{{0,3}}[:,]\s{{0,3}}b?{_QUOTE}|{_QUOTE}?:\s{{0,3}})"
    r"([^\s\"'<>,;\\)}\]`]+(?: [^\s\"'<>,;\\)}\]`]+)?)"
)
_AUTHORIZATION = re.compile(
    r"(?<![A-Za-z0-9])(Bearer|Basic|Token|ApiKey|Key|DPoP|Bot)((?:[ \t+]|%(?:25){0,6}20)+)([A-Za-z0-9._~+/\-:]{6,}=*)",
    re.IGNORECASE,
)
_BARE_TOKEN = re.compile(
    rf"{TOKEN_EDGE}e[yw][A-Za-z0-9_\-]{{8,}}+=*(?:(?:\.|%(?:25){{0,4}}2[eE])[A-Za-z0-9_\-]*+){{1,4}}"
)
_TELEGRAM = re.compile(r"(?<=/bot)[0-9]{5,20}(?::|%3[aA])[A-Za-z0-9_\-]{20,}")

_LIKELY_NAMES = frozenset(
    "token key sign policy auth oh hm _upt secure verify credential credentials sv-token code st t s e a h md5 hash"
    " download_token file_token user_token bearer nonce x-token ticket license_key".split()  # noqa: SIM905
).union(API_KEY_NAMES)
"""Names whose value is secret when it looks drawn by a machine."""
_DIGEST_NAMES = frozenset({"md5", "hash", "t", "s", "e", "a", "h", "st", "nonce"})
"""Secret inside a URL that the table knows; in plain text they are checksums, counters and columns."""
_SECRET_NAMES = (
    frozenset(name for scheme in SCHEMES for name in scheme.secret if isinstance(name, str)) - _LIKELY_NAMES
) | frozenset(
    """
    security-token _jwt jwt hmac hdnts hdnea hdntl __token__ __cld_token__ __gda__ bcdn_token edge-cache-token auth_key
    access_token accesstoken access-token refresh_token refreshtoken auth_token authtoken auth-token session_token
    sessiontoken session-token private_token private-token api_key apikey api-key x-api-key xi-api-key x-goog-api-key
    x-auth-token x-access-token x-subscription-token subscription-key ocp-apim-subscription-key client_secret
    clientsecret client-secret secret secret_key secretkey app_secret api_secret signing_key signing-secret
    webhook_secret webhook-secret password passwd pwd passphrase cloudfront-signature cloudfront-policy
    aws_secret_access_key aws_session_token secretaccesskey authorization proxy-authorization x-registry-auth
    csrf_token csrftoken jsessionid phpsessid sessionid session_id set-cookie cookie rlkey q-signature
    """.split()  # noqa: SIM905
)
"""Names whose value is secret whatever it looks like: those of the scheme table, of headers and of settings."""
_PARTS_OF_NAMES = ("token", "secret", "passw", "signature", "apikey", "api_key", "api-key", "hmac")
_HARMLESS = frozenset(
    """true false null none undefined yes no on off expired invalid missing required valid ok unsigned-payload bearer basic""".split()
)
_NEVER = frozenset(
    """
    x-amz-credential x-amz-signedheaders x-goog-signedheaders page_token pagetoken next_token nexttoken next_page_token
    nextpagetoken continuation_token continuationtoken token_type tokentype token_path token_countries max_tokens
    total_tokens prompt_tokens completion_tokens tokens token_count signature_version signatureversion
    x-oss-signature-version signaturemethod signature_method token-time token_expires secret_name secret_id
    idempotency_token client_token clienttoken sync_token synctoken key-pair-id keyname key_name
    """.split()
)


def redact(text: str) -> str:
    """The text without its secrets: each is replaced by ``REDACTED`` where it stood, everything else stays.

    Takes a URL, a log line, a traceback, JSON, a repr. Expiry parameters stay readable. Never raises, and a second
    pass changes nothing.
    """
    if not isinstance(text, str):
        text = str(text)
    if not _WORTH_A_LOOK.search(text):
        return text
    for _ in range(_MAX_ROUNDS):
        shorter = _once(text)
        if shorter == text:
            break
        text = shorter
    return text


def _once(text: str) -> str:
    text = _hide_everywhere(text, merge(_url_secrets(text)))
    if "=" in text or "%" in text or "\\" in text or "&#" in text:
        text = _PAIR.sub(_hide_pair, text)
    if ":" in text or "'" in text or '"' in text:
        text = _MEMBER.sub(_hide_member, text)
    text = _AUTHORIZATION.sub(_hide_authorization, text)
    if "ey" in text or "ew" in text:
        text = _BARE_TOKEN.sub(_hide_bare_token, text)
    if "/bot" in text:
        text = _TELEGRAM.sub(MARKER, text)
    return KNOWN_KEY.sub(MARKER, text)


def _hide_everywhere(text: str, spans: list[Span]) -> str:
    """Hide the spans, and what stood there wherever else the text repeats it."""
    if not spans:
        return text
    pieces = []
    done = 0
    for start, end in spans:
        pieces += [text[done:start], MARKER]
        done = end
    pieces.append(text[done:])
    hidden = "".join(pieces)
    secrets = {text[start:end] for start, end in spans if end - start >= _LEAST_REPEATED}
    if len(secrets) <= _MOST_REPEATED:
        for secret in sorted(secrets, key=len, reverse=True):
            hidden = hidden.replace(secret, MARKER)
    return hidden


# --- URLs -------------------------------------------------------------------------------------------------------


def _url_secrets(text: str) -> list[Span]:
    spans: list[Span] = []
    if _WHOLE_URL.match(text):  # blanks inside a stored URL part it into words that no longer explain each other
        spans = [span for span in analyse(text).secrets if not _BREAK.search(text, *span)]
    for word in _WORD.finditer(text):
        start, end = word.span()
        piece = word.group()
        if end - start < 6 or not ("=" in piece or "/" in piece or "%" in piece or "\\" in piece or "@" in piece):
            continue
        for url_start, url_end in _candidates(piece):
            spans += _secrets_of(text, start + url_start, start + url_end)
    return spans


def _candidates(word: str) -> Iterable[Span]:
    """Where URLs, request targets and bare queries stand in a word."""
    position = 0
    for mark in _URL_MARK.finditer(word):
        if mark.start() < position:
            continue
        scheme = _SCHEME_BEFORE.search(word, max(position, mark.start() - 24), mark.start())
        start = scheme.start() if scheme else mark.start()
        if start > position:
            yield position, start
        separator = _NEXT_URL.search(word, mark.end())
        end = separator.start() if separator else len(word)
        yield start, end
        position = end
    if position < len(word):
        yield position, len(word)


def _secrets_of(text: str, start: int, end: int) -> list[Span]:
    url = text[start:end].rstrip(_TRAILING)
    if len(url) < 6:
        return []
    prefix = 0
    if "=" in url and "&" in url and "?" not in url and url[0] != "/" and not _URL_MARK.search(url):
        url, prefix = "?" + url, 1
    analysis = analyse(url)
    spans = list(analysis.secrets)
    raw_span = analysis.spelling.raw_span
    for span in _likely_secrets(analysis.parts):
        raw_start, raw_end = raw_span(*span)
        if not any(
            a < raw_end and b > raw_start for a, b in analysis.secrets
        ):  # the table knows which part of it
            spans.append((raw_start, raw_end))
    return [(max(start, start + a - prefix), start + b - prefix) for a, b in spans if b - prefix > 0 and b > a]


def _likely_secrets(parts: Parts) -> list[Span]:
    """Values beside which no scheme is known, under names that promise a secret."""
    return [
        param.span
        for name, found in parts.params.items()
        for param in found
        if param.raw and MARKER not in param.raw and _is_secret(name, param.value)
    ]


# --- names and shapes -------------------------------------------------------------------------------------------


def _is_secret(name: str, value: str) -> bool:
    name = name.lower().rpartition(".")[2]
    if name in _NEVER or MARKER in value or len(value) < 4 or value.lower() in _HARMLESS:
        return False
    if name in _SECRET_NAMES:
        return True
    if name in _LIKELY_NAMES:
        return name not in _DIGEST_NAMES and is_key(value)
    return any(part in name for part in _PARTS_OF_NAMES) and is_random(value)


def _hide_pair(match: re.Match[str]) -> str:
    name, equals, value = match.groups()
    is_spaced = equals != equals.strip()  # "signature = None" is a sentence or code, not a query
    if _is_secret(name, value) and (not is_spaced or is_random(value, least=8)):
        return f"{name}{equals}{MARKER}"
    return match.group()


def _hide_member(match: re.Match[str]) -> str:
    name, between, value = match.groups()
    lower = name.lower().rpartition(".")[2]
    if MARKER in value or lower in _NEVER:
        return match.group()
    word, blank, rest = value.partition(" ")
    if blank and word.lower() in ("bearer", "basic", "token", "key", "apikey", "digest"):
        kept, value = word + blank, rest
    else:
        kept = ""
        if blank and between[-1].isspace():  # the next word of a sentence is not part of the value
            value, kept_after = word, blank + rest
            return _member(match.group(), lower, name + between, value, kept_after)
    return _member(match.group(), lower, name + between + kept, value, "")


def _member(whole: str, name: str, before: str, value: str, after: str) -> str:
    if len(value) < 4 or value.lower() in _HARMLESS:
        return whole
    if before.endswith(":"):  # a canonical header, or any two things with a colon between them
        return f"{before}{MARKER}{after}" if name in _SECRET_NAMES and is_random(value) else whole
    quoted = before[-1:] in "\"'`"
    is_secret = (
        name in _SECRET_NAMES and (quoted or is_random(value, least=6) or any(c.isdigit() for c in value))
    ) or (name in _LIKELY_NAMES and name not in _DIGEST_NAMES and is_key(value))
    if not is_secret and any(part in name for part in _PARTS_OF_NAMES):
        is_secret = is_random(value)
    return f"{before}{MARKER}{after}" if is_secret else whole


def _hide_authorization(match: re.Match[str]) -> str:
    word, blank, value = match.groups()
    if MARKER in value or not (is_random(value, least=8) or len(value) >= 20 or word.lower() == "basic"):
        return match.group()
    if word.lower() in ("key", "token", "basic", "bot", "apikey") and not is_random(value, least=8):
        return match.group()
    return f"{word}{blank}{MARKER}"


def _hide_bare_token(match: re.Match[str]) -> str:
    return MARKER if len(match.group()) >= 20 else match.group()
