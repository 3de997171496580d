"""What clouds and CDNs answer when they do not hand out a file: status, headers and body, as they write them.

Sources: the error references of S3, Azure Blob Storage, Google Cloud Storage, CloudFront, Alibaba OSS, Tencent
COS and Supabase Storage; Discord, KeyCDN and imgix as observed. Times inside the bodies are samples.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Refusal:
    """One answer without a file."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def _xml(status: int, inside: str, **headers: str) -> Refusal:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inside}</Error>'.encode()
    return Refusal(status, body, {"Content-Type": "application/xml", **_named(headers)})


def _azure(status: int, code: str, message: str, detail: str = "") -> Refusal:
    extra = f"<AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail>" if detail else ""
    body = (
        f'\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{message}\n'
        f"RequestId:5f3c0000-601e-0000-0000-000000000000\nTime:2026-01-05T10:00:00.0000000Z</Message>{extra}</Error>"
    ).encode()
    return Refusal(status, body, {"Content-Type": "application/xml", "x-ms-error-code": code})


def _json(status: int, document: Mapping[str, object], **headers: str) -> Refusal:
    return Refusal(status, json.dumps(document).encode(), {"Content-Type": "application/json", **_named(headers)})


def _text(status: int, text: str, content_type: str = "text/plain", **headers: str) -> Refusal:
    return Refusal(status, text.encode(), {"Content-Type": content_type, **_named(headers)})


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


_AZURE_DENIED = (
    "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly "
    "including the signature."
)
_AZURE_FRAME = (
    "Signature not valid in the specified time frame: Start [{start}] - Expiry [{end}] - "
    "Current [Mon, 05 Jan 2026 10:00:00 GMT]"
)

REFUSALS: dict[str, Refusal] = {
    "s3_request_has_expired": _xml(
        403,
        "<Code>AccessDenied</Code><Message>Request has expired</Message><X-Amz-Expires>3600</X-Amz-Expires>"
        "<Expires>2026-01-05T09:00:00Z</Expires><ServerTime>2026-01-05T10:00:00Z</ServerTime>",
    ),
    "s3_expired_token": _xml(400, "<Code>ExpiredToken</Code><Message>The provided token has expired.</Message>"),
    "s3_access_denied": _xml(403, "<Code>AccessDenied</Code><Message>Access Denied</Message>"),
    "s3_signature": _xml(
        403,
        "<Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match the "
        "signature you provided. Check your key and signing method.</Message>",
    ),
    "s3_unknown_key_id": _xml(
        403,
        "<Code>InvalidAccessKeyId</Code><Message>The AWS Access Key Id you provided does not exist in our "
        "records.</Message>",
    ),
    "s3_no_such_key": _xml(
        404, "<Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>a.mp4</Key>"
    ),
    "s3_slow_down": _xml(503, "<Code>SlowDown</Code><Message>Please reduce your request rate.</Message>"),
    "s3_internal": _xml(
        500, "<Code>InternalError</Code><Message>We encountered an internal error. Please try again.</Message>"
    ),
    "s3_time_skewed": _xml(
        403,
        "<Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time "
        "is too large.</Message><MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds>",
    ),
    "s3_not_yet_valid": _xml(403, "<Code>AccessDenied</Code><Message>Request is not valid yet</Message>"),
    "s3_delete_marker": _xml(
        404,
        "<Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>",
        x_amz_delete_marker="true",
    ),
    "azure_expired": _azure(
        403,
        "AuthenticationFailed",
        _AZURE_DENIED,
        _AZURE_FRAME.format(start="Mon, 05 Jan 2026 08:00:00 GMT", end="Mon, 05 Jan 2026 09:00:00 GMT"),
    ),
    "azure_not_yet": _azure(
        403,
        "AuthenticationFailed",
        _AZURE_DENIED,
        _AZURE_FRAME.format(start="Mon, 05 Jan 2026 11:00:00 GMT", end="Mon, 05 Jan 2026 12:00:00 GMT"),
    ),
    "azure_signature": _azure(403, "AuthenticationFailed", _AZURE_DENIED, "Signature did not match."),
    "azure_no_blob": _azure(404, "BlobNotFound", "The specified blob does not exist."),
    "azure_busy": _azure(503, "ServerBusy", "The server is busy."),
    "gcs_expired": _xml(
        400,
        "<Code>ExpiredToken</Code><Message>The provided token has expired.</Message><Details>Request signature "
        "expired at: 2026-01-05T09:00:00+00:00</Details>",
    ),
    "gcs_signature": _xml(
        403, "<Code>SignatureDoesNotMatch</Code><Message>Access denied.</Message><Details>none</Details>"
    ),
    "cloudfront_denied": _xml(
        403, "<Code>AccessDenied</Code><Message>Access denied</Message>", Server="CloudFront"
    ),
    "cloudfront_missing_key": _xml(
        403,
        "<Code>MissingKey</Code><Message>Missing Key-Pair-Id query parameter or cookie value</Message>",
        Server="CloudFront",
    ),
    "oss_expired": _xml(
        403, "<Code>AccessDenied</Code><Message>Request has expired.</Message>", Server="AliyunOSS"
    ),
    "oss_token_expired": _xml(
        403, "<Code>SecurityTokenExpired</Code><Message>The security token you provided has expired.</Message>"
    ),
    "cos_expired": _xml(
        403, "<Code>AccessDenied</Code><Message>Request has expired</Message>", Server="tencent-cos"
    ),
    "tos_expired": _json(403, {"Code": "AccessDenied", "Message": "Request has expired", "EC": "0003-00000001"}),
    "supabase_expired": _json(
        400, {"statusCode": "400", "error": "InvalidJWT", "message": '"exp" claim timestamp check failed'}
    ),
    "supabase_signature": _json(
        400, {"statusCode": "400", "error": "InvalidJWT", "message": "signature verification failed"}
    ),
    "supabase_missing": _json(400, {"statusCode": "404", "error": "not_found", "message": "Object not found"}),
    "discord_expired": _text(404, "This content is no longer available."),
    "keycdn_expired": _text(410, "<html><body><h1>410 Gone</h1></body></html>", "text/html", Server="keycdn"),
    "imgix_expired": _text(404, "Not Found", X_Imgix_Id="0000"),
    "jwt_expired": _json(401, {"message": "jwt expired"}),
    "gateway_page": _text(502, "<html><body><h1>502 Bad Gateway</h1></body></html>", "text/html"),
    "waf_page": _text(403, "<html><body><h1>Access Denied</h1></body></html>", "text/html"),
    "unauthorized": _text(401, "Unauthorized"),
    "plain_gone": _text(410, "Gone"),
    "cloudflare_challenge": _text(
        403,
        "<!DOCTYPE html><html><head><title>Just a moment...</title></head>"
        "<body>Your session has expired</body></html>",
        "text/html; charset=UTF-8",
        Server="cloudflare",
        cf_mitigated="challenge",
    ),
    "cloudflare_1020": _text(403, "error code: 1020", Server="cloudflare"),
    "payment_required": _json(402, {"error": "Your trial has expired"}),
    "subscription_expired": _json(403, {"message": "The subscription of this account has expired."}),
    "gone_deleted": _json(410, {"error": "Gone", "message": "This video was deleted by its owner."}),
    "file_deleted": _json(404, {"code": "file_deleted", "message": "Not available."}),
    "legal": _text(451, "Unavailable For Legal Reasons"),
}
