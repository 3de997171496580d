"""Servers that fail on purpose: a store that answers by script, and a wire that is cut in the middle."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Scripted:
    """Answers in turn to each request of one method; the last one again and again."""

    endpoint: str = ""
    answers: dict[str, list[tuple[int, str, dict[str, str]]]] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], int]] = field(default_factory=list)

    def on(self, method: str, *answers: tuple[int, str] | tuple[int, str, dict[str, str]]) -> None:
        """``(status, S3 error code or body, headers)`` for the next requests of ``method``."""
        self.answers[method] = [
            (answer[0], answer[1], answer[2] if len(answer) > 2 else {}) for answer in answers
        ]

    def count(self, method: str) -> int:
        return sum(request[0] == method for request in self.requests)


def error_body(code: str) -> bytes:
    """An error as S3 sends it, with the secrets that real ones hold."""
    return (
        f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>Server text test-access-key</Message>'
        "<AWSAccessKeyId>test-access-key</AWSAccessKeyId><StringToSign>AWS4 sekret</StringToSign></Error>"
    ).encode()


@contextmanager
def scripted_store() -> Iterator[Scripted]:
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            got = 0
            while got < length and (block := self.rfile.read(min(65_536, length - got))):
                got += len(block)
            script.requests.append((self.command, self.path, dict(self.headers), got))
            left = script.answers.get(self.command, [(200, "", {})])
            status, text, headers = left.pop(0) if len(left) > 1 else left[0]
            body = error_body(text) if status >= 300 and text and not text.startswith("<") else text.encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
                self.close_connection = int(headers.get("Content-Length", 0)) > len(body)  # breaks off

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the script keeps the requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    script.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Wire:
    """A relay to ``target``. Cuts the next ``cuts`` connections once that many bytes went one way."""

    target: str
    endpoint: str = ""
    cuts: int = 0
    cut_up_after: int | None = None
    cut_down_after: int | None = None
    connections: int = 0
    is_away: bool = False
    """Every connection is reset at once."""


@contextmanager
def relay(target: str) -> Iterator[Wire]:
    wire = Wire(target)
    listener = socket.create_server(("127.0.0.1", 0))
    wire.endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
    host, port = urlsplit(target).hostname, urlsplit(target).port

    def cut(*ends: socket.socket) -> None:
        for end in ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close means reset
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def pump(source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        passed = 0
        with suppress(OSError):
            while block := source.recv(65_536):
                passed += len(block)
                if limit is not None and passed > limit and wire.cuts > 0:
                    wire.cuts -= 1
                    break
                sink.sendall(block)
        cut(source, sink)

    def serve() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                wire.connections += 1
                if wire.is_away:
                    cut(near)
                    continue
                far = socket.create_connection((host, port))
                for source, sink, limit in ((near, far, wire.cut_up_after), (far, near, wire.cut_down_after)):
                    threading.Thread(target=pump, args=(source, sink, limit), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield wire
    finally:
        listener.close()
