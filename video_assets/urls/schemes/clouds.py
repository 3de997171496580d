"""Signed URLs of object stores: AWS, Google, Azure, Alibaba, Tencent, Volcengine, Huawei and the others."""

from __future__ import annotations

import re

from video_assets.urls import moments
from video_assets.urls.classification import Bound, Kind
from video_assets.urls.parts import Parts
from video_assets.urls.schemes.model import (
    Death,
    Scheme,
    both,
    date_plus_seconds,
    earliest_of,
    either,
    epoch,
    in_path,
    path_secret,
    path_time,
    shaped,
    shaped_secret,
    with_any,
    without,
)
from video_assets.urls.tokens import decode_base64, read_json_object

# A download's name and headers are asked for anew with every signature; they say nothing about the file.
_ANSWER = ("response-*", "x-id")


def _is_sigv4a(parts: Parts) -> bool:
    return (parts.first("x-amz-algorithm") or "").upper().startswith("AWS4-ECDSA") or parts.has(
        "x-amz-region-set"
    )


_CLOUDFRONT_BASE64 = str.maketrans("-_~", "+=/")


def _policy_end(parts: Parts) -> Death:
    """``Statement[].Condition.DateLessThan["AWS:EpochTime"]`` of a CloudFront custom policy."""
    written = parts.first("policy") or ""
    policy = (
        read_json_object(decode_base64(written.translate(_CLOUDFRONT_BASE64)))
        or read_json_object(decode_base64(written))  # some signers write plain or URL-safe base64
        or {}
    )
    statements = policy.get("Statement")
    ends = []
    for statement in statements if isinstance(statements, list) else [statements]:
        condition = statement.get("Condition") if isinstance(statement, dict) else None
        before = condition.get("DateLessThan") if isinstance(condition, dict) else None
        value = before.get("AWS:EpochTime") if isinstance(before, dict) else None
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            ends.append(moments.parse_any(str(value)))
    return Death(moments.earliest(*ends))


_COS_INSIDE = re.compile(r"q-sign-algorithm=|q-signature=")
_COS_TIME = re.compile(r"(?:^|&)q-(?:sign|key)-time=[0-9]{1,12};(?P<time>[0-9]{1,12})")
_COS_SECRET = re.compile(r"(?:^|&)q-signature=(?P<secret>[0-9A-Fa-f]+)")
_COS_PAIR = re.compile(r"\s*[0-9]{1,15}\s*;\s*([0-9]{1,15})\s*")


def _cos_end(parts: Parts) -> Death:
    bound = Bound.UPPER if parts.has("x-cos-security-token") else Bound.CERTAIN
    ends = [
        moments.parse_epoch(pair[1])
        for name in ("q-sign-time", "q-key-time")
        if (pair := _COS_PAIR.fullmatch(parts.first(name) or ""))
    ]
    for param in parts.params.get("sign", ()):
        ends += [moments.parse_epoch(match["time"]) for match in _COS_TIME.finditer(param.value)]
    return Death(moments.earliest(*ends), bound)


_BCE = re.compile(
    r"^bce-auth-v[0-9]/[^/]{1,128}/(?P<began>[0-9TZ:\-]{10,24})/(?P<seconds>-?[0-9]{1,12})/[^/]{0,512}/(?P<secret>[0-9A-Fa-f]{16,})$"
)


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
_UPYUN = re.compile(r"^(?P<secret>[0-9A-Fa-f]{8})(?P<time>[0-9]{10})$")
_EDGE_CACHE = re.compile(r"(?:^|[~&])Expires=(?P<time>[0-9]{9,12})(?:[~&]|$)", re.IGNORECASE)
_EDGE_CACHE_SECRET = re.compile(r"(?:^|[~&])(?:Signature|hmac)=(?P<secret>[^~&]+)", re.IGNORECASE)
_EDGE_CACHE_PATH = re.compile(
    r"/edge-cache-token=(?=[^/]*?Expires=(?P<time>[0-9]{9,12}))[^/]*?(?:Signature|hmac)=(?P<secret>[^/&~]+)"
)
_ORACLE_PAR = re.compile(r"^/p/(?P<secret>[A-Za-z0-9_\-%.~+=]{16,})/n/[^/]+/(?:b|u)/")
_VENDOR_V4 = re.compile(r"^x-([a-z0-9]{2,12})-signature$")


def _vendor(parts: Parts) -> str:
    """The vendor of ``X-<vendor>-Signature`` beside ``-Date`` and ``-Expires``, or an empty string."""
    for name in parts.params:
        if match := _VENDOR_V4.match(name):
            vendor = match[1]
            if parts.has(name, f"x-{vendor}-date", f"x-{vendor}-expires"):
                return vendor
    return ""


def _vendor_end(parts: Parts) -> Death:
    vendor = _vendor(parts)
    return date_plus_seconds(f"x-{vendor}-date", f"x-{vendor}-expires", upper_with=f"x-{vendor}-security-token")(
        parts
    )


_AWS_QUERY_AUTH = "https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html"
_AWS_SECRETS = ("x-amz-signature", "x-amz-security-token", "x-amz-s3session-token")
_SIGNED_AWS = both(with_any("x-amz-date", "x-amz-credential", "x-amz-algorithm"))

CLOUDS: tuple[Scheme, ...] = (
    Scheme(
        name="aws_sigv4a",
        source=(
            "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html"
            " (AWS4-ECDSA-P256-SHA256); botocore"
        ),
        needs=("x-amz-signature",),
        when=both(_SIGNED_AWS, _is_sigv4a),
        expires=date_plus_seconds("x-amz-date", "x-amz-expires", upper_with="x-amz-security-token"),
        secret=_AWS_SECRETS,
        volatile=("x-amz-*", *_ANSWER),
    ),
    Scheme(
        name="aws_sigv4",
        source=_AWS_QUERY_AUTH + " (also R2, MinIO, Wasabi, Spaces, B2, Scaleway)",
        needs=("x-amz-signature",),
        when=both(_SIGNED_AWS, lambda parts: not _is_sigv4a(parts)),
        expires=date_plus_seconds("x-amz-date", "x-amz-expires", upper_with="x-amz-security-token"),
        secret=_AWS_SECRETS,
        volatile=("x-amz-*", *_ANSWER),
    ),
    Scheme(
        name="aws_sigv2",
        source=(
            "https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html; botocore HmacV1QueryAuth"
        ),
        needs=("awsaccesskeyid", "signature"),
        expires=epoch("expires", upper_with="x-amz-security-token"),
        secret=("signature", "x-amz-security-token", "securitytoken"),
        volatile=("expires", "x-amz-*", "timestamp", "signatureversion", "signaturemethod", *_ANSWER),
    ),
    Scheme(
        name="cloudfront_custom",
        source=(
            "https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-custom-policy.htm"
            "l"
        ),
        needs=("key-pair-id", "signature", "policy"),
        expires=_policy_end,
        secret=("signature", "policy"),
        volatile=("expires", "hash-algorithm", *_ANSWER),
    ),
    Scheme(
        name="cloudfront_canned",
        source=(
            "https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-canned-policy.htm"
            "l"
        ),
        needs=("key-pair-id", "signature"),
        when=without("policy"),
        expires=epoch("expires"),
        secret=("signature",),
        volatile=("expires", "hash-algorithm", *_ANSWER),
    ),
    Scheme(
        name="gcs_v4",
        source="https://cloud.google.com/storage/docs/authentication/canonical-requests (RSA and HMAC)",
        needs=("x-goog-signature",),
        when=with_any("x-goog-date", "x-goog-credential", "x-goog-algorithm"),
        expires=date_plus_seconds("x-goog-date", "x-goog-expires", upper_with="x-goog-security-token"),
        secret=("x-goog-signature", "x-goog-security-token"),
        volatile=("x-goog-*", *_ANSWER),
    ),
    Scheme(
        name="gcs_v2",
        source="https://cloud.google.com/storage/docs/access-control/signed-urls-v2",
        needs=("googleaccessid", "signature"),
        expires=epoch("expires"),
        secret=("signature",),
        volatile=("expires", *_ANSWER),
    ),
    Scheme(
        name="cloud_cdn",
        source="https://cloud.google.com/cdn/docs/using-signed-urls",
        needs=("keyname", "signature"),
        when=with_any("expires"),
        expires=epoch("expires"),
        secret=("signature",),
        volatile=("expires", "urlprefix", "edge-cache-token"),
    ),
    Scheme(
        name="media_cdn",
        source="https://cloud.google.com/media-cdn/docs/use-signed-requests (edge-cache-token in the query)",
        needs=("edge-cache-token",),
        when=shaped(("edge-cache-token",), _EDGE_CACHE),
        expires=lambda parts: Death(
            moments.earliest(
                *(
                    moments.parse_epoch(match["time"])
                    for param in parts.params.get("edge-cache-token", ())
                    if (match := _EDGE_CACHE.search(param.value))
                )
            )
        ),
        secret=(shaped_secret(("edge-cache-token",), _EDGE_CACHE_SECRET),),
        volatile=("keyname", "urlprefix", "expires"),
    ),
    Scheme(
        name="media_cdn",
        source="https://cloud.google.com/media-cdn/docs/use-signed-requests (a path component)",
        hint="edge-cache-token=",
        when=in_path(_EDGE_CACHE_PATH),
        expires=path_time(_EDGE_CACHE_PATH),
        secret=(path_secret(_EDGE_CACHE_PATH),),
        volatile_path=re.compile(r"/(?P<cut>edge-cache-token=[^/]*/?)"),
    ),
    Scheme(
        name="azure_sas",
        source=(
            "https://learn.microsoft.com/rest/api/storageservices/create-service-sas and"
            " create-user-delegation-sas"
        ),
        needs=("sig",),
        any_of=("sig",),
        when=both(with_any("sv", "sr", "skn"), with_any("se", "si")),
        expires=earliest_of("se", "ske"),
        secret=("sig",),
        volatile=(
            *(
                "sv",
                "se",
                "si",
                "st",
                "sp",
                "sr",
                "spr",
                "sip",
                "ss",
                "srt",
                "skoid",
                "sktid",
                "skt",
                "ske",
                "sks",
            ),
            *(
                "skv",
                "saoid",
                "suoid",
                "scid",
                "sdd",
                "ses",
                "skn",
                "sduoid",
                "skdutid",
                "srh",
                "srq",
                "rscc",
                "rscd",
                "rsce",
                "rscl",
                "rsct",
            ),
        ),
    ),
    Scheme(
        name="alibaba_oss_v1",
        source="https://www.alibabacloud.com/help/oss/developer-reference/add-signatures-to-urls; oss2",
        needs=("ossaccesskeyid", "signature"),
        expires=epoch("expires", upper_with="security-token"),
        secret=("signature", "security-token"),
        volatile=("expires", *_ANSWER),
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
            *("x-oss-additional-headers", "x-oss-access-key-id", *_ANSWER),
        ),
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
        volatile=("q-*", "sign", *_ANSWER),
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
            *("x-tos-policy", "x-tos-signedquery", *_ANSWER),
        ),
    ),
    Scheme(
        name="huawei_obs",
        source="https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0011.html",
        needs=("accesskeyid", "signature"),
        expires=epoch("expires", upper_with="x-obs-security-token"),
        secret=("signature", "x-obs-security-token"),
        volatile=("expires", *_ANSWER),
    ),
    Scheme(
        name="kingsoft_ks3",
        source="https://docs.ksyun.com/documents/891 (URL signature)",
        needs=("kssaccesskeyid", "signature"),
        expires=epoch("expires", upper_with="security-token"),
        secret=("signature", "security-token", "x-kss-security-token"),
        volatile=("expires", *_ANSWER),
    ),
    Scheme(
        name="ucloud_us3",
        source="https://docs.ucloud.cn/ufile/api/authorization (private download)",
        needs=("ucloudpublickey", "signature"),
        expires=epoch("expires"),
        secret=("signature", "securitytoken"),
        volatile=("expires",),
    ),
    Scheme(
        name="vendor_sigv4",
        source="the SigV4 layout under another vendor's prefix: X-<vendor>-Date, -Expires, -Signature",
        any_of=("*-signature",),
        when=lambda parts: _vendor(parts) not in ("", "amz", "goog", "oss", "tos"),
        expires=_vendor_end,
        secret=(
            lambda parts: [
                param.span
                for name in (f"x-{_vendor(parts)}-signature", f"x-{_vendor(parts)}-security-token")
                for param in parts.params.get(name, ())
            ],
        ),
        volatile=("x-kss-*", "x-ksc-*", "x-bos-*", "x-jdcloud-*", "x-eos-*", *_ANSWER),
    ),
    Scheme(
        name="qiniu",
        source="https://developer.qiniu.com/kodo/1202/download-token",
        needs=("token", "e"),
        when=shaped(("token",), _QINIU_TOKEN),
        expires=epoch("e"),
        secret=(shaped_secret(("token",), _QINIU_TOKEN),),
        volatile=("attname",),
    ),
    Scheme(
        name="baidu_bos",
        source="https://cloud.baidu.com/doc/Reference/s/Njwvz1wot (expiration in seconds)",
        needs=("authorization",),
        when=both(shaped(("authorization",), _BCE), lambda parts: not _bce_is_endless(parts)),
        expires=_bce_end,
        secret=(shaped_secret(("authorization",), _BCE), "x-bce-security-token"),
        volatile=("responsecontentdisposition", *_ANSWER),
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
    Scheme(
        name="swift_tempurl",
        source="https://docs.openstack.org/swift/latest/api/temporary_url_middleware.html",
        needs=("temp_url_sig", "temp_url_expires"),
        expires=epoch("temp_url_expires"),
        secret=("temp_url_sig",),
        volatile=("temp_url_prefix", "temp_url_ip_range", "filename", "inline"),
    ),
    Scheme(
        name="oracle_par",
        source=(
            "https://docs.oracle.com/iaas/Content/Object/Tasks/usingpreauthenticatedrequests.htm"
            " (the end is on the server)"
        ),
        hint="/p/",
        when=in_path(_ORACLE_PAR),
        secret=(path_secret(_ORACLE_PAR),),
    ),
    Scheme(
        name="backblaze_b2",
        source="https://www.backblaze.com/apidocs/b2-get-download-authorization (valid at most 7 days, opaque)",
        needs=("authorization",),
        when=shaped(("authorization",), re.compile(r"^[0-9]_[0-9A-Za-z_\-]{20,}")),
        secret=("authorization",),
        volatile=("b2*",),
    ),
)
