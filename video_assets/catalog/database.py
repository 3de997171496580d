"""Opening the catalog: SQLite in WAL mode by default, PostgreSQL in production, always migrated, never newer.

Two kinds of session: :meth:`Catalog.read` for questions and :meth:`Catalog.write` for short transactions.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlmodel import Session

from video_assets.catalog import migrations
from video_assets.catalog.columns import EncryptedText
from video_assets.settings import Settings
from video_assets.urls import redact

log = logging.getLogger(__name__)

SQLITE_BUSY_SECONDS = 30


class CatalogError(Exception):
    """The catalog cannot be used. The message says what to do and holds no password."""


class CatalogUnavailable(CatalogError):
    """The database is unreachable, locked for too long, read-only, full or gone."""


class CatalogTooNew(CatalogError):
    """A later version of the product has migrated this catalog."""


class Catalog:
    """An open catalog. Thread-safe; one per process."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_postgresql = engine.dialect.name == "postgresql"
        self.address = engine.url.render_as_string(hide_password=True)

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
        with self._session() as session:
            if not self.is_postgresql:
                session.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
            yield session
            session.commit()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        try:
            with Session(self.engine, expire_on_commit=False) as session:
                yield session
        except OperationalError as exc:
            raise CatalogUnavailable(_explain(exc, self.address)) from None

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


def _explain(exc: DBAPIError, address: str) -> str:
    """One sentence for a database that does not work, with the remedy."""
    cause = redact(str(exc.orig)).strip().splitlines()[0] if exc.orig else type(exc).__name__
    lowered = cause.lower()
    if "locked" in lowered or "timeout" in lowered:
        remedy = "another process holds it; look for a stuck run, then try again"
    elif "readonly" in lowered or "read-only" in lowered:
        remedy = "make the file and its folder writable for this user"
    elif "full" in lowered or "no space" in lowered:
        remedy = "free disk space; nothing was lost"
    elif "no such table" in lowered:
        remedy = "the file is not a catalog or was replaced; restore it or set VIDEO_ASSETS_DATABASE_URL"
    else:
        remedy = "check VIDEO_ASSETS_DATABASE_URL (or VIDEO_ASSETS_HOME) and that the server is up"
    return f"the catalog at {address} cannot be used: {cause}; {remedy}"


def _configure_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        # The driver's own implicit BEGIN is switched off; SQLAlchemy's "begin" event below starts transactions.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={SQLITE_BUSY_SECONDS * 1000}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Any) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")


def _make_engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, connect_args={"timeout": SQLITE_BUSY_SECONDS}, pool_size=32)
        _configure_sqlite(engine)
        return engine
    return create_engine(url, pool_size=16, max_overflow=32, pool_pre_ping=True)


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
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
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

    Raises CatalogUnavailable when it cannot be reached and CatalogTooNew when it belongs to a later version.
    """
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
