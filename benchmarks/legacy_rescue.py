"""What one run of a batch costs: distinct small files from link to durable copy, then their rows rewritten.

    python benchmarks/legacy_rescue.py                        # batches of 250, 1,000 and 4,000 files
    python benchmarks/legacy_rescue.py --files 1000 --kilobytes 256 --json

Each batch is a run in a process of its own: a SQLite source with one JSON document per file, a server on
loopback, the local store and the SQLite catalog that the product comes with. Told are seconds and the process's
peak memory per step. Seconds per file must not depend on the number of files.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from rich.console import Console
from rich.table import Table

from video_assets.legacy.config.models import Source
from video_assets.legacy.config.presets.tiny_video import tiny_video
from video_assets.legacy.inventory.batches import plan_batches
from video_assets.legacy.inventory.take import take_inventory
from video_assets.legacy.process_batch import Mode, process_batch
from video_assets.services import open_services
from video_assets.settings import Settings

NAME = "legacy"
console = Console(stderr=True)


def serve(size: int) -> None:
    """Answer every GET with a video of about ``size`` bytes that no other path has; prints the port first."""
    video = tiny_video(1)
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(listener.getsockname()[1], flush=True)

    def handle(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            while line := reader.readline():
                while reader.readline().strip():
                    pass
                name = line.split()[1].partition(b"?")[0]
                padding = max(size - len(video) - 8, len(name))
                body = video + struct.pack(">I4s", padding + 8, b"free") + name.ljust(padding, b"\0")
                head = f"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body)

    while True:
        accepted, _ = listener.accept()
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=handle, args=(accepted,), daemon=True).start()


@contextmanager
def server(size: int) -> Iterator[str]:
    """The serving process; gives its address."""
    command = [sys.executable, __file__, "--serve", str(size)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def make_source(path: Path, netloc: str, files: int) -> Source:
    """A database with one document per file, each with a signed link that lives for another hour."""
    made = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE cards (id INTEGER PRIMARY KEY, snapshot TEXT)")
        connection.executemany(
            "INSERT INTO cards VALUES (?, ?)",
            (
                (
                    number,
                    json.dumps(
                        {
                            "prompt": f"a video of number {number}",
                            "url": f"http://{netloc}/{number}.mp4?X-Amz-Algorithm=AWS4-HMAC-SHA256"
                            f"&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE&X-Amz-Date={made}&X-Amz-Expires=3600"
                            f"&X-Amz-SignedHeaders=host&X-Amz-Signature={number:064x}",
                        }
                    ),
                )
                for number in range(1, files + 1)
            ),
        )
    table = {"name": "cards", "columns": [{"name": "snapshot", "type": "json"}]}
    return Source.model_validate({"name": NAME, "url": f"sqlite:///{path}", "table": [table]})


def megabytes(line: str) -> float:
    """A line of /proc/self/status: VmRSS (now) or VmHWM (the most so far)."""
    found = re.search(rf"{line}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found.group(1)) / 1000 if found else 0.0


def work(netloc: str, files: int, folder: Path) -> None:
    """Run as a process of its own: the whole road of one batch; prints the figures as JSON."""
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None,
        home=folder / "home",
        allowed_hosts=(netloc,),
        per_host_concurrency=64,
        ledger_key=Fernet.generate_key().decode(),  # type: ignore[arg-type]
    )
    services = open_services(settings)
    source = make_source(folder / "old.db", netloc, files)
    figures: dict[str, Any] = {"files": files}
    before = megabytes("VmRSS")

    def timed(step: str, began: float) -> None:
        figures[f"{step}_seconds"] = round(time.perf_counter() - began, 2)
        figures[f"{step}_megabytes"] = round(megabytes("VmHWM") - before, 1)

    began = time.perf_counter()
    take_inventory(services.catalog, source)
    [batch] = plan_batches(services.catalog, NAME, size=files).open
    timed("inventory", began)
    began = time.perf_counter()
    report = process_batch(services, source, batch.key, mode=Mode.RESCUE)
    timed("rescue", began)
    assert report.files == {"stored": files}, (report.files, report.reasons, report.problems)
    began = time.perf_counter()
    report = process_batch(services, source, batch.key, mode=Mode.APPLY)
    timed("rewrite", began)
    assert report.rewrite is not None
    assert report.rewrite.rows == files
    assert report.is_done
    figures["peak_megabytes"] = round(megabytes("VmHWM"), 1)
    print(json.dumps(figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="+", default=[250, 1000, 4000])
    parser.add_argument("--kilobytes", type=int, default=64, help="size of each file")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.serve)
    if options.work is not None:
        netloc, files, folder = options.work
        work(netloc, int(files), Path(folder))
        return
    results = []
    with server(options.kilobytes * 1000) as netloc:
        for files in options.files:
            console.print(f"{files:,} files …")
            with tempfile.TemporaryDirectory(prefix="legacy-rescue-") as folder:
                command = [sys.executable, __file__, "--work", netloc, str(files), folder]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            results.append(json.loads(done.stdout))
    if options.json:
        print(json.dumps(results))
        return
    table = Table(title=f"one run, one batch, {options.kilobytes} kB per file")
    for head in ("files", "rescue", "per file", "rewrite", "per row", "memory: rescue", "rewrite", "peak in all"):
        table.add_column(head, justify="right")
    for found in results:
        count = found["files"]
        table.add_row(
            f"{count:,}",
            f"{found['rescue_seconds']:.1f} s",
            f"{found['rescue_seconds'] / count * 1000:.1f} ms",
            f"{found['rewrite_seconds']:.1f} s",
            f"{found['rewrite_seconds'] / count * 1000:.1f} ms",
            f"+{found['rescue_megabytes']:.0f} MB",
            f"+{found['rewrite_megabytes']:.0f} MB",
            f"{found['peak_megabytes']:.0f} MB",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
