"""How fast and in how little memory files are downloaded and proven: video_assets beside rclone, in one run.

    python benchmarks/download.py                    # 64 files of 20 MB, 8 at a time; one file of 1 GiB; 3 rounds
    python benchmarks/download.py --files 16 --big 0 --json

The source is a process of its own on loopback that sends files from the page cache with ``sendfile``. Each
contender is a process of its own too, so that its memory and processor time are its own; both write into a
temporary folder.

* ``video_assets``: `Downloader.fetch` in 8 threads: every address judged, every byte counted, SHA-256 and MD5
  computed, the container walked.
* ``rclone``: ``rclone copyurl --urls``, 8 at a time; it verifies the length only.

The figures are medians. Memory is the peak resident size; for video_assets also what the download added to it.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import resource
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

RCLONE = Path(sysconfig.get_path("scripts")) / "rclone"
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Figures:
    """One contender in one round."""

    seconds: float
    cpu_seconds: float
    peak_megabytes: float
    added_megabytes: float | None = None


def write_video(path: Path, size: int) -> None:
    """A file of exactly ``size`` bytes with the structure of an MP4 (type, index, media of noise)."""
    head = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 512, b"isom")
    head += struct.pack(">I4sI4s", 116, b"moov", 108, b"mvhd") + bytes(100)
    head += struct.pack(">I4sQ", 1, b"mdat", size - len(head))
    noise = os.urandom(MEGABYTE)
    with path.open("wb") as file:
        file.write(head)
        left = size - len(head)
        while left:
            left -= file.write(noise[: min(left, len(noise))])


def serve(folder: Path) -> None:
    """Answer GET requests for the files of ``folder`` for ever; prints the port first."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(listener.getsockname()[1], flush=True)

    def handle(connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        while line := reader.readline():
            while reader.readline().strip():
                pass
            path = folder / Path(line.split()[1].decode().partition("?")[0]).name
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                head = f"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {size}\r\n\r\n"
                connection.sendall(head.encode())
                connection.sendfile(file)

    def safely(connection: socket.socket) -> None:
        with connection:
            try:
                handle(connection)
            except OSError:
                return

    while True:
        accepted, _ = listener.accept()
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=safely, args=(accepted,), daemon=True).start()


@contextmanager
def source(folder: Path) -> Iterator[str]:
    """The serving process; gives its address."""
    command = [sys.executable, __file__, "--serve", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def peak_megabytes() -> float:
    """The largest resident size of this process so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found.group(1)) / 1000 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def fetch_all(netloc: str, names: list[str], target: Path, jobs: int) -> None:
    """Run as a process of its own: download ``names`` and print the figures as JSON."""
    from video_assets.transfer.download.downloader import Downloader, DownloadPolicy

    policy = DownloadPolicy(allowed_hosts=(netloc,), per_host_concurrency=jobs)
    with Downloader(policy) as downloader:
        downloader.fetch(f"http://{netloc}/small.mp4?token=warm", target, expected="video")
        before, cpu = peak_megabytes(), time.process_time()
        started = time.perf_counter()
        with ThreadPoolExecutor(jobs) as threads:
            urls = [f"http://{netloc}/{name}?token=abc%2Fdef" for name in names]
            list(threads.map(lambda url: downloader.fetch(url, target, expected="video"), urls))
        seconds = time.perf_counter() - started
    peak = peak_megabytes()
    print(json.dumps(asdict(Figures(seconds, time.process_time() - cpu, peak, peak - before))))


def run_ours(netloc: str, names: list[str], target: Path, jobs: int) -> Figures:
    """One round of video_assets."""
    command = [sys.executable, __file__, "--fetch", netloc, "--into", str(target), "--jobs", str(jobs), *names]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Figures(**json.loads(output))


def run_rclone(netloc: str, names: list[str], target: Path, jobs: int) -> Figures:
    """One round of rclone."""
    listing = target.with_suffix(".csv")
    with listing.open("w", newline="") as file:
        csv.writer(file).writerows((f"http://{netloc}/{name}?token=abc%2Fdef", name) for name in names)
    options = ["--urls", "--transfers", str(jobs), "--multi-thread-streams", "0", "--config", os.devnull]
    started = time.perf_counter()
    process = subprocess.Popen([str(RCLONE), "copyurl", *options, str(listing), str(target)])
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"rclone ended with {process.returncode}")
    return Figures(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000)


CONTENDERS = {"video_assets": run_ours, "rclone": run_rclone}


def compare(netloc: str, names: list[str], folder: Path, jobs: int, rounds: int) -> dict[str, Figures]:
    """The median of ``rounds`` rounds for each contender, in turning order, each into an empty folder."""
    all_figures: dict[str, list[Figures]] = {name: [] for name in CONTENDERS}
    for number in range(rounds):
        order = list(CONTENDERS.items())[:: -1 if number % 2 else 1]
        for name, run in order:
            target = folder / f"into-{name}-{number}"
            target.mkdir()
            all_figures[name].append(run(netloc, names, target, jobs))
            shutil.rmtree(target)
    return {
        name: Figures(
            statistics.median(f.seconds for f in found),
            statistics.median(f.cpu_seconds for f in found),
            max(f.peak_megabytes for f in found),
            max((f.added_megabytes for f in found if f.added_megabytes is not None), default=None),
        )
        for name, found in all_figures.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=64)
    parser.add_argument("--megabytes", type=int, default=20, help="size of each file")
    parser.add_argument("--big", type=int, default=1024**3, help="bytes of the one large file, 0 for none")
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--fetch", help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    if options.fetch:
        fetch_all(options.fetch, options.names, options.into, options.jobs)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        report(Path(name), options)


def report(folder: Path, options: argparse.Namespace) -> None:
    """Prepare the files, run both tasks, print the result."""
    files = folder / "source"
    files.mkdir()
    names = [f"{number:03}.mp4" for number in range(options.files)]
    for name in names:
        write_video(files / name, options.megabytes * MEGABYTE)
    write_video(files / "small.mp4", 100_000)
    tasks = {f"{options.files} × {options.megabytes} MB": (names, options.files * options.megabytes * MEGABYTE)}
    if options.big:
        write_video(files / "big.mp4", options.big)
        tasks[f"1 × {options.big / 1024**2:.0f} MiB"] = (["big.mp4"], options.big)
    results = {}
    with source(files) as netloc:
        for title, (wanted, size) in tasks.items():
            found = compare(netloc, wanted, folder, options.jobs, options.rounds)
            results[title] = {
                **{name: asdict(figures) for name, figures in found.items()},
                "bytes": size,
                "rate_relative_to_rclone": round(found["rclone"].seconds / found["video_assets"].seconds, 3),
            }
    if options.json:
        print(json.dumps(results, indent=2))
        return
    table = Table("task", "who", "seconds", "MB/s", "cpu s", "peak MB", "added MB", "rate ÷ rclone's")
    for title, result in results.items():
        for name in CONTENDERS:
            f = Figures(**result[name])
            table.add_row(
                title,
                name,
                f"{f.seconds:.2f}",
                f"{result['bytes'] / MEGABYTE / f.seconds:.0f}",
                f"{f.cpu_seconds:.1f}",
                f"{f.peak_megabytes:.0f}",
                "" if f.added_megabytes is None else f"{f.added_megabytes:.0f}",
                f"{result['rate_relative_to_rclone']:.2f}" if name == "video_assets" else "",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
