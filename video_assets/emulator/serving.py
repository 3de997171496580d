"""The media host: bytes behind links, with ranges and ETags, sent from the file by the kernel; and its faults."""

from __future__ import annotations

import re
import socket
import struct
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import BinaryIO, Protocol

from video_assets.emulator.jobs import Asset, JobBoard
from video_assets.emulator.links import LinkOffice, Scheme, Verdict
from video_assets.emulator.wire import Reply

_TYPES = {"video": "video/mp4", "image": "image/jpeg"}
_PAGE = b"<!doctype html><html><title>Sign in</title><body><h1>Please sign in to continue</h1></body></html>\n"
_TICK = 0.1
"""Seconds between two pieces of a slow download."""


class Wire(Protocol):
    """What is needed of the HTTP server to answer by hand."""

    connection: socket.socket
    close_connection: bool

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Send status line and headers."""

    def send(self, reply: Reply) -> None:
        """Send a whole reply."""

    def reset(self) -> None:
        """Break the connection off with a TCP reset."""


class MediaHost:
    """Serves the outputs of jobs to whoever has a good link."""

    def __init__(self, board: JobBoard, links: LinkOffice) -> None:
        self._board = board
        self._links = links
        self.requests_with_key = 0
        """Requests that carried an Authorization header, which no media request should."""

    def handle(self, wire: Wire, method: str, path: str, query: str, headers: Mapping[str, str]) -> None:
        """Answer one GET or HEAD."""
        if "authorization" in headers:
            self.requests_with_key += 1
        verdict, link = self._links.judge(method, path, query, headers.get("host", ""))
        scheme = Scheme.S3 if path.startswith("/media/luma/") else Scheme.JWT
        if scheme is Scheme.S3 and "authorization" in headers:
            wire.send(_s3_error(400, "InvalidArgument", "Only one auth mechanism allowed"))
            return
        if verdict is not Verdict.GOOD:
            wire.send(_refusal(scheme, verdict))
            return
        asset = self._board.asset(path)
        if asset is None or asset.job.plan.missing:
            wire.send(_s3_error(404, "NoSuchKey", "The specified key does not exist."))
            return
        if method == "HEAD":
            self._serve(wire, asset, headers, body=False)
            return
        if link is not None:
            self._links.count_download(link)
        number = asset.next_download()
        if asset.kind == "video" and self._misbehave(wire, asset, number):
            return
        self._serve(wire, asset, headers)

    def _misbehave(self, wire: Wire, asset: Asset, number: int) -> bool:
        """Do what the plan wants for download ``number`` (from 0), True when that was the answer."""
        plan, job = asset.job.plan, asset.job
        if job.faulty("error_first", number):
            headers = {"Retry-After": f"{plan.retry_after:g}"} if plan.error_status in (429, 503) else {}
            wire.send(Reply(plan.error_status, b"Slow Down\n", "text/plain", headers))
            return True
        number -= plan.error_first
        if job.faulty("wrong_type_first", number):
            wire.send(Reply(200, _PAGE, "video/mp4"))
            return True
        number -= plan.wrong_type_first
        if job.faulty("truncate_first", number) or job.faulty("reset_first", number - plan.truncate_first):
            content = asset.content.result()
            wire.begin(200, _headers(asset, 0, content.size - 1))
            with content.path.open("rb") as file:
                wire.connection.sendfile(file, 0, content.size // 2)
            wire.close_connection = True
            if not job.faulty("truncate_first", number):
                wire.reset()
            return True
        return False

    def _serve(self, wire: Wire, asset: Asset, headers: Mapping[str, str], *, body: bool = True) -> None:
        content = asset.content.result()
        wanted = _wanted_range(headers, content.size, content.md5)
        if wanted is None:
            wire.send(Reply(416, b"", headers={"Content-Range": f"bytes */{content.size}"}))
            return
        start, end, status = wanted
        fields = _headers(asset, start, end)
        if status == 206:
            fields["Content-Range"] = f"bytes {start}-{end}/{content.size}"
        wire.begin(status, fields)
        if not body:
            return
        with content.path.open("rb") as file:
            speed = asset.job.plan.bytes_per_second
            if speed and asset.kind == "video":
                _drip(wire.connection, file, start, end + 1 - start, speed)
            else:
                wire.connection.sendfile(file, start, end + 1 - start)


def abort(connection: socket.socket) -> None:
    """Make closing ``connection`` a TCP reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _headers(asset: Asset, start: int, end: int) -> dict[str, str]:
    return {
        "Content-Type": _TYPES[asset.kind],
        "Content-Length": str(end + 1 - start),
        "Accept-Ranges": "bytes",
        "ETag": f'"{asset.content.result().md5}"',
        "Last-Modified": asset.job.created.strftime("%a, %d %b %Y %H:%M:%S GMT"),
    }


def _wanted_range(headers: Mapping[str, str], size: int, md5: str) -> tuple[int, int, int] | None:
    """First and last byte and the status, after RFC 9110 §14; None when the range lies outside the file."""
    whole = (0, size - 1, 200)
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", headers.get("range", "").strip())
    if match is None or match[0] == "bytes=-" or headers.get("if-range", f'"{md5}"') != f'"{md5}"':
        return whole
    if not match[1]:
        length = min(int(match[2]), size)
        return (size - length, size - 1, 206) if length else None
    start, end = int(match[1]), min(int(match[2]) if match[2] else size - 1, size - 1)
    if match[2] and int(match[2]) < start:
        return whole
    return (start, end, 206) if start < size else None


def _drip(connection: socket.socket, file: BinaryIO, start: int, count: int, speed: int) -> None:
    file.seek(start)
    piece = max(1, int(speed * _TICK))
    while count > 0:
        block = file.read(min(piece, count))
        connection.sendall(block)
        count -= len(block)
        if count > 0:
            time.sleep(_TICK)


def _refusal(scheme: Scheme, verdict: Verdict) -> Reply:
    if scheme is Scheme.JWT:
        reason = "jwt expired" if verdict is Verdict.EXPIRED else "invalid signature"
        return Reply(401, f'{{"error":"Unauthorized","reason":"{reason}"}}\n'.encode())
    if verdict is Verdict.EXPIRED:
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return _s3_error(403, "AccessDenied", "Request has expired", f"<ServerTime>{moment}</ServerTime>")
    return _s3_error(
        403,
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided.",
    )


def _s3_error(status: int, code: str, message: str, more: str = "") -> Reply:
    detail = f"<Code>{code}</Code><Message>{message}</Message>{more}"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{detail}</Error>'
    return Reply(status, body.encode(), "application/xml")
