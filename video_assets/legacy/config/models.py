"""The configuration of legacy sources: what to read, keep and fill in.

Passwords never stand in the file: ``url = "env:NAME"`` takes the whole address from the environment, and
``${NAME}`` inside an address takes a part of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from video_assets.legacy.config.urls import resolve_url
from video_assets.urls import HostRules, host_rules

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

ColumnType = Literal["text", "json", "blob"]
FileKind = Literal["auto", "video", "clip", "captioned", "thumbnail", "image", "gif", "audio", "subtitle", "file"]
Fact = Literal[
    "file_url", "file_name", "file_size", "file_type", "storage_path", "bucket", "sha256", "uploaded_at", "null"
]
"""What a related column can be filled with; ``uploaded_at`` is ISO 8601 with zone, ``null`` empties it."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Related(_Part):
    """A place that is filled when a URL beside it is rewritten: a column of the row, or a key beside the URL."""

    column: str | None = None
    sibling: str | None = None
    """A key of the JSON object that holds the URL."""
    fact: Fact | None = None
    text: str | None = None
    """A constant instead of a fact, such as ``completed``."""
    pointer: str | None = None
    """Only for URLs at this JSON pointer (``*`` for any one token)."""
    when_empty: bool = False
    """Only where nothing stands yet."""

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.column is None) == (self.sibling is None):
            raise ValueError("say either column or sibling")
        if (self.fact is None) == (self.text is None):
            raise ValueError("say either fact or text")
        return self


class Job(_Part):
    """Where the provider's job id of a row stands, so that a fresh link can be asked for. First hit counts."""

    provider: str | None = None
    """The provider's name; or say where it stands with ``provider_at``."""
    provider_at: str | None = None
    names: dict[str, str] = Field(default_factory=dict)
    """What the source calls a provider → its name here. Words not listed are taken as they are."""
    id_at: str | None = None
    """``column``, or ``column#/json/pointer``; ``*`` in the pointer is the number at the same place of the
    finding's own pointer, so ``snapshot#/versions/*/taskId`` is the task of the very version."""
    id_in_path: str | None = None
    """A regular expression over the URL's path; its group is the id."""
    id_in_jwt: str | None = None
    """A claim of the URL's JSON Web Token."""
    columns: tuple[str, ...] = ()
    """Only for URLs of these columns; empty means all. Input pictures are not the work of the row's job."""

    @model_validator(mode="after")
    def _says_enough(self) -> Self:
        if (self.provider is None) == (self.provider_at is None):
            raise ValueError("say either provider or provider_at")
        if sum(place is not None for place in (self.id_at, self.id_in_path, self.id_in_jwt)) != 1:
            raise ValueError("say exactly one of id_at, id_in_path and id_in_jwt")
        if self.id_in_path is not None and re.compile(self.id_in_path).groups != 1:
            raise ValueError("id_in_path needs exactly one group")
        return self


class Except(_Part):
    """URLs that are left alone on purpose; every condition given must hold."""

    host: str | None = None
    """The host itself or any below it."""
    pointer: str | None = None
    """A JSON pointer, with ``*`` for any one token."""
    path: str | None = None
    """A regular expression over the URL's path."""
    why: str
    """Kept with the finding, for the proof."""

    @model_validator(mode="after")
    def _has_a_condition(self) -> Self:
        if self.host is None and self.pointer is None and self.path is None:
            raise ValueError("say at least one of host, pointer and path")
        if self.path is not None:
            re.compile(self.path)
        return self


class Column(_Part):
    """One column that may hold temporary URLs, or files themselves."""

    name: str
    type: ColumnType = "text"
    kind: FileKind = "auto"
    """What its files are; ``auto`` decides by the names of column and JSON key and by the URL's extension."""
    kinds: dict[str, FileKind] = Field(default_factory=dict)
    """Per JSON pointer (``*`` for any one token), before ``kind``."""
    related: tuple[Related, ...] = ()
    """Filled in the same transaction in which the URL of this column is rewritten."""
    url_column: str | None = None
    """For a BLOB: the column that gets the durable URL when the bytes are safe."""
    clear: bool = False
    """For a BLOB: empty the column when the bytes are safe. Off: they stay until a person removes them."""


class Table(_Part):
    """One table or view."""

    name: str
    """``table`` or ``schema.table``."""
    key: tuple[str, ...] = ()
    """Columns that tell rows apart; empty means the primary key. A view or a table without one must say."""
    columns: tuple[Column, ...] = Field(alias="column")
    created_at: str | None = None
    """When the row was made: the base of deadlines that a URL does not tell itself."""
    changed_at: str | None = None
    """Grows with every change of a row: later inventories then read only newer rows."""
    keep: tuple[str, ...] = ()
    """Places (as in ``Job.id_at``) kept when a file is lost: prompt, parameters."""
    owner_at: str | None = None
    """Place (as in ``Job.id_at``) of the owner's name: kept with each finding, so that what is lost can be told
    to whom it belongs. Storage keys do without it, because rows of several owners may name the same file."""
    jobs: tuple[Job, ...] = Field(default=(), alias="job")
    exceptions: tuple[Except, ...] = Field(default=(), alias="except")
    deleting_hosts: tuple[str, ...] = Field(default=(), exclude=True)
    """Those of the source, which hands them on."""

    @property
    def host_rules(self) -> HostRules:
        """The user's rules about hosts that delete."""
        return host_rules(self.deleting_hosts)

    @field_validator("columns")
    @classmethod
    def _named_once(cls, columns: tuple[Column, ...]) -> tuple[Column, ...]:
        if not columns:
            raise ValueError("name at least one column")
        names = [column.name for column in columns]
        if len(set(names)) != len(names):
            raise ValueError("a column is named twice")
        return columns

    def column(self, name: str) -> Column:
        """The column called ``name``. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


class Folder(_Part):
    """A folder of files: the media in it are moved to storage."""

    media: tuple[str, ...] = (
        "**/*.mp4",
        "**/*.webm",
        "**/*.mov",
        "**/*.m4v",
        "**/*.png",
        "**/*.jpg",
        "**/*.jpeg",
    )
    """Patterns of files that are videos or pictures themselves."""
    documents: tuple[str, ...] = ()
    """Patterns of text files that hold URLs, such as ``**/*.json``."""


class Reading(_Part):
    """How gently a source is read. Each page is one short transaction."""

    page_rows: Annotated[int, Field(ge=1)] = 1000
    """Rows of the first page; later ones adapt to the source's answers."""
    most_page_rows: Annotated[int, Field(ge=1)] = 20_000
    page_seconds: Annotated[float, Field(gt=0)] = 0.5
    """How long a page should take the database."""
    lanes: Annotated[int, Field(ge=1, le=32)] = 4
    """Processes that read a large table at once, each with a connection of its own; at most one per processor."""
    page_megabytes: Annotated[float, Field(gt=0)] = 32.0
    """Most text read before what was found in it is recorded."""
    rest: Annotated[float, Field(ge=0)] = 0.0
    """Pause after each page, in shares of the time it took the database; grows by itself when it slows down."""
    most_pause_seconds: Annotated[float, Field(ge=0)] = 5.0
    statement_timeout_seconds: Annotated[float, Field(gt=0)] = 30.0
    lock_timeout_seconds: Annotated[float, Field(gt=0)] = 2.0
    connect_timeout_seconds: Annotated[float, Field(gt=0)] = 10.0


class Rates(_Part):
    """What the report's estimate rests on. Prices in US dollars, gigabytes are decimal."""

    storage_per_gb_month: Annotated[float, Field(ge=0)] = 0.021
    """Supabase Storage and S3 Standard ask about this."""
    egress_per_gb: Annotated[float, Field(ge=0)] = 0.0
    """What your side pays per gigabyte moved out of the store; what comes in is free almost everywhere."""
    connections: Annotated[int, Field(ge=1)] = 8
    """Files rescued at the same time."""
    connections_per_host: Annotated[int, Field(ge=1)] = 6
    megabytes_per_second: Annotated[float, Field(gt=0)] = 50.0
    """What your own line takes."""
    megabytes_per_second_per_connection: Annotated[float, Field(gt=0)] = 10.0
    seconds_per_file: Annotated[float, Field(ge=0)] = 0.3
    """What a file costs besides its bytes: opening, checking, storing, reading back."""
    default_megabytes: Annotated[float, Field(gt=0)] = 10.0
    """Size of a file whose host did not tell one."""


class Source(_Part):
    """One legacy source."""

    name: str
    kind: Literal["database", "folder"] = "database"
    url: str = Field(repr=False)
    """SQLAlchemy URL, ``env:NAME``, or the path of a folder."""
    replica_url: str | None = Field(default=None, repr=False)
    """Read from here instead; rewriting still goes to ``url``."""
    preset: str | None = None
    deleting_hosts: tuple[str, ...] = ()
    """Hosts that delete what they serve, beside the known ones: ``HOST``, ``HOST/PATH`` or
    ``HOST/PATH = RETENTION``, such as ``media.example.com/renders/ = 7d`` (``m``, ``h``, ``d``, ``w``)."""
    tables: tuple[Table, ...] = Field(default=(), alias="table")
    folder: Folder = Folder()
    reading: Reading = Reading()
    rates: Rates = Rates()
    batch_size: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Findings per batch."""
    before_images: timedelta = timedelta(days=30)
    """How long an undo is possible."""
    skip: dict[str, str] = Field(default_factory=dict)
    """Tables that the proof does not read (``*`` for anything), each with the reason; the proof repeats it."""

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not is_source_name(name):
            raise ValueError("a name is made of a-z, 0-9, - and _, at most 63 of them")
        return name

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind == "database" and not self.tables and self.preset is None:
            raise ValueError("a database needs at least one table, or a preset")
        names = [table.name for table in self.tables]
        if len(set(names)) != len(names):
            raise ValueError("a table is named twice")
        return self

    @model_validator(mode="after")
    def _hands_rules_on(self) -> Self:
        host_rules(self.deleting_hosts)
        if any(table.deleting_hosts != self.deleting_hosts for table in self.tables):
            tables = (table.model_copy(update={"deleting_hosts": self.deleting_hosts}) for table in self.tables)
            object.__setattr__(self, "tables", tuple(tables))
        return self

    @property
    def host_rules(self) -> HostRules:
        """The user's rules about hosts that delete."""
        return host_rules(self.deleting_hosts)

    def knowing(self, hosts: Iterable[str]) -> Source:
        """This source with more rules about hosts that delete. Raises ValueError for one that is none."""
        told = tuple(dict.fromkeys((*self.deleting_hosts, *hosts)))
        host_rules(told)
        tables = tuple(table.model_copy(update={"deleting_hosts": told}) for table in self.tables)
        return self.model_copy(update={"deleting_hosts": told, "tables": tables})

    def table(self, name: str) -> Table:
        """The table called ``name``. Raises KeyError."""
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(name)

    def reading_url(self) -> str:
        """The address to read from, with the environment filled in. A secret."""
        return resolve_url(self.replica_url or self.url, source=self.name)

    def writing_url(self) -> str:
        """The address to write to, with the environment filled in. A secret."""
        return resolve_url(self.url, source=self.name)

    def path(self) -> Path:
        """The folder of a folder source."""
        return Path(resolve_url(self.url, source=self.name)).expanduser()


def is_source_name(name: str) -> bool:
    """Whether a source may be called so."""
    return _NAME.fullmatch(name) is not None


# Readers of other packages say what they mean: a source's configuration, not any source.
SourceConfig = Source
TableConfig = Table
ColumnConfig = Column
FILE_NAME = "legacy.toml"
"""What the configuration file is called when nothing else is said."""
