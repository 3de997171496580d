"""The console script as a shell sees it: pipes, signals, and everything at once with ``dev``."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.cli.test_processes import alive, needs_proc, until
from video_assets.cli.dev.supervisor import port_is_free

VIDEO_ASSETS = [sys.executable, "-c", "from video_assets.cli import main; main()"]
COMMANDS = (
    *("submit", "list", "show", "watch", "retry", "cancel", "verify", "doctor", "serve", "dev", "demo"),
    "config show",
)


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("VIDEO_ASSETS_") and k != "DAGSTER_HOME"}
    return {**kept, "VIDEO_ASSETS_HOME": str(home), **more}


def shell(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*VIDEO_ASSETS, *arguments],
        env=clean_environment(home, **more),
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )


def heed_interrupts() -> None:
    """A shell that runs the tests in the background has interrupts ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def running(
    home: Path, *arguments: str, stdout: IO[bytes] | int = subprocess.PIPE
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [*VIDEO_ASSETS, *arguments],
        env=clean_environment(home),
        cwd=home.parent,
        stdout=stdout,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_examples(home: Path, name: str) -> None:
    from typer.testing import CliRunner

    from video_assets.cli.app import app

    ran = CliRunner().invoke(app, [*name.split(), "--help"])
    assert ran.exit_code == 0
    assert re.search(r"Examples?:\n +\S", ran.output), ran.output
    assert f"video-assets {name}" in ran.output


def test_nothing_coloured_goes_into_a_pipe_even_where_colours_are_forced(home: Path) -> None:
    for arguments in (("list",), ("doctor",), ("list", "--status", "nonsense")):
        ran = shell(home, *arguments, FORCE_COLOR="1", GITHUB_ACTIONS="true", COLUMNS="40")
        assert "\x1b" not in ran.stdout + ran.stderr


def test_an_error_is_one_line_and_no_traceback(home: Path) -> None:
    ran = shell(home, "show", "video-1-none", "--json")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "Traceback" not in ran.stderr
    assert ran.stderr.count("error: ") == 1


def test_a_reader_that_leaves_early_is_no_trouble(home: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as nobody_reads, running(home, "config", "show", stdout=nobody_reads) as process:
        _, complaint = process.communicate(timeout=60)
    assert b"Traceback" not in complaint
    assert b"BrokenPipe" not in complaint


def test_interrupting_a_watch_ends_it_quietly(home: Path, tmp_path: Path) -> None:
    key = "key_" + "0" * 64
    ran = shell(
        home,
        *("submit", "--provider", "runway", "--model", "gen4.5", "--owner", "ana", "--prompt", "A fox", "--json"),
        VIDEO_ASSETS_RUNWAY_API_KEY=key,
    )
    generation = json.loads(ran.stdout)["id"]
    with running(home, "watch", generation) as process:
        assert process.stdout is not None
        assert generation.encode() in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in complaint


def test_an_unmarked_folder_is_never_emptied_by_the_demo(home: Path) -> None:
    home.mkdir()
    (home / "thesis.txt").write_text("years of work")
    ran = shell(home, "demo", "--home", str(home))
    assert ran.returncode == 2
    assert "was not made by the demonstration" in ran.stderr
    assert (home / "thesis.txt").read_text() == "years of work"


@needs_proc
@pytest.mark.timeout(240)
def test_dev_serves_a_second_terminal_and_leaves_nothing_behind(home: Path) -> None:
    with running(home, "dev", "--port-base", "0", "--json") as dev:
        assert dev.stdout is not None
        text = b""
        while not text.rstrip().endswith(b"}"):
            line = dev.stdout.readline()
            assert line, dev.stderr.read().decode() if dev.stderr else ""
            text += line
        addresses = json.loads(text)

        second = shell(home, "dev", "--port-base", "0")
        assert (second.returncode, "is running on" in second.stderr) == (3, True), second.stderr

        ran = shell(
            home,
            *("submit", "--provider", "luma", "--model", "ray-2", "--owner", "ana", "--wait", "--json"),
            *("--prompt", "A fox [emulator: run_seconds=0.5, seconds=1]"),
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        generation = json.loads(ran.stdout)["generations"][0]
        verified = shell(home, "verify", generation["id"])
        assert verified.returncode == 0, verified.stdout + verified.stderr
        well = json.loads(shell(home, "doctor", "--json").stdout)
        assert {line["name"]: line["status"] for line in well["checks"]}["daemon"] == "ok"

        family = descendants(dev.pid)
        assert len(family) >= 3
        dev.send_signal(signal.SIGTERM)
        dev.communicate(timeout=60)
        assert dev.returncode == 0
    until(lambda: not [pid for pid in family if alive(pid)])
    ports = [
        int(re.search(r":(\d+)", addresses[name].partition("//")[2])[1])
        for name in ("dagster", "media", "emulator")
    ]  # type: ignore[index]
    until(lambda: all(port_is_free("127.0.0.1", port) for port in ports))
    assert not (home / "dev.json").exists()


def descendants(pid: int) -> set[int]:
    """Every process below ``pid``."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            rest = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(path.parent.name)] = int(rest[1])
    found, size = {pid}, 0
    while len(found) != size:
        size = len(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return found - {pid}
