"""Connections to checked addresses: dialled by number, named by host, watched byte by byte.

Nothing here resolves a name, reads a proxy variable, keeps a cookie or follows a redirect. What is dialled is
what :mod:`video_assets.transfer.ssrf.guard` allowed; ``Host``, SNI and the certificate check keep the name.
"""

from __future__ import annotations

import errno
import io
import socket
import ssl
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Any, Final

import certifi
from urllib3.util import wait_for_read

from video_assets.transfer.failures import DownloadFailed, Fault
from video_assets.transfer.http.http1 import Chunks, Head, Reader, read_head
from video_assets.transfer.http.timeouts import TimeLimits
from video_assets.transfer.ssrf.guard import Verdict

_READ_AHEAD: Final = 65_536
_IDLE_SECONDS: Final = 20.0
"""How long a kept connection is trusted; shorter than what servers usually allow (60 to 75 s)."""
_IDLE_PER_ORIGIN: Final = 16
_IDLE_IN_ALL: Final = 64
_SESSIONS: Final = 256
_OWN_ERRORS: Final = (errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM)
"""Connecting fails so on this machine, before anything leaves it."""


def tls_context() -> ssl.SSLContext:
    """Verifying TLS with the machine's own certificate authorities and those of certifi."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Wire(io.RawIOBase):
    """The receiving side of a socket as a raw stream; every byte passes the watch."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self.watch: TimeLimits | None = None
        self.dry = False
        """True while only bytes that are already here may be read."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        watch = self.watch
        if self.dry or watch is None:
            return 0
        watch.remaining()
        received = self._receive(buffer)
        while received is None:
            started = time.monotonic()
            if wait_for_read(self._socket, watch.patience()):
                received = self._receive(buffer)
            watch.account(time.monotonic() - started, received)
            if received is not None:
                return received
        watch.account(0.0, received)
        return received

    def _receive(self, buffer: Any) -> int | None:
        """What is here already, 0 at the end; None when nothing is."""
        try:
            return self._socket.recv_into(buffer)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError:
            raise DownloadFailed(Fault.RESET) from None


class Connection:
    """One connection to one checked address, for one request at a time."""

    def __init__(self, plain: socket.socket, secure: ssl.SSLSocket | None, key: PoolKey) -> None:
        self.key = key
        self.used = False
        self.idle_since = 0.0
        self._socket: socket.socket = secure or plain
        self._socket.setblocking(False)
        self._secure = secure
        self._wire = _Wire(self._socket)
        self._reader: Reader = io.BufferedReader(self._wire, _READ_AHEAD)

    @property
    def session(self) -> ssl.SSLSession | None:
        """The TLS session, to be resumed by the next connection to the same place."""
        return self._secure.session if self._secure else None

    def ask(
        self, verdict: Verdict, headers: Mapping[str, str], watch: TimeLimits, *, most_header_bytes: int
    ) -> Response:
        """Send a GET for the verdict's target, byte for byte, and read the answer's headers.

        Raises DownloadFailed; ``RESET`` with :attr:`used` set may just be a kept connection that had died.
        """
        lines = [f"GET {verdict.target} HTTP/1.1", f"Host: {verdict.netloc}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._wire.watch = watch
        watch.begin_headers()
        try:
            self._socket.settimeout(watch.patience())
            self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
            self._socket.setblocking(False)
        except OSError:
            raise DownloadFailed(Fault.RESET, "the request could not be sent") from None
        head = read_head(self._reader, most_header_bytes)
        watch.begin_body()
        return Response(self, head, self._reader)

    def has_trailing_bytes(self, patience: float) -> bool:
        """True when more bytes came than the last answer announced; waits up to ``patience`` seconds for them."""
        self._wire.dry = True
        try:
            if self._reader.peek(1):
                return True
        finally:
            self._wire.dry = False
        if not wait_for_read(self._socket, patience):
            return False
        try:
            return bool(self._socket.recv(1))
        except OSError:
            return False

    def is_quiet(self) -> bool:
        """True when nothing has arrived that nobody asked for, the end of the connection included."""
        return not wait_for_read(self._socket, 0.0)

    def close(self) -> None:
        """Close the connection; closing twice is fine."""
        self._wire.watch = None
        self._socket.close()


class Response:
    """Status, headers and body of one answer. ``length`` is what Content-Length announces, None when nothing."""

    def __init__(self, connection: Connection, head: Head, reader: Reader) -> None:
        """Raises DownloadFailed when the framing of the body is contradictory or not understood."""
        self.connection = connection
        self.status = head.status
        self.headers = head.headers
        self.received = 0
        self.ended = False
        self.length = head.length
        self._reader = reader
        self._chunks: Chunks | None = None
        self._keeps_open = head.persistent
        codings = head.codings
        if self.status in (101, 204, 304):
            self.length = 0
            self._keeps_open = self._keeps_open and self.status != 101
        elif set(codings) == {"chunked"}:
            self._keeps_open = self._keeps_open and self.length is None  # RFC 9112, 6.3: both is suspect
            self.length = None
            self._chunks = Chunks(reader)
        elif codings:
            if "chunked" in codings:
                raise DownloadFailed(Fault.UNKNOWN_ENCODING)
            self._keeps_open = False

    @property
    def encoding(self) -> str:
        """Content-Encoding, over all lines of that name; empty when there is none."""
        return ", ".join(self.headers.get_all("Content-Encoding", []))

    def read_into(self, view: memoryview) -> int:
        """Fill the front of ``view`` with what arrives next; 0 at the end of the body.

        Raises DownloadFailed with ``TRUNCATED`` when the body ends before its announced or framed end.
        """
        if self._chunks is not None:
            received = self._chunks.read_into(view)
        else:
            left = len(view) if self.length is None else min(len(view), self.length - self.received)
            received = self._reader.readinto1(view[:left]) if left else 0
            if received == 0 and self.length is not None and self.received < self.length:
                raise DownloadFailed(Fault.TRUNCATED, f"{self.received} of {self.length} bytes came")
        self.received += received
        if received == 0:
            self.ended = True
        return received

    @property
    def reusable(self) -> bool:
        """True when the body was read to an end that leaves the connection usable."""
        framed = self.length is not None if self._chunks is None else not self._chunks.closed_early
        return self.ended and self._keeps_open and framed


PoolKey = tuple[str, str, int, str]
"""Scheme, host, port, address: connections are never shared between two of these."""


class ConnectionPool:
    """Kept connections and TLS sessions, per checked address. Safe for many threads."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context or tls_context()
        self._lock = threading.Lock()
        self._idle: dict[PoolKey, deque[Connection]] = {}
        self._sessions: OrderedDict[PoolKey, ssl.SSLSession] = OrderedDict()

    def connect(self, verdict: Verdict, *, timeout: float, fresh: bool = False) -> Connection:
        """A kept or new connection to one of the verdict's addresses, tried in their order.

        ``timeout`` is in seconds and holds for all addresses together. Raises DownloadFailed.
        """
        keys = [
            (verdict.scheme or "", verdict.host or "", verdict.port or 0, address)
            for address in verdict.addresses
        ]
        if not fresh:
            for key in keys:
                kept = self._take(key)
                if kept is not None:
                    return kept
        failure: DownloadFailed | None = None
        until = time.monotonic() + timeout
        for position, key in enumerate(keys):
            left = until - time.monotonic()
            if left <= 0:
                break
            try:
                return self._dial(key, max(0.05, left / (len(keys) - position)))
            except DownloadFailed as failed:
                # An address family that this machine has no way to (IPv6, often) does not speak for the source.
                if failure is None or failed.fault is not Fault.NO_ROUTE:
                    failure = failed
        raise failure or DownloadFailed(Fault.CONNECT)

    def _dial(self, key: PoolKey, timeout: float) -> Connection:
        scheme, host, port, address = key
        try:
            plain = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        except OSError as error:
            raise DownloadFailed(Fault.NO_ROUTE, error.strerror) from None
        try:
            plain.settimeout(timeout)
            plain.connect((address, port))
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if scheme != "https":
                return Connection(plain, None, key)
            with self._lock:
                session = self._sessions.get(key)
            name = host.removesuffix(".")
            return Connection(plain, self._context.wrap_socket(plain, server_hostname=name, session=session), key)
        except ssl.SSLCertVerificationError as error:
            plain.close()
            raise DownloadFailed(Fault.TLS, error.verify_message.rstrip(".")) from None
        except ssl.SSLError as error:
            plain.close()
            raise DownloadFailed(Fault.TLS, error.reason) from None
        except (OSError, ValueError) as error:
            plain.close()
            detail = "it took too long" if isinstance(error, TimeoutError) else getattr(error, "strerror", None)
            own = getattr(error, "errno", None) in _OWN_ERRORS
            raise DownloadFailed(Fault.NO_ROUTE if own else Fault.CONNECT, detail) from None

    def _take(self, key: PoolKey) -> Connection | None:
        while True:
            with self._lock:
                waiting = self._idle.get(key)
                if not waiting:
                    self._idle.pop(key, None)
                    return None
                kept = waiting.pop()
            if time.monotonic() - kept.idle_since < _IDLE_SECONDS and kept.is_quiet():
                kept.used = True
                return kept
            kept.close()

    def give_back(self, connection: Connection) -> None:
        """Keep ``connection`` for the next request to the same place, or close it when there are enough."""
        connection.idle_since = time.monotonic()
        with self._lock:
            if connection.session is not None:
                self._sessions[connection.key] = connection.session
                while len(self._sessions) > _SESSIONS:
                    self._sessions.popitem(last=False)
            waiting = self._idle.setdefault(connection.key, deque())
            if len(waiting) < _IDLE_PER_ORIGIN and sum(map(len, self._idle.values())) < _IDLE_IN_ALL:
                waiting.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close every kept connection."""
        with self._lock:
            kept = [connection for waiting in self._idle.values() for connection in waiting]
            self._idle.clear()
        for connection in kept:
            connection.close()
