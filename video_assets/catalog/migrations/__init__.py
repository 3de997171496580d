"""Alembic migrations of the catalog: up, down, and safe to start from several processes at once."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

POSTGRES_LOCK = 7_205_759_403
"""Advisory lock number under which one process at a time migrates."""

VERSION_TABLE = "video_assets_revision"
"""Not Alembic's usual name: Dagster keeps ``alembic_version``, and both may share one database."""


class UnknownRevision(Exception):
    """The database carries a revision that this version does not know."""

    def __init__(self, revision: str) -> None:
        super().__init__(revision)
        self.revision = revision


def _script() -> Config:
    config = Config()
    # A percent sign in the path would be read as an interpolation.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def _config(connection: Connection) -> Config:
    config = _script()
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """The newest revision this version knows."""
    revision = ScriptDirectory.from_config(_script()).get_current_head()
    if revision is None:
        raise RuntimeError("the package holds no migrations")
    return revision


def current(engine: Engine) -> str | None:
    """The revision of the database, None when it is empty."""
    with engine.connect() as connection:
        return _revision_of(connection)


def _revision_of(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def _refuse_unknown(revision: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_script()).walk_revisions()}
    if revision is not None and revision not in known:
        raise UnknownRevision(revision)


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the database to ``revision``. Raises UnknownRevision when it is ahead of this version."""
    found = current(engine)
    if found == head() and revision == "head":
        return
    _refuse_unknown(found)
    with _exclusive(engine) as connection:
        _refuse_unknown(_revision_of(connection))  # another process may have been first
        command.upgrade(_config(connection), revision)
        connection.commit()


def downgrade(engine: Engine, revision: str) -> None:
    """Take the database back to ``revision`` (``base`` removes every table)."""
    with _exclusive(engine) as connection:
        _refuse_unknown(_revision_of(connection))
        command.downgrade(_config(connection), revision)
        connection.commit()


def _exclusive(engine: Engine) -> Connection:
    """A connection that alone migrates: an immediate transaction on SQLite, an advisory lock on PostgreSQL."""
    connection = engine.connect()
    if engine.dialect.name == "sqlite":
        connection = connection.execution_options(sqlite_begin="IMMEDIATE")
        connection.begin()
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": POSTGRES_LOCK})
    return connection
