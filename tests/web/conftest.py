"""A real media server, started the way a person starts it, for the tests of this folder."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from video_assets.settings import Settings
from video_assets.storage import DurableStorage, open_storage

CONTENT = hashlib.shake_256(b"a video").digest(700_001)
KEY = "ana/video-1732000000000/video-1.mp4"


@dataclass(frozen=True)
class MediaServer:
    base: str
    pid: int
    log: Path
    storage: DurableStorage

    def media(self, key: str = KEY) -> str:
        return f"{self.base}/media/{key}"


@contextmanager
def running_media_server(home: Path, **environment: str) -> Iterator[MediaServer]:
    """``python -m video_assets.web --port 0`` with its own home; yields once it listens."""
    home.mkdir(exist_ok=True)
    log = home / "server.log"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VIDEO_ASSETS_")}
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "video_assets.web", "--port", "0"],
            env={**clean, "VIDEO_ASSETS_HOME": str(home), **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + 60
            while not (found := re.search(r"running on (http://[\d.:]+)", log.read_text())):
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            base = found.group(1)
            storage = open_storage(Settings(_env_file=None, home=home, public_base_url=f"{base}/media"))
            yield MediaServer(base, server.pid, log, storage)
        finally:
            server.terminate()
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


SCRIPTED = ("logo.svg", "drawing.SVG", "feed.xml", "captions.ttml", "report.pdf", "old.xhtml")
"""Files of kinds that can run scripts when a browser opens them as a page."""


def put(storage: DurableStorage, key: str, content: bytes, folder: Path) -> None:
    source = folder / f"source-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    source.write_bytes(content)
    storage.put(key, source, content_type="video/mp4", sha256=hashlib.sha256(content).hexdigest())
    source.unlink()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MediaServer]:
    home = tmp_path_factory.mktemp("media")
    with running_media_server(home / "home") as running:
        put(running.storage, KEY, CONTENT, home)
        put(running.storage, "empty.mp4", b"", home)
        put(running.storage, "ünï cödé/a+b & c#1.mp4", b"unicode", home)
        put(running.storage, "page.html", b"<script>alert(1)</script>", home)
        for key in SCRIPTED:
            put(running.storage, key, b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", home)
        yield running
