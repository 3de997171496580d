"""``/resolve?url=``: answers an old, dead or signed address with the durable copy of its file.

The address is a secret: it is never logged, never repeated, and no browser hands it on as a referrer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote_plus

from fastapi import APIRouter, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse

from video_assets.catalog import Catalog, CatalogError
from video_assets.legacy.resolver import Answer, Resolution, resolve
from video_assets.urls import redact

log = logging.getLogger(__name__)

LONGEST_URL: Final = 16_384
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    # A player on another site that still holds the old address may follow it.
    "Access-Control-Allow-Origin": "*",
}
_STATUS: Final = {Answer.PENDING: 503, Answer.LOST: 410, Answer.UNKNOWN: 404}


def resolve_router(open_catalog: Callable[[], Catalog]) -> APIRouter:
    """The route. ``open_catalog`` is asked at each request and may keep what it opened."""
    router = APIRouter(tags=["resolve"])

    @router.api_route("/resolve", methods=["GET", "HEAD"], response_model=None)
    def resolve_old_address(request: Request) -> Response:
        """Redirect to the durable copy; 404 for an unknown address, 410 with evidence for a lost file."""
        url = asked_for(request.url.query)
        if not url:
            return _told(400, {"status": "invalid", "detail": "Give the old address: /resolve?url=…"})
        if len(url) > LONGEST_URL:
            return _told(414, {"status": "invalid", "detail": "This is longer than any address."})
        try:
            with open_catalog().read() as session:
                found = resolve(session, url)
        except CatalogError as error:
            log.warning("%s", error)
            return _told(503, {"status": "unavailable", "detail": "Try again in a moment."}, retry_after=5)
        if found.file_url is not None:
            return Response(status_code=307, headers={**_HEADERS, "Location": found.file_url})
        return _told(
            _STATUS[found.answer], _document(found), retry_after=60 if found.answer is Answer.PENDING else None
        )

    return router


def asked_for(query: str) -> str:
    """The ``url`` of a query string; pasted in without any encoding, it takes the rest of the query with it."""
    for start in (0, *(at + 1 for at, character in enumerate(query) if character == "&")):
        if query.startswith("url=", start):
            rest = query[start + 4 :]
            encoded = "://" not in rest.partition("&")[0]
            return unquote_plus(rest.partition("&")[0]) if encoded else rest
    return ""


def _document(found: Resolution) -> dict[str, Any]:
    document: dict[str, Any] = {"status": str(found.answer), "detail": found.message}
    if found.answer is Answer.LOST:
        document["evidence"] = dict(found.evidence)
        document["lost_at"] = found.at
    return document


def _told(status: int, document: dict[str, Any], *, retry_after: int | None = None) -> JSONResponse:
    more = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    return JSONResponse(_redacted(jsonable_encoder(document)), status, {**_HEADERS, **more})


def _redacted(value: Any) -> Any:
    match value:
        case str():
            return redact(value)
        case dict():
            return {name: _redacted(item) for name, item in value.items()}
        case list():
            return [_redacted(item) for item in value]
        case _:
            return value
