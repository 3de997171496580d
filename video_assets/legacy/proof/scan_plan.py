"""What a scan of a whole database reads: every table that is there now, every column that can hold text or bytes.

Configured or not does not matter: what nobody thought of is found here, and a history table that was filled
during a rewrite too. What is not read is named, with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final

from video_assets.legacy.config.models import Column, Source, Table
from video_assets.legacy.errors import NoUsableKey, SourceError
from video_assets.legacy.proof.scan_report import SourceScan, TableScan, Unread
from video_assets.legacy.source.connect import SourceDatabase
from video_assets.legacy.source.pages import Page, pages, whole
from video_assets.legacy.source.relations import Holds, Relation, relations_of
from video_assets.legacy.source.relations.postgresql import large_objects
from video_assets.legacy.source.table_shape import TableShape, look_at, look_without_key

MOST_BYTES: Final = 1024 * 1024
"""Bytes of one BLOB that are searched where nobody configured the column as text; a larger one is listed."""
_HEAD: Final = 64
"""Bytes of a configured BLOB that are read, to tell what it is."""

Only = Mapping[str, Collection[str]]
"""Columns by table, where a scan is to read no others."""


@dataclass(frozen=True, slots=True)
class TableReading:
    """One table on its way through a scan."""

    name: str
    """As the configuration or the database names it."""
    shape: TableShape
    counts: TableScan
    is_configured: bool
    names_rows: bool
    """Whether the key tells a row apart for good. A row's number in SQLite does not: VACUUM changes it."""
    pages: Iterator[Page]


@dataclass(frozen=True, slots=True)
class _Wanted:
    relation: Relation
    config: Table | None


def readings(
    database: SourceDatabase, source: Source, scan: SourceScan, only: Only | None = None
) -> Iterator[TableReading]:
    """Each table that can be read, with its rows; what cannot be read is noted in ``scan``.

    The configured tables come first. With ``only``, nothing else is read and nothing else is noted. Raises
    SourceUnavailable and other SourceErrors that are not about one table.
    """
    for wanted in _wanted(database, source, scan, only):
        name = wanted.relation.name if wanted.config is None else wanted.config.name
        counts = _counts(wanted.relation)
        columns = _columns(wanted, counts, None if only is None else only.get(name, ()))
        scan.tables[name] = counts
        if wanted.config is not None and wanted.relation.hidden and database.dialect == "postgresql":
            # Somebody relies on this table, and this user is not shown what stands there.
            counts.problem = (
                f"{name}: {wanted.relation.hidden}; read it as its owner, or as a user with BYPASSRLS"
            )
        if not columns:
            continue
        config = wanted.config or Table(name=name, columns=columns, deleting_hosts=source.deleting_hosts)
        config = config.model_copy(update={"columns": columns})
        try:
            yield _reading(database, name, config, wanted, counts)
        except SourceError as exc:
            if wanted.config is not None or only is not None:
                counts.problem = str(exc)
            else:
                _not_read(scan, wanted.relation, str(exc))
    if only is None and database.dialect == "postgresql":
        with database.connect() as connection:
            count = large_objects(connection)
        if count:
            scan.unread.append(Unread("pg_largeobject", "large objects", f"{count:,} large objects are not read"))


def cannot_be_read(scan: SourceScan, reading: TableReading, exc: SourceError) -> None:
    """Note that reading a table failed, in the way that fits whether somebody asked for it."""
    if reading.is_configured:
        reading.counts.problem = str(exc)
    else:
        del scan.tables[reading.name]
        scan.unread.append(Unread(reading.name, reading.counts.kind, str(exc)))


def _wanted(database: SourceDatabase, source: Source, scan: SourceScan, only: Only | None) -> Iterator[_Wanted]:
    relations = relations_of(database)
    configured: dict[str, _Wanted] = {}
    for table in source.tables:
        relation = next((each for each in relations if each.is_called(table.name)), None)
        if relation is None:
            # Reading it says what there is instead.
            relation = Relation(table.name, None, "table")
        configured[relation.name] = _Wanted(relation, table)
    for wanted in configured.values():
        if wanted.relation.unread is not None and not wanted.relation.is_view:
            _skip(scan, wanted.relation)
        else:
            yield wanted
    if only is not None:
        return
    for relation in relations:
        if relation.name in configured:
            continue
        why = next((why for pattern, why in source.skip.items() if fnmatchcase(relation.name, pattern)), None)
        if relation.unread is not None:
            _skip(scan, relation)
        elif why is not None:
            _not_read(scan, relation, f"left out by the configuration: {why}")
        else:
            yield _Wanted(relation, None)


def _skip(scan: SourceScan, relation: Relation) -> None:
    entry = Unread(relation.name, relation.kind, relation.unread or "", relation.note)
    (scan.elsewhere if relation.is_elsewhere else scan.unread).append(entry)


def _not_read(scan: SourceScan, relation: Relation, why: str) -> None:
    scan.tables.pop(relation.name, None)
    scan.unread.append(Unread(relation.name, relation.kind, why, relation.note))


def _counts(relation: Relation) -> TableScan:
    return TableScan(kind=relation.kind, role=str(relation.role), note=relation.note, hidden=relation.hidden)


def _columns(wanted: _Wanted, counts: TableScan, only: Collection[str] | None) -> tuple[Column, ...]:
    """The columns to read; the others are noted in ``counts``."""
    given = {} if wanted.config is None else {entry.name: entry for entry in wanted.config.columns}
    if not wanted.relation.columns:
        return tuple(given.values())
    chosen = []
    for column in wanted.relation.columns:
        counts.types[column.name] = column.type
        entry = given.pop(column.name, None)
        if only is not None and column.name not in only:
            continue
        if not column.is_readable:
            counts.unread[column.name] = "this user may not SELECT it"
        elif entry is not None:
            chosen.append(entry)
        elif column.holds is Holds.NOTHING and only is None:
            counts.no_text.append(column.name)
        else:
            chosen.append(Column(name=column.name))
    # A hidden column of SQLite, or one that is not there: the reading says so.
    return (*chosen, *(entry for entry in given.values() if only is None or entry.name in only))


def _reading(
    database: SourceDatabase, name: str, config: Table, wanted: _Wanted, counts: TableScan
) -> TableReading:
    shape, names_rows = _shape(database, config, wanted.relation)
    counts.key = shape.key if names_rows else ()
    shape = replace(shape, heads=_heads(config, wanted))
    rows = pages(database, shape) if shape.key else whole(database, shape)
    return TableReading(name, shape, counts, wanted.config is not None, names_rows, rows)


def _shape(database: SourceDatabase, config: Table, relation: Relation) -> tuple[TableShape, bool]:
    """How the table is read, and whether its key tells rows apart for good."""
    try:
        return look_at(database, config, to_rewrite=False), True
    except NoUsableKey:
        pass
    if database.dialect == "sqlite" and relation.kind == "table":
        try:
            # Short transactions: a long one would keep others from writing.
            return look_at(database, config.model_copy(update={"key": ("rowid",)}), to_rewrite=False), False
        except SourceError:
            pass  # a column is called so, or the table has no such number
    return look_without_key(database, config), False


def _heads(config: Table, wanted: _Wanted) -> dict[str, int]:
    """How many bytes of a BLOB are read; text that somebody configured is read whole."""
    asked = {} if wanted.config is None else {entry.name: entry for entry in wanted.config.columns}
    heads = {
        column.name: MOST_BYTES + 1
        for column in wanted.relation.columns
        if column.holds is Holds.BYTES and column.name not in asked
    }
    return heads | {name: _HEAD + 1 for name, entry in asked.items() if entry.type == "blob"}
