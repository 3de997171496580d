"""One request to the fault server and the raw socket to answer it on."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl


@dataclass(frozen=True, slots=True)
class Request:
    """One request exactly as it came. Header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The parameters, the last of each name."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))


@dataclass
class Exchange:
    """One request and the socket to answer it on. The payload is what an honest server would send."""

    request: Request
    connection: socket.socket
    payload: bytes
    content_type: str
    number: int
    """How many requests of this kind came, this one included."""
    base_url: str
    stopping: threading.Event
    closing: bool = False
    _query: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._query = self.request.query

    def option(self, name: str, default: float) -> float:
        """A numeric parameter of the request."""
        return float(self._query.get(name, default))

    def text(self, name: str, default: str = "") -> str:
        """A textual parameter of the request."""
        return self._query.get(name, default)

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.connection.sendall(data)

    def head(self, status: int, headers: Mapping[str, object], *, close: bool = False) -> None:
        """Send a status line and headers; with ``close`` the connection ends after this answer."""
        phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Odd"
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        if close:
            self.closing = True
            lines.append("Connection: close")
        self.raw(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def whole(self, body: bytes | None = None, status: int = 200, **headers: object) -> None:
        """An honest answer with a known length; underscores in header names mean hyphens."""
        content = self.payload if body is None else body
        named = {"Content-Type": self.content_type}
        named.update({name.replace("_", "-"): str(value) for name, value in headers.items()})
        self.head(status, {**named, "Content-Length": len(content)})
        self.raw(content)

    def reset(self) -> None:
        """Break the connection off with a TCP reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.closing = True
        self.connection.close()

    def wait(self, seconds: float) -> bool:
        """Pause; False when the server is being stopped."""
        return not self.stopping.wait(seconds)

    @property
    def etag(self) -> str:
        """The strong ETag of the payload."""
        return f'"{hashlib.md5(self.payload, usedforsecurity=False).hexdigest()}"'

    @property
    def range_start(self) -> int | None:
        """The first byte that a Range header asks for, None without one."""
        value = self.request.headers.get("range", "")
        start = value.removeprefix("bytes=").partition("-")[0]
        return int(start) if value.startswith("bytes=") and start.isdigit() else None

    def cut(self, data: bytes | None = None) -> bytes:
        """What is sent of a body before it breaks off: ``part`` of it, 0.4 by default."""
        body = self.payload if data is None else data
        return body[: int(len(body) * self.option("part", 0.4))]


Fault = Callable[[Exchange], None]
"""Answers one exchange in its own way."""
