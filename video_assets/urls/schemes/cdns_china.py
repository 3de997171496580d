"""Tokens of China's content delivery networks and of the platforms on them, and lighttpd, which looks alike."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from video_assets.urls.classify.classification import Bound
from video_assets.urls.schemes.beginnings import (
    drawn,
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
    hex_epoch,
    in_path,
    on,
    path_secret,
    path_time,
    shaped,
    shaped_secret,
    shaped_time,
    signed,
    timely,
    values_of,
)
from video_assets.urls.syntax import times as moments
from video_assets.urls.syntax.parts import Parts, Span
from video_assets.urls.syntax.tokens import is_signature

# timestamp-rand-uid-md5: Alibaba type A, Tencent type A, Volcengine type A, Huawei CDN method A
_TYPE_A = re.compile(
    rf"^(?P<time>[0-9]{{10}}|[0-9a-fA-F]{{8}})-[0-9A-Za-z]{{1,128}}-[0-9A-Za-z_]{{1,64}}-(?P<secret>{MD5}(?:[0-9a-fA-F]{{8}}|{MD5})?)$"
)

_DAY_AND_MINUTE = r"20[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:[01][0-9]|2[0-3])[0-5][0-9]"

_TYPE_B = re.compile(rf"^/(?P<time>{_DAY_AND_MINUTE})/(?P<secret>{MD5})/.")

# The end to the second in China's time, beside the digest. Other pairs of a date and a digest name a backup or
# a build, so nothing but these two stands before the file's own path.
_NETEASE = re.compile(
    rf"""
    ^/(?:(?P<time>{_DAY_AND_MINUTE}[0-5][0-9])/(?P<secret>{MD5})
        |(?P<secret_first>{MD5})/(?P<time_last>{_DAY_AND_MINUTE}[0-5][0-9]))/.
    """,
    re.VERBOSE,
)
_TYPE_A_BEGUN = re.compile(
    r"1[5-9][0-9]{8}-(?:[0-9A-Za-z]{1,128}(?:-[0-9A-Za-z_]{0,64}(?:-[0-9a-f]{0,31})?)?)?\Z"
)

# A hexadecimal time in a path is one of 2012 to 2038: any other eight digits beside a digest name a file.
_PATH_TIME = "(?P<time>[5-7][0-9a-fA-F]{7})"

_TYPE_C = re.compile(rf"^/(?P<secret>{MD5})/{_PATH_TIME}/.")

_LIGHTTPD = re.compile(
    rf"^/(?:[^/]{{1,64}}/){{1,4}}(?P<secret>{MD5}|[0-9a-fA-F]{{40}}|[0-9a-fA-F]{{64}})/{_PATH_TIME}/."
)

_TIKTOK = ("tiktok.com", "tiktokcdn.com", "tiktokcdn-us.com", "tiktokcdn-eu.com", "tiktokv.com", "tiktokv.us")

_HEX_EPOCH_VALUE = re.compile(r"^[4-9a-fA-F][0-9a-fA-F]{7}$")

_CHINA = timezone(timedelta(hours=8))


def _china_time(digits: str) -> datetime | None:
    return moments.parse_iso(f"{digits[:8]}T{digits[8:]}", zone=_CHINA)


def _type_b_end(parts: Parts) -> Death:
    match = _TYPE_B.search(parts.path)
    return Death(_china_time(match["time"]) if match else None, Bound.LOWER)


def _netease_end(parts: Parts) -> Death:
    match = _NETEASE.search(parts.path)
    return Death(_china_time(match["time"] or match["time_last"]) if match else None)


def _netease_secret(parts: Parts) -> list[Span]:
    match = _NETEASE.search(parts.path)
    if match is None:
        return []
    start, end = match.span("secret" if match["secret"] else "secret_first")
    return [(parts.path_start + start, parts.path_start + end)]


def _wangsu_end(parts: Parts) -> Death:
    if parts.has("wsabstime"):
        return Death(decimal_or_hex(parts.first("wsabstime") or ""))
    return Death(decimal_or_hex(parts.first("wstime") or ""), Bound.LOWER)


CDNS_CHINA: tuple[Scheme, ...] = (
    Scheme(
        name="alibaba_cdn_a",
        source=(
            "https://www.alibabacloud.com/help/cdn/user-guide/type-a-signing (the server adds its own lifetime)"
        ),
        any_of=("auth_key",),
        when=shaped(("auth_key",), _TYPE_A),
        expires=shaped_time(("auth_key",), _TYPE_A, base=16, bound=Bound.LOWER),
        secret=(shaped_secret(("auth_key",), _TYPE_A),),
        volatile=("auth_key",),
        begins=("auth_key",),
        begins_when=both(last_is("auth_key"), written("auth_key", _TYPE_A_BEGUN)),
    ),
    Scheme(
        name="tencent_cdn_a",
        source=(
            "https://www.tencentcloud.com/document/product/228/33115 (type A; the server adds its own lifetime)"
        ),
        any_of=("sign", "key", "token"),
        when=shaped(("sign", "key", "token"), _TYPE_A),
        expires=shaped_time(("sign", "key", "token"), _TYPE_A, base=16, bound=Bound.LOWER),
        secret=(shaped_secret(("sign", "key", "token"), _TYPE_A),),
        volatile=("sign",),
    ),
    Scheme(
        name="alibaba_cdn_b",
        source=(
            "https://www.alibabacloud.com/help/cdn/user-guide/type-b-signing"
            " (time in UTC+8; the server adds a lifetime)"
        ),
        digest=True,
        when=in_path(_TYPE_B),
        expires=_type_b_end,
        secret=(path_secret(_TYPE_B),),
        volatile_path=_TYPE_B,
    ),
    Scheme(
        name="netease",
        source=(
            "seen on music.126.net: /<end in UTC+8 to the second>/<md5>/"
            " (github.com/Binaryify/NeteaseCloudMusicApi, issue 530)"
        ),
        digest=True,
        when=in_path(_NETEASE),
        expires=_netease_end,
        secret=(_netease_secret,),
        volatile_path=re.compile(r"^/(?P<cut>(?:[0-9]{14}/[0-9a-fA-F]{32}|[0-9a-fA-F]{32}/[0-9]{14})/)"),
    ),
    Scheme(
        name="alibaba_cdn_c",
        source="https://www.alibabacloud.com/help/cdn/user-guide/type-c-signing (the server adds a lifetime)",
        digest=True,
        when=both(in_path(_TYPE_C), lambda parts: not parts.on_host(*_TIKTOK)),
        expires=path_time(_TYPE_C, base=16, bound=Bound.LOWER),
        secret=(path_secret(_TYPE_C),),
        volatile_path=_TYPE_C,
    ),
    Scheme(
        name="alibaba_cdn_f",
        source=(
            "https://www.alibabacloud.com/help/cdn/user-guide/type-f-signing"
            " (sign and time; the server adds a lifetime)"
        ),
        needs=("sign", "time"),
        when=both(
            shaped(("sign",), MD5_VALUE),
            either(shaped(("time",), EPOCH_VALUE), shaped(("time",), _HEX_EPOCH_VALUE)),
        ),
        expires=lambda parts: Death(decimal_or_hex(parts.first("time") or ""), Bound.LOWER),
        secret=("sign",),
    ),
    Scheme(
        name="tencent_cdn_d",
        source="https://www.tencentcloud.com/document/product/228/33118 (type D; the server adds a lifetime)",
        needs=("sign", "t"),
        when=both(shaped(("sign",), MD5_VALUE), shaped(("t",), EPOCH_VALUE)),
        expires=epoch("t", bound=Bound.LOWER),
        secret=("sign",),
        begins=("sign",),
        begins_when=both(last_is("t", "ti", "tim", "time", "us"), shaped(("sign",), MD5_VALUE)),
    ),
    Scheme(
        name="xiaohongshu",
        source="seen on xhscdn.com: sign, t as a hexadecimal epoch",
        hosts=("xhscdn.com", "xiaohongshu.com"),
        needs=("sign", "t"),
        when=shaped(("t",), _HEX_EPOCH_VALUE),
        expires=hex_epoch("t"),
        secret=("sign",),
    ),
    Scheme(
        name="tencent_vod",
        source=("https://www.tencentcloud.com/document/product/266/33986 (t hex, us, sign)"),
        needs=("sign", "t"),
        when=both(
            either(shaped(("sign",), MD5_VALUE), shaped(("sign",), HASH_VALUE)),
            shaped(("t",), _HEX_EPOCH_VALUE),
        ),
        expires=hex_epoch("t"),
        secret=("sign",),
        volatile=("us", "rlimit"),
    ),
    Scheme(
        name="tencent_live",
        source="https://www.tencentcloud.com/document/product/267/31059 (txTime hex, txSecret)",
        needs=("txsecret", "txtime"),
        when=signed("txsecret", "txtime", read=moments.parse_hex_epoch),
        expires=hex_epoch("txtime"),
        secret=("txsecret",),
        begins=("txsecret", "txtime"),
        begins_when=either(timed("txtime", base=16), drawn("txsecret")),
        cut=(("txsecret", short_hex(32)), ("txtime", short_hex(8))),
    ),
    Scheme(
        name="tiktok",
        source="seen on TikTok's video hosts: /<signature>/<hex epoch>/video/, often with expire beside it",
        digest=True,
        when=both(on(*_TIKTOK), in_path(_TYPE_C)),
        expires=path_time(_TYPE_C, base=16),
        secret=(path_secret(_TYPE_C), "signature", "tk"),
        volatile=("expire", "l", "policy"),
        volatile_path=_TYPE_C,
    ),
    Scheme(
        name="bytedance_cdn",
        source="seen on TikTok and Dreamina: x-expires, x-signature",
        needs=("x-signature", "x-expires"),
        when=signed("x-signature", "x-expires"),
        expires=epoch("x-expires"),
        secret=("x-signature", "x-orig-sign"),
        volatile=("x-orig-*", "refresh_token", "shp", "shcp", "idc", "ps"),
        begins=("x-expires", "x-signature"),
        begins_when=either(timed("x-expires"), drawn("x-signature")),
        cut=(("x-signature", short_base64), ("x-expires", short_epoch)),
    ),
    Scheme(
        name="lighttpd_secdownload",
        source=(
            "https://redmine.lighttpd.net/projects/lighttpd/wiki/mod_secdownload"
            " (the time is of issue; the lifetime is on the server)"
        ),
        digest=True,
        when=both(in_path(_LIGHTTPD), lambda parts: not in_path(_TYPE_C)(parts)),
        secret=(path_secret(_LIGHTTPD),),
        volatile_path=_LIGHTTPD,
    ),
    Scheme(
        name="wangsu",
        source=("Wangsu (CDNetworks) anti-leech: wsABSTime is the end in hex; wsTime is of issue"),
        needs=("wssecret",),
        when=either(signed("wssecret", "wstime", read=decimal_or_hex), timely("wsabstime", read=decimal_or_hex)),
        expires=_wangsu_end,
        secret=("wssecret",),
        volatile=("wstime", "wsabstime"),
        begins=("wssecret", "wstime", "wsabstime"),
        begins_when=either(
            timed("wstime", "wsabstime"), timed("wstime", "wsabstime", base=16), drawn("wssecret")
        ),
    ),
    Scheme(
        name="weibo",
        source="seen on Sina Weibo: Expires, ssig, KID",
        needs=("ssig", "expires"),
        when=signed("ssig", "expires"),
        expires=epoch("expires"),
        secret=("ssig",),
        volatile=("kid",),
        lists=("kid",),
        begins=("ssig",),
        begins_when=timed("expires"),
    ),
    Scheme(
        name="bilibili",
        source="seen on Bilibili: deadline, upsig (e is not a time there)",
        needs=("upsig", "deadline"),
        when=signed("upsig", "deadline"),
        expires=epoch("deadline"),
        secret=("upsig",),
        lists=("uparams",),
        volatile=(
            "uparams",
            "trid",
            "e",
            "uipk",
            "nbs",
            "oi",
            "platform",
            "gen",
            "os",
            "og",
            "mid",
            "bvc",
            "nettype",
            "orderid",
            "buvid",
            "build",
            "bw",
            "logo",
        ),
        begins=("deadline", "upsig"),
        begins_when=both(
            either(timed("deadline"), drawn("upsig")),
            lambda parts: bool({"upsig", "uparams", "uipk", "trid"} & parts.params.keys()),
        ),
        cut=(("upsig", short_hex(32)),),
    ),
    Scheme(
        name="qq_stream",
        source="seen on QQ's hosts of songs and films: vkey ends within a day, its time is on the server",
        hosts=("qqmusic.qq.com", "music.tc.qq.com", "video.qq.com", "tc.qq.com", "wmvideo.qq.com"),
        when=lambda parts: is_signature(parts.first("vkey") or ""),
        secret=(values_of("vkey"),),
        volatile=("vkey", "guid", "uin", "fromtag"),
    ),
)
