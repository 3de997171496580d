"""Heads and chunks of HTTP/1.1: what is understood, what is refused, and that nothing is read without a limit."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_assets.transfer.failures import DownloadFailed, Fault
from video_assets.transfer.http.http1 import Chunks, Head, read_head


def reader(data: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(data))  # type: ignore[type-var]


def head(data: bytes, most: int = 65_536) -> Head:
    return read_head(reader(data), most)


def body(data: bytes, room: int = 1000) -> bytes:
    chunks, found, view = Chunks(reader(data)), b"", memoryview(bytearray(room))
    while count := chunks.read_into(view):
        found += view[:count]
    return found


def test_a_head_is_read_up_to_its_empty_line() -> None:
    source = reader(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Name:  caf\xe9 \r\n\r\nbody")
    found = read_head(source, 1000)
    assert (found.status, found.length, found.headers["x-name"]) == (200, 4, "caf\xe9")
    assert source.read() == b"body"


@pytest.mark.parametrize(
    ("block", "name", "value"),
    [
        (b"A: b\r\n c\r\n\td\r\n", "A", "b c d"),
        (b"A : b\r\n", "A", "b"),
        (b"no header at all\r\nA: b\r\n", "A", "b"),
        (b" folded before any\r\nA: b\r\n", "A", "b"),
        (b"A: b\0\rB: c\r\n", "A", "b  B: c"),
        (b"A: b\x85\x0b\x0c\x1cB: c\r\n", "B", None),
        (b"A(: b\r\n", "A(", None),
        (b"A: b\n", "A", "b"),
    ],
)
def test_odd_headers_never_become_other_headers(block: bytes, name: str, value: str | None) -> None:
    assert head(b"HTTP/1.1 200 OK\r\n" + block + b"\r\n").headers.get(name) == value


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", Fault.RESET),
        (b"HTT", Fault.RESET),
        (b"HTTP/1.1 200 OK\r\n", Fault.RESET),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Ty", Fault.RESET),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", Fault.RESET),
        (b"\0\0\0\x20ftypisom", Fault.BAD_RESPONSE),
        (b"220 mail ready\r\n", Fault.BAD_RESPONSE),
        (b"HTTP/2 200\r\n\r\n", Fault.BAD_RESPONSE),
        (b"HTTP/1.1 20 OK\r\n\r\n", Fault.BAD_RESPONSE),
        (b"HTTP/1.1 0200 OK\r\n\r\n", Fault.BAD_RESPONSE),
        (b"HTTP/1.1 +20 OK\r\n\r\n", Fault.BAD_RESPONSE),
        (b"\r\nHTTP/1.1 200 OK\r\n\r\n", Fault.BAD_RESPONSE),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 9, Fault.BAD_RESPONSE),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300, Fault.HEADERS_TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000, Fault.HEADERS_TOO_LARGE),
        (b"HTTP/1.1 200 " + b"b" * 70_000, Fault.HEADERS_TOO_LARGE),
        ((b"HTTP/1.1 100 C\r\nA: " + b"b" * 20_000 + b"\r\n\r\n") * 4, Fault.HEADERS_TOO_LARGE),
    ],
)
def test_a_head_that_is_none_is_named(data: bytes, fault: Fault) -> None:
    with pytest.raises(DownloadFailed) as caught:
        head(data)
    assert caught.value.fault is fault


def test_interim_answers_are_passed_over() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    assert head(interim + b"HTTP/1.1 206 Part\r\n\r\n").status == 206


@pytest.mark.parametrize(
    ("version", "connection", "persistent"),
    [
        ("1.1", "", True),
        ("1.1", "Connection: keep-alive\r\nConnection: X, Close\r\n", False),
        ("1.0", "", False),
        ("1.0", "Connection: Keep-Alive\r\n", True),
    ],
)
def test_who_keeps_the_connection_open(version: str, connection: str, persistent: bool) -> None:
    assert head(f"HTTP/{version} 200 OK\r\n{connection}\r\n".encode()).persistent is persistent


@pytest.mark.parametrize(
    ("value", "length"),
    [
        ("5", 5),
        ("5, 5", 5),
        ("5\r\nContent-Length: 5", 5),
        ("0", 0),
    ],
)
def test_a_plain_number_is_a_length(value: str, length: int) -> None:
    assert head(f"HTTP/1.1 200 OK\r\nContent-Length: {value}\r\n\r\n".encode()).length == length


def test_without_a_length_none_is_announced() -> None:
    assert head(b"HTTP/1.1 200 OK\r\n\r\n").length is None


@pytest.mark.parametrize(
    "value",
    [
        *("5, 6", "5\r\nContent-Length: 6", "9" * 20, "9" * 5000),
        *("", "x", "-5", "+3", "0x5", "1_0", "1e3", "5 5", "５"),
    ],
)
def test_a_length_that_is_no_number_or_contradicts_itself_is_refused(value: str) -> None:
    found = head(f"HTTP/1.1 200 OK\r\nContent-Length: {value}\r\n\r\n".encode())
    with pytest.raises(DownloadFailed) as caught:
        _ = found.length
    assert caught.value.fault is Fault.BAD_RESPONSE


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.integers(1, 50))
def test_chunks_come_out_whole_in_any_pieces(parts: list[bytes], room: int) -> None:
    wire = b"".join(b'%X ; name="value"\r\n%s\r\n' % (len(part), part) for part in parts)
    assert body(wire + b"0\r\nX-Trailer: 1\r\n\r\n", room) == b"".join(parts)


@pytest.mark.parametrize(
    ("wire", "fault"),
    [
        (b"", Fault.TRUNCATED),
        (b"5\r\nab", Fault.TRUNCATED),
        (b"5\r\nabcde", Fault.TRUNCATED),
        (b"5\r\nabcde\r\n", Fault.TRUNCATED),
        (b"5", Fault.TRUNCATED),
        (b"\r\n", Fault.TRUNCATED),
        (b"zz\r\n", Fault.TRUNCATED),
        (b"-5\r\nabcde\r\n0\r\n\r\n", Fault.TRUNCATED),
        (b"+5\r\nabcde\r\n0\r\n\r\n", Fault.TRUNCATED),
        (b"0x5\r\nabcde\r\n0\r\n\r\n", Fault.TRUNCATED),
        (b"0_5\r\nabcde\r\n0\r\n\r\n", Fault.TRUNCATED),
        (b"F" * 17 + b"\r\nab", Fault.TRUNCATED),
        (b"F" * 16 + b"\r\nab", Fault.TRUNCATED),
        (b"5\r\nabcdefgh\r\n0\r\n\r\n", Fault.DAMAGED),
        (b"5;" + b"x" * 20_000 + b"\r\nabcde\r\n0\r\n\r\n", Fault.BAD_RESPONSE),
        ((b"1;" + b"x" * 9_000 + b"\r\na\r\n") * 9 + b"0\r\n\r\n", Fault.HEADERS_TOO_LARGE),
        (b"0\r\n" + (b"A: " + b"x" * 9_000 + b"\r\n") * 9 + b"\r\n", Fault.HEADERS_TOO_LARGE),
    ],
)
def test_broken_chunks_are_named(wire: bytes, fault: Fault) -> None:
    with pytest.raises(DownloadFailed) as caught:
        body(wire)
    assert caught.value.fault is fault


def test_a_source_that_closes_right_behind_its_last_chunk_has_sent_everything() -> None:
    chunks, view = Chunks(reader(b"2\r\nab\r\n0\r\n")), memoryview(bytearray(10))
    assert [chunks.read_into(view), chunks.read_into(view), chunks.read_into(view)] == [2, 0, 0]
    assert chunks.closed_early


@given(st.binary(max_size=400))
def test_reading_noise_only_fails_as_a_download(data: bytes) -> None:
    for read in (lambda: head(data, 200), lambda: head(b"HTTP/1.1 200 OK\r\n" + data).length, lambda: body(data)):
        try:
            read()
        except DownloadFailed:
            continue
