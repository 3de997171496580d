"""How fast finished videos become durable, and at what cost: video_assets beside rclone, in one run.

    python benchmarks/pipeline.py                       # everything, the figures of the README
    python benchmarks/pipeline.py --stage rescue --rounds 3
    python benchmarks/pipeline.py --stage pipeline --videos 50 --json

Three stages:

* ``rescue``: the rescue alone, without Dagster (download, verify, hash, store, read back, commit): 64 × 20 MB,
  8 at a time, beside ``rclone copyurl --urls`` of the same links into the same store (which verifies nothing).
* ``pipeline``: 200 finished provider jobs of 5 MB through the real daemon: seconds from "provider finished" to
  "durable" (p50, p95) and videos per minute, beside rclone copying the same bytes.
* ``memory``: one file of 1 GiB; how much the process grows at its peak.

The emulator is a process of its own. The S3 store is ``rclone serve s3`` on loopback; ``--store local`` a folder.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import re
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.table import Table

from video_assets.catalog import GenerationStatus, Output, queries
from video_assets.cli.dev.stack import Ports, start_stack
from video_assets.cli.dev.supervisor import Supervisor, free_ports
from video_assets.generations.following import poll_due_jobs
from video_assets.generations.intake import GenerationRequest, take_in
from video_assets.generations.submission import submit_generation
from video_assets.services import Services, open_services
from video_assets.settings import Settings

RCLONE = Path(sysconfig.get_path("scripts")) / "rclone"
KEY_ID, SECRET, BUCKET = "benchmark-key", "benchmark-secret", "benchmark"
PROVIDER_KEY = "key_" + "b" * 64
console = Console(stderr=True)


@contextlib.contextmanager
def emulator(folder: Path) -> Iterator[str]:
    """The emulator as a process of its own; gives its address."""
    [port] = free_ports(1)
    command = [sys.executable, "-m", "video_assets.emulator", "--port", str(port), "--state-dir", str(folder)]
    command += ["--runway-key", PROVIDER_KEY, "--runway-concurrency", "10000"]
    folder.mkdir(parents=True)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"{url}/control/jobs", timeout=1).ok:
                    break
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """``rclone serve s3`` over ``folder``; gives its endpoint."""
    (folder / BUCKET).mkdir(parents=True)
    log = folder.with_suffix(".log")
    command = [RCLONE, "serve", "s3", folder, "--addr=127.0.0.1:0", "--config=", f"--auth-key={KEY_ID},{SECRET}"]
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        while not (found := re.search(r"Starting s3 server on \[(http://[^/]+)/\]", log.read_text())):
            time.sleep(0.02)
        yield found.group(1)
    finally:
        server.kill()
        server.wait()


def settings_for(emulator_url: str, home: Path, endpoint: str | None, **more: Any) -> Settings:
    host = emulator_url.removeprefix("http://")
    values: dict[str, Any] = {
        "home": home,
        "runway_api_key": PROVIDER_KEY,
        "runway_base_url": f"{emulator_url}/runway",
        "allowed_hosts": (host,),
        "poll_interval_scale": 0.02,
        "download_concurrency": 8,
        "per_host_concurrency": 64,
        "bucket": BUCKET,
    }
    if endpoint:
        values |= {
            "storage": "s3",
            "s3_endpoint_url": endpoint,
            "s3_access_key_id": KEY_ID,
            "s3_secret_access_key": SECRET,
            "s3_public_flavour": "aws-path",
        }
    return Settings(_env_file=None, **{**values, **more})


def finish_jobs(services: Services, count: int, size: int) -> list[str]:
    """Generations whose videos of ``size`` bytes wait at the provider."""
    provider = services.provider("runway")
    ids = []
    for number in range(count):
        prompt = f"benchmark {number} [emulator: size={size}, queue_seconds=0, run_seconds=0]"
        request = GenerationRequest("bench", "runway", "gen4.5", prompt)
        ids.append(take_in(services.catalog, request, provider).generation.id)
    for generation_id in ids:
        submit_generation(services.catalog, generation_id, services.provider, services.settings)
    while True:
        poll_due_jobs(services.catalog, services.provider, services.settings, budget_seconds=60, limit=10_000)
        with services.catalog.read() as session:
            if queries.count_by_status(session).get("storing", 0) == count:
                return ids
        time.sleep(0.1)


def outputs(services: Services) -> list[Output]:
    with services.catalog.read() as session:
        from video_assets.catalog.models import utc_now

        return list(queries.outputs_due(session, now=utc_now(), limit=100_000, force=True))


def rclone_copy(services: Services, found: list[Output], folder: Path, endpoint: str | None, jobs: int) -> float:
    """Seconds that rclone takes to copy the same links to the same kind of store."""
    listing = folder / "links.csv"
    with listing.open("w", newline="") as file:
        csv.writer(file).writerows((o.temporary_url, f"rclone/{n}.mp4") for n, o in enumerate(found))
    listing.chmod(0o600)
    remote = (
        f":s3,provider=Rclone,endpoint='{endpoint}',access_key_id={KEY_ID},secret_access_key={SECRET}:{BUCKET}"
        if endpoint
        else str(folder / "by-rclone")
    )
    begun = time.perf_counter()
    subprocess.run(
        [RCLONE, "copyurl", "--urls", listing, remote, f"--transfers={jobs}", "--config="],
        check=True,
        capture_output=True,
    )
    seconds = time.perf_counter() - begun
    listing.unlink()
    return seconds


def rescue_stage(options: argparse.Namespace) -> dict[str, Any]:
    size = int(options.megabytes * 1_000_000)
    ours, theirs = [], []
    for number in range(options.rounds):
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
            url = stack.enter_context(emulator(folder / "emulator"))
            endpoint = stack.enter_context(s3_server(folder / "s3")) if options.store == "s3" else None
            services = open_services(settings_for(url, folder / "home", endpoint))
            finish_jobs(services, options.files, size)
            found = outputs(services)
            services.rescuer  # noqa: B018  (opened before the clock starts, as in a running process)

            def ourselves(services: Services = services, found: list[Output] = found) -> None:
                begun = time.perf_counter()
                results = services.rescuer.rescue([output.id for output in found])
                ours.append(time.perf_counter() - begun)
                if any(result.result != "stored" for result in results):
                    raise SystemExit(f"not everything was stored: {results}")

            if number % 2:
                ourselves()
                theirs.append(rclone_copy(services, found, folder, endpoint, 8))
            else:
                theirs.append(rclone_copy(services, found, folder, endpoint, 8))
                ourselves()
            console.print(f"round {number + 1}: video_assets {ours[-1]:.2f} s, rclone {theirs[-1]:.2f} s")
    total = options.files * options.megabytes
    mine, peer = statistics.median(ours), statistics.median(theirs)
    return {
        "files": options.files,
        "megabytes_each": options.megabytes,
        "store": options.store,
        "video_assets_seconds": round(mine, 3),
        "rclone_seconds": round(peer, 3),
        "video_assets_megabytes_per_second": round(total / mine, 1),
        "rclone_megabytes_per_second": round(total / peer, 1),
        "rate_relative_to_rclone": round(peer / mine, 3),
        "all": {"video_assets": [round(s, 3) for s in ours], "rclone": [round(s, 3) for s in theirs]},
    }


def pipeline_stage(options: argparse.Namespace) -> dict[str, Any]:
    """Every job finishes at the provider before the daemon starts to look: the worst moment of the day."""
    size = 5_000_000
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        url = stack.enter_context(emulator(folder / "emulator"))
        ports = Ports(*free_ports(3))
        base = f"http://127.0.0.1:{ports.media}/media"
        settings = settings_for(
            url, folder / "home", None, public_base_url=base, poll_interval_scale=0.2, media_port=ports.media
        )
        services = open_services(settings)
        environment = {
            **os.environ,
            "VIDEO_ASSETS_HOME": str(settings.home.absolute()),
            "VIDEO_ASSETS_RUNWAY_API_KEY": PROVIDER_KEY,
            "VIDEO_ASSETS_RUNWAY_BASE_URL": settings.runway_base_url,
            "VIDEO_ASSETS_ALLOWED_HOSTS": ",".join(settings.allowed_hosts),
            "VIDEO_ASSETS_POLL_INTERVAL_SCALE": "0.2",
            "VIDEO_ASSETS_BUCKET": BUCKET,
            "VIDEO_ASSETS_PUBLIC_BASE_URL": base,
        }
        logs = folder / "logs"
        supervisor = stack.enter_context(Supervisor(logs, stop_asked=threading.Event()))
        start_stack(supervisor, settings, ports, environment=environment, logs=logs, emulator=None)
        console.print(f"submitting {options.videos} generations …")
        # Submitted here, so that only the way from "finished" to "durable" is measured.
        provider = services.provider("runway")
        ids = []
        begun = time.perf_counter()
        for number in range(options.videos):
            prompt = f"benchmark {number} [emulator: size={size}, queue_seconds=0, run_seconds=1]"
            request = GenerationRequest("bench", "runway", "gen4.5", prompt)
            ids.append(take_in(services.catalog, request, provider).generation.id)
            submit_generation(services.catalog, ids[-1], services.provider, settings)
        first = time.time()
        while True:
            with services.catalog.read() as session:
                counts = queries.count_by_status(session)
            if counts.get(GenerationStatus.COMPLETED, 0) == len(ids):
                break
            if time.perf_counter() - begun > 900:
                raise SystemExit(f"not finished in 15 minutes: {counts}")
            time.sleep(0.2)
        elapsed = time.time() - first
        jobs = {job["id"]: job for job in requests.get(f"{url}/control/jobs", timeout=30).json()}
        waits = []
        with services.catalog.read() as session:
            for generation_id in ids:
                generation = queries.get_generation(session, generation_id)
                task = queries.jobs_of(session, generation_id)[0].task_id
                finished = jobs[task].get("finished_at") if task in jobs else None
                moment = (
                    requests_time(finished)
                    if finished
                    else (generation.finished_at or generation.created_at).timestamp()
                )
                assert generation.completed_at is not None
                waits.append(generation.completed_at.timestamp() - moment)
        # The peer gets fresh links of the same jobs.
        found = []
        for generation_id in ids:
            with services.catalog.read() as session:
                task = queries.jobs_of(session, generation_id)[0].task_id
            assert task is not None
            found.append(Output(id=generation_id, temporary_url=provider.poll(task).outputs[0].url))
        peer = rclone_copy(services, found, folder, None, 8)
    waits.sort()
    return {
        "videos": len(ids),
        "megabytes_each": size / 1e6,
        "p50_seconds": round(waits[len(waits) // 2], 2),
        "p95_seconds": round(waits[int(len(waits) * 0.95)], 2),
        "last_seconds": round(waits[-1], 2),
        "videos_per_minute": round(60 * len(ids) / elapsed, 1),
        "rclone_seconds_for_the_same_bytes": round(peer, 2),
        "rclone_videos_per_minute": round(60 * len(ids) / peer, 1),
    }


def requests_time(value: Any) -> float:
    from datetime import datetime

    return float(value) if isinstance(value, int | float) else datetime.fromisoformat(str(value)).timestamp()


def memory_stage(options: argparse.Namespace) -> dict[str, Any]:
    """The peak of this process while it rescues one file of 1 GiB, over what it was before."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        url = stack.enter_context(emulator(folder / "emulator"))
        endpoint = stack.enter_context(s3_server(folder / "s3")) if options.store == "s3" else None
        services = open_services(settings_for(url, folder / "home", endpoint))
        finish_jobs(services, 1, 1_000_000)
        services.rescuer.rescue([output.id for output in outputs(services)])  # everything is loaded now
        provider = services.provider("runway")
        prompt = f"large [emulator: size={1024**3}, queue_seconds=0, run_seconds=0]"
        key = take_in(
            services.catalog, GenerationRequest("bench", "runway", "gen4.5", prompt), provider
        ).generation.id
        submit_generation(services.catalog, key, services.provider, services.settings)
        while not outputs(services):
            poll_due_jobs(services.catalog, services.provider, services.settings, budget_seconds=60)
            time.sleep(0.2)
        before = reset_peak()
        begun = time.perf_counter()
        [result] = services.rescuer.rescue([output.id for output in outputs(services)])
        seconds = time.perf_counter() - begun
        if result.result != "stored":
            raise SystemExit(f"not stored: {result}")
        added = peak() - before
    return {
        "bytes": 1024**3,
        "store": options.store,
        "seconds": round(seconds, 2),
        "resident_before_megabytes": round(before / 1e6, 1),
        "added_at_peak_megabytes": round(added / 1e6, 1),
    }


def reset_peak() -> int:
    """Resident bytes now; the kernel's peak mark starts again from here."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """The kernel's peak mark of resident memory, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("this system does not tell its peak memory")


STAGES = {"rescue": rescue_stage, "pipeline": pipeline_stage, "memory": memory_stage}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=[*STAGES, "all"], default="all")
    parser.add_argument("--store", choices=["s3", "local"], default="s3")
    parser.add_argument("--files", type=int, default=64)
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--videos", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the temporary files go")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report = {name: run(options) for name, run in STAGES.items() if options.stage in (name, "all")}
    if options.json:
        print(json.dumps(report, indent=2))
        return 0
    for name, found in report.items():
        table = Table(title=name, show_header=False)
        for key, value in found.items():
            table.add_row(key.replace("_", " "), str(value))
        Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
