"""What a full scan of a source counted: per column, per class, and the places that still hold a temporary URL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

CLASSES = ("lost", "excepted", "pending", "unknown", "given_up")
"""What may be known of a temporary URL that stands in a source: gone before it could be saved, left alone on
purpose, known and not rewritten yet, never seen by an inventory, and given up by a person."""

SETTLED = frozenset({"lost", "excepted", "given_up"})
"""Classes that are accounted for."""


@dataclass(frozen=True, slots=True)
class Remaining:
    """One temporary URL or token that stands in the source. Safe to show."""

    table: str
    row_key: str
    column: str
    pointer: str
    classed: str
    scheme: str | None
    carries_jwt: bool
    redacted: str
    message: str | None = None
    """Why it was lost or left alone."""
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        shown: dict[str, Any] = {
            "table": self.table,
            "row": self.row_key,
            "column": self.column,
            "pointer": self.pointer,
            "scheme": self.scheme,
            "carries_jwt": self.carries_jwt,
            "redacted": self.redacted,
        }
        if self.message:
            shown["why"] = self.message
        if self.evidence:
            shown["evidence"] = dict(self.evidence)
        return shown


@dataclass(slots=True)
class ColumnCount:
    """What one column holds."""

    type: str = ""
    """As the database names it."""
    values: int = 0
    """Texts and bytes that are not NULL and were read whole; every one of them was searched."""
    temporary: int = 0
    """Temporary URLs, credentials and bare tokens in them."""
    jwts: int = 0
    """How many of these carry a JSON Web Token."""
    durable: int = 0
    """Places that hold the address of a stored file which was put there by a rewrite."""
    classes: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    """Values that are bytes, by what they are: ``text``, ``gzip``, ``video/mp4``."""
    unseen: Counter[str] = field(default_factory=Counter)
    """Of these, the ones that were not looked through: files, what is packed or encrypted, what is too large."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "type": self.type,
            "values": self.values,
            "temporary": self.temporary,
            "jwts": self.jwts,
            "durable": self.durable,
            **{name: self.classes[name] for name in CLASSES if self.classes[name]},
            **({"bytes": dict(self.bytes)} if self.bytes else {}),
            **({"not_looked_through": dict(self.unseen)} if self.unseen else {}),
        }


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that was not read."""

    name: str
    """A table, or ``table.column``."""
    type: str
    """The kind of the table, or the column's type."""
    why: str
    note: str | None = None
    """Whose it is."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        shown = {"name": self.name, "type": self.type, "why": self.why}
        return {**shown, "note": self.note} if self.note else shown


@dataclass(slots=True)
class TableScan:
    """What one table holds."""

    key: tuple[str, ...] = ()
    """The columns that tell its rows apart."""
    rows: int = 0
    columns: dict[str, ColumnCount] = field(default_factory=dict)
    problem: str | None = None
    """Why it could not be read, one sentence. A table that was not read proves nothing."""
    kind: str = "table"
    role: str = "own"
    note: str | None = None
    """Whose it is, when it is not the application's own."""
    hidden: str | None = None
    """Why not all of its rows are shown to this user, half a sentence."""
    types: dict[str, str] = field(default_factory=dict)
    """Every column's type."""
    no_text: list[str] = field(default_factory=list)
    """Columns of numbers, times and the like: no URL fits in, so they are not read."""
    unread: dict[str, str] = field(default_factory=dict)
    """Columns that could not be read, and why."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "kind": self.kind,
            "key": list(self.key),
            "rows": self.rows,
            "columns": {each: counts.document() for each, counts in self.columns.items()},
            "no_text": {each: self.types[each] for each in self.no_text},
            **({"role": self.role, "note": self.note} if self.note else {}),
            **({"problem": self.problem} if self.problem else {}),
        }


@dataclass(slots=True)
class SourceScan:
    """What one scan of a whole source found."""

    source: str
    address: str
    tables: dict[str, TableScan] = field(default_factory=dict)
    remaining: dict[str, list[Remaining]] = field(default_factory=lambda: {name: [] for name in CLASSES})
    """At most ``LISTED`` places per class."""
    unread: list[Unread] = field(default_factory=list)
    """Tables that were not read although they may hold text."""
    elsewhere: list[Unread] = field(default_factory=list)
    """Tables and views that were not read: what they show or keep stands in others, or is no text."""

    @property
    def rows(self) -> int:
        """Rows read."""
        return sum(table.rows for table in self.tables.values())

    @property
    def classes(self) -> Counter[str]:
        """Remaining temporary URLs per class."""
        total: Counter[str] = Counter()
        for column in self._columns():
            total.update(column.classes)
        return total

    @property
    def jwts(self) -> int:
        """Remaining JSON Web Tokens."""
        return sum(column.jwts for column in self._columns())

    @property
    def durable(self) -> int:
        """Places that hold the address of a stored file."""
        return sum(column.durable for column in self._columns())

    @property
    def not_read(self) -> list[Unread]:
        """Everything that was not read and may hold a URL: tables, columns, rows, values."""
        found = list(self.unread)
        for name, table in self.tables.items():
            if table.problem is not None:
                found.append(Unread(name, table.kind, table.problem))
            elif table.hidden is not None:
                found.append(Unread(name, table.kind, table.hidden))
            found += [Unread(f"{name}.{each}", table.types[each], why) for each, why in table.unread.items()]
            for each, column in table.columns.items():
                found += [
                    Unread(
                        f"{name}.{each}", column.type, f"{count:,} of its values are not looked through: {kind}"
                    )
                    for kind, count in column.unseen.items()
                ]
        return found

    @property
    def is_complete(self) -> bool:
        """True when every table and column that may hold a URL was read, and every value looked through."""
        return not self.not_read

    @property
    def problems(self) -> list[str]:
        """Why tables could not be read."""
        return [table.problem for table in self.tables.values() if table.problem is not None]

    @property
    def is_clean(self) -> bool:
        """True when every table was read and no temporary URL or token is left at all."""
        return not self.problems and self.classes.total() == 0

    @property
    def is_accounted(self) -> bool:
        """True when every table was read and what is left is lost, given up, or left alone on purpose."""
        return not self.problems and not set(+self.classes) - SETTLED

    def _columns(self) -> Iterator[ColumnCount]:
        for table in self.tables.values():
            yield from table.columns.values()

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.source,
            "address": self.address,
            "rows": self.rows,
            "clean": self.is_clean,
            "accounted": self.is_accounted,
            "coverage": self._coverage(),
            "durable": self.durable,
            "jwts": self.jwts,
            "remaining": {name: self.classes[name] for name in CLASSES},
            "tables": {name: table.document() for name, table in self.tables.items()},
            "exceptions": {
                name: {"count": self.classes[name], "listed": [place.document() for place in places]}
                for name, places in self.remaining.items()
                if self.classes[name]
            },
        }

    def _coverage(self) -> dict[str, Any]:
        """What was read and what was not, as JSON."""
        not_read = self.not_read
        read = [table for table in self.tables.values() if table.problem is None]
        return {
            "complete": not not_read,
            "tables": {"read": len(read), "elsewhere": len(self.elsewhere), "not_read": len(self.unread)},
            "columns": {
                "read": sum(len(table.columns) for table in read),
                "no_text": sum(len(table.no_text) for table in read),
                "not_read": sum(len(table.unread) for table in read),
            },
            "not_read": [each.document() for each in not_read],
            "elsewhere": [each.document() for each in self.elsewhere],
        }
