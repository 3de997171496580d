"""Faults of the way the bytes come: cut, reset, lied about, endless, slow; and whole answers in odd frames."""

from __future__ import annotations

import gzip
import struct
import zlib

from video_assets.emulator.faults.exchange import Exchange, Fault

_BLOCK = 65_536

FAULTS: dict[str, Fault] = {}
"""The faults of this module, by name."""


def _fault(function: Fault) -> Fault:
    FAULTS[function.__name__.removeprefix("write_")] = function
    return function


# Whole answers


@_fault
def write_ok(exchange: Exchange) -> None:
    """The payload, whole."""
    exchange.whole()


@_fault
def write_close_delimited(exchange: Exchange) -> None:
    """The payload, whole, without a length: the end of the connection is its end."""
    exchange.head(200, {"Content-Type": exchange.content_type}, close=True)
    exchange.raw(exchange.payload)


@_fault
def write_chunked(exchange: Exchange) -> None:
    """The payload, whole, in chunks, with an extension and a trailer."""
    exchange.head(200, {"Content-Type": exchange.content_type, "Transfer-Encoding": "chunked"})
    for start in range(0, len(exchange.payload), 10_000):
        block = exchange.payload[start : start + 10_000]
        exchange.raw(b"%x;note=1\r\n%s\r\n" % (len(block), block))
    exchange.raw(b"0\r\nX-Trailer: yes\r\n\r\n")


@_fault
def write_gzip(exchange: Exchange) -> None:
    """The payload, whole, compressed although nobody asked."""
    exchange.whole(gzip.compress(exchange.payload, 1), Content_Encoding="gzip")


@_fault
def write_deflate(exchange: Exchange) -> None:
    """The payload, whole, as raw deflate, which many servers send under that name."""
    squeezer = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    exchange.whole(squeezer.compress(exchange.payload) + squeezer.flush(), Content_Encoding="deflate")


@_fault
def write_early_hints(exchange: Exchange) -> None:
    """Two interim answers before the payload."""
    exchange.raw(b"HTTP/1.1 100 Continue\r\n\r\n")
    exchange.raw(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
    exchange.whole()


@_fault
def write_wrong_label(exchange: Exchange) -> None:
    """The payload, whole, under a Content-Type that says nothing."""
    exchange.whole(Content_Type=exchange.text("type", "binary/octet-stream"))


# Broken transport


@_fault
def write_truncated(exchange: Exchange) -> None:
    """A correct Content-Length, then the connection ends in the middle."""
    exchange.head(
        200, {"Content-Type": exchange.content_type, "Content-Length": len(exchange.payload)}, close=True
    )
    exchange.raw(exchange.cut())


@_fault
def write_reset(exchange: Exchange) -> None:
    """A TCP reset in the middle of the body."""
    exchange.head(200, {"Content-Type": exchange.content_type, "Content-Length": len(exchange.payload)})
    exchange.raw(exchange.cut())
    exchange.wait(0.05)
    exchange.reset()


@_fault
def write_reset_at_once(exchange: Exchange) -> None:
    """A TCP reset instead of an answer."""
    exchange.reset()


@_fault
def write_no_answer(exchange: Exchange) -> None:
    """The connection ends without a byte."""
    exchange.closing = True


@_fault
def write_not_http(exchange: Exchange) -> None:
    """Something that is no HTTP."""
    exchange.raw(b"220 mail.example.com ESMTP ready\r\n")
    exchange.closing = True


@_fault
def write_chunked_cut(exchange: Exchange) -> None:
    """Chunks, and the connection ends inside one."""
    exchange.head(200, {"Content-Type": exchange.content_type, "Transfer-Encoding": "chunked"}, close=True)
    exchange.raw(b"%x\r\n" % len(exchange.payload) + exchange.cut())


@_fault
def write_chunked_early_end(exchange: Exchange) -> None:
    """Chunks with a proper end that comes too early: no HTTP client can see this."""
    exchange.head(200, {"Content-Type": exchange.content_type, "Transfer-Encoding": "chunked"})
    part = exchange.cut()
    exchange.raw(b"%x\r\n%s\r\n0\r\n\r\n" % (len(part), part))


@_fault
def write_bad_chunk(exchange: Exchange) -> None:
    """A chunk whose size is not a number."""
    exchange.head(200, {"Content-Type": exchange.content_type, "Transfer-Encoding": "chunked"}, close=True)
    exchange.raw(b"zz\r\n" + exchange.cut())


@_fault
def write_close_delimited_cut(exchange: Exchange) -> None:
    """No length, and the connection ends too early: only the container can tell."""
    exchange.head(200, {"Content-Type": exchange.content_type}, close=True)
    exchange.raw(exchange.cut())


@_fault
def write_gzip_cut(exchange: Exchange) -> None:
    """A gzip body that stops in the middle, with a length that matches the stump."""
    exchange.whole(exchange.cut(gzip.compress(exchange.payload, 1)), Content_Encoding="gzip")


@_fault
def write_gzip_garbage(exchange: Exchange) -> None:
    """A body that is called gzip and is not."""
    exchange.whole(b"\x00" * 4096, Content_Encoding="gzip")


@_fault
def write_gzip_bomb(exchange: Exchange) -> None:
    """A small gzip body that grows to ``megabytes`` (64 by default) of a video's free space."""
    size = int(exchange.option("megabytes", 64)) * 1024 * 1024
    squeezer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    body = squeezer.compress(exchange.payload + struct.pack(">I", size) + b"free")
    body += (
        b"".join(squeezer.compress(bytes(1024 * 1024)) for _ in range(size // 1024 // 1024)) + squeezer.flush()
    )
    exchange.whole(body, Content_Encoding="gzip")


@_fault
def write_unknown_encoding(exchange: Exchange) -> None:
    """A Content-Encoding that was not asked for and cannot be undone."""
    exchange.whole(Content_Encoding="br")


# Lies about the length


@_fault
def write_length_short(exchange: Exchange) -> None:
    """A Content-Length smaller than the body that follows."""
    length = int(len(exchange.payload) * exchange.option("part", 0.4))
    exchange.head(200, {"Content-Type": exchange.content_type, "Content-Length": length})
    exchange.raw(exchange.payload)
    exchange.closing = True


@_fault
def write_length_conflict(exchange: Exchange) -> None:
    """Two different Content-Length headers."""
    length = len(exchange.payload)
    exchange.raw(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nContent-Length: {length + 1}\r\n\r\n".encode())
    exchange.raw(exchange.payload)
    exchange.closing = True


@_fault
def write_length_garbage(exchange: Exchange) -> None:
    """A Content-Length that is not a number; the payload is whole."""
    exchange.head(200, {"Content-Type": exchange.content_type, "Content-Length": "many"}, close=True)
    exchange.raw(exchange.payload)


@_fault
def write_too_large(exchange: Exchange) -> None:
    """A Content-Length beyond every limit."""
    exchange.head(200, {"Content-Type": exchange.content_type, "Content-Length": 10**15}, close=True)
    exchange.raw(exchange.payload)


@_fault
def write_endless(exchange: Exchange) -> None:
    """A body without a length that never ends, as fast as it can."""
    exchange.head(200, {"Content-Type": exchange.content_type}, close=True)
    exchange.raw(exchange.payload + b"\0\0\0\0free")
    while exchange.wait(0):
        exchange.raw(bytes(_BLOCK))


@_fault
def write_header_flood(exchange: Exchange) -> None:
    """Headers without end."""
    exchange.raw(b"HTTP/1.1 200 OK\r\n")
    for number in range(10_000):
        exchange.raw(b"X-Flood-%d: %s\r\n" % (number, b"x" * 1000))
    exchange.raw(b"\r\n")
    exchange.closing = True


@_fault
def write_long_header(exchange: Exchange) -> None:
    """One header as long as a file."""
    exchange.raw(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1_000_000 + b"\r\n\r\n")
    exchange.closing = True


# Too slow


@_fault
def write_stall(exchange: Exchange) -> None:
    """Silence in the middle of the body, with the connection left open."""
    exchange.head(200, {"Content-Type": exchange.content_type, "Content-Length": len(exchange.payload)})
    exchange.raw(exchange.cut())
    exchange.wait(exchange.option("seconds", 60))
    exchange.closing = True


@_fault
def write_stall_before_headers(exchange: Exchange) -> None:
    """Silence instead of an answer."""
    exchange.wait(exchange.option("seconds", 60))
    exchange.closing = True


@_fault
def write_drip(exchange: Exchange) -> None:
    """One small piece at a time: no read time-out ever fires on this."""
    exchange.head(200, {"Content-Type": exchange.content_type, "Content-Length": len(exchange.payload)})
    _drip(exchange, exchange.payload)


@_fault
def write_drip_headers(exchange: Exchange) -> None:
    """Headers that come one character at a time."""
    _drip(exchange, b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1_000_000)


def _drip(exchange: Exchange, data: bytes) -> None:
    piece = int(exchange.option("bytes", 1))
    for start in range(0, len(data), piece):
        exchange.raw(data[start : start + piece])
        if not exchange.wait(exchange.option("pause", 0.05)):
            break
    exchange.closing = True
