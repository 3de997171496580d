"""Opening the catalog: SQLite in WAL mode by default, PostgreSQL in production, always migrated, never newer.

Two kinds of session: :meth:`Catalog.read` for questions and :meth:`Catalog.write` for short transactions.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import URL, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    NotSupportedError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlmodel import Session

from video_assets.catalog.columns import EncryptedText, dump_json
from video_assets.catalog.errors import CatalogError, CatalogTooNew, CatalogUnavailable
from video_assets.settings import Settings
from video_assets.urls import redact

log = logging.getLogger(__name__)

BUSY_SECONDS = 30
"""Longest wait for a lock that another process holds."""


class Catalog:
    """An open catalog. Thread-safe; one per process."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_postgresql = engine.dialect.name == "postgresql"
        self.address = _address(engine.url)
        # SQLite's own way to wait for the write lock is to sleep ever longer; threads of one process queue here.
        self._turn = nullcontext() if self.is_postgresql else threading.RLock()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for questions. What it loads stays usable after the session is closed."""
        with self._session() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One short transaction: committed when the block ends, rolled back when it raises.

        On SQLite the write lock is taken at the start, so that two writers wait for each other instead of
        failing half-way. Do no slow work inside. Raises CatalogUnavailable.
        """
        with self._turn, self._session() as session:
            if self.is_postgresql:
                session.execute(text(f"SET LOCAL lock_timeout = {int(BUSY_SECONDS * 1000)}"))
            else:
                session.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
            yield session
            session.commit()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        try:
            with Session(self.engine, expire_on_commit=False) as session:
                yield session
        except PoolExhausted:
            raise CatalogUnavailable(
                f"the catalog at {self.address} cannot be used: every connection of this process is busy; "
                "lower VIDEO_ASSETS_DOWNLOAD_CONCURRENCY or look for a stuck run, then try again"
            ) from None
        except DBAPIError as exc:
            if not _means_unusable(exc):
                raise
            raise CatalogUnavailable(_explain(exc, self.address)) from None

    def handle(self) -> CatalogHandle:
        """What a helper process of this one needs to open the same catalog."""
        return CatalogHandle(self.engine.url.render_as_string(hide_password=False), EncryptedText.key())

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


@dataclass(frozen=True)
class CatalogHandle:
    """A catalog that is open already, on its way to another process. A secret."""

    url: str = field(repr=False)
    key: bytes = field(repr=False)

    def open(self) -> Catalog:
        """The same catalog in this process; nothing is migrated or made."""
        EncryptedText.use_key(self.key)
        return Catalog(_make_engine(self.url))


def _address(url: URL) -> str:
    """Where a catalog is, without its password: no query string either, which may hold one."""
    return url.set(query={}).render_as_string(hide_password=True)


def _means_unusable(exc: DBAPIError) -> bool:
    """Whether an error is about the database as a whole, not about one statement."""
    if isinstance(exc, ProgrammingError):
        return getattr(exc.orig, "pgcode", None) in UNUSABLE_STATES
    return not isinstance(exc, IntegrityError | DataError | NotSupportedError)


UNUSABLE_STATES = frozenset({"42P01", "42501"})
"""SQLSTATEs of PostgreSQL: a table is missing, permission is denied."""

REMEDIES = (
    (("locked", "lock timeout", "deadlock"), "another process holds it; look for a stuck run, then try again"),
    (
        ("readonly", "read-only", "permission denied", "unable to open"),
        "make the file and its folder exist and writable for this user",
    ),
    (("full", "no space"), "free disk space; what was committed is not lost"),
    (("disk i/o error",), "check the disk and free space on it; what was committed is not lost"),
    (
        ("no such table", "does not exist", "not a database", "malformed", "already exists"),
        "this is not a catalog, or it was damaged or replaced; restore it or set VIDEO_ASSETS_DATABASE_URL",
    ),
    (("removed or replaced",), "restore the file, then restart"),
)
"""What a driver's words ask a person to do; the first match counts."""


def _explain(exc: DBAPIError, address: str) -> str:
    """One sentence for a database that does not work, with the remedy."""
    lines = redact(str(exc.orig)).strip().splitlines() if exc.orig else []
    cause = lines[0] if lines else type(exc).__name__
    lowered = cause.lower()
    remedy = next(
        (remedy for words, remedy in REMEDIES if any(word in lowered for word in words)),
        "check VIDEO_ASSETS_DATABASE_URL (or VIDEO_ASSETS_HOME) and that the server is up",
    )
    return f"the catalog at {address} cannot be used: {cause}; {remedy}"


def _configure_sqlite(engine: Engine, path: Path) -> None:
    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, record: Any) -> None:
        # The driver's own implicit BEGIN is switched off; SQLAlchemy's "begin" event below starts transactions.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")
        _switch_to_wal(cursor)
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()
        record.info["inode"] = path.stat().st_ino

    @event.listens_for(engine, "checkout")
    def _on_checkout(_connection: Any, record: Any, _proxy: Any) -> None:
        # SQLite goes on writing into a file that was deleted or replaced under it: lost without any error.
        try:
            inode = path.stat().st_ino
        except OSError:
            inode = None
        if inode != record.info["inode"]:
            raise sqlite3.OperationalError("the file was removed or replaced while it was open")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Any) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")


def _switch_to_wal(cursor: sqlite3.Cursor) -> None:
    # The one thing SQLite does not wait for by itself: processes that make the file together would fail here.
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.02)
        else:
            return


def _make_engine(url: str) -> Engine:
    """An engine without a connection yet. Raises CatalogError for a URL that cannot be one of a catalog."""
    try:
        parsed = make_url(url)
        # Values stay out of exception texts and logs: a statement that fails may hold a temporary URL.
        common: dict[str, Any] = {"hide_parameters": True, "json_serializer": dump_json}
        if parsed.get_backend_name() == "postgresql":
            return create_engine(
                parsed,
                pool_size=16,
                max_overflow=32,
                pool_pre_ping=True,
                connect_args=_timeouts(parsed),
                **common,
            )
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            path = Path(parsed.database)
            path.parent.mkdir(parents=True, exist_ok=True)
            engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS}, pool_size=32, **common)
            _configure_sqlite(engine, path)
            return engine
    except (ArgumentError, NoSuchModuleError):
        pass  # the text of these errors may repeat the password
    except ModuleNotFoundError as exc:
        raise CatalogError(
            f"the database driver {exc.name} is not installed: `pip install 'video-assets[postgres]'`"
        ) from None
    raise CatalogError(
        "VIDEO_ASSETS_DATABASE_URL is not a database a catalog can live in: give "
        "`postgresql+psycopg2://user:password@host/database` or `sqlite:////folder/catalog.db`"
    )


def _timeouts(url: URL) -> dict[str, Any]:
    # libpq waits without end for a host that does not answer; other drivers name this setting differently.
    return {"connect_timeout": 10} if url.get_driver_name() in ("psycopg2", "psycopg") else {}


def load_encryption_key(settings: Settings) -> bytes:
    """The Fernet key of this installation: from the settings, else from ``home/encryption.key``.

    The file is generated on first start, readable by its owner only, with a warning to set a key.
    Raises CatalogError when the key is not a Fernet key or the file cannot be made.
    """
    if settings.encryption_key is not None:
        key = settings.encryption_key.get_secret_value().encode()
    else:
        path = settings.home / "encryption.key"
        try:
            settings.home.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                _create_key_file(path)
            key = path.read_bytes().strip()
        except OSError as exc:
            raise CatalogUnavailable(
                f"the encryption key {path} cannot be read or made ({exc.strerror}): make VIDEO_ASSETS_HOME "
                "writable or set VIDEO_ASSETS_ENCRYPTION_KEY"
            ) from None
    try:
        Fernet(key)
    except ValueError:
        raise CatalogError(
            "the encryption key is not a Fernet key (32 bytes, url-safe base64): make one with "
            '`python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"`'
        ) from None
    return key


def _create_key_file(path: Path) -> None:
    # Written aside and linked into place, so that two processes starting together agree on one key.
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    descriptor = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(Fernet.generate_key())
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
        log.warning(
            "generated an encryption key in %s: back it up, and set VIDEO_ASSETS_ENCRYPTION_KEY when several "
            "machines share the catalog",
            path,
        )
    except FileExistsError:
        pass  # another process was first; its key counts
    finally:
        temporary.unlink()


def open_catalog(settings: Settings) -> Catalog:
    """Open the catalog of ``settings``, creating or migrating it as needed.

    Raises CatalogUnavailable when it cannot be reached, CatalogTooNew when it belongs to a later version, and
    CatalogError for a URL or an encryption key that is none.
    """
    # Only whoever may have to migrate waits for Alembic; helper processes open what is there.
    from video_assets.catalog import migrations

    EncryptedText.use_key(load_encryption_key(settings))
    url = settings.catalog_url
    try:
        engine = _make_engine(url)
    except OSError as exc:
        raise CatalogUnavailable(
            f"the folder of the catalog cannot be made ({exc.strerror}): check VIDEO_ASSETS_HOME"
        ) from None
    catalog = Catalog(engine)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        migrations.upgrade(engine)
    except migrations.UnknownRevision as exc:
        engine.dispose()
        raise CatalogTooNew(
            f"the catalog at {catalog.address} was made by a later version of video_assets (revision "
            f"{exc.revision}): upgrade this installation, nothing was changed"
        ) from None
    except DBAPIError as exc:
        engine.dispose()
        raise CatalogUnavailable(_explain(exc, catalog.address)) from None
    return catalog
