"""The standing guard on real databases: what it refuses, what it lets through, and how it goes away again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from tests.conftest import NewDatabase
from tests.urls.test_classify_lookalikes import PERMANENT, PLACEHOLDERS
from tests.urls.test_classify_schemes import CASES, JWT, SHA256
from video_assets.legacy.config.models import Column, Except, Source, Table
from video_assets.legacy.guard.patterns import NOT_GUARDED, SIGNS, WITH_A_TOKEN
from video_assets.legacy.guard.triggers import (
    GuardNotPossible,
    install_guard,
    installed_guards,
    plan_guard,
    refusal,
    remove_guard,
)
from video_assets.urls import Kind, classify, redact
from video_assets.urls.schemes import SCHEMES

SIGNED = f"https://b.s3.amazonaws.com/v.mp4?X-Amz-Date=20270115T070000Z&X-Amz-Expires=9&X-Amz-Signature={SHA256}"
OTHER = f"https://b.s3.amazonaws.com/w.mp4?X-Amz-Date=20270115T070000Z&X-Amz-Expires=9&X-Amz-Signature={SHA256}"
DURABLE = "https://x.supabase.co/storage/v1/object/public/videos/u/1.mp4"


@dataclass
class Guarded:
    """A database with a guarded table."""

    source: Source
    engine: sa.Engine
    words: str = ""
    """What the database said when it refused last."""

    def write(self, column: str, value: str | None) -> bool:
        """Insert a row; whether the database took it."""
        try:
            with self.engine.begin() as connection:
                connection.execute(sa.text(f"INSERT INTO videos ({column}) VALUES (:value)"), {"value": value})
        except DBAPIError as exc:
            self.words = str(exc.orig)
            return "takes no temporary URL" not in self.words
        return True


TABLE = Table(
    name="videos",
    column=(Column(name="video_url"), Column(name="note"), Column(name="snapshot", type="json")),
)


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("guard") / "app.db"
        sqlite3.connect(path).close()
        url, key, json_type = f"sqlite:///{path}", "INTEGER PRIMARY KEY", "JSON"
    else:
        url = request.getfixturevalue("postgres_url")()
        key, json_type = "serial PRIMARY KEY", "jsonb"
    engine = sa.create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        cast = "" if request.param == "sqlite" else "::jsonb"
        connection.execute(
            sa.text(f"CREATE TABLE videos (id {key}, video_url text, note varchar(90000), snapshot {json_type})")
        )
        connection.execute(
            sa.text(f"INSERT INTO videos (id, video_url, snapshot) VALUES (1000, :url, (:document){cast})"),
            {"url": SIGNED, "document": json.dumps({"url": SIGNED})},
        )
    source = Source(name="app", url=url, table=(TABLE,))
    install_guard(source)
    yield Guarded(source, engine)
    engine.dispose()


def _refused(database: Guarded, values: list[str], column: str = "video_url") -> list[str]:
    return [value for value in values if not database.write(column, value)]


GUARDED_CASES = [case for case in CASES if case.kind is Kind.TEMPORARY and case.scheme not in NOT_GUARDED]


def test_every_scheme_of_the_table_has_a_sign_or_a_reason_why_not() -> None:
    signed = {sign.scheme for sign in SIGNS}
    left_out = {scheme.name for scheme in SCHEMES} - signed - WITH_A_TOKEN
    assert left_out <= set(NOT_GUARDED), "write a sign for it in guard_signs.py, or say why not"
    assert len(GUARDED_CASES) > 100


def test_every_scheme_s_example_is_refused(guarded: Guarded) -> None:
    urls = [case.url for case in GUARDED_CASES]
    assert set(urls) - set(_refused(guarded, urls)) == set()


def test_a_refusal_does_not_repeat_the_value_because_errors_end_in_logs(guarded: Guarded) -> None:
    assert not guarded.write("video_url", SIGNED)
    assert "videos.video_url" in guarded.words
    assert SHA256 not in guarded.words


def test_every_lookalike_is_accepted(guarded: Guarded) -> None:
    assert _refused(guarded, PERMANENT) == []
    assert _refused(guarded, [url for url in PLACEHOLDERS if "YOUR" not in url]) == []


def test_a_secret_without_an_end_is_left_to_the_scan_for_it_does_not_die(guarded: Guarded) -> None:
    endless = [case.url for case in CASES if case.kind is Kind.CREDENTIAL_ONLY and not case.carries_jwt]
    assert len(endless) > 10
    assert _refused(guarded, endless) == []


def test_names_of_a_scheme_are_not_enough_but_a_time_or_a_drawn_secret_is(guarded: Guarded) -> None:
    names = "https://d1.cloudfront.net/v.mp4?Key-Pair-Id=K1&Signature="
    values = [names + "bold", names + "bold&Expires=1800000000", names + SHA256]
    assert _refused(guarded, values) == values[1:]


@pytest.mark.parametrize("word", ["newsletter-signup-page", "aaaaaaaaaaaaaaaaaaaa", "9999999999999999"])
def test_a_word_beside_an_expiry_is_no_signature(guarded: Guarded, word: str) -> None:
    url = "https://v.example.io/a?expires=1795305600&token="
    assert guarded.write("video_url", url + word)
    assert not guarded.write("video_url", url + "iwfozoteyGVWlzCilXHA7")


def test_durable_addresses_and_redacted_ones_are_accepted(guarded: Guarded) -> None:
    # What is known by its host or an unsigned time stays temporary without its secret.
    redacted = [redact(case.url) for case in GUARDED_CASES if case.secrets]
    kept = [url for url in redacted if classify(url).is_persistable]
    assert len(kept) > 80
    assert _refused(guarded, [DURABLE, "/api/v3/videos/1/combined", "", *kept]) == []
    assert guarded.write("video_url", None)


@pytest.mark.parametrize(
    "spell",
    [
        lambda url: json.dumps({"a": [{"url": url}]}),
        lambda url: json.dumps({"a": url}).replace("/", "\\/"),
        lambda url: json.dumps({"a": url}).replace("&", "\\u0026"),
        lambda url: json.dumps({"a": json.dumps({"b": url})}),
        lambda url: json.dumps({url: 1}),
        lambda url: json.dumps([{"text": f"see {url} soon"}]),
    ],
)
def test_json_is_searched_however_it_spells_its_strings(guarded: Guarded, spell: Callable[[str], str]) -> None:
    assert _refused(guarded, [spell(SIGNED), spell(f"https://x/v.mp4?_jwt={JWT}")], "snapshot") != []
    assert len(_refused(guarded, [spell(SIGNED)], "snapshot")) == 1
    assert _refused(guarded, [spell(DURABLE)], "snapshot") == []


def test_parameters_of_two_urls_in_one_document_make_no_temporary_url(guarded: Guarded) -> None:
    document = {"a": "https://e.com/?expires=1800000000", "b": f"https://e.com/a.js?hash={SHA256}"}
    assert guarded.write("snapshot", json.dumps(document))


def test_text_around_and_proxies_hide_nothing(guarded: Guarded) -> None:
    values = [
        f"Your video: {SIGNED}. It ends soon",
        f"https://img.example.com/?url={quote(SIGNED, safe='')}",
        f"https://img.example.com/?url={quote(quote(SIGNED, safe=''), safe='')}",
        f'<a href="{SIGNED.replace("&", "&amp;")}">',
        SIGNED.replace("https:", ""),
    ]
    assert _refused(guarded, values, "note") == values


def test_a_row_that_still_holds_a_lost_link_can_be_saved_unchanged_but_not_with_another(guarded: Guarded) -> None:
    with guarded.engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE videos SET note = 'hello', video_url = video_url, snapshot = snapshot")
        )
    with pytest.raises(DBAPIError, match="takes no temporary URL"), guarded.engine.begin() as connection:
        connection.execute(sa.text("UPDATE videos SET video_url = :url WHERE id = 1000"), {"url": OTHER})
    with guarded.engine.begin() as connection:
        connection.execute(sa.text("UPDATE videos SET video_url = :url WHERE id = 1000"), {"url": DURABLE})


def test_a_large_document_is_written_in_reasonable_time(guarded: Guarded) -> None:
    document = {"rows": [{"n": n, "url": f"{DURABLE}?n={n}"} for n in range(5_000)]}
    assert guarded.write("snapshot", json.dumps(document))
    document["rows"].append({"n": -1, "url": SIGNED})
    assert not guarded.write("snapshot", json.dumps(document))


def test_the_guard_is_renewed_and_removed_without_a_trace(guarded: Guarded) -> None:
    before = installed_guards(guarded.source)
    assert len(before) == 6, "two triggers per column"
    install_guard(guarded.source)
    assert installed_guards(guarded.source) == before
    remove_guard(guarded.source)
    assert installed_guards(guarded.source) == []
    assert guarded.write("video_url", SIGNED)
    if guarded.engine.dialect.name == "postgresql":
        with guarded.engine.connect() as connection:
            left = connection.execute(sa.text("SELECT count(*) FROM pg_proc WHERE proname LIKE 'video_assets%'"))
            assert left.scalar_one() == 0
    install_guard(guarded.source)
    remove_guard(guarded.source)
    remove_guard(guarded.source)
    install_guard(guarded.source)


def test_the_script_for_review_does_what_the_command_does(tmp_path: Path, postgres_url: NewDatabase) -> None:
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE videos (id INTEGER PRIMARY KEY, video_url, note, snapshot JSON)")
        plan = plan_guard(Source(name="app", url=f"sqlite:///{path}", table=(TABLE,)))
        connection.executescript(plan.script())
        with pytest.raises(sqlite3.IntegrityError, match="takes no temporary URL"):
            connection.execute("INSERT INTO videos (video_url) VALUES (?)", (SIGNED,))
        connection.executescript(plan.script(removing=True))
        connection.execute("INSERT INTO videos (video_url) VALUES (?)", (SIGNED,))
    url = postgres_url()
    engine = sa.create_engine(url, poolclass=NullPool)
    raw = engine.raw_connection()
    with raw.cursor() as cursor:
        cursor.execute("CREATE TABLE videos (id serial PRIMARY KEY, video_url text, note text, snapshot json)")
        raw.commit()
        plan = plan_guard(Source(name="app", url=url, table=(TABLE,)))
        cursor.execute(plan.script())
        with pytest.raises(Exception, match="takes no temporary URL"):
            cursor.execute("INSERT INTO videos (video_url) VALUES (%s)", (SIGNED,))
        raw.rollback()
        cursor.execute(plan.script(removing=True))
        cursor.execute("INSERT INTO videos (video_url) VALUES (%s)", (SIGNED,))
    raw.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_the_configuration_leaves_alone_is_let_through(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    by_host = Except(host="kept.example.com", why="a share page")
    by_place = Except(pointer="/source/url", why="the archive of the old address")
    unclear = Except(path="^/old/", why="old ones")
    columns = (Column(name="doc", type="json"), Column(name="link"))
    tables = tuple(
        Table.model_validate({"name": name, "column": columns, "except": rules})
        for name, rules in (("a", (by_host, by_place)), ("b", (unclear,)))
    )
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'app.db'}"
        sqlite3.connect(tmp_path / "app.db").close()
    else:
        url = request.getfixturevalue("postgres_url")()
    engine = sa.create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        for name in ("a", "b"):
            connection.execute(sa.text(f"CREATE TABLE {name} (id integer PRIMARY KEY, doc json, link text)"))
    plan = install_guard(Source(name="app", url=url, tables=tables))
    assert {(each.table, each.column) for each in plan.columns if each.why_not} == {("b", "doc"), ("b", "link")}

    def takes(number: int, column: str, value: object) -> bool:
        text = value if isinstance(value, str) else json.dumps(value)
        try:
            with engine.begin() as connection:
                connection.execute(
                    sa.text(f"INSERT INTO a (id, {column}) VALUES ({number}, :text)"), {"text": text}
                )
        except DBAPIError:
            return False
        return True

    kept = SIGNED.replace("b.s3.amazonaws.com", "kept.example.com")
    assert takes(1, "doc", {"source": {"url": SIGNED}})
    assert takes(2, "doc", {"url": kept})
    assert takes(3, "link", kept)
    assert not takes(4, "doc", {"source": {"other": SIGNED}})
    assert not takes(5, "doc", {"url": SIGNED})
    assert not takes(6, "link", SIGNED)


def test_a_folder_and_another_database_are_refused_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(GuardNotPossible, match="is a folder"):
        plan_guard(Source(name="files", kind="folder", url=str(tmp_path)))


def test_the_refusal_names_the_column_and_the_way_out() -> None:
    assert "videos.video_url" in refusal("videos", "video_url")
    assert "guard remove" in refusal("videos", "video_url")
