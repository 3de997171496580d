"""What a rewrite would do: the rows whose files are safe, each with its change. Reads only.

The same plan is shown as a diff, written as SQL, or applied.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from sqlmodel import Session, col, select, tuple_

from video_assets.catalog import Catalog, MediaState
from video_assets.catalog.legacy import FindingState, LegacyFile, LegacyFinding
from video_assets.legacy.config.models import Source
from video_assets.legacy.errors import SourceError, SourceMismatch, SourceUnavailable
from video_assets.legacy.rewrite.edit import Durable, Place, RowEdit, edit_row, related_columns, related_values
from video_assets.legacy.search.rows import BLOB_SCHEME
from video_assets.legacy.source.blobs import hash_blob
from video_assets.legacy.source.cell import RowAccess, Value
from video_assets.legacy.source.connect import SourceDatabase
from video_assets.legacy.source.row_key import decode_key
from video_assets.legacy.source.table_shape import look_at

ROWS_AT_ONCE = 100


@dataclass(slots=True)
class RowWork:
    """One row of a source with what is to be replaced in it."""

    table: str
    row_key: str
    places: dict[str, list[Place]] = field(default_factory=dict)
    """Per column: places whose file is durable."""
    excepted: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    blobs: dict[str, Place] = field(default_factory=dict)
    """Per BLOB column: the file that its bytes became."""

    @property
    def all_places(self) -> list[Place]:
        """Every place of the row."""
        return [*(place for of_column in self.places.values() for place in of_column), *self.blobs.values()]


@dataclass(slots=True)
class PlannedRow:
    """A row and its change. ``edit.after`` is empty when there is nothing to change."""

    work: RowWork
    edit: RowEdit
    is_gone: bool = False
    problem: str | None = None
    """Why the row must stay as it is, one sentence."""
    is_too_long: bool = False
    """A value would become longer than its column takes; that is the problem."""

    @property
    def size(self) -> int:
        """Bytes that are held for it, roughly."""
        held = (*self.edit.before.values(), *self.edit.after.values())
        return sum(len(value.data) for value in held if isinstance(value.data, str | bytes))


def durable_copy(file: LegacyFile) -> Durable | None:
    """The durable copy of a file, None unless it was stored and read back."""
    if file.state != MediaState.STORED or not file.proof or not file.file_url or not file.key:
        return None
    return Durable(
        file.id,
        file.file_url,
        file.key,
        file.bucket or "",
        file.file_name,
        file.file_size,
        file.file_type,
        file.sha256,
        file.stored_at,
    )


def rows_of(
    catalog: Catalog,
    source: str,
    *,
    batch: str | None = None,
    states: Collection[FindingState] = (FindingState.SAVED,),
) -> Iterator[tuple[str, str]]:
    """(table, row key) of the rows with findings in one of ``states``, of one batch or all, in order."""
    after: tuple[str, str] | None = None
    while True:
        statement = (
            select(LegacyFinding.table_name, LegacyFinding.row_key)
            .where(LegacyFinding.source == source, col(LegacyFinding.state).in_(list(states)))
            .distinct()
            .order_by(col(LegacyFinding.table_name), col(LegacyFinding.row_key))
            .limit(ROWS_AT_ONCE)
        )
        if batch is not None:
            statement = statement.where(LegacyFinding.batch == batch)
        if after is not None:
            place = tuple_(col(LegacyFinding.table_name), col(LegacyFinding.row_key))
            statement = statement.where(place > tuple_(*after))
        with catalog.read() as session:
            rows = session.exec(statement).all()
        yield from ((table, key) for table, key in rows)
        if len(rows) < ROWS_AT_ONCE:
            return
        after = (rows[-1][0], rows[-1][1])


def load_work(
    session: Session,
    source: str,
    rows: Sequence[tuple[str, str]],
    *,
    states: Collection[FindingState] = (FindingState.SAVED,),
    durable: Callable[[LegacyFile], Durable | None] = durable_copy,
) -> list[RowWork]:
    """What is to be replaced in ``rows``, whichever batch its findings belong to."""
    work = {row: RowWork(*row) for row in rows}
    if not rows:
        return []
    statement = (
        select(LegacyFinding, LegacyFile)
        .join(LegacyFile, col(LegacyFile.id) == LegacyFinding.file_id)
        .where(
            LegacyFinding.source == source,
            col(LegacyFinding.table_name).in_({table for table, _ in rows}),
            col(LegacyFinding.row_key).in_({key for _, key in rows}),
            col(LegacyFinding.state).in_([*states, FindingState.EXCEPTED]),
        )
        .order_by(col(LegacyFinding.id))
    )
    for finding, file in session.exec(statement):
        row = work.get((finding.table_name, finding.row_key))
        if row is None:
            continue
        if finding.state == FindingState.EXCEPTED:
            row.excepted.setdefault(finding.column_name, set()).add((finding.pointer, finding.url_digest))
            continue
        copy = durable(file)
        if copy is None:
            continue
        place = Place(finding.id, finding.url_digest, finding.pointer, copy)
        if finding.scheme == BLOB_SCHEME:
            row.blobs[finding.column_name] = place
        else:
            row.places.setdefault(finding.column_name, []).append(place)
    return [row for row in work.values() if row.places or row.blobs]


class Planner:
    """Reads rows of one source and says what each becomes. ``reader`` is open for reading."""

    def __init__(self, source: Source, reader: SourceDatabase) -> None:
        self._source = source
        self.reader = reader
        self._accesses: dict[str, RowAccess] = {}

    def access(self, table: str) -> RowAccess:
        """How the columns of ``table`` are read and written. Raises SourceError."""
        if table not in self._accesses:
            try:
                config = self._source.table(table)
            except KeyError:
                raise SourceMismatch(
                    f"source {self._source.name!r}: an inventory found work in the table {table!r}, which is not "
                    "in the configuration any more: put it back"
                ) from None
            shape = look_at(self.reader, config)
            with self.reader.connect() as connection:
                self._accesses[table] = RowAccess.of(self.reader, connection, shape)
        return self._accesses[table]

    def why_closed(self, table: str) -> str | None:
        """One sentence when no row of ``table`` can be planned or would take an update from anybody, else None.

        Raises SourceUnavailable.
        """
        try:
            self.access(table)
            return self.reader.why_not_updatable(table)
        except SourceUnavailable:
            raise
        except SourceError as exc:
            return str(exc)

    def plan(self, work: RowWork) -> PlannedRow:
        """Read the row as it is now and compute its change. Raises SourceError."""
        access = self.access(work.table)
        configured = {column.name for column in access.shape.config.columns}
        for name in (*work.places, *work.blobs):
            if name not in configured:
                why = f"{work.table}.{name} is not in the configuration any more: put it back"
                return PlannedRow(work, RowEdit(), problem=why)
        key = decode_key(work.row_key)
        names = self._columns(work, access)
        with self.reader.connect() as connection:
            row = connection.execute(access.read(key, names)).first()
            if row is None:
                return PlannedRow(work, RowEdit(missing=work.all_places), is_gone=True)
            values = access.values(names, row)
            edit = edit_row(access, values, work.places, work.excepted)
            for name, place in work.blobs.items():
                now = hash_blob(connection, access, key, name)
                _move_blob(access, edit, values, name, place, now)
        planned = PlannedRow(work, edit)
        for name, value in edit.after.items():
            most = access.too_long(name, value)
            if most is not None:
                planned.is_too_long = True
                planned.problem = (
                    f"{work.table}.{name} takes {most} characters and the durable URL makes it "
                    f"{len(str(value.data))}: widen the column, or shorten VIDEO_ASSETS_PUBLIC_BASE_URL"
                )
        return planned

    def _columns(self, work: RowWork, access: RowAccess) -> list[str]:
        names = dict.fromkeys(work.places)
        config = access.shape.config
        for name in (*work.places, *work.blobs):
            names.update(dict.fromkeys(related_columns(config.column(name))))
        for name in work.blobs:
            if (url_column := config.column(name).url_column) is not None:
                names[url_column] = None
        return list(names)


def _move_blob(
    access: RowAccess, edit: RowEdit, values: dict[str, Value], name: str, place: Place, now: Value
) -> None:
    """The change of a row whose BLOB lies in the storage: its URL column filled, the BLOB emptied if wanted."""
    column = access.shape.config.column(name)
    stored = Value("stored", place.durable.sha256)
    if now != stored:
        filled = column.url_column is not None and values[column.url_column].data == place.durable.url
        (edit.followed if filled else edit.missing).append(place)
        return
    if column.url_column is None and not column.clear:
        return
    edit.done[name] = [place]
    edit.guards[name] = stored
    if column.url_column is not None:
        edit.put(column.url_column, values[column.url_column], Value("text", place.durable.url))
    for related, value in related_values(access, column, [(place.pointer, place.durable)], values):
        edit.put(related, values[related], value)
    if column.clear:
        edit.put(name, stored, Value("null"))
