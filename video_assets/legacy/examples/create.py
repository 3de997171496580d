"""Example databases: one of the five systems, filled with rows as it would have written them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from video_assets.legacy.config.models import Source
from video_assets.legacy.config.presets.preset import Links, Preset, Row
from video_assets.legacy.errors import SourceError
from video_assets.legacy.examples.invented_links import InventedLinks
from video_assets.legacy.examples.working_links import PLAYED_BY, EmulatedLinks, EmulatorLike
from video_assets.legacy.source.connect import explain, safe_address

_ROWS_AT_ONCE = 500


class ExampleExists(SourceError):
    """The tables of the example are there already; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Example:
    """An example database that was made."""

    source: Source
    """How to read it, ready for the inventory."""
    rows: int


def create_example(
    preset: Preset,
    where: str | Path,
    *,
    rows: int = 400,
    name: str | None = None,
    seed: int = 7,
    emulator: EmulatorLike | None = None,
    now: datetime | None = None,
) -> Example:
    """Make a database of one of the systems and fill it with ``rows`` rows.

    ``where`` is a path (an SQLite file) or a SQLAlchemy URL of an existing database. The same seed and ``now``
    give the same rows. With a running emulator every link is one of its own, else links lead nowhere.
    Raises ExampleExists when its tables are there, SourceError when the database cannot be used.
    """
    url = f"sqlite:///{Path(where).absolute()}" if isinstance(where, Path) or "://" not in where else where
    links: Links = InventedLinks(now) if emulator is None else EmulatedLinks(emulator, now=now)
    source = preset.source(name or preset.name.replace("_", "-"), url, providers=PLAYED_BY if emulator else None)
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed, hide_parameters=True)
    try:
        taken = set(sa.inspect(engine).get_table_names()) & set(preset.schema.tables)
        if taken:
            raise ExampleExists(
                f"{safe_address(engine.url)} already has a table {min(taken)!r}: an example is only made where "
                "nothing is; choose another place"
            )
        with engine.begin() as connection:
            preset.schema.create_all(connection)
            made = _fill(connection, preset.fill(links, Random(seed), rows))  # noqa: S311  examples, no secrets
    except SQLAlchemyError as exc:
        raise explain(exc, source.name, safe_address(engine.url)) from None
    finally:
        engine.dispose()
    links.finish()
    return Example(source, made)


def _fill(connection: sa.Connection, rows: Iterator[Row]) -> int:
    made = 0
    while portion := list(islice(rows, _ROWS_AT_ONCE)):
        by_table: dict[sa.Table, list[dict[str, Any]]] = {}
        for table, row in portion:
            by_table.setdefault(table, []).append(row)
        for table, some in by_table.items():
            connection.execute(sa.insert(table), some)
            made += len(some)
    return made
