"""``redact``: any text made safe to show. URLs are read with the scheme table; the rest by names and shapes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from video_assets.urls.classify.analyse import analyse, merge, recent_analysis
from video_assets.urls.documents.prefilter import is_plain
from video_assets.urls.redact.broken_texts import broken_secrets
from video_assets.urls.redact.headers import QUOTE, hide_headers
from video_assets.urls.redact.named_values import hide_named, pair_secrets
from video_assets.urls.redact.split_requests import parted_secrets
from video_assets.urls.schemes.secret_names import is_secret
from video_assets.urls.syntax.parts import Span
from video_assets.urls.syntax.tokens import (
    KNOWN_KEY,
    MARKER,
    RUN_START,
    decode_base64,
    is_random,
    read_json_object,
)

_MAX_ROUNDS = 12
_CLINGING = re.compile(re.escape(MARKER) + r"\S+")
_WHOLE_WORD = re.compile(r"\S*" + re.escape(MARKER) + r"\S*")
_LEAST_REPEATED = 12  # shorter ones may be words of their own
_MOST_REPEATED = 50  # a text with more is a list of links, not one link told twice

# Without one of these signs a text holds nothing that any rule below would hide.
_WORTH_A_LOOK = re.compile(
    r"[=@:/%\\&]|['\"] ?,|[-_.][A-Za-z0-9]{16}|[|\t\n][ \t`]{0,40}[A-Za-z0-9+_]{16}"
    r"|e[yw][A-Za-z0-9]{6}|AIza|EAA|[Bb]earer |[Bb]asic |[Tt]oken "
    r"|--[A-Za-z]|-----BEGIN |(?:whsec|luma|sk)[-_]"
)

# "\x1b[" sets the colour of a terminal: it belongs to no URL.
_WORD = re.compile(
    r"(?:[^\s\"'<>`\\\x1b]|\x1b(?!\[)|\\{1,8}+(?:[/=&?:]|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2})|'(?=[^\s\"'<>`]*[&=]))+"
)
# A word without any of these signs is neither a URL nor a query, however it is spelled.
_NO_URL = re.compile(r"[^=/%\\@&]*+").fullmatch
_URL_MARK = re.compile(
    r"(?::|%(?:25){0,6}3[aA]|\\{1,4}u003[aA]|&(?:amp;){0,3}(?:#0*58|#[xX]0*3[aA]|colon);)"
    r"(?:\\{0,4}/|%(?:25){0,6}2[fF]|\\{1,4}u002[fF]|&(?:amp;){0,3}(?:#0*47|#[xX]0*2[fF]|sol);){2}"
)
# query='a=1&b=2' as a repr shows it, body=a=1&b=2 as a line of a log does
_QUERY_OPENING = re.compile(r"[A-Za-z_]{1,32}=(?:\\{0,4}'|(?=[A-Za-z_][A-Za-z0-9_.\-]{0,63}=[^=]))")
_BARE_QUERY = re.compile(r"([^/=]*)=(?=(/?))")
_WHOLE_URL = re.compile(
    r"\s*[A-Za-z][A-Za-z0-9+.\-]{0,30}(?::\\{0,4}/\\{0,4}/|%(?:25){0,6}3[aA])|\s*//"
    r"|\s*(?:[^\s\"'<>`/?#@]{1,256}@)?(?:[A-Za-z0-9\-]{1,63}\.){1,8}[A-Za-z]{2,63}[/?]"
)
_BREAK = re.compile(r"[\s\"'<>`,;]")
_NEXT_URL = re.compile(r"[,|;](?=https?:\\{0,4}/)", re.IGNORECASE)
_SCHEME_BEFORE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*$")
_TRAILING = ".,;:!?)]}*"
_END_OF_CLAUSE = re.compile(
    r"(?<=[!-~]{8})[，。；：！？、）】》」”’…]"
)  # no blank stands before the next Chinese word

_AUTHORIZATION = re.compile(
    r"(?<![A-Za-z0-9])(Bearer|Basic|Token|ApiKey|Key|DPoP|Bot)"
    rf"((?:[ \t+]|%(?:25){{0,6}}20)+{QUOTE}?)([A-Za-z0-9._~+/\-:]{{6,}}=*)",
    re.IGNORECASE,
)
_UNSURE_SCHEMES = frozenset({"key", "token", "basic", "bot", "apikey"})
_KEY_BREAK = r"(?:\s|\\{1,4}[rn]|[>|])"
_PRIVATE_KEY = re.compile(
    r"(-----BEGIN (?:[A-Z0-9]{1,12} ){0,4}PRIVATE KEY(?: BLOCK)?-----)(?:[^\-]*+(?:-(?!----)[^\-]*+)*(?=-----END)"
    rf"|(?:{_KEY_BREAK}*(?:Proc-Type|DEK-Info|Version|Comment): [^\n\\]{{0,200}})*"  # cut off
    rf"(?:{_KEY_BREAK}*[A-Za-z0-9+/=]{{16,}}+)*(?:{_KEY_BREAK}*[A-Za-z0-9+/=]++(?=[\"'\\]|\.\.\.|\s{{0,3}}\Z))?)"
)
# A password in raw base64: the slash in it ends the authority for every parser of URLs. What is no port is one.
_SLASHED_PASSWORD = re.compile(
    r"(://[^\s/:@\"'<>?#\[$]{1,128}:)(?![0-9]{1,5}[/?#]|[${%<])([^\s\"'<>@?#/]{0,256}+/[^\s\"'<>@?#]{0,256}+)(?=@[A-Za-z0-9])"
)
_BARE_TOKEN = re.compile(
    rf"{RUN_START}[A-Za-z0-9_\-]{{8,}}+=*(?:(?:\.|%(?:25){{0,4}}2[eE])[A-Za-z0-9_\-]*+){{1,4}}"
)
# How Python and urllib3 show a URL taken apart: the password is far from any "//" and "@host".
_USERINFO_ALONE = re.compile(r"(?<=netloc=')[^'\s@]{1,4096}(?=@)|(?<=auth=')[^'\s:]{0,4096}:[^'\s]{1,4096}(?=')")
# Where the path alone says whose it is: the last segment of a webhook of Slack or Discord.
_WEBHOOK = re.compile(
    r"(/services/T[A-Z0-9]{6,14}/B[A-Z0-9]{6,14}/|/api/webhooks/[0-9]{17,20}/)[A-Za-z0-9_\-]{20,}+"
)
_TELEGRAM = re.compile(r"(?<=/bot)[0-9]{5,20}(?::|%3[aA])[A-Za-z0-9_\-]{20,}")


def redact(text: str) -> str:
    """The text without its secrets: each is replaced by ``REDACTED`` where it stood, everything else stays.

    Takes a URL, a log line, a traceback, JSON, a repr. Expiry parameters stay readable. Never raises; a second
    pass changes nothing.
    """
    if not isinstance(text, str):
        text = str(text)
    if not _WORTH_A_LOOK.search(text):
        return text
    known: dict[str, list[Span]] = {}  # most words of the second round are those of the first
    for clinging in (None, _CLINGING, _WHOLE_WORD):
        if clinging is not None:
            # Made-up nestings peel off one layer per round: then what clings to a hidden secret goes with it.
            text = clinging.sub(MARKER, text)
        for _ in range(_MAX_ROUNDS):
            shorter = _once(text, known)
            if shorter == text:
                return text
            text = shorter
    return text


def _once(text: str, known: dict[str, list[Span]]) -> str:
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub(_hide_private_key, text)
    broken = broken_secrets(text, lambda joined: [*_url_secrets(joined, known), *pair_secrets(joined)])
    text = _hide_everywhere(text, _url_secrets(text, known) + broken)
    text = hide_headers(text)
    text = hide_named(text)
    text = _AUTHORIZATION.sub(_hide_authorization, text)
    if "ey" in text or "ew" in text:
        text = _BARE_TOKEN.sub(_hide_bare_token, text)
    if "netloc='" in text or "auth='" in text:
        text = _USERINFO_ALONE.sub(MARKER, text)
    if "://" in text and "@" in text:
        text = _SLASHED_PASSWORD.sub(rf"\1{MARKER}", text)
    if "/services/T" in text or "/webhooks/" in text:
        text = _WEBHOOK.sub(rf"\1{MARKER}", text)
    if "/bot" in text:
        text = _TELEGRAM.sub(MARKER, text)
    return KNOWN_KEY.sub(MARKER, text)


def _hide_everywhere(text: str, spans: list[Span]) -> str:
    """Hide the spans, and what stood there wherever else the text repeats it."""
    if not spans:
        return text
    pieces = []
    done = 0
    for start, end in merge(spans):
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


def _url_secrets(text: str, known: dict[str, list[Span]]) -> list[Span]:
    """Where the secrets of URLs stand; ``known`` remembers those of each word, as offsets into it."""
    spans: list[Span] = []
    # Blanks inside a stored URL part it into words that no longer explain each other.
    if _WHOLE_URL.match(text) and not _WORD.fullmatch(text):
        spans = [span for span in analyse(text).secrets if not _BREAK.search(text, *span)]
    spans += parted_secrets(text)
    for word in _WORD.finditer(text):
        piece = word.group()
        if len(piece) < 6 or _NO_URL(piece):
            continue
        found = known.get(piece)
        if found is None:
            found = known[piece] = [
                span for start, end in _candidates(piece) for span in _secrets_of(piece, start, end)
            ]
        if found:
            shift = word.start()
            if not piece.isascii():
                found = [(start, _end_of_secret(piece, start, end)) for start, end in found]
            spans += [(start + shift, end + shift) for start, end in found]
    return spans


def _end_of_secret(word: str, start: int, end: int) -> int:
    stop = _END_OF_CLAUSE.search(word, start + len(MARKER), end)
    return stop.start() if stop else end


def _candidates(word: str) -> Iterable[Span]:
    """Where URLs, request targets and bare queries stand in a word."""
    position = 0
    for mark in _URL_MARK.finditer(word):
        if mark.start() < position:
            continue
        scheme = _SCHEME_BEFORE.search(word, max(position, mark.start() - 24), mark.start())
        start = scheme.start() if scheme else mark.start()
        if start > position:
            if position == 0 and ("/" in word[:start] or "?" in word[:start]):
                yield 0, len(word)  # "/image?url=https%3A..." or "host/...": the URL may be inside another
            yield position, start
        separator = _NEXT_URL.search(word, mark.end())
        end = separator.start() if separator else len(word)
        yield start, end
        position = end
    if position < len(word):
        yield position, len(word)


def _secrets_of(text: str, start: int, end: int) -> list[Span]:
    url = text[start:end].rstrip(_TRAILING)
    if len(url) < 6 or ("=" not in url and is_plain(url)):
        return []
    if opening := _QUERY_OPENING.match(url):
        start += opening.end()
        url = url[opening.end() :]
    prefix = 0
    if _is_bare_query(url):
        url, prefix = "?" + url, 1
    analysis = recent_analysis(url)
    found = [
        (max(start, start + a - prefix), start + b - prefix)
        for a, b in analysis.secrets
        if b - prefix > 0 and b > a
    ]
    return [(a + (text[a] == "["), b) for a, b in found]  # {token=[...]}, as Java shows headers


def _is_bare_query(text: str) -> bool:
    if "?" in text or not (match := _BARE_QUERY.match(text)) or _URL_MARK.search(text):
        return False
    # "file=/a/token=..." is a path behind a name, unless the name itself promises a secret.
    return "&" in text or not match[2] or is_secret(match[1], text[match.end() :])


# --- shapes -----------------------------------------------------------------------------------------------------


def _hide_private_key(match: re.Match[str]) -> str:
    return match[1] + MARKER if len(match.group()) > len(match[1]) else match.group()


def _hide_authorization(match: re.Match[str]) -> str:
    word, blank, value = match.groups()
    is_unsure = word.lower() in _UNSURE_SCHEMES
    if MARKER in value or not (is_random(value, least=8) or (len(value) >= 20 and not is_unsure)):
        return match.group()
    return f"{word}{blank}{MARKER}"


def _hide_bare_token(match: re.Match[str]) -> str:
    text = match.group()
    if len(text) < 20:
        return text
    first, dot, rest = text.partition(".")
    if dot and "." not in rest and "alg" not in (read_json_object(decode_base64(first)) or {"alg": ""}):
        return text  # "eyJ....png": the settings of an image service, not a token cut off
    return MARKER
