"""Many viewers of a large file: the server holds blocks, not files; and the same routes over S3."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from ..storage.conftest import make_source, s3_store
from ..storage.servers import KEY_ID, SECRET, rclone_server
from .conftest import MediaServer, running_media_server

MiB = 1024**2
LARGE = 200 * MiB
VIEWERS = 20
KEY = "ana/large.mp4"


def memory_of(pid: int, name: str) -> int:
    """``VmRSS`` or ``VmHWM`` of a process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) // 1024
    raise AssertionError(name)


def open_files_of(pid: int, ending: str) -> int:
    count = 0
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += str(handle.readlink()).endswith(ending)
        except FileNotFoundError:
            continue
    return count


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MediaServer]:
    """A media server with one file of 200 MB, all of it sparse but its last megabyte."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc to read the memory of the server")
    folder = tmp_path_factory.mktemp("large")
    source = folder / "source"
    with source.open("wb") as file:
        file.truncate(LARGE - MiB)
        file.seek(0, 2)
        file.write(hashlib.shake_128(b"end").digest(MiB))
    with running_media_server(folder / "home") as server:
        server.storage.put(KEY, source, content_type="video/mp4", sha256="not checked on the way")
        requests.get(server.media(KEY), headers={"Range": "bytes=0-9"}, timeout=10)
        yield server


def test_twenty_viewers_of_a_large_file_do_not_fill_the_memory(large: MediaServer) -> None:
    before = memory_of(large.pid, "VmHWM")

    def watch(viewer: int) -> tuple[int, bytes]:
        start = viewer * MiB
        with requests.get(
            large.media(KEY), headers={"Range": f"bytes={start}-"}, stream=True, timeout=60
        ) as answer:
            assert answer.status_code == 206
            count, tail = 0, b""
            for block in answer.iter_content(MiB):
                count += len(block)
                tail = (tail + block)[-16:]
        return count + start, tail

    with ThreadPoolExecutor(VIEWERS) as pool:
        watched = list(pool.map(watch, range(VIEWERS)))
    end = hashlib.shake_128(b"end").digest(MiB)[-16:]
    assert watched == [(LARGE, end)] * VIEWERS
    assert memory_of(large.pid, "VmHWM") - before < 100


def test_viewers_who_pause_hold_no_part_of_the_file_in_memory(large: MediaServer) -> None:
    before = memory_of(large.pid, "VmRSS")
    address = urlsplit(large.base)
    paused = []
    try:
        for _ in range(VIEWERS):
            viewer = socket.create_connection((address.hostname, address.port), timeout=20)
            viewer.sendall(f"GET /media/{KEY} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert viewer.recv(64).startswith(b"HTTP/1.1 200")
            paused.append(viewer)
        assert memory_of(large.pid, "VmRSS") - before < 60
        # Nobody who pauses keeps others from being served.
        assert requests.get(f"{large.base}/healthz", timeout=10).status_code == 200
        assert requests.get(large.media(KEY), headers={"Range": "bytes=-5"}, timeout=10).status_code == 206
        assert open_files_of(large.pid, "large.mp4") >= VIEWERS
    finally:
        for viewer in paused:
            viewer.close()
    deadline = time.monotonic() + 15
    while open_files_of(large.pid, "large.mp4"):
        assert time.monotonic() < deadline, "the server keeps the file open after its viewers have gone"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def over_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MediaServer, bytes]]:
    """A media server in front of a real S3 store."""
    folder = tmp_path_factory.mktemp("over-s3")
    (folder / "buckets").mkdir()
    with rclone_server(folder / "buckets", folder / "rclone.log") as endpoint:
        store = s3_store(endpoint, "media-bucket")
        store.ensure_bucket()
        source = make_source(folder, 3_000_001)
        source.put(store, "ana/video.mp4")
        environment = {
            "VIDEO_ASSETS_STORAGE": "s3",
            "VIDEO_ASSETS_BUCKET": "media-bucket",
            "VIDEO_ASSETS_S3_ENDPOINT_URL": endpoint,
            "VIDEO_ASSETS_S3_ACCESS_KEY_ID": KEY_ID,
            "VIDEO_ASSETS_S3_SECRET_ACCESS_KEY": SECRET,
        }
        with running_media_server(folder / "home", **environment) as server:
            yield server, source.content


def test_a_private_bucket_plays_and_seeks_through_the_media_server(over_s3: tuple[MediaServer, bytes]) -> None:
    server, content = over_s3
    whole = requests.get(server.media("ana/video.mp4"), timeout=20)
    assert whole.content == content
    assert whole.headers["Content-Type"] == "video/mp4"
    part = requests.get(server.media("ana/video.mp4"), headers={"Range": "bytes=-1000"}, timeout=20)
    assert (part.status_code, part.content) == (206, content[-1000:])
    known = {"If-None-Match": whole.headers["ETag"]}
    assert requests.get(server.media("ana/video.mp4"), headers=known, timeout=20).status_code == 304
    assert requests.get(server.media("ana/none.mp4"), timeout=20).status_code == 404
    assert requests.get(server.media("..%2f..%2fetc%2fpasswd"), timeout=20).status_code == 404
    assert requests.get(f"{server.base}/healthz", timeout=20).json()["status"] == "ok"
