"""What every provider's wire format is made of: requests as they come, replies, and the faults on their way."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol

from video_assets.emulator.jobs import Job


@dataclass(frozen=True, slots=True)
class Request:
    """One API request, its path without the provider's prefix."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    host: str

    def json(self) -> Any:
        """The body as JSON. Raises ValueError."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent back."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, payload: Any, status: int = 200, **headers: str) -> Reply:
        """A JSON reply; ``Retry_After`` becomes the header ``Retry-After``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, json.dumps(payload).encode(), headers=named)


class Hangup(Exception):
    """Close the connection without an answer."""


class ProviderApi(Protocol):
    """One provider's wire format: all that the server needs to know of it."""

    name: str
    prefix: str
    key: str

    def handle(self, request: Request) -> Reply:
        """Answer one request, or raise Hangup."""


ErrorShape = Callable[[int, str], Any]
"""Makes a provider's error body from a status and a message."""


def error(status: int, shape: ErrorShape, message: str = "", retry_after: float | None = None) -> Reply:
    """An error in the provider's shape; 429 and 503 say when to come back."""
    headers = {"Retry_After": f"{retry_after:g}"} if retry_after is not None and status in (429, 503) else {}
    return Reply.of(shape(status, message or HTTPStatus(status).phrase), status, **headers)


def submit_fault(job_plan: Any, earlier_submits: int, shape: ErrorShape) -> Reply | None:
    """The error that the plan wants for this submission, None when it may go on."""
    if earlier_submits < job_plan.submit_errors:
        return error(job_plan.submit_status, shape, retry_after=job_plan.retry_after)
    return None


def poll_fault(job: Job, shape: ErrorShape, good: Callable[[], Reply]) -> Reply:
    """The answer to a status request: an error, cut JSON or a web page as the plan wants, else ``good()``."""
    number = job.next_status_request()
    if job.faulty("poll_errors", number):
        return error(job.plan.poll_status, shape, retry_after=job.plan.retry_after)
    number -= job.plan.poll_errors
    if job.faulty("garbage_first", number):
        body = good().body
        return Reply(200, body[: len(body) * 2 // 3])
    number -= job.plan.garbage_first
    if job.faulty("html_first", number):
        return Reply(
            200, b"<!doctype html><title>Just a moment</title><h1>Checking your browser</h1>", "text/html"
        )
    return good()
