"""The values of a foreign row, exactly: read, compared, written and kept for an undo without losing a byte.

Every database has its own ways of being almost right (collations that ignore case, types that convert, drivers
that decode); each is named here once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    column,
    func,
    inspect,
    literal,
    null,
    select,
)
from sqlalchemy import table as make_table
from sqlalchemy.types import ARRAY, JSON, Date, DateTime, Integer, NullType, Numeric, String, TypeEngine

from video_assets.legacy.source.connect import SourceDatabase
from video_assets.legacy.source.row_key import Key
from video_assets.legacy.source.table_shape import TableShape, is_binary, plain_type, split_name

Kind = Literal["null", "text", "bytes", "integer", "real", "stored"]
"""``stored`` is a BLOB that lies in the storage; its data is the SHA-256 (hex) of its bytes."""


@dataclass(frozen=True, slots=True)
class Value:
    """What one column of one row holds. May hold a secret, so a repr shows its kind only."""

    kind: Kind
    data: str | bytes | int | float | None = field(default=None, repr=False)
    """Text keeps bytes that are no UTF-8 as lone surrogates (``surrogateescape``)."""

    @classmethod
    def of(cls, data: Any) -> Value:
        """The value that a driver gave."""
        match data:
            case None:
                return cls("null")
            case str():
                return cls("text", data)
            case bool() | int():
                return cls("integer", int(data))
            case float():
                return cls("real", data)
            case bytes() | bytearray() | memoryview():
                return cls("bytes", bytes(data))
        return cls("text", str(data))

    def raw(self) -> bytes:
        """Its bytes, the same for the same value only."""
        match self.data:
            case None:
                return b""
            case str():
                return self.data.encode("utf-8", "surrogateescape")
            case bytes():
                return self.data
            case float():
                return self.data.hex().encode()
        return str(self.data).encode()

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of kind and bytes."""
        return hashlib.sha256(self.kind.encode() + b":" + self.raw()).hexdigest()

    def dump(self) -> bytes:
        """The value as bytes, for the ledger; ``load`` gives it back."""
        return self.kind.encode() + b"\n" + self.raw()

    @classmethod
    def load(cls, dumped: bytes) -> Value:
        """The value back from ``dump``. Raises ValueError for other bytes."""
        kind, mark, raw = dumped.partition(b"\n")
        if not mark:
            raise ValueError("these bytes are no dumped value")
        match kind:
            case b"null":
                return cls("null")
            case b"text":
                return cls("text", raw.decode("utf-8", "surrogateescape"))
            case b"bytes":
                return cls("bytes", raw)
            case b"integer":
                return cls("integer", int(raw))
            case b"stored":
                return cls("stored", raw.decode())
            case b"real":
                return cls("real", float.fromhex(raw.decode()))
        raise ValueError("these bytes are no dumped value")


@dataclass(frozen=True, slots=True)
class RowAccess:
    """How the columns of one table are read and written exactly."""

    shape: TableShape
    types: Mapping[str, TypeEngine[Any]]
    generated: frozenset[str]
    """Columns that the database computes from others; nobody can write them."""

    @classmethod
    def of(cls, database: SourceDatabase, connection: Connection, shape: TableShape) -> RowAccess:
        """Look at the columns' types once per table."""
        name, schema = split_name(shape.name)
        columns = inspect(connection).get_columns(name, schema)
        return cls(
            shape,
            {entry["name"]: plain_type(entry["type"]) for entry in columns},
            frozenset(entry["name"] for entry in columns if entry.get("computed")),
        )

    def is_binary(self, name: str) -> bool:
        """Whether the column is declared to hold bytes."""
        kind = self.types.get(name)
        return kind is not None and is_binary(kind)

    def is_json(self, name: str) -> bool:
        """Whether the column is declared JSON."""
        return isinstance(self.types.get(name), JSON)

    def is_number(self, name: str) -> bool:
        """Whether the column is declared to hold numbers."""
        return isinstance(self.types.get(name), Integer | Numeric)

    def is_array(self, name: str) -> bool:
        """Whether the column is declared to hold an array."""
        return isinstance(self.types.get(name), ARRAY)

    def is_time(self, name: str) -> bool:
        """Whether the column is declared to hold moments."""
        return isinstance(self.types.get(name), DateTime | Date)

    def too_long(self, name: str, value: Value) -> int | None:
        """The longest text the column takes, when ``value`` is longer than that; else None."""
        most = getattr(self.types.get(name), "length", None)
        if most is None or not isinstance(self.types.get(name), String):
            return None
        if value.kind == "text" and isinstance(value.data, str) and len(value.data) > most:
            return int(most)
        return None

    def table(self, names: Sequence[str]) -> Any:
        """The table for a statement that mentions ``names`` and the key."""
        name, schema = split_name(self.shape.name)
        every = sorted({*self.shape.key, *names})
        return make_table(name, *(column(each) for each in every), schema=schema)

    def read(self, key: Key, names: Sequence[str]) -> Select[Any]:
        """The columns ``names`` of one row, in a form that :meth:`values` understands."""
        source = self.table(names)
        return (
            select(*(self._read(name, source.c[name]).label(f"c{n}") for n, name in enumerate(names)))
            .select_from(source)
            .where(self.shape.is_row(source, key))
        )

    def values(self, names: Sequence[str], row: Sequence[Any]) -> dict[str, Value]:
        """The values of a row that ``read`` gave."""
        return {name: Value.of(data) for name, data in zip(names, row, strict=True)}

    def _read(self, name: str, place: ColumnElement[Any]) -> ColumnElement[Any]:
        return place if self.shape.dialect == "sqlite" or self.is_binary(name) else cast(place, Text)

    def holds(self, name: str, place: ColumnElement[Any], value: Value) -> ColumnElement[bool]:
        """The condition that the column holds exactly ``value``: no collation, no conversion, no padding."""
        if value.kind == "null":
            return place.is_(None)
        if value.kind == "stored":
            return self._holds_blob(place, value)
        if self.shape.dialect == "sqlite":
            word = {"bytes": "blob"}.get(value.kind, value.kind)
            same = self._same_in_sqlite(place, value)
            return and_(func.typeof(place) == word, same)
        if value.kind == "bytes":
            return place == literal(value.data, LargeBinary())
        given = _untyped(value.data)
        if self.shape.dialect == "mysql":
            return cast(cast(place, Text), LargeBinary) == cast(given, LargeBinary)
        return cast(place, Text).collate("C") == given

    def _holds_blob(self, place: ColumnElement[Any], value: Value) -> ColumnElement[bool]:
        if self.shape.dialect == "postgresql":
            return func.encode(func.sha256(place), "hex") == literal(value.data)
        if self.shape.dialect == "mysql":
            return func.sha2(place, 256) == literal(value.data)
        # SQLite cannot hash: whoever asks has read the bytes in this transaction, under the write lock.
        return func.typeof(place) == "blob"

    def _same_in_sqlite(self, place: ColumnElement[Any], value: Value) -> ColumnElement[bool]:
        if value.kind == "text":
            return place.collate("BINARY") == self.written(value)
        return place == _untyped(value.data)

    def written(self, value: Value) -> ColumnElement[Any]:
        """``value`` as it is given to the database in an UPDATE."""
        if value.kind == "null":
            return null()
        if value.kind == "bytes":
            return literal(value.data, LargeBinary())
        if self.shape.dialect == "sqlite" and isinstance(value.data, str) and not _is_unicode(value.data):
            # The driver takes no lone surrogates; as bytes they are what they were.
            return cast(literal(value.raw(), LargeBinary()), Text)
        return _untyped(value.data)


def _untyped(data: Any) -> ColumnElement[Any]:
    """A parameter without a type, so that the database converts it as it converts a quoted literal."""
    return bindparam(None, data, type_=NullType(), unique=True)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
