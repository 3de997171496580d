"""Opening a legacy database and asking it what may be done there.

Readers cannot write by accident, and whatever a driver raises becomes one sentence without passwords or values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Update,
    column,
    false,
    inspect,
    text,
    update,
)
from sqlalchemy import table as make_table
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from video_assets.legacy.config.models import Reading, Source
from video_assets.legacy.errors import (
    SourceBusy,
    SourceError,
    SourceMismatch,
    SourceReadOnly,
    SourceUnavailable,
)
from video_assets.legacy.source.engines import make_engine
from video_assets.urls import redact

_BUSY = ("57014", "55P03", "40P01", "1205", "3024", "1969", "1213")
"""PostgreSQL: query_canceled, lock_not_available, deadlock_detected; MySQL: lock wait, run time, deadlock."""
_READ_ONLY = ("25006", "42501", "1142", "1044", "1290", "1792")
"""PostgreSQL: read_only_sql_transaction, insufficient_privilege; MySQL: command or database denied, read-only."""
_MISSING = ("42P01", "42703", "1146", "1054")
"""PostgreSQL: undefined table, undefined column. MySQL: the same."""


class SourceDatabase:
    """An open legacy database. Thread-safe; use it as a context manager."""

    def __init__(self, name: str, engine: Engine, reading: Reading, *, writable: bool) -> None:
        self.name = name
        self.engine = engine
        self.reading = reading
        self.writable = writable
        self.dialect = "mysql" if engine.dialect.name == "mariadb" else engine.dialect.name
        """``sqlite``, ``postgresql`` or ``mysql`` (which is MariaDB too)."""
        self.address = safe_address(engine.url)
        """Where it is, without user's password and options."""

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection whose errors are SourceErrors. Nothing is committed by itself."""
        with self.errors(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One short transaction: committed when the block ends, rolled back when it raises.

        On SQLite the write lock is taken at the start when the source was opened for writing.
        """
        with self.errors(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what a driver raises inside into a SourceError."""
        try:
            yield
        except SourceError:
            raise
        except SQLAlchemyError as exc:
            raise explain(exc, self.name, self.address) from None

    def why_not_writable(self, table: str, columns: Sequence[str] = ()) -> str | None:
        """One sentence when rows of ``table`` cannot be updated with this user, None when they can.

        ``columns`` are the ones that would be written; one of them that may be is enough. Nothing is changed. The
        database has to be open for writing.
        """
        quoted = quote_table(self.engine, table)
        try:
            with self.engine.connect() as connection:
                if self.dialect == "postgresql":
                    if connection.execute(text("SELECT pg_is_in_recovery()")).scalar_one():
                        return f"source {self.name!r}: {self.address} is a replica; rewriting needs the primary"
                    if connection.execute(text("SHOW default_transaction_read_only")).scalar_one() == "on":
                        return f"source {self.name!r}: this user's transactions are read-only by default"
                    may = "has_any_column_privilege(:t, 'UPDATE')"
                    if columns:
                        may = "bool_or(has_column_privilege(:t, c, 'UPDATE')) FROM unnest(:columns) AS c"
                    asked = text(f"SELECT {may}")
                    values = {"t": quoted, **({"columns": list(columns)} if columns else {})}
                    if not connection.execute(asked, values).scalar_one():
                        named = ", ".join(quote_name(self.engine, each) for each in columns)
                        what = f"UPDATE ({named})" if named else "UPDATE"
                        return f"source {self.name!r}: this user may not UPDATE {table}; GRANT {what} ON {quoted}"
                else:
                    connection.execute(_no_update(connection, table))
        except SQLAlchemyError as exc:
            return str(explain(exc, self.name, self.address))
        return None

    def why_not_updatable(self, table: str) -> str | None:
        """One sentence when ``table`` is a view that takes no updates from anybody, None otherwise.

        Nothing is changed. Raises SourceError.
        """
        try:
            with self.engine.connect() as connection:
                if self.dialect == "postgresql":
                    # Bit 2 is UPDATE; INSTEAD OF triggers count.
                    takes, kind = connection.execute(
                        text(
                            "SELECT pg_relation_is_updatable(c.oid, true) & 4, c.relkind FROM pg_class c "
                            "WHERE c.oid = to_regclass(:t)"
                        ),
                        {"t": quote_table(self.engine, table)},
                    ).first() or (4, "r")
                    if kind in ("m", b"m"):
                        return (
                            f"{table} is a materialized view, its rows stay as they are: describe the table "
                            "behind it in the configuration, and once it is rewritten, REFRESH MATERIALIZED VIEW"
                        )
                    if takes != 0:
                        return None
                else:
                    connection.execute(_no_update(connection, table))
                    return None
        except SQLAlchemyError as exc:
            orig = exc.orig if isinstance(exc, DBAPIError) else None
            if "because it is a view" not in str(orig) and "1288" not in _codes(orig):
                return None  # whatever that is, it is not about a view
        return (
            f"{table} is a view that takes no updates, its rows stay as they are: describe the table behind it "
            "in the configuration, or give the view an INSTEAD OF UPDATE trigger"
        )

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(source: Source, *, for_writing: bool = False) -> SourceDatabase:
    """Open the database of ``source``: its replica for reading where there is one, itself for writing.

    Raises ConfigurationInvalid for an address that is none, SourceUnavailable when nobody answers there.
    """
    url = source.writing_url() if for_writing else source.reading_url()
    return open_database(url, name=source.name, reading=source.reading, for_writing=for_writing)


def open_database(
    url: str, *, name: str, reading: Reading | None = None, for_writing: bool = False
) -> SourceDatabase:
    """Open a database by its SQLAlchemy URL and prove that it answers. Raises as ``connect`` does."""
    reading = reading or Reading()
    engine = make_engine(url, name, reading, for_writing=for_writing)
    database = SourceDatabase(name, engine, reading, writable=for_writing)
    try:
        with database.connect() as connection:
            if database.dialect == "sqlite":
                connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
            else:
                connection.execute(text("SELECT 1"))
    except SourceError:
        database.close()
        raise
    return database


def safe_address(url: URL) -> str:
    """A database's address that may be shown: no password, no options."""
    return url.set(query={}).render_as_string(hide_password=True)


def quote_table(engine: Engine, table: str) -> str:
    """``table`` or ``schema.table`` as it stands in SQL."""
    name, schema = _name_and_schema(table)
    return f"{quote_name(engine, schema)}.{quote_name(engine, name)}" if schema else quote_name(engine, name)


def quote_name(engine: Engine, name: str) -> str:
    """A name as it stands in SQL, ready to be read by a person; drivers want ``%`` doubled."""
    preparer = engine.dialect.identifier_preparer
    quoted = preparer.quote(name)
    return quoted.replace("%%", "%") if getattr(preparer, "_double_percents", False) else quoted


def _no_update(connection: Connection, table: str) -> Update:
    """An UPDATE that changes no row, and is refused as one that does would be."""
    name, schema = _name_and_schema(table)
    first = inspect(connection).get_columns(name, schema)[0]["name"]
    source = make_table(name, column(first), schema=schema)
    return update(source).values({source.c[first]: source.c[first]}).where(false())


def _name_and_schema(table: str) -> tuple[str, str | None]:
    schema, dot, name = table.rpartition(".")
    return (name, schema) if dot else (table, None)


def explain(exc: SQLAlchemyError, name: str, address: str) -> SourceError:
    """A driver's error as a SourceError: its first line, redacted, and what to do. Values never appear."""
    orig = exc.orig if isinstance(exc, DBAPIError) else None
    lines = redact(str(orig if orig is not None else type(exc).__name__)).strip().splitlines()
    cause = (lines[0] if lines else type(exc).__name__).strip()
    codes = _codes(orig)
    lowered = cause.lower()
    at = f"source {name!r} at {address}"
    if codes & set(_BUSY) or "database is locked" in lowered or "table is locked" in lowered:
        return SourceBusy(
            f"{at} was too busy: {cause}; try again at a quieter hour, read from a replica (replica_url), or "
            "raise statement_timeout_seconds or lock_timeout_seconds under [source.reading]"
        )
    if codes & set(_READ_ONLY) or "readonly" in lowered or "read-only" in lowered:
        return SourceReadOnly(f"{at} refuses this user: {cause}; grant that, or use one who may")
    if codes & set(_MISSING) or "no such table" in lowered or "no such column" in lowered:
        return SourceMismatch(f"{at} is not as configured: {cause}; run discover again, or correct the name")
    if "not a database" in lowered or "malformed" in lowered:
        return SourceUnavailable(f"{at} is damaged or not a database: {cause}")
    return SourceUnavailable(
        f"{at} cannot be used: {cause}; check the address, the user and that the server is up"
    )


def _codes(orig: BaseException | None) -> set[str]:
    if orig is None:
        return set()
    found = {str(getattr(orig, "pgcode", None) or "")}
    if orig.args and isinstance(orig.args[0], int):
        found.add(str(orig.args[0]))
    return found - {""}
