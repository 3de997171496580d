"""The FastAPI application: its routes, and ``/healthz``."""

from __future__ import annotations

import logging
from functools import lru_cache

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from video_assets import __version__
from video_assets.catalog import Catalog, open_catalog
from video_assets.settings import Settings
from video_assets.storage import DurableStorage, StorageFailed, open_storage
from video_assets.storage.signing import load_signing_key
from video_assets.web.media import media_router
from video_assets.web.resolve import resolve_router

log = logging.getLogger(__name__)

_PROBE_PREFIX = "healthz/no-such-object"


def create_app(settings: Settings, storage: DurableStorage | None = None) -> FastAPI:
    """The application over ``storage``, or over the one that the settings name.

    Raises :class:`StorageFailed` when the settings contradict each other.
    """
    store = storage if storage is not None else open_storage(settings)
    app = FastAPI(title="video_assets", version=__version__)
    app.include_router(media_router(store, load_signing_key(settings)))

    @lru_cache(maxsize=1)
    def catalog() -> Catalog:  # at the first question: who only serves media needs no catalog
        return open_catalog(settings)

    app.include_router(resolve_router(catalog))

    @app.get("/healthz", tags=["health"])
    def healthz() -> JSONResponse:
        """200 when the storage answers, else 503. Why it does not is in the log: this route is open to anyone."""
        try:
            next(iter(store.list(_PROBE_PREFIX)), None)  # unlike a HEAD, this tells a missing bucket
            reachable = True
        except StorageFailed as error:
            log.warning("%s", error)
            reachable = False
        return JSONResponse(
            {
                "status": "ok" if reachable else "failing",
                "version": __version__,
                "storage": {"bucket": store.bucket, "reachable": reachable},
            },
            200 if reachable else 503,
            {"Cache-Control": "no-store"},
        )

    _keep_queries_out_of_the_log()
    return app


class _WithoutQuery(logging.Filter):
    """Cuts the query off the path in uvicorn's access lines: a signed address in a log is a leaked key."""

    def filter(self, record: logging.LogRecord) -> bool:
        match record.args:
            case (client, method, str(path), *rest) if "?" in path:
                record.args = (client, method, path.partition("?")[0] + "?…", *rest)
        return True


def _keep_queries_out_of_the_log() -> None:
    access_log = logging.getLogger("uvicorn.access")
    if not any(isinstance(known, _WithoutQuery) for known in access_log.filters):
        access_log.addFilter(_WithoutQuery())
