"""Databases as they are: one table that cannot be worked on is named, and the others are worked on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from tests.legacy.bench import KEY, Bench, signed
from tests.legacy.test_emit_sql import run_sql
from video_assets.legacy.config.load import parse_sources
from video_assets.legacy.config.models import Source
from video_assets.legacy.discover.discover import discover
from video_assets.legacy.discover.propose import propose
from video_assets.legacy.errors import SourceReadOnly
from video_assets.legacy.guard.triggers import install_guard, installed_guards, plan_guard, remove_guard
from video_assets.legacy.inventory.batches import plan_batches
from video_assets.legacy.inventory.take import take_inventory
from video_assets.legacy.process_batch import BatchReport, Mode, process_batch
from video_assets.legacy.proof.full_scan import scan_source
from video_assets.legacy.source.connect import connect
from video_assets.legacy.source.pages import pages
from video_assets.legacy.source.table_shape import look_at
from video_assets.services import Services
from video_assets.settings import Settings
from video_assets.transfer.download.downloader import Downloader, DownloadPolicy

DATABASES = ["sqlite", "postgresql"]
MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeBench]:
    opened: list[Bench] = []

    def make(database: str, statements: list[str], tables: list[Any]) -> Bench:
        if database == "sqlite":
            (tmp_path / "old.db").touch()
            url = f"sqlite:///{tmp_path / 'old.db'}"
        else:
            url = request.getfixturevalue("postgres_url")()
        bench = Bench.open(tmp_path / "home", url, [t if isinstance(t, dict) else table(t) for t in tables])
        for statement in statements:
            bench.sql(statement)
        opened.append(bench)
        return bench

    yield make
    for bench in opened:
        bench.close()


def table(name: str, *columns: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "column": [{"name": each} for each in columns or ("url",)], **more}


HEALTHY = "CREATE TABLE healthy (id INTEGER PRIMARY KEY, url TEXT)"


def add(bench: Bench, name: str, number: int = 1, url: str | None = None) -> str:
    """One row with a temporary URL; gives it."""
    written = url or signed(f"{name}{number}.mp4")
    bench.sql(f"INSERT INTO {name} (id, url) VALUES (:i, :u)", i=number, u=written)
    return written


def work(bench: Bench, mode: Mode = Mode.APPLY, source: Source | None = None, **more: Any) -> BatchReport:
    """Work off everything that an inventory finds, as the command line does."""
    if not bench.findings():
        take_inventory(bench.catalog, bench.source)
        bench.store()
    plan = plan_batches(bench.catalog, bench.source.name)
    home = Path(str(bench.catalog.engine.url.database)).parent
    settings = Settings(_env_file=None, ledger_key=KEY, home=home)
    with Downloader(DownloadPolicy()) as downloader:
        services = Services(settings, bench.catalog, bench.storage, downloader)
        return process_batch(services, source or bench.source, plan.open[0].key, mode=mode, **more)


def holds(bench: Bench, name: str) -> list[Any]:
    return [row[0] for row in bench.sql(f"SELECT url FROM {name} ORDER BY id")]


# -- tables and rows that cannot be written --------------------------------------------------------------------


def test_what_a_user_may_not_write_is_named_with_the_grant_and_the_rest_is_rewritten(
    make_bench: MakeBench,
) -> None:
    names = ["no_update", "some_update", "rls_update", "rls_check", "healthy"]
    bench = make_bench(
        "postgresql",
        [
            *(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, url TEXT, note TEXT)" for name in names),
            "DROP ROLE IF EXISTS some_app",
            "CREATE ROLE some_app LOGIN",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO some_app",
            "GRANT UPDATE ON healthy, rls_update, rls_check TO some_app",
            "GRANT UPDATE (note) ON some_update TO some_app",
            *(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY" for name in ("rls_update", "rls_check")),
            *(f"CREATE POLICY s ON {name} FOR SELECT USING (true)" for name in ("rls_update", "rls_check")),
            "CREATE POLICY u ON rls_update FOR UPDATE USING (id > 1)",
            "CREATE POLICY u ON rls_check FOR UPDATE USING (true) WITH CHECK (strpos(url, 'X-Amz-') > 0)",
        ],
        names,
    )
    old = {name: add(bench, name) for name in names}
    add(bench, "rls_update", 2)
    url = bench.engine.url.set(username="some_app").render_as_string(hide_password=False)
    report = work(bench, source=bench.source.model_copy(update={"url": url}))
    assert report.rewrite is not None
    assert (report.rewrite.rows, dict(report.rewrite.troubles)) == (2, {"refused": 4})
    said = "\n".join(report.problems)
    for words in (
        "this user may not UPDATE no_update; GRANT UPDATE (url) ON no_update",
        "this user may not UPDATE some_update; GRANT UPDATE (url) ON some_update",
        "shows a row of rls_update and does not change it",
        'violates row-level security policy for table "rls_check"',
    ):
        assert words in said
    assert "X-Amz-Signature=ab" not in said
    assert holds(bench, "healthy") == [bench.url_of(old["healthy"])]
    assert [holds(bench, name)[0] for name in names[:4]] == [old[name] for name in names[:4]]
    assert bench.undo().rows == 2
    assert holds(bench, "healthy") == [old["healthy"]]


_PLPGSQL = (
    "CREATE FUNCTION {0}() RETURNS trigger AS $$ BEGIN {1} END $$ LANGUAGE plpgsql",
    "CREATE TRIGGER {0} BEFORE UPDATE ON {0} FOR EACH ROW EXECUTE FUNCTION {0}()",
)
TRIGGERS = {
    "postgresql": {
        "skips": [each.format("skips", "RETURN NULL;") for each in _PLPGSQL],
        "empties": [each.format("empties", "NEW.url := NULL; RETURN NEW;") for each in _PLPGSQL],
        "raises": [
            each.format("raises", "RAISE EXCEPTION 'frozen: %', OLD.url USING DETAIL = OLD.url;")
            for each in _PLPGSQL
        ],
    },
    "sqlite": {
        "skips": ["CREATE TRIGGER s BEFORE UPDATE ON skips BEGIN SELECT RAISE(IGNORE); END"],
        "empties": ["CREATE TRIGGER e AFTER UPDATE OF url ON empties BEGIN UPDATE empties SET url = NULL; END"],
        "raises": ["CREATE TRIGGER r BEFORE UPDATE ON raises BEGIN SELECT RAISE(ABORT, 'frozen'); END"],
    },
}


@pytest.mark.parametrize("database", DATABASES)
def test_rows_that_the_database_defends_are_named_with_the_remedy(make_bench: MakeBench, database: str) -> None:
    names = ["skips", "empties", "raises", "checked", "twice", "parent", "child", "healthy"]
    bench = make_bench(
        database,
        [
            *(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, url TEXT)" for name in (*names[:3], "healthy")),
            "CREATE TABLE checked (id INTEGER PRIMARY KEY, url TEXT CHECK (length(url) > 250))",
            "CREATE TABLE twice (id INTEGER PRIMARY KEY, url TEXT UNIQUE)",
            "CREATE TABLE parent (id INTEGER PRIMARY KEY, url TEXT UNIQUE)",
            "CREATE TABLE child (id INTEGER PRIMARY KEY, url TEXT REFERENCES parent (url))",
            *(statement for some in TRIGGERS[database].values() for statement in some),
        ],
        names,
    )
    old = {name: add(bench, name) for name in names if name not in ("twice", "child")}
    add(bench, "child", url=old["parent"])
    first, second = (signed("one.mp4", signature=letter * 64) for letter in "cd")
    add(bench, "twice", 1, first)
    add(bench, "twice", 2, second)
    report = work(bench)
    assert report.rewrite is not None
    assert (report.rewrite.rows, dict(report.rewrite.troubles)) == (2, {"refused": 7})
    said = "\n".join(report.problems)
    for words in (
        "shows a row of skips and does not change it: a trigger skips the change",
        "does not keep the durable URL in a row of empties: look at its triggers",
        "refuses the new value of a row of raises: frozen",
        "let the CHECK constraint take durable URLs too",
        "another row holds the same durable URL, because both old links lead to one file",
        "give the foreign key ON UPDATE CASCADE",
    ):
        assert words in said
    assert "X-Amz-Signature=ab" not in said
    assert holds(bench, "twice") == [bench.url_of(first), second]
    assert holds(bench, "healthy") == [bench.url_of(old["healthy"])]
    for name in (*names[:4], "parent"):
        assert holds(bench, name) == [old[name]]
    assert bench.undo().rows == 2
    assert holds(bench, "twice") == [first, second]


@pytest.mark.parametrize("database", DATABASES)
def test_a_foreign_key_with_cascade_takes_the_rows_that_refer_along(make_bench: MakeBench, database: str) -> None:
    bench = make_bench(
        database,
        [
            "CREATE TABLE parent (id INTEGER PRIMARY KEY, url TEXT UNIQUE)",
            "CREATE TABLE child (id INTEGER PRIMARY KEY, url TEXT REFERENCES parent (url) ON UPDATE CASCADE)",
        ],
        ["parent"],
    )
    old = add(bench, "parent")
    add(bench, "child", url=old)
    report = work(bench)
    assert report.rewrite is not None
    assert report.rewrite.rows == 1
    assert holds(bench, "child") == holds(bench, "parent") == [bench.url_of(old)]
    assert bench.undo().rows == 1
    assert holds(bench, "child") == holds(bench, "parent") == [old]


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("mode", [Mode.APPLY, Mode.DRY_RUN, Mode.EMIT_SQL])
def test_work_in_tables_and_columns_that_are_gone_since_is_left_with_a_sentence(
    make_bench: MakeBench, database: str, mode: Mode, tmp_path: Path
) -> None:
    names = ["dropped", "altered", "forgotten", "healthy"]
    create = [f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, url TEXT, other TEXT)" for name in names]
    bench = make_bench(database, create, names)
    for name in names:
        add(bench, name)
    take_inventory(bench.catalog, bench.source)
    bench.store()
    bench.sql("DROP TABLE dropped")
    bench.sql("ALTER TABLE altered RENAME COLUMN url TO link")
    left = [table("dropped"), table("altered"), table("healthy")]
    source = Source.model_validate({"name": "old", "url": bench.source.url, "table": left})
    report = work(bench, mode, source, sql_path=tmp_path / "change.sql")
    said = "\n".join(report.problems)
    assert "has no table 'dropped'; it has altered" in said
    assert "the table 'altered' has no column 'url'; it has id, link" in said
    assert "table 'forgotten', which is not in the configuration any more: put it back" in said
    changed = {
        Mode.APPLY: report.rewrite and report.rewrite.rows,
        Mode.DRY_RUN: report.diffs,
        Mode.EMIT_SQL: report.emitted and report.emitted.statements,
    }
    assert changed[mode] == 1


def test_a_column_that_is_not_configured_any_more_keeps_its_row_as_it_is(make_bench: MakeBench) -> None:
    bench = make_bench(
        "sqlite", [HEALTHY, "ALTER TABLE healthy ADD COLUMN more TEXT"], [table("healthy", "url", "more")]
    )
    bench.sql("INSERT INTO healthy VALUES (1, NULL, :u)", u=signed("a.mp4"))
    old = add(bench, "healthy", 2)
    take_inventory(bench.catalog, bench.source)
    bench.store()
    less = Source.model_validate({"name": "old", "url": bench.source.url, "table": [table("healthy")]})
    report = work(bench, source=less)
    assert "healthy.more is not in the configuration any more" in "\n".join(report.problems)
    assert bench.sql("SELECT url, more FROM healthy WHERE id = 2") == [(bench.url_of(old), None)]


# -- shapes of tables ------------------------------------------------------------------------------------------


def test_arrays_domains_partitions_and_odd_times_are_rewritten_and_come_back(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    bench = make_bench(
        "postgresql",
        [
            "CREATE DOMAIN link AS text CHECK (VALUE LIKE 'http%')",
            "CREATE DOMAIN document AS jsonb",
            "CREATE TABLE shapes (id INTERVAL PRIMARY KEY, urls TEXT[], docs JSONB[], link LINK, doc DOCUMENT, "
            "born DATE, done TIMESTAMPTZ)",
            "CREATE TABLE parted (id INT, day DATE, url TEXT, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)",
            "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2026-07-01')",
            "CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2026-07-01') TO ('2027-01-01')",
        ],
        [
            {
                "name": "shapes",
                "created_at": "born",
                "column": [
                    {"name": "urls", "related": [{"column": "done", "fact": "uploaded_at"}]},
                    *({"name": name} for name in ("docs", "link", "doc")),
                ],
            },
            "parted",
        ],
    )
    with bench.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO shapes VALUES ('1 mon 2 days', %s, %s::jsonb[], %s, %s, '0044-03-15 BC', 'infinity')",
            (
                [signed("a.mp4"), signed("b.mp4") + "&note=b,c", "plain"],
                [json.dumps({"url": signed("c.mp4")})],
                signed("d.mp4"),
                json.dumps({"url": signed("e.mp4")}),
            ),
        )
        connection.exec_driver_sql(
            "INSERT INTO parted VALUES (1, '2026-02-01', %s), (1, '2026-08-01', %s)",
            (signed("f.mp4"), signed("g.mp4")),
        )
    shown = "SELECT shapes::text FROM shapes UNION ALL SELECT parted::text FROM parted ORDER BY 1"
    before = bench.sql(shown)
    found = discover(bench.source.url, exact=True)
    assert {look.name for look in found.tables} == {"shapes", "parted"}, "partitions are not looked at twice"
    assert found.urls == 7

    report = work(bench)
    assert report.rewrite is not None
    assert (report.rewrite.rows, report.problems) == (3, [])
    assert "X-Amz" not in str(bench.sql(shown))
    assert bench.sql("SELECT urls[3] FROM shapes") == [("plain",)]
    assert scan_source(bench.source, bench.catalog).tables["shapes"].problem is None
    assert bench.undo().rows == 3
    assert bench.sql(shown) == before

    from video_assets.legacy.rewrite.undo import redo

    redo(bench.catalog, "old")
    emitted = work(bench, Mode.EMIT_SQL, sql_path=tmp_path / "change.sql").emitted
    assert emitted is not None
    assert run_sql(bench, emitted.change) == 3
    assert "X-Amz" not in str(bench.sql(shown))
    assert run_sql(bench, emitted.inverse) == 3, "the database spells arrays and times in its own way"
    assert bench.sql(shown) == before


def test_views_are_left_to_the_tables_behind_them_and_a_materialized_one_is_to_be_refreshed(
    make_bench: MakeBench,
) -> None:
    bench = make_bench("postgresql", [HEALTHY], ["healthy", table("kept", key=["id"])])
    old = add(bench, "healthy")
    bench.sql("CREATE MATERIALIZED VIEW kept AS SELECT * FROM healthy")
    bench.sql("CREATE VIEW shown AS SELECT * FROM healthy")
    found = discover(bench.source.url)
    assert [look.name for look in found.tables if look.is_view] == ["kept", "shown"]
    text = propose(found, name="a", url="env:A")
    assert "Views are left out, because their rows stand in tables: kept, shown." in text
    assert [each.name for each in parse_sources(text)["a"].tables] == ["healthy"]
    report = work(bench)
    assert "kept is a materialized view" in "\n".join(report.problems)
    assert "REFRESH MATERIALIZED VIEW" in "\n".join(report.problems)
    assert holds(bench, "healthy") == [bench.url_of(old)]


ODD = ('100% "sure" it\'s', 'Id %s "x"', ':The "URL" 50%')


@pytest.mark.parametrize("database", DATABASES)
def test_names_with_blanks_capitals_quotes_and_percent_signs(
    make_bench: MakeBench, database: str, tmp_path: Path
) -> None:
    name, _, column = ODD
    bench = make_bench(database, [], [table(name, column)])
    quoted = ['"' + each.replace('"', '""') + '"' for each in ODD]
    made, value = "CREATE TABLE {} ({} INTEGER PRIMARY KEY, {} TEXT)".format(*quoted), signed("a.mp4")

    def run(statement: str) -> list[Any]:
        with bench.engine.begin() as connection:
            doubled = statement if database == "sqlite" else statement.replace("%", "%%")
            result = connection.exec_driver_sql(doubled)
            return list(result) if result.returns_rows else []

    run(made)
    run(f"INSERT INTO {quoted[0]} VALUES (1, '{value}')")
    select = f"SELECT {quoted[2]} FROM {quoted[0]}"
    [source] = parse_sources(propose(discover(bench.source.url), name="old", url="env:A")).values()
    assert [(each.name, each.columns[0].name) for each in source.tables] == [(name, column)]
    emitted = work(bench, Mode.EMIT_SQL, sql_path=tmp_path / "change.sql").emitted
    assert emitted is not None
    assert quoted[0] in emitted.change.read_text()
    report = work(bench)
    assert report.problems == []
    assert run(select) == [(bench.url_of(value),)]
    assert bench.undo().rows == 1
    assert run(select) == [(value,)]
    install_guard(bench.source)
    [guarded] = plan_guard(bench.source).columns
    assert set(installed_guards(bench.source)) == {f"{guarded.trigger}_insert", f"{guarded.trigger}_update"}
    remove_guard(bench.source)
    assert installed_guards(bench.source) == []


def test_a_name_with_a_dot_is_left_out_with_the_reason(make_bench: MakeBench) -> None:
    bench = make_bench("sqlite", [HEALTHY, 'CREATE TABLE "a.b" (id INTEGER PRIMARY KEY, url TEXT)'], ["healthy"])
    [dotted] = [look for look in discover(bench.source.url).tables if look.name == "a.b"]
    assert "cannot be told from the one in schema.table" in (dotted.problem or "")


@pytest.mark.parametrize("database", DATABASES)
def test_a_key_that_is_a_temporary_url_is_refused_and_kept_nowhere(
    make_bench: MakeBench, database: str, tmp_path: Path
) -> None:
    bench = make_bench(
        database, ["CREATE TABLE links (url TEXT NOT NULL PRIMARY KEY)", HEALTHY], ["links", "healthy"]
    )
    secret = "5e" * 32
    bench.sql("INSERT INTO links VALUES (:u)", u=signed("a.mp4", signature=secret))
    add(bench, "healthy")
    report = take_inventory(bench.catalog, bench.source)
    assert "'url' of 'links' belongs to the key" in "".join(report.problems)
    assert report.new_findings == 1
    leaves: list[Any] = []
    scan = scan_source(bench.source, bench.catalog, on_value=leaves.append, on_file=leaves.append)
    assert scan.tables["links"].rows == 1
    assert len(leaves) == 2
    assert secret not in repr((leaves, scan))
    for path in tmp_path.joinpath("home").rglob("*.db*"):
        assert secret.encode() not in path.read_bytes()


def test_a_guard_leaves_out_what_cannot_be_guarded_and_says_so(make_bench: MakeBench) -> None:
    for database, kind in (("sqlite", "TEXT"), ("postgresql", "JSONB")):
        bench = make_bench(
            database,
            [
                f"CREATE TABLE made (id INTEGER PRIMARY KEY, doc {kind}, "
                "url TEXT GENERATED ALWAYS AS (doc->>'url') STORED)"
            ],
            [table("made", "doc", "url"), "missing"],
        )
        plan = install_guard(bench.source)
        assert {f"{each.table}.{each.column}": each.why_not is None for each in plan.columns} == {
            "made.doc": True,
            "made.url": False,
            "missing.url": False,
        }
        assert len(installed_guards(bench.source)) == 2
        remove_guard(bench.source)


# -- SQLite takes everything -----------------------------------------------------------------------------------


def test_a_primary_key_that_is_null_in_some_rows_is_refused_with_a_way_out(make_bench: MakeBench) -> None:
    bench = make_bench("sqlite", ["CREATE TABLE loose (id TEXT PRIMARY KEY, url TEXT)"], ["loose"])
    for key in (None, "a", None):
        bench.sql("INSERT INTO loose VALUES (:k, :u)", k=key, u=signed("a.mp4"))
    [problem] = take_inventory(bench.catalog, bench.source).problems
    assert "the key (id) is NULL in some rows" in problem
    assert 'key = ["rowid"]' in problem
    by_row = Source.model_validate(
        {"name": "old", "url": bench.source.url, "table": [table("loose", key=["rowid"])]}
    )
    assert take_inventory(bench.catalog, by_row).new_findings == 3


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_text_of_any_encoding_and_keys_of_any_kind_come_back_byte_for_byte(
    make_bench: MakeBench, encoding: str, tmp_path: Path
) -> None:
    bench = make_bench("sqlite", [], ["loose"])
    raw = bench.engine.raw_connection()
    cursor = raw.cursor()
    cursor.execute(f"PRAGMA encoding = '{encoding}'")
    cursor.execute("CREATE TABLE loose (id PRIMARY KEY, url)")
    add_row = "INSERT INTO loose VALUES (?, ?)"
    keys = [1, "1", b"1", 2.5, "ümläut 💥", "q'uo\"te\\ "]
    for number, key in enumerate(keys):
        cursor.execute(add_row, (key, f"é💥 {signed(f'{number}.mp4')} \x00 ł"))
    cursor.execute(add_row, (8, b"\xe9\xff " + signed("8.mp4").encode()))
    if encoding == "UTF-8":
        cursor.execute("INSERT INTO loose VALUES (CAST(? AS TEXT), ?)", (b"caf\xe9", signed("9.mp4")))
        cursor.execute(
            "INSERT INTO loose VALUES (10, CAST(? AS TEXT))", (b"\xe9 \xff\xfe " + signed("10.mp4").encode(),)
        )
    raw.commit()
    raw.close()
    shown = "SELECT typeof(id), hex(id), typeof(url), hex(CAST(url AS BLOB)) FROM loose ORDER BY rowid"
    before = bench.sql(shown)
    report = work(bench)
    assert report.rewrite is not None
    assert (report.rewrite.rows, report.problems) == (len(before), [])
    assert all(old[2] == new[2] and old[3] != new[3] for old, new in zip(before, bench.sql(shown), strict=True))
    assert bench.undo().rows == len(before)
    assert bench.sql(shown) == before

    from video_assets.legacy.rewrite.undo import redo

    redo(bench.catalog, "old")
    emitted = work(bench, Mode.EMIT_SQL, sql_path=tmp_path / "change.sql").emitted
    assert emitted is not None
    assert run_sql(bench, emitted.change) == len(before)
    assert run_sql(bench, emitted.inverse) == len(before)
    assert bench.sql(shown) == before


# -- large documents -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("database", DATABASES)
def test_large_documents_behind_many_small_ones_are_not_fetched_all_at_once(
    make_bench: MakeBench, database: str
) -> None:
    bench = make_bench(database, [HEALTHY], ["healthy"])
    bench.sql("INSERT INTO healthy VALUES (0, :u)", u="x")
    document = "<p>lorem ipsum dolor sit amet</p>" * 30_000  # a million characters
    with create_engine(bench.source.url, poolclass=NullPool).begin() as connection:
        mark = "?" if database == "sqlite" else "%s"
        rows = [(number, document if number > 40 else "small") for number in range(1, 161)]
        connection.exec_driver_sql(f"INSERT INTO healthy VALUES ({mark}, {mark})", rows)
    source = bench.source.model_copy(
        update={"reading": bench.source.reading.model_copy(update={"page_megabytes": 4.0})}
    )
    with connect(source) as reader:
        shape = look_at(reader, source.tables[0])
        sizes = [sum(len(row[1]) for row in page.rows) for page in pages(reader, shape)]
    assert sum(sizes) > 120_000_000 * 0.9
    assert max(sizes) < 16_000_000


# -- users ---------------------------------------------------------------------------------------------------


def test_a_user_who_may_only_read_is_told_in_one_sentence_before_anything_is_done(make_bench: MakeBench) -> None:
    names = ["healthy", "second", "third"]
    bench = make_bench(
        "postgresql",
        [
            *(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, url TEXT)" for name in names),
            "DROP ROLE IF EXISTS some_reader",
            "CREATE ROLE some_reader LOGIN",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO some_reader",
        ],
        names,
    )
    for name in names:
        add(bench, name)
    url = bench.engine.url.set(username="some_reader").render_as_string(hide_password=False)
    with pytest.raises(SourceReadOnly) as caught:
        work(bench, source=bench.source.model_copy(update={"url": url}))
    assert str(caught.value) == (
        "source 'old': this user may not UPDATE healthy; GRANT UPDATE (url) ON healthy (so it is with 2 more "
        "tables); nothing was changed (use --emit-sql, or a user who may write)"
    )
    assert bench.entries() == []
