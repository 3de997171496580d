"""What grants access under any scheme: tokens, keys, passwords, home-made pairs of an expiry and a signature."""

from __future__ import annotations

import re
from datetime import datetime

from video_assets.urls.classify.classification import Kind
from video_assets.urls.schemes.beginnings import jwt_beginning, may_be_short_signature, short_epoch
from video_assets.urls.schemes.model import BLANKS, Death, Scheme, time_text
from video_assets.urls.schemes.secret_names import is_secret, may_name_a_secret, secret_offset, spellings
from video_assets.urls.syntax import times as moments
from video_assets.urls.syntax.parts import Param, Parts, Span, percent_decode
from video_assets.urls.syntax.placeholders import is_placeholder
from video_assets.urls.syntax.tokens import KNOWN_KEY, is_key, is_random, is_signature

EXPIRY_NAMES = spellings(
    *("expires", "expire", "expiry", "exp", "expiration", "expires at", "expire at", "expiry at", "expiry time"),
    *("expire time", "expires time", "expiration time", "expiration date", "expiration timestamp", "expires on"),
    *("expire ts", "expiry ts", "expires ts", "exp time", "exp ts", "exp at", "expiry date", "expire date"),
    *(
        "expires date",
        "valid until",
        "valid to",
        "valid till",
        "valid thru",
        "valid before",
        "validity",
        "deadline",
    ),
    *("not after", "until", "end time", "endtime", "x expires", "x expire", "x expiry", "token expires"),
    *(
        "token expiry",
        "token exp",
        "url expires",
        "link expires",
        "good until",
        "goes stale",
        "dies at",
        "eol",
        "e",
    ),
)
SIGNATURE_NAMES = spellings(
    *(
        "sig",
        "signature",
        "sign",
        "token",
        "hmac",
        "hash",
        "md5",
        "s",
        "mac",
        "digest",
        "checksum",
        "sha256",
        "sha1",
    ),
    *(
        "auth",
        "auth token",
        "access token",
        "st",
        "secret",
        "secure",
        "security token",
        "signed",
        "verify",
        "verification",
    ),
    *(
        "x signature",
        "x sig",
        "x token",
        "policy signature",
        "url signature",
        "auth key",
        "key",
        "k",
        "h",
        "t",
        "tk",
    ),
    *(
        "hashcode",
        "signature v2",
        "hmac sha256",
        "ticket",
        "download token",
        "url token",
        "cdn token",
        "media token",
    ),
    *("authorization", "credential", "jwt", "code", "ssig", "psig", "csig"),
)
EXPIRY_NAMES += tuple(f"_{name}" for name in EXPIRY_NAMES if len(name) > 1)
"""With an underscore before it as Symfony writes it (``_expiration`` and ``_hash``)."""
SIGNATURE_NAMES += tuple(f"_{name}" for name in SIGNATURE_NAMES if len(name) > 2)
_HEX_EPOCH = re.compile(r"^(?:0[xX][0-9a-fA-F]{8}|(?=[0-9]*[a-fA-F])[4-9a-fA-F][0-9a-fA-F]{7})$")
_ALGORITHM = re.compile(r"^(?:hmac[-_]?)?(?:sha[-_]?(?:1|256|384|512)|md5|v[0-9])[:=,_\-]", re.IGNORECASE)
_BEHIND = ".,;:!?)]}>'\"\\\x00"
_EXPIRY_SET = frozenset(EXPIRY_NAMES)
_SIGNATURE_SET = frozenset(SIGNATURE_NAMES)
# Too general to pair with a bare letter.
_WEAK_EXPIRY = {"e", "until", "validity", "endtime", "end_time", "end-time"}
_WEAK_SIGNATURE = {"s", "t", "k", "h", "st", "tk", "key", "code", "auth", "secret", "credential", "checksum"}
_STRONG_EXPIRY = _EXPIRY_SET - _WEAK_EXPIRY
_STRONG_SIGNATURE = _SIGNATURE_SET - _WEAK_SIGNATURE


def _expiry(parts: Parts) -> tuple[Param, datetime] | None:
    """The expiry parameter that has a signature worth the name beside it, with the earliest time."""
    best: tuple[Param, datetime] | None = None
    for param in _named(parts, _EXPIRY_SET):
        weak = param.name in _WEAK_EXPIRY
        value = param.value.strip(BLANKS)
        moment = moments.parse_any(value)
        if moment is None and not weak and _HEX_EPOCH.match(value):
            moment = moments.parse_hex_epoch(value)
        if (
            moment is not None
            and moments.is_plausible(moment)
            and (best is None or moment < best[1])
            and _signatures(parts, weak=not weak)
        ):
            best = param, moment
    return best


def _signatures(parts: Parts, *, weak: bool = True) -> list[Span]:
    return [
        param.span
        for param in _named(parts, _SIGNATURE_SET if weak else _SIGNATURE_SET - _WEAK_SIGNATURE)
        if (
            is_random(_bare(param.value), least=16)
            if param.name in _WEAK_SIGNATURE
            else is_signature(_bare(param.value))
        )
    ]


def _named(parts: Parts, names: frozenset[str]) -> list[Param]:
    return [param for name in parts.params.keys() & names for param in parts.params[name]]


def _bare(value: str) -> str:
    """The value without the name of its algorithm (``sha256:``, ``v1,``) and the punctuation behind the URL."""
    return _ALGORITHM.sub("", value).rstrip(_BEHIND)


def _home_made_end(parts: Parts) -> Death:
    found = _expiry(parts)
    return Death(found[1] if found else None)


def _home_made_has_begun(parts: Parts) -> bool:
    """An expiry and then a signature that breaks off with the URL; or a signature, and an expiry that does."""
    last = parts.last
    if last is None or parts.text[last.end :] not in ("", "&"):
        return False
    is_named = parts.text[last.value_start - 1] == "="
    times = (moments.parse_any(param.value.strip(BLANKS)) for param in _named(parts, _STRONG_EXPIRY))
    if any(moments.is_plausible(time) for time in times):
        if not is_named:
            return any(name.startswith(last.name) for name in _STRONG_SIGNATURE)
        if last.end < len(parts.text):
            return last.name in _STRONG_EXPIRY
        return last.name in _STRONG_SIGNATURE and may_be_short_signature(last)
    if last.end < len(parts.text):
        return False
    if not is_named:
        return bool(_signatures(parts, weak=False)) and any(name.startswith(last.name) for name in _STRONG_EXPIRY)
    return last.name in _EXPIRY_SET and short_epoch(last.value) and bool(_signatures(parts))


def _begun_token(parts: Parts) -> list[Span]:
    """What is there of a token that breaks off with the URL."""
    start = None if parts.jwts else jwt_beginning(parts)
    return [] if start is None else [(start, len(parts.text))]


_SIGNING_ENDINGS = ("sign", "signature", "sig", "authkey", "auth-key", "token", "hmac", "key", "hash", "md5")
_SHORTEST_TIME = 8
_PREFIXED_EXPIRY = re.compile(r"(.+[_\-])expires?")


def _prefixed(parts: Parts) -> tuple[datetime, list[Span]] | None:
    """The time of ``<prefix>-expires`` and the signatures under the same prefix, if there are any."""
    for name, times in parts.params.items():
        match = _PREFIXED_EXPIRY.fullmatch(name) if len(times[0].raw) >= _SHORTEST_TIME else None
        if match is None:
            continue
        found = [param for ending in _SIGNING_ENDINGS for param in parts.params.get(match[1] + ending, ())]
        if any(is_signature(_bare(param.value)) for param in found):
            end = moments.parse_any(time_text(parts, name))
            if end is not None and moments.is_plausible(end):
                return end, [param.span for param in found if param.raw]
    return None


def _prefixed_end(parts: Parts) -> Death:
    found = _prefixed(parts)
    return Death(found[0] if found else None)


def _prefixed_secrets(parts: Parts) -> list[Span]:
    found = _prefixed(parts)
    return found[1] if found else []


_PATH_KEY = re.compile(r"[A-Za-z0-9_\-]{24,128}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _path_keys(parts: Parts) -> list[Span]:
    """The first segment that only a machine can have written; what follows it may be a public identifier."""
    for segment in parts.segments:
        if _PATH_KEY.fullmatch(segment.text) and not segment.text.startswith("0x") and is_key(segment.text):
            return [(segment.start, segment.end)]
    return []


def _named_secrets(parts: Parts) -> list[Span]:
    """What ``redact`` hides by its name."""
    return [
        (param.value_start + secret_offset(param.raw), param.end)
        for name, found in parts.params.items()
        if may_name_a_secret(name)
        for param in found
        if param.raw and is_secret(name, param.value)
    ]


def _known_keys(parts: Parts) -> list[Span]:
    return [
        param.span
        for found in parts.params.values()
        for param in found
        if len(param.raw) >= 20 and KNOWN_KEY.match(param.value)
    ]


def _userinfo(parts: Parts) -> list[Span]:
    """A password, or a name that is itself a token."""
    if parts.userinfo is None:
        return []
    start, end = parts.userinfo
    text = parts.text[start:end]
    name, colon, password = text.partition(":")
    if not colon and "%3a" in text.lower():
        return [(start, end)]
    spans = []
    # "https://host:443@/" is a misplaced port; "postgresql://user:secret@/name" has no host but a password.
    is_port = not parts.host and password.isdigit() and len(password) <= 5
    if password and not is_placeholder(password) and not is_port:
        spans.append((start + len(name) + 1, end))
    if not is_placeholder(name) and is_key(percent_decode(name)):
        spans.append((start, start + len(name)))
    return spans


_RPC_HOSTS = (
    *("alchemy.com", "alchemyapi.io", "infura.io", "quiknode.pro", "quicknode.pro", "ankr.com", "getblock.io"),
    *("blastapi.io", "chainstack.com", "p2pify.com", "nodereal.io", "nodereal.cc", "gateway.tenderly.co"),
    *("pokt.network", "grove.city", "moralis-nodes.com", "moralis.io", "zan.top", "drpc.org", "lavanet.xyz"),
    *("rpcpool.com", "dwellir.com", "validationcloud.io", "tatum.io", "helius-rpc.com", "allthatnode.com"),
    *("gateway.thegraph.com", "gateway-arbitrum.network.thegraph.com", "extrnode.com", "shyft.to", "1rpc.io"),
    *("bloxroute.com", "blockpi.network", "nownodes.io", "syndica.io", "rpcfast.com", "chainnodes.org"),
)

CREDENTIALS: tuple[Scheme, ...] = (
    Scheme(
        name="jwt",
        source="RFC 7519 (exp), RFC 7515, RFC 7516",
        jwt=True,
        begins_when=lambda parts: jwt_beginning(parts) is not None,
        begins=("*",),
        secret=(_begun_token,),
    ),
    Scheme(
        name="home_made",
        source="an expiry under a usual name beside a random value under a usual name of a signature",
        any_of=EXPIRY_NAMES,
        when=lambda parts: _expiry(parts) is not None,
        expires=_home_made_end,
        secret=(_signatures,),
        volatile=EXPIRY_NAMES,
        fallback=True,
        begins=(*EXPIRY_NAMES, "md5", "token", "hash"),
        begins_when=_home_made_has_begun,
    ),
    Scheme(
        name="prefixed",
        source="seen with x-orig-authkey, x-orig-expires, x-orig-sign: usual words under a prefix",
        any_of=("*-expires", "*-expire"),
        when=lambda parts: _prefixed(parts) is not None,
        expires=_prefixed_end,
        secret=(_prefixed_secrets,),
        volatile=("*expires", "*expire"),
        fallback=True,
    ),
    Scheme(
        name="userinfo",
        source="RFC 3986 section 3.2.1",
        userinfo=True,
        when=lambda parts: bool(_userinfo(parts)),
        secret=(_userinfo,),
        kind=Kind.CREDENTIAL_ONLY,
    ),
    Scheme(
        name="azure_functions",
        source="https://learn.microsoft.com/azure/azure-functions/function-keys-how-to: code is the key",
        hosts=("azurewebsites.net",),
        when=lambda parts: is_key(parts.first("code") or ""),
        secret=("code",),
        kind=Kind.CREDENTIAL_ONLY,
    ),
    Scheme(
        name="azure_logic_apps",
        source="https://learn.microsoft.com/azure/logic-apps/logic-apps-securing-a-logic-app: a SAS without end",
        hosts=("logic.azure.com", "powerplatform.com"),
        when=lambda parts: not parts.has("se") and is_signature(parts.first("sig") or ""),
        secret=("sig",),
        kind=Kind.CREDENTIAL_ONLY,
    ),
    Scheme(
        name="rpc_key",
        source="the documents of the providers of block chain nodes: the key is a segment of the path",
        hosts=_RPC_HOSTS,
        when=lambda parts: bool(_path_keys(parts)),
        secret=(_path_keys,),
        kind=Kind.CREDENTIAL_ONLY,
    ),
    Scheme(
        name="api_key",
        source="names that promise a secret, and a value that can be one",
        named=True,
        secret=(_named_secrets,),
        kind=Kind.CREDENTIAL_ONLY,
        fallback=True,
    ),
    Scheme(
        name="api_key",
        source="keys that tell their maker by their first letters, under any name",
        long_value=True,
        when=lambda parts: bool(_known_keys(parts)),
        secret=(_known_keys,),
        kind=Kind.CREDENTIAL_ONLY,
        fallback=True,
    ),
)
