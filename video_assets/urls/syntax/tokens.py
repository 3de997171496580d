"""Recognising what is secret by its own shape: JSON Web Tokens, keys of known make, random-looking values."""

from __future__ import annotations

import binascii
import json
import re
from datetime import datetime
from typing import Any, NamedTuple

from video_assets.urls.syntax.times import from_epoch, parse_any

MARKER = "REDACTED"
"""What stands in the place of a secret. A parameter of this value counts as absent."""

_MARKED = re.compile(rf"(?:[^\w%]|%5[bB]){{0,3}}{MARKER}(?:[^\w%]|%5[dD]){{0,3}}")

_DOT = r"(?:\.|%(?:25){0,4}2[eE])"
_PAD = r"(?:=|%(?:25){0,4}3[dD]){0,2}"
# "ey" and "ew" are how base64 writes an opening brace before a quote, a blank or a line end. A token begins
# where a run of letters and digits does, or behind an escape that only looks like part of the run. The two
# letters come first in the pattern, because that is what the search can skip by.
RUN_START = (
    r"e[yw](?:(?<![A-Za-z0-9]e[yw])|(?<=%[0-9A-Fa-f]{2}e[yw])|(?<=%25[0-9A-Fa-f]{2}e[yw])"
    r"|(?<=%2525[0-9A-Fa-f]{2}e[yw])|(?<=\\u[0-9A-Fa-f]{4}e[yw])|(?<=\\x[0-9A-Fa-f]{2}e[yw])"
    r"|(?<=\\[bfnrt]e[yw]))"
)
_JWT = re.compile(
    rf"({RUN_START}[A-Za-z0-9_\-]{{6,}}+){_PAD}{_DOT}([A-Za-z0-9_\-]*+){_PAD}{_DOT}[A-Za-z0-9_\-]*+{_PAD}"
    rf"((?:{_DOT}[A-Za-z0-9_\-]++){{2}})?"
)
_SIGNATURE_LENGTHS = {
    "HS256": 43,
    "HS384": 64,
    **dict.fromkeys(("HS512", "ES256", "ES256K", "EdDSA"), 86),
    "ES384": 128,
    "ES512": 176,
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), 342),
}
"""Least characters of a signature by its algorithm (RFC 7518 section 3.1, RFC 8037)."""
_BEGUN_JWT = re.compile(
    rf"{RUN_START}[A-Za-z0-9_\-]*+{_PAD}(?:{_DOT}[A-Za-z0-9_\-]*+{_PAD})?(?:%(?:25){{0,4}}2?)?\Z"
)
_HEADER_NAMES = ("alg", "typ", "kid", "enc", "cty", "x5t", "x5c", "jku", "jwk")
_BASE64 = str.maketrans("-_", "+/")
_LONGEST_BEGINNING = 16_384
_ALPHABET = re.compile(r"[A-Za-z0-9+/=_\-.:~%|$!*]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_NO_KEY = re.compile(r"https?:|/|0x[0-9a-fA-F]{40}\Z")
"""A URL, a path, or an address of a block chain, which is public and which some call a token."""
_FILE_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_WORD_BREAK = re.compile(r"[^A-Za-z0-9]+")
_CLASS_CHANGE = re.compile(r"(?<=[a-z])[A-Z0-9]|(?<=[A-Z])[a-z0-9]|(?<=[0-9])[A-Za-z]")

_SHORT_KEY = re.compile(r"(?!.*[a-z]{5})[A-Za-z0-9]{10,15}")
_CAMEL_CASE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_UNSPEAKABLE = re.compile(r"[A-Z]?[b-df-hj-np-tv-xz]{2,}")

# Keys that tell their maker by their first letters, with the least length each maker issues.
KNOWN_KEY = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"sk[-_](?=[A-Za-z_\-]{0,40}[0-9])[A-Za-z0-9_\-]{20,}+"  # OpenAI, Anthropic, Stripe, ElevenLabs
    r"|[rs]k_(?:live|test)_[A-Za-z0-9]{20,}+"
    r"|whsec_[A-Za-z0-9+/_\-]{16,}+={0,2}"  # webhooks of Stripe and Svix
    r"|AIza[0-9A-Za-z_\-]{35}"  # Google
    r"|ya29\.[0-9A-Za-z_\-]{20,}+"
    r"|gh[pousr]_[A-Za-z0-9]{36,}+|github_pat_[A-Za-z0-9_]{40,}+|glpat-[A-Za-z0-9_\-]{20,}+"
    r"|xox[a-z]-[A-Za-z0-9\-]{10,}+|xapp-[A-Za-z0-9\-]{20,}+"  # Slack
    r"|hf_[A-Za-z0-9]{30,}+|r8_[A-Za-z0-9]{37,}+|nvapi-[A-Za-z0-9_\-]{40,}+|gsk_[A-Za-z0-9]{40,}+"
    r"|pplx-[A-Za-z0-9]{40,}+|xai-[A-Za-z0-9]{60,}+|sbp_[a-f0-9]{40}|sb_secret_[A-Za-z0-9_\-]{20,}+"
    r"|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_\-]{50,}+|dop_v1_[a-f0-9]{64}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"
    r"|SG\.[A-Za-z0-9_\-]{16,}+\.[A-Za-z0-9_\-]{16,}+|key_[a-f0-9]{64,}+"  # SendGrid, Runway
    r"|hvs\.[A-Za-z0-9_\-]{24,}+|[0-9]{8,10}:AA[A-Za-z0-9_\-]{33}"  # Vault, Telegram
    r"|EAA[A-Za-z0-9]{60,}+|lin_api_[A-Za-z0-9]{30,}+|luma-[0-9a-f]{8}-[0-9a-f\-]{20,}+"
    r")"
)


def is_marker(value: str) -> bool:
    """True for what stands in the place of a secret, also as others write it: ``[REDACTED]``, ``<REDACTED>``."""
    return _MARKED.fullmatch(value) is not None


class Jwt(NamedTuple):
    """One JSON Web Token: where it stands and when it says it ends."""

    start: int
    end: int
    expires_at: datetime | None
    is_cut: bool = False
    """Its signature is shorter than its algorithm makes one."""


def decode_base64(text: str) -> bytes | None:
    """Base64 in either alphabet, padded or not."""
    text = text.translate(_BASE64).rstrip("=")
    if len(text) % 4 == 1:
        return None
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None


def read_json(data: bytes | str | None) -> Any:
    """The JSON value, or None for what is none, too deep or holds absurd numbers."""
    if not data:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def read_json_object(data: bytes | str | None) -> dict[str, Any] | None:
    """The JSON object, or None."""
    value = read_json(data)
    return value if isinstance(value, dict) else None


def claim_time(value: object) -> datetime | None:
    """The time of an ``exp`` claim: a number of any kind, or a string that holds one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return from_epoch(value)
    return parse_any(value) if isinstance(value, str) else None


def find_jwts(text: str) -> list[Jwt]:
    """Every JSON Web Token in ``text``: dotted base64url whose first part is a JSON object with ``alg``.

    Five parts are taken where the header names ``enc`` (RFC 7516), three otherwise (RFC 7519).
    """
    if "ey" not in text and "ew" not in text:
        return []
    found = []
    for match in _JWT.finditer(text):
        header = read_json_object(decode_base64(match[1]))
        if header is None or "alg" not in header:
            continue
        if "enc" in header and match[3]:
            found.append(Jwt(match.start(), match.end(), None))
            continue
        end = match.start(3) if match[3] else match.end()
        claims = read_json_object(decode_base64(match[2])) or {}
        shortest = _SIGNATURE_LENGTHS.get(str(header["alg"]), 0)
        is_cut = end == len(text) and len(re.split(_DOT, text[match.start() : end])[2]) < shortest
        found.append(Jwt(match.start(), end, claim_time(claims.get("exp")), is_cut))
    return found


def begun_jwt(text: str, *, is_named: bool = False) -> int | None:
    """Where the JSON Web Token begins in the middle of which ``text`` ends, before its second dot; None for none.

    Its header tells it by its first key. ``is_named`` says that a token is expected there: then less is enough.
    """
    if (match := _BEGUN_JWT.search(text, max(0, len(text) - _LONGEST_BEGINNING))) is None:
        return None
    head = _decoded_beginning(re.split(_DOT, match.group(), maxsplit=1)[0])
    if read_json(head) is not None:
        return match.start() if "alg" in (read_json_object(head) or {}) else None
    for name in _HEADER_NAMES:
        key = f'{{"{name}"'
        if head.startswith(key) or (is_named and key.startswith(head)):
            return match.start()
    return None


def _decoded_beginning(text: str) -> str:
    """What base64 that breaks off says, as far as it goes."""
    text = text.translate(_BASE64).rstrip("=")
    whole = text[: len(text) // 4 * 4]
    return (decode_base64(whole) or b"").decode("ascii", "replace")


def is_digest(value: str) -> bool:
    """True for hexadecimal text that no word, number or date could be, however even its digits are."""
    if len(value) < 16 or value.isdigit() or _HEX.fullmatch(value) is None:
        return False
    return len(set(value)) >= 4


def is_random(value: str, *, least: int = 12) -> bool:
    """True when ``value`` looks drawn by a machine: a digest, a MAC, a token; not words, a date or a number."""
    if MARKER in value or not least <= len(value) <= 8192 or _ALPHABET.fullmatch(value) is None:
        return False
    if _UUID.fullmatch(value) or is_digest(value):
        return True
    letters_and_digits = _WORD_BREAK.sub("", value)
    if letters_and_digits.isdigit() or len(letters_and_digits) < 0.75 * len(value):
        return False
    return len(_CLASS_CHANGE.findall(value)) >= 0.18 * len(value)


def is_signature(value: str) -> bool:
    """True when ``value``, under the name of a signature and beside an expiry, can be nothing else.

    Its surroundings have said already what it is: all three classes of characters are enough here.
    """
    if is_random(value, least=10):
        return True
    return (
        16 <= len(value) <= 8192
        and MARKER not in value
        and _ALPHABET.fullmatch(value) is not None
        and any(c.isupper() for c in value)
        and any(c.islower() for c in value)
        and any(c.isdigit() for c in value)
    )


def is_short_key(value: str) -> bool:
    """True for ten to fifteen letters and digits of both cases that change too often for words in camel case."""
    if not _SHORT_KEY.fullmatch(value) or value.islower() or value.isupper() or MARKER in value:
        return False
    pieces = _CAMEL_CASE.findall(value)
    if len(value) <= 2.25 * len(pieces):
        return True
    return len(value) <= 3.4 * len(pieces) and any(_UNSPEAKABLE.fullmatch(piece) for piece in pieces)


def is_key(value: str) -> bool:
    """True when ``value`` can be an access key: random, long enough, and no file name."""
    if MARKER in value:
        return False
    if KNOWN_KEY.match(value):
        return True
    if _NO_KEY.match(value) or _FILE_ENDING.search(value):
        return False
    return is_random(value, least=16) and (any(c.isdigit() for c in value) or len(value) >= 24)
