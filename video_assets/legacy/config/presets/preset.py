"""What a preset is: the shape of one well-known system, and how an example of it is filled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from video_assets.legacy.config.models import Source, Table


class Fate(StrEnum):
    """What will become of an example's URL."""

    ALIVE = "alive"
    """It works now."""
    REFRESHABLE = "refreshable"
    """It is dead, but its provider gives a fresh one for the job's id."""
    GONE = "gone"
    """It is dead and nobody gives another."""
    DURABLE = "durable"
    """It was moved to permanent storage long ago."""
    EMPTY = "empty"
    """There is none: the row failed or is not finished."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One video of an example, as the old system wrote it down."""

    fate: Fate
    provider: str
    task_id: str
    created_at: datetime
    url: str | None = field(repr=False, default=None)
    thumbnail_url: str | None = field(repr=False, default=None)


class Links(Protocol):
    """Where an example's links come from: invented ones, or real ones of an emulator."""

    now: datetime

    def sample(self, style: str, random: Random) -> Sample:
        """The next video. ``style`` is the provider whose links the system held."""

    def image(self, name: str, random: Random) -> Sample:
        """The next input picture; most stand in permanent storage."""

    def finish(self) -> None:
        """After the last row: let the dead be dead."""


Row = tuple[sa.Table, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Preset:
    """One of the systems that this product replaces."""

    name: str
    title: str
    description: str
    tables: tuple[Table, ...]
    """How it is read and rewritten."""
    schema: sa.MetaData
    """The tables of an example."""
    fill: Callable[[Links, Random, int], Iterator[Row]]
    """The rows of an example, given how many its main table shall have."""

    def source(self, name: str, url: str, *, providers: Mapping[str, str] | None = None) -> Source:
        """A source of this shape. ``providers`` lets one be played by another: ``openai`` by ``luma``."""
        tables = self.tables if not providers else tuple(_played(table, providers) for table in self.tables)
        return Source(name=name, url=url, preset=self.name, tables=tables)


def _played(table: Table, providers: Mapping[str, str]) -> Table:
    jobs = tuple(
        job.model_copy(
            update={
                "provider": providers.get(job.provider, job.provider) if job.provider else None,
                "names": {word: providers.get(name, name) for word, name in job.names.items()}
                | ({} if job.provider else {k: v for k, v in providers.items() if k not in job.names}),
            }
        )
        for job in table.jobs
    )
    return table.model_copy(update={"jobs": jobs})


def json_type() -> sa.types.TypeEngine[Any]:
    """JSON as each database has it: JSONB on PostgreSQL."""
    return sa.JSON().with_variant(JSONB(), "postgresql")


def moment_type() -> sa.types.TypeEngine[Any]:
    """A time with zone where the database has such a type."""
    return sa.DateTime(timezone=True)


def later(moment: datetime, seconds: float) -> datetime:
    """``moment`` some seconds on."""
    return moment + timedelta(seconds=seconds)


PROMPTS = (
    "A red kite over the harbour at dawn, slow pan",
    "אישה צוחקת בגשם, אור חם של ערב",
    "Two friends hug in a railway station, handheld, 35mm",
    'A paper boat "Aurora" drifts down a gutter & vanishes',
    "霓虹灯下的雨夜街道，慢镜头",
    "A lighthouse keeper feeds gulls / golden hour / 4k",
    "Product shot: ceramic mug, steam, soft window light",
    "Niño corre por la playa con una cometa azul",
    "Time-lapse of a fern unrolling 🌿 macro",
    "Drone shot following a tram through old town",
)
