"""The rows of a source as a rewrite and an undo see them, whether a database or a folder holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from video_assets.legacy.rewrite.compare_and_set import OpenStored, RowChange, apply_row, read_now
from video_assets.legacy.rewrite.plan import PlannedRow, Planner, RowWork
from video_assets.legacy.source.cell import Value
from video_assets.legacy.source.connect import SourceDatabase


class Rows(Protocol):
    """Reads and writes single rows of one source."""

    @property
    def source(self) -> str:
        """Name of the source."""

    def plan(self, work: RowWork) -> PlannedRow:
        """Read a row as it is now and compute its change. Raises SourceError."""

    def read(self, table: str, row_key: str, like: Mapping[str, Value]) -> dict[str, Value] | None:
        """The columns of ``like`` as the row holds them now; None when the row is gone. Raises SourceError."""

    def apply(self, change: RowChange, open_stored: OpenStored | None = None) -> None:
        """Make one change. Raises as ``applying.apply_row`` does."""

    def tidy(self, table: str, row_key: str) -> None:
        """Remove what a writer that was killed left beside a row. Raises SourceError."""


class DatabaseRows:
    """The rows of a database, opened once for reading and once for writing."""

    def __init__(self, planner: Planner, reader: SourceDatabase, writer: SourceDatabase) -> None:
        self.source = writer.name
        self.planner = planner
        self.reader = reader
        self._writer = writer

    def plan(self, work: RowWork) -> PlannedRow:
        return self.planner.plan(work)

    def read(self, table: str, row_key: str, like: Mapping[str, Value]) -> dict[str, Value] | None:
        access = self.planner.access(table)
        with self.reader.connect() as connection:
            return read_now(connection, access, row_key, like)

    def apply(self, change: RowChange, open_stored: OpenStored | None = None) -> None:
        apply_row(self._writer, self.planner.access(change.table), change, open_stored)

    def tidy(self, table: str, row_key: str) -> None:
        """Nothing to do: a database rolls back what its client did not commit, and keeps it nowhere else."""

    def why_closed(self, table: str) -> str | None:
        """One sentence when no row of ``table`` can be rewritten, None when they can be.

        Raises SourceUnavailable.
        """
        if (why := self.planner.why_closed(table)) is not None:
            return why
        shape = self.planner.access(table).shape
        columns = [column for column in shape.config.columns if column.type != "blob"]
        names = {column.name for column in columns} - self.planner.access(table).generated
        return self._writer.why_not_writable(table, sorted(names))
