"""The shape of a source's table: its columns, its key, and the statements that read it page by page.

Column types are never asked to convert anything: what the driver gives is what is read, because a foreign
database may hold anything in any column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    Select,
    Text,
    and_,
    case,
    cast,
    column,
    func,
    inspect,
    literal,
    not_,
    or_,
    select,
    tuple_,
)
from sqlalchemy import table as make_table
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.engine.reflection import Inspector
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.types import JSON, String, TypeEngine

from video_assets.legacy.config.models import Column, Table
from video_assets.legacy.errors import NoUsableKey, SourceMismatch
from video_assets.legacy.source.connect import SourceDatabase
from video_assets.legacy.source.relations.sqlite import is_virtual, why_not_rewritten
from video_assets.legacy.source.row_key import Key


@dataclass(frozen=True, slots=True)
class TableShape:
    """One table as it really is, with the configuration that was checked against it."""

    config: Table
    dialect: str
    key: tuple[str, ...]
    key_is_proven: bool
    """True when the database itself guarantees that the key is unique and never NULL."""
    json_columns: frozenset[str]
    shown_columns: frozenset[str]
    """Columns that are read as the text the database shows, because drivers make objects of them, or because they
    are made of several values: JSON, arrays, hstore, composite and range types, and what no driver knows."""
    is_view: bool
    lengths: dict[str, int]
    """Longest text per VARCHAR column, in characters."""
    heads: Mapping[str, int] = field(default_factory=dict)
    """Of the BLOBs in these columns so many bytes are read, and not their length."""

    @property
    def name(self) -> str:
        """``table`` or ``schema.table``."""
        return self.config.name

    def source(self) -> Any:
        """The table for a statement; its columns have no types."""
        name, schema = split_name(self.config.name)
        names = {
            *self.key, *(entry.name for entry in self.config.columns), *self.extra_columns(),
            *(related.column for entry in self.config.columns for related in entry.related if related.column),
        }  # fmt: skip
        return make_table(name, *(column(each) for each in sorted(names)), schema=schema)

    def extra_columns(self) -> list[str]:
        """Columns that are read beside the ones that are searched: times, context, job ids."""
        names: list[str] = []
        for place in (
            self.config.created_at,
            self.config.changed_at,
            self.config.owner_at,
            *self.config.keep,
            *(place for job in self.config.jobs for place in (job.provider_at, job.id_at)),
        ):
            if place is not None:
                name = place.partition("#")[0]
                if name not in names and name not in {entry.name for entry in self.config.columns}:
                    names.append(name)
        return names

    def read_columns(self) -> list[str]:
        """What a page holds, in order: the key, the searched columns, the extra ones."""
        return [*self.key, *(entry.name for entry in self.config.columns), *self.extra_columns()]

    def page(
        self, after: Key | None, limit: int, *, upto: Key | None = None, changed_since: Any = None
    ) -> Select[Any]:
        """The rows behind ``after`` in the order of the key, ``upto`` included, at most ``limit``.

        Text and JSON come as text, BLOBs as their length in bytes (the bytes stay where they are).
        """
        source = self.source()
        expressions: list[ColumnElement[Any]] = [source.c[name] for name in self.key]
        expressions += [self._read(source.c[entry.name], entry) for entry in self.config.columns]
        for name in self.extra_columns():
            place = source.c[name]
            expressions.append(self.as_text(place) if name in self.json_columns else place)
        statement = select(*(each.label(f"c{number}") for number, each in enumerate(expressions)))
        if after is not None:
            statement = statement.where(self.behind(source, after))
        if upto is not None:
            statement = statement.where(not_(self.behind(source, upto)))
        if changed_since is not None and self.config.changed_at is not None:
            changed = source.c[self.config.changed_at]
            statement = statement.where(or_(changed >= literal(changed_since), changed.is_(None)))
        return statement.order_by(*(source.c[name] for name in self.key)).limit(limit)

    def every_row(self) -> Select[Any]:
        """All rows in whatever order they come, as ``page`` gives them."""
        return self.page(None, 0).limit(None)

    def milestone(self, after: Key | None, rows: int) -> Select[Any]:
        """The key that stands so many rows behind ``after``; nothing when the table ends before."""
        source = self.source()
        columns = [source.c[name] for name in self.key]
        statement = select(*columns)
        if after is not None:
            statement = statement.where(self.behind(source, after))
        return statement.order_by(*columns).offset(rows - 1).limit(1)

    def behind(self, source: Any, after: Key) -> ColumnElement[bool]:
        """The condition for rows behind a key."""
        columns = [source.c[name] for name in self.key]
        if len(columns) == 1:
            return columns[0] > self._given(after[0])  # type: ignore[no-any-return]
        if self.dialect != "mysql":
            return tuple_(*columns) > tuple_(*(self._given(value) for value in after))
        # MySQL uses an index for a row comparison only when it is written out.
        return or_(
            *(
                and_(
                    *(columns[i] == self._given(after[i]) for i in range(number)),
                    columns[number] > self._given(after[number]),
                )
                for number in range(len(columns))
            )
        )

    def rows_of(self, keys: Sequence[Key]) -> Select[Any]:
        """Those of the keys whose rows are there."""
        source = self.source()
        return select(*(source.c[name] for name in self.key)).where(
            or_(*(self.is_row(source, key) for key in keys))
        )

    def is_row(self, source: Any, key: Key) -> ColumnElement[bool]:
        """The condition for one row."""
        return and_(*(source.c[name] == self._given(value) for name, value in zip(self.key, key, strict=True)))

    def _given(self, value: Any) -> ColumnElement[Any]:
        """A key's value in a statement. The driver of SQLite takes no text that is no Unicode; as bytes it is."""
        if self.dialect == "sqlite" and isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                return cast(literal(value.encode("utf-8", "surrogateescape"), LargeBinary()), Text)
        return literal(value)

    def as_text(self, place: ColumnElement[Any]) -> ColumnElement[Any]:
        """A JSON or array column as the text that the database shows: what a rewrite compares, byte for byte."""
        return place if self.dialect == "sqlite" else cast(place, Text)

    def _read(self, place: ColumnElement[Any], entry: Column) -> ColumnElement[Any]:
        if (most := self.heads.get(entry.name)) is not None:
            return head_of(place, most, self.dialect)
        if entry.type == "blob":
            return func.length(place) if self.dialect == "sqlite" else func.octet_length(place)
        return self.as_text(place) if entry.name in self.shown_columns else place


def split_name(name: str) -> tuple[str, str | None]:
    """``schema.table`` as (table, schema)."""
    schema, dot, table = name.rpartition(".")
    return (table, schema) if dot else (name, None)


def head_of(place: ColumnElement[Any], most: int, dialect: str) -> ColumnElement[Any]:
    """The first ``most`` bytes of a BLOB; in SQLite, where a column may hold anything, other values whole."""
    head = func.substr(place, 1, most)
    return case((func.typeof(place) == "blob", head), else_=place) if dialect == "sqlite" else head


def look_at(database: SourceDatabase, config: Table, *, to_rewrite: bool = True) -> TableShape:
    """Check a table's configuration against the database.

    Raises SourceMismatch for a missing table or column, and NoUsableKey, naming the remedy. ``to_rewrite``: the
    columns are to be rewritten, so none of them may belong to the key, and the table must not be a part of
    another.
    """
    with database.connect() as connection:
        inspector = inspect(connection)
        shape = _shape(database, inspector, config)
        if to_rewrite and database.dialect == "sqlite":
            why = why_not_rewritten(connection, config.name)
            if why is not None:
                raise SourceMismatch(f"source {database.name!r}: {why}: take it out of the configuration")
        both = [name for name in shape.key if any(entry.name == name for entry in config.columns)]
        if both and to_rewrite:
            # Keys are kept in the catalog as they are, and a row could not be found again by a key that changed.
            raise NoUsableKey(
                f"source {database.name!r}: {both[0]!r} of {config.name!r} belongs to the key that tells its "
                "rows apart, so it cannot be rewritten: name other columns, key = [...], or leave it out of the "
                "columns"
            )
        # In SQLite even a primary key may be NULL.
        entries = inspector.get_columns(*split_name(config.name))
        nullable = {entry["name"] for entry in entries if entry["nullable"]}
        if nullable & set(shape.key):
            _refuse_nulls(database, connection, shape)
        if not shape.key_is_proven:
            _refuse_doubles(database, connection, shape)
        return shape


def look_without_key(database: SourceDatabase, config: Table) -> TableShape:
    """The table for a reading of all its rows at once, whose rows nothing tells apart. Raises SourceMismatch."""
    with database.connect() as connection:
        return _shape(database, inspect(connection), config.model_copy(update={"key": ()}), needs_key=False)


def _shape(
    database: SourceDatabase, inspector: Inspector, config: Table, *, needs_key: bool = True
) -> TableShape:
    name, schema = split_name(config.name)
    at = f"source {database.name!r}"
    try:
        columns = {entry["name"]: entry for entry in inspector.get_columns(name, schema)}
    except NoSuchTableError:
        columns = {}
    if not columns:
        tables = ", ".join(sorted([*inspector.get_table_names(schema), *view_names(inspector, schema)])[:20])
        raise SourceMismatch(f"{at} has no table {config.name!r}; it has {tables or 'none at all'}")
    is_view = name in view_names(inspector, schema)
    key: tuple[str, ...] = ()
    proven = False
    if needs_key:
        key, proven = _key(database, inspector, config, is_view=is_view, columns=list(columns))
    types = {name: plain_type(entry["type"]) for name, entry in columns.items()}
    hidden = {"rowid", "_rowid_", "oid"} if database.dialect == "sqlite" else set()
    shape = TableShape(
        config=config,
        dialect=database.dialect,
        key=key,
        key_is_proven=proven,
        json_columns=frozenset(n for n, kind in types.items() if isinstance(kind, JSON)),
        shown_columns=frozenset(n for n, kind in types.items() if is_shown(kind, database.dialect)),
        is_view=is_view,
        lengths={n: length for n, kind in types.items() if (length := getattr(kind, "length", None))},
    )
    related = [r.column for entry in config.columns for r in entry.related if r.column]
    blob_urls = [entry.url_column for entry in config.columns if entry.url_column]
    for wanted in (*shape.read_columns(), *related, *blob_urls):
        if wanted not in columns and wanted not in hidden:
            raise SourceMismatch(
                f"{at}: the table {config.name!r} has no column {wanted!r}; it has {', '.join(columns)}"
            )
    return shape


def _key(
    database: SourceDatabase, inspector: Inspector, config: Table, *, is_view: bool, columns: Sequence[str]
) -> tuple[tuple[str, ...], bool]:
    name, schema = split_name(config.name)
    primary = tuple(inspector.get_pk_constraint(name, schema)["constrained_columns"]) if not is_view else ()
    if not config.key:
        if primary:
            return primary, True
        if database.dialect == "sqlite":
            with database.connect() as connection:
                if is_virtual(connection, name):
                    return ("rowid",), True  # what a virtual table calls its rows; VACUUM does not change it
        raise NoUsableKey(_no_key(database, config, is_view=is_view, columns=columns))
    key = config.key
    if set(primary) and set(primary) <= set(key):
        return key, True
    if database.dialect == "sqlite" and not is_view and key[0].lower() in ("rowid", "_rowid_", "oid"):
        return key, True
    if is_view:
        return key, False
    unique = [set(entry["column_names"]) for entry in inspector.get_unique_constraints(name, schema)]
    unique += [
        {each for each in entry["column_names"] if each is not None}
        for entry in inspector.get_indexes(name, schema)
        if entry["unique"] and not entry.get("dialect_options", {}).get("postgresql_where")
    ]
    return key, any(each and each <= set(key) for each in unique)


def _no_key(database: SourceDatabase, config: Table, *, is_view: bool, columns: Sequence[str]) -> str:
    what = "view" if is_view else "table"
    some = ", ".join(columns[:12])
    remedy = f"name columns that together tell its rows apart: key = [...] (it has {some})"
    if not is_view and database.dialect == "sqlite":
        remedy += ', or key = ["rowid"] as long as nobody runs VACUUM meanwhile'
    if not is_view and database.dialect == "postgresql":
        remedy += f"; or give it one: ALTER TABLE {config.name} ADD COLUMN id bigserial PRIMARY KEY"
        remedy += " (ctid will not do, it changes with every update)"
    return f"source {database.name!r}: the {what} {config.name!r} has no primary key; {remedy}"


def _refuse_nulls(database: SourceDatabase, connection: Connection, shape: TableShape) -> None:
    """Paging and comparing by a key that is NULL would pass over rows without a word."""
    source = shape.source()
    missing = select(literal(1)).where(or_(*(source.c[name].is_(None) for name in shape.key))).limit(1)
    if connection.execute(missing).first() is not None:
        rowid = (
            ', or key = ["rowid"] as long as nobody runs VACUUM meanwhile' if database.dialect == "sqlite" else ""
        )
        raise NoUsableKey(
            f"source {database.name!r}: in {shape.name!r} the key ({', '.join(shape.key)}) is NULL in some rows; "
            f"choose columns that are always filled: key = [...]{rowid}"
        )


def _refuse_doubles(database: SourceDatabase, connection: Connection, shape: TableShape) -> None:
    """A declared key that no constraint guarantees is counted once: paging by a doubled key would skip rows."""
    source = shape.source()
    columns = [source.c[name] for name in shape.key]
    doubled = select(*columns).group_by(*columns).having(func.count() > 1).limit(1)
    if connection.execute(doubled).first() is not None:
        raise NoUsableKey(
            f"source {database.name!r}: in {shape.name!r} several rows share one key ({', '.join(shape.key)}); "
            "add columns to the key until it tells them apart"
        )


def plain_type(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """A column's type; of a domain the type that it is made of."""
    while isinstance(kind, DOMAIN):
        kind = kind.data_type
    return kind


def view_names(inspector: Inspector, schema: str | None) -> list[str]:
    """Every view of a schema, the materialized ones too."""
    names = inspector.get_view_names(schema)
    if inspector.dialect.name == "postgresql":
        names += inspector.get_materialized_view_names(schema)
    return names


def is_shown(kind: TypeEngine[Any], dialect: str) -> bool:
    """Whether a column that may hold URLs is read as the text that the database shows of it."""
    return dialect != "sqlite" and not isinstance(kind, String) and not is_binary(kind)


def is_binary(kind: TypeEngine[Any]) -> bool:
    """Whether a column holds bytes. MySQL's BLOB types are no LargeBinary to SQLAlchemy."""
    try:
        return kind.python_type is bytes
    except NotImplementedError:
        return False


def moment_of(value: Any) -> datetime | None:
    """A time of a foreign row in UTC: a datetime, a date, ISO 8601 text, or seconds or milliseconds since 1970.

    A time without a zone counts as UTC. None for what is no time.
    """
    match value:
        case datetime():
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        case date():
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        case bool() | None:
            return None
        case int() | float() | Decimal():
            return _from_number(float(value))
        case str():
            text = value.strip()
            try:
                return moment_of(datetime.fromisoformat(text))
            except ValueError:
                pass
            try:
                return _from_number(float(text))
            except ValueError:
                return None
        case _:
            return None


def _from_number(number: float) -> datetime | None:
    seconds = number / 1000 if number > 1e11 else number
    if not 1e8 < seconds < 4.2e9:  # 1973 to 2103: anything else is a count of something else
        return None
    return datetime.fromtimestamp(seconds, UTC)
