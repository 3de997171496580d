"""Many rows into a table of the catalog at once: staged in a temporary table, then merged in one statement.

Knows the two databases of the catalog, and nothing of what the rows mean.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
    bindparam,
    delete,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError, IntegrityError

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
    columns: list[Sequence[Any]] = list(zip(*sorted(rows, key=itemgetter(0)), strict=True))
    for number, processor in _processors(staged, [column.name for column in staged.c], dialect) if rows else ():
        columns[number] = [None if value is None else processor(value) for value in columns[number]]
    return list(zip(*columns, strict=True))


def _processors(table: Table, names: Sequence[str], dialect: Dialect) -> list[tuple[int, Callable[[Any], Any]]]:
    """What has to be done to a row's values, by their place in the row."""
    return [
        (number, processor)
        for number, name in enumerate(names)
        if (processor := table.c[name].type.dialect_impl(dialect).bind_processor(dialect)) is not None
    ]


@dataclass(frozen=True, slots=True)
class Merge:
    """How staged rows come into their table."""

    table: Table
    staged: Table
    update: Update
    """What becomes of rows whose id is known already."""

    def put(
        self,
        connection: Connection,
        rows: list[Row],
        same: Mapping[str, Any],
        computed: Mapping[str, ColumnElement[Any]] | None = None,
        origin: FromClause | None = None,
    ) -> int:
        """Insert the rows whose id is new, and update the others. How many were new.

        ``rows`` are as ``as_driver_takes`` gives them, ``same`` is what all of them have in common; columns that
        are ``computed`` come from ``origin``, a join with the staging table.
        """
        if not rows:
            return 0
        if connection.dialect.driver == "psycopg2" and not computed and self._copy_all(connection, rows, same):
            return len(rows)
        _stage(connection, self.table, self.staged, rows)
        values: dict[str, ColumnElement[Any]] = {column.name: column for column in self.staged.c}
        values |= {name: bindparam(name, value, self.table.c[name].type) for name, value in same.items()}
        values |= computed or {}
        insert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
        incoming = select(*values.values()).select_from(self.staged if origin is None else origin)
        incoming = incoming.where(true()).order_by(self.staged.c.id)
        statement = insert(self.table).from_select(list(values), incoming, include_defaults=False)
        known = [self.table.c.id]
        new = connection.execute(statement.on_conflict_do_nothing(index_elements=known)).rowcount
        if new < len(rows):
            changes, where = self.update(statement.excluded)
            connection.execute(statement.on_conflict_do_update(index_elements=known, set_=changes, where=where))
        return new

    def _copy_all(self, connection: Connection, rows: list[Row], same: Mapping[str, Any]) -> bool:
        """Copy the rows right into their table: a third cheaper, and possible when all of them are new."""
        names = [*(column.name for column in self.staged.c), *same]
        common = list(same.values())
        for number, processor in _processors(self.table, list(same), connection.dialect):
            common[number] = processor(common[number])
        savepoint = connection.begin_nested()
        try:
            _copy(connection, f"COPY {self.table.name} ({', '.join(names)}) FROM STDIN", rows, tuple(common))
        except IntegrityError:
            savepoint.rollback()
            return False
        savepoint.commit()
        return True


def _stage(connection: Connection, table: Table, staged: Table, rows: list[Row]) -> None:
    names = ", ".join(column.name for column in staged.c)
    shape = f"AS SELECT {names} FROM {table.name} WHERE 1 = 0"  # noqa: S608  names of our own tables
    if connection.dialect.name == "postgresql":
        shape = f"ON COMMIT DELETE ROWS {shape}"
    connection.exec_driver_sql(f"CREATE TEMP TABLE IF NOT EXISTS {staged.name} {shape}")
    connection.execute(delete(staged))
    if connection.dialect.driver == "psycopg2":
        _copy(connection, f"COPY {staged.name} ({names}) FROM STDIN", rows, ())
        return
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    places = ", ".join(mark for _ in staged.c)
    connection.exec_driver_sql(f"INSERT INTO {staged.name} ({names}) VALUES ({places})", rows)  # noqa: S608


_ESCAPED = re.compile(r"[\\\t\n\r]")
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_NULL = "\x01NULL\x01"


def _escaped(value: str) -> str:
    return _ESCAPED.sub(lambda match: _ESCAPES[match.group()], value)


def _as_text(values: Sequence[Any]) -> Sequence[str]:
    """The values of one column in the text format of COPY."""
    try:
        together = "".join(values)
    except TypeError:  # not all of them are text
        values = [_NULL if value is None else str(value) for value in values]
        together = "".join(values)
    # One look at all of them: hardly any column holds what has to be escaped.
    return [_escaped(text) for text in values] if any(each in together for each in _ESCAPES) else values


def _copy(connection: Connection, statement: str, rows: list[Row], common: Row) -> None:
    """Send rows in the text format of COPY, https://www.postgresql.org/docs/current/sql-copy.html.

    ``common`` are the last values of every row.
    """
    import psycopg2

    columns = [_as_text(values) for values in zip(*rows, strict=True)]
    end = "".join(f"\t{_escaped(str(value))}" for value in common) + "\n"
    lines = end.join([*map("\t".join, zip(*columns, strict=True)), ""])
    raw: Any = connection.connection
    try:
        with raw.cursor() as cursor:
            cursor.copy_expert(f"{statement} WITH (NULL '{_NULL}')", io.StringIO(lines))
    except psycopg2.Error as exc:
        # Past SQLAlchemy, its error classes have to be put on by hand: the catalog explains them to people.
        raise DBAPIError.instance(
            None, None, exc, psycopg2.Error, hide_parameters=True, dialect=connection.dialect
        ) from None
