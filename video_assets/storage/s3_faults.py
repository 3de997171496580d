"""What goes wrong with an S3 store, in one sentence each, with the remedy.

The texts are ours. What the server or a library says is never passed on: it can hold access key ids, signatures
and whole signed addresses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import urllib3.exceptions as http
from botocore import exceptions as aws

from video_assets.storage.addressing import Addressing, is_aws, region_of
from video_assets.storage.durable import ObjectMissing, StorageFailed

_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9._-]{1,80})\s*</Code>")
_REGION = re.compile(rb"<Region>\s*([A-Za-z0-9-]{1,60})\s*</Region>")
_ENDPOINT = re.compile(rb"<Endpoint>\s*([A-Za-z0-9.:/-]{1,253})\s*</Endpoint>")
_EXPECTED_REGION = re.compile(r"expecting '([A-Za-z0-9-]{1,60})'")
_SAFE_REGION = re.compile(r"[A-Za-z0-9-]{1,60}")
_SAFE_HOST = re.compile(r"[a-z0-9.-]{1,253}(?::\d{1,5})?")

_SILENT_CODES: Final = {"", "301", "307", "400", "401", "403", "404", "405"} | {
    "Forbidden",
    "NotFound",
    "BadRequest",
}
"""What an answer without a body (to HEAD) leaves as its code: nothing that says why."""

_TRANSIENT: Final = {
    "BadDigest",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "XAmzContentSHA256Mismatch",
    "broken",
    "timeout",
    "unreachable",
}

_ELSEWHERE: Final = {
    "301",
    "302",
    "307",
    "308",
    "AuthorizationHeaderMalformed",
    "AuthorizationQueryParametersError",
    "IllegalLocationConstraintException",
    "InvalidLocationConstraint",
    "InvalidRegion",
    "InvalidRegionName",
    "Moved Permanently",
    "PermanentRedirect",
    "Redirect",
    "TemporaryRedirect",
}
"""The bucket is not where it was asked for, or not in the region that was signed for."""

_PATH_REFUSED: Final = {
    "InvalidPathAccess",
    "PathStyleDomainForbidden",
    "PathStyleRequestNotAllowed",
    "SecondLevelDomainForbidden",
    "VirtualHostDomainRequired",
}
"""How Volcengine TOS, Tencent COS, Alibaba OSS and Huawei OBS refuse a bucket that stands in the path."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure, reduced to a word and an HTTP status (0 when no answer came).

    The word is the S3 error code, or for failures without an answer ``unreachable``, ``timeout``, ``broken``,
    ``tls``, ``proxy``, ``no-credentials`` or ``unknown``. ``region`` and ``origin`` (scheme and host) are where
    the store says that the bucket is; they are names only, never an address that was signed.
    """

    code: str
    status: int = 0
    region: str | None = None
    origin: str | None = None
    wants_digest: bool = False

    @property
    def transient(self) -> bool:
        """Whether the same request may well succeed in a moment."""
        return self.code in _TRANSIENT or self.status in (408, 429) or (self.status >= 500 and self.status != 501)

    @property
    def silent(self) -> bool:
        """Whether the answer did not say why, so that another question may tell more."""
        return self.code in _SILENT_CODES or self.code == "broken"

    @property
    def elsewhere(self) -> bool:
        """Whether the store says that the bucket has another address or region."""
        if self.code in _ELSEWHERE or self.status in (301, 302, 307, 308):
            return True
        return self.code == "AccessDenied" and self.origin is not None  # so says OSS of another region's bucket


class Refused(Exception):
    """The store answered a streamed request with an error status."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"HTTP {fault.status} {fault.code}")
        self.fault = fault


def fault_of_answer(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Fault:
    """Read the S3 error code, and where the bucket is instead, out of an answer."""
    given = {name.lower(): value for name, value in (headers or {}).items()}
    code = _CODE.search(body)
    return _fault(
        code.group(1).decode() if code else str(status),
        status,
        given,
        region=_text(_REGION.search(body)),
        endpoint=_text(_ENDPOINT.search(body)),
        message=body.decode("utf-8", "replace"),
    )


def _text(found: re.Match[bytes] | None) -> str | None:
    return found.group(1).decode() if found else None


def _fault(
    code: str, status: int, headers: Mapping[str, str], *, region: str | None, endpoint: str | None, message: str
) -> Fault:
    expected = _EXPECTED_REGION.search(message)
    region = headers.get("x-amz-bucket-region") or region or (expected.group(1) if expected else None)
    location = headers.get("location") if 300 <= status < 400 else None
    asked = status == 400 and "content-md5" in message.lower() and code not in ("BadDigest", "InvalidDigest")
    return Fault(
        code,
        status,
        region if region and _SAFE_REGION.fullmatch(region) else None,
        _origin(location or endpoint),
        wants_digest=asked or code == "MissingContentMD5",
    )


def _origin(address: str | None) -> str | None:
    """Scheme and host of ``address``, without what may be signed; None when it holds no host."""
    try:
        parts = urlsplit(address if address and "://" in address else f"https://{address or ''}")
        host = parts.netloc.rpartition("@")[2].lower()
    except ValueError:
        return None
    safe = _SAFE_HOST.fullmatch(host) and parts.scheme in ("http", "https")
    return f"{parts.scheme}://{host}" if safe else None


def fault_of(error: Exception) -> Fault:
    """Reduce an exception of botocore, urllib3 or the operating system to a :class:`Fault`."""
    match error:
        case Refused():
            return error.fault
        case aws.ClientError():
            told: Mapping[str, object] = error.response.get("Error", {})
            answer = error.response.get("ResponseMetadata", {})
            return _fault(
                str(told.get("Code", "")),
                int(answer.get("HTTPStatusCode", 0)),
                answer.get("HTTPHeaders", {}),
                region=str(told["Region"]) if told.get("Region") else None,
                endpoint=str(told["Endpoint"]) if told.get("Endpoint") else None,
                message=str(told.get("Message", "")),
            )
        case aws.NoCredentialsError() | aws.PartialCredentialsError() | aws.CredentialRetrievalError():
            return Fault("no-credentials")
        case aws.ProfileNotFound() | aws.TokenRetrievalError() | aws.SSOError():
            return Fault("no-credentials")
        case aws.SSLError() | http.SSLError():
            return Fault("tls")
        case aws.ProxyConnectionError() | http.ProxyError():
            return Fault("proxy")
        case aws.ReadTimeoutError() | http.ReadTimeoutError():
            return Fault("timeout")
        case aws.EndpointConnectionError() | aws.ConnectTimeoutError():
            return Fault("unreachable")
        case http.NewConnectionError() | http.ConnectTimeoutError() | http.NameResolutionError():
            return Fault("unreachable")
        case aws.HTTPClientError() | aws.IncompleteReadError() | http.HTTPError() | OSError():
            return Fault("broken")
        case aws.ParamValidationError() | aws.InvalidRegionError() | aws.EndpointProviderError():
            return Fault("InvalidBucketName")
        case aws.UnsupportedS3ArnError() | aws.UnsupportedS3AccesspointConfigurationError():
            return Fault("InvalidBucketName")
        case _:
            return Fault("unknown")


def explain(fault: Fault, action: str, *, bucket: str, host: str, place: Addressing) -> StorageFailed:
    """The exception to raise for ``fault``; ``action`` says what was tried, ``host`` and ``place`` where."""
    start = f"Cannot {action} in bucket {bucket!r} at {host}: "
    where = "VIDEO_ASSETS_S3_ENDPOINT_URL" if place.endpoint_url else "VIDEO_ASSETS_S3_REGION"
    in_path = (
        " Set VIDEO_ASSETS_S3_ADDRESSING_STYLE=path where the store has no host name per bucket."
        if place.bucket_in_host
        else ""
    )
    match fault.code:
        case "NoSuchKey":
            return ObjectMissing(start + "there is no such object.")
        case "unreachable":
            text = f"nothing answers there. Check {where} and the network.{in_path}"
        case "timeout":
            text = "the store took too long to answer. It is tried again; check the network if it lasts."
        case "broken":
            text = "the connection broke in the middle. It is tried again; check the network if it lasts."
        case "tls":
            text = (
                "its TLS certificate is not trusted, or it does not speak TLS. Check http:// or https:// in "
                f"VIDEO_ASSETS_S3_ENDPOINT_URL, and AWS_CA_BUNDLE for a private certificate.{in_path}"
            )
        case "proxy":
            text = "the proxy does not let it through. Check HTTPS_PROXY and NO_PROXY."
        case "no-credentials":
            text = (
                "no credentials were found. Set VIDEO_ASSETS_S3_ACCESS_KEY_ID and "
                "VIDEO_ASSETS_S3_SECRET_ACCESS_KEY, or the usual AWS ones."
            )
        case "InvalidAccessKeyId" | "InvalidAccessKey":
            text = "the access key is not known there. Check VIDEO_ASSETS_S3_ACCESS_KEY_ID."
        case "SignatureDoesNotMatch":
            text = (
                "the signature is not accepted, so the secret is wrong. Check VIDEO_ASSETS_S3_SECRET_ACCESS_KEY "
                "and VIDEO_ASSETS_S3_REGION."
            )
        case "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired":
            text = "the session token has expired. Renew the credentials."
        case "RequestTimeTooSkewed" | "RequestExpired":
            text = "the clock of this machine is wrong by more than the store allows. Set it (NTP) and retry."
        case "NoSuchBucket":
            text = f"the bucket does not exist. Create it or change VIDEO_ASSETS_BUCKET.{_misread(bucket, place)}"
        case "InvalidBucketName":
            text = "the bucket name or region is not valid. Check VIDEO_ASSETS_BUCKET and VIDEO_ASSETS_S3_REGION."
        case _ if fault.elsewhere:
            text = _elsewhere(fault, bucket, place)
        case _ if fault.code in _PATH_REFUSED:
            text = (
                "the store takes a bucket only in the host name. Set VIDEO_ASSETS_S3_ADDRESSING_STYLE=virtual."
                if place.style == "path"
                else "the store takes a bucket only in the host name, which this name does not fit (letters in "
                "lower case, digits and hyphens). Change VIDEO_ASSETS_BUCKET."
            )
        case _ if fault.wants_digest:
            text = (
                "the store asks for another digest of the body than Content-MD5. Turn the bucket's object lock "
                "off, or change VIDEO_ASSETS_BUCKET."
            )
        case "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "403" | "401" | "Forbidden":
            text = (
                "access is denied. Allow s3:PutObject, s3:GetObject, s3:DeleteObject and s3:ListBucket on the "
                "bucket to this key, or check that the key is not read-only."
            )
        case "MethodNotAllowed" | "NotImplemented" | "405":
            text = "the store does not offer this, or the bucket is read-only."
        case "EntityTooLarge" | "Payload too large" | "413":
            return StorageFailed(
                start + "the file is larger than the store accepts. Raise the size limit of the bucket.",
                retryable=False,
            )
        case "InvalidMimeType" | "415":
            return StorageFailed(
                start
                + "the bucket does not accept this type of file. Allow its MIME type in the bucket's settings.",
                retryable=False,
            )
        case "QuotaExceeded" | "XMinioStorageFull" | "InsufficientStorage" | "507":
            text = "the store is full. Free some space or raise its quota."
        case "BadDigest" | "XAmzContentSHA256Mismatch" | "InvalidDigest":
            text = "other bytes arrived than were sent. It is tried again; check the network if it lasts."
        case "SlowDown" | "TooManyRequests" | "Throttling" | "ThrottlingException" | "429":
            text = "the store asks to go slower. It is tried again later."
        case _ if fault.status >= 500:
            text = f"the store is failing (HTTP {fault.status}). It is tried again later."
        case _:
            status = f"HTTP {fault.status}, " if fault.status else ""
            text = f"the store refused ({status}{fault.code})."
    return StorageFailed(start + text)


def _misread(bucket: str, place: Addressing) -> str:
    """Why a bucket that exists may look missing: the store looked for its name in the other place."""
    host = urlsplit(place.endpoint_url or "").hostname or ""
    if place.style == "path" and host.startswith(f"{bucket.lower()}."):
        return (
            " The host in VIDEO_ASSETS_S3_ENDPOINT_URL begins with the bucket's name: if it is the bucket's own "
            "host, set VIDEO_ASSETS_S3_ADDRESSING_STYLE=virtual."
        )
    if place.bucket_in_host:
        return " If it exists, the store may look for it in the path: set VIDEO_ASSETS_S3_ADDRESSING_STYLE=path."
    return ""


def _elsewhere(fault: Fault, bucket: str, place: Addressing) -> str:
    """What to set when the store says that the bucket is at another address or in another region."""
    host = urlsplit(place.endpoint_url or "").netloc.lower()
    scheme, _, named = (fault.origin or "").partition("://")
    named = named.removeprefix(f"{bucket.lower()}.")
    if scheme == "https" and named == host and (place.endpoint_url or "").startswith("http:"):
        return f"the store answers only over TLS. Set VIDEO_ASSETS_S3_ENDPOINT_URL=https://{named}."
    region = fault.region or region_of(named) or region_of(host)
    settings = []
    if region is not None and region != place.region:
        settings.append(f"VIDEO_ASSETS_S3_REGION={region}")
    if place.endpoint_url is None or is_aws(host):
        if settings:
            unset = " and leave VIDEO_ASSETS_S3_ENDPOINT_URL empty" if place.endpoint_url else ""
            return f"the bucket is in region {region!r}. Set {settings[0]}{unset}."
    elif named and named != host:
        settings.append(f"VIDEO_ASSETS_S3_ENDPOINT_URL={scheme}://{named}")
        return f"the bucket is at {named!r}. Set {' and '.join(settings)}."
    elif settings:
        return f"the bucket is in region {region!r}. Set {settings[0]}."
    return "the bucket is in another region. Check VIDEO_ASSETS_S3_REGION and VIDEO_ASSETS_S3_ENDPOINT_URL."
