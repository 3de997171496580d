"""Every question to the catalog is asked twice: of SQLite in WAL mode and of a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

from tests.conftest import NewDatabase
from video_assets.catalog import Catalog, open_catalog
from video_assets.settings import Settings

KEY = Fernet.generate_key().decode()

MakeSettings = Callable[..., Settings]


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Settings of a fresh installation in ``tmp_path``, untouched by this machine's environment."""

    def make(database_url: str | None = None, *, home: Path | None = None, key: str | None = KEY) -> Settings:
        return Settings(
            _env_file=None,  # type: ignore[call-arg]
            home=home or tmp_path / "home",
            database_url=database_url,  # type: ignore[arg-type]
            encryption_key=key,  # type: ignore[arg-type]
        )

    return make


@pytest.fixture(scope="session")
def migrated_postgres(postgres_url: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A migrated catalog for all tests of this process that leave its schema alone."""
    url = postgres_url()
    home = tmp_path_factory.mktemp("template")
    open_catalog(Settings(_env_file=None, home=home, database_url=url, encryption_key=KEY)).close()  # type: ignore[call-arg, arg-type]
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without any table: a file that does not exist yet, or a new PostgreSQL database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'home' / 'catalog.db'}"
    new_database: NewDatabase = request.getfixturevalue("postgres_url")
    return new_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, make_settings: MakeSettings) -> Settings:
    """Settings of an empty catalog of each kind. Tests that change its schema use ``database_url``."""
    if request.param == "sqlite":
        return make_settings()
    url: str = request.getfixturevalue("migrated_postgres")
    names = ", ".join(table.name for table in SQLModel.metadata.sorted_tables)
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
    return make_settings(url)


@pytest.fixture
def catalog(settings: Settings) -> Iterator[Catalog]:
    """An open, empty catalog of each kind."""
    opened = open_catalog(settings)
    yield opened
    opened.close()
