"""Real S3 servers for tests: ``rclone serve s3`` checks signatures, moto's server is stricter in other things."""

from __future__ import annotations

import logging
import re
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moto.server import ThreadedMotoServer

KEY_ID = "test-access-key"
SECRET = "test-secret-key-that-no-message-may-show"
RCLONE = Path(sysconfig.get_path("scripts")) / "rclone"


@contextmanager
def rclone_server(folder: Path, log: Path) -> Iterator[str]:
    """Serve the folders under ``folder`` as buckets; yields the endpoint once it listens."""
    with log.open("wb") as output:
        server = subprocess.Popen(
            [RCLONE, "serve", "s3", folder, "--addr=127.0.0.1:0", f"--auth-key={KEY_ID},{SECRET}", "--config="],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield _announced(server, log)
        finally:
            server.kill()
            server.wait()


def _announced(server: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        if found := re.search(r"Starting s3 server on \[(http://[^/]+)/\]", log.read_text()):
            return found.group(1)
        time.sleep(0.02)
    raise AssertionError(f"rclone does not serve: {log.read_text()}")


@contextmanager
def moto_server() -> Iterator[str]:
    """Moto's S3 on a free port; yields the endpoint. It checks neither signatures nor expiry."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
