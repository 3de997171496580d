"""Signed URLs of China's object stores: Alibaba, Tencent, Volcengine, Huawei, Qiniu, Baidu and others."""

from __future__ import annotations

import re

from video_assets.urls.classify.classification import Bound, Kind
from video_assets.urls.schemes.beginnings import last_is, short_base64, short_epoch, short_hex, timed, written
from video_assets.urls.schemes.model import (
    ANSWER_PARAMS,
    Death,
    Scheme,
    both,
    date_plus_seconds,
    either,
    epoch,
    shaped,
    shaped_secret,
    with_any,
)
from video_assets.urls.syntax import times as moments
from video_assets.urls.syntax.parts import Parts, percent_decode

_COS_INSIDE = re.compile(r"q-sign-algorithm=|q-signature=")

_COS_TIME = re.compile(r"(?:^|&)q-(?:sign|key)-time=[0-9]{1,12};(?P<time>[0-9]{1,12})")

_COS_SECRET = re.compile(r"(?:^|&)q-signature=(?P<secret>[0-9A-Fa-f]+)")

_COS_PAIR = re.compile(r"\s*[0-9]{1,15}\s*;\s*([0-9]{1,15})\s*")


def _cos_end(parts: Parts) -> Death:
    bound = Bound.UPPER if parts.has("x-cos-security-token") else Bound.CERTAIN
    ends = [
        moments.parse_epoch(pair[1])
        for name in ("q-sign-time", "q-key-time")
        if (pair := _COS_PAIR.fullmatch(percent_decode(parts.first(name) or "")))
    ]
    for param in parts.params.get("sign", ()):
        ends += [moments.parse_epoch(match["time"]) for match in _COS_TIME.finditer(param.value)]
    return Death(moments.earliest(*ends), bound)


_BCE = re.compile(
    r"^bce-auth-v[0-9]/[^/]{1,128}/(?P<began>[0-9TZ:\-]{10,24})/(?P<seconds>-?[0-9]{1,12})/[^/]{0,512}/(?P<secret>[0-9A-Fa-f]{16,})$"
)


_BCE_BEGUN = re.compile(r"bce-auth-v[0-9](?:/|\Z)")


def _bce(parts: Parts) -> re.Match[str] | None:
    return _BCE.search(parts.first("authorization") or "")


def _bce_end(parts: Parts) -> Death:
    match = _bce(parts)
    bound = Bound.UPPER if parts.has("x-bce-security-token") else Bound.CERTAIN
    if match is None:
        return Death(None)
    return Death(moments.add(moments.parse_iso(match["began"]), moments.parse_seconds(match["seconds"])), bound)


def _bce_is_endless(parts: Parts) -> bool:
    match = _bce(parts)
    return match is not None and match["seconds"].startswith("-")


_QINIU_TOKEN = re.compile(r"^[A-Za-z0-9_\-]{20,64}:(?P<secret>[A-Za-z0-9_\-]{20,64}={0,2})$")

_QINIU_BEGUN = re.compile(r"[A-Za-z0-9_\-]{20,64}(?::[A-Za-z0-9_\-]*)?\Z|(?=[^0-9]*[0-9])[A-Za-z0-9_\-]{4,19}\Z")

_UPYUN = re.compile(r"^(?P<secret>[0-9A-Fa-f]{8})(?P<time>[0-9]{10})$")

CLOUDS_CHINA: tuple[Scheme, ...] = (
    Scheme(
        name="alibaba_oss_v1",
        source="https://www.alibabacloud.com/help/oss/developer-reference/add-signatures-to-urls; oss2",
        needs=("ossaccesskeyid", "signature"),
        expires=epoch("expires", upper_with="security-token"),
        secret=("signature", "security-token"),
        volatile=("expires", *ANSWER_PARAMS),
        begins=("ossaccesskeyid",),
        cut=(("signature", short_base64), ("expires", short_epoch)),
    ),
    Scheme(
        name="alibaba_oss_v4",
        source="https://www.alibabacloud.com/help/oss/developer-reference/add-signatures-to-urls (V4); oss2",
        needs=("x-oss-signature",),
        when=with_any("x-oss-date", "x-oss-credential", "x-oss-signature-version"),
        expires=date_plus_seconds("x-oss-date", "x-oss-expires", upper_with="x-oss-security-token"),
        secret=("x-oss-signature", "x-oss-security-token"),
        volatile=(
            *("x-oss-date", "x-oss-expires", "x-oss-credential", "x-oss-signature-version"),
            *("x-oss-additional-headers", "x-oss-access-key-id", *ANSWER_PARAMS),
        ),
        begins=("x-oss-signature-version", "x-oss-credential", "x-oss-date", "x-oss-signature", "x-oss-expires"),
        cut=(("x-oss-signature", short_hex(64)),),
    ),
    Scheme(
        name="tencent_cos",
        source="https://cloud.tencent.com/document/product/436/7778",
        any_of=("q-signature", "sign"),
        when=either(
            both(with_any("q-signature"), with_any("q-sign-time", "q-key-time")), shaped(("sign",), _COS_INSIDE)
        ),
        expires=_cos_end,
        secret=("q-signature", "x-cos-security-token", shaped_secret(("sign",), _COS_SECRET)),
        volatile=("q-*", "sign", *ANSWER_PARAMS),
        begins=("q-sign-algorithm", "q-ak", "q-sign-time", "q-key-time", "q-header-list", "q-url-param-list"),
        cut=(("q-signature", short_hex(40)), ("sign", lambda value: not _COS_SECRET.search(value))),
    ),
    Scheme(
        name="volcengine_tos",
        source="https://www.volcengine.com/docs/6349/134673; BytePlus TOS SDK",
        needs=("x-tos-signature",),
        when=with_any("x-tos-date", "x-tos-credential", "x-tos-algorithm"),
        expires=date_plus_seconds("x-tos-date", "x-tos-expires", upper_with="x-tos-security-token"),
        secret=("x-tos-signature", "x-tos-security-token"),
        volatile=(
            *("x-tos-algorithm", "x-tos-credential", "x-tos-date", "x-tos-expires", "x-tos-signedheaders"),
            *("x-tos-policy", "x-tos-signedquery", *ANSWER_PARAMS),
        ),
        begins=("x-tos-algorithm", "x-tos-credential", "x-tos-date", "x-tos-expires", "x-tos-signedheaders"),
        cut=(("x-tos-signature", short_hex(64)),),
    ),
    Scheme(
        name="huawei_obs",
        source="https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0011.html",
        needs=("accesskeyid", "signature"),
        expires=epoch("expires", upper_with="x-obs-security-token"),
        secret=("signature", "x-obs-security-token"),
        volatile=("expires", *ANSWER_PARAMS),
        begins=("accesskeyid",),
        cut=(("signature", short_base64), ("expires", short_epoch)),
    ),
    Scheme(
        name="kingsoft_ks3",
        source="https://docs.ksyun.com/documents/891 (URL signature)",
        needs=("kssaccesskeyid", "signature"),
        expires=epoch("expires", upper_with="security-token"),
        secret=("signature", "security-token", "x-kss-security-token"),
        volatile=("expires", *ANSWER_PARAMS),
        begins=("kssaccesskeyid",),
        cut=(("signature", short_base64), ("expires", short_epoch)),
    ),
    Scheme(
        name="ucloud_us3",
        source="https://docs.ucloud.cn/ufile/api/authorization (private download)",
        needs=("ucloudpublickey", "signature"),
        expires=epoch("expires"),
        secret=("signature", "securitytoken"),
        volatile=("expires",),
        begins=("ucloudpublickey",),
        cut=(("signature", short_base64), ("expires", short_epoch)),
    ),
    Scheme(
        name="qiniu",
        source="https://developer.qiniu.com/kodo/1202/download-token",
        needs=("token", "e"),
        when=shaped(("token",), _QINIU_TOKEN),
        expires=epoch("e"),
        secret=(shaped_secret(("token",), _QINIU_TOKEN),),
        volatile=("attname",),
        begins=("token",),
        begins_when=both(timed("e"), last_is("token"), written("token", _QINIU_BEGUN)),
        cut=(("e", short_epoch),),
    ),
    Scheme(
        name="baidu_bos",
        source="https://cloud.baidu.com/doc/Reference/s/Njwvz1wot (expiration in seconds)",
        needs=("authorization",),
        when=both(shaped(("authorization",), _BCE), lambda parts: not _bce_is_endless(parts)),
        expires=_bce_end,
        secret=(shaped_secret(("authorization",), _BCE), "x-bce-security-token"),
        volatile=("responsecontentdisposition", *ANSWER_PARAMS),
        begins=("authorization",),
        begins_when=lambda parts: (
            _bce(parts) is None and _BCE_BEGUN.match(parts.first("authorization") or "") is not None
        ),
    ),
    Scheme(
        name="baidu_bos",
        source="https://cloud.baidu.com/doc/BOS (expirationInSeconds = -1: for ever)",
        needs=("authorization",),
        when=_bce_is_endless,
        secret=(shaped_secret(("authorization",), _BCE), "x-bce-security-token"),
        kind=Kind.CREDENTIAL_ONLY,
    ),
    Scheme(
        name="upyun",
        source="https://help.upyun.com/knowledge-base/cdn-token-limite/ (_upt)",
        needs=("_upt",),
        when=shaped(("_upt",), _UPYUN),
        expires=lambda parts: Death(
            moments.parse_epoch(match["time"]) if (match := _UPYUN.search(parts.first("_upt") or "")) else None
        ),
        secret=(shaped_secret(("_upt",), _UPYUN),),
    ),
)
