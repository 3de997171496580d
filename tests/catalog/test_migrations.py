"""The schema: migrations up and down, in one piece or not at all, and equal to the models."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, MetaData, Table, insert, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, SQLModel

from tests.catalog.building import a_generation
from tests.catalog.conftest import MakeSettings
from video_assets.catalog import (  # legacy: its tables belong to the schema
    Generation,
    database,
    legacy,  # noqa: F401
    migrations,
    open_catalog,
)
from video_assets.catalog.legacy import LegacyFile

TABLES = set(SQLModel.metadata.tables)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A database without tables, reached the way the catalog reaches it."""
    engine = database._make_engine(database_url)
    yield engine
    engine.dispose()


def test_the_migrated_schema_is_the_schema_of_the_models(engine: Engine) -> None:
    migrations.upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": migrations.VERSION_TABLE,
                "compare_type": True,
                "compare_server_default": True,
            },
        )
        assert compare_metadata(context, SQLModel.metadata) == []
    assert set(inspect(engine).get_table_names()) >= TABLES


def test_a_missing_column_would_be_noticed(engine: Engine) -> None:
    migrations.upgrade(engine)
    with engine.connect() as connection:
        connection.execute(text("ALTER TABLE generation DROP COLUMN title"))
        context = MigrationContext.configure(connection, opts={"version_table": migrations.VERSION_TABLE})
        differences = compare_metadata(context, SQLModel.metadata)
        assert [difference[:3] for difference in differences] == [("add_column", None, "generation")]


def test_migrations_run_twice_and_keep_the_rows(database_url: str, make_settings: MakeSettings) -> None:
    catalog = open_catalog(make_settings(database_url))
    with catalog.write() as session:
        session.add(a_generation("video-1"))
    migrations.upgrade(catalog.engine)
    migrations.upgrade(catalog.engine)
    assert migrations.current(catalog.engine) == migrations.head()
    with catalog.read() as session:
        assert session.get(Generation, "video-1") is not None
    catalog.close()


def test_down_to_nothing_and_up_again(engine: Engine) -> None:
    migrations.upgrade(engine)
    migrations.downgrade(engine, "base")
    assert set(inspect(engine).get_table_names()) == {migrations.VERSION_TABLE}
    assert migrations.current(engine) is None
    migrations.upgrade(engine)
    assert set(inspect(engine).get_table_names()) == TABLES | {migrations.VERSION_TABLE}


def test_a_migration_that_fails_in_the_middle_leaves_nothing_behind(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE media_file (taken INTEGER)"))  # one of the last to be made
    with pytest.raises(Exception, match="already exists"):
        migrations.upgrade(engine)
    assert set(inspect(engine).get_table_names()) == {"media_file"}
    assert migrations.current(engine) is None


def test_what_an_earlier_version_found_is_kept_by_the_tables_that_are_made_anew(engine: Engine) -> None:
    migrations.upgrade(engine, "0003")
    now = datetime(2026, 11, 21, tzinfo=UTC)
    file = {"source": "s", "kind": "video", "state": "pending", "evidence": {}, "attempts": 0, "refreshes": 0}
    file |= {"facts": {}, "created_at": now, "updated_at": now}
    place = {
        "source": "s",
        "table_name": "t",
        "row_key": "[1]",
        "column_name": "c",
        "pointer": "",
        "url_digest": "d",
    }
    finding = {**place, "redacted": "r", "carries_jwt": True, "context": {}, "state": "pending"}
    finding |= {"found_at": now, "updated_at": now}
    with engine.begin() as connection:
        tables = MetaData()
        tables.reflect(connection, only=["legacy_file", "legacy_finding"])
        for name in ("a", "b"):
            connection.execute(insert(tables.tables["legacy_file"]).values(id=name, fingerprint=name, **file))
            connection.execute(insert(tables.tables["legacy_finding"]).values(id=name, file_id=name, **finding))
    for step in (migrations.upgrade, lambda engine: migrations.downgrade(engine, "0003"), migrations.upgrade):
        step(engine)
        with engine.connect() as connection:
            assert connection.scalars(text("SELECT id FROM legacy_file ORDER BY id")).all() == ["a", "b"]
            rows = connection.execute(text("SELECT id, file_id FROM legacy_finding ORDER BY id"))
            assert [tuple(row) for row in rows] == [("a", "a"), ("b", "b")]


def test_two_files_never_share_a_stored_object_and_many_have_none(engine: Engine) -> None:
    migrations.upgrade(engine)
    with Session(engine) as session:
        session.add_all([LegacyFile(id=str(n), source="s", fingerprint=str(n)) for n in range(3)])
        session.add(LegacyFile(id="stored", source="s", fingerprint="f", bucket="b", key="k"))
        session.commit()
        session.add(LegacyFile(id="again", source="s", fingerprint="g", bucket="b", key="k"))
        with pytest.raises(IntegrityError, match=r"(?i)unique"):
            session.commit()


def test_jobs_that_one_wrong_answer_had_failed_may_be_asked_about_again(engine: Engine) -> None:
    """``abandoned`` is asked about for free; what the provider itself called failed stays so."""
    migrations.upgrade(engine, "0004")
    jobs = {
        "forgotten": ("task-1", "source_gone", "runway does not know this task (404)"),
        "overdue": ("task-2", "provider_error", "still RUNNING after 1 day, 0:00:00: given up"),
        "refused": ("task-3", "SAFETY.INPUT.TEXT", "no"),
        "not sent": (None, "provider_refused", "no"),
    }
    with engine.begin() as connection:
        _insert(connection, "generation", id="g", owner="o", provider="runway", model="m", prompt="p")
        for number, (name, (task, code, message)) in enumerate(jobs.items()):
            _insert(
                connection,
                "provider_job",
                id=name,
                generation_id="g",
                ordinal=number,
                provider="runway",
                model="m",
                status="failed",
                task_id=task,
                failure_code=code,
                failure_message=message,
            )

    def statuses() -> dict[str, str]:
        with engine.connect() as connection:
            return dict(connection.execute(text("SELECT id, status FROM provider_job")).tuples().all())

    migrations.upgrade(engine)
    abandoned, failed = "abandoned", "failed"
    assert statuses() == {"forgotten": abandoned, "overdue": abandoned, "refused": failed, "not sent": failed}
    migrations.downgrade(engine, "0004")
    assert set(statuses().values()) == {failed}


def _insert(connection: Connection, table: str, **values: object) -> None:
    """A row of a table as it is now in the database; what is not given and may not be NULL is filled in."""
    found = Table(table, MetaData(), autoload_with=connection)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    filled: dict[str, object] = {}
    for column in found.columns:
        if column.name in values or column.nullable or column.server_default is not None:
            continue
        kind = column.type.python_type
        filled[column.name] = {datetime: moment, dict: {}, str: "", bool: False}.get(kind, 0)
    connection.execute(insert(found).values({**filled, **values}))
