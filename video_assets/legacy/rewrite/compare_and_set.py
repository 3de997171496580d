"""One row, one short transaction: changed only if it still holds exactly what was read, and read again before the
commit, so that whatever the database made of the new value is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, and_, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, SQLAlchemyError

from video_assets.legacy.source.blobs import hash_blob, write_blob
from video_assets.legacy.source.cell import RowAccess, Value
from video_assets.legacy.source.connect import SourceDatabase, explain
from video_assets.legacy.source.row_key import decode_key
from video_assets.urls import redact

OpenStored = Callable[[str], tuple[Iterable[bytes], int]]
"""SHA-256 → the bytes of a stored file and their number, to put a BLOB back."""


class ConcurrentChange(Exception):
    """The row does not hold any more what was read of it."""


class RowRefused(Exception):
    """The database does not take this change of this row; others may go through. The message is safe to show."""


@dataclass(eq=False)
class ValueAltered(Exception):
    """The database made something else of the new values (a type, a trigger); nothing was committed."""

    observed: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class RowChange:
    """Columns of one row: what they hold, what is written, and what they hold then. All have the same columns."""

    table: str
    row_key: str
    before: Mapping[str, Value]
    after: Mapping[str, Value]
    guards: Mapping[str, Value] = field(default_factory=dict)
    """Columns that have to hold these values although they do not change."""
    made_of_it: Mapping[str, Value] | None = None
    """What the database makes of the written values, where that is known to be something else."""

    @property
    def result(self) -> Mapping[str, Value]:
        """What the row holds when the change is made."""
        return self.after if self.made_of_it is None else self.made_of_it


def apply_row(
    database: SourceDatabase, access: RowAccess, change: RowChange, open_stored: OpenStored | None = None
) -> None:
    """Make the change, in one transaction. ``open_stored`` gives the bytes of BLOBs that come back.

    Raises ConcurrentChange, RowRefused and ValueAltered, each with nothing changed; SourceBusy; and SourceError
    when the source fails, in which case nobody knows whether the change was committed.
    """
    key = decode_key(change.row_key)
    names = list(change.after)
    source = access.table([*names, *change.guards])
    expected = {**change.guards, **change.before}
    restored = [name for name, value in change.after.items() if value.kind == "stored"]
    written = {
        source.c[name]: access.written(value) for name, value in change.after.items() if value.kind != "stored"
    }
    try:
        with database.engine.begin() as connection:
            if database.dialect == "sqlite":
                for name, value in expected.items():
                    if value.kind == "stored" and hash_blob(connection, access, key, name) != value:
                        raise ConcurrentChange(name)
            if not written:
                written = {source.c[restored[0]]: access.written(Value("bytes", b""))}
            statement = (
                update(source)
                .where(access.shape.is_row(source, key))
                .where(and_(*(access.holds(name, source.c[name], value) for name, value in expected.items())))
                .values(written)
            )
            count = connection.execute(statement).rowcount
            if count == 0:
                if read_now(connection, access, change.row_key, expected) == dict(expected):
                    raise RowRefused(
                        f"the database shows a row of {change.table} and does not change it: a trigger skips the "
                        "change, or a row level security policy leaves this user out"
                    )
                raise ConcurrentChange(change.table)
            if count > 1:
                raise RowRefused(f"{count} rows of {change.table} have this key; nothing was changed")
            for name in restored:
                if open_stored is None:
                    raise RowRefused("the bytes of the BLOB are not at hand")
                blocks, size = open_stored(str(change.after[name].data))
                write_blob(connection, access, key, name, blocks, size)
            observed = read_now(connection, access, change.row_key, change.after)
            if observed != dict(change.result):
                raise ValueAltered(observed or {})
    except SQLAlchemyError as exc:
        sentence = _refusal(exc, change.table) if isinstance(exc, DBAPIError) else None
        if sentence is not None:
            raise RowRefused(sentence) from None
        raise explain(exc, database.name, database.address) from None


def read_now(
    connection: Connection, access: RowAccess, row_key: str, like: Mapping[str, Value]
) -> dict[str, Value] | None:
    """The columns of ``like`` as the row holds them now; None when the row is gone.

    Where ``like`` holds a BLOB as ``stored``, or empties one, the column is hashed and not read.
    """
    key = decode_key(row_key)
    hashed = [name for name, value in like.items() if value.kind == "stored" or _is_blob(access, name)]
    names = [name for name in like if name not in hashed]
    row = connection.execute(access.read(key, names or list(access.shape.key))).first()
    if row is None:
        return None
    values = access.values(names, row) if names else {}
    values.update({name: hash_blob(connection, access, key, name) for name in hashed})
    return {name: values[name] for name in like}


def _is_blob(access: RowAccess, name: str) -> bool:
    return any(column.name == name and column.type == "blob" for column in access.shape.config.columns)


def _refusal(exc: DBAPIError, table: str) -> str | None:
    """One sentence when an error is about this row only; None when it is about the database or the user."""
    orig = exc.orig
    code = str(getattr(orig, "pgcode", None) or "")
    number = orig.args[0] if orig is not None and orig.args and isinstance(orig.args[0], int) else 0
    of_row = isinstance(exc, IntegrityError | DataError | NotSupportedError)
    of_row = of_row or code[:2] in ("22", "23", "44", "P0", "0A", "09", "27", "54")
    of_row = of_row or code in ("55000", "428C9", "42501")
    of_row = of_row or number in (1142, 1143, 1644, 1406, 1265, 1366, 3105, 1906, 1288, 1369, 3140, 4025)
    of_row = of_row or "because it is a view" in str(orig)
    if not of_row or code in ("40001", "40P01"):
        return None
    lines = redact(str(orig)).strip().splitlines()
    cause = lines[0] if lines else type(exc).__name__
    remedy = next(
        (remedy for signs, remedy in _REMEDIES if code in signs or number in signs or _says(orig, signs)), ""
    )
    return f"the database refuses the new value of a row of {table}: {cause}{remedy}"


_REMEDIES: tuple[tuple[frozenset[str | int], str], ...] = (
    (
        frozenset(("23505", 1062, "UNIQUE constraint failed")),
        "; another row holds the same durable URL, because both old links lead to one file: remove one of the "
        "two, or give up the unique index",
    ),
    (
        frozenset(("23503", 1451, 1452, "FOREIGN KEY constraint failed")),
        "; rows of another table hold the same value: give the foreign key ON UPDATE CASCADE, then only the "
        "table it refers to needs rewriting",
    ),
    (
        frozenset(("23514", 4025, 3819, "CHECK constraint failed")),
        "; let the CHECK constraint take durable URLs too",
    ),
    (frozenset(("22001", 1406)), "; widen the column, or shorten VIDEO_ASSETS_PUBLIC_BASE_URL"),
    (
        frozenset(("42501", 1142, 1143)),
        "; grant it, change the row level security policy, or use --emit-sql and let somebody run it who may",
    ),
)
"""Signs of an error (a code, or words of SQLite) and what to do about it."""


def _says(orig: BaseException | None, signs: frozenset[str | int]) -> bool:
    return any(isinstance(sign, str) and " " in sign and sign in str(orig) for sign in signs)
