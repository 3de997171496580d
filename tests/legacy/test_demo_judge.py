"""The judge of demo-legacy has to be able to say no. (The demonstration itself is a step of CI.)"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from video_assets.catalog import Catalog, open_catalog
from video_assets.catalog.legacy import FindingState, LegacyFile, LegacyFinding
from video_assets.catalog.models import MediaState
from video_assets.cli.demo.dagster_ui import DagsterUi
from video_assets.cli.demo.legacy_walk import Story
from video_assets.cli.failures import CommandFailed
from video_assets.demo.legacy_accounts import content_digests, take_account
from video_assets.legacy.config.models import Column, Source, Table
from video_assets.settings import Settings


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = open_catalog(Settings(_env_file=None, home=tmp_path / "home"))
    yield opened
    opened.close()


def place(catalog: Catalog, number: int, state: FindingState, file_state: MediaState, **file: object) -> None:
    with catalog.write() as session:
        session.add(LegacyFile(id=f"f{number}", source="app", fingerprint=f"{number}", state=file_state, **file))
        session.flush()
        session.add(
            LegacyFinding(
                id=f"p{number}", source="app", table_name="t", row_key=f"[{number}]", column_name="c",
                file_id=f"f{number}", url_digest="d", redacted="r", state=state,
            )
        )  # fmt: skip


def test_what_is_rewritten_lost_with_evidence_or_left_alone_is_accounted_for(catalog: Catalog) -> None:
    place(catalog, 1, FindingState.REWRITTEN, MediaState.STORED, file_size=5, refreshes=1)
    place(catalog, 2, FindingState.LOST, MediaState.LOST, message="gone", evidence={"status": 404})
    place(catalog, 3, FindingState.EXCEPTED, MediaState.PENDING)
    account = take_account(catalog, "app")
    assert (account.places, account.unaccounted) == (3, 0)
    assert (account.stored, account.refreshed, account.bytes) == (1, 1, 5)
    assert dict(account.lost) == {"gone": 1}


@pytest.mark.parametrize(
    "state", [FindingState.PENDING, FindingState.SAVED, FindingState.CHANGED, FindingState.UNDONE]
)
def test_a_place_that_is_on_its_way_is_not_accounted_for(catalog: Catalog, state: FindingState) -> None:
    place(catalog, 1, state, MediaState.STORED)
    assert take_account(catalog, "app").unaccounted == 1


def test_a_loss_that_nobody_explains_is_not_accounted_for(catalog: Catalog) -> None:
    place(catalog, 1, FindingState.LOST, MediaState.LOST)
    assert take_account(catalog, "app").unaccounted == 1


def test_losses_that_differ_in_an_id_only_are_counted_together(catalog: Catalog) -> None:
    for number, letter in ((1, "a"), (2, "b")):
        message = f"the provider forgot {letter * 8}-1111-2222-3333-444444444444"
        place(catalog, number, FindingState.LOST, MediaState.LOST, message=message, evidence={"status": 404})
    assert dict(take_account(catalog, "app").lost) == {"the provider forgot …": 2}


def test_the_digest_of_a_table_sees_every_byte_and_every_type(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, c, b BLOB)")
        connection.execute("INSERT INTO t VALUES (1, 'x', x'00ff'), (2, '1', NULL)")
    source = Source(name="app", url=f"sqlite:///{path}", tables=(Table(name="t", column=(Column(name="c"),)),))
    first = content_digests(source)
    for statement in ("UPDATE t SET c = 'X' WHERE id = 1", "UPDATE t SET c = 1", "UPDATE t SET b = x'00fe'"):
        with sqlite3.connect(path) as connection:
            connection.execute(statement)
        now = content_digests(source)
        assert now != first
        first = now
    assert content_digests(source) == first


def test_a_story_with_a_problem_is_no_success() -> None:
    story = Story()
    story.expect(True, "never said")
    story.expect(0, "nothing was rewritten")
    assert story.problems == ["nothing was rewritten"]


def test_a_webserver_that_does_not_answer_is_one_sentence() -> None:
    with pytest.raises(CommandFailed, match="does not answer"):
        DagsterUi("http://127.0.0.1:9").launch_run("job", "key")
