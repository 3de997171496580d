"""What the tests of the legacy side share: a real MariaDB, and one emulator for all."""

from __future__ import annotations

import glob
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from video_assets.emulator import Emulator


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with Emulator(time_scale=0.05) as running:
        yield running


@pytest.fixture(scope="session")
def contrib_url() -> Iterator[Callable[[], str]]:
    """A PostgreSQL of the system, which has the extensions that the wheel lacks; each call is a new database."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda name: int(name.split("/")[-2]))
    control = f"/usr/share/postgresql/{folders[-1].split('/')[-2]}/extension/hstore.control" if folders else ""
    if not os.path.exists(control):
        pytest.skip("no PostgreSQL with its extensions on this machine: apt-get install postgresql")
    programs, user = Path(folders[-1]), "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="pgc"))
    if user is not None:
        shutil.chown(folder, user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # names the socket's file only: nothing listens on the network
    make = [programs / "initdb", "-D", folder / "data", "-A", "trust", "-E", "UTF8", "-U", "postgres", "-N"]
    subprocess.run(make, check=True, capture_output=True, user=user, cwd=folder)
    command = [programs / "postgres", "-D", folder / "data", "-k", folder, "-p", str(port), "-c", "fsync=off"]
    running = subprocess.Popen(
        [*command, "-c", "listen_addresses="], stderr=subprocess.DEVNULL, user=user, cwd=folder
    )
    address = f"postgresql+psycopg2://postgres@/{{}}?host={folder}&port={port}"
    engine = create_engine(address.format("postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        yield _databases(running, engine, address, "CREATE DATABASE {}")
    finally:
        running.send_signal(signal.SIGQUIT)
        running.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _databases(running: subprocess.Popen[bytes], engine: Engine, address: str, make: str) -> Callable[[], str]:
    """Makes a database of the server at each call, once the server answers."""
    stop_at = time.monotonic() + 60
    while True:
        try:
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
            break
        except OperationalError:
            assert running.poll() is None, "the server did not start"
            assert time.monotonic() < stop_at, "the server did not answer"
            time.sleep(0.1)
    numbers = itertools.count(1)

    def new_database() -> str:
        name = f"test_{next(numbers)}"
        with engine.connect() as connection:
            connection.execute(text(make.format(name)))
        return address.format(name)

    return new_database


def _install(program: str, data: Path) -> None:
    """Make the system tables. The script now and then fails when two test processes run it in the same moment."""
    options = ["--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db"]
    for is_last in (False, False, True):
        done = subprocess.run([program, *options, "--user=root"], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        shutil.rmtree(data, ignore_errors=True)
        assert not is_last, f"mariadb-install-db: {done.stdout[-2000:]}{done.stderr[-2000:]}"


@pytest.fixture(scope="session")
def mysql_url() -> Iterator[Callable[[], str]]:
    """A MariaDB server per test process on a Unix socket; each call is a new database (utf8mb4)."""
    programs = [shutil.which(name) for name in ("mariadbd", "mariadb-install-db")]
    if None in programs:
        pytest.skip("no mariadbd on this machine: install MariaDB (apt-get install mariadb-server) to test MySQL")
    server, install = (str(program) for program in programs)
    folder = Path(tempfile.mkdtemp(prefix="my"))
    data, socket = folder / "data", folder / "s"
    _install(install, data)
    command = [
        server,
        "--no-defaults",
        f"--datadir={data}",
        f"--socket={socket}",
        "--skip-networking",
        "--user=root",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-buffer-pool-size=32M",
        "--max-allowed-packet=64M",
    ]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"mysql+pymysql://root@localhost/{{}}?unix_socket={socket}"
    engine = create_engine(address.format(""), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        yield _databases(running, engine, address, "CREATE DATABASE {} CHARACTER SET utf8mb4")
    finally:
        running.terminate()
        running.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
