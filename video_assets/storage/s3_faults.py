"""What goes wrong with an S3 store, in one sentence each, with the remedy.

The texts are ours. What the server or a library says is never passed on: it can hold access key ids, signatures
and whole signed addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import urllib3.exceptions as http
from botocore import exceptions as aws

from video_assets.storage.durable import ObjectMissing, StorageFailed

_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9._-]{1,80})\s*</Code>")

_SILENT_CODES: Final = {"", "301", "400", "401", "403", "404", "405", "Forbidden", "NotFound", "BadRequest"}
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


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure, reduced to a word and an HTTP status (0 when no answer came).

    The word is the S3 error code, or for failures without an answer ``unreachable``, ``timeout``, ``broken``,
    ``tls``, ``proxy``, ``no-credentials`` or ``unknown``.
    """

    code: str
    status: int = 0

    @property
    def transient(self) -> bool:
        """Whether the same request may well succeed in a moment."""
        return self.code in _TRANSIENT or self.status in (408, 429) or (self.status >= 500 and self.status != 501)

    @property
    def silent(self) -> bool:
        """Whether the answer did not say why, so that another question may tell more."""
        return self.code in _SILENT_CODES or self.code == "broken"


class Refused(Exception):
    """The store answered a streamed request with an error status."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"HTTP {fault.status} {fault.code}")
        self.fault = fault


def fault_of_answer(status: int, body: bytes) -> Fault:
    """Read the S3 error code out of an answer's body."""
    found = _CODE.search(body)
    return Fault(found.group(1).decode() if found else str(status), status)


def fault_of(error: Exception) -> Fault:
    """Reduce an exception of botocore, urllib3 or the operating system to a :class:`Fault`."""
    match error:
        case Refused():
            return error.fault
        case aws.ClientError():
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return Fault(str(error.response.get("Error", {}).get("Code", "")), int(status))
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
        case aws.ParamValidationError() | aws.InvalidRegionError():
            return Fault("InvalidBucketName")
        case _:
            return Fault("unknown")


def explain(fault: Fault, action: str, *, bucket: str, host: str) -> StorageFailed:
    """The exception to raise for ``fault``; ``action`` says what was tried, ``host`` where."""
    start = f"Cannot {action} in bucket {bucket!r} at {host}: "
    match fault.code:
        case "NoSuchKey":
            return ObjectMissing(start + "there is no such object.")
        case "unreachable":
            text = "nothing answers there. Check VIDEO_ASSETS_S3_ENDPOINT_URL and the network."
        case "timeout":
            text = "the store took too long to answer. It is tried again; check the network if it lasts."
        case "broken":
            text = "the connection broke in the middle. It is tried again; check the network if it lasts."
        case "tls":
            text = (
                "its TLS certificate is not trusted, or it does not speak TLS. Check http:// or https:// in "
                "VIDEO_ASSETS_S3_ENDPOINT_URL, and AWS_CA_BUNDLE for a private certificate."
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
            text = "the bucket does not exist. Create it or change VIDEO_ASSETS_BUCKET."
        case "InvalidBucketName":
            text = "the bucket name or region is not valid. Check VIDEO_ASSETS_BUCKET and VIDEO_ASSETS_S3_REGION."
        case "PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed" | "301":
            text = "the bucket is in another region. Check VIDEO_ASSETS_S3_REGION."
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
