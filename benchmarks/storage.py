"""How fast and how cheaply videos get into an S3 store: video_assets beside boto3 and rclone, in one run.

    python benchmarks/storage.py                     # 64 files of 20 MB, 8 at a time, 3 rounds
    python benchmarks/storage.py --files 16 --json

The store is ``rclone serve s3`` on loopback over a temporary folder, the same for all. Each round runs every
contender once, in turning order; the figures are medians. What each does:

* ``video_assets``: `S3Storage.put`, one signed PUT per file with SHA-256 and MD5 known beforehand, as the
  rescue has them from the download.
* ``video_assets, proven``: the same and `read_back`.
* ``boto3``: `upload_fileobj`, one client, checksums only where required.
* ``rclone``: `rclone copy` of the folder, checks before the copy left out; it hashes each file by itself.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from rich.console import Console
from rich.table import Table

from video_assets.settings import Settings
from video_assets.storage import DurableStorage, open_storage

RCLONE = Path(sysconfig.get_path("scripts")) / "rclone"
KEY_ID, SECRET, BUCKET = "benchmark-key", "benchmark-secret", "benchmark"


@dataclass(frozen=True)
class File:
    path: Path
    sha256: str
    md5: str


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    log = folder / "server.log"
    (folder / "buckets" / BUCKET).mkdir(parents=True)
    with log.open("wb") as output:
        command = [RCLONE, "serve", "s3", folder / "buckets", "--addr=127.0.0.1:0", "--config="]
        server = subprocess.Popen(
            [*command, f"--auth-key={KEY_ID},{SECRET}"],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        while not (found := re.search(r"Starting s3 server on \[(http://[^/]+)/\]", log.read_text())):
            if server.poll() is not None:
                raise SystemExit(f"rclone does not serve: {log.read_text()}")
            time.sleep(0.02)
        yield found.group(1)
    finally:
        server.kill()
        server.wait()


def make_files(folder: Path, count: int, size: int) -> list[File]:
    """``count`` different files of ``size`` bytes that do not compress."""
    folder.mkdir()
    block = os.urandom(1024 * 1024)
    files = []
    for number in range(count):
        path = folder / f"video-{number}.mp4"
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        with path.open("wb") as file:
            written = 0
            while written < size:
                part = (number.to_bytes(8, "big") + block)[: size - written]
                file.write(part)
                sha256.update(part)
                md5.update(part)
                written += len(part)
        files.append(File(path, sha256.hexdigest(), md5.hexdigest()))
    return files


def by_ourselves(store: DurableStorage, files: list[File], concurrency: int, *, proven: bool) -> None:
    def put(file: File) -> None:
        size = file.path.stat().st_size
        key = file.path.name
        store.put(key, file.path, content_type="video/mp4", sha256=file.sha256, md5=file.md5)
        if proven:
            store.read_back(key, size=size, sha256=file.sha256, md5=file.md5)

    with ThreadPoolExecutor(concurrency) as pool:
        list(pool.map(put, files))


def by_boto3(endpoint: str, files: list[File], concurrency: int) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        config=Config(
            max_pool_connections=64,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"},
        ),
    )

    def put(file: File) -> None:
        with file.path.open("rb") as body:
            client.upload_fileobj(body, BUCKET, file.path.name, Config=TransferConfig())

    with ThreadPoolExecutor(concurrency) as pool:
        list(pool.map(put, files))


def by_rclone(endpoint: str, folder: Path, concurrency: int) -> None:
    remote = (
        f":s3,provider=Rclone,endpoint='{endpoint}',access_key_id={KEY_ID},secret_access_key={SECRET}:{BUCKET}"
    )
    subprocess.run(
        [RCLONE, "copy", folder, remote, f"--transfers={concurrency}", "--no-check-dest", "--config="],
        check=True,
        capture_output=True,
    )


def measure(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds on the wall and on the processor, children that ended included."""

    def processor() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(part.ru_utime + part.ru_stime for part in used)

    begun, spent = time.perf_counter(), processor()
    work()
    return time.perf_counter() - begun, processor() - spent


def main() -> int:
    parser = argparse.ArgumentParser(description="Uploads into rclone serve s3: video_assets, boto3, rclone.")
    parser.add_argument("--files", type=int, default=64)
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--folder", type=Path, help="where the temporary files go (a RAM disk takes the disk out)"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    console = Console(stderr=options.json)
    total = options.files * options.megabytes

    with (
        tempfile.TemporaryDirectory(prefix="video-assets-benchmark-", dir=options.folder) as name,
        s3_server(Path(name)) as endpoint,
    ):
        with console.status(f"Making {total:.0f} MB…"):
            files = make_files(Path(name) / "files", options.files, int(options.megabytes * 1_000_000))
        store = open_storage(
            Settings(
                _env_file=None,
                storage="s3",
                s3_endpoint_url=endpoint,
                s3_access_key_id=KEY_ID,
                s3_secret_access_key=SECRET,
                bucket=BUCKET,
            )
        )
        contenders: dict[str, Callable[[], None]] = {
            "video_assets": lambda: by_ourselves(store, files, options.concurrency, proven=False),
            "video_assets, proven": lambda: by_ourselves(store, files, options.concurrency, proven=True),
            "boto3": lambda: by_boto3(endpoint, files, options.concurrency),
            "rclone": lambda: by_rclone(endpoint, Path(name) / "files", options.concurrency),
        }
        by_ourselves(store, files[:4], 4, proven=True)  # loads what is loaded late
        taken: dict[str, list[tuple[float, float]]] = {contender: [] for contender in contenders}
        order = list(contenders)
        with console.status("Uploading…") as status:
            for turn in range(options.rounds):
                for contender in order:
                    status.update(f"Round {turn + 1} of {options.rounds}: {contender}")
                    for found in list(store.list()):
                        store.delete(found.key)
                    taken[contender].append(measure(contenders[contender]))
                    arrived = sum(found.size for found in store.list())
                    if arrived != sum(file.path.stat().st_size for file in files):
                        raise SystemExit(f"{contender} stored {arrived} bytes")
                order = order[1:] + order[:1]

    medians = {
        contender: (statistics.median(t[0] for t in times), statistics.median(t[1] for t in times))
        for contender, times in taken.items()
    }
    wall = medians["video_assets"][0]
    report = {
        "files": options.files,
        "megabytes": options.megabytes,
        "concurrency": options.concurrency,
        "rounds": options.rounds,
        "results": {
            contender: {
                "wall_seconds": round(seconds, 3),
                "processor_seconds": round(processor, 3),
                "megabytes_per_second": round(total / seconds, 1),
                "speed_of_video_assets_to_this": round(seconds / wall, 2),
            }
            for contender, (seconds, processor) in medians.items()
        },
        "all_wall_seconds": {contender: [round(t[0], 3) for t in times] for contender, times in taken.items()},
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return 0
    table = Table(title=f"{options.files} × {options.megabytes:g} MB, {options.concurrency} at a time")
    for column in ("", "wall", "processor", "MB/s", "video_assets is"):
        table.add_column(column, justify="right" if column else "left")
    for contender, (seconds, processor) in medians.items():
        table.add_row(
            contender,
            f"{seconds:.2f} s",
            f"{processor:.2f} s",
            f"{total / seconds:.0f}",
            f"× {seconds / wall:.2f}",
        )
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
