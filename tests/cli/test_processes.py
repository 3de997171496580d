"""Children are never left behind: not by a failure, not by a stubborn one, not when their parent is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from video_assets.cli.dev import supervisor as processes
from video_assets.cli.dev.supervisor import ChildFailed, Supervisor, free_ports, port_is_free

SECRET = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3OTUyMzAxNDV9.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJl"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


def until(true: Callable[[], object], seconds: float = 30) -> None:
    stop_at = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < stop_at, "waited too long"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended but was not yet collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")


@needs_proc
def test_what_a_child_started_ends_with_it(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start(
            "parent",
            python("""
                import subprocess, sys, time
                grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
                print("grandchild", grandchild.pid, flush=True)
                time.sleep(600)
            """),
            environment=os.environ,
        )
        until(lambda: child.last_lines)
        grandchild = int(child.last_lines[0].split()[1])
        assert alive(grandchild)
    assert not alive(child.process.pid)
    until(lambda: not alive(grandchild))


@needs_proc
def test_a_stubborn_child_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_SECONDS", 0.3)
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start(
            "stubborn",
            python("""
                import signal, time
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_IGN)
                print("ready", flush=True)
                while True:
                    time.sleep(1)
            """),
            environment=os.environ,
        )
        until(lambda: child.last_lines)
    assert child.process.returncode == -signal.SIGKILL


def test_a_child_that_ends_is_reported_with_its_redacted_last_words(tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []
    with Supervisor(tmp_path, on_line=lambda name, line: heard.append((name, line))) as supervisor:
        supervisor.start(
            "broken",
            python(f"""
                print("\\x1b[31mcould not fetch https://cdn.example.com/v.mp4?_jwt={SECRET}\\x1b[0m", flush=True)
                raise SystemExit(7)
            """),
            environment=os.environ,
        )
        with pytest.raises(ChildFailed, match="broken ended by itself with code 7") as failed:
            supervisor.wait_until(lambda: False, "nothing", timeout=30)
    assert "could not fetch https://cdn.example.com/v.mp4" in failed.value.last_words
    told = failed.value.last_words + repr(heard) + (tmp_path / "broken.log").read_text()
    assert SECRET not in told
    assert "\x1b" not in told


def test_waiting_ends_when_it_takes_too_long(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start("idle", python("import time; time.sleep(600)"), environment=os.environ)
        with pytest.raises(ChildFailed, match="The idle one was not ready within 0 s"):
            supervisor.wait_until(lambda: False, "The idle one", timeout=0.2)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child of its parent's death")
def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        python(f"""
            import os, sys, time
            from pathlib import Path
            from video_assets.cli.dev.supervisor import Supervisor
            with Supervisor(Path({str(tmp_path)!r})) as supervisor:
                child = supervisor.start("child", [sys.executable, "-c", "import time; time.sleep(600)"],
                                         environment=os.environ)
                print(child.process.pid, flush=True)
                time.sleep(600)
        """),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not alive(child))


def test_free_ports_are_different_and_free() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert all(port_is_free("127.0.0.1", port) for port in ports)
