"""``/media/{key}``: plays, seeks and downloads durable objects straight from the storage."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncIterator, Generator, Iterator
from email.utils import format_datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from video_assets.storage import (
    IMMUTABLE_CACHE_CONTROL,
    DurableStorage,
    InvalidKey,
    ObjectMissing,
    StorageFailed,
    StoredObject,
)
from video_assets.storage.links import attachment
from video_assets.storage.signing import media_query_is_valid
from video_assets.web.ranges import (
    ByteRange,
    Unsatisfiable,
    Validators,
    parse_range,
    precondition_status,
    range_applies,
)

log = logging.getLogger(__name__)

PRIVATE: Final = "private, no-store"
"""Cache-Control of everything that was reached with a secret, and of every refusal (S3.6)."""

_CORS: Final = {
    # Players and canvases on other sites may read public media; nothing here depends on cookies.
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
_SHOWN_INLINE: Final = re.compile(
    r"(?:video/[\w.+-]+|audio/[\w.+-]+|image/(?!svg)[\w.+-]+|text/(?:vtt|plain|x-ssa)|application/json)\s*(?:;.*)?",
    re.I,
)
"""What a browser may show as a page. SVG, HTML, XML and PDF can run scripts, and are offered for saving; an SVG
still shows in an ``img`` element, where it runs none."""
_NO_SCRIPTS: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"
"""Content-Security-Policy of what is no picture, sound or video, however a browser comes to open it."""
_PLAYS: Final = re.compile(r"(?:video|audio|image/(?!svg))", re.I)


def media_router(storage: DurableStorage, signing_key: bytes) -> APIRouter:
    """Routes that serve the objects of ``storage``. ``signing_key`` checks signed addresses."""
    router = APIRouter(tags=["media"])

    @router.api_route("/media/{key:path}", methods=["GET", "HEAD"], response_class=StreamingResponse)
    def media(
        key: str,
        request: Request,
        download: Annotated[str | None, Query(description="1, or the name to save as")] = None,
        expires: Annotated[str | None, Query(description="Unix time at which a signed address dies")] = None,
        signature: Annotated[str | None, Query(description="Signature of a signed address")] = None,
    ) -> Response:
        """A stored object, whole or one byte range of it."""
        is_signed = expires is not None or signature is not None
        if is_signed:
            refusal = _refuse_signature(signing_key, key, expires or "", signature or "", download)
            if refusal is not None:
                return _refused(403, refusal)
        try:
            found = storage.head(key)
            if found is None:
                return _refused(404, "There is no media under this address.")
            return _answer(storage, found, request, download, PRIVATE if is_signed else IMMUTABLE_CACHE_CONTROL)
        except (InvalidKey, ObjectMissing):
            return _refused(404, "There is no media under this address.")
        except StorageFailed as error:
            log.warning("%s", error)
            return _refused(503, "The storage does not answer at the moment; try again.", {"Retry-After": "5"})

    @router.options("/media/{key:path}", include_in_schema=False)
    def preflight(key: str) -> Response:
        return Response(
            status_code=204,
            headers={
                **_CORS,
                "Access-Control-Allow-Methods": "GET, HEAD",
                "Access-Control-Allow-Headers": "If-Match, If-Modified-Since, If-None-Match, If-Range, Range",
                "Access-Control-Max-Age": "86400",
            },
        )

    return router


def _refuse_signature(
    signing_key: bytes, key: str, expires: str, signature: str, download: str | None
) -> str | None:
    """Why a signed address is not good, or None when it is."""
    if not media_query_is_valid(signing_key, key, expires=expires, signature=signature, download_name=download):
        return "The signature of this address is not valid."
    if int(expires) <= time.time():  # a number, because we signed it
        return "This address has expired; ask for a new one."
    return None


def _answer(
    storage: DurableStorage, found: StoredObject, request: Request, download: str | None, cache_control: str
) -> Response:
    content_type = found.content_type or "application/octet-stream"
    stored = Validators(_strong_etag(found), found.modified_at)
    headers = {
        **_CORS,
        "Accept-Ranges": "bytes",
        "Cache-Control": cache_control,
        "ETag": stored.etag,
        "X-Content-Type-Options": "nosniff",
    }
    if found.modified_at is not None:
        headers["Last-Modified"] = format_datetime(found.modified_at.replace(microsecond=0), usegmt=True)
    status = precondition_status(request.headers, stored)
    if status == 412:
        return _refused(412, "The media is not the version this request is about.")
    if status is not None:
        return Response(status_code=status, headers=headers)

    name = found.key.rsplit("/", 1)[-1]
    if download is not None:
        headers["Content-Disposition"] = attachment(
            name if download.lower() in ("", "1", "true", "yes") else download
        )
    elif not _SHOWN_INLINE.fullmatch(content_type):
        # A document that could run scripts is never opened in the origin of this server.
        headers["Content-Disposition"] = attachment(name)

    if not _PLAYS.match(content_type):
        headers["Content-Security-Policy"] = _NO_SCRIPTS

    part: ByteRange | Unsatisfiable | None = None
    if request.method == "GET" and range_applies(request.headers.get("if-range"), stored):
        part = parse_range(request.headers.get("range"), found.size)
    if isinstance(part, Unsatisfiable):
        return _refused(
            416, f"The range lies outside the {found.size} bytes.", {"Content-Range": f"bytes */{found.size}"}
        )
    start, end = (part.start, part.end) if part else (0, found.size)
    headers["Content-Length"] = str(end - start)
    if part:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.size}"
    if request.method == "HEAD" or start == end:
        return Response(headers=headers, media_type=content_type)
    return StreamingResponse(
        _stream(storage.read(found.key, start, end)),
        status_code=206 if part else 200,
        headers=headers,
        media_type=content_type,
    )


async def _stream(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Blocks read in a thread, one at a time: what a client has not taken yet is not read."""
    try:
        while (block := await run_in_threadpool(next, blocks, None)) is not None:
            yield block
    finally:
        if isinstance(blocks, Generator):
            blocks.close()


def _strong_etag(found: StoredObject) -> str:
    """The store's ETag as a header value; one made of size and time where the store has none that fits."""
    opaque = (found.etag or "").strip('"')
    if not opaque or re.search(r'["\x00-\x20\x7f-\U0010ffff]', opaque):
        moment = found.modified_at.timestamp() if found.modified_at else 0
        opaque = f"{found.size:x}-{int(moment * 1e6):x}"
    return f'"{opaque}"'


def _refused(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, {**_CORS, "Cache-Control": PRIVATE, **(headers or {})})
