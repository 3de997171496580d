"""Connections to checked addresses: dialled by number, named by host, watched byte by byte.

Nothing here resolves a name, reads a proxy variable, keeps a cookie or follows a redirect. What is dialled is
what :mod:`video_assets.transfer.guard` allowed; ``Host``, SNI and the certificate check keep the name.
"""

from __future__ import annotations

import io
import socket
import ssl
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPMessage, HTTPResponse, IncompleteRead, LineTooLong, RemoteDisconnected
from typing import Any, Final

import certifi
from urllib3.util import wait_for_read

from video_assets.transfer.failures import DownloadFailed, Fault
from video_assets.transfer.guard import Verdict

_READ_AHEAD: Final = 65_536
_MOST_INTERIM_ANSWERS: Final = 8
_SLICE: Final = 1.0
"""Seconds between two looks at cancellation while the source is silent."""
_IDLE_SECONDS: Final = 20.0
"""How long a kept connection is trusted; shorter than what servers usually allow (60 to 75 s)."""
_IDLE_PER_ORIGIN: Final = 16
_IDLE_IN_ALL: Final = 64
_SESSIONS: Final = 256


def tls_context() -> ssl.SSLContext:
    """Verifying TLS with the machine's own certificate authorities and those of certifi."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


class Watch:
    """The patience of one fetch: total deadline, longest silence, least rate, largest headers, cancellation.

    A socket timeout alone never fires on a source that drips one byte at a time, so every read of the wire is
    accounted here. Only time spent waiting for the source counts against its rate, not time spent on our disk.
    """

    def __init__(
        self, *, deadline: float, idle: float, floor: int, cancelled: Callable[[], bool] | None = None
    ) -> None:
        """``deadline`` on the monotonic clock, ``idle`` in seconds, ``floor`` in bytes per second (0: none)."""
        self._deadline = deadline
        self._idle = idle
        self._floor = floor
        self._cancelled = cancelled
        self._silence = 0.0
        self._waited = 0.0
        self._window_bytes = 0
        self._headers_until: float | None = None
        self._header_bytes_left = 0

    def remaining(self) -> float:
        """Seconds until the total deadline; raises DownloadFailed when there are none, or when cancelled."""
        if self._cancelled is not None and self._cancelled():
            raise DownloadFailed(Fault.CANCELLED)
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise DownloadFailed(Fault.DEADLINE)
        return left

    def begin_headers(self, most_bytes: int) -> None:
        """From here until :meth:`begin_body` the answer's headers are awaited: at most ``most_bytes`` of them."""
        self._headers_until = time.monotonic() + self._idle
        self._header_bytes_left = most_bytes + _READ_AHEAD
        self._silence = 0.0

    def begin_body(self) -> None:
        """The headers are complete; the rate is measured from here."""
        self._headers_until = None
        self._silence = self._waited = 0.0
        self._window_bytes = 0

    def patience(self) -> float:
        """Seconds the next read may block before :meth:`account` is asked again."""
        left = min(self.remaining(), self._idle - self._silence)
        if self._headers_until is not None:
            left = min(left, self._headers_until - time.monotonic())
        return max(0.001, min(left, _SLICE) if self._cancelled is not None else left)

    def account(self, waited: float, received: int | None) -> None:
        """Take note of one read: the seconds it took, and its bytes (None when nothing came in time)."""
        self._silence = self._silence + waited if received is None else 0.0
        if self._headers_until is not None:
            self._header_bytes_left -= received or 0
            if self._header_bytes_left < 0:
                raise DownloadFailed(Fault.HEADERS_TOO_LARGE)
            if received is None and time.monotonic() >= self._headers_until:
                raise DownloadFailed(Fault.STALLED, "no complete answer came")
            return
        if self._silence >= self._idle:
            raise DownloadFailed(Fault.STALLED, f"nothing came for {self._idle:g} seconds")
        self._waited += waited
        self._window_bytes += received or 0
        if self._waited >= self._idle:
            if self._window_bytes < self._floor * self._waited:
                rate = int(self._window_bytes / self._waited)
                raise DownloadFailed(Fault.TOO_SLOW, f"{rate} bytes per second, {self._floor} are the least")
            self._waited, self._window_bytes = 0.0, 0


class _Wire(io.RawIOBase):
    """The receiving side of a socket as a raw stream; every byte passes the watch."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self.watch: Watch | None = None
        self.dry = False
        """True while only bytes that are already here may be read."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        watch = self.watch
        if self.dry or watch is None:
            return 0
        while True:
            self._socket.settimeout(watch.patience())
            started = time.monotonic()
            try:
                received: int | None = self._socket.recv_into(buffer)
            except TimeoutError:
                received = None
            except OSError:
                raise DownloadFailed(Fault.RESET) from None
            watch.account(time.monotonic() - started, received)
            if received is not None:
                return received


class _Source:
    """What ``http.client`` wants of a socket: a file to read the answer from, the same one every time."""

    def __init__(self, reader: io.BufferedReader[Any]) -> None:
        self._reader = reader

    def makefile(self, _mode: str) -> io.BufferedReader[Any]:
        return self._reader


class _Answer(HTTPResponse):
    """An answer that leaves the connection's reader open, so that the connection can be used again."""

    def close(self) -> None:
        self.fp = None  # type: ignore[assignment]

    def _close_conn(self) -> None:
        self.fp = None  # type: ignore[assignment]


class Connection:
    """One connection to one checked address, for one request at a time."""

    def __init__(self, plain: socket.socket, secure: ssl.SSLSocket | None, key: PoolKey) -> None:
        self.key = key
        self.used = False
        self.idle_since = 0.0
        self._socket: socket.socket = secure or plain
        self._secure = secure
        self._wire = _Wire(self._socket)
        self._reader: io.BufferedReader[Any] = io.BufferedReader(self._wire, _READ_AHEAD)

    @property
    def session(self) -> ssl.SSLSession | None:
        """The TLS session, to be resumed by the next connection to the same place."""
        return self._secure.session if self._secure else None

    def ask(
        self, verdict: Verdict, headers: Mapping[str, str], watch: Watch, *, most_header_bytes: int
    ) -> Answer:
        """Send a GET for the verdict's target, byte for byte, and read the answer's headers.

        Raises DownloadFailed; ``RESET`` with :attr:`used` set may just be a kept connection that had died.
        """
        lines = [f"GET {verdict.target} HTTP/1.1", f"Host: {verdict.netloc}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._wire.watch = watch
        watch.begin_headers(most_header_bytes)
        try:
            self._socket.settimeout(watch.patience())
            self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        except OSError:
            raise DownloadFailed(Fault.RESET, "the request could not be sent") from None
        response = self._read_head()
        watch.begin_body()
        return Answer(self, response, self._reader)

    def _read_head(self) -> HTTPResponse:
        try:
            for _ in range(_MOST_INTERIM_ANSWERS):
                response = _Answer(_Source(self._reader), method="GET")  # type: ignore[arg-type]
                response.begin()
                if response.status >= 200 or response.status == 101:
                    return response
        except RemoteDisconnected:
            raise DownloadFailed(Fault.RESET, "it closed without an answer") from None
        except LineTooLong:
            raise DownloadFailed(Fault.HEADERS_TOO_LARGE) from None
        except HTTPException as error:
            too_many = "headers" in str(error) and type(error) is HTTPException
            raise DownloadFailed(Fault.HEADERS_TOO_LARGE if too_many else Fault.BAD_RESPONSE) from None
        except ValueError:
            raise DownloadFailed(Fault.BAD_RESPONSE) from None
        raise DownloadFailed(Fault.BAD_RESPONSE, "it never came past interim answers")

    def excess(self, patience: float) -> bool:
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
            self._socket.settimeout(0.05)
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


class Answer:
    """Status, headers and body of one answer. ``length`` is what Content-Length announces, None when nothing."""

    def __init__(self, connection: Connection, response: HTTPResponse, reader: io.BufferedReader[Any]) -> None:
        self.connection = connection
        self.status = response.status
        self.headers: HTTPMessage = response.headers
        self.chunked = bool(response.chunked)
        self.received = 0
        self.ended = False
        self._response = response
        self._reader = reader
        lengths = set(self.headers.get_all("Content-Length", []))
        if len(lengths) > 1:
            raise DownloadFailed(Fault.BAD_RESPONSE, "it announces two different lengths")
        text = next(iter(lengths), "").strip()
        self.length = int(text) if text.isascii() and text.isdigit() and not self.chunked else None
        self.keeps_open = not response.will_close
        if self.status in (204, 304):
            self.length = 0

    def read_into(self, view: memoryview) -> int:
        """Fill the front of ``view`` with what arrives next; 0 at the end of the body.

        Raises DownloadFailed with ``TRUNCATED`` when the body ends before its announced or framed end.
        """
        if self.chunked:
            received = self._read_chunk(view)
        else:
            left = len(view) if self.length is None else min(len(view), self.length - self.received)
            received = self._reader.readinto1(view[:left]) if left else 0
            if received == 0 and self.length is not None and self.received < self.length:
                raise DownloadFailed(Fault.TRUNCATED, f"{self.received} of {self.length} bytes came")
        self.received += received
        if received == 0:
            self.ended = True
        return received

    def _read_chunk(self, view: memoryview) -> int:
        if self._response.fp is None:  # the last chunk has been read
            return 0
        try:
            block = self._response.read1(len(view))
        except (IncompleteRead, ValueError):
            raise DownloadFailed(Fault.TRUNCATED, "it broke off between chunks") from None
        except HTTPException:
            raise DownloadFailed(Fault.BAD_RESPONSE) from None
        view[: len(block)] = block
        return len(block)

    @property
    def reusable(self) -> bool:
        """True when the body was read to an end that leaves the connection usable."""
        return self.ended and self.keeps_open and (self.chunked or self.length is not None)


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
        failure = DownloadFailed(Fault.CONNECT)
        until = time.monotonic() + timeout
        for position, key in enumerate(keys):
            left = until - time.monotonic()
            if left <= 0:
                break
            try:
                return self._dial(key, max(0.05, left / (len(keys) - position)))
            except DownloadFailed as failed:
                failure = failed
        raise failure

    def _dial(self, key: PoolKey, timeout: float) -> Connection:
        scheme, host, port, address = key
        plain = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
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
            raise DownloadFailed(Fault.CONNECT, detail) from None

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
