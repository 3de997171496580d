"""A table or view of a foreign database, with its columns and its role."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Holds(StrEnum):
    """What a column can hold by its type."""

    TEXT = "text"
    BYTES = "bytes"
    NOTHING = "no text"
    """Numbers, times and the like: no URL fits in."""


class Role(StrEnum):
    """Whose a table is."""

    OWN = "own"
    """The application's: read, proposed, rewritten."""
    SHADOW = "shadow table"
    """Where a virtual table keeps what it is made of."""
    INDEX = "index"
    """A virtual table that keeps no text of its own."""
    PART = "part"
    """A partition, or a child of another table in which its rows are found."""
    FOREIGN = "foreign table"
    EXTENSION = "extension"
    PLATFORM = "platform"
    TOOL = "tool"
    HISTORY = "history"
    STATISTICS = "statistics"
    CATALOG = "catalog"
    """The product's own."""
    DAGSTER = "dagster"


@dataclass(frozen=True, slots=True)
class RelationColumn:
    """One column."""

    name: str
    type: str
    """As the database names it; empty for a column of SQLite without a type."""
    holds: Holds
    is_readable: bool = True
    """False when this user may not SELECT it."""


@dataclass(frozen=True, slots=True)
class Relation:
    """One table or view."""

    table: str
    schema: str | None
    """None for the schema that a name without one means."""
    kind: str
    """``table``, ``view``, ``materialized view``, ``virtual table``, ``foreign table``."""
    columns: tuple[RelationColumn, ...] = ()
    role: Role = Role.OWN
    note: str | None = None
    """Whose it is and what that means for a rewrite, one sentence without its end."""
    unread: str | None = None
    """Why its rows are not read, half a sentence; None when they are."""
    is_elsewhere: bool = False
    """Not read, and nothing is missed: what it shows or keeps stands in other tables, or is no text."""
    hidden: str | None = None
    """Why reading it does not show all of its rows, half a sentence."""
    default_schema: str | None = None

    @property
    def name(self) -> str:
        """As a configuration names it: ``table`` or ``schema.table``."""
        return f"{self.schema}.{self.table}" if self.schema else self.table

    @property
    def is_view(self) -> bool:
        """Whether it shows rows of others."""
        return self.kind in ("view", "materialized view")

    @property
    def is_left_alone(self) -> bool:
        """Whether it is not for a rewrite."""
        return self.role is not Role.OWN

    def document(self) -> dict[str, str | None]:
        """Whose it is, as JSON."""
        return {"name": self.name, "kind": self.kind, "role": str(self.role), "why": self.note}

    def is_called(self, name: str) -> bool:
        """Whether a configuration that says ``name`` means this table."""
        return name == self.name or (self.schema is None and name == f"{self.default_schema}.{self.table}")


@dataclass(frozen=True, slots=True)
class Fill:
    """A trigger on ``table`` that writes rows into another table whenever a row is changed or deleted."""

    trigger: str
    table: tuple[str | None, str]
    """(schema, table)."""
    body: str
