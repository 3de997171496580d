"""Rewriting rows in place: what is replaced, what is never touched, and what each database makes of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from tests.legacy.bench import KEY, Bench, signed
from video_assets.catalog.legacy import FindingState, LegacyFile
from video_assets.legacy.process_batch import Mode, process_batch
from video_assets.legacy.rewrite.ledger import Images, LedgerKeyMissing
from video_assets.legacy.rewrite.rewriter import RewriteStep, RowFailure
from video_assets.legacy.rewrite.undo import Selection, undo_rewrites
from video_assets.legacy.source.connect import connect
from video_assets.services import Services
from video_assets.settings import Settings
from video_assets.transfer.download.downloader import Downloader, DownloadPolicy

MakeBench = Callable[..., Bench]
DATABASES = ["sqlite", "postgresql", "mysql"]


@pytest.fixture
def make_bench(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeBench]:
    opened: list[Bench] = []

    def make(database: str, statements: list[str], tables: list[dict[str, Any]], **more: Any) -> Bench:
        if database == "sqlite":
            (tmp_path / "old.db").touch()
            url = f"sqlite:///{tmp_path / 'old.db'}"
        else:
            url = request.getfixturevalue({"postgresql": "postgres_url", "mysql": "mysql_url"}[database])()
        bench = Bench.open(tmp_path / "home", url, tables, **more)
        for statement in statements:
            bench.sql(statement)
        opened.append(bench)
        return bench

    yield make
    for bench in opened:
        bench.close()


VIDEOS = {"name": "videos", "columns": [{"name": "url"}]}


@pytest.mark.parametrize("database", DATABASES)
def test_a_temporary_url_is_replaced_by_the_durable_one(make_bench: MakeBench, database: str) -> None:
    bench = make_bench(database, ["CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT, note TEXT)"], [VIDEOS])
    old = signed("a.mp4")
    bench.sql("INSERT INTO videos VALUES (1, :u, 'mine'), (2, NULL, NULL), (3, 'https://x.org/b.mp4', '')", u=old)
    bench.take()
    report = bench.rewrite()
    assert (report.rows, report.places, report.troubles) == (1, 1, {})
    assert bench.sql("SELECT * FROM videos ORDER BY id") == [
        (1, bench.url_of(old), "mine"),
        (2, None, None),
        (3, "https://x.org/b.mp4", ""),
    ]
    assert bench.states() == ["rewritten"]
    assert bench.rewrite().rows == 0, "the second run finds nothing to do"


DOCUMENT = (
    '{ "versions" : [ {"url":"%s","n": 1.50 , "é":"\\u00e9\\/"},\n\t{"url" :"%s", "keep": null} ],'
    ' "text":"see %s !", "big": 12345678901234567890 }'
)


EXACT_TYPES = [(database, type_) for database in DATABASES for type_ in ("TEXT", "JSON")]


@pytest.mark.parametrize(("database", "type_"), EXACT_TYPES)
def test_json_is_edited_at_the_pointer_and_every_other_byte_is_kept(
    make_bench: MakeBench, database: str, type_: str
) -> None:
    table = {"name": "cards", "columns": [{"name": "snapshot", "type": "json"}]}
    bench = make_bench(database, [f"CREATE TABLE cards (id INTEGER PRIMARY KEY, snapshot {type_})"], [table])
    urls = [signed("a.mp4"), signed("b.mp4"), signed("c.mp4")]
    bench.sql("INSERT INTO cards VALUES (1, :d)", d=DOCUMENT % tuple(urls))
    bench.take()
    assert bench.rewrite().places == 3
    read = (
        "SELECT CAST(snapshot AS CHAR) FROM cards"
        if database == "mysql"
        else "SELECT CAST(snapshot AS TEXT) FROM cards"
    )
    assert bench.sql(read) == [(DOCUMENT % tuple(bench.url_of(url) for url in urls),)]


def test_jsonb_means_the_same_afterwards_except_for_its_urls(make_bench: MakeBench) -> None:
    table = {"name": "cards", "columns": [{"name": "snapshot", "type": "json"}]}
    bench = make_bench("postgresql", ["CREATE TABLE cards (id INTEGER PRIMARY KEY, snapshot JSONB)"], [table])
    urls = [signed("a.mp4"), signed("b.mp4"), signed("c.mp4")]
    bench.sql("INSERT INTO cards VALUES (1, :d)", d=DOCUMENT % tuple(urls))
    bench.take()
    assert bench.rewrite().places == 3
    assert bench.sql("SELECT snapshot::text FROM cards")[0][0] == json_text(
        bench, DOCUMENT % tuple(bench.url_of(url) for url in urls)
    )


def json_text(bench: Bench, document: str) -> str:
    text_: str = bench.sql("SELECT CAST(CAST(:d AS jsonb) AS text)", d=document)[0][0]
    return text_


@pytest.mark.parametrize("database", DATABASES)
def test_related_columns_and_keys_beside_the_url_are_filled(make_bench: MakeBench, database: str) -> None:
    moment = {"sqlite": "TEXT", "postgresql": "TIMESTAMPTZ", "mysql": "DATETIME"}[database]
    table = {
        "name": "content",
        "columns": [
            {
                "name": "data",
                "type": "json",
                "related": [
                    {"sibling": "fileName", "fact": "file_name"},
                    {"sibling": "fileSize", "fact": "file_size"},
                    {"sibling": "fallback", "fact": "null"},
                    {"column": "size", "fact": "file_size"},
                    {"column": "kind", "fact": "file_type"},
                    {"column": "status", "text": "completed"},
                    {"column": "completed_at", "fact": "uploaded_at"},
                ],
            }
        ],
    }
    bench = make_bench(
        database,
        [
            "CREATE TABLE content (id INTEGER PRIMARY KEY, data TEXT, size BIGINT, kind VARCHAR(40), "
            f"status VARCHAR(20), completed_at {moment})"
        ],
        [table],
    )
    old = signed("a.mp4")
    document = json.dumps({"a": {"videoUrl": old, "fileName": "x.mp4", "fallback": True}, "b": [1, {"c": 2}]})
    bench.sql("INSERT INTO content VALUES (1, :d, NULL, NULL, 'processing', NULL)", d=document)
    before = bench.sql("SELECT * FROM content")
    bench.take()
    assert bench.rewrite().troubles == {}
    data, size, kind, status, completed_at = bench.sql(
        "SELECT data, size, kind, status, completed_at FROM content"
    )[0]
    file = bench.files()[0]
    assert json.loads(data) == {
        "a": {"videoUrl": file.file_url, "fileName": file.file_name, "fallback": None, "fileSize": 13},
        "b": [1, {"c": 2}],
    }
    assert (size, kind, status) == (13, "video/mp4", "completed")
    assert completed_at is not None
    assert bench.undo().rows == 1
    assert bench.sql("SELECT * FROM content") == before


@pytest.mark.parametrize("database", DATABASES)
def test_a_related_place_that_is_only_filled_when_empty_keeps_what_it_holds(
    make_bench: MakeBench, database: str
) -> None:
    moment = {"sqlite": "TEXT", "postgresql": "TIMESTAMPTZ", "mysql": "DATETIME"}[database]
    only_empty = [
        {"column": "completed_at", "fact": "uploaded_at", "when_empty": True},
        {"column": "link", "fact": "file_url", "when_empty": True},
        {"sibling": "doneAt", "fact": "uploaded_at", "when_empty": True},
    ]
    bench = make_bench(
        database,
        [
            "CREATE TABLE content (id INTEGER PRIMARY KEY, data TEXT, link VARCHAR(300), "
            f"completed_at {moment} NULL)"
        ],
        [{"name": "content", "columns": [{"name": "data", "type": "json", "related": only_empty}]}],
    )
    kept = "2024-03-01 10:00:00"
    full = json.dumps({"url": signed("a.mp4"), "doneAt": "2024-03-01"})
    empty = json.dumps({"url": signed("b.mp4"), "doneAt": None})
    bench.sql("INSERT INTO content VALUES (1, :d, 'mine', :t)", d=full, t=kept)
    bench.sql("INSERT INTO content VALUES (2, :d, '', NULL)", d=empty)
    before = bench.sql("SELECT link, completed_at FROM content WHERE id = 1")
    bench.take()
    assert bench.rewrite().troubles == {}
    assert bench.sql("SELECT link, completed_at FROM content WHERE id = 1") == before
    assert json.loads(bench.sql("SELECT data FROM content WHERE id = 1")[0][0])["doneAt"] == "2024-03-01"
    data, link, completed_at = bench.sql("SELECT data, link, completed_at FROM content WHERE id = 2")[0]
    assert json.loads(data)["url"] == link
    assert json.loads(data)["doneAt"]
    assert completed_at is not None


@pytest.mark.parametrize("database", DATABASES)
def test_a_related_rule_with_a_pointer_is_about_the_url_at_that_place_only(
    make_bench: MakeBench, database: str
) -> None:
    related = [
        {"sibling": "path", "fact": "storage_path", "pointer": "/versions/*/url"},
        {"column": "main", "fact": "file_url", "pointer": "/videoUrl"},
        {"column": "cover", "fact": "file_url", "pointer": "/coverUrl"},
    ]
    bench = make_bench(
        database,
        ["CREATE TABLE content (id INTEGER PRIMARY KEY, data TEXT, main VARCHAR(300), cover VARCHAR(300))"],
        [{"name": "content", "columns": [{"name": "data", "type": "json", "related": related}]}],
    )
    document = {
        "thumb": {"url": signed("t.mp4")},
        "versions": [{"url": signed("a.mp4")}, {"url": signed("b.mp4")}],
        "videoUrl": signed("v.mp4"),
    }
    bench.sql("INSERT INTO content VALUES (1, :d, NULL, 'as it was')", d=json.dumps(document))
    bench.take()
    assert bench.rewrite().troubles == {}
    data, main, cover = bench.sql("SELECT data, main, cover FROM content")[0]
    after = json.loads(data)
    assert list(after["thumb"]) == ["url"]
    assert [list(version) for version in after["versions"]] == [["url", "path"], ["url", "path"]]
    assert main == after["videoUrl"]
    assert cover == "as it was"


@pytest.mark.parametrize("database", DATABASES)
def test_an_edit_in_the_middle_by_somebody_else_is_kept(make_bench: MakeBench, database: str) -> None:
    bench = make_bench(database, ["CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT)"], [VIDEOS])
    old = signed("a.mp4")
    bench.sql("INSERT INTO videos VALUES (1, :u)", u=f"first {old}")
    bench.take()
    edits = iter([f"second {old}", f"third {old} with more"])

    def edit(step: RewriteStep, _what: str) -> None:
        if step is RewriteStep.INTENDED and (new := next(edits, None)) is not None:
            bench.sql("UPDATE videos SET url = :u", u=new)

    bench.observer = edit
    report = bench.rewrite()
    assert report.rows == 1
    assert bench.sql("SELECT url FROM videos") == [(f"third {bench.url_of(old)} with more",)]


def test_a_row_that_others_change_all_the_time_is_left_for_a_later_run(make_bench: MakeBench) -> None:
    bench = make_bench("sqlite", ["CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT)"], [VIDEOS])
    old = signed("a.mp4")
    bench.sql("INSERT INTO videos VALUES (1, :u)", u=old)
    bench.take()
    count = iter(range(1000))

    def edit(step: RewriteStep, _what: str) -> None:
        if step is RewriteStep.INTENDED:
            bench.sql("UPDATE videos SET url = :u", u=f"{next(count)} {old}")

    bench.observer = edit
    assert bench.rewrite().troubles == {RowFailure.CONTESTED: 1}
    assert bench.states() == ["saved"]
    bench.observer = None
    assert bench.rewrite().rows == 1


def test_a_url_that_somebody_replaced_is_marked_changed(make_bench: MakeBench) -> None:
    bench = make_bench("sqlite", ["CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT)"], [VIDEOS])
    bench.sql("INSERT INTO videos VALUES (1, :u), (2, :v)", u=signed("a.mp4"), v=signed("b.mp4"))
    bench.take()
    bench.sql("UPDATE videos SET url = 'https://x.org/new.mp4' WHERE id = 1")
    bench.sql("DELETE FROM videos WHERE id = 2")
    report = bench.rewrite()
    assert report.troubles == {RowFailure.CHANGED: 2}
    assert bench.states() == ["changed", "changed"]
    assert {finding.message for finding in bench.findings()} == {
        "The row is gone.",
        "Somebody else has changed the value since.",
    }
    assert bench.sql("SELECT url FROM videos") == [("https://x.org/new.mp4",)]


def test_a_document_that_was_reordered_is_edited_where_the_url_stands_now(make_bench: MakeBench) -> None:
    table = {"name": "cards", "columns": [{"name": "snapshot", "type": "json"}]}
    bench = make_bench("sqlite", ["CREATE TABLE cards (id INTEGER PRIMARY KEY, snapshot TEXT)"], [table])
    a, b = signed("a.mp4"), signed("b.mp4")
    bench.sql("INSERT INTO cards VALUES (1, :d)", d=json.dumps([a, b]))
    bench.take()
    bench.sql("UPDATE cards SET snapshot = :d", d=json.dumps([b, "new", a]))
    assert bench.rewrite().places == 2
    assert json.loads(bench.sql("SELECT snapshot FROM cards")[0][0]) == [bench.url_of(b), "new", bench.url_of(a)]


def test_excepted_places_are_left_alone(make_bench: MakeBench) -> None:
    table = {
        "name": "cards",
        "columns": [{"name": "snapshot", "type": "json"}],
        "exceptions": [{"pointer": "/audit/*", "why": "kept as evidence"}],
    }
    bench = make_bench("sqlite", ["CREATE TABLE cards (id INTEGER PRIMARY KEY, snapshot TEXT)"], [table])
    url = signed("a.mp4")
    bench.sql("INSERT INTO cards VALUES (1, :d)", d=json.dumps({"url": url, "audit": {"seen": url}}))
    bench.take()
    assert bench.rewrite().places == 1
    assert json.loads(bench.sql("SELECT snapshot FROM cards")[0][0]) == {
        "url": bench.url_of(url),
        "audit": {"seen": url},
    }
    assert bench.states() == ["excepted", "rewritten"]


@pytest.mark.parametrize("database", DATABASES)
def test_a_value_that_would_become_too_long_is_left_alone_with_a_clear_message(
    make_bench: MakeBench, database: str
) -> None:
    bench = make_bench(database, ["CREATE TABLE videos (id INTEGER PRIMARY KEY, url VARCHAR(70))"], [VIDEOS])
    old = "https://u:secret@x.org/a.mp4"
    bench.sql("INSERT INTO videos VALUES (1, :u)", u=old)
    bench.take()
    report = bench.rewrite()
    assert report.troubles == {RowFailure.TOO_LONG: 1}
    finding = bench.findings()[0]
    assert finding.state == FindingState.SAVED
    assert "takes 70 characters" in (finding.message or "")
    assert bench.sql("SELECT url FROM videos") == [(old,)]


@pytest.mark.parametrize("database", DATABASES)
def test_a_constraint_that_refuses_the_value_stops_that_row_only(make_bench: MakeBench, database: str) -> None:
    bench = make_bench(
        database,
        ["CREATE TABLE videos (id INTEGER PRIMARY KEY, url VARCHAR(2000), CHECK (id > 1 OR url LIKE '%X-Amz%'))"],
        [VIDEOS],
    )
    bench.sql("INSERT INTO videos VALUES (1, :u), (2, :v)", u=signed("a.mp4"), v=signed("b.mp4"))
    bench.take()
    report = bench.rewrite()
    assert (report.rows, dict(report.troubles)) == (1, {RowFailure.REFUSED: 1})
    assert "X-Amz-Signature=ab" not in report.examples[0]
    assert bench.sql("SELECT url FROM videos WHERE id = 1") == [(signed_like(bench, 1),)]


def signed_like(bench: Bench, row: int) -> str:
    value: str = bench.sql("SELECT url FROM videos WHERE id = :i", i=row)[0][0]
    assert "X-Amz-Signature" in value
    return value


def test_triggers_run_and_what_they_make_of_the_value_is_respected(make_bench: MakeBench) -> None:
    bench = make_bench(
        "postgresql",
        [
            "CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT, changes INTEGER DEFAULT 0)",
            "CREATE FUNCTION touch() RETURNS trigger AS $$ BEGIN NEW.changes := OLD.changes + 1; "
            "NEW.url := NEW.url || ' (checked)'; RETURN NEW; END $$ LANGUAGE plpgsql",
            "CREATE TRIGGER touch BEFORE UPDATE ON videos FOR EACH ROW EXECUTE FUNCTION touch()",
        ],
        [VIDEOS],
    )
    old = signed("a.mp4")
    bench.sql("INSERT INTO videos VALUES (1, :u)", u=old)
    bench.take()
    assert bench.rewrite().rows == 1
    assert bench.sql("SELECT url, changes FROM videos") == [(f"{bench.url_of(old)} (checked)", 1)]
    report = bench.undo()
    assert [refused.refusal for refused in report.refused] == ["refused"], "the trigger would change it again"
    assert bench.sql("SELECT url, changes FROM videos") == [(f"{bench.url_of(old)} (checked)", 1)]


def test_a_trigger_that_puts_the_old_value_back_is_reported(make_bench: MakeBench) -> None:
    bench = make_bench(
        "postgresql",
        [
            "CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT)",
            "CREATE FUNCTION keep() RETURNS trigger AS $$ BEGIN NEW.url := OLD.url; RETURN NEW; END $$ "
            "LANGUAGE plpgsql",
            "CREATE TRIGGER keep BEFORE UPDATE ON videos FOR EACH ROW EXECUTE FUNCTION keep()",
        ],
        [VIDEOS],
    )
    bench.sql("INSERT INTO videos VALUES (1, :u)", u=signed("a.mp4"))
    bench.take()
    report = bench.rewrite()
    assert report.troubles == {RowFailure.REFUSED: 1}
    assert "triggers" in report.examples[0]
    assert bench.states() == ["saved"]


def test_a_trigger_that_raises_stops_that_row_only(make_bench: MakeBench) -> None:
    bench = make_bench(
        "sqlite",
        [
            "CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT)",
            "CREATE TRIGGER no BEFORE UPDATE ON videos WHEN OLD.id = 1 "
            "BEGIN SELECT RAISE(ABORT, 'row 1 is frozen'); END",
        ],
        [VIDEOS],
    )
    bench.sql("INSERT INTO videos VALUES (1, :u), (2, :v)", u=signed("a.mp4"), v=signed("b.mp4"))
    bench.take()
    report = bench.rewrite()
    assert (report.rows, dict(report.troubles)) == (1, {RowFailure.REFUSED: 1})
    assert "row 1 is frozen" in report.examples[0]


def test_a_generated_column_follows_the_column_it_is_made_from(make_bench: MakeBench) -> None:
    table = {"name": "videos", "columns": [{"name": "url"}, {"name": "shown"}]}
    bench = make_bench(
        "postgresql",
        ["CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT, shown TEXT GENERATED ALWAYS AS (url) STORED)"],
        [table],
    )
    old = signed("a.mp4")
    bench.sql("INSERT INTO videos VALUES (1, :u)", u=old)
    bench.take()
    assert bench.rewrite().troubles == {}
    assert bench.sql("SELECT url, shown FROM videos") == [(bench.url_of(old),) * 2]
    assert bench.states() == ["rewritten", "rewritten"]


@pytest.mark.parametrize("database", DATABASES)
def test_a_composite_key_names_exactly_one_row(make_bench: MakeBench, database: str) -> None:
    bench = make_bench(
        database,
        ["CREATE TABLE videos (job VARCHAR(20), n INTEGER, url VARCHAR(2000), PRIMARY KEY (job, n))"],
        [VIDEOS],
    )
    urls = [signed(f"{n}.mp4") for n in range(4)]
    for n, url in enumerate(urls):
        bench.sql("INSERT INTO videos VALUES (:j, :n, :u)", j=f"job {n // 2}'\"", n=n % 2, u=url)
    bench.take()
    assert bench.rewrite().rows == 4
    assert bench.sql("SELECT url FROM videos ORDER BY job, n") == [(bench.url_of(url),) for url in urls]


def test_keys_of_every_type_find_their_row_again(make_bench: MakeBench) -> None:
    tables = []
    statements = []
    for number, type_ in enumerate(
        ["UUID", "TIMESTAMPTZ", "NUMERIC(20,4)", "BYTEA", "DATE", "CHAR(8)", "BIGINT"]
    ):
        statements.append(f"CREATE TABLE t{number} (id {type_} PRIMARY KEY, url TEXT)")
        tables.append({"name": f"t{number}", "columns": [{"name": "url"}]})
    bench = make_bench("postgresql", statements, tables)
    values = [
        "0191d6f2-5d7c-7000-8000-000000000001",
        "2025-01-02 03:04:05.678901+00",
        "12345.6789",
        "\\x00ff61",
        "2025-01-02",
        "ab",
        "9007199254740993",
    ]
    for number, value in enumerate(values):
        bench.sql(f"INSERT INTO t{number} VALUES ('{value}', :u)", u=signed(f"{number}.mp4"))
    bench.take()
    assert bench.rewrite().rows == len(values)


def test_text_that_is_no_unicode_keeps_its_bytes(make_bench: MakeBench) -> None:
    bench = make_bench("sqlite", ["CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT)"], [VIDEOS])
    old = signed("a.mp4")
    raw = b"caf\xe9 \xff\xfe " + old.encode() + b" fin\xe9"
    bench.sql("INSERT INTO videos VALUES (1, CAST(:b AS TEXT))", b=raw)
    bench.take()
    assert bench.rewrite().rows == 1
    new = bench.sql("SELECT CAST(url AS BLOB), typeof(url) FROM videos")
    assert new == [(b"caf\xe9 \xff\xfe " + bench.url_of(old).encode() + b" fin\xe9", "text")]
    assert bench.undo().rows == 1
    assert bench.sql("SELECT CAST(url AS BLOB), typeof(url) FROM videos") == [(raw, "text")]


def test_a_database_in_latin1_keeps_its_bytes(make_bench: MakeBench) -> None:
    bench = make_bench(
        "mysql",
        ["CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT CHARACTER SET latin1 COLLATE latin1_swedish_ci)"],
        [VIDEOS],
    )
    old = signed("a.mp4")
    bench.sql("INSERT INTO videos VALUES (1, :u)", u=f"café {old}")
    bench.take()
    assert bench.rewrite().rows == 1
    new = f"café {bench.url_of(old)}"
    assert bench.sql("SELECT url, CAST(url AS BINARY) FROM videos") == [(new, new.encode("latin-1"))]


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "UTF8"])
def test_a_postgresql_database_in_any_encoding_keeps_its_bytes(make_bench: MakeBench, encoding: str) -> None:
    bench = make_bench("postgresql", [], [VIDEOS])
    name = f"{bench.engine.url.database}_{encoding.lower()}"
    with bench.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"))
    url = bench.engine.url.set(database=name).render_as_string(hide_password=False)
    bench.engine = create_engine(url, poolclass=NullPool)
    bench.source = bench.source.model_copy(update={"url": url})
    bench.sql("CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT)")
    old = signed("a.mp4")
    # Bytes that are no UTF-8 where the database does not care, and its own spelling where it does.
    before = {"SQL_ASCII": b"caf\xe9 \xff ", "LATIN1": b"caf\xe9 ", "UTF8": "café ".encode()}[encoding]
    with bench.engine.begin() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        with raw.cursor() as cursor:
            cursor.execute(f"SET client_encoding = '{encoding}'")
            cursor.execute(b"INSERT INTO videos VALUES (1, '" + before + old.encode() + b"')")
    size = "SELECT octet_length(url), encode(substring(textsend(url) from 1 for 5), 'hex') FROM videos"
    bench.take()
    assert bench.rewrite().rows == 1
    new = len(before) + len(bench.url_of(old))
    if encoding != "LATIN1":
        assert bench.sql(size) == [(new, before[:5].hex())]
    assert bench.undo().rows == 1
    if encoding != "LATIN1":
        assert bench.sql(size) == [(len(before) + len(old), before[:5].hex())]


@pytest.mark.parametrize("database", DATABASES)
def test_rows_behind_a_view_are_rewritten_or_the_reason_is_told(make_bench: MakeBench, database: str) -> None:
    view = {"name": "shown", "key": ["id"], "columns": [{"name": "url"}]}
    bench = make_bench(
        database,
        [
            "CREATE TABLE videos (id INTEGER PRIMARY KEY, url VARCHAR(2000))",
            "CREATE VIEW shown AS SELECT id, url FROM videos",
        ],
        [view],
    )
    old = signed("a.mp4")
    bench.sql("INSERT INTO videos VALUES (1, :u)", u=old)
    bench.take()
    report = bench.rewrite()
    if database == "sqlite":
        assert report.troubles == {RowFailure.REFUSED: 1}
        assert "view" in report.examples[0]
        assert bench.sql("SELECT url FROM videos") == [(old,)]
    else:
        assert report.rows == 1
        assert bench.sql("SELECT url FROM videos") == [(bench.url_of(old),)]


@pytest.mark.parametrize("database", DATABASES)
def test_a_comparison_that_ignores_case_does_not_hide_an_edit(make_bench: MakeBench, database: str) -> None:
    type_ = {
        "sqlite": "TEXT COLLATE NOCASE",
        "postgresql": "TEXT",
        "mysql": "TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
    }[database]
    bench = make_bench(database, [f"CREATE TABLE videos (id INTEGER PRIMARY KEY, url {type_})"], [VIDEOS])
    old = signed("a.mp4")
    bench.sql("INSERT INTO videos VALUES (1, :u)", u=f"hello {old}")
    bench.take()
    edits = iter([f"HELLO {old}"])

    def edit(step: RewriteStep, _what: str) -> None:
        if step is RewriteStep.INTENDED and (new := next(edits, None)) is not None:
            bench.sql("UPDATE videos SET url = :u", u=new)

    bench.observer = edit
    bench.rewrite()
    assert bench.sql("SELECT url FROM videos") == [(f"HELLO {bench.url_of(old)}",)]


def test_a_document_of_ten_megabytes_is_rewritten(make_bench: MakeBench) -> None:
    table = {"name": "cards", "columns": [{"name": "snapshot", "type": "json"}]}
    bench = make_bench("postgresql", ["CREATE TABLE cards (id INTEGER PRIMARY KEY, snapshot JSON)"], [table])
    url = signed("a.mp4")
    filler = json.dumps(["x" * 1000] * 5000)
    bench.sql("INSERT INTO cards VALUES (1, :d)", d=f'{{"a": {filler}, "url": "{url}", "b": {filler}}}')
    bench.take()
    assert bench.rewrite().rows == 1
    new = f'{{"a": {filler}, "url": "{bench.url_of(url)}", "b": {filler}}}'
    assert bench.sql("SELECT snapshot::text FROM cards") == [(new,)]


def test_invalid_json_is_edited_as_the_text_it_is(make_bench: MakeBench) -> None:
    table = {
        "name": "cards",
        "columns": [{"name": "snapshot", "type": "json", "related": [{"sibling": "n", "text": "x"}]}],
    }
    bench = make_bench("sqlite", ["CREATE TABLE cards (id INTEGER PRIMARY KEY, snapshot JSON)"], [table])
    url = signed("a.mp4")
    bench.sql("INSERT INTO cards VALUES (1, :d)", d='{"url": "' + url + '", broken')
    bench.take()
    assert bench.rewrite().rows == 1
    assert bench.sql("SELECT snapshot FROM cards") == [('{"url": "' + bench.url_of(url) + '", broken',)]


def test_a_row_that_is_locked_is_left_for_a_later_run(make_bench: MakeBench) -> None:
    bench = make_bench(
        "postgresql",
        ["CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT)"],
        [VIDEOS],
        reading={"lock_timeout_seconds": 0.2},
    )
    bench.sql("INSERT INTO videos VALUES (1, :u), (2, :v)", u=signed("a.mp4"), v=signed("b.mp4"))
    bench.take()
    with bench.engine.connect() as connection:
        connection.execute(text("SELECT * FROM videos WHERE id = 1 FOR UPDATE"))
        report = bench.rewrite()
    assert (report.rows, dict(report.troubles)) == (1, {RowFailure.BUSY: 1})
    assert bench.rewrite().rows == 1


def test_a_user_who_may_only_read_is_told_so(make_bench: MakeBench) -> None:
    bench = make_bench("postgresql", ["CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT)"], [VIDEOS])
    bench.sql("CREATE ROLE reader LOGIN")
    bench.sql("GRANT SELECT ON videos TO reader")
    url = bench.engine.url.set(username="reader").render_as_string(hide_password=False)
    reader = bench.source.model_copy(update={"url": url})
    with connect(reader, for_writing=True) as writer:
        assert "may not UPDATE videos" in (writer.why_not_writable("videos") or "")
    bench.sql("DROP OWNED BY reader")
    bench.sql("DROP ROLE reader")


def test_a_rewrite_without_a_key_for_before_images_is_refused() -> None:
    with pytest.raises(LedgerKeyMissing, match="VIDEO_ASSETS_LEDGER_KEY"):
        Images(None, timedelta(days=1))


BLOBS = {
    "name": "generated",
    "columns": [
        {
            "name": "video_data",
            "type": "blob",
            "url_column": "video_url",
            "clear": True,
            "related": [{"column": "size", "fact": "file_size"}],
        }
    ],
}


@pytest.mark.parametrize("database", DATABASES)
def test_a_blob_makes_room_for_its_url_and_comes_back_by_undo(
    make_bench: MakeBench, database: str, tmp_path: Path
) -> None:
    type_ = {"sqlite": "BLOB", "postgresql": "BYTEA", "mysql": "LONGBLOB"}[database]
    bench = make_bench(
        database,
        [f"CREATE TABLE generated (id INTEGER PRIMARY KEY, video_data {type_}, video_url TEXT, size BIGINT)"],
        [BLOBS],
    )
    content = bytes(range(256)) * 5000
    bench.sql("INSERT INTO generated VALUES (1, :b, NULL, NULL), (2, NULL, NULL, NULL)", b=content)
    bench.take()
    # The rescue itself is tested elsewhere: here the bytes lie in the store already.
    file = bench.files()[0]
    (tmp_path / "video.mp4").write_bytes(content)
    bench.storage.put(file.key or "", tmp_path / "video.mp4", content_type="video/mp4", sha256=sha256(content))
    with bench.catalog.write() as session:
        row = session.get_one(LegacyFile, file.id)
        row.sha256, row.file_size = sha256(content), len(content)
    report = bench.rewrite()
    assert (report.rows, report.troubles) == (1, {})
    assert bench.sql("SELECT * FROM generated ORDER BY id") == [
        (1, None, file.file_url, len(content)),
        (2, None, None, None),
    ]
    assert bench.undo().refused == []
    back = bench.sql("SELECT id, video_data, video_url, size FROM generated ORDER BY id")
    assert [(key, blob and bytes(blob), url, size) for key, blob, url, size in back] == [
        (1, content, None, None),
        (2, None, None, None),
    ]
    assert bench.states() == ["undone"]


@pytest.mark.parametrize("database", DATABASES)
def test_a_blob_that_changed_since_it_was_stored_is_kept(make_bench: MakeBench, database: str) -> None:
    type_ = {"sqlite": "BLOB", "postgresql": "BYTEA", "mysql": "LONGBLOB"}[database]
    bench = make_bench(
        database,
        [f"CREATE TABLE generated (id INTEGER PRIMARY KEY, video_data {type_}, video_url TEXT, size BIGINT)"],
        [BLOBS],
    )
    bench.sql("INSERT INTO generated VALUES (1, :b, NULL, NULL)", b=b"a whole video")
    bench.take()
    bench.sql("UPDATE generated SET video_data = :b", b=b"another video")
    assert bench.rewrite().troubles == {RowFailure.CHANGED: 1}
    assert [bytes(row[0]) for row in bench.sql("SELECT video_data FROM generated")] == [b"another video"]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def services_of(bench: Bench, home: Path) -> Services:
    settings = Settings(_env_file=None, home=home, ledger_key=KEY)
    return Services(settings, bench.catalog, bench.storage, Downloader(DownloadPolicy()))


@pytest.mark.parametrize("mode", [Mode.DRY_RUN, Mode.EMIT_SQL])
def test_a_value_that_would_become_too_long_is_told_before_anything_is_written(
    make_bench: MakeBench, mode: Mode, tmp_path: Path
) -> None:
    bench = make_bench("sqlite", ["CREATE TABLE videos (id INTEGER PRIMARY KEY, url VARCHAR(70))"], [VIDEOS])
    bench.sql("INSERT INTO videos VALUES (1, 'https://u:secret@x.org/a.mp4')")
    bench.take()
    services = services_of(bench, tmp_path / "home")
    report = process_batch(services, bench.source, "old:000001", mode=mode, sql_path=tmp_path / "change.sql")
    [problem] = report.problems
    assert problem.startswith("videos [1]: videos.url takes 70 characters")
    assert "widen the column" in problem
    assert "secret" not in problem


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize("mode", [Mode.APPLY, Mode.EMIT_SQL, Mode.DRY_RUN])
def test_a_view_that_takes_no_updates_does_not_keep_other_tables_from_being_rewritten(
    make_bench: MakeBench, database: str, mode: Mode, tmp_path: Path
) -> None:
    bench = make_bench(
        database,
        [
            "CREATE TABLE cards (id INTEGER PRIMARY KEY, url VARCHAR(2000))",
            "CREATE TABLE hidden (id INTEGER PRIMARY KEY, url VARCHAR(2000))",
            "CREATE VIEW shown AS SELECT DISTINCT id, url FROM hidden",
        ],
        [
            {"name": "cards", "columns": [{"name": "url"}]},
            {"name": "shown", "key": ["id"], "columns": [{"name": "url"}]},
        ],
    )
    card, *others = (signed(f"{name}.mp4") for name in "abc")
    bench.sql("INSERT INTO cards VALUES (1, :u)", u=card)
    for number, url in enumerate(others):
        bench.sql("INSERT INTO hidden VALUES (:n, :u)", n=number, u=url)
    bench.take()
    [batch] = {finding.batch for finding in bench.findings()}
    assert batch is not None
    services = services_of(bench, tmp_path / "home")
    path = tmp_path / "change.sql"
    report = process_batch(services, bench.source, batch, mode=mode, sql_path=path)
    [problem] = [line for line in report.problems if "view" in line]
    assert problem.startswith("shown is a view that takes no updates")
    assert "describe the table behind it" in problem
    assert sorted(bench.sql("SELECT url FROM hidden")) == [(url,) for url in others]
    if mode is Mode.DRY_RUN:
        assert report.diffs == 1
        return
    if mode is Mode.EMIT_SQL:
        assert report.emitted is not None
        assert report.emitted.statements == 1
        assert "shown" not in path.read_text()
        return
    assert bench.sql("SELECT url FROM cards") == [(bench.url_of(card),)]
    assert report.rewrite is not None
    assert (report.rewrite.rows, report.rewrite.troubles) == (1, {RowFailure.REFUSED: 2})
    left = [finding for finding in bench.findings() if finding.table_name == "shown"]
    assert {finding.message for finding in left} == {problem}
    assert not report.is_done
    undone = undo_rewrites(services, bench.source, Selection())
    assert (undone.rows, undone.refused) == (1, []), "the view does not keep anybody from undoing"
    assert bench.sql("SELECT url FROM cards") == [(card,)]
