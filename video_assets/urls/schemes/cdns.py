"""Tokens that content delivery networks check at their edge, and the modules of web servers that imitate them."""

from __future__ import annotations

import re
from datetime import timedelta

from video_assets.urls.classify.classification import Kind
from video_assets.urls.schemes.beginnings import (
    drawn,
    hex_but_of,
    last_is,
    short_base64,
    short_epoch,
    short_hex,
    timed,
    written,
)
from video_assets.urls.schemes.model import (
    EPOCH_VALUE,
    HASH_VALUE,
    MD5,
    MD5_VALUE,
    Death,
    Scheme,
    both,
    decimal_or_hex,
    either,
    epoch,
    in_path,
    on,
    path_secret,
    path_time,
    shaped,
    shaped_secret,
    shaped_time,
    signed,
    timely,
    with_any,
)
from video_assets.urls.syntax import times as moments
from video_assets.urls.syntax.parts import Parts
from video_assets.urls.syntax.tokens import decode_base64, is_signature

# The fields stand in any order, so the first may be the MAC: then another must follow it.
_AKAMAI = re.compile(
    r"(?:(?P<later>~|%(?:25)*7[eE])|[=/]|%(?:25)*(?:3[dD]|2[fF]))hmac(?:=|%(?:25)*3[dD])"
    r"(?P<secret>[0-9a-fA-F]{16,})(?(later)|(?=~|%(?:25)*7[eE]))"
)

# The delimiter is a setting of the signer: some write "_" instead of "~".
_AKAMAI_UNDERSCORED = re.compile(
    r"(?<![A-Za-z0-9_])(?:exp|acl|url|st)(?:=|%(?:25)*3[dD])[^&?#\s]{1,500}?_hmac(?:=|%(?:25)*3[dD])"
    r"(?P<secret>[0-9a-fA-F]{16,})"
)

_AKAMAI_TIME = re.compile(
    r"(?:[~/=&?,_]|%(?:25)*(?:7[eE]|3[dD]|2[fF]))exp(?:=|%(?:25)*3[dD])(?P<time>[0-9]{1,13})(?![0-9])"
)

_AKAMAI_BEGUN = re.compile(r"(?:st|exp)=[0-9]|(?:ip|acl|data|id)=[^~]*~(?:st|exp)=")


def _akamai_broke_off(value: str) -> bool:
    """True for a token whose MAC, by the length of its SHA-256, is not whole; SHA-1 and MD5 are."""
    _, sign, mac = value.replace("%3D", "=").replace("%7E", "~").rpartition("hmac=")
    return bool(sign) and "~" not in mac and len(mac) not in (32, 40, 64) and len(mac) < 64


_GDA = re.compile(r"^(?:exp=)?(?P<time>[0-9]{10})_(?P<secret>[0-9a-fA-F]{32,128})$")


def _akamai_end(parts: Parts) -> Death:
    return Death(
        moments.earliest(*(moments.parse_epoch(match["time"]) for match in _AKAMAI_TIME.finditer(parts.text)))
    )


def _akamai_secret(parts: Parts) -> list[tuple[int, int]]:
    return [
        match.span("secret") for shape in (_AKAMAI, _AKAMAI_UNDERSCORED) for match in shape.finditer(parts.text)
    ]


_HASH_THEN_EPOCH = re.compile(
    rf"/(?P<secret>{MD5}|(?=[A-Za-z_\-]*(?:[0-9]|[A-Z]{{2}}))[A-Za-z0-9_\-]{{22}}(?:==)?)/(?P<time>[1-4][0-9]{{9}})/."
)

_FASTLY_BEGUN = re.compile(r"1[5-9][0-9]{8}_[0-9a-f]*\Z")

_CLOUDFLARE_BEGUN = re.compile(r"1[5-9][0-9]{8}-[A-Za-z0-9+/%_\-]*\Z")

_CLOUDFLARE = re.compile(r"^(?P<time>[0-9]{10})-(?P<secret>[A-Za-z0-9+/_\-]{27,88}={0,2})$")

_FASTLY = re.compile(
    r"^(?P<time>[0-9]{10}|0[xX][0-9a-fA-F]{8}|[4-9a-fA-F][0-9a-fA-F]{7})_(?P<secret>(?:0x)?[0-9A-Za-z+/\-]{20,128}={0,2})$"
)

_FASTLY_DECODED = re.compile(r"^(?P<time>[0-9]{10}|(?:0[xX])?[0-9a-fA-F]{8})_[0-9A-Za-z+/=\-]{8,}$")


def _fastly_text(parts: Parts) -> str:
    value = parts.first("fastly_token") or ""
    if _FASTLY.match(value):
        return value
    return (decode_base64(value) or b"").decode("ascii", "replace")


def _fastly_end(parts: Parts) -> Death:
    match = _FASTLY_DECODED.match(_fastly_text(parts))
    return Death(decimal_or_hex(match["time"]) if match else None)


_BUNNY_PATH = re.compile(r"/bcdn_token=(?P<secret>[^/&]+)&(?:[^/]*?&)?expires=(?P<time>[0-9]{9,13})")

_CDN77 = re.compile(r"^(?P<secret>[A-Za-z0-9_\-+/]{20,}={0,2}),(?P<time>[0-9]{10})$")

_CDN77_PATH = re.compile(r"^/(?P<secret>[A-Za-z0-9_\-+=]{20,44}),(?P<time>[0-9]{10})/.")

_WMS_AUTH = re.compile(
    r"""
    (?:^|&)server_time=(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})/(?P<year>[0-9]{4})[ ]
        (?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})[ ](?P<half>[AaPp])[Mm]
    (?:&[^&]*)*?&validminutes=(?P<valid>[0-9]{1,7})
    """,
    re.VERBOSE,
)


def _wms_auth_text(parts: Parts) -> str:
    value = (parts.first("wmsauthsign") or "").replace(" ", "+")
    return value if "server_time=" in value else (decode_base64(value) or b"").decode("utf-8", "replace")


def _wms_auth_end(parts: Parts) -> Death:
    match = _WMS_AUTH.search(_wms_auth_text(parts).replace("+", " "))
    if match is None:
        return Death(None)
    hour = int(match["hour"]) % 12 + (12 if match["half"] in "pP" else 0)
    began = moments.parse_iso(
        f"{match['year']}-{match['month']:0>2}-{match['day']:0>2}T{hour:02}:{match['minute']}:{match['second']}Z"
    )
    return Death(moments.add(began, timedelta(minutes=int(match["valid"]))))


CDNS: tuple[Scheme, ...] = (
    Scheme(
        name="akamai",
        source=(
            "https://techdocs.akamai.com/adaptive-media-delivery/docs/add-token-auth;"
            " akamai/EdgeAuth-Token-Python"
        ),
        hint="hmac",
        when=lambda parts: bool(_akamai_secret(parts)),
        expires=_akamai_end,
        secret=(_akamai_secret,),
        volatile_path=re.compile(r"/(?P<cut>[^/]*hmac(?:=|%3[dD])[^/]*/?)"),
        volatile=("hdnts", "hdnea", "hdntl", "__token__", "__cld_token__", "hmac", "exp", "acl", "st"),
        begins=("hdnts", "hdnea", "hdntl", "__token__", "__cld_token__", "token"),
        begins_when=lambda parts: any(
            param.name != "token" or _AKAMAI_BEGUN.match(param.value)
            for name in ("hdnts", "hdnea", "hdntl", "__token__", "__cld_token__", "token")
            for param in parts.params.get(name, ())
        ),
        cut=tuple(
            (name, _akamai_broke_off)
            for name in ("hdnts", "hdnea", "hdntl", "__token__", "__cld_token__", "token")
        ),
    ),
    Scheme(
        name="akamai_gda",
        source="Akamai token authentication 1.0: __gda__=<expiry>_<md5>",
        needs=("__gda__",),
        when=shaped(("__gda__",), _GDA),
        expires=shaped_time(("__gda__",), _GDA),
        secret=(shaped_secret(("__gda__",), _GDA),),
        begins=("__gda__",),
    ),
    Scheme(
        name="cloudflare_token",
        source=(
            "https://developers.cloudflare.com/waf/custom-rules/use-cases/configure-token-authentication/"
            " (holds the issue time; the lifetime is in the rule)"
        ),
        any_of=("verify", "hmac", "mac"),
        when=shaped(("verify", "hmac", "mac"), _CLOUDFLARE),
        secret=(shaped_secret(("verify", "hmac", "mac"), _CLOUDFLARE),),
        volatile=("verify",),
        begins=("verify",),
        begins_when=both(last_is("verify"), written("verify", _CLOUDFLARE_BEGUN)),
        cut=(("verify", lambda value: short_base64(value.partition("-")[2])),),
    ),
    Scheme(
        name="cloudflare_images",
        source="https://developers.cloudflare.com/images/manage-images/serve-images/serve-private-images/",
        needs=("sig", "exp"),
        when=lambda parts: parts.on_host("imagedelivery.net") or "/cdn-cgi/imagedelivery/" in parts.path,
        expires=epoch("exp"),
        secret=("sig",),
        begins=("exp",),
        begins_when=both(timed("exp"), on("imagedelivery.net")),
        cut=(("sig", short_hex(64)), ("exp", short_epoch)),
    ),
    Scheme(
        name="cloudflare_stream",
        source="https://developers.cloudflare.com/stream/viewing-videos/securing-your-stream/",
        hosts=("cloudflarestream.com", "videodelivery.net"),
        jwt=True,
    ),
    Scheme(
        name="fastly",
        source="https://www.fastly.com/documentation/solutions/tutorials/token-validation/",
        any_of=("token",),
        when=shaped(("token",), _FASTLY),
        expires=lambda parts: Death(
            decimal_or_hex(match["time"]) if (match := _FASTLY.search(parts.first("token") or "")) else None
        ),
        secret=(shaped_secret(("token",), _FASTLY),),
        volatile=("token",),
        begins=("token",),
        begins_when=both(last_is("token"), written("token", _FASTLY_BEGUN)),
        cut=(("token", lambda value: hex_but_of(40, 64)(value.partition("_")[2])),),
    ),
    Scheme(
        name="brightcove_fastly",
        source="seen on Brightcove: fastly_token = base64 of <hex epoch>_<hmac>",
        needs=("fastly_token",),
        expires=_fastly_end,
        secret=("fastly_token",),
        volatile=("fastly_token",),
    ),
    Scheme(
        name="bunny",
        source="https://docs.bunny.net/docs/cdn-token-authentication-advanced",
        needs=("token", "expires"),
        when=lambda parts: (
            not any(param.in_path for param in parts.params["expires"])
            and timely("expires")(parts)
            and is_signature((parts.first("token") or "").removeprefix("HS256-"))
        ),
        expires=epoch("expires"),
        secret=("token",),
        volatile=(
            "token_path",
            "token_countries",
            "token_countries_blocked",
            "token_ver",
            "limit",
            "token_ignore_params",
        ),
    ),
    Scheme(
        name="bunny",
        source="https://docs.bunny.net/docs/cdn-token-authentication-advanced (directory tokens in the path)",
        hint="/bcdn_token=",
        when=in_path(_BUNNY_PATH),
        expires=path_time(_BUNNY_PATH),
        secret=(path_secret(_BUNNY_PATH),),
        volatile_path=re.compile(r"/(?P<cut>bcdn_token=[^/]*/?)"),
    ),
    Scheme(
        name="keycdn",
        source="https://www.keycdn.com/support/secure-token (410 after the time)",
        needs=("token", "expire"),
        when=both(timely("expire"), lambda parts: is_signature(parts.first("token") or "")),
        expires=epoch("expire"),
        secret=("token",),
    ),
    Scheme(
        name="nginx_secure_link",
        source="https://nginx.org/en/docs/http/ngx_http_secure_link_module.html",
        needs=("md5", "expires"),
        when=shaped(("md5",), HASH_VALUE),
        expires=epoch("expires"),
        secret=("md5",),
    ),
    Scheme(
        name="nginx_secure_link",
        source="https://nginx.org/en/docs/http/ngx_http_secure_link_module.html (the usual names st and e)",
        needs=("st", "e"),
        when=both(shaped(("st",), HASH_VALUE), shaped(("e",), EPOCH_VALUE)),
        expires=epoch("e"),
        secret=("st",),
    ),
    Scheme(
        name="nginx_secure_link",
        source="https://nginx.org/en/docs/http/ngx_http_secure_link_module.html (hash and time in the path)",
        digest=True,
        when=in_path(_HASH_THEN_EPOCH),
        expires=path_time(_HASH_THEN_EPOCH),
        secret=(path_secret(_HASH_THEN_EPOCH),),
        volatile_path=_HASH_THEN_EPOCH,
    ),
    Scheme(
        name="limelight_mediavault",
        source="Edgio/Limelight MediaVault: e = end, h = MD5",
        needs=("h", "e"),
        when=both(shaped(("h",), MD5_VALUE), shaped(("e",), EPOCH_VALUE)),
        expires=epoch("e"),
        secret=("h",),
        volatile=("s", "p", "cf", "cd", "ip"),
    ),
    Scheme(
        name="wowza",
        source="https://www.wowza.com/docs/how-to-protect-streaming-using-securetoken-in-wowza-streaming-engine",
        any_of=("wowzatokenhash",),
        expires=epoch("wowzatokenendtime"),
        secret=("wowzatokenhash",),
        volatile=("wowzatoken*",),
        begins=("wowzatokenendtime", "wowzatokenstarttime"),
    ),
    Scheme(
        name="cdn77",
        source="https://client.cdn77.com/support/knowledgebase/cdn/how-do-i-use-secure-tokens",
        any_of=("secure",),
        when=shaped(("secure",), _CDN77),
        expires=shaped_time(("secure",), _CDN77),
        secret=(shaped_secret(("secure",), _CDN77),),
        volatile=("secure",),
    ),
    Scheme(
        name="cdn77",
        source="https://client.cdn77.com/support/knowledgebase/cdn/how-do-i-use-secure-tokens (in the path)",
        hint=",",
        when=in_path(_CDN77_PATH),
        expires=path_time(_CDN77_PATH),
        secret=(path_secret(_CDN77_PATH),),
        volatile_path=_CDN77_PATH,
    ),
    Scheme(
        name="imgix",
        source="https://docs.imgix.com/apis/rendering/expiration (honoured unsigned, 404 afterwards)",
        needs=("expires",),
        when=both(timely("expires"), either(on("imgix.net"), with_any("ixlib", "ixid"))),
        expires=epoch("expires"),
        secret=("s",),
        volatile=("ixlib", "ixid"),
    ),
    Scheme(
        name="bytescale",
        source="https://www.bytescale.com/docs/download-api/private-file-urls (exp in s, ms or inf)",
        needs=("sig", "exp"),
        when=both(on("upcdn.io"), lambda parts: (parts.first("exp") or "").lower() != "inf"),
        expires=epoch("exp"),
        secret=("sig",),
        begins=("exp",),
        begins_when=both(timed("exp"), on("upcdn.io")),
        cut=(("sig", short_hex(64)),),
    ),
    Scheme(
        name="bytescale",
        source="https://www.bytescale.com/docs/download-api/private-file-urls (exp=inf never ends)",
        needs=("sig", "exp"),
        when=both(on("upcdn.io"), lambda parts: (parts.first("exp") or "").lower() == "inf"),
        secret=("sig",),
        kind=Kind.CREDENTIAL_ONLY,
    ),
    Scheme(
        name="imagekit",
        source="https://imagekit.io/docs/media-delivery-basic-security (ik-t)",
        needs=("ik-s", "ik-t"),
        when=signed("ik-s", "ik-t"),
        expires=epoch("ik-t"),
        secret=("ik-s",),
        begins=("ik-t", "ik-s"),
        begins_when=either(timed("ik-t"), drawn("ik-s")),
        cut=(("ik-s", short_hex(40)), ("ik-t", short_epoch)),
    ),
    Scheme(
        name="pixelbin",
        source="https://www.pixelbin.io/docs/url-signing/ (pbe)",
        needs=("pbs", "pbe"),
        when=signed("pbs", "pbe"),
        expires=epoch("pbe"),
        secret=("pbs",),
        volatile=("pbt",),
        begins=("pbe", "pbs"),
        begins_when=either(timed("pbe"), drawn("pbs")),
    ),
    Scheme(
        name="nimble_wmsauth",
        source=(
            "https://softvelum.com/paywall/hotlinking_protection/: base64 of server_time (UTC), hash_value and"
            " validminutes"
        ),
        any_of=("wmsauthsign",),
        when=lambda parts: "server_time=" in _wms_auth_text(parts),
        expires=_wms_auth_end,
        secret=("wmsauthsign",),
    ),
)
