"""A rewrite as SQL files: run by the database's own means they do what apply does, and the inverse undoes it."""

from __future__ import annotations

import json
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from tests.legacy.bench import Bench, signed
from video_assets.legacy.rewrite.plan import Planner, load_work, rows_of
from video_assets.legacy.rewrite.sql_script import EmittedFiles, SqlFiles
from video_assets.legacy.source.connect import connect

DATABASES = ["sqlite", "postgresql", "mysql"]
TABLE = {
    "name": "cards",
    "columns": [
        {
            "name": "snapshot",
            "type": "json",
            "related": [{"column": "size", "fact": "file_size"}, {"column": "note", "fact": "null"}],
        },
        {"name": "url"},
    ],
}


@pytest.fixture(params=DATABASES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    if request.param == "sqlite":
        (tmp_path / "old.db").touch()
        url = f"sqlite:///{tmp_path / 'old.db'}"
    else:
        url = request.getfixturevalue({"postgresql": "postgres_url", "mysql": "mysql_url"}[request.param])()
    opened = Bench.open(tmp_path / "home", url, [TABLE])
    type_ = "LONGTEXT" if request.param == "mysql" else "TEXT"
    opened.sql(
        f"CREATE TABLE cards (job VARCHAR(20), n INTEGER, snapshot {type_}, url VARCHAR(2000), size BIGINT, "
        f"note {type_}, PRIMARY KEY (job, n))"
    )
    yield opened
    opened.close()


def emit(bench: Bench, path: Path) -> EmittedFiles:
    """Write the files of the whole source."""
    with connect(bench.source) as reader, SqlFiles(reader, path) as files:
        planner = Planner(bench.source, reader)
        with bench.catalog.read() as session:
            works = load_work(session, "old", list(rows_of(bench.catalog, "old")))
        for work in works:
            files.add(planner.access(work.table), planner.plan(work))
        return files.finished()


def run_sql(bench: Bench, path: Path) -> int:
    """Run a file as a database administrator would, without our own code; how many rows it changed."""
    script = path.read_text(encoding="utf-8", errors="surrogateescape")
    if bench.engine.dialect.name == "sqlite":
        connection = sqlite3.connect(str(bench.engine.url.database))
        connection.executescript(script)
        changed = connection.total_changes
        connection.close()
        return changed
    changed = 0
    engine = create_engine(bench.engine.url, poolclass=NullPool)
    raw: Any = engine.raw_connection()
    with raw.cursor() as cursor:
        for statement in statements(script):
            cursor.execute(statement)
            if statement.lstrip().startswith("UPDATE"):
                changed += cursor.rowcount
    raw.commit()
    raw.close()
    return changed


def statements(script: str) -> Iterator[str]:
    """The statements of a script: each ends with a semicolon at a line's end."""
    lines = [line for line in script.split("\n") if not line.startswith("--")]
    for statement in "\n".join(lines).split(";\n"):
        if statement.strip():
            yield statement


AWKWARD = 'it\'s 100 % \\ "quoted" \\n é 漢 😀\ttab; -- no comment :name %(x)s'


def fill(bench: Bench) -> list[tuple[Any, ...]]:
    for number in range(3):
        document = json.dumps({"t": AWKWARD, "url": signed(f"{number}.mp4")}, ensure_ascii=False)
        bench.sql(
            "INSERT INTO cards VALUES (:j, :n, :s, :u, NULL, :t)",
            j="o'b\\x",
            n=number,
            s=document,
            u=signed("same.mp4") if number else None,
            t=AWKWARD,
        )
    rows = bench.sql("SELECT * FROM cards ORDER BY n")
    bench.take()
    return rows


def test_the_files_do_what_apply_does_and_the_inverse_takes_it_back(bench: Bench, tmp_path: Path) -> None:
    before = fill(bench)
    emitted = emit(bench, tmp_path / "change.sql")
    assert emitted.statements == 3
    assert bench.sql("SELECT * FROM cards ORDER BY n") == before, "writing the files changes nothing"
    assert run_sql(bench, emitted.change) == 3
    by_sql = bench.sql("SELECT * FROM cards ORDER BY n")
    assert run_sql(bench, emitted.change) == 0, "the guards stop a second run"
    assert run_sql(bench, emitted.inverse) == 3
    assert bench.sql("SELECT * FROM cards ORDER BY n") == before
    assert bench.rewrite().rows == 3
    assert bench.sql("SELECT * FROM cards ORDER BY n") == by_sql


def test_a_row_that_was_changed_since_is_not_touched(bench: Bench, tmp_path: Path) -> None:
    fill(bench)
    emitted = emit(bench, tmp_path / "change.sql")
    bench.sql("UPDATE cards SET snapshot = '{}' WHERE n = 1")
    assert run_sql(bench, emitted.change) == 2
    assert bench.sql("SELECT snapshot FROM cards WHERE n = 1") == [("{}",)]


def test_the_files_are_private_and_say_so_and_are_never_overwritten(bench: Bench, tmp_path: Path) -> None:
    fill(bench)
    emitted = emit(bench, tmp_path / "change.sql")
    for path in (emitted.change, emitted.inverse):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "THIS FILE HOLDS SECRETS" in path.read_text()[:400]
    with pytest.raises(FileExistsError):
        emit(bench, tmp_path / "change.sql")
    (tmp_path / "other.undo.sql").write_text("the only way back")
    with pytest.raises(FileExistsError):
        emit(bench, tmp_path / "other.sql")
    assert not (tmp_path / "other.sql").exists()
    assert (tmp_path / "other.undo.sql").read_text() == "the only way back"


def test_bytes_that_are_no_unicode_survive_in_sqlite(tmp_path: Path) -> None:
    (tmp_path / "old.db").touch()
    bench = Bench.open(
        tmp_path / "home", f"sqlite:///{tmp_path / 'old.db'}", [{"name": "v", "columns": [{"name": "url"}]}]
    )
    bench.sql("CREATE TABLE v (id INTEGER PRIMARY KEY, url TEXT)")
    raw = b"caf\xe9 \x00 " + signed("a.mp4").encode()
    bench.sql("INSERT INTO v VALUES (1, CAST(:b AS TEXT))", b=raw)
    bench.take()
    emitted = emit(bench, tmp_path / "change.sql")
    assert run_sql(bench, emitted.change) == 1
    new = bench.sql("SELECT CAST(url AS BLOB), typeof(url) FROM v")
    assert new == [(b"caf\xe9 \x00 " + bench.url_of(signed("a.mp4")).encode(), "text")]
    assert run_sql(bench, emitted.inverse) == 1
    assert bench.sql("SELECT CAST(url AS BLOB), typeof(url) FROM v") == [(raw, "text")]
    bench.close()


def test_bytes_survive_in_a_postgresql_that_knows_no_encoding(
    tmp_path: Path, postgres_url: Callable[[], str]
) -> None:
    server = create_engine(postgres_url(), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    name = f"{server.url.database}_bytes"
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    url = server.url.set(database=name).render_as_string(hide_password=False)
    bench = Bench.open(tmp_path / "home", url, [{"name": "v", "columns": [{"name": "url"}]}])
    bench.sql("CREATE TABLE v (id INTEGER PRIMARY KEY, url TEXT)")
    with bench.engine.begin() as connection:
        driver: Any = connection.connection.driver_connection
        driver.cursor().execute(b"INSERT INTO v VALUES (1, 'caf\xe9 \xff " + signed("a.mp4").encode() + b"')")
    before = bench.sql("SELECT encode(textsend(url), 'hex') FROM v")
    bench.take()
    emitted = emit(bench, tmp_path / "change.sql")
    for path, undone in ((emitted.change, False), (emitted.inverse, True)):
        with bench.engine.begin() as connection:
            driver = connection.connection.driver_connection
            driver.cursor().execute(path.read_bytes())
        assert (bench.sql("SELECT encode(textsend(url), 'hex') FROM v") == before) is undone
    bench.close()
