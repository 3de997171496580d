"""The inventory on real SQLite, PostgreSQL and MariaDB: complete, repeatable, resumable, gentle."""

from __future__ import annotations

import json
import sqlite3
import tracemalloc
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import NullPool
from sqlmodel import col, select, update

from tests.legacy.making import (
    DIALECTS,
    NOW,
    cards,
    catalog_in,
    database_url,
    files,
    fill,
    findings,
    make_cards,
    plain,
    run,
    signed,
    source_of,
)
from video_assets.catalog import Catalog, MediaState
from video_assets.catalog.audit import audit_persisted_urls
from video_assets.catalog.legacy import FindingState, LegacyFile, LegacyFinding, LegacySource
from video_assets.legacy.config.models import Reading
from video_assets.legacy.errors import SourceBusy, SourceUnavailable
from video_assets.legacy.inventory.take import InventoryReport, InventoryRunning, take_inventory
from video_assets.legacy.search.rows import Search, Seen
from video_assets.legacy.source.pages import Pace, Page


@pytest.fixture(params=DIALECTS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return database_url(request, request.param, tmp_path)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return catalog_in(tmp_path)


@pytest.fixture
def sqlite_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return database_url(request, "sqlite", tmp_path)


def test_every_temporary_url_of_every_row_becomes_a_finding(url: str, catalog: Catalog) -> None:
    make_cards(url, 230)
    report = take_inventory(catalog, cards(url))
    assert (report.rows, report.findings, report.new_findings) == (230, 23 + 11, 23 + 11)
    assert report.complete
    found = findings(catalog, column_name="snapshot")
    assert {json.loads(f.row_key)[0] for f in found} == set(range(10, 231, 10))
    assert {f.pointer for f in found} == {"/versions/0/url"}
    assert {f.deadline_at for f in found} == {NOW + timedelta(hours=5)}
    assert found[0].context["prompt"] == f"prompt {json.loads(found[0].row_key)[0]}"
    thumbnails = [f for f in files(catalog) if f.kind == "thumbnail" or f.kind == "image"]
    assert len(thumbnails) == 11
    videos = {f.task_id: f for f in files(catalog) if f.kind == "video"}
    assert videos["task-30"].provider == "runway"
    assert videos["task-30"].temporary_url == signed("30.mp4", NOW + timedelta(hours=5), salt=30)


def test_a_second_inventory_changes_nothing(url: str, catalog: Catalog) -> None:
    make_cards(url, 120)
    take_inventory(catalog, cards(url))
    before = [(f.id, f.updated_at) for f in findings(catalog)]
    again = take_inventory(catalog, cards(url), full=True)
    assert (again.findings, again.new_findings, again.new_files) == (18, 0, 0)
    assert [(f.id, f.updated_at) for f in findings(catalog)] == before


def test_only_changed_rows_are_read_again_where_the_table_tells_them(url: str, catalog: Catalog) -> None:
    make_cards(url, 120)
    take_inventory(catalog, cards(url))
    run(url, "UPDATE cards SET updated_at = '2026-11-02 10:00:00' WHERE id > 110")
    take_inventory(catalog, cards(url))  # learns the newest change
    document = json.dumps({"versions": [{"url": signed("new.mp4", NOW + timedelta(hours=2))}]})
    run(
        url,
        ("UPDATE cards SET snapshot = :doc, updated_at = '2026-11-03 10:00:00' WHERE id = 7", {"doc": document}),
    )
    report = take_inventory(catalog, cards(url))
    assert report.rows == 11  # the ten of the newest change before, and the new one
    assert report.new_findings == 1
    assert findings(catalog, row_key="[7]")[0].pointer == "/versions/0/url"


def test_a_url_that_was_replaced_is_new_work_and_one_that_went_away_is_none(url: str, catalog: Catalog) -> None:
    make_cards(url, 40)
    source = cards(url)
    take_inventory(catalog, source)
    other = json.dumps({"versions": [{"url": signed("other.mp4", NOW + timedelta(hours=1))}]})
    run(
        url,
        ("UPDATE cards SET snapshot = :doc WHERE id = 10", {"doc": other}),
        "UPDATE cards SET snapshot = '{}' WHERE id = 20",
    )
    report = take_inventory(catalog, source, full=True)
    assert (report.new_findings, report.tables[0].vanished) == (0, 1)
    replaced = findings(catalog, row_key="[10]")[0]
    assert (replaced.state, replaced.deadline_at) == (FindingState.PENDING, NOW + timedelta(hours=1))
    gone = findings(catalog, row_key="[20]", column_name="snapshot")[0]
    assert gone.state == FindingState.CHANGED


@pytest.mark.parametrize("full", [True, False])
def test_the_findings_of_deleted_rows_are_no_work_any_more(url: str, catalog: Catalog, full: bool) -> None:
    make_cards(url, 60)
    take_inventory(catalog, cards(url))
    run(url, "DELETE FROM cards WHERE id IN (20, 30)")
    report = take_inventory(catalog, cards(url), full=full)
    assert report.tables[0].vanished == 3, "two videos and a thumbnail"
    for finding in findings(catalog):
        is_gone = finding.row_key in ("[20]", "[30]")
        assert finding.state == ("changed" if is_gone else "pending")
    assert findings(catalog, row_key="[30]")[0].message == "Its row was deleted."
    assert take_inventory(catalog, cards(url), full=full).tables[0].vanished == 0


def test_what_was_rewritten_and_restored_by_somebody_becomes_work_again(
    sqlite_url: str, catalog: Catalog
) -> None:
    make_cards(sqlite_url, 20)
    take_inventory(catalog, cards(sqlite_url))
    with catalog.write() as session:
        session.execute(update(LegacyFinding).values(state=FindingState.REWRITTEN.value))
        session.execute(update(LegacyFile).values(state=MediaState.STORED.value))
    take_inventory(catalog, cards(sqlite_url), full=True)
    assert {f.state for f in findings(catalog)} == {FindingState.SAVED}  # the file is durable, the place is not


def test_a_page_read_before_a_rewrite_does_not_undo_what_is_known(sqlite_url: str, catalog: Catalog) -> None:
    make_cards(sqlite_url, 20)
    take_inventory(catalog, cards(sqlite_url))
    search = Search.rows

    def late(self: Search, rows: Sequence[Sequence[object]]) -> Seen:
        # Between the reading of the page and its recording, another process rewrites the rows.
        with catalog.write() as session:
            session.execute(
                update(LegacyFinding).values(
                    state=FindingState.REWRITTEN.value, updated_at=NOW + timedelta(days=1)
                )
            )
        return search(self, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Search, "rows", late)
        take_inventory(catalog, cards(sqlite_url), full=True)
    assert {f.state for f in findings(catalog)} == {FindingState.REWRITTEN}


def test_an_inventory_that_runs_out_of_time_goes_on_where_it_stopped(url: str, catalog: Catalog) -> None:
    make_cards(url, 230)
    source = cards(url)
    rows = []
    while True:
        report = take_inventory(catalog, source, budget=timedelta(microseconds=1))
        rows.append(report.rows)
        if report.complete:
            break
    assert len(rows) > 1
    assert sum(rows) == 230
    assert len(findings(catalog)) == 34


def test_one_file_behind_many_rows_and_signatures_is_one_file_with_its_longest_lived_link(
    sqlite_url: str, catalog: Catalog
) -> None:
    run(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY, url TEXT)")
    lives = [timedelta(hours=hours) for hours in (3, 9, -5)]
    fill(
        sqlite_url,
        "t",
        [{"id": n, "url": signed("same.mp4", NOW + life, salt=n)} for n, life in enumerate(lives)],
    )
    take_inventory(catalog, source_of(sqlite_url, {"name": "t", "column": [{"name": "url"}]}))
    [file] = files(catalog)
    assert len(findings(catalog)) == 3
    assert file.deadline_at == NOW + lives[1]
    assert file.temporary_url == signed("same.mp4", NOW + lives[1], salt=1)


def test_a_living_link_that_turns_up_later_replaces_a_dead_one_and_revives_a_lost_file(
    sqlite_url: str, catalog: Catalog
) -> None:
    run(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY, url TEXT)")
    fill(sqlite_url, "t", [{"id": 1, "url": signed("same.mp4", NOW - timedelta(hours=3))}])
    source = source_of(sqlite_url, {"name": "t", "column": [{"name": "url"}]})
    take_inventory(catalog, source)
    with catalog.write() as session:
        session.execute(
            update(LegacyFile).values(state=MediaState.LOST.value, temporary_url=None, reason="source_expired")
        )
    fill(sqlite_url, "t", [{"id": 2, "url": signed("same.mp4", NOW + timedelta(hours=3), salt=5)}])
    take_inventory(catalog, source)
    [file] = files(catalog)
    assert (file.state, file.reason, file.deadline_at) == (MediaState.PENDING, None, NOW + timedelta(hours=3))


def test_no_secret_is_kept_but_encrypted(url: str, catalog: Catalog, tmp_path: Path) -> None:
    make_cards(url, 40)
    run(url, ("UPDATE cards SET prompt = :p WHERE id = 10", {"p": f"as in {signed('x.mp4', NOW, salt=10**60)}"}))
    take_inventory(catalog, cards(url))
    with catalog.read() as session:
        audit = audit_persisted_urls(session)
    assert audit.no_temporary_url, audit.sample
    stored = b"".join(path.read_bytes() for path in (tmp_path / "home").glob("catalog.db*"))
    assert b"runway" in stored
    assert f"{10**60:064x}".encode() not in stored
    assert f"{30:064x}".encode() not in stored


def test_deadlines_of_hosts_that_delete_count_from_the_row(url: str, catalog: Catalog) -> None:
    run(url, "CREATE TABLE t (id INTEGER PRIMARY KEY, url TEXT, created_at TIMESTAMP NULL)")
    fill(
        url,
        "t",
        [{"id": 1, "url": "https://replicate.delivery/xezq/abcdef/out.mp4", "created_at": "2026-11-20 08:00:00"}],
    )
    source = source_of(url, {"name": "t", "created_at": "created_at", "column": [{"name": "url"}]})
    take_inventory(catalog, source)
    deadline = findings(catalog)[0].deadline_at
    assert deadline is not None
    assert deadline.isoformat() == "2026-11-20T09:00:00+00:00"


# --- keys -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "keys"),
    [
        (
            "a VARCHAR(20), b INTEGER, url TEXT, PRIMARY KEY (a, b)",
            [{"a": f"k{n % 7}", "b": n} for n in range(60)],
        ),
        ("slug VARCHAR(40) PRIMARY KEY, url TEXT", [{"slug": f"שלום-{n}"} for n in range(60)]),
        ("big BIGINT PRIMARY KEY, url TEXT", [{"big": 9_007_199_254_740_993 + n} for n in range(60)]),
        ("at TIMESTAMP PRIMARY KEY, url TEXT", [{"at": f"2026-01-01 00:00:{n:02}"} for n in range(60)]),
    ],
    ids=["composite", "text", "beyond double precision", "time"],
)
def test_any_primary_key_can_be_paged_by(
    url: str, catalog: Catalog, columns: str, keys: list[dict[str, object]]
) -> None:
    run(url, f"CREATE TABLE t ({columns})")
    fill(url, "t", [{**key, "url": signed(f"{n}.mp4", NOW)} for n, key in enumerate(keys)])
    source = source_of(
        url, {"name": "t", "column": [{"name": "url"}]}, reading={"page_rows": 7, "most_page_rows": 7}
    )
    report = take_inventory(catalog, source)
    assert (report.rows, report.new_findings) == (60, 60)
    assert len({f.row_key for f in findings(catalog)}) == 60
    assert take_inventory(catalog, source).new_findings == 0


def test_uuid_keys_on_postgresql(request: pytest.FixtureRequest, tmp_path: Path, catalog: Catalog) -> None:
    url = database_url(request, "postgresql", tmp_path)
    run(
        url,
        "CREATE TABLE t (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), url text)",
        ("INSERT INTO t (url) SELECT :u || n FROM generate_series(1, 60) n", {"u": signed("x", NOW) + "&n="}),
    )
    source = source_of(
        url, {"name": "t", "column": [{"name": "url"}]}, reading={"page_rows": 7, "most_page_rows": 7}
    )
    assert take_inventory(catalog, source).new_findings == 60


def test_a_table_without_a_key_is_left_out_with_the_remedy(url: str, catalog: Catalog) -> None:
    make_cards(url, 20)
    run(url, "CREATE TABLE bare (name VARCHAR(20), url TEXT)")
    fill(url, "bare", [{"name": "a", "url": signed("a.mp4", NOW)}])
    source = cards(url).model_copy(
        update={
            "tables": (*source_of(url, {"name": "bare", "column": [{"name": "url"}]}).tables, *cards(url).tables)
        }
    )
    report = take_inventory(catalog, source)
    assert "'bare' has no primary key" in report.problems[0]
    assert "key = [" in report.problems[0]
    assert report.tables[1].complete  # the other table is not held up
    keyed = source_of(url, {"name": "bare", "key": ["name"], "column": [{"name": "url"}]})
    assert take_inventory(catalog, keyed).new_findings == 1


def test_rowid_serves_as_a_key_on_sqlite(sqlite_url: str, catalog: Catalog) -> None:
    run(sqlite_url, "CREATE TABLE bare (url TEXT)")
    fill(sqlite_url, "bare", [{"url": signed(f"{n}.mp4", NOW)} for n in range(3)])
    source = source_of(sqlite_url, {"name": "bare", "key": ["rowid"], "column": [{"name": "url"}]})
    assert take_inventory(catalog, source).new_findings == 3


def test_a_declared_key_that_is_doubled_or_empty_is_refused(url: str, catalog: Catalog) -> None:
    run(url, "CREATE TABLE bare (name VARCHAR(20), url TEXT)")
    source = source_of(url, {"name": "bare", "key": ["name"], "column": [{"name": "url"}]})
    fill(url, "bare", [{"name": "a", "url": ""}, {"name": "a", "url": ""}])
    assert "several rows share one key" in take_inventory(catalog, source).problems[0]
    run(url, "DELETE FROM bare")
    fill(url, "bare", [{"name": None, "url": ""}])
    assert "is NULL in some rows" in take_inventory(catalog, source).problems[0]


def test_a_view_is_read_by_its_declared_key(url: str, catalog: Catalog) -> None:
    make_cards(url, 40)
    run(url, "CREATE VIEW seen AS SELECT id, thumbnail FROM cards")
    bare = source_of(url, {"name": "seen", "column": [{"name": "thumbnail"}]})
    assert "the view 'seen' has no primary key" in take_inventory(catalog, bare).problems[0]
    keyed = source_of(url, {"name": "seen", "key": ["id"], "column": [{"name": "thumbnail"}]})
    assert take_inventory(catalog, keyed).new_findings == 2


# --- bad input --------------------------------------------------------------------------------------------------


def test_a_missing_table_or_column_is_named_with_what_there_is(url: str, catalog: Catalog) -> None:
    make_cards(url, 20)
    [no_table] = take_inventory(catalog, source_of(url, {"name": "card", "column": [{"name": "x"}]})).problems
    assert "has no table 'card'; it has cards" in no_table
    [no_column] = take_inventory(catalog, source_of(url, {"name": "cards", "column": [{"name": "x"}]})).problems
    assert "has no column 'x'; it has id, prompt, snapshot" in no_column


def test_a_table_that_may_not_be_read_is_left_out_and_the_others_are_read(
    request: pytest.FixtureRequest, tmp_path: Path, catalog: Catalog
) -> None:
    url = database_url(request, "postgresql", tmp_path)
    make_cards(url, 20)
    run(
        url,
        "CREATE TABLE secrets (id INTEGER PRIMARY KEY, link TEXT)",
        "CREATE ROLE only_cards LOGIN",
        "GRANT SELECT ON cards TO only_cards",
    )
    limited = sa.make_url(url).set(username="only_cards").render_as_string(hide_password=False)
    source = source_of(
        limited,
        {"name": "secrets", "column": [{"name": "link"}]},
        {"name": "cards", "column": [{"name": "snapshot", "type": "json"}]},
    )
    try:
        report = take_inventory(catalog, source)
    finally:
        run(url, "DROP OWNED BY only_cards", "DROP ROLE only_cards")
    assert not report.complete
    assert [table.complete for table in report.tables] == [False, True]
    assert "secrets" in report.problems[0]
    assert "permission denied for table secrets; grant that" in report.problems[0]
    assert len(findings(catalog)) == 2


def test_an_unreachable_database_is_one_sentence_without_its_password(catalog: Catalog, tmp_path: Path) -> None:
    for url in (
        "postgresql+psycopg2://bob:${SECRET_WORD}@127.0.0.1:1/app",
        "mysql+pymysql://bob:${SECRET_WORD}@127.0.0.1:1/app",
        f"sqlite:///{tmp_path}/missing.db",
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SECRET_WORD", "hunter2-hunter2")
            with pytest.raises(SourceUnavailable) as caught:
                take_inventory(catalog, source_of(url, {"name": "t", "column": [{"name": "url"}]}))
        assert "hunter2" not in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "missing.db").exists()


def test_a_file_that_is_no_database_is_said_so(catalog: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("this is not a database, " * 100)
    with pytest.raises(SourceUnavailable, match="not a database"):
        take_inventory(catalog, source_of(f"sqlite:///{path}", {"name": "t", "column": [{"name": "url"}]}))


def test_reading_cannot_write(url: str) -> None:
    from video_assets.legacy.errors import SourceReadOnly
    from video_assets.legacy.source.connect import open_database

    make_cards(url, 5)
    with (
        open_database(url, name="legacy") as database,
        pytest.raises(SourceReadOnly),
        database.begin() as connection,
    ):
        connection.exec_driver_sql("UPDATE cards SET prompt = 'x'")


def test_invalid_json_nulls_and_odd_values_are_read_as_they_are(sqlite_url: str, catalog: Catalog) -> None:
    run(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY, doc JSON)")
    url = signed("a.mp4", NOW)
    odd = [
        None, "", "{", f'{{"url": "{url}"', f"[\"{url}\", ", url, 7, 1.5, b"\xff\xfe\x00", url.encode(),
        f'{{"url":"{url}","url":"{url}"}}', json.dumps({"deep": [[[{"url": url}]]]}), "\x00" + url,
    ]  # fmt: skip
    fill(sqlite_url, "t", [{"id": n, "doc": value} for n, value in enumerate(odd)])
    report = take_inventory(
        catalog, source_of(sqlite_url, {"name": "t", "column": [{"name": "doc", "type": "json"}]})
    )
    assert report.rows == len(odd)
    assert {json.loads(f.row_key)[0] for f in findings(catalog)} == {3, 4, 5, 9, 10, 11, 12}
    assert len(findings(catalog, row_key="[10]")) == 2  # both of the doubled key
    assert len(files(catalog)) == 1


def test_text_in_another_encoding_does_not_stop_the_reading(sqlite_url: str, catalog: Catalog) -> None:
    run(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT, url TEXT)")
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        body = "café ".encode("latin-1") + signed("é.mp4", NOW).encode("latin-1")
        connection.execute("INSERT INTO t VALUES (1, CAST(? AS TEXT), 'plain')", (body,))
    source = source_of(sqlite_url, {"name": "t", "keep": ["body"], "column": [{"name": "body"}]})
    assert take_inventory(catalog, source).new_findings == 1


def test_a_postgresql_that_does_not_know_its_encoding(
    request: pytest.FixtureRequest, tmp_path: Path, catalog: Catalog
) -> None:
    url = database_url(request, "postgresql", tmp_path)
    engine = sa.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        name = f"ascii_{sa.make_url(url).database}"
        connection.exec_driver_sql(
            f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        )
    url = sa.make_url(url).set(database=name).render_as_string(hide_password=False)
    run(url, "CREATE TABLE t (id integer PRIMARY KEY, body text)")
    with sa.create_engine(url, poolclass=NullPool).begin() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.set_client_encoding("LATIN1")
        with raw.cursor() as cursor:
            cursor.execute("INSERT INTO t VALUES (1, %s)", (f"caf\xe9 {signed('a.mp4', NOW)}",))
    assert take_inventory(catalog, source_of(url, {"name": "t", "column": [{"name": "body"}]})).new_findings == 1


def test_ten_megabyte_documents_are_read_a_few_at_a_time(sqlite_url: str, catalog: Catalog) -> None:
    run(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY, doc TEXT)")
    filling = "lorem ipsum " * 850_000
    with sa.create_engine(sqlite_url, poolclass=NullPool).begin() as connection:
        for n in range(12):
            document = f'{{"text": "{filling}", "url": "{signed(f"{n}.mp4", NOW)}"}}'
            connection.execute(sa.text("INSERT INTO t VALUES (:n, :d)"), {"n": n, "d": document})
    source = source_of(
        sqlite_url, {"name": "t", "column": [{"name": "doc", "type": "json"}]}, reading={"page_megabytes": 20}
    )
    tracemalloc.start()
    try:
        report = take_inventory(catalog, source)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (report.rows, report.findings) == (12, 12)
    # 122 MB of documents; at most four are held at once, each with the copies that searching makes.
    assert peak < 100_000_000, f"{peak:,}"


def test_a_locked_sqlite_is_given_up_with_advice(sqlite_url: str, catalog: Catalog) -> None:
    make_cards(sqlite_url, 20)
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        source = cards(sqlite_url)
        source = source.model_copy(
            update={"reading": source.reading.model_copy(update={"lock_timeout_seconds": 0.05})}
        )
        with pytest.raises(SourceBusy, match="quieter hour"):
            take_inventory(catalog, source)
        other.execute("ROLLBACK")
    assert take_inventory(catalog, cards(sqlite_url)).complete


def test_a_statement_that_takes_too_long_is_cut_off_by_the_server(
    request: pytest.FixtureRequest, tmp_path: Path, catalog: Catalog
) -> None:
    url = database_url(request, "postgresql", tmp_path)
    run(url, "CREATE VIEW slow AS SELECT n AS id, pg_sleep(0.2)::text AS url FROM generate_series(1, 100) n")
    source = source_of(
        url,
        {"name": "slow", "key": ["id"], "column": [{"name": "url"}]},
        reading={"statement_timeout_seconds": 0.2, "page_rows": 20},
    )
    report = None
    with pytest.raises(SourceBusy, match="statement_timeout_seconds"):
        report = take_inventory(catalog, source)
    assert report is None
    with catalog.read() as session:
        assert session.get(LegacySource, "legacy") is not None  # nothing half-done stops the next run


def test_two_inventories_of_one_source_do_not_run_together(sqlite_url: str, catalog: Catalog) -> None:
    make_cards(sqlite_url, 200)
    seen: list[InventoryReport] = []

    def second(_: object) -> None:
        with pytest.raises(InventoryRunning):
            seen.append(take_inventory(catalog, cards(sqlite_url)))

    assert take_inventory(catalog, cards(sqlite_url), on_progress=second).complete
    assert seen == []


def test_share_pages_and_other_exceptions_are_kept_as_such_without_their_url(
    sqlite_url: str, catalog: Catalog
) -> None:
    run(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY, doc TEXT)")
    fill(
        sqlite_url,
        "t",
        [
            {
                "id": 1,
                "doc": {"page": signed("share/1", NOW, host="app.example.com"), "video": signed("1.mp4", NOW)},
            }
        ],
    )
    table = {"name": "t", "column": [{"name": "doc", "type": "json"}]}
    rule = {"host": "example.com", "path": "^/share/", "why": "a page for people"}
    take_inventory(catalog, source_of(sqlite_url, {**table, "except": [rule]}))
    page, video = findings(catalog)
    assert (page.pointer, page.state, page.message) == ("/page", FindingState.EXCEPTED, "a page for people")
    assert video.state == FindingState.PENDING
    with catalog.read() as session:
        urls = {f.id: f.temporary_url for f in session.exec(select(LegacyFile))}
    assert urls[page.file_id] is None
    take_inventory(catalog, source_of(sqlite_url, table))  # the rule was taken back
    assert {f.state for f in findings(catalog)} == {FindingState.PENDING}
    with catalog.read() as session:
        missing = session.exec(select(LegacyFile).where(col(LegacyFile.temporary_url).is_(None))).all()
    assert missing == []


def test_blobs_become_findings_without_being_read(url: str, catalog: Catalog) -> None:
    kind = {"sqlite": "BLOB", "postgresql": "BYTEA", "mysql": "LONGBLOB"}[sa.make_url(url).get_backend_name()]
    run(url, f"CREATE TABLE films (id INTEGER PRIMARY KEY, data {kind})")
    fill(url, "films", [{"id": 1, "data": b"\0" * 5000}, {"id": 2, "data": b""}, {"id": 3, "data": None}])
    take_inventory(catalog, source_of(url, {"name": "films", "column": [{"name": "data", "type": "blob"}]}))
    [file] = files(catalog)
    assert (file.scheme, file.file_size, file.kind, file.temporary_url) == ("blob", 5000, "video", None)


def test_a_folder_is_a_source_too(tmp_path: Path, catalog: Catalog) -> None:
    root = tmp_path / "videos"
    (root / "job-1").mkdir(parents=True)
    (root / "job-1" / "combined.mp4").write_bytes(b"\0" * 100)
    (root / "index.json").write_text(json.dumps({"url": signed("a.mp4", NOW), "other": plain("b.mp4")}))
    (root / "link.mp4").symlink_to("/etc/hostname")
    source = source_of(str(root), kind="folder", folder={"documents": ["**/*.json"]})
    report = take_inventory(catalog, source)
    assert (report.rows, report.new_findings, report.complete) == (2, 2, True)
    assert {(f.table_name, json.loads(f.row_key)[0]) for f in findings(catalog)} == {
        ("(files)", "job-1/combined.mp4"),
        ("(documents)", "index.json"),
    }
    assert take_inventory(catalog, source).new_findings == 0


# --- pace -------------------------------------------------------------------------------------------------------


def test_pages_grow_while_the_database_is_quick_and_shrink_and_rest_when_it_slows_down() -> None:
    pace = Pace(Reading(page_rows=1000, most_page_rows=8000, page_seconds=0.5))

    def page(rows: int, seconds: float, **more: bool) -> Page:
        return Page([()] * rows, NOW, seconds, is_last=False, **more)

    for _ in range(5):
        pace.learn(page(pace.rows, 0.05))
    assert pace.rows == 8000
    assert pace.pause == 0
    pace.learn(page(8000, 4.0))  # ten times slower per row than it can
    assert pace.rows < 2500
    assert pace.pause > 0
    pace.learn(page(pace.rows, 0.02))
    assert pace.pause == 0
    pace.learn(page(30, 0.3, is_cut=True))  # rows of megabytes
    assert pace.rows == 30
    while pace.retreat():
        pass
    assert pace.rows == 20
