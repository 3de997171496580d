"""Opening a catalog: created, migrated, or refused with a sentence that helps."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool
from sqlmodel import select

from tests.catalog.building import a_generation
from tests.catalog.conftest import MakeSettings
from tests.catalog.processes import run_together
from tests.conftest import NewDatabase
from video_assets.catalog import (
    Catalog,
    CatalogError,
    CatalogTooNew,
    CatalogUnavailable,
    Generation,
    database,
    migrations,
    open_catalog,
)
from video_assets.settings import Settings


def test_opening_twice_keeps_what_was_there(settings: Settings) -> None:
    with open_catalog(settings).write() as session:
        session.add(a_generation("video-1"))
    with open_catalog(settings).read() as session:
        assert session.get(Generation, "video-1") is not None


def test_sqlite_waits_for_other_writers_and_survives_a_power_cut(make_settings: MakeSettings) -> None:
    catalog = open_catalog(make_settings())
    with catalog.read() as session:
        assert session.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert session.execute(text("PRAGMA synchronous")).scalar() == 2
        assert session.execute(text("PRAGMA foreign_keys")).scalar() == 1
        assert session.execute(text("PRAGMA busy_timeout")).scalar() == 30_000
    catalog.close()


def test_processes_that_start_together_on_nothing_make_one_catalog(
    database_url: str, make_settings: MakeSettings, tmp_path: Path
) -> None:
    outcomes = run_together(
        4,
        """
        from video_assets.catalog import Generation, open_catalog
        catalog = open_catalog(settings)
        with catalog.write() as session:
            session.add(Generation(id=f"video-{number}", owner="o", provider="p", model="m", prompt="x"))
        print("opened")
        """,
        database_url=database_url,
        home=tmp_path / "home",
    )
    assert outcomes == ["opened"] * 4
    with open_catalog(make_settings(database_url)).read() as session:
        assert sorted(session.exec(select(Generation.id)).all()) == [f"video-{n}" for n in range(4)]


def test_a_catalog_of_a_later_version_is_refused_and_nothing_is_changed(
    database_url: str, make_settings: MakeSettings
) -> None:
    settings = make_settings(database_url)
    open_catalog(settings).close()
    engine = create_engine(settings.catalog_url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {migrations.VERSION_TABLE} SET version_num = '9999'"))
        connection.execute(text("ALTER TABLE generation ADD COLUMN later_idea TEXT"))
    before = _schema(settings.catalog_url)
    with pytest.raises(CatalogTooNew, match=r"9999.*upgrade this installation, nothing was changed"):
        open_catalog(settings)
    assert _schema(settings.catalog_url) == before
    with engine.connect() as connection:
        assert connection.execute(text(f"SELECT version_num FROM {migrations.VERSION_TABLE}")).scalar() == "9999"


def test_dagster_may_keep_its_own_tables_in_the_same_database(
    database_url: str, make_settings: MakeSettings
) -> None:
    settings = make_settings(database_url)
    settings.home.mkdir(parents=True)
    engine = create_engine(database_url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('7e2f3204cf8e')"))
    open_catalog(settings).close()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "7e2f3204cf8e"


def test_a_file_that_is_no_database_is_left_alone(make_settings: MakeSettings) -> None:
    settings = make_settings()
    settings.home.mkdir()
    file = settings.home / "catalog.db"
    file.write_bytes(b"these are my holiday notes, not a database\n" * 100)
    before = file.read_bytes()
    with pytest.raises(CatalogUnavailable, match=r"not a database; .*set VIDEO_ASSETS_DATABASE_URL"):
        open_catalog(settings)
    assert file.read_bytes() == before


def test_somebody_elses_tables_are_not_taken_for_ours(database_url: str, make_settings: MakeSettings) -> None:
    settings = make_settings(database_url)
    settings.home.mkdir(parents=True)
    engine = create_engine(database_url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE generation (year INTEGER)"))
    before = _schema(database_url)
    with pytest.raises(CatalogUnavailable, match="already exists; this is not a catalog"):
        open_catalog(settings)
    assert _schema(database_url) == before


@pytest.mark.parametrize(
    "url",
    [
        "not a url at all pw-hunter2",
        "postgres://me:pw-hunter2@db.example/videos",
        "mysql+pymysql://me:pw-hunter2@db.example/videos",
        "oracle-of-delphi://me:pw-hunter2@db.example/videos",
        "sqlite://",
    ],
)
def test_a_url_that_cannot_hold_a_catalog_is_refused_without_repeating_its_password(
    url: str, make_settings: MakeSettings
) -> None:
    with pytest.raises(CatalogError, match=r"VIDEO_ASSETS_DATABASE_URL.*postgresql\+psycopg2://") as refused:
        open_catalog(make_settings(url))
    assert "hunter2" not in str(refused.value)


def test_a_server_that_is_down_is_named_without_its_password(make_settings: MakeSettings) -> None:
    url = "postgresql+psycopg2://me:pw-hunter2@127.0.0.1:1/videos?password=pw-hunter3"
    with pytest.raises(CatalogUnavailable, match=r"127\.0\.0\.1:1/videos.*that the server is up") as refused:
        open_catalog(make_settings(url))
    assert "hunter" not in str(refused.value)


def test_a_catalog_whose_file_was_deleted_takes_no_more_writes(make_settings: MakeSettings) -> None:
    catalog = open_catalog(make_settings())
    for name in ("catalog.db", "catalog.db-wal", "catalog.db-shm"):
        (make_settings().home / name).unlink(missing_ok=True)
    with (
        pytest.raises(CatalogUnavailable, match=r"removed or replaced.*restore the file"),
        catalog.write() as session,
    ):
        session.add(a_generation("video-lost"))
    catalog.close()


def test_a_database_that_was_emptied_is_reported_not_recreated(
    database_url: str, make_settings: MakeSettings
) -> None:
    catalog = open_catalog(make_settings(database_url))
    with catalog.write() as session:
        for table in ("media_file", "output", "provider_job", "event", "lease", "generation"):
            session.execute(text(f"DROP TABLE {table}"))
    with (
        pytest.raises(CatalogUnavailable, match="restore it or set VIDEO_ASSETS_DATABASE_URL"),
        catalog.read() as s,
    ):
        s.exec(select(Generation)).all()
    catalog.close()


def test_waiting_for_a_stuck_writer_has_an_end(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    catalog = open_catalog(settings)
    with catalog.write() as session:
        session.add(a_generation("video-1"))
    with catalog.write() as stuck:
        stuck.get_one(Generation, "video-1").title = "half done"
        stuck.flush()
        with pytest.raises(CatalogUnavailable, match="another process holds it"), catalog.write() as session:
            session.get_one(Generation, "video-1").title = "other"
    with catalog.read() as session:
        assert session.get_one(Generation, "video-1").title == "half done"
    catalog.close()


def test_two_writers_wait_for_each_other_instead_of_failing_half_way(catalog: Catalog) -> None:
    with catalog.write() as session:
        session.add(a_generation("video-1"))

    def count_up() -> None:
        for _ in range(10):
            with catalog.write() as session:
                statement = select(Generation).where(Generation.id == "video-1").with_for_update()
                session.exec(statement).one().attempt += 1

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with catalog.read() as session:
        assert session.get_one(Generation, "video-1").attempt == 41


def test_a_read_only_folder_says_what_to_make_writable(make_settings: MakeSettings) -> None:
    home = Path(tempfile.mkdtemp(prefix="catalog"))  # an ordinary user has to be able to come this far
    settings = make_settings(home=home)
    open_catalog(settings).close()
    home.chmod(0o555)
    (home / "catalog.db").chmod(0o444)
    try:
        with as_an_ordinary_user(), pytest.raises(CatalogUnavailable, match="writable for this user"):
            _add_a_generation(settings)
    finally:
        shutil.rmtree(home)


def test_a_folder_that_cannot_be_made_is_named(make_settings: MakeSettings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CatalogUnavailable, match="check VIDEO_ASSETS_HOME"):
        open_catalog(make_settings(home=tmp_path / "file" / "home"))


def test_a_full_disk_loses_nothing_that_was_committed(make_settings: MakeSettings) -> None:
    settings = make_settings()
    (outcome,) = run_together(
        1,
        """
        import resource
        from video_assets.catalog import CatalogUnavailable, Generation, open_catalog
        catalog = open_catalog(settings)
        with catalog.write() as session:
            session.add(Generation(id="video-kept", owner="o", provider="p", model="m", prompt="x"))
        limit = sum(f.stat().st_size for f in settings.home.iterdir()) + 65_536
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            with catalog.write() as session:
                for n in range(200):
                    session.add(Generation(owner="o", provider="p", model="m", prompt="x" * 9999))
        except CatalogUnavailable as exc:
            print(exc)
        """,
        home=settings.home,
    )
    assert outcome.endswith("check the disk and free space on it; what was committed is not lost")
    with open_catalog(settings).read() as session:
        assert session.exec(select(Generation.id)).all() == ["video-kept"]


def test_a_database_that_may_not_grow_says_to_free_space(make_settings: MakeSettings) -> None:
    catalog = open_catalog(make_settings())
    with catalog.read() as session:
        session.execute(text("PRAGMA max_page_count = 1"))
    with pytest.raises(CatalogUnavailable, match="full; free disk space"), catalog.write() as session:
        session.add_all(a_generation(f"video-{n}", prompt="x" * 9999) for n in range(50))
    catalog.close()


def test_a_read_only_postgresql_says_so(postgres_url: NewDatabase, make_settings: MakeSettings) -> None:
    settings = make_settings(postgres_url())
    catalog = open_catalog(settings)
    with catalog.write() as session:
        name = make_url(settings.catalog_url).database
        session.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'))
    catalog.close()
    with pytest.raises(CatalogUnavailable, match=r"read-only.*writable"), catalog.write() as session:
        session.add(a_generation("video-1"))
    catalog.close()


def _add_a_generation(settings: Settings) -> None:
    with open_catalog(settings).write() as session:
        session.add(a_generation("video-1"))


@contextmanager
def as_an_ordinary_user() -> Iterator[None]:
    """File permissions mean nothing to root: become nobody for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def _schema(url: str) -> list[tuple[object, ...]]:
    """Every column of every table, as the database itself tells."""
    engine = create_engine(url, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        question = "SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2"
    else:
        question = (
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'public' ORDER BY 1, 2"
        )
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(question))]
