"""Discovery: where in a database or folder temporary URLs and video bytes are kept, and a configuration for it.

Every text and JSON column of every table is looked at, a sample of its rows first (the oldest, the newest and
some between), all of them on demand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, cast, column, func, inspect, select
from sqlalchemy import table as make_table
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.types import JSON

from video_assets.catalog.models import utc_now
from video_assets.legacy.config.models import Reading
from video_assets.legacy.errors import SourceError, SourceMismatch
from video_assets.legacy.search.byte_values import Form, look_into
from video_assets.legacy.search.json_pointer import generalised, kept_pointer
from video_assets.legacy.search.rows import host_of
from video_assets.legacy.source.connect import SourceDatabase, open_database
from video_assets.legacy.source.relations import Holds, Relation, Role, relations_of
from video_assets.legacy.source.table_shape import head_of, is_shown, moment_of, plain_type
from video_assets.urls import NO_RULES, HostRules, find

DYING = timedelta(hours=24)
"""A link that dies within this time is called dying."""

_CREATED = ("created_at", "createdat", "created", "created_on", "inserted_at", "date_created", "creation_date")
_CHANGED = ("updated_at", "updatedat", "updated", "modified_at", "modified", "last_modified", "changed_at")
_ROWS_AT_ONCE = 50
_BYTES_AT_ONCE = 16_000_000
"""Rows are fetched so many at a time, fewer where they turn out to be large documents."""
_HEAD_BYTES = 16 * 1024
"""Of each BLOB: enough to tell what it is, and to find a URL in a document of the usual size."""


@dataclass(slots=True)
class Place:
    """URLs of one kind at one place: same table, column, generalised JSON path, host and scheme."""

    table: str
    column: str
    pointer: str
    """JSON path with array indexes as ``*``; empty for the value as a whole."""
    host: str
    scheme: str
    count: int = 0
    """URLs seen in the rows that were read."""
    oldest: datetime | None = None
    """Of the rows that hold one, by their creation time where the table has one."""
    newest: datetime | None = None
    first_deadline: datetime | None = None
    last_deadline: datetime | None = None
    alive: int = 0
    """More than a day to live."""
    dying: int = 0
    """At most a day to live."""
    dead: int = 0
    unknown: int = 0
    """Only the server knows."""

    def add(self, created: datetime | None, deadline: datetime | None, now: datetime) -> None:
        """Count one URL."""
        self.count += 1
        if created is not None:
            self.oldest = min(self.oldest or created, created)
            self.newest = max(self.newest or created, created)
        if deadline is None:
            self.unknown += 1
            return
        self.first_deadline = min(self.first_deadline or deadline, deadline)
        self.last_deadline = max(self.last_deadline or deadline, deadline)
        if deadline <= now:
            self.dead += 1
        elif deadline <= now + DYING:
            self.dying += 1
        else:
            self.alive += 1


@dataclass(slots=True)
class BlobPlace:
    """Files kept as bytes in a column."""

    table: str
    column: str
    count: int = 0
    bytes: int = 0
    types: dict[str, int] = field(default_factory=dict)
    """MIME type by the first bytes → how many; ``unknown`` for what is no media file known here."""
    texts: int = 0
    """Values that are text (JSON as bytes): they are searched like any other text, and are no files."""
    fixed: dict[str, int] = field(default_factory=dict)
    """How many hold a temporary URL that cannot be replaced where it stands, by what they are (``gzip``)."""


@dataclass(slots=True)
class TableLook:
    """One table as discovery saw it."""

    name: str
    is_view: bool
    rows: int | None
    """In the whole table, None when the database would not count them in time."""
    rows_read: int
    key: tuple[str, ...]
    columns: tuple[str, ...]
    json_columns: frozenset[str]
    created_at: str | None
    changed_at: str | None
    problem: str | None = None
    """Why it could not be read, one sentence."""
    left_alone: str | None = None
    """Whose it is, when it is not for a rewrite by its own name."""

    @property
    def is_exact(self) -> bool:
        """True when every row was read."""
        return self.rows is not None and self.rows_read >= self.rows


@dataclass(slots=True)
class Discovery:
    """What a database holds."""

    address: str
    dialect: str
    tables: list[TableLook] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    blobs: list[BlobPlace] = field(default_factory=list)
    left_alone: list[Relation] = field(default_factory=list)
    """Tables that are not a user's own: parts of others, of extensions, of tools; each says whose it is."""
    now: datetime = field(default_factory=utc_now)

    @property
    def urls(self) -> int:
        """Temporary URLs seen."""
        return sum(place.count for place in self.places)

    def table(self, name: str) -> TableLook:
        """The table called ``name``. Raises KeyError."""
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(name)

    def estimate(self, place: Place | BlobPlace) -> int | None:
        """How many there are in the whole table, judged by the rows that were read."""
        table = self.table(place.table)
        if table.is_exact:
            return place.count
        if table.rows is None or not table.rows_read:
            return None
        return round(place.count * table.rows / table.rows_read)


Progress = Callable[[str, int], None]
"""Hears the name of a table and how many of its rows have been read."""


def discover(
    url: str,
    *,
    exact: bool = False,
    sample: int = 1000,
    name: str = "source",
    reading: Reading | None = None,
    now: datetime | None = None,
    hosts: HostRules = NO_RULES,
    on_progress: Progress | None = None,
) -> Discovery:
    """Look through every text, JSON and BLOB column of a database.

    ``sample`` rows are read of each table: a third the oldest, a third the newest, the others from between;
    with ``exact`` all of them. A table that cannot be read is reported, the others are still looked at.
    Raises SourceUnavailable and ConfigurationInvalid.
    """
    with open_database(url, name=name, reading=reading) as database:
        found = Discovery(database.address, database.dialect, now=now or utc_now())
        for relation in relations_of(database):
            if relation.is_left_alone:
                found.left_alone.append(relation)
                if relation.role not in _LOOKED_INTO:
                    continue
            look = _Look(database, found, relation, hosts)
            try:
                look.prepare()
                look.read(exact=exact, sample=sample, on_progress=on_progress)
            except SourceError as exc:
                look.table.problem = str(exc)
            found.tables.append(look.table)
            found.places += sorted(look.places.values(), key=lambda place: -place.count)
            found.blobs += [blob for blob in look.blobs.values() if blob.count or blob.fixed]
    return found


_LOOKED_INTO = (Role.HISTORY, Role.TOOL)
"""Roles whose tables are searched although they are left alone: what stands in them is named."""


class _Look:
    """One table while it is looked through."""

    def __init__(self, database: SourceDatabase, found: Discovery, relation: Relation, hosts: HostRules) -> None:
        self.hosts = hosts
        self.database = database
        self.found = found
        self.plain_name, self.schema = relation.table, relation.schema
        self.is_virtual = relation.kind == "virtual table"
        self._holds = {column.name: column.holds for column in relation.columns if column.is_readable}
        self.table = TableLook(relation.name, relation.is_view, None, 0, (), (), frozenset(), None, None)
        self.table.problem = relation.unread if not relation.is_elsewhere else None
        self.table.left_alone = relation.note if relation.is_left_alone else None
        self.places: dict[tuple[str, str, str, str], Place] = {}
        self.blobs: dict[str, BlobPlace] = {}
        self._texts: list[str] = []
        self._types: dict[str, Any] = {}

    def prepare(self) -> None:
        """Reflect the columns and count the rows. Raises SourceError."""
        if self.table.problem is not None:
            raise SourceMismatch(self.table.problem)
        if "." in self.plain_name:
            raise SourceMismatch(
                "the dot in its name cannot be told from the one in schema.table; give a view of another name "
                "over it, or rename it"
            )
        with self.database.connect() as connection:
            inspector = inspect(connection)
            entries = inspector.get_columns(self.plain_name, self.schema)
            columns = [entry for entry in entries if entry["name"] in self._holds]
            table = self.table
            table.columns = tuple(entry["name"] for entry in columns)
            self._types = {entry["name"]: plain_type(entry["type"]) for entry in columns}
            table.json_columns = frozenset(n for n, kind in self._types.items() if isinstance(kind, JSON))
            if not table.is_view:
                key = inspector.get_pk_constraint(self.plain_name, self.schema)["constrained_columns"]
                # A virtual table has no other key than the number of its row.
                table.key = ("rowid",) if self.is_virtual else tuple(key)
            table.created_at = _named(columns, _CREATED)
            table.changed_at = _named(columns, _CHANGED)
            for entry in columns:
                match self._holds[entry["name"]]:
                    case Holds.BYTES:
                        self.blobs[entry["name"]] = BlobPlace(table.name, entry["name"])
                    case Holds.TEXT:
                        self._texts.append(entry["name"])
        try:
            with self.database.connect() as connection:
                self.table.rows = connection.execute(
                    select(func.count()).select_from(self._source())
                ).scalar_one()
        except SourceError:
            self.table.rows = None  # too large to be counted in time

    def read(self, *, exact: bool, sample: int, on_progress: Progress | None) -> None:
        """Read the sample, or everything."""
        if not self._texts and not self.blobs:
            self.table.rows_read = self.table.rows or 0
            return
        small = self.table.rows is not None and self.table.rows <= sample
        with self.database.connect() as connection:
            if exact or small:
                self._scan(connection, [self._select()], on_progress)
            else:
                self._scan(connection, self._samples(sample), on_progress)

    def _source(self) -> Any:
        return make_table(self.plain_name, *(column(name) for name in self.table.columns), schema=self.schema)

    def _select(self) -> Any:
        source = self._source()
        expressions: list[ColumnElement[Any]] = []
        for name in self._texts:
            place: ColumnElement[Any] = source.c[name]
            as_text = is_shown(self._types[name], self.database.dialect)
            expressions.append(cast(place, Text) if as_text else place)
        length = func.length if self.database.dialect == "sqlite" else func.octet_length
        for name in self.blobs:
            head = head_of(source.c[name], _HEAD_BYTES, self.database.dialect)
            expressions += [length(source.c[name]), head]
        created = self.table.created_at
        if created is not None:
            expressions.append(source.c[created])
        return select(*(each.label(f"c{number}") for number, each in enumerate(expressions)))

    def _samples(self, sample: int) -> list[Any]:
        third = max(sample // 3, 1)
        source = self._source()
        key = [source.c[name] for name in self.table.key]
        if not key:
            return [self._select().limit(sample)]
        statements = [
            self._select().order_by(*key).limit(third),
            self._select().order_by(*(each.desc() for each in key)).limit(third),
        ]
        rows = self.table.rows
        if rows is not None and rows > 3 * third:
            # One stretch from the middle; on a large table an offset only walks the index of the key.
            statements.append(self._select().order_by(*key).offset(rows // 2).limit(third))
        return statements

    def _scan(self, connection: Connection, statements: Iterable[Any], on_progress: Progress | None) -> None:
        for statement in statements:
            result = connection.execution_options(stream_results=True).execute(statement)
            rows = 1
            while portion := result.fetchmany(rows):
                size = sum(
                    len(value) for row in portion for value in row if isinstance(value, str | bytes | memoryview)
                )
                fitting = _BYTES_AT_ONCE * len(portion) // max(size, 1)
                rows = max(min(2 * rows, fitting, _ROWS_AT_ONCE), 1)
                self.table.rows_read += len(portion)
                for row in portion:
                    self._row(row)
                if on_progress is not None:
                    on_progress(self.table.name, self.table.rows_read)
        if self.table.rows is not None:
            self.table.rows_read = min(self.table.rows_read, self.table.rows)

    def _row(self, row: Sequence[Any]) -> None:
        created = moment_of(row[-1]) if self.table.created_at is not None else None
        for name, value in zip(self._texts, row, strict=False):
            if isinstance(value, memoryview | bytearray):
                value = bytes(value)
            if isinstance(value, str | bytes):
                self._text(name, value, created)
        at = len(self._texts)
        for blob in self.blobs.values():
            size, head = row[at], row[at + 1]
            at += 2
            if isinstance(head, str):
                blob.texts += 1
                self._text(blob.column, head, created)
            elif isinstance(head, bytes | memoryview | bytearray) and size:
                self._bytes(blob, bytes(head), int(size), created)

    def _bytes(self, blob: BlobPlace, head: bytes, size: int, created: datetime | None) -> None:
        looked = look_into(head)
        if looked.form is Form.TEXT and self._text(blob.column, head, created):
            blob.texts += 1
            return
        content = None if looked.form is Form.TEXT else looked.content
        if content is not None and find(content, created_at=created, hosts=self.hosts):
            blob.fixed[looked.kind] = blob.fixed.get(looked.kind, 0) + 1
        blob.count += 1
        blob.bytes += size
        kind = looked.kind if looked.form is Form.MEDIA else "unknown"
        blob.types[kind] = blob.types.get(kind, 0) + 1

    def _text(self, name: str, value: str | bytes, created: datetime | None) -> bool:
        """Count the URLs of one text; whether there are any."""
        found = find(value, created_at=created, hosts=self.hosts)
        for finding in found:
            pointer = generalised(kept_pointer(finding.pointer))
            host = host_of(finding.url) or "?"
            scheme = finding.classification.scheme or "?"
            key = (name, pointer, host, scheme)
            place = self.places.get(key)
            if place is None:
                place = self.places[key] = Place(self.table.name, name, pointer, host, scheme)
            place.add(created, finding.classification.expires_at, self.found.now)
        return bool(found)


def _named(columns: Sequence[ReflectedColumn], names: Sequence[str]) -> str | None:
    by_name: Mapping[str, str] = {entry["name"].lower(): entry["name"] for entry in columns}
    return next((by_name[name] for name in names if name in by_name), None)
