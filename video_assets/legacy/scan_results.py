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

    values: int = 0
    """Texts that are not NULL; every one of them was searched."""
    temporary: int = 0
    """Temporary URLs, credentials and bare tokens in them."""
    jwts: int = 0
    """How many of these carry a JSON Web Token."""
    durable: int = 0
    """Places that hold the address of a stored file which was put there by a rewrite."""
    classes: Counter[str] = field(default_factory=Counter)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "values": self.values,
            "temporary": self.temporary,
            "jwts": self.jwts,
            "durable": self.durable,
            **{name: self.classes[name] for name in CLASSES if self.classes[name]},
        }


@dataclass(slots=True)
class TableScan:
    """What one table holds."""

    key: tuple[str, ...] = ()
    """The columns that tell its rows apart."""
    rows: int = 0
    columns: dict[str, ColumnCount] = field(default_factory=dict)
    problem: str | None = None
    """Why it could not be read, one sentence. A table that was not read proves nothing."""


@dataclass(slots=True)
class SourceScan:
    """What one scan of a whole source found."""

    source: str
    address: str
    tables: dict[str, TableScan] = field(default_factory=dict)
    remaining: dict[str, list[Remaining]] = field(default_factory=lambda: {name: [] for name in CLASSES})
    """At most ``LISTED`` places per class."""

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
            "durable": self.durable,
            "jwts": self.jwts,
            "remaining": {name: self.classes[name] for name in CLASSES},
            "tables": {
                name: {
                    "key": list(table.key),
                    "rows": table.rows,
                    "columns": {each: counts.document() for each, counts in table.columns.items()},
                    **({"problem": table.problem} if table.problem else {}),
                }
                for name, table in self.tables.items()
            },
            "exceptions": {
                name: {"count": self.classes[name], "listed": [place.document() for place in places]}
                for name, places in self.remaining.items()
                if self.classes[name]
            },
        }
