"""A server that sends exactly the bytes it was given."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class Script(socketserver.ThreadingTCPServer):
    """Gives the n-th answer to the n-th request, the last one from then on."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, answers: Sequence[bytes], *, keep_open: bool, context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.keep_open = keep_open
        self.context = context
        self.requests: list[bytes] = []
        self.connections = 0
        self.lock = threading.Lock()

    @property
    def netloc(self) -> str:
        """Host and port, as in an allow-list."""
        return f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is nothing to report."""


class _Handler(socketserver.StreamRequestHandler):
    server: Script

    def setup(self) -> None:
        if self.server.context is not None:
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self) -> None:
        script = self.server
        with script.lock:
            script.connections += 1
        while line := self.rfile.readline():
            lines = [line]
            while lines[-1].strip():
                lines.append(self.rfile.readline())
            with script.lock:
                script.requests.append(b"".join(lines))
                answer = script.answers[min(len(script.requests), len(script.answers)) - 1]
            self.wfile.write(answer.replace(b"$HOST", script.netloc.encode()))
            if not script.keep_open:
                self.connection.shutdown(socket.SHUT_WR)
                return


@contextmanager
def script(*answers: bytes, keep_open: bool = False, context: ssl.SSLContext | None = None) -> Iterator[Script]:
    """A server that gives ``answers`` in turn; it closes behind each of them unless ``keep_open``."""
    with Script(answers, keep_open=keep_open, context=context) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
