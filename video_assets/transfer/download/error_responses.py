"""What a refusing answer means: expired, gone, refused, busy or broken, told apart by each cloud's own words.

Status codes alone do not tell: an expired signature is 403 on S3 and Azure, 400 on GCS and Supabase, 404 on
Discord and imgix, 410 on KeyCDN. Sources: the error
references of the clouds.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPMessage
from typing import Final

from video_assets.transfer.failures import DownloadFailed, Fault

ERROR_BODY_BYTES: Final = 65_536
"""How much of an error body is read and judged."""
_LONGEST_RETRY_AFTER: Final = timedelta(days=1)

_XML_CODE = re.compile(r"<Code>\s*([A-Za-z0-9_.-]{1,80})\s*</Code>", re.I)
_XML_TEXTS = re.compile(r"<(?:Message|AuthenticationErrorDetail|Details)>([^<]{1,2000})", re.I)
_EXPIRED_WORDS = re.compile(
    r"\bexpired\b|\bexpir(?:ed|y)_?token\b|no longer (?:valid|available)|\"exp\" claim|\bexp claim\b"
    r"|not valid in the specified time frame|time ?limit (?:is )?exceeded|\btimed? ?out of date\b",
    re.I,
)
_NOT_YET = re.compile(r"\bnot (?:yet (?:valid|active)|(?:valid|active) yet)\b|before start|\bnbf\b", re.I)
_SOMETHING_ELSE = re.compile(
    r"\b(?:subscription|session|plan|trial|payment|account|licen[cs]e|certificate|password|membership|api key)\b",
    re.I,
)
"""What else may have expired than the link: that can be renewed while the link lives."""
_DELETED_WORDS = re.compile(r"\b(?:deleted|removed|purged|erased)\b|\bno longer exists?\b", re.I)
_DELETED_CODE = re.compile(r"(?:[a-z]+[_.-]?)?(?:deleted|purged)", re.I)
_AZURE_FRAME = re.compile(r"Start \[([^\]]*)\].*?Expiry \[([^\]]*)\].*?Current \[([^\]]*)\]", re.I | re.S)
_ERROR_STATUS = re.compile(r"[45][0-9]{2}")
_PLAIN_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{1,60}")

_CODES: Final[dict[str, Fault]] = {
    # Expired, whatever the status.
    "expiredtoken": Fault.EXPIRED,
    "expiredtokenexception": Fault.EXPIRED,
    "requestexpired": Fault.EXPIRED,
    "expiredrequest": Fault.EXPIRED,
    "requesthasexpired": Fault.EXPIRED,
    "requestisexpired": Fault.EXPIRED,
    "securitytokenexpired": Fault.EXPIRED,
    "tokenexpired": Fault.EXPIRED,
    "signatureexpired": Fault.EXPIRED,
    "expiredsignature": Fault.EXPIRED,
    "urlexpired": Fault.EXPIRED,
    "jwtexpired": Fault.EXPIRED,
    "tokenrefreshrequired": Fault.EXPIRED,
    # Gone.
    "nosuchkey": Fault.GONE,
    "nosuchbucket": Fault.GONE,
    "nosuchversion": Fault.GONE,
    "blobnotfound": Fault.GONE,
    "containernotfound": Fault.GONE,
    "resourcenotfound": Fault.GONE,
    "symlinktargetnotexist": Fault.GONE,
    "not_found": Fault.GONE,
    "notfound": Fault.GONE,
    "file_not_found": Fault.GONE,
    # Busy or broken: later.
    "slowdown": Fault.BUSY,
    "serverbusy": Fault.BUSY,
    "toomanyrequests": Fault.BUSY,
    "requestlimitexceeded": Fault.BUSY,
    "throttling": Fault.BUSY,
    "downloadtrafficratelimitexceeded": Fault.BUSY,
    "operationtimedout": Fault.BUSY,
    "requesttimeout": Fault.BUSY,
    "internalerror": Fault.SERVER_ERROR,
    "serviceunavailable": Fault.BUSY,
    # Refused for a reason that time does not heal.
    "accessdenied": Fault.REFUSED,
    "accessforbidden": Fault.REFUSED,
    "allaccessdisabled": Fault.REFUSED,
    "accountproblem": Fault.REFUSED,
    "authenticationfailed": Fault.REFUSED,
    "authenticationrequired": Fault.REFUSED,
    "authorizationheadermalformed": Fault.REFUSED,
    "authorizationpermissionmismatch": Fault.REFUSED,
    "authorizationqueryparameterserror": Fault.REFUSED,
    "authorizationsourceipmismatch": Fault.REFUSED,
    "invalidaccesskeyid": Fault.REFUSED,
    "invalidkey": Fault.REFUSED,
    "invalidpolicydocument": Fault.REFUSED,
    "invalidsecurity": Fault.REFUSED,
    "invalidtoken": Fault.REFUSED,
    "missingkey": Fault.REFUSED,
    "missingsecurityheader": Fault.REFUSED,
    "publicaccessnotpermitted": Fault.REFUSED,
    # The clocks differ.
    "requesttimetooskewed": Fault.CLOCK_SKEW,
    "requestinthefuture": Fault.CLOCK_SKEW,
    "signaturedoesnotmatch": Fault.REFUSED,
    "userdisable": Fault.REFUSED,
}
_BAD_TOKEN = re.compile(r"signature|malformed|invalid compact|algorithm", re.I)
"""Why Supabase says InvalidJWT when it does not mean that the time is over."""


@dataclass(frozen=True, slots=True)
class ServerError:
    """What an error body says: the source's own code, its sentences, and the status it would rather have sent."""

    code: str | None = None
    text: str = ""
    status: int | None = None
    is_page: bool = False
    """A web page for people: words in it are nobody's verdict on the link."""


def read_error(body: bytes) -> ServerError:
    """The error in ``body``: XML of the S3, Azure and GCS kind, JSON, or plain text. Never raises."""
    text = body[:ERROR_BODY_BYTES].decode("utf-8", "replace").lstrip("\ufeff \r\n\t")
    if text.startswith("{"):
        return _read_json(text)
    code = _XML_CODE.search(text)
    if code:
        return ServerError(code.group(1), " ".join(_XML_TEXTS.findall(text)))
    is_page = text.startswith("<")
    if is_page:
        text = re.sub(r"<[^>]{0,500}>", " ", text)
    return ServerError(None, text[:2000], is_page=is_page)


def _read_json(text: str) -> ServerError:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ServerError(None, text[:2000])
    inner = found.get("error") if isinstance(found, dict) else None
    layers = [layer for layer in (found, inner) if isinstance(layer, dict)]
    code = next(
        (
            value
            for layer in reversed(layers)
            for name in ("code", "Code", "errorCode", "error_code", "error", "status")
            if isinstance(value := layer.get(name), str) and _PLAIN_CODE.fullmatch(value)
        ),
        None,
    )
    sentences = [
        value
        for layer in layers
        for name in ("message", "Message", "error", "error_description", "detail", "msg", "title")
        if isinstance(value := layer.get(name), str)
    ]
    status = next(
        (
            int(value)
            for layer in layers
            if isinstance(value := layer.get("statusCode"), (str, int)) and _ERROR_STATUS.fullmatch(str(value))
        ),
        None,
    )
    return ServerError(code, " ".join(sentences)[:2000], status)


def judge(
    status: int,
    headers: HTTPMessage,
    body: bytes,
    *,
    expires_at: datetime | None,
    now: datetime,
) -> DownloadFailed:
    """What an answer with ``status`` (not 200 and not a redirect) means for the link that was asked.

    ``expires_at`` is when the link dies as far as its URL or its host's rule tells. The failure's text never
    repeats the body, which may echo the URL.
    """
    error = read_error(body)
    fault = _fault(status, headers, error, _is_past(expires_at, headers, now))
    shown = f"status {status}" + (f", {error.code}" if error.code else "")
    return DownloadFailed(
        fault,
        shown,
        status=status,
        retry_after=retry_after(headers.get("Retry-After"), now) if fault in _WAITING else None,
        evidence={"server_code": error.code} if error.code else {},
    )


_WAITING: Final = (Fault.BUSY, Fault.SERVER_ERROR, Fault.NOT_READY)


def _is_past(expires_at: datetime | None, headers: HTTPMessage, now: datetime) -> bool:
    """Whether the link is dead by our clock and, where it tells its time, by the source's: ours may be wrong."""
    told = _rfc_date(headers.get("Date", ""))
    return expires_at is not None and expires_at <= (now if told is None else min(now, told))


def _fault(status: int, headers: HTTPMessage, error: ServerError, is_past: bool) -> Fault:
    code = (error.code or "").lower().replace(" ", "")
    if status in (408, 425, 429):
        return Fault.BUSY
    if status >= 500:
        return Fault.BUSY if status == 503 else Fault.SERVER_ERROR
    if status == 202:
        return Fault.NOT_READY
    if status < 400:
        return Fault.ZERO_BYTES if status in (204, 205) else Fault.UNEXPECTED_STATUS
    named = _CODES.get(code)
    if named in (Fault.EXPIRED, Fault.BUSY, Fault.SERVER_ERROR):
        return named
    if is_past or (status not in (402, 451) and _says_expired(error)):
        return Fault.EXPIRED
    if named is Fault.CLOCK_SKEW:
        return named
    if _says_not_yet(error):
        return Fault.NOT_YET_VALID
    if _says_deleted(status, headers, error):
        return Fault.DELETED
    if named is Fault.GONE:
        return Fault.GONE
    if named is Fault.REFUSED:
        return Fault.REFUSED
    if status == 410 and "keycdn" in headers.get("Server", "").lower():
        return Fault.EXPIRED
    if 404 in (status, error.status) or status == 410:
        return Fault.GONE
    return Fault.REFUSED


def _says_expired(error: ServerError) -> bool:
    if (error.code or "").lower() == "invalidjwt":
        return not _BAD_TOKEN.search(error.text) and not _NOT_YET.search(error.text)
    frame = _azure_frame(error)
    if frame is not None:
        return frame == "over"
    if error.is_page or _NOT_YET.search(error.text) or _SOMETHING_ELSE.search(error.text):
        return False
    return bool(_EXPIRED_WORDS.search(error.text))


def _says_not_yet(error: ServerError) -> bool:
    return not error.is_page and (_azure_frame(error) == "early" or bool(_NOT_YET.search(error.text)))


def _azure_frame(error: ServerError) -> str | None:
    """Where Azure's own clock stands in the frame of a signature: ``early``, ``within``, ``over``; else None."""
    frame = _AZURE_FRAME.search(error.text)
    if frame is None:
        return None
    start, expiry, current = (_rfc_date(part) for part in frame.groups())
    if start and current and current < start:
        return "early"
    if expiry and current:
        return "over" if current >= expiry else "within"
    return None


def _says_deleted(status: int, headers: HTTPMessage, error: ServerError) -> bool:
    """Whether a source without the file says that it was deleted. A mere 404 may be that of a lagging replica."""
    if 404 in (status, error.status) and headers.get("x-amz-delete-marker", "").strip().lower() == "true":
        return True
    if status not in (404, 410) and error.status not in (404, 410):
        return False
    if error.code is not None and _DELETED_CODE.fullmatch(error.code):
        return True
    return status == 410 and bool(_DELETED_WORDS.search(error.text))


def _rfc_date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """The pause a Retry-After header asks for: seconds or an HTTP date (RFC 9110, 10.2.3); at most a day."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=min(int(text[:12]), 86_400)), _LONGEST_RETRY_AFTER)
    moment = _rfc_date(text)
    return None if moment is None else min(max(moment - now, timedelta(0)), _LONGEST_RETRY_AFTER)


def judge_document(
    fault: Fault, body: bytes, *, status: int, expires_at: datetime | None, now: datetime
) -> DownloadFailed:
    """What a web page, XML or JSON under status 200 means; an error document of a cloud keeps its own meaning."""
    error = read_error(body)
    named = _CODES.get((error.code or "").lower())
    meaning = Fault.EXPIRED if named and (_says_expired(error) or (expires_at and expires_at <= now)) else named
    evidence = {"server_code": error.code} if error.code else {}
    if meaning is None:
        return DownloadFailed(fault, f"under status {status}", status=status, evidence=evidence)
    return DownloadFailed(meaning, f"{error.code} under status {status}", status=status, evidence=evidence)
