"""Undo: every byte comes back, and nothing that was changed since is touched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import text

from tests.legacy.bench import Bench, signed
from video_assets.legacy.rewrite.ledger import LedgerKeyWrong, expire_images
from video_assets.legacy.rewrite.undo import Refusal, Selection, redo
from video_assets.legacy.source.row_key import encode_key

CARDS = {"name": "cards", "columns": [{"name": "snapshot", "type": "json"}]}
URLS = [signed("a.mp4"), signed("b.mp4"), signed("c%20d.mp4", signature="cd" * 32), "https://x.org/d.mp4"]
OpenBench = Callable[[str, str], Bench]


@pytest.fixture(scope="module")
def open_bench(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[OpenBench]:
    opened: dict[tuple[str, str], Bench] = {}

    def open_(database: str, type_: str) -> Bench:
        if (database, type_) not in opened:
            folder = tmp_path_factory.mktemp("undo")
            (folder / "old.db").touch()
            url = f"sqlite:///{folder / 'old.db'}"
            if database == "postgresql":
                url = request.getfixturevalue("postgres_url")()
            bench = Bench.open(folder / "home", url, [CARDS])
            bench.sql(f"CREATE TABLE cards (id INTEGER PRIMARY KEY, snapshot {type_})")
            opened[database, type_] = bench
        return opened[database, type_]

    yield open_
    for bench in opened.values():
        bench.close()


@pytest.fixture
def bench(open_bench: OpenBench) -> Bench:
    return emptied(open_bench("sqlite", "TEXT"))


def emptied(bench: Bench) -> Bench:
    """The bench as if it were new."""
    bench.observer = None
    bench.sql("DELETE FROM cards")
    with bench.catalog.write() as session:
        for table in (
            "ledger_confirmation",
            "ledger_image",
            "ledger_entry",
            "legacy_finding",
            "legacy_file",
            "legacy_batch",
            "legacy_source",
        ):
            session.execute(text(f"DELETE FROM {table}"))
    return bench


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
    | st.sampled_from(URLS)
    | st.sampled_from(URLS).map(lambda url: f'see <a href="{url}">this</a>, or {url}.')
    | st.sampled_from(URLS).map(lambda url: json.dumps({"inner": [url, 1.0]}))
)
keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8) | st.sampled_from(
    ["url", "videoUrl", "a/b", "m~n", "0"]
)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=20
)
spellings = st.sampled_from(
    [
        {"indent": None, "ensure_ascii": True},
        {"indent": 2, "ensure_ascii": False},
        {"separators": (",", ":"), "ensure_ascii": False},
        {"indent": "\t", "separators": (" , ", " : ")},
    ]
)


@st.composite
def json_texts(draw: st.DrawFn) -> str:
    return json.dumps(draw(documents), **draw(spellings)).replace("/", draw(st.sampled_from(["/", "\\/"])))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(json_texts(), min_size=1, max_size=5))
@pytest.mark.parametrize(
    ("database", "type_"),
    [("sqlite", "TEXT"), ("postgresql", "TEXT"), ("postgresql", "JSON"), ("postgresql", "JSONB")],
)
def test_undo_of_apply_is_the_identity_on_any_json(
    open_bench: OpenBench, database: str, type_: str, rows: list[str]
) -> None:
    if type_.startswith("JSON"):
        # PostgreSQL itself refuses \u0000 and numbers beyond its own range.
        rows = [row for row in rows if "\\u0000" not in row]
    bench = emptied(open_bench(database, type_))
    for number, row in enumerate(rows):
        bench.sql("INSERT INTO cards VALUES (:n, :d)", n=number, d=row)
    read = "SELECT id, CAST(snapshot AS TEXT) FROM cards ORDER BY id"
    before = bench.sql(read)
    bench.take()
    report = bench.rewrite()
    assert report.troubles == {}
    applied = bench.sql(read)
    assert (applied == before) == (report.rows == 0)
    secrets = ("abab", "cdcd")
    assert not any(secret in str(value) for _, value in applied for secret in secrets)
    undone = bench.undo()
    assert undone.refused == []
    assert undone.rows == report.rows
    assert bench.sql(read) == before
    assert redo(bench.catalog, "old") == report.places
    assert bench.rewrite().rows == report.rows
    assert bench.sql(read) == applied


def fill(bench: Bench, rows: int = 3) -> list[str]:
    urls = [signed(f"{number}.mp4") for number in range(rows)]
    for number, url in enumerate(urls):
        bench.sql("INSERT INTO cards VALUES (:n, :d)", n=number, d=json.dumps({"url": url}))
    bench.take()
    return urls


def snapshots(bench: Bench) -> list[Any]:
    return [row[0] for row in bench.sql("SELECT snapshot FROM cards ORDER BY id")]


def test_a_row_that_was_changed_since_is_left_alone_and_named(bench: Bench) -> None:
    fill(bench)
    before = snapshots(bench)
    bench.rewrite()
    bench.sql("UPDATE cards SET snapshot = '{}' WHERE id = 1")
    bench.sql("DELETE FROM cards WHERE id = 2")
    report = bench.undo()
    assert report.rows == 1
    assert {(each.table, each.row_key, each.column, each.refusal) for each in report.refused} == {
        ("cards", "[1]", "snapshot", Refusal.CHANGED_SINCE),
        ("cards", "[2]", "snapshot", Refusal.GONE),
    }
    assert snapshots(bench) == [before[0], "{}"]
    assert bench.states() == ["rewritten", "rewritten", "undone"]


def test_a_row_that_changes_at_the_very_moment_of_the_undo_is_left_alone(bench: Bench) -> None:
    fill(bench, 1)
    bench.rewrite()

    def edit(step: str, _what: str) -> None:
        if step == "intended":
            bench.sql("UPDATE cards SET snapshot = snapshot || ' '")

    bench.observer = edit
    report = bench.undo()
    assert [each.refusal for each in report.refused] == [Refusal.CHANGED_SINCE]
    assert snapshots(bench)[0].endswith("} ")


def test_undo_by_run_table_row_and_time(bench: Bench) -> None:
    urls = fill(bench)
    before = snapshots(bench)
    bench.rewrite(run="first")
    assert bench.undo(run="another").rows == 0
    assert bench.undo(table="videos").rows == 0
    assert bench.undo(until=datetime.now(UTC) - timedelta(hours=1)).rows == 0
    assert bench.undo(row_key=encode_key([1])).rows == 1
    assert [f'"url": "{url}"' in value for url, value in zip(urls, snapshots(bench), strict=True)] == [
        False,
        True,
        False,
    ]
    assert bench.undo(run="first", since=datetime.now(UTC) - timedelta(hours=1)).rows == 2
    assert snapshots(bench) == before
    assert bench.undo().rows == 0, "nothing is taken back twice"


def test_two_rewrites_of_one_row_are_undone_in_turn(bench: Bench) -> None:
    url = signed("0.mp4")
    fill(bench, 1)
    bench.rewrite(run="first")
    between = snapshots(bench)
    later = json.dumps({"was": between[0], "url": signed("late.mp4")})
    bench.sql("UPDATE cards SET snapshot = :d", d=later)
    bench.take()
    bench.rewrite(run="second")
    report = bench.undo()
    assert (report.rows, [each.refusal for each in report.refused]) == (1, [Refusal.CHANGED_SINCE])
    assert snapshots(bench) == [later], "the second rewrite is undone; before it stands somebody's own edit"
    bench.sql("UPDATE cards SET snapshot = :d", d=between[0])
    assert bench.undo().rows == 1
    assert json.loads(snapshots(bench)[0])["url"].partition("?")[0] == url.partition("?")[0]


def test_a_dry_run_of_an_undo_writes_nothing(bench: Bench) -> None:
    fill(bench)
    bench.rewrite()
    bench.sql("DELETE FROM cards WHERE id = 2")
    before, entries = snapshots(bench), len(bench.entries())
    report = bench.undo(dry_run=True)
    assert (report.rows, len(report.refused)) == (2, 1)
    assert snapshots(bench) == before
    assert len(bench.entries()) == entries


def test_another_key_does_not_open_what_was_kept(bench: Bench) -> None:
    fill(bench, 1)
    bench.rewrite()
    with pytest.raises(LedgerKeyWrong, match="VIDEO_ASSETS_LEDGER_KEY"):
        bench.undo(key=SecretStr(Fernet.generate_key().decode()))


def test_before_images_expire_and_are_then_gone(bench: Bench) -> None:
    fill(bench, 2)
    bench.rewrite()
    assert expire_images(bench.catalog) == 0
    assert expire_images(bench.catalog, now=datetime.now(UTC) + timedelta(days=31)) == 2
    assert {each.refusal for each in bench.undo().refused} == {Refusal.EXPIRED}
    assert len(bench.entries()) == 2, "what was done stays written down"


def test_what_is_kept_for_an_undo_can_be_read_with_the_key_only(bench: Bench) -> None:
    fill(bench, 2)
    bench.rewrite()
    home = Path(str(bench.catalog.engine.url.database)).parent
    kept = b"".join(path.read_bytes() for path in home.glob("catalog.db*"))
    assert b"X-Amz-Signature=" + b"ab" * 32 not in kept


def test_an_undone_place_is_not_rewritten_again_by_itself(bench: Bench) -> None:
    fill(bench, 1)
    before = snapshots(bench)
    bench.rewrite()
    bench.undo()
    bench.take()
    assert bench.rewrite().rows == 0
    assert snapshots(bench) == before
    assert redo(bench.catalog, "old", Selection(table="cards")) == 1
    assert bench.rewrite().rows == 1
