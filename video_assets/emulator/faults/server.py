"""A media server that fails on demand, in every way that sources fail.

``GET /fault/<name>?…`` answers with the payload in the way ``name`` says; :data:`FAULTS` lists the names, and
every name of :data:`.refusals.REFUSALS` is one too. Parameters that every fault knows:
``times=N`` (only the first N requests fail, then the payload comes whole) and ``id=…`` (counts separately).

It speaks raw bytes over plain sockets, because no HTTP library agrees to lie.
"""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections import Counter
from typing import Any, Self
from urllib.parse import urlencode

from video_assets.emulator.faults import broken_resume, broken_transport, wrong_bodies
from video_assets.emulator.faults.exchange import Exchange, Fault, Request
from video_assets.emulator.faults.refusals import REFUSALS


def _refusal(name: str) -> Fault:
    def write(exchange: Exchange) -> None:
        refusal = REFUSALS[name]
        exchange.whole(refusal.body, refusal.status, **refusal.headers)

    write.__doc__ = f"The answer {name}, as its cloud writes it."
    return write


FAULTS: dict[str, Fault] = {
    **broken_transport.FAULTS,
    **wrong_bodies.FAULTS,
    **broken_resume.FAULTS,
    **{name: _refusal(name) for name in REFUSALS},
}
"""Every fault by name."""


class FaultServer:
    """The server as a context manager, on a free port of the loopback interface.

    ``requests`` holds everything that came, in order; it may be read at any time.
    """

    def __init__(
        self, payload: bytes, content_type: str = "video/mp4", *, context: ssl.SSLContext | None = None
    ) -> None:
        """``context`` turns TLS on; it must hold the server's certificate."""
        self.payload = payload
        self.content_type = content_type
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        self._numbers: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._context = context
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._server.context = context
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    @property
    def netloc(self) -> str:
        """Host and port, as in an allow-list."""
        return f"127.0.0.1:{self.port}"

    def url(self, name: str, **options: object) -> str:
        """The address of the fault ``name``."""
        query = urlencode({key: str(value) for key, value in options.items()})
        scheme = "https" if self._context else "http"
        return f"{scheme}://{self.netloc}/fault/{name}" + (f"?{query}" if query else "")

    def note(self, request: Request) -> int:
        """Take down a request; returns how many of its kind came."""
        with self._lock:
            self.requests.append(request)
            key = f"{request.path} {request.query.get('id', '')}"
            self._numbers[key] += 1
            return self._numbers[key]

    def answer(self, exchange: Exchange) -> None:
        """Answer one request by the fault its path names."""
        kind, _, name = exchange.request.path.removeprefix("/").partition("/")
        times = exchange.option("times", 10**9)
        if kind == "login":
            exchange.whole(b"<!doctype html><html><form>Password</form></html>", Content_Type="text/html")
        elif kind != "fault":
            exchange.whole()
        elif name not in FAULTS:
            exchange.whole(b"no such fault", 404, Content_Type="text/plain")
        else:
            (FAULTS[name] if exchange.number <= times else broken_transport.write_ok)(exchange)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128
    owner: FaultServer
    context: ssl.SSLContext | None = None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nothing to report."""


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def setup(self) -> None:
        if self.server.context is not None:
            self.request.settimeout(10)
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handle(self) -> None:
        owner = self.server.owner
        while (request := self._read()) is not None:
            number = owner.note(request)
            exchange = Exchange(
                request,
                self.connection,
                owner.payload,
                owner.content_type,
                number,
                f"http://{owner.netloc}",
                owner.stopping,
            )
            try:
                owner.answer(exchange)
            except OSError:
                return
            if exchange.closing:
                return

    def _read(self) -> Request | None:
        try:
            line = self.rfile.readline(131_072).decode("latin-1").strip("\r\n")
            if not line:
                return None
            headers: dict[str, str] = {}
            while text := self.rfile.readline(131_072).decode("latin-1").strip("\r\n"):
                name, _, value = text.partition(":")
                headers[name.strip().lower()] = value.strip()
        except OSError:
            return None
        method, _, rest = line.partition(" ")
        return Request(method, rest.rpartition(" ")[0], headers)

    def finish(self) -> None:
        try:
            super().finish()
        except OSError:
            return
