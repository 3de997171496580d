"""Connections that tell "never connected" from "broke off later", which urllib3's own exceptions leave open."""

from __future__ import annotations

import ssl
from functools import lru_cache
from http.client import HTTPException

import certifi
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError


def connection_pool(scheme: str, host: str, port: int | None, size: int) -> HTTPConnectionPool:
    """A pool that keeps up to ``size`` connections to one host. Calls raise NotConnected, or what urllib3 does.

    It knows no proxy: those of the environment are read by urllib3's PoolManager and by requests, not here.
    """
    if scheme == "https":
        pool: HTTPConnectionPool = HTTPSConnectionPool(host, port, maxsize=size, ssl_context=tls_context())
        pool.ConnectionCls = _TlsConnection
    else:
        pool = HTTPConnectionPool(host, port, maxsize=size)
        pool.ConnectionCls = _PlainConnection
    return pool


class NotConnected(Exception):
    """No connection came about, so nothing was sent. The text is ours and holds no address."""


class _PlainConnection(HTTPConnection):
    """Raises NotConnected while there is no connection yet."""

    def connect(self) -> None:
        try:
            super().connect()
        except (HTTPError, HTTPException, OSError) as exc:
            raise NotConnected(_why_not_connected(exc)) from None


class _TlsConnection(HTTPSConnection):
    """The same over TLS: a failed handshake has sent no request either."""

    def connect(self) -> None:
        try:
            super().connect()
        except (HTTPError, HTTPException, OSError) as exc:
            raise NotConnected(_why_not_connected(exc)) from None


def _why_not_connected(exc: Exception) -> str:
    if isinstance(exc, NameResolutionError):
        return "its name does not resolve"
    if isinstance(exc, NewConnectionError):
        return "the connection was refused"
    if isinstance(exc, (ConnectTimeoutError, TimeoutError)):
        return "no connection in time"
    if isinstance(exc, ssl.SSLCertVerificationError):
        return "its certificate is not trusted"
    if isinstance(exc, ssl.SSLError):
        return "no secure connection came about"
    return "no connection came about"


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """System certificates (and SSL_CERT_FILE) together with certifi's, which slim images lack."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
