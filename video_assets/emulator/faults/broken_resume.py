"""Faults of resuming: the first answer breaks off, and the next one is as named."""

from __future__ import annotations

from video_assets.emulator.faults.exchange import Exchange, Fault

FAULTS: dict[str, Fault] = {}
"""The faults of this module, by name."""


def _fault(function: Fault) -> Fault:
    FAULTS[function.__name__.removeprefix("write_")] = function
    return function


# Resuming: the first answer breaks off, the next one is as named


def _breaks_off(exchange: Exchange, etag: str | None = None) -> bool:
    """True when this was a first request, which has then been answered with a part of the payload."""
    if exchange.range_start is not None:
        return False
    exchange.head(
        200,
        {
            "Content-Type": exchange.content_type,
            "Content-Length": len(exchange.payload),
            "Accept-Ranges": "bytes",
            "ETag": etag or exchange.etag,
        },
        close=True,
    )
    exchange.raw(exchange.cut() if exchange.number == 1 else exchange.payload)
    return True


def _part(exchange: Exchange, start: int, *, etag: str | None = None, total: int | None = None) -> None:
    body = exchange.payload[start:]
    size = len(exchange.payload)
    exchange.whole(
        body,
        206,
        Content_Range=f"bytes {start}-{size - 1}/{total or size}",
        ETag=etag or exchange.etag,
    )


@_fault
def write_resume(exchange: Exchange) -> None:
    """Breaks off once and resumes properly."""
    if not _breaks_off(exchange):
        _part(exchange, exchange.range_start or 0)


@_fault
def write_resume_200(exchange: Exchange) -> None:
    """Breaks off once, then ignores the Range and sends everything."""
    if not _breaks_off(exchange):
        exchange.whole(ETag=exchange.etag)


@_fault
def write_resume_200_with_range(exchange: Exchange) -> None:
    """Breaks off once, then sends the rest under status 200 with a Content-Range, as one hub does."""
    if not _breaks_off(exchange):
        start = exchange.range_start or 0
        size = len(exchange.payload)
        exchange.whole(
            exchange.payload[start:], Content_Range=f"bytes {start}-{size - 1}/{size}", ETag=exchange.etag
        )


@_fault
def write_resume_wrong_offset(exchange: Exchange) -> None:
    """Breaks off once, then sends another part than the one asked for."""
    if not _breaks_off(exchange):
        _part(exchange, max(0, (exchange.range_start or 0) - 1000))


@_fault
def write_resume_416(exchange: Exchange) -> None:
    """Breaks off once, then says that there is no such part."""
    if not _breaks_off(exchange):
        exchange.whole(b"", 416, Content_Range=f"bytes */{len(exchange.payload)}")


@_fault
def write_resume_changed_etag(exchange: Exchange) -> None:
    """Breaks off once, then sends the rest of another version."""
    if not _breaks_off(exchange):
        _part(exchange, exchange.range_start or 0, etag='"another"')


@_fault
def write_resume_changed_total(exchange: Exchange) -> None:
    """Breaks off once, then counts another size."""
    if not _breaks_off(exchange):
        _part(exchange, exchange.range_start or 0, total=len(exchange.payload) + 7)


@_fault
def write_resume_weak_etag(exchange: Exchange) -> None:
    """Breaks off once and has only a weak ETag, on which nothing may be resumed."""
    if not _breaks_off(exchange, f"W/{exchange.etag}"):
        _part(exchange, exchange.range_start or 0)


@_fault
def write_part_unasked(exchange: Exchange) -> None:
    """Status 206 with a part although everything was asked for."""
    _part(exchange, 1000)
