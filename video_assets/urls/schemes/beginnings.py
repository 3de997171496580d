"""How a signed URL that was cut off is still known, and what shows that one was.

Columns such as ``VARCHAR(255)`` keep the first characters of a URL and drop the rest. What is left may lack its
signature, and with it what the table knows it by; but some parameters are written by signers alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from video_assets.urls.schemes.model import EPOCH_VALUE, Test, read_time
from video_assets.urls.syntax import times as moments
from video_assets.urls.syntax.parts import Param, Parts
from video_assets.urls.syntax.tokens import begun_jwt, is_signature

_BASE64 = re.compile(r"[A-Za-z0-9+/\-_~ ]*")
_PADDING = re.compile(r"(?:={1,2}|_{1,2})\Z")
"""CloudFront writes underscores."""
_HALF_AN_ESCAPE = re.compile(r"%[0-9A-Fa-f]?\Z")
_HEX = re.compile(r"[0-9a-fA-F]*")
_DIGITS = re.compile(r"[1-9][0-9]{0,8}|")
_BASE64_LENGTHS = frozenset((size * 4 + 2) // 3 for size in (16, 20, 32, 48, 64, 70, 71, 72, 128, 256, 384, 512))


def short_hex(length: int) -> Callable[[str], bool]:
    """Hexadecimal text of fewer than ``length`` characters: a digest that broke off."""
    return lambda value: len(value) < length and _HEX.fullmatch(value) is not None


def hex_but_of(*lengths: int) -> Callable[[str], bool]:
    """Hexadecimal text of none of the lengths that the signer's keys give, and no longer than the longest."""
    return lambda value: (
        len(value) not in lengths and len(value) < max(lengths) and _HEX.fullmatch(value) is not None
    )


def short_der(value: str) -> bool:
    """An ECDSA signature in hexadecimal DER (RFC 3279) that is shorter than its own second byte says."""
    if not value or not "30".startswith(value[:2]) or _HEX.fullmatch(value) is None:
        return False
    return len(value) < 4 or len(value) < 4 + 2 * int(value[2:4], 16)


def short_base64(value: str) -> bool:
    """Base64 that broke off in an escape or in its padding, or is of no length that a signature has.

    Known are the lengths of HMAC, RSA and ECDSA. The padding counts: these signers write it.
    """
    if _HALF_AN_ESCAPE.search(value):
        return True
    padding = _PADDING.search(value)
    if padding and padding.start() in _BASE64_LENGTHS:
        return len(value) % 4 > 0
    return (
        (len(value) not in _BASE64_LENGTHS or len(value) % 4 > 0)
        and len(value) < max(_BASE64_LENGTHS)
        and bool(_BASE64.fullmatch(value))
    )


def short_epoch(value: str) -> bool:
    """Fewer than the ten digits of a time in seconds."""
    return _DIGITS.fullmatch(value) is not None


def beginning_of(*words: str) -> Callable[[str], bool]:
    """The first letters of one of the words, but not all of them."""
    return lambda value: value not in words and any(word.startswith(value) for word in words)


def _ending(parts: Parts) -> Param | None:
    """The last parameter, when nothing but a separator stands behind it."""
    last = parts.last
    return last if last is not None and parts.text[last.end :] in ("", "&") else None


def last_is(*names: str) -> Test:
    """The URL ends in or behind one of these parameters."""

    def test(parts: Parts) -> bool:
        last = _ending(parts)
        return last is not None and last.name in names

    return test


def timed(*names: str, base: int = 10) -> Test:
    """One of the parameters holds a time that a link may end at."""
    return lambda parts: any(
        parts.has(name) and moments.is_plausible(read_time((parts.first(name) or "").strip(), base))
        for name in names
    )


def drawn(*names: str) -> Test:
    """One of the parameters holds what only a machine writes."""
    return lambda parts: any(is_signature(parts.first(name) or "") for name in names)


def written(name: str, shape: re.Pattern[str]) -> Test:
    """The parameter's decoded value has this shape at its beginning."""
    return lambda parts: any(shape.match(param.value) for param in parts.params.get(name, ()))


def begins_like(name: str, whole: str) -> Test:
    """The parameter's value begins like ``whole``, or is the beginning of it."""

    def test(parts: Parts) -> bool:
        value = parts.first(name) or ""
        return bool(value) and (value.startswith(whole) or whole.startswith(value))

    return test


# --- CloudFront, which writes its signature under names that others use too ---

_BEHIND_EXPIRES = (
    *("Signature", "Key-Pair-Id", "Policy", "Hash-Algorithm"),
    *("OSSAccessKeyId", "AWSAccessKeyId", "KeyName", "URLPrefix", "ssig", "KID"),
)
"""What signers that begin with ``Expires`` write next."""
_OTHER_SIGNERS = frozenset(
    (
        *("googleaccessid", "ossaccesskeyid", "awsaccesskeyid", "accesskeyid", "kssaccesskeyid"),
        *("ucloudpublickey", "keyname"),
    )
)
_POLICY = "eyJTdGF0ZW1lbnQi"
"""``{"Statement"`` in base64, as every signer of custom policies writes it."""


def _spelled(parts: Parts, name: str) -> Param | None:
    """The parameter, when its name is spelled exactly so."""
    for param in parts.params.get(name.lower(), ()):
        if parts.text[param.start : param.start + len(name)] == name:
            return param
    return None


def canned_has_begun(parts: Parts) -> bool:
    """``Expires=<epoch>`` and then nothing, or a signature without the key's id, as CloudFront orders them.

    Only as it spells them: ``expires`` alone says nothing.
    """
    expires, last = _spelled(parts, "Expires"), _ending(parts)
    if expires is None or last is None or not EPOCH_VALUE.match(expires.value):
        return False
    if not _OTHER_SIGNERS.isdisjoint(parts.params):
        return False
    if not moments.is_plausible(moments.parse_epoch(expires.value)):
        return False
    if last is expires:
        return True
    if last.start < expires.start:
        return False
    if parts.text[last.value_start - 1] != "=":
        return any(name.startswith(parts.text[last.start : last.end]) for name in _BEHIND_EXPIRES)
    if not last.raw and last is _spelled(parts, "Key-Pair-Id"):
        return True
    # A digest in hexadecimal is whole: that is a signer of somebody's own.
    return last is _spelled(parts, "Signature") and (_HEX.fullmatch(last.value) is None or len(last.value) < 32)


def custom_has_begun(parts: Parts) -> bool:
    """``Policy=eyJTdGF0...`` and no key's id, wherever it broke off."""
    policy = _spelled(parts, "Policy")
    return policy is not None and begins_like("policy", _POLICY)(parts)


# --- Azure, whose parameters have one or two letters ---

_AZURE_SHAPES = {
    "sv": re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]\Z"),
    "se": re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9](?:T[0-9:.]*Z?)?\Z"),
    "st": re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9](?:T[0-9:.]*Z?)?\Z"),
    "sp": re.compile(r"r?a?c?w?d?x?y?l?t?f?m?e?o?p?i?\Z"),
    "sr": re.compile(r"(?:b|c|bs|bv|d|f|s)\Z"),
    "ss": re.compile(r"[bqtf]{1,4}\Z"),
    "srt": re.compile(r"[sco]{1,3}\Z"),
    "spr": re.compile(r"https(?:,http)?\Z"),
    "skoid": re.compile(r"[0-9a-fA-F\-]{1,36}\Z"),
    "sktid": re.compile(r"[0-9a-fA-F\-]{1,36}\Z"),
    "skt": re.compile(r"20[0-9]{2}-"),
    "ske": re.compile(r"20[0-9]{2}-"),
    "sks": re.compile(r"[bqtf]\Z"),
    "skv": re.compile(r"20[0-9]{2}-"),
}
AZURE_NAMES = tuple(_AZURE_SHAPES)
_AZURE_OWN = frozenset(("skoid", "sktid", "skt", "ske", "skv"))
_AZURE_HOSTS = ("core.windows.net", "oaiusercontent.com", "videos.openai.com", "bfl.ai", "azureedge.net")
_FULL_TIME = re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]")


def azure_has_begun(parts: Parts) -> bool:
    """Two parameters as a shared access signature writes them; one is enough where it can be nothing else."""
    found = {
        name
        for name in _AZURE_SHAPES.keys() & parts.params.keys()
        if _AZURE_SHAPES[name].match(parts.first(name) or "")
    }
    if len(found) >= 2 or found & _AZURE_OWN:
        return bool(found & {"sv", "se", "sr", "sp"} or found & _AZURE_OWN) and not parts.has("sig")
    last = _ending(parts)
    if not found or last is None:
        return False
    is_half_a_name = parts.text[last.value_start - 1] != "="
    is_last_begun = is_half_a_name or last.name in _AZURE_SHAPES or last.name == "sig"
    if parts.params.keys() - found - ({last.name} if is_last_begun else set()):
        return False  # a parameter of another kind: a whole URL
    return parts.on_host(*_AZURE_HOSTS) or (
        _FULL_TIME.match(parts.first("se") or "") is not None and is_last_begun
    )


# --- home-made ---


def may_be_short_signature(param: Param) -> bool:
    """True for the first characters of a drawn value; a word, a number or a name is none."""
    value = param.value
    if len(value) <= 3:
        return _HEX.fullmatch(value) is not None or (value.isalnum() and not value.islower())
    return (
        _BASE64.fullmatch(value) is not None
        and any(c.isalpha() for c in value)
        and any(c.isdigit() or c.isupper() for c in value)
        and not is_signature(value)
    )


# --- JSON Web Tokens ---

_TOKEN_NAMES = frozenset(
    ("token", "_jwt", "jwt", "access_token", "auth_token", "authtoken", "id_token", "t", "auth", "sig")
)


def jwt_beginning(parts: Parts) -> int | None:
    """Where the JSON Web Token begins in the middle of which the URL breaks off; None when it does not."""
    if "ey" not in parts.text and "ew" not in parts.text:
        return None
    last = parts.last
    is_named = (
        last is not None and last.end == len(parts.text) and last.name in _TOKEN_NAMES and last.raw[:3] == "eyJ"
    )
    start = begun_jwt(parts.text, is_named=is_named)
    return start if start is not None and start >= parts.path_start else None
