"""Commands of the legacy side in processes of their own, killed with SIGKILL between any two lasting changes.

A *moment* is right before something becomes lasting: a commit that writes, or a change of the file system below
the installation, the old data, or what was brought; and the end of the process. What lies between two moments is
gone with the process, so whoever is killed at each of them is killed everywhere that counts. A kill before an
fsync also takes half of the file away, as if no more of it had been written yet.
"""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import signal
import stat
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest  # noqa: F401  loaded once, before the processes fork
from sqlalchemy import Engine, event
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.orm import configure_mappers

from video_assets.catalog import CatalogHandle
from video_assets.cli.legacy.run import run_source
from video_assets.cli.legacy.undo import redo_source, undo_source
from video_assets.legacy.config.models import Source
from video_assets.legacy.import_files import bring_your_own
from video_assets.legacy.process_batch import Mode
from video_assets.legacy.rewrite.undo import Selection
from video_assets.services import Services
from video_assets.settings import Settings
from video_assets.storage import open_storage
from video_assets.transfer.download.downloader import Downloader, DownloadPolicy

WRITES = ("INSERT", "UPDATE", "DELETE")
_LASTING = {"os.rename": "rename", "os.remove": "remove", "os.link": "link"}
configure_mappers()  # once, and not in each process


@dataclass(frozen=True, slots=True)
class Command:
    """What a process is to do. Only plain values: it goes to another process."""

    name: str
    settings: dict[str, Any]
    catalog: CatalogHandle
    source: dict[str, Any]
    root: Path
    """Changes of the file system below it are moments."""
    brought: Path | None = None


@dataclass
class Moments:
    """Counts moments, tells each into a file, and kills at one of them."""

    root: Path
    told: int
    die_at: int
    written: dict[int, str] = field(default_factory=dict)
    """What the open transaction of each connection writes into."""

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._owner = os.getpid()

    def pass_(self, what: str, last_act: Callable[[], object] | None = None) -> None:
        """One moment goes by, or it is the last."""
        if os.getpid() != self._owner:
            return
        os.write(self.told, f"{what}\n".encode())
        if next(self._numbers) == self.die_at:
            if last_act is not None:
                last_act()
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """From now on, see every commit and every change of files."""
        event.listen(Engine, "after_cursor_execute", self._statement)
        commit, fsync = DefaultDialect.do_commit, os.fsync

        def watched_commit(dialect: Any, connection: Any) -> None:
            if table := self.written.pop(id(connection.driver_connection), None):
                self.pass_(f"commit of {table}")
            commit(dialect, connection)

        def watched_fsync(handle: int) -> None:
            found = os.fstat(handle)
            if stat.S_ISREG(found.st_mode):
                self.pass_("fsync", lambda: os.ftruncate(handle, found.st_size // 2))
            fsync(handle)

        DefaultDialect.do_commit = watched_commit  # type: ignore[method-assign]
        os.fsync = watched_fsync
        sys.addaudithook(self._audit)

    def _statement(self, connection: Any, cursor: Any, statement: str, *_more: Any) -> None:
        # SQLite counts what RETURNING returns only when it is fetched.
        if statement.startswith(WRITES) and (cursor.rowcount or "RETURNING" in statement):
            words = statement.replace('"', "").split()
            table = words[1] if words[0] == "UPDATE" else words[2]
            transaction = id(connection.connection.driver_connection)
            if self.written.get(transaction, "lease") in ("lease", "journal"):
                self.written[transaction] = table

    def _audit(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name == "open":
            path, _mode, flags = arguments
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and self._is_ours(path):
                self.pass_(f"open {self._told(path)}")
        elif name in _LASTING and self._is_ours(arguments[0]):
            self.pass_(f"{_LASTING[name]} {self._told(arguments[0])}")

    def _is_ours(self, path: Any) -> bool:
        if not isinstance(path, str | os.PathLike):
            return False
        text = os.fspath(path)
        return isinstance(text, str) and (not os.path.isabs(text) or Path(text).is_relative_to(self.root))

    def _told(self, path: Any) -> str:
        return os.path.relpath(path, self.root) if os.path.isabs(path) else str(path)


def perform(command: Command, services: Services) -> list[str]:
    """Do it, as the command line does; sentences about what was left undone."""
    return _COMMANDS[command.name](services, Source.model_validate(command.source), command)


def _serve(command: Command, told: str, orders: Connection) -> None:
    """Rehearse once; then fork off one process per order, with nothing open any more, and tell how it ended."""
    settings = Settings(_env_file=None, **command.settings)
    catalog, storage = command.catalog.open(), open_storage(settings)
    services = Services(settings, catalog, storage, Downloader(DownloadPolicy()))
    perform(command, services)  # what is loaded and compiled now is not loaded and compiled by each process
    catalog.close()
    gc.freeze()
    orders.send(0)
    while (die_at := orders.recv()) is not None:
        child = os.fork()
        if child == 0:
            try:
                os._exit(_work(command, services, told, die_at))
            except BaseException:  # noqa: BLE001  the child must not go on as its parent
                traceback.print_exc()
                os._exit(2)
        orders.send(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _work(command: Command, services: Services, told: str, die_at: int) -> int:
    handle = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 2)  # what goes wrong is told there too
    moments = Moments(command.root, handle, die_at)
    moments.watch()
    troubles = perform(command, services)
    moments.pass_("the end")
    return 1 if troubles else 0


def _apply(services: Services, source: Source, _command: Command | None = None) -> list[str]:
    return run_source(services, source, Mode.APPLY, quiet=True).problems


def _undo(services: Services, source: Source, _command: Command) -> list[str]:
    return [refused.message for refused in undo_source(services, source, Selection()).refused]


def _redo(services: Services, source: Source, _command: Command) -> list[str]:
    redo_source(services, source)
    return _apply(services, source)


def _bring(services: Services, source: Source, command: Command) -> list[str]:
    assert command.brought is not None
    return [*bring_your_own(services, source.name, command.brought).failed.values(), *_apply(services, source)]


_COMMANDS: dict[str, Callable[[Services, Source, Command], list[str]]] = {
    "apply": _apply,
    "undo": _undo,
    "redo": _redo,
    "bring": _bring,
}


@dataclass(frozen=True, slots=True)
class Ran:
    """How a process ended."""

    code: int
    moments: list[str]
    """Those it saw; the last one is the one it was killed at."""

    @property
    def was_killed(self) -> bool:
        """True when it died at the moment it was to die at."""
        return self.code == -signal.SIGKILL


@contextmanager
def processes(command: Command, told: Path) -> Iterator[Callable[[int], Ran]]:
    """Gives a function that runs ``command`` in a process of its own, which dies at the moment of that number.

    On entering, the command is rehearsed, which changes all it changes.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(command, str(told), theirs), daemon=True)
    server.start()
    theirs.close()
    assert ours.recv() == 0

    def run(die_at: int) -> Ran:
        ours.send(die_at)
        code = ours.recv()
        text = told.read_text()
        assert code in (0, -signal.SIGKILL), text[-3000:]
        return Ran(code, text.splitlines())

    try:
        yield run
    finally:
        ours.send(None)
        server.join()
