"""The HTTP server: takes requests, hands them to a provider, the media host or the control page."""

from __future__ import annotations

import contextlib
import socket
import socketserver
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from video_assets.emulator.control import Control
from video_assets.emulator.serving import MediaHost, abort
from video_assets.emulator.wire import Hangup, ProviderApi, Reply, Request, error

_LARGEST_BODY = 64 * 1024 * 1024


class EmulatorServer(ThreadingHTTPServer):
    """One thread per connection, connections kept alive."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(
        self, address: tuple[str, int], providers: Sequence[ProviderApi], media: MediaHost, control: Control
    ) -> None:
        self.providers, self.media, self.control = providers, media, control
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without asking DNS for our own name, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[0], self.server_address[1]  # type: ignore[assignment]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection so that stopping the server really ends it."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that ended."""
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """Cut every connection that clients still keep."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: EmulatorServer
    protocol_version = "HTTP/1.1"
    server_version = "video-assets-emulator"
    sys_version = ""
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_DELETE = do_PUT = do_PATCH = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a request line holds secrets."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle()

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Send status line and headers."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, reply: Reply) -> None:
        """Send a whole reply, without its body to a HEAD."""
        headers = dict(reply.headers)
        if reply.status != 204:
            headers = {"Content-Type": reply.content_type, "Content-Length": str(len(reply.body)), **headers}
        self.begin(reply.status, headers)
        if self.command != "HEAD" and reply.body:
            self.wfile.write(reply.body)

    def reset(self) -> None:
        """Break the connection off with a TCP reset."""
        self.close_connection = True
        abort(self.connection)
        self.rfile.close()
        self.connection.close()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            length = int(headers.get("content-length", "0"))
        except ValueError:
            length = -1
        if not 0 <= length <= _LARGEST_BODY:
            self.close_connection = True
            self.send(Reply(413))
            return
        body = self.rfile.read(length)
        if parts.path.startswith("/media/") and self.command in ("GET", "HEAD"):
            self.server.media.handle(self, self.command, parts.path, parts.query, headers)
            return
        query = dict(parse_qsl(parts.query))
        for provider in self.server.providers:
            if parts.path.startswith(provider.prefix + "/"):
                path = parts.path.removeprefix(provider.prefix)
                request = Request(self.command, path, query, headers, body, headers.get("host", ""))
                try:
                    self.send(provider.handle(request))
                except Hangup:
                    self.close_connection = True
                return
        request = Request(self.command, parts.path, query, headers, body, headers.get("host", ""))
        self.send(self.server.control.handle(request) or error(404, lambda _, message: {"error": message}))
