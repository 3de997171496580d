"""What the tests of the legacy side share: a real MariaDB, and one emulator for all."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from video_assets.emulator import Emulator


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with Emulator(time_scale=0.05) as running:
        yield running


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
        stop_at = time.monotonic() + 60
        while True:
            try:
                with engine.connect() as connection:
                    connection.execute(text("SELECT 1"))
                break
            except OperationalError:
                assert running.poll() is None, "MariaDB did not start"
                assert time.monotonic() < stop_at, "MariaDB did not answer"
                time.sleep(0.1)
        numbers = itertools.count(1)

        def new_database() -> str:
            name = f"test_{next(numbers)}"
            with engine.connect() as connection:
                connection.execute(text(f"CREATE DATABASE {name} CHARACTER SET utf8mb4"))
            return address.format(name)

        yield new_database
    finally:
        running.terminate()
        running.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
