"""Many rows into a table of the catalog at once: staged in a temporary table, then merged in one statement.

Knows the two databases of the catalog, and nothing of what the rows mean.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Dialect,
    FromClause,
    MetaData,
    Table,
    delete,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError

Row = tuple[Any, ...]

Update = Callable[[Any], tuple[dict[str, Any], ColumnElement[bool]]]
"""From the row that comes in to what it changes of the one that is there, and when."""


def staging_table(table: Table, columns: tuple[str, ...]) -> Table:
    """A temporary table of each connection for these columns of ``table``; ``id`` must be the first."""
    return Table(f"staged_{table.name}", MetaData(), *(Column(name, table.c[name].type) for name in columns))


def as_driver_takes(staged: Table, rows: list[Row], dialect: Dialect) -> list[Row]:
    """The rows as the database driver wants their values, in the order of their ids.

    In that order two writers of the same rows wait for each other instead of deadlocking.
    """
    processors = [
        (number, processor)
        for number, column in enumerate(staged.c)
        if (processor := column.type.dialect_impl(dialect).bind_processor(dialect)) is not None
    ]
    ready = []
    for row in sorted(rows, key=itemgetter(0)):
        values = list(row)
        for number, processor in processors:
            if values[number] is not None:
                values[number] = processor(values[number])
        ready.append(tuple(values))
    return ready


def merge(
    connection: Connection,
    table: Table,
    staged: Table,
    rows: list[Row],
    values: Mapping[str, ColumnElement[Any]],
    origin: FromClause,
    update: Update,
) -> int:
    """Insert the rows whose id is new, and update what ``update`` wants of the others. How many were new.

    ``rows`` are as ``as_driver_takes`` gives them; ``values`` make the columns of ``table`` out of ``origin``,
    which is the staging table or a join with it.
    """
    if not rows:
        return 0
    _stage(connection, table, staged, rows)
    insert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    incoming = select(*values.values()).select_from(origin).where(true()).order_by(staged.c.id)
    statement = insert(table).from_select(list(values), incoming, include_defaults=False)
    new = connection.execute(statement.on_conflict_do_nothing(index_elements=[table.c.id])).rowcount
    if new < len(rows):
        changes, where = update(statement.excluded)
        connection.execute(
            statement.on_conflict_do_update(index_elements=[table.c.id], set_=changes, where=where)
        )
    return new


def _stage(connection: Connection, table: Table, staged: Table, rows: list[Row]) -> None:
    names = ", ".join(column.name for column in staged.c)
    shape = f"AS SELECT {names} FROM {table.name} WHERE 1 = 0"  # noqa: S608  names of our own tables
    if connection.dialect.name == "postgresql":
        shape = f"ON COMMIT DELETE ROWS {shape}"
    connection.exec_driver_sql(f"CREATE TEMP TABLE IF NOT EXISTS {staged.name} {shape}")
    connection.execute(delete(staged))
    if connection.dialect.driver == "psycopg2":
        _copy(connection, f"COPY {staged.name} ({names}) FROM STDIN", rows)
        return
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    places = ", ".join(mark for _ in staged.c)
    connection.exec_driver_sql(f"INSERT INTO {staged.name} ({names}) VALUES ({places})", rows)  # noqa: S608


_ESCAPED = re.compile(r"[\\\t\n\r]")
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_NULL = "\x01NULL\x01"


def _copy(connection: Connection, statement: str, rows: list[Row]) -> None:
    """Send rows in the text format of COPY, https://www.postgresql.org/docs/current/sql-copy.html."""
    import psycopg2

    lines = []
    for row in rows:
        values = [_NULL if value is None else str(value) for value in row]
        line = "\t".join(values)
        if "\\" in line or "\n" in line or "\r" in line or line.count("\t") >= len(values):
            line = "\t".join([_ESCAPED.sub(lambda match: _ESCAPES[match.group()], value) for value in values])
        lines.append(line)
    raw: Any = connection.connection
    try:
        with raw.cursor() as cursor:
            cursor.copy_expert(f"{statement} WITH (NULL '{_NULL}')", io.StringIO("\n".join(lines) + "\n"))
    except psycopg2.Error as exc:
        # Past SQLAlchemy, its error classes have to be put on by hand: the catalog explains them to people.
        raise DBAPIError.instance(
            None, None, exc, psycopg2.Error, hide_parameters=True, dialect=connection.dialect
        ) from None
