"""A host of signed links whose answers change, and a database of rows that name them."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from video_assets.catalog import open_catalog
from video_assets.legacy.config.models import Source
from video_assets.services import Services, open_services
from video_assets.settings import Settings

Answer = tuple[int, str, bytes]
"""Status, Content-Type, body."""


@cache
def video() -> bytes:
    """A real small MP4."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(12):
            frame = av.VideoFrame(64, 48, "rgb24")
            frame.planes[0].update(bytes([shade * 20]) * frame.planes[0].buffer_size)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


XML = "application/xml"
DOWN: Answer = (503, "text/html", b"<html>error code: 503</html>")
EXPIRED: Answer = (403, XML, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
DENIED: Answer = (403, XML, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
MISSING: Answer = (404, XML, b"<Error><Code>NoSuchKey</Code></Error>")
DELETED: Answer = (410, "application/json", b'{"message":"This file was deleted."}')


@dataclass
class Host:
    """Answers by path; a path without an answer of its own has the file."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    def link(
        self, name: str, *, lives: timedelta = timedelta(days=5), signature: str = "0123456789abcdef"
    ) -> str:
        """A link to ``/name``, signed as S3 does it, that dies in ``lives``."""
        signed_at = datetime.now(UTC) - timedelta(days=1)
        seconds = max(int((lives + timedelta(days=1)).total_seconds()), 1)
        return (
            f"http://127.0.0.1:{self.port}/{name}?X-Amz-Algorithm=AWS4-HMAC-SHA256"
            f"&X-Amz-Credential=AKIAEXAMPLE%2F{signed_at:%Y%m%d}%2Fus-east-1%2Fs3%2Faws4_request"
            f"&X-Amz-Date={signed_at:%Y%m%dT%H%M%SZ}&X-Amz-Expires={seconds}&X-Amz-SignedHeaders=host"
            f"&X-Amz-Signature={signature * 4}"
        )


@contextmanager
def a_host() -> Iterator[Host]:
    """A running host on a free port."""
    host = Host()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            name = self.path.partition("?")[0].lstrip("/")
            host.asked.append(name)
            status, kind, body = host.answers.get(name, (200, "video/mp4", video()))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    host.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield host
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Shop:
    """A database with one text column of links, and the installation that saves them."""

    services: Services
    source: Source
    path: Path

    def sql(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        engine = create_engine(f"sqlite:///{self.path}", poolclass=NullPool)
        with engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return [tuple(row) for row in result] if result.returns_rows else []

    def rows(self, *urls: str) -> None:
        engine = create_engine(f"sqlite:///{self.path}", poolclass=NullPool)
        with engine.begin() as connection:
            for url in urls:
                connection.execute(text("INSERT INTO out (url) VALUES (:u)"), {"u": url})

    def urls(self) -> list[str]:
        return [str(url) for (url,) in self.sql("SELECT url FROM out ORDER BY id")]


def a_shop(folder: Path, host: Host, **changes: Any) -> Shop:
    """An empty shop; ``changes`` are settings."""
    values: Mapping[str, Any] = {
        "home": folder / "home",
        "ledger_key": SecretStr(Fernet.generate_key().decode()),
        "allowed_hosts": (f"127.0.0.1:{host.port}",),
        "connect_timeout_seconds": 2.0,
        **changes,
    }
    settings = Settings(_env_file=None, **values)  # type: ignore[call-arg]
    open_catalog(settings).close()
    path = folder / "shop.db"
    source = Source.model_validate(
        {
            "name": "shop",
            "url": f"sqlite:///{path}",
            "table": [{"name": "out", "columns": [{"name": "url", "type": "text"}]}],
        }
    )
    shop = Shop(open_services(settings), source, path)
    shop.sql("CREATE TABLE out (id INTEGER PRIMARY KEY, url TEXT)")
    return shop
