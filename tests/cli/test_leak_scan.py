"""The scan must find a planted secret wherever a process may leave one: a clean result has to mean something."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import secrets
import sqlite3
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from video_assets.demo.leak_scan import BLOCK, scan


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


HEADER = b64(b'{"alg":"HS256","typ":"JWT"}')
JWT = ".".join((HEADER, b64(json.dumps({"exp": 1795230145, "bucket": "a" * 40}).encode()), b64(bytes(range(32)))))
KEY = "key_" + "0123456789abcdef" * 4
URL = f"https://media.example.com/v.mp4?_jwt={JWT}&x=1"


def packed_zip(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside/log.txt", data)
    return buffer.getvalue()


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zlib": zlib.compress,
    "zip": packed_zip,
    "gzip in zip": lambda data: packed_zip(gzip.compress(data)),
    "base64": base64.b64encode,
    "base64 inside a text": lambda data: b'{"cursor": "' + base64.urlsafe_b64encode(b"x" + data) + b'"}',
    "zlib in base64": lambda data: b"cursor " + base64.b64encode(zlib.compress(data)) + b" end",
    "UTF-16": lambda data: data.decode().encode("utf-16-le"),
    "among binary": lambda data: secrets.token_bytes(5000) + b"\0" + data + b"\0" + secrets.token_bytes(5000),
    "across a block": lambda data: b" " * (BLOCK - 200) + data,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_planted_link_is_found_in_a_file_deep_down(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "a" / ".hidden" / "c"
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(FORMS[form](f"INFO fetched {URL} in 3 s".encode()))
    report = scan([tmp_path], [JWT, KEY])
    assert [leak.path for leak in report.leaks], form
    assert {leak.path for leak in report.leaks} == {folder / "file"}
    assert JWT not in repr(report)


def database(path: Path, *, journal: str = "DELETE") -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode={journal}")
    connection.execute("CREATE TABLE event (id INTEGER PRIMARY KEY, body TEXT, packed BLOB)")
    return connection


def test_a_value_scattered_over_pages_is_found_and_its_row_named(tmp_path: Path) -> None:
    with closing(database(tmp_path / "runs.db")) as connection, connection:
        connection.execute("INSERT INTO event (body) VALUES ('harmless')")
        # The filler makes the secret lie across the end of an overflow page at one of the offsets.
        for filler in range(3900, 4200, 20):
            connection.execute("INSERT INTO event (body) VALUES (?)", ["f" * filler + " " + URL])
    report = scan([tmp_path], [JWT])
    rows = {leak.where for leak in report.leaks if leak.where != "bytes"}
    assert rows == {f"event.body, row {number}" for number in range(2, 17)}


def test_a_compressed_value_in_a_database_is_found(tmp_path: Path) -> None:
    with closing(database(tmp_path / "runs.db")) as connection, connection:
        connection.execute("INSERT INTO event (packed) VALUES (?)", [zlib.compress(URL.encode())])
    assert "event.packed, row 1" in {leak.where for leak in scan([tmp_path], [JWT]).leaks}


def test_a_deleted_row_is_still_a_leak(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    with closing(database(path)) as connection, connection:
        connection.execute("PRAGMA secure_delete=OFF")
        connection.execute("INSERT INTO event (body) VALUES (?)", [URL])
        connection.commit()
        connection.execute("DELETE FROM event")
    assert scan([path], [JWT]).leaks


def test_what_is_only_in_the_write_ahead_log_is_found(tmp_path: Path) -> None:
    with closing(database(tmp_path / "catalog.db", journal="WAL")) as connection:
        connection.execute("INSERT INTO event (body) VALUES (?)", [URL])
        connection.commit()
        names = {leak.path.name for leak in scan([tmp_path], [JWT]).leaks}
    assert "catalog.db-wal" in names


def test_a_piece_of_a_secret_is_a_leak(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"link ended in …{JWT[-40:]}")
    assert scan([tmp_path], [JWT]).leaks


def test_a_secret_in_a_file_name_is_found(tmp_path: Path) -> None:
    (tmp_path / f"v.mp4?_jwt={JWT[:200]}").write_bytes(b"")
    assert [leak.where for leak in scan([tmp_path], [JWT]).leaks] == ["file name"]


def test_what_is_redacted_is_not_a_leak(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"https://media.example.com/v.mp4?_jwt=REDACTED, {HEADER}, key_…, {'a' * 500}")
    report = scan([tmp_path], [JWT, KEY])
    assert report.clean
    assert (report.secrets, report.files) == (2, 1)


def test_what_cannot_be_read_is_not_called_clean(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    report = scan([tmp_path], [JWT])
    assert not report.leaks
    assert not report.clean


def test_a_secret_too_short_to_be_looked_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too short"):
        scan([tmp_path], ["hunter2"])
