"""Signed URLs of object stores: AWS, Google, Azure, OpenStack, Oracle, Backblaze and look-alikes of SigV4."""

from __future__ import annotations

import re
from typing import Any

from video_assets.urls.schemes.beginnings import (
    AZURE_NAMES,
    azure_has_begun,
    beginning_of,
    begins_like,
    canned_has_begun,
    custom_has_begun,
    drawn,
    hex_but_of,
    short_base64,
    short_der,
    short_epoch,
    short_hex,
    timed,
)
from video_assets.urls.schemes.model import (
    ANSWER_PARAMS,
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
    signed,
    timely,
    with_any,
    without,
)
from video_assets.urls.syntax import times as moments
from video_assets.urls.syntax.parts import Parts
from video_assets.urls.syntax.tokens import decode_base64, is_signature, read_json_object


def _is_sigv4a(parts: Parts) -> bool:
    return (parts.first("x-amz-algorithm") or "").upper().startswith("AWS4-ECDSA") or parts.has(
        "x-amz-region-set"
    )


_CLOUDFRONT_BASE64 = str.maketrans("-_~", "+=/")


def _policy(parts: Parts) -> dict[str, Any]:
    """The custom policy of CloudFront, empty where it cannot be read."""
    written = parts.first("policy") or ""
    return (
        read_json_object(decode_base64(written.translate(_CLOUDFRONT_BASE64)))
        or read_json_object(decode_base64(written))  # some signers write plain or URL-safe base64
        or {}
    )


def _policy_end(parts: Parts) -> Death:
    """``Statement[].Condition.DateLessThan["AWS:EpochTime"]``."""
    statements = _policy(parts).get("Statement")
    ends = []
    for statement in statements if isinstance(statements, list) else [statements]:
        condition = statement.get("Condition") if isinstance(statement, dict) else None
        before = condition.get("DateLessThan") if isinstance(condition, dict) else None
        value = before.get("AWS:EpochTime") if isinstance(before, dict) else None
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            ends.append(moments.parse_any(str(value)))
    return Death(moments.earliest(*ends))


_EDGE_CACHE = re.compile(r"(?:^|[~&])Expires=(?P<time>[0-9]{9,12})(?:[~&]|$)", re.IGNORECASE)

_EDGE_CACHE_SECRET = re.compile(r"(?:^|[~&])(?:Signature|hmac)=(?P<secret>[^~&]+)", re.IGNORECASE)

_EDGE_CACHE_PATH = re.compile(
    r"/edge-cache-token=(?=[^/]*?Expires=(?P<time>[0-9]{9,12}))[^/]*?(?:Signature|hmac)=(?P<secret>[^/&~]+)"
)

_ORACLE_PAR = re.compile(r"^/p/(?P<secret>[A-Za-z0-9_\-%.~+=]{16,})/n/[^/]+/(?:b|u)/")


def _is_oracle_par(parts: Parts) -> bool:
    match = _ORACLE_PAR.search(parts.path)
    return match is not None and (
        parts.on_host("oraclecloud.com", "customer-oci.com") or is_signature(match["secret"])
    )


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

_AWS_BEGINS = (
    *("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signedheaders", "x-amz-signature"),
    *("x-amz-security-token", "x-amz-content-sha256"),
)

_AWS_CUT = (
    ("x-amz-signedheaders", beginning_of("host")),
    ("x-id", beginning_of("GetObject", "PutObject")),
)

_VENDOR_ALGORITHM = re.compile(
    r"x-(?!amz-|goog-|tos-|oss-)[a-z0-9]{2,12}-algorithm=[A-Za-z0-9]*-?HMAC-?SHA", re.IGNORECASE
)

_SIGNED_AWS = with_any("x-amz-date", "x-amz-credential", "x-amz-algorithm", "x-amz-expires")

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
        volatile=("x-amz-*", *ANSWER_PARAMS),
        begins=("x-amz-region-set",),
        cut=(("x-amz-signature", short_der), *_AWS_CUT),
    ),
    Scheme(
        name="aws_sigv4",
        source=_AWS_QUERY_AUTH + " (also R2, MinIO, Wasabi, Spaces, B2, Scaleway)",
        needs=("x-amz-signature",),
        when=both(_SIGNED_AWS, lambda parts: not _is_sigv4a(parts)),
        expires=date_plus_seconds("x-amz-date", "x-amz-expires", upper_with="x-amz-security-token"),
        secret=_AWS_SECRETS,
        volatile=("x-amz-*", *ANSWER_PARAMS),
        begins=_AWS_BEGINS,
        cut=(("x-amz-signature", short_hex(64)), *_AWS_CUT),
    ),
    Scheme(
        name="aws_sigv2",
        source=(
            "https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html; botocore HmacV1QueryAuth"
        ),
        needs=("awsaccesskeyid", "signature"),
        expires=epoch("expires", upper_with="x-amz-security-token"),
        secret=("signature", "x-amz-security-token", "securitytoken"),
        volatile=("expires", "x-amz-*", "timestamp", "signatureversion", "signaturemethod", *ANSWER_PARAMS),
        begins=("awsaccesskeyid",),
        cut=(("signature", short_base64), ("expires", short_epoch)),
    ),
    Scheme(
        name="cloudfront_custom",
        source=(
            "https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-custom-policy.htm"
            "l"
        ),
        needs=("key-pair-id", "signature", "policy"),
        when=lambda parts: bool(_policy(parts)) or is_signature(parts.first("signature") or ""),
        expires=_policy_end,
        secret=("signature", "policy"),
        volatile=("expires", "hash-algorithm", *ANSWER_PARAMS),
        begins=("policy",),
        begins_when=custom_has_begun,
        cut=(("signature", short_base64),),
    ),
    Scheme(
        name="cloudfront_canned",
        source=(
            "https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-canned-policy.htm"
            "l"
        ),
        needs=("key-pair-id", "signature"),
        when=both(without("policy"), signed("signature", "expires")),
        expires=epoch("expires"),
        secret=("signature",),
        volatile=("expires", "hash-algorithm", *ANSWER_PARAMS),
        begins=("expires",),
        begins_when=canned_has_begun,
        cut=(("signature", short_base64), ("expires", short_epoch)),
    ),
    Scheme(
        name="gcs_v4",
        source="https://cloud.google.com/storage/docs/authentication/canonical-requests (RSA and HMAC)",
        needs=("x-goog-signature",),
        when=with_any("x-goog-date", "x-goog-credential", "x-goog-algorithm"),
        expires=date_plus_seconds("x-goog-date", "x-goog-expires", upper_with="x-goog-security-token"),
        secret=("x-goog-signature", "x-goog-security-token"),
        volatile=("x-goog-*", *ANSWER_PARAMS),
        begins=(
            "x-goog-algorithm",
            "x-goog-credential",
            "x-goog-date",
            "x-goog-signedheaders",
            "x-goog-signature",
        ),
        cut=(("x-goog-signature", hex_but_of(64, 512, 768, 1024)),),
    ),
    Scheme(
        name="gcs_v2",
        source="https://cloud.google.com/storage/docs/access-control/signed-urls-v2",
        needs=("googleaccessid", "signature"),
        expires=epoch("expires"),
        secret=("signature",),
        volatile=("expires", *ANSWER_PARAMS),
        begins=("googleaccessid",),
        cut=(("signature", short_base64), ("expires", short_epoch)),
    ),
    Scheme(
        name="cloud_cdn",
        source="https://cloud.google.com/cdn/docs/using-signed-urls",
        needs=("keyname", "signature"),
        when=both(with_any("expires"), signed("signature", "expires")),
        expires=epoch("expires"),
        secret=("signature",),
        volatile=("expires", "urlprefix", "edge-cache-token"),
        begins=("keyname", "urlprefix"),
        begins_when=either(timed("expires"), begins_like("urlprefix", "aHR0c")),
        cut=(("signature", short_base64), ("expires", short_epoch)),
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
        begins=("edge-cache-token",),
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
        when=either(
            both(with_any("sv", "sr", "skn"), with_any("se", "si"), signed("sig", "se")),
            both(timely("se"), lambda parts: is_signature(parts.first("sig") or "")),
        ),
        expires=earliest_of("se", "ske", upper_with="si"),
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
        begins=AZURE_NAMES,
        begins_when=azure_has_begun,
        cut=(("sig", short_base64),),
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
        volatile=("x-kss-*", "x-ksc-*", "x-bos-*", "x-jdcloud-*", "x-eos-*", *ANSWER_PARAMS),
        begins=("*-algorithm",),
        begins_when=lambda parts: any(
            _VENDOR_ALGORITHM.match(f"{name}={found[0].value}") for name, found in parts.params.items()
        ),
        cut=(("*-signature", short_hex(64)),),
    ),
    Scheme(
        name="swift_tempurl",
        source="https://docs.openstack.org/swift/latest/api/temporary_url_middleware.html",
        needs=("temp_url_sig", "temp_url_expires"),
        when=signed("temp_url_sig", "temp_url_expires"),
        expires=epoch("temp_url_expires"),
        secret=("temp_url_sig",),
        volatile=("temp_url_prefix", "temp_url_ip_range", "filename", "inline"),
        begins=("temp_url_sig", "temp_url_expires"),
        begins_when=either(timed("temp_url_expires"), drawn("temp_url_sig")),
        cut=(("temp_url_sig", short_hex(40)), ("temp_url_expires", short_epoch)),
    ),
    Scheme(
        name="oracle_par",
        source=(
            "https://docs.oracle.com/iaas/Content/Object/Tasks/usingpreauthenticatedrequests.htm"
            " (the end is on the server)"
        ),
        hint="/p/",
        when=_is_oracle_par,
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
