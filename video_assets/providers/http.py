"""The one way to talk to a provider's API: bounded, never redirected, and exact about what may have happened.

Two facts decide every error here. Was the request *sent*? If not, nothing was taken and it may be tried again.
Was it a *submission*? Then anything unclear after sending is SubmissionUncertain, because sending it again
could pay twice. The key goes to the host of the configured base URL and nowhere else: redirects are not
followed, proxies and .netrc of the environment are not read.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from pydantic import SecretStr
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

import video_assets
from video_assets.providers.base import (
    JobSnapshot,
    KeyRefused,
    Misconfigured,
    ProviderError,
    RequestRefused,
    SubmissionUncertain,
    TaskUnknown,
)
from video_assets.providers.connections import NotConnected, connection_pool
from video_assets.providers.reading import JsonObject, error_sentence

LARGEST_ANSWER: Final = 8 * 1024**2
"""Bytes of one answer, decompressed. A listing of a hundred generations is about half a megabyte."""
LONGEST_RETRY_AFTER: Final = timedelta(days=1)
"""The daily limits of providers roll over 24 hours; nobody sensible asks for a longer pause."""

_CHUNK = 64 * 1024
_KEPT_CONNECTIONS = 64
"""Polls run in threads; a smaller pool would open and discard connections, and log it."""


@dataclass(frozen=True, slots=True)
class Response:
    """A successful answer: its JSON object, and what its headers say about time."""

    body: JsonObject
    date: datetime | None
    """The server's own clock (header ``Date``), None when it did not tell."""
    retry_after: timedelta | None

    def paced(self, snapshot: JobSnapshot) -> JobSnapshot:
        """``snapshot`` with the pause that the headers ask for."""
        return (
            snapshot if self.retry_after is None else dataclasses.replace(snapshot, retry_after=self.retry_after)
        )


class ApiClient:
    """Calls one provider's API with one key. Thread-safe; opens connections only when called.

    ``key_setting`` and ``address_setting`` are the environment variables that error messages name.
    ``timeout`` in seconds bounds the wait for the first byte of an answer and, once more, for its body.
    """

    def __init__(
        self,
        *,
        provider: str,
        base_url: str,
        address_setting: str,
        key: SecretStr | None,
        key_setting: str,
        connect_timeout: float,
        timeout: float,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._provider = provider
        self._address_setting = address_setting
        self._key = key
        self._key_setting = key_setting
        self._connect_timeout = connect_timeout
        self._timeout = timeout
        self._headers = {
            "Accept": "application/json",
            "User-Agent": f"video-assets/{video_assets.__version__}",
            **(headers or {}),
        }
        self._scheme, self._host, self._port, self._base_path = self._split(base_url)
        self._pool = self._new_pool(_KEPT_CONNECTIONS)

    @property
    def has_key(self) -> bool:
        """True when a key is set."""
        return bool(self._secret())

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Response:
        """GET ``path``. Raises KeyRefused, TaskUnknown, ProviderError; never RequestRefused, see ``_refusal``."""
        reply = self._exchange("GET", path, query=query, pool=self._pool, submitting=False)
        return self._json_of(reply, submitting=False)

    def download_headers(self, url: str) -> dict[str, str]:
        """The headers that fetch ``url`` with the key, if it is below the base URL; else none at all.

        Scheme, host, port and path have to be those of the base URL: the key goes nowhere else.
        Raises KeyRefused.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            return {}
        usual = {"https": 443, "http": 80}
        there = (parts.scheme, host, port or usual.get(parts.scheme), parts.username)
        if there != (self._scheme, self._host, self._port or usual[self._scheme], None):
            return {}
        if not f"{parts.path}/".startswith(f"{self._base_path}/"):
            return {}
        own = {name: value for name, value in self._headers.items() if name not in ("Accept", "User-Agent")}
        return {**own, "Authorization": self._authorization()}

    def delete(self, path: str) -> None:
        """DELETE ``path``; the body of the answer is of no interest. Raises as ``get`` does."""
        reply = self._exchange("DELETE", path, pool=self._pool, submitting=False)
        if not reply.ok:
            raise self._refusal(reply, submitting=False)

    def submit(self, path: str, body: Mapping[str, Any]) -> Response:
        """POST a paid request once.

        On a connection of its own: one kept from an earlier call may have been closed by the other side
        meanwhile, and would make the outcome uncertain for no good reason.
        Raises KeyRefused, RequestRefused, ProviderError (certainly not taken) or SubmissionUncertain.
        """
        try:
            payload = json.dumps(body, allow_nan=False).encode()
        except (TypeError, ValueError) as exc:
            raise RequestRefused(
                f"the parameters for {self._provider} cannot be written as JSON: {exc}"
            ) from None
        with self._new_pool(1) as pool:
            reply = self._exchange("POST", path, payload=payload, pool=pool, submitting=True)
        return self._json_of(reply, submitting=True)

    # -- sending ------------------------------------------------------------------------------------------

    def _split(self, base_url: str) -> tuple[str, str, int | None, str]:
        try:
            parts = urlsplit(base_url.strip())
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port, parts = None, None, urlsplit("")
        if parts.scheme not in ("http", "https") or not host or parts.username or parts.query or parts.fragment:
            raise Misconfigured(
                f"{self._address_setting} must be an address like https://host/path, without user or query"
            )
        return parts.scheme, host, port, parts.path.rstrip("/")

    def _new_pool(self, size: int) -> HTTPConnectionPool:
        return connection_pool(self._scheme, self._host, self._port, size)

    def _authorization(self) -> str:
        key = self._secret()
        if not key:
            raise KeyRefused(f"{self._provider} has no key: set {self._key_setting}")
        if not (key.isascii() and key.isprintable() and " " not in key):
            # http.client would refuse it too, with the key in the text of its exception
            raise KeyRefused(f"the key in {self._key_setting} holds characters that no key has; copy it again")
        return f"Bearer {key}"

    def _exchange(
        self,
        method: str,
        path: str,
        *,
        pool: HTTPConnectionPool,
        submitting: bool,
        query: Mapping[str, str | int] | None = None,
        payload: bytes | None = None,
    ) -> _Reply:
        headers = {**self._headers, "Authorization": self._authorization()}
        if payload is not None:
            headers["Content-Type"] = "application/json"
        target = self._base_path + path + (f"?{urlencode(query)}" if query else "")
        failure: ProviderError
        try:
            response = pool.urlopen(
                method,
                target,
                body=payload,
                headers=headers,
                retries=False,
                redirect=False,
                timeout=urllib3.Timeout(connect=self._connect_timeout, read=self._timeout),
                preload_content=False,
            )
            return _Reply(response.status, response.headers, self._read(response))
        except NotConnected as exc:
            failure = ProviderError(f"{self._provider} cannot be reached at {self._host}: {exc}")
        except (HTTPError, HTTPException, OSError) as exc:
            late = isinstance(exc, (Urllib3TimeoutError, TimeoutError))
            what = "did not answer in time" if late else "broke off before its answer was complete"
            failure = self._unclear(what, submitting=submitting)
        except _TooLarge:
            failure = self._unclear("sent an answer beyond any sensible size", submitting=submitting)
        # raised out here so that the library's exception, which may quote an address, is not kept as its context
        raise failure

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        deadline = time.monotonic() + self._timeout
        body = bytearray()
        try:
            while chunk := response.read1(_CHUNK):
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    raise _TooLarge
                if time.monotonic() > deadline:
                    raise TimeoutError
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return bytes(body)

    # -- judging ------------------------------------------------------------------------------------------

    def _json_of(self, reply: _Reply, *, submitting: bool) -> Response:
        if not reply.ok:
            raise self._refusal(reply, submitting=submitting)
        body = reply.json()
        if body is None:
            what = f"answered {reply.status} with something that is not a JSON object"
            raise self._unclear(what, submitting=submitting, status=reply.status)
        return Response(body, reply.date, reply.retry_after)

    def _unclear(self, what: str, *, submitting: bool, status: int | None = None) -> ProviderError:
        if submitting:
            return SubmissionUncertain(
                f"{self._provider} {what}; the job may exist and is not sent again by itself", status=status
            )
        return ProviderError(f"{self._provider} {what}", status=status)

    def _refusal(self, reply: _Reply, *, submitting: bool) -> ProviderError:
        """The exception for an answer outside 2xx.

        A page of some proxy in between is never a final word. Nor is a refused *question* about a job that was
        taken: a 400 to a poll may mean that our API version was retired, and the video is still there.
        """
        status, pause = reply.status, reply.retry_after
        body = reply.json()
        said = error_sentence(body, hide=self._secret())
        colon = f": {said}" if said else ""
        if status == 401 or (status == 403 and body is not None):
            return KeyRefused(
                f"{self._provider} refused the key in {self._key_setting} ({status}){colon}", status=status
            )
        if status == 429:
            return ProviderError(
                f"{self._provider} asks for a pause (429){colon}", status=status, retry_after=pause
            )
        if status in (302, 303, 408) or status >= 500:
            # 302 and 303 may follow an accepted form, 408 is also sent by proxies that lost the other side
            failure = self._unclear(f"answered {status}{colon}", submitting=submitting, status=status)
            failure.retry_after = pause
            return failure
        if 300 <= status < 400:
            return ProviderError(
                f"{self._provider} answered with a redirect ({status}), which is not followed because it would "
                f"take the key along: check {self._address_setting}",
                status=status,
            )
        if submitting and body is not None and status not in (409, 425):
            return RequestRefused(f"{self._provider} refused the request ({status}){colon}", status=status)
        if status in (404, 410) and body is not None:
            return TaskUnknown(f"{self._provider} does not know this task ({status}){colon}", status=status)
        return ProviderError(f"{self._provider} answered {status}{colon}", status=status, retry_after=pause)

    def _secret(self) -> str:
        return self._key.get_secret_value().strip() if self._key is not None else ""


def path_segment(task_id: str) -> str:
    """``task_id`` as one segment of a path. Raises TaskUnknown for what no provider ever gave as an id."""
    if not task_id.strip(". ") or len(task_id) > 500:
        raise TaskUnknown("this is not a task id of any provider")
    return quote(task_id, safe="")


def retry_after(headers: Mapping[str, str], *, now: datetime) -> timedelta | None:
    """How long a server asks to wait: ``retry-after-ms``, or ``retry-after`` as seconds or as an HTTP date.

    A date is compared with the server's own ``Date`` header, so that a wrong clock here changes nothing;
    without that header with ``now`` (aware). Never negative, at most a day; None when it says nothing usable.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        raw = headers.get(name)
        if raw is None:
            continue
        try:
            seconds = float(raw) * unit
        except ValueError:
            until = http_date(raw)
            if until is None:
                continue
            seconds = (until - (http_date(headers.get("date")) or now)).total_seconds()
        if math.isnan(seconds):
            continue
        return timedelta(seconds=min(max(seconds, 0.0), LONGEST_RETRY_AFTER.total_seconds()))
    return None


def http_date(raw: str | None) -> datetime | None:
    """An HTTP date as aware UTC, None when it is none."""
    if raw is None:
        return None
    try:
        parsed = parsedate_to_datetime(raw)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer of any status, read to its end. Not in any repr: it may hold temporary URLs."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def __repr__(self) -> str:
        return f"<answer {self.status}, {len(self.content)} bytes>"

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def date(self) -> datetime | None:
        return http_date(self.headers.get("date"))

    @property
    def retry_after(self) -> timedelta | None:
        return retry_after(self.headers, now=datetime.now(UTC))

    def json(self) -> JsonObject | None:
        """The JSON object in the body, None when it is anything else."""
        try:
            value = json.loads(self.content)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


class _TooLarge(Exception):
    """An answer passed LARGEST_ANSWER."""
