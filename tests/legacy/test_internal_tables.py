"""Tables that are not a user's own are left alone or rewritten through their owner, and named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from tests.legacy.bench import Bench, signed
from video_assets.catalog import open_catalog
from video_assets.legacy.config.load import parse_sources
from video_assets.legacy.discover.discover import discover
from video_assets.legacy.discover.propose import propose
from video_assets.legacy.guard.triggers import install_guard
from video_assets.legacy.inventory.take import take_inventory
from video_assets.legacy.proof.prove import make_proof
from video_assets.legacy.proof.signing import load_signing_key
from video_assets.legacy.report.at_risk import build_report
from video_assets.legacy.report.formats import left_alone_lines, report_document
from video_assets.legacy.report.html import report_html
from video_assets.legacy.source.connect import open_database
from video_assets.legacy.source.relations import Relation, Role, relations_of
from video_assets.settings import Settings


@pytest.fixture
def file(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    yield connection
    connection.close()


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[[str], Bench]]:
    """A bench for what discovery itself proposes."""
    opened: list[Bench] = []

    def make(url: str) -> Bench:
        found = discover(url, exact=True)
        source = parse_sources(propose(found, name="old", url="env:OLD"))["old"]
        tables = [table.model_dump(by_alias=True, exclude_defaults=True) for table in source.tables]
        opened.append(Bench.open(tmp_path / "home", url, tables))
        return opened[-1]

    yield make
    for bench in opened:
        bench.close()


def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'old.db'}"


def roles(url: str) -> dict[str, Relation]:
    with open_database(url, name="old") as database:
        return {relation.name: relation for relation in relations_of(database)}


def prove(bench: Bench, home: Path) -> dict[str, Any]:
    return make_proof(bench.catalog, [bench.source], key=load_signing_key(home), scratch=home / "scratch")


def sound(file: sqlite3.Connection, *tables: str) -> None:
    """Every full-text index fits its text. Raises sqlite3.DatabaseError when one is malformed."""
    for table in tables:
        is_5 = file.execute("SELECT sql LIKE '%fts5%' FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
        check = f"INSERT INTO {table}({table}, rank) VALUES('integrity-check', 1)"
        file.execute(check if is_5 else f"INSERT INTO {table}({table}) VALUES('integrity-check')")
    assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("module", ["fts5", "fts4", "fts3"])
@pytest.mark.parametrize("columns", ["body", "prompt, body"])
def test_a_full_text_table_is_rewritten_through_itself_and_its_index_stays_right(
    file: sqlite3.Connection, make_bench: Callable[[str], Bench], tmp_path: Path, module: str, columns: str
) -> None:
    file.execute(f"CREATE VIRTUAL TABLE own USING {module}({columns})")
    for number in range(3):
        values = ["a boat"] * (columns.count(",")) + [f"see {signed(f'{number}.mp4')} !"]
        file.execute(f"INSERT INTO own({columns}) VALUES ({', '.join('?' * len(values))})", values)
    before = file.execute("SELECT rowid, * FROM own").fetchall()
    bench = make_bench(address(tmp_path))
    assert [table.name for table in bench.source.tables] == ["own"]
    bench.take()
    assert bench.rewrite().rows == 3
    sound(file, "own")
    assert file.execute("SELECT count(*) FROM own WHERE own MATCH 'legacy'").fetchone() == (3,)
    assert file.execute("SELECT count(*) FROM own WHERE own MATCH 'Signature'").fetchone() == (0,)
    document = prove(bench, tmp_path)
    assert document["verdict"] == {"clean": True, "accounted": True, "complete": True}
    assert document["sources"][0]["tables"]["own"]["columns"]["body"]["durable"] == 3
    assert bench.undo().refused == []
    sound(file, "own")
    assert file.execute("SELECT rowid, * FROM own").fetchall() == before
    assert file.execute("SELECT count(*) FROM own WHERE own MATCH 'Signature'").fetchone() == (3,)


CONTENT = "CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT)"
KEEPS_RIGHT = (
    "CREATE TRIGGER posts_au AFTER UPDATE ON posts BEGIN "
    "INSERT INTO posts_fts(posts_fts, rowid, body) VALUES('delete', old.id, old.body); "
    "INSERT INTO posts_fts(rowid, body) VALUES (new.id, new.body); END"
)


@pytest.mark.parametrize(
    "made",
    [
        "CREATE VIRTUAL TABLE posts_fts USING fts5(body, content='posts', content_rowid='id')",
        # As sqlite-utils, Datasette and llm write it.
        "CREATE VIRTUAL TABLE [posts_fts] USING FTS5 (\n    [body],\n    content=[posts]\n)",
    ],
)
@pytest.mark.parametrize("has_trigger", [True, False])
def test_an_index_over_another_table_is_left_to_that_tables_triggers_and_named_when_there_are_none(
    file: sqlite3.Connection, make_bench: Callable[[str], Bench], tmp_path: Path, has_trigger: bool, made: str
) -> None:
    file.execute(CONTENT)
    file.execute(made)
    if has_trigger:
        file.execute(KEEPS_RIGHT)
    file.execute("INSERT INTO posts VALUES (1, ?)", (f"see {signed('a.mp4')}",))
    file.execute("INSERT INTO posts_fts(posts_fts) VALUES('rebuild')")
    bench = make_bench(address(tmp_path))
    assert [table.name for table in bench.source.tables] == ["posts"]
    bench.take()
    assert bench.rewrite().rows == 1
    index = roles(address(tmp_path))["posts_fts"]
    assert index.role is Role.INDEX
    if has_trigger:
        assert "triggers keep it right" in (index.note or "")
    else:
        assert (index.note or "").endswith('run INSERT INTO "posts_fts"("posts_fts") VALUES(\'rebuild\')')
        file.execute("INSERT INTO posts_fts(posts_fts) VALUES('rebuild')")
    sound(file, "posts_fts")
    coverage = prove(bench, tmp_path)["sources"][0]["coverage"]
    listed = coverage["elsewhere" if has_trigger else "not_read"]
    assert {entry["name"]: entry.get("note") for entry in listed}["posts_fts"] == index.note


@pytest.mark.parametrize(
    "made",
    ["fts5(body, content='')", "fts4(content='', body)", "fts5(body, content='posts')"],
)
def test_an_index_that_keeps_the_words_of_a_rewritten_link_is_named_as_not_read(
    file: sqlite3.Connection, make_bench: Callable[[str], Bench], tmp_path: Path, made: str
) -> None:
    file.execute(CONTENT)
    file.execute(f"CREATE VIRTUAL TABLE words USING {made}")
    url = signed("a.mp4")
    file.execute("INSERT INTO posts VALUES (1, ?)", (url,))
    column = "docid" if "fts4" in made else "rowid"
    file.execute(f"INSERT INTO words({column}, body) VALUES (1, ?)", (url,))
    bench = make_bench(address(tmp_path))
    bench.take()
    assert bench.rewrite().rows == 1
    assert file.execute("SELECT count(*) FROM words WHERE words MATCH 'Signature'").fetchone() == (1,)
    document = prove(bench, tmp_path)
    assert document["verdict"] == {"clean": True, "accounted": True, "complete": False}
    assert "words" in {entry["name"] for entry in document["sources"][0]["coverage"]["not_read"]}


def test_a_virtual_table_of_numbers_with_text_beside_them_is_rewritten_through_itself(
    file: sqlite3.Connection, make_bench: Callable[[str], Bench], tmp_path: Path
) -> None:
    file.execute("CREATE VIRTUAL TABLE areas USING rtree(id, x0, x1, +url TEXT)")
    file.execute("INSERT INTO areas VALUES (7, 1, 2, ?)", (signed("a.mp4"),))
    bench = make_bench(address(tmp_path))
    assert [table.name for table in bench.source.tables] == ["areas"]
    bench.take()
    assert bench.rewrite().rows == 1
    assert file.execute("SELECT id, x0, x1, url FROM areas").fetchall() == [
        (7, 1.0, 2.0, bench.url_of(signed("a.mp4")))
    ]
    assert file.execute("SELECT rtreecheck('areas')").fetchone() == ("ok",)


def test_a_shadow_table_that_an_old_configuration_names_is_not_written(
    file: sqlite3.Connection, tmp_path: Path
) -> None:
    file.execute("CREATE VIRTUAL TABLE own USING fts5(body)")
    file.execute("INSERT INTO own VALUES (?)", (signed("a.mp4"),))
    bench = Bench.open(
        tmp_path / "home", address(tmp_path), [{"name": "own_content", "columns": [{"name": "c0"}]}]
    )
    [problem] = take_inventory(bench.catalog, bench.source).problems
    assert "'own_content' is not rewritten, it is a part of the virtual table own" in problem
    document = prove(bench, tmp_path)
    assert document["sources"][0]["tables"]["own"]["columns"]["body"]["unknown"] == 1
    bench.close()


def test_shadow_tables_are_known_without_their_module_and_a_users_table_of_a_like_name_is_not_one(
    file: sqlite3.Connection, tmp_path: Path
) -> None:
    file.execute("CREATE VIRTUAL TABLE posts_fts USING fts5(body)")
    file.execute("CREATE TABLE posts_fts_notes (id INTEGER PRIMARY KEY, url TEXT)")
    file.execute("CREATE TABLE other_content (id INTEGER PRIMARY KEY, url TEXT)")
    file.execute("CREATE TABLE words_vocab (id INTEGER PRIMARY KEY, word TEXT)")
    file.execute("CREATE TABLE vectors_chunks (id INTEGER PRIMARY KEY, data BLOB)")
    file.execute("CREATE TABLE vectors_urls (id INTEGER PRIMARY KEY, url TEXT)")
    file.execute("INSERT INTO vectors_urls VALUES (1, ?)", (signed("a.mp4"),))
    file.execute("PRAGMA writable_schema = ON")
    for name, module in (("words", "spellfix1"), ("vectors", "vec0(x float[3])")):
        file.execute(
            "INSERT INTO sqlite_master VALUES ('table', ?, ?, 0, ?)",
            (name, name, f"CREATE VIRTUAL TABLE {name} USING {module}"),
        )
    file.execute("PRAGMA writable_schema = OFF")
    found = roles(address(tmp_path))
    shadows = {name for name, relation in found.items() if relation.role is Role.SHADOW}
    assert shadows == {f"posts_fts_{part}" for part in ("content", "data", "idx", "docsize", "config")} | {
        "words_vocab", "vectors_chunks",
    }  # fmt: skip
    assert "no such module" in (found["words"].unread or "")
    assert not found["words"].is_elsewhere
    looked = discover(address(tmp_path))
    assert [place.table for place in looked.places] == ["vectors_urls"]
    assert {look.name for look in looked.tables if look.problem} == {"words", "vectors"}


def test_tables_of_tools_are_left_alone_and_named(file: sqlite3.Connection, tmp_path: Path) -> None:
    file.execute("CREATE TABLE alembic_version (version_num TEXT)")
    file.execute("CREATE TABLE _prisma_migrations (id TEXT PRIMARY KEY, logs TEXT)")
    file.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY, run_id TEXT, run_body TEXT)")
    file.execute("CREATE TABLE event_logs (id INTEGER PRIMARY KEY, event TEXT, dagster_event_type TEXT)")
    file.execute("CREATE TABLE run_tags (id INTEGER PRIMARY KEY, run_id TEXT, key TEXT, value TEXT)")
    file.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, result_url TEXT)")
    for table in ("_prisma_migrations(id, logs)", "event_logs(id, event)", "jobs(id, result_url)"):
        file.execute(f"INSERT INTO {table} VALUES (1, ?)", (signed("a.mp4"),))
    looked = discover(address(tmp_path))
    assert {each.name: each.role for each in looked.left_alone} == {
        "alembic_version": Role.TOOL, "_prisma_migrations": Role.TOOL,
        "runs": Role.DAGSTER, "event_logs": Role.DAGSTER, "run_tags": Role.DAGSTER,
    }  # fmt: skip
    text = propose(looked, name="old", url=address(tmp_path))
    assert [table.name for table in parse_sources(text)["old"].tables] == ["jobs"]
    assert "# _prisma_migrations is left alone: belongs to Prisma" in text


def test_the_products_own_catalog_in_the_same_file_is_left_to_its_own_scan(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "old.db") as connection:
        connection.execute("CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT)")
    database = f"sqlite:///{tmp_path / 'old.db'}"
    open_catalog(Settings(_env_file=None, home=tmp_path / "home", database_url=database)).close()
    found = roles(database)
    assert found["videos"].role is Role.OWN
    assert found["legacy_finding"].role is Role.CATALOG
    assert {found[name].role for name in ("generation", "lease", "event")} == {Role.CATALOG}


def test_a_table_that_keeps_former_rows_of_another_is_its_history_and_a_history_of_ones_own_is_not(
    file: sqlite3.Connection, tmp_path: Path
) -> None:
    for name, columns in {
        "videos": "id INTEGER PRIMARY KEY, url TEXT",
        "videos_history": "id INTEGER, url TEXT, changed_at TEXT",
        "generation_history": "id INTEGER PRIMARY KEY, url TEXT",
        "clips": "id INTEGER PRIMARY KEY, url TEXT",
        "clips_log": "id INTEGER PRIMARY KEY, message TEXT",
        "outbox": "id INTEGER PRIMARY KEY, url TEXT",
    }.items():
        file.execute(f"CREATE TABLE {name} ({columns})")
    file.execute("CREATE TRIGGER t AFTER INSERT ON clips BEGIN INSERT INTO outbox(url) VALUES (new.url); END")
    file.execute("CREATE TRIGGER u AFTER UPDATE ON clips BEGIN INSERT INTO outbox(url) VALUES (new.url); END")
    found = roles(address(tmp_path))
    assert [name for name, relation in found.items() if relation.role is Role.HISTORY] == ["videos_history"]


def test_postgresqls_parts_extensions_and_platforms_are_told_by_ownership(
    postgres_url: Callable[[], str],
) -> None:
    url = postgres_url()
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        for statement in (
            "CREATE TABLE days (id int, day date, url text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)",
            "CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
            "CREATE TABLE days_rest PARTITION OF days DEFAULT",
            "CREATE TABLE parents (id int PRIMARY KEY, url text)",
            "CREATE TABLE same_child () INHERITS (parents)",
            "CREATE TABLE wider_child (more text) INHERITS (parents)",
            "CREATE TABLE settings_of_extension (id int PRIMARY KEY, url text)",
            "ALTER EXTENSION plpgsql ADD TABLE settings_of_extension",
            "CREATE SCHEMA auth",
            "CREATE TABLE auth.tokens (id int PRIMARY KEY, url text)",
            "CREATE SCHEMA audit",
            "CREATE TABLE audit.logged_actions (id int PRIMARY KEY, row_data text)",
        ):
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql("INSERT INTO days VALUES (1, '2026-01-02', %s)", (signed("a.mp4"),))
        connection.exec_driver_sql("INSERT INTO same_child VALUES (1, %s)", (signed("b.mp4"),))
    found = roles(url)
    assert {name: relation.role for name, relation in found.items() if relation.is_left_alone} == {
        "days_1": Role.PART, "days_rest": Role.PART, "same_child": Role.PART,
        "settings_of_extension": Role.EXTENSION, "audit.logged_actions": Role.HISTORY,
    }  # fmt: skip
    looked = discover(url)
    assert {(place.table, place.count) for place in looked.places} == {("days", 1), ("parents", 1)}
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE ROLE supabase_admin")
    try:
        assert roles(url)["auth.tokens"].role is Role.PLATFORM
        assert "belongs to Supabase" in (roles(url)["auth.tokens"].note or "")
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP ROLE supabase_admin")
        engine.dispose()


def test_a_guard_leaves_out_virtual_tables_and_bytes_and_guards_the_others(
    file: sqlite3.Connection, tmp_path: Path
) -> None:
    file.execute("CREATE VIRTUAL TABLE own USING fts5(body)")
    file.execute("CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT, meta BLOB)")
    tables = [
        {"name": "own", "columns": [{"name": "body"}]},
        {"name": "videos", "columns": [{"name": "url"}, {"name": "meta"}]},
    ]
    bench = Bench.open(tmp_path / "home", address(tmp_path), tables)
    why_not = {f"{each.table}.{each.column}": each.why_not for each in install_guard(bench.source).columns}
    assert why_not["own.body"] == "SQLite has no triggers on virtual tables"
    assert "holds bytes" in (why_not["videos.meta"] or "")
    with pytest.raises(sqlite3.IntegrityError):
        file.execute("INSERT INTO videos(url) VALUES (?)", (signed("a.mp4"),))
    bench.close()


def test_samples_that_sqlite_keeps_of_old_values_are_read_too(file: sqlite3.Connection, tmp_path: Path) -> None:
    file.execute("CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT)")
    file.execute("CREATE INDEX by_url ON videos(url)")
    file.executemany("INSERT INTO videos(url) VALUES (?)", [(signed(f"{n}.mp4"),) for n in range(30)])
    file.execute("ANALYZE")
    if file.execute("SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_stat4'").fetchone() == (0,):
        pytest.skip("this SQLite keeps no samples")
    file.execute("UPDATE videos SET url = NULL")
    bench = Bench.open(tmp_path / "home", address(tmp_path), [{"name": "videos", "columns": [{"name": "url"}]}])
    document = prove(bench, tmp_path)
    samples = document["sources"][0]["tables"]["sqlite_stat4"]
    assert samples["columns"]["sample"]["unknown"] > 0
    assert "ANALYZE renews its samples" in samples["note"]
    file.execute("ANALYZE")
    assert prove(bench, tmp_path)["verdict"]["accounted"] is True
    bench.close()


def test_the_report_names_what_is_left_alone(file: sqlite3.Connection, tmp_path: Path) -> None:
    file.execute("CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT)")
    file.execute("CREATE TABLE alembic_version (version_num TEXT)")
    file.execute("CREATE VIRTUAL TABLE own USING fts5(body)")
    bench = Bench.open(tmp_path / "home", address(tmp_path), [{"name": "videos", "columns": [{"name": "url"}]}])
    take_inventory(bench.catalog, bench.source)
    report = build_report(bench.catalog, bench.source)
    lines = left_alone_lines(report.left_alone)
    assert "alembic_version is left alone: belongs to Alembic, which notes there what was run" in lines
    assert sum("a part of the virtual table own" in line for line in lines) == 1, "five parts share a line"
    assert "alembic_version is left alone" in report_html(report)
    assert len(report_document(report)["left_alone"]) == 6
    bench.close()
