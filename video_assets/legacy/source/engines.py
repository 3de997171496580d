"""One engine per kind of database: SQLite, PostgreSQL, MySQL and MariaDB, with time-outs, and gently.

Sessions that only read cannot write; text in an unknown encoding survives unchanged, and so do odd times.
"""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SAWarning
from sqlalchemy.pool import NullPool

from video_assets.legacy.config.models import Reading
from video_assets.legacy.errors import ConfigurationInvalid, SourceUnavailable

DIALECTS = ("sqlite", "postgresql", "mysql", "mariadb")
# A type that SQLAlchemy does not know is read as the text that the database shows.
warnings.filterwarnings("ignore", message="Did not recognize type", category=SAWarning)
_EXTRAS = {"psycopg2": "postgres", "pymysql": "mysql"}


def make_engine(url: str, name: str, reading: Reading, *, for_writing: bool) -> Engine:
    """The engine for an address, by the kind of its database. Raises ConfigurationInvalid, SourceUnavailable."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # a port that is no number is a ValueError, and its text holds the value
        raise ConfigurationInvalid(_not_an_address(name)) from None
    if parsed.drivername == "postgres" or parsed.get_backend_name() == "postgresql":
        # What applications use in their addresses (asyncpg, psycopg) leads to the same place.
        parsed = parsed.set(drivername="postgresql+psycopg2")
    backend = parsed.get_backend_name()
    if backend != "sqlite" and "@" in f"{parsed.host or ''}{parsed.database or ''}":
        # Then the rest of the password has become a part of the host's name, which messages show.
        raise ConfigurationInvalid(
            f"source {name!r}: the user or the password in the address holds an '@': write it as %40 (and '%' as "
            "%25)"
        )
    if backend not in DIALECTS:
        raise ConfigurationInvalid(
            f"source {name!r}: {backend} databases cannot be read; {', '.join(DIALECTS)} can"
        )
    if backend in ("mysql", "mariadb") and not parsed.drivername.endswith("+mysqldb"):
        parsed = parsed.set(drivername=f"{backend}+pymysql")
    try:
        if backend == "sqlite":
            return _sqlite_engine(parsed, name, reading, for_writing=for_writing)
        if backend == "postgresql":
            return _postgresql_engine(parsed, reading, for_writing=for_writing)
        return _mysql_engine(parsed, reading, for_writing=for_writing)
    except (ArgumentError, NoSuchModuleError):
        raise ConfigurationInvalid(_not_an_address(name)) from None
    except ModuleNotFoundError as exc:
        extra = _EXTRAS.get(exc.name or "")
        remedy = f"`pip install 'video-assets[{extra}]'`" if extra else f"install {exc.name}"
        raise ConfigurationInvalid(
            f"source {name!r}: the database driver {exc.name} is not installed: {remedy}"
        ) from None


def _not_an_address(name: str) -> str:
    return (
        f"source {name!r}: the address is not a SQLAlchemy URL; give `postgresql+psycopg2://user:${{PASSWORD}}@host/"
        "database`, `mysql+pymysql://…` or `sqlite:////folder/file.db`"
    )


def _sqlite_engine(url: URL, name: str, reading: Reading, *, for_writing: bool) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ConfigurationInvalid(f"source {name!r}: an SQLite source is a file: `sqlite:////folder/file.db`")
    path = Path(url.database.removeprefix("file:"))
    # Whoever says so in the address means it: it is never written through, whatever is asked of it.
    mode = "ro" if url.query.get("mode") == "ro" else "rw"
    if "immutable" in url.query:
        mode = "ro&immutable=1"
    if not path.is_file():
        # SQLite would make an empty database under any name.
        raise SourceUnavailable(
            f"source {name!r}: there is no file {path}; correct the path (an absolute one has four slashes)"
        )

    def open_file() -> sqlite3.Connection:
        return sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode={mode}",
            uri=True,
            timeout=reading.lock_timeout_seconds,
            isolation_level=None,
            check_same_thread=False,
        )

    engine = create_engine("sqlite://", creator=open_file, poolclass=NullPool, hide_parameters=True)
    engine.url = url

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
        # A column declared TEXT may hold bytes of any encoding; this keeps each of them.
        connection.text_factory = _keep_every_byte
        if not for_writing:
            connection.execute("PRAGMA query_only=ON")
        else:
            # SQLite leaves foreign keys alone unless it is asked: what refers to a row must not lose it.
            connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if for_writing else "BEGIN")

    return engine


def _keep_every_byte(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogateescape")


def _postgresql_engine(url: URL, reading: Reading, *, for_writing: bool) -> Engine:
    options = {
        "statement_timeout": f"{reading.statement_timeout_seconds * 1000:.0f}",
        "lock_timeout": f"{reading.lock_timeout_seconds * 1000:.0f}",
        "idle_in_transaction_session_timeout": "60000",
    }
    if not for_writing:
        options["default_transaction_read_only"] = "on"
    engine = create_engine(
        url,
        pool_size=2,
        max_overflow=14,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "connect_timeout": max(int(reading.connect_timeout_seconds), 2),
            "application_name": "video-assets",
        },
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        _read_every_time(connection)
        # Set by statements and not by libpq's "options", which connection poolers refuse.
        with connection.cursor() as cursor:
            for setting, value in options.items():
                cursor.execute(f"SET {setting} = '{value}'")
            cursor.execute("SHOW server_encoding")
            unknown_encoding = cursor.fetchone()[0] == "SQL_ASCII"
        connection.commit()
        if unknown_encoding:
            # The server does not know what its bytes mean: one character per byte brings each back unchanged.
            connection.set_client_encoding("LATIN1")

    return engine


def _read_every_time(connection: Any) -> None:
    """Let times that Python has no value for (44 BC, the year 20000, infinity) come as the text the server shows.

    The driver raises ValueError for the first two, and makes another time of the third.
    """
    from psycopg2 import extensions  # the driver of PostgreSQL is an extra

    for usual in (extensions.PYDATE, extensions.PYDATETIME, extensions.PYDATETIMETZ, extensions.PYINTERVAL):
        extensions.register_type(extensions.new_type(usual.values, usual.name, _time_or_text(usual)), connection)


def _time_or_text(usual: Callable[[str | None, Any], Any]) -> Callable[[str | None, Any], Any]:
    def read(shown: str | None, cursor: Any) -> Any:
        if shown is not None and shown.endswith("infinity"):
            return shown
        try:
            return usual(shown, cursor)
        except (ValueError, OverflowError):
            return shown

    return read


def _mysql_engine(url: URL, reading: Reading, *, for_writing: bool) -> Engine:
    engine = create_engine(
        url,
        pool_size=2,
        max_overflow=14,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"connect_timeout": max(int(reading.connect_timeout_seconds), 2), "charset": "utf8mb4"},
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        wait = max(round(reading.lock_timeout_seconds), 1)
        with connection.cursor() as cursor:
            cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {wait}, SESSION lock_wait_timeout = {wait}")
            cursor.execute("SELECT VERSION()")
            if "mariadb" in str(cursor.fetchone()[0]).lower():
                cursor.execute(f"SET SESSION max_statement_time = {reading.statement_timeout_seconds:.3f}")
            else:
                cursor.execute(f"SET SESSION max_execution_time = {reading.statement_timeout_seconds * 1000:.0f}")
            if not for_writing:
                cursor.execute("SET SESSION TRANSACTION READ ONLY")
        connection.commit()

    return engine
