"""The proof says exactly what it looked at, and "anywhere" only where every column was read."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool
from sqlmodel import select

from tests.legacy.bench import Bench, signed
from tests.legacy.test_byte_values import jsonb
from tests.legacy.test_places import TOKEN
from video_assets.catalog.legacy import FindingState, LegacyFinding
from video_assets.cli.legacy.proof import coverage_lines
from video_assets.legacy.inventory.take import take_inventory
from video_assets.legacy.proof import scan_plan
from video_assets.legacy.proof.full_scan import scan_source
from video_assets.legacy.proof.html import proof_html, verdict_sentence
from video_assets.legacy.proof.merkle import Leaves, leaf_bytes, leaf_hash, root_of
from video_assets.legacy.proof.prove import OLD_FORMAT, make_proof, verify, verify_against
from video_assets.legacy.proof.signing import load_signing_key, sign

MakeBench = Callable[..., Bench]
VIDEOS = {"name": "videos", "columns": [{"name": "url"}]}
MAKE_VIDEOS = "CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT)"
FIXTURES = {"postgresql": "postgres_url", "mysql": "mysql_url", "contrib": "contrib_url"}
MP4 = b"\0\0\0\x18ftypisom" + b"\0" * 500


@pytest.fixture
def make_bench(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeBench]:
    opened: list[Bench] = []

    def make(database: str, statements: list[str], tables: list[dict[str, Any]], **more: Any) -> Bench:
        if database == "sqlite":
            (tmp_path / "old.db").touch()
            url = f"sqlite:///{tmp_path / 'old.db'}"
        else:
            url = request.getfixturevalue(FIXTURES[database])()
        bench = Bench.open(tmp_path / "home", url, tables, **more)
        for statement in statements:
            bench.sql(statement)
        opened.append(bench)
        return bench

    yield make
    for bench in opened:
        bench.close()


def prove(bench: Bench, home: Path) -> dict[str, Any]:
    document = make_proof(bench.catalog, [bench.source], key=load_signing_key(home), scratch=home / "scratch")
    made: dict[str, Any] = json.loads(json.dumps(document))
    assert verify(made).is_good
    return made


def part(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["sources"][0]
    return found


def not_read(document: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["why"] for entry in part(document)["coverage"]["not_read"]}


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mysql"])
def test_tables_that_nobody_configured_are_read_and_what_stands_there_is_not_accounted_for(
    make_bench: MakeBench, database: str, tmp_path: Path
) -> None:
    other = "CREATE TABLE notes (id INTEGER PRIMARY KEY, size INTEGER, body VARCHAR(900))"
    bench = make_bench(database, [MAKE_VIDEOS, other], [VIDEOS])
    clean = prove(bench, tmp_path)
    assert clean["verdict"] == {"clean": True, "accounted": True, "complete": True}
    assert "anywhere" in verdict_sentence(clean)
    assert part(clean)["tables"]["notes"]["columns"]["body"]["type"].lower().startswith(("varchar", "character"))
    if database != "sqlite":
        assert set(part(clean)["tables"]["notes"]["no_text"]) == {"id", "size"}
    bench.sql("INSERT INTO notes VALUES (1, 7, :u)", u=signed("a.mp4"))
    document = prove(bench, tmp_path)
    assert document["verdict"]["accounted"] is False
    assert part(document)["tables"]["notes"]["columns"]["body"]["unknown"] == 1


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mysql"])
def test_json_kept_as_bytes_is_found_rewritten_as_bytes_and_given_back_to_the_byte(
    make_bench: MakeBench, database: str, tmp_path: Path
) -> None:
    kind = {"sqlite": "BLOB", "postgresql": "BYTEA", "mysql": "LONGBLOB"}[database]
    columns = [{"name": "meta", "related": [{"sibling": "status", "text": "done"}]}]
    bench = make_bench(
        database,
        [f"CREATE TABLE cards (id INTEGER PRIMARY KEY, meta {kind})"],
        [{"name": "cards", "columns": columns}],
    )
    urls = [signed(f"{n}.mp4") for n in range(3)]
    before = [
        json.dumps({"videoUrl": urls[0], "é": 1.50}, ensure_ascii=False).encode(),
        f'{{ "videoUrl" :"{urls[1]}" }}'.encode("utf-16"),
        jsonb(urls[2]),
    ]
    for number, value in enumerate(before):
        bench.sql("INSERT INTO cards VALUES (:i, :m)", i=number, m=value)
    bench.take()
    assert bench.rewrite().rows == 2
    after = [bytes(value) for (value,) in bench.sql("SELECT meta FROM cards ORDER BY id")]
    assert json.loads(after[0]) == {"videoUrl": bench.url_of(urls[0]), "é": 1.5, "status": "done"}
    assert json.loads(after[1].decode("utf-16")) == {"videoUrl": bench.url_of(urls[1]), "status": "done"}
    assert after[2] == before[2], "a URL of another length would break it"
    document = prove(bench, tmp_path)
    assert part(document)["tables"]["cards"]["columns"]["meta"]["unknown"] == 1
    [place] = part(document)["exceptions"]["unknown"]["listed"]
    assert "JSONB, where it cannot be replaced in place" in place["why"]
    assert part(document)["tables"]["cards"]["columns"]["meta"]["durable"] == 2, "in UTF-16 as in UTF-8"
    assert bench.undo().refused == []
    assert [bytes(value) for (value,) in bench.sql("SELECT meta FROM cards ORDER BY id")] == before


def test_a_host_that_a_user_named_is_found_in_tables_that_nobody_configured(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    notes = "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)"
    rules = ["media.example.com/renders/ = 7d"]
    bench = make_bench("sqlite", [MAKE_VIDEOS, notes], [VIDEOS], deleting_hosts=rules)
    bench.sql("INSERT INTO notes VALUES (1, 'see https://media.example.com/logo.png')")
    assert prove(bench, tmp_path)["verdict"]["clean"] is True
    bench.sql("INSERT INTO notes VALUES (2, 'see https://media.example.com/renders/a.mp4')")
    document = prove(bench, tmp_path)
    assert document["verdict"]["accounted"] is False
    assert part(document)["tables"]["notes"]["columns"]["body"]["unknown"] == 1


@pytest.mark.parametrize("pack", [lambda text: text.encode("utf-16"), lambda text: gzip.compress(text.encode())])
def test_a_bare_token_in_bytes_is_found_however_the_text_is_kept(
    make_bench: MakeBench, tmp_path: Path, pack: Callable[[str], bytes]
) -> None:
    bench = make_bench(
        "sqlite", [MAKE_VIDEOS, "CREATE TABLE notes (id INTEGER PRIMARY KEY, body BLOB)"], [VIDEOS]
    )
    bench.sql("INSERT INTO notes VALUES (1, :b)", b=pack(f"Authorization: Bearer {TOKEN}"))
    document = prove(bench, tmp_path)
    assert document["verdict"]["accounted"] is False
    assert part(document)["tables"]["notes"]["columns"]["body"]["jwts"] == 1


def test_every_type_of_value_that_sqlite_puts_into_any_column_is_searched(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    tables = ("a INTEGER", "b REAL", "c BLOB", "d", "e BOOLEAN", "f DATETIME", "g ANYTHING", "h JSONB", "i TEXT")
    bench = make_bench("sqlite", [MAKE_VIDEOS, f"CREATE TABLE odd ({', '.join(tables)})"], [VIDEOS])
    for column in "abcdefghi":
        for value in (signed(f"{column}.mp4"), signed(f"{column}b.mp4").encode()):
            bench.sql(f"INSERT INTO odd ({column}) VALUES (:v)", v=value)
    counts = part(prove(bench, tmp_path))["tables"]["odd"]["columns"]
    assert {name: column["temporary"] for name, column in counts.items()} == dict.fromkeys("abcdefghi", 2)


POSTGRESQL_TYPES = {
    "hstore": "'k => \"{url}\"'",
    "citext": "'{url}'",
    "xml": "CAST('<a>' || replace('{url}', '&', '&amp;') || '</a>' AS xml)",
    "bytea": "convert_to('{url}', 'UTF8')",
    "media": "ROW('{url}', 'video')::media",
    "media[]": "ARRAY[ROW('{url}', 'video')::media]",
    "text[][]": "ARRAY[ARRAY['{url}', 'x'], ARRAY['y', 'z']]",
    "json[]": 'ARRAY[\'{{"u": "{url}"}}\'::json]',
    "web": "'{url}'",
    "webs": "ARRAY['{url}']",
    "named": "'[{url},{url}]'",
    "char(700)": "'{url}'",
    "jsonb": '\'{{"u": "{url}"}}\'',
}
"""Types of columns, and how a value of each is written that holds a URL."""


def test_every_type_of_postgresql_that_can_hold_text_is_searched_and_found_by_an_inventory(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    bench = make_bench(
        "contrib",
        [
            "CREATE EXTENSION hstore", "CREATE EXTENSION citext",
            "CREATE TYPE media AS (url text, kind text)",
            "CREATE DOMAIN web AS text", "CREATE DOMAIN webs AS text[]",
            "CREATE TYPE named AS RANGE (subtype = text)",
            MAKE_VIDEOS,
        ],
        [VIDEOS],
    )  # fmt: skip
    for number, (kind, value) in enumerate(POSTGRESQL_TYPES.items()):
        bench.sql(f"CREATE TABLE t{number} (id serial PRIMARY KEY, n numeric, v {kind})")
        with bench.engine.begin() as connection:
            written = value.format(url=signed(f"{number}.mp4"))
            connection.exec_driver_sql(f"INSERT INTO t{number} (v) VALUES ({written})".replace("%", "%%"))
    document = prove(bench, tmp_path)
    temporary = {
        kind: part(document)["tables"][f"t{n}"]["columns"]["v"]["temporary"] > 0
        for n, kind in enumerate(POSTGRESQL_TYPES)
    }
    assert temporary == dict.fromkeys(POSTGRESQL_TYPES, True)
    assert part(document)["coverage"]["complete"]
    tables = [{"name": f"t{n}", "columns": [{"name": "v"}]} for n in range(len(POSTGRESQL_TYPES))]
    again = bench.source.model_validate({**bench.source.model_dump(), "tables": tables})
    report = take_inventory(bench.catalog, again)
    assert [table.table for table in report.tables if not table.findings] == []


def test_an_hstore_is_rewritten_and_given_back(make_bench: MakeBench) -> None:
    bench = make_bench(
        "contrib",
        ["CREATE EXTENSION hstore", "CREATE TABLE cards (id serial PRIMARY KEY, h hstore)"],
        [{"name": "cards", "columns": [{"name": "h"}]}],
    )
    url = signed("a.mp4")
    bench.sql("INSERT INTO cards (h) VALUES (hstore(ARRAY['video', :u, 'n\"ame', NULL, 'é', '']))", u=url)
    before = bench.sql("SELECT CAST(h AS text) FROM cards")
    bench.take()
    assert bench.rewrite().rows == 1
    assert bench.sql("SELECT h -> 'video', h ? 'n\"ame', h -> 'é' FROM cards") == [(bench.url_of(url), True, "")]
    assert bench.undo().refused == []
    assert bench.sql("SELECT CAST(h AS text) FROM cards") == before


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mysql"])
def test_what_a_trigger_writes_into_a_history_during_the_rewrite_is_seen_by_the_proof(
    make_bench: MakeBench, database: str, tmp_path: Path
) -> None:
    key = {
        "sqlite": "INTEGER PRIMARY KEY",
        "postgresql": "serial PRIMARY KEY",
        "mysql": "INT AUTO_INCREMENT PRIMARY KEY",
    }
    trigger = {
        "sqlite": [
            "CREATE TRIGGER keep AFTER UPDATE ON videos BEGIN INSERT INTO old_ones (was) VALUES (OLD.url); END"
        ],
        "mysql": [
            "CREATE TRIGGER keep AFTER UPDATE ON videos FOR EACH ROW INSERT INTO old_ones (was) VALUES (OLD.url)"
        ],
        "postgresql": [
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN INSERT INTO public.old_ones (was) VALUES (OLD.url); RETURN NEW; END'",
            "CREATE TRIGGER keep AFTER UPDATE ON videos FOR EACH ROW EXECUTE FUNCTION keep()",
        ],
    }
    table = f"CREATE TABLE old_ones (id {key[database]}, was TEXT)"
    bench = make_bench(database, [MAKE_VIDEOS, table, *trigger[database]], [VIDEOS])
    bench.sql("INSERT INTO videos VALUES (1, :u)", u=signed("a.mp4"))
    bench.take()
    assert bench.rewrite().rows == 1
    document = prove(bench, tmp_path)
    assert document["verdict"]["accounted"] is False
    history = part(document)["tables"]["old_ones"]
    assert history["columns"]["was"]["unknown"] == 1
    assert history["role"] == "history"
    assert "filled by the trigger keep when a row of videos changes" in history["note"]
    assert any("filled by the trigger keep" in line for line in coverage_lines(part(document)))


def test_what_was_not_looked_through_takes_the_word_anywhere_from_the_sentence(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    bench = make_bench(
        "sqlite", [MAKE_VIDEOS, "CREATE TABLE clips (id INTEGER PRIMARY KEY, data BLOB, raw)"], [VIDEOS]
    )
    bench.sql(
        "INSERT INTO clips VALUES (1, :d, NULL), (2, :h, :t)", d=MP4, h=b"\1" * 16, t=gzip.compress(b"nothing")
    )
    document = prove(bench, tmp_path)
    assert document["verdict"] == {"clean": True, "accounted": True, "complete": False}
    assert "anywhere" not in verdict_sentence(document)
    assert "1 places were not read" in verdict_sentence(document)
    assert not_read(document) == {"clips.data": "1 of its values are not looked through: video/mp4"}
    page = proof_html(document)
    assert "clips.data (BLOB): 1 of its values are not looked through: video/mp4" in page
    assert any("not read: clips.data" in line for line in coverage_lines(part(document)))


def test_a_value_that_is_larger_than_what_is_read_is_named(
    make_bench: MakeBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_plan, "MOST_BYTES", 1000)
    bench = make_bench("sqlite", [MAKE_VIDEOS, "CREATE TABLE docs (id INTEGER PRIMARY KEY, body BLOB)"], [VIDEOS])
    bench.sql("INSERT INTO docs VALUES (1, :a), (2, :b)", a=b"a" * 1000, b=b"b" * 1001)
    document = prove(bench, tmp_path)
    assert not_read(document) == {
        "docs.body": "1 of its values are not looked through: text, too large to be searched"
    }
    assert part(document)["tables"]["docs"]["columns"]["body"]["values"] == 1


def test_tables_that_a_person_left_out_are_named_with_the_reason(make_bench: MakeBench, tmp_path: Path) -> None:
    bench = make_bench(
        "sqlite",
        [MAKE_VIDEOS, "CREATE TABLE audit_1 (t TEXT)"],
        [VIDEOS],
        skip={"audit_*": "kept for two years by law"},
    )
    bench.sql("INSERT INTO audit_1 VALUES (:u)", u=signed("a.mp4"))
    document = prove(bench, tmp_path)
    assert document["verdict"] == {"clean": True, "accounted": True, "complete": False}
    assert not_read(document) == {"audit_1": "left out by the configuration: kept for two years by law"}


def as_somebody(bench: Bench, *grants: str) -> None:
    """Let the source be read by a user who is no superuser."""
    name = f"reader_{bench.engine.url.database}"
    bench.sql(f"CREATE ROLE {name} LOGIN PASSWORD 'p'")
    for grant in grants:
        bench.sql(grant.format(name=name))
    url = make_url(bench.source.url).set(username=name, password="p").render_as_string(hide_password=False)
    bench.source = bench.source.model_copy(update={"url": url})


def test_what_this_user_may_not_read_is_named_and_rows_that_a_policy_hides_are_not_proven_clean(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    bench = make_bench(
        "postgresql",
        [
            MAKE_VIDEOS,
            "CREATE TABLE payroll (id int PRIMARY KEY, note text)",
            "CREATE TABLE partly (id int PRIMARY KEY, open text, secret text)",
            "CREATE TABLE policed (id int PRIMARY KEY, url text)",
            "ALTER TABLE policed ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY own ON policed USING (id = 0)",
        ],
        [VIDEOS],
    )
    bench.sql("INSERT INTO policed VALUES (1, :u)", u=signed("a.mp4"))
    as_somebody(bench, "GRANT SELECT ON videos, policed TO {name}", "GRANT SELECT (id, open) ON partly TO {name}")
    document = prove(bench, tmp_path)
    assert document["verdict"] == {"clean": True, "accounted": True, "complete": False}
    assert set(not_read(document)) == {"payroll.id", "payroll.note", "partly.secret", "policed"} or set(
        not_read(document)
    ) == {"payroll", "partly.secret", "policed"}
    assert "hides rows" in not_read(document)["policed"]
    configured = {"name": "policed", "columns": [{"name": "url"}]}
    bench.source = bench.source.model_validate({**bench.source.model_dump(), "tables": [VIDEOS, configured]})
    relied_on = prove(bench, tmp_path)
    assert relied_on["verdict"]["accounted"] is False
    assert "BYPASSRLS" in part(relied_on)["tables"]["policed"]["problem"]


def test_large_objects_other_schemas_and_materialized_views_are_not_forgotten(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    bench = make_bench("postgresql", [MAKE_VIDEOS, "CREATE SCHEMA app"], [VIDEOS])
    bench.sql('CREATE TABLE app."Video Items" ("Id" int, "Url" text)')
    bench.sql('INSERT INTO app."Video Items" VALUES (1, :u), (1, :u)', u=signed("a.mp4"))
    bench.sql("INSERT INTO videos VALUES (1, :u)", u=signed("m.mp4"))
    bench.sql("CREATE MATERIALIZED VIEW copies AS SELECT * FROM videos")
    bench.sql("CREATE VIEW shown AS SELECT * FROM videos")
    bench.sql("UPDATE videos SET url = NULL")
    assert not_read(prove(bench, tmp_path)) == {}
    bench.sql("SELECT lo_from_bytea(0, convert_to('x', 'UTF8'))")
    document = prove(bench, tmp_path)
    tables = part(document)["tables"]
    assert tables["app.Video Items"]["columns"]["Url"]["unknown"] == 2, "no key tells its rows apart"
    assert tables["copies"]["columns"]["url"]["unknown"] == 1
    assert "REFRESH MATERIALIZED VIEW" in tables["copies"]["note"]
    assert [entry["name"] for entry in part(document)["coverage"]["elsewhere"]] == ["shown"]
    assert not_read(document) == {"pg_largeobject": "1 large objects are not read"}


def test_former_versions_that_mariadb_keeps_are_named(make_bench: MakeBench, tmp_path: Path) -> None:
    bench = make_bench("mysql", [f"{MAKE_VIDEOS} WITH SYSTEM VERSIONING"], [VIDEOS])
    document = prove(bench, tmp_path)
    assert document["verdict"] == {"clean": True, "accounted": True, "complete": False}
    assert "former versions" in not_read(document)["videos"]


def test_a_proof_of_the_older_format_verifies_and_does_not_say_anywhere(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    bench = make_bench("sqlite", [MAKE_VIDEOS, "CREATE TABLE later (t TEXT)"], [VIDEOS])
    bench.sql("INSERT INTO later VALUES ('x')")
    bench.sql("INSERT INTO videos VALUES (1, 'https://x.org/a.mp4')")
    table = {"key": ["id"], "rows": 1, "columns": {"url": {"values": 1, "temporary": 0, "jwts": 0, "durable": 0}}}
    document = prove(bench, tmp_path)
    with Leaves() as values, Leaves() as files:
        scan_source(bench.source, None, on_value=values.add, only={"videos": ["url"]})
        trees = {"files": files.root().hex(), "values": values.root().hex()}
        leaves = {"files": 0, "values": 1}
    old = {key: value for key, value in document.items() if key != "signature"}
    old["format"] = OLD_FORMAT
    old["verdict"] = {"clean": True, "accounted": True}
    old["merkle"]["root"] = root_of([leaf_hash(leaf_bytes(("old", trees["files"], trees["values"])))]).hex()
    old["sources"] = [
        {
            **{key: value for key, value in part(document).items() if key not in ("coverage", "tables")},
            "tables": {"videos": table},
            "merkle": {name: {"leaves": leaves[name], "root": root} for name, root in trees.items()},
        }
    ]
    found = verify(sign(old, load_signing_key(tmp_path)))
    assert found.is_good
    assert any("does not tell what was not read" in check for check in found.checks)
    assert "anywhere" not in verdict_sentence(found.document)
    assert "left anywhere" not in proof_html(found.document)
    verify_against(found, "old", bench.source.url, tmp_path)
    assert found.is_good, found.failures


def test_a_table_or_column_that_is_new_since_the_proof_is_told_by_a_comparison(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    bench = make_bench("sqlite", [MAKE_VIDEOS, "CREATE TABLE plain (t TEXT)"], [VIDEOS])
    bench.sql("INSERT INTO plain VALUES ('x'), ('x')")
    document = prove(bench, tmp_path)
    same = verify(document)
    verify_against(same, "old", bench.source.url, tmp_path)
    assert same.is_good, same.failures
    bench.sql("CREATE TABLE new_one (t TEXT)")
    bench.sql("ALTER TABLE videos ADD COLUMN extra TEXT")
    grown = verify(document)
    verify_against(grown, "old", bench.source.url, tmp_path)
    assert any("new_one" in failure and "videos.extra" in failure for failure in grown.failures)


def test_a_database_that_was_packed_since_still_fits_its_proof(make_bench: MakeBench, tmp_path: Path) -> None:
    bench = make_bench("sqlite", [MAKE_VIDEOS, "CREATE TABLE plain (t TEXT)"], [VIDEOS])
    bench.sql("INSERT INTO plain VALUES ('a'), ('b'), ('c')")
    bench.sql("DELETE FROM plain WHERE t = 'a'")
    document = prove(bench, tmp_path)
    engine = create_engine(bench.source.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("VACUUM"))
    engine.dispose()
    found = verify(document)
    verify_against(found, "old", bench.source.url, tmp_path)
    assert found.is_good, found.failures


def test_a_lost_link_that_stands_behind_a_view_or_in_a_history_too_is_lost_there_as_well(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    shown = {"name": "shown", "key": ["id"], "columns": [{"name": "url"}]}
    bench = make_bench(
        "sqlite",
        [MAKE_VIDEOS, "CREATE VIEW shown AS SELECT * FROM videos", "CREATE TABLE copies (id INTEGER, url TEXT)"],
        [shown],
    )
    for number, table in enumerate(("videos", "copies", "copies")):
        signature = "cd" * 32 if number == 2 else "ab" * 32
        bench.sql(f"INSERT INTO {table} VALUES (1, :u)", u=signed("a.mp4", signature=signature))
    take_inventory(bench.catalog, bench.source)
    with bench.catalog.write() as session:
        for finding in session.exec(select(LegacyFinding)).all():
            finding.state, finding.message = FindingState.LOST, "gone: 404"
    tables = part(prove(bench, tmp_path))["tables"]
    assert tables["videos"]["columns"]["url"]["lost"] == 1
    assert tables["shown"]["columns"]["url"]["lost"] == 1
    copies = tables["copies"]["columns"]["url"]
    assert (copies["lost"], copies["unknown"]) == (1, 1), "another signature is another URL, and may live"


def test_a_table_that_breaks_while_it_is_read_does_not_end_the_proof_of_the_others(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    bench = make_bench(
        "postgresql",
        [
            MAKE_VIDEOS,
            "CREATE TABLE base (id int)",
            "INSERT INTO base VALUES (1)",
            "CREATE MATERIALIZED VIEW bad AS SELECT * FROM base WITH NO DATA",
        ],
        [VIDEOS],
    )
    document = prove(bench, tmp_path)
    assert document["verdict"] == {"clean": True, "accounted": True, "complete": True}
    bench.sql("DROP MATERIALIZED VIEW bad")
    bench.sql("CREATE MATERIALIZED VIEW bad AS SELECT id, CAST(id AS text) AS t FROM base WITH NO DATA")
    document = prove(bench, tmp_path)
    assert document["verdict"] == {"clean": True, "accounted": True, "complete": False}
    assert "has not been populated" in not_read(document)["bad"]
