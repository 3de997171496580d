"""A tiny HTTP server on raw sockets, so that a test decides every byte, every reset and every silence."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Act = Callable[[socket.socket], bool]
"""Answers one request on its connection; True keeps the connection open."""


@dataclass(frozen=True)
class Request:
    """One request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def answer(status: int, body: object = None, **headers: str) -> Act:
    """A complete answer. ``body`` that is not bytes is sent as JSON; ``retry_after=`` becomes ``retry-after``."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named.setdefault("content-type", "application/json")
    lines = [f"HTTP/1.1 {status} x", f"content-length: {len(content)}", *(f"{k}: {v}" for k, v in named.items())]
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + content, keep=True)


def raw(content: bytes, *, keep: bool = False) -> Act:
    """Exactly these bytes, then the end of the connection unless ``keep``."""

    def act(connection: socket.socket) -> bool:
        connection.sendall(content)
        return keep

    return act


def reset(connection: socket.socket) -> bool:
    """Drop the connection with a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def silence(connection: socket.socket) -> bool:
    """Say nothing until the client gives up."""
    while connection.recv(65536):
        pass
    return False


def drip(connection: socket.socket) -> bool:
    """A body that never ends, always a little before any read times out."""
    connection.sendall(b"HTTP/1.1 200 x\r\ncontent-type: application/json\r\n\r\n")
    connection.settimeout(0.05)
    while True:
        connection.sendall(b" ")
        try:
            if not connection.recv(65536):
                return False
        except TimeoutError:
            continue


@dataclass
class Wire:
    """The server. ``script`` holds one act per request; ``otherwise`` answers when it is used up."""

    script: list[Act] = field(default_factory=list)
    otherwise: Callable[[Request], Act] = lambda request: answer(500, {"error": f"unexpected {request.path}"})
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    tls: ssl.SSLContext | None = None

    def __enter__(self) -> Wire:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                connection.close()
        self._thread.join(5)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        connection = accepted
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            while request := _read(connection):
                with self._lock:
                    self.requests.append(request)
                    act = self.script.pop(0) if self.script else self.otherwise(request)
                if not act(connection):
                    break
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(accepted)
            connection.close()


def _read(connection: socket.socket) -> Request | None:
    buffer = b""
    while b"\r\n\r\n" not in buffer:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        buffer += chunk
    head, _, body = buffer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return Request(method, path, headers, body)
