"""Child processes that are started together, watched, and never left behind.

Each child leads a process group of its own, so that whatever it starts ends with it. On Linux a child is also
told by the kernel when this process dies without having had the chance to stop it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Self

from video_assets.urls import redact

STOP_SECONDS = 8.0
"""How long a child may take to end after it was asked to, before its whole group is killed."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

LogLine = Callable[[str, str], None]
"""Hears ``(name of the child, redacted line)``."""


class ChildFailed(Exception):
    """A child ended or did not become ready. The message is one sentence; ``last_words`` are redacted lines."""

    def __init__(self, message: str, last_words: str = "") -> None:
        super().__init__(message)
        self.last_words = last_words


class Stopped(Exception):
    """Somebody asked to stop while children were still being started."""


@dataclass(slots=True)
class Child:
    """One running child."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=30))
    reader: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """True while it runs."""
        return self.process.poll() is None

    def last_words(self) -> str:
        """Its last lines, for an error message."""
        return "\n".join(self.last_lines)


class Supervisor:
    """Starts children and stops them all, in reverse order, however the block is left.

    Use it from the main thread: the kernel ties a child's life to the thread that started it.
    """

    def __init__(
        self, log_folder: Path, *, stop_asked: threading.Event | None = None, on_line: LogLine | None = None
    ) -> None:
        self._log_folder = log_folder
        self._on_line = on_line
        self._stop_asked = stop_asked or threading.Event()
        self.children: list[Child] = []

    def __enter__(self) -> Self:
        self._log_folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(
        self, name: str, command: Sequence[str], *, environment: Mapping[str, str], folder: Path | None = None
    ) -> Child:
        """Start ``command``; its output goes, redacted, into ``name.log`` and to ``on_line``."""
        process = subprocess.Popen(
            list(command),
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_follow_parent(),  # it only calls prctl, which is safe between fork and exec
        )
        child = Child(name, process, self._log_folder / f"{name}.log")
        assert process.stdout is not None
        child.reader = threading.Thread(
            target=self._drain, args=(child, process.stdout), name=f"log-{name}", daemon=True
        )
        self.children.append(child)
        child.reader.start()
        return child

    def _drain(self, child: Child, stream: IO[bytes]) -> None:
        with stream, child.log.open("a", encoding="utf-8") as log:
            for raw in stream:
                line = redact(_COLOURS.sub("", raw.decode(errors="replace")).rstrip())
                child.last_lines.append(line)
                log.write(line + "\n")
                log.flush()
                if self._on_line is not None:
                    self._on_line(child.name, line)

    def wait_until(self, ready: Callable[[], bool], what: str, *, timeout: float, every: float = 0.1) -> None:
        """Wait for ``ready()``. Raises ChildFailed when a child ends meanwhile or time runs out, or Stopped."""
        stop_at = time.monotonic() + timeout
        while not ready():
            self.check()
            if time.monotonic() > stop_at:
                raise ChildFailed(f"{what} was not ready within {timeout:.0f} s: look into {self._log_folder}.")
            if self._stop_asked.wait(every):
                raise Stopped

    def check(self) -> None:
        """Raise ChildFailed when a child has ended."""
        for child in self.children:
            if not child.alive:
                if child.reader is not None:
                    child.reader.join(2)
                raise ChildFailed(
                    f"{child.name} ended by itself with code {child.process.returncode}: look into {child.log}.",
                    child.last_words(),
                )

    def stop(self) -> None:
        """Ask every child to end, newest first; kill the groups of those that do not."""
        for child in reversed(self.children):
            _signal_leader(child, signal.SIGINT)
        stop_at = time.monotonic() + STOP_SECONDS
        for step in (signal.SIGTERM, signal.SIGKILL):
            for child in self.children:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.process.wait(max(stop_at - time.monotonic(), 0.05))
            for child in self.children:
                # The group may outlive its leader: a run that the daemon had launched, for example.
                _signal_group(child, step)
            stop_at = time.monotonic() + 2
        for child in self.children:
            child.process.wait()
            if child.reader is not None:
                child.reader.join(2)
        self.children.clear()


def _signal_leader(child: Child, number: signal.Signals) -> None:
    if child.alive:
        with contextlib.suppress(ProcessLookupError):
            child.process.send_signal(number)


def _signal_group(child: Child, number: signal.Signals) -> None:
    # The group's id is the leader's: start_new_session made it so.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, number)


def _follow_parent() -> Callable[[], None] | None:
    """What a child does before it becomes its program: ask Linux for SIGTERM when this process dies."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()
    set_death_signal = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>

    def follow() -> None:
        libc.prctl(set_death_signal, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return follow


@contextlib.contextmanager
def stopping_on_signals() -> Iterator[threading.Event]:
    """SIGTERM, SIGHUP and Ctrl-C set the event instead of ending the process in the middle of something."""
    asked = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    numbers = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def port_is_free(host: str, port: int) -> bool:
    """Whether ``host:port`` can be listened on now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_ports(count: int, *, host: str = "127.0.0.1") -> list[int]:
    """``count`` different ports that are free at this moment, chosen by the kernel."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((host, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
