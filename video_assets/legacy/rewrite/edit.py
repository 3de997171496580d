"""What a row becomes when its temporary URLs are replaced: pure functions from values to values.

A URL is found again by its digest and not by its position, so that a document that was edited meanwhile is
edited where the URL stands now; a place that the rules except is left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from video_assets.legacy.config.models import Column, Related
from video_assets.legacy.rewrite.json_siblings import Sibling, set_siblings
from video_assets.legacy.search.byte_values import is_text
from video_assets.legacy.search.json_pointer import kept_pointer, matches
from video_assets.legacy.search.rows import digest
from video_assets.legacy.source.cell import RowAccess, Value
from video_assets.urls import NO_RULES, Finding, HostRules, find, replace
from video_assets.urls.documents.encodings import decode_bytes

_MOST_ROUNDS = 3
"""A URL may be seen only once another is gone; what still hides then is left to the next inventory."""


@dataclass(frozen=True, slots=True)
class Durable:
    """A durable copy, as rows are told about it."""

    file_id: str
    url: str
    key: str
    bucket: str
    name: str | None = None
    size: int | None = None
    type: str | None = None
    sha256: str | None = None
    stored_at: datetime | None = None

    def fact(self, name: str) -> str | int | None:
        """One of the facts that a related column can be filled with (see ``config.Fact``)."""
        moment = self.stored_at or datetime.now(UTC)
        facts: dict[str, str | int | None] = {
            "file_url": self.url,
            "file_name": self.name,
            "file_size": self.size,
            "file_type": self.type,
            "storage_path": self.key,
            "bucket": self.bucket,
            "sha256": self.sha256,
            "uploaded_at": moment.astimezone(UTC).isoformat(timespec="seconds"),
            "null": None,
        }
        return facts[name]


@dataclass(frozen=True, slots=True)
class Place:
    """One finding that is to be replaced."""

    finding_id: str
    url_digest: str
    pointer: str
    durable: Durable


@dataclass(frozen=True, slots=True)
class EditedValue:
    """A value with its URLs replaced."""

    value: Value
    done: tuple[Place, ...]
    missing: tuple[Place, ...]
    """Places whose URL does not stand in the value any more."""
    copies: tuple[tuple[str, Durable], ...]
    """The pointer and the copy of each URL that was replaced, in the document's order: a related column is about
    the first that its rule is for."""


def edit_value(
    value: Value,
    places: Sequence[Place],
    excepted: Collection[tuple[str, str]],
    related: Sequence[Related],
    hosts: HostRules = NO_RULES,
) -> EditedValue:
    """Put durable URLs in the place of temporary ones; every other byte of the value stays.

    ``excepted`` holds (pointer, digest) of places that are left alone. ``related`` fills keys beside the URL.
    """
    content = value.data
    if not isinstance(content, str | bytes):
        return EditedValue(value, (), tuple(places), ())
    wanted = {place.url_digest: place.durable for place in places}
    copies: list[tuple[str, Durable]] = []
    seen: set[str] = set()
    for _ in range(_MOST_ROUNDS):
        chosen = [
            (found, wanted[name])
            for found in find(content, hosts=hosts)
            if (name := digest(found.url)) in wanted and (kept_pointer(found.pointer), name) not in excepted
        ]
        if not chosen:
            break
        seen |= {digest(found.url) for found, _ in chosen}
        copies += ((kept_pointer(found.pointer), durable) for found, durable in chosen)
        pairs = [(found, durable.url) for found, durable in chosen]
        if isinstance(content, bytes):
            decoded = decode_bytes(replaced := replace(content, pairs))
            told = _with_siblings(decoded.text, chosen, related)
            content = replaced if told == decoded.text else decoded.whole(told)
        else:
            content = _with_siblings(replace(content, pairs), chosen, related)
    done = tuple(place for place in places if place.url_digest in seen)
    missing = tuple(place for place in places if place.url_digest not in seen)
    return EditedValue(Value(value.kind, content) if copies else value, done, missing, tuple(copies))


def _with_siblings(text: str, chosen: Sequence[tuple[Finding, Durable]], related: Sequence[Related]) -> str:
    rules = [rule for rule in related if rule.sibling is not None]
    if not rules:
        return text
    wanted: dict[str, dict[str, Sibling]] = {}
    for found, durable in chosen:
        # A key beside the URL exists only for a URL that is a member of an object of the document itself.
        if found.layers != ("json",) or found.in_key or not found.pointer:
            continue
        of_object = wanted.setdefault(found.pointer.rpartition("/")[0], {})
        for rule in rules:
            if _is_about(rule, found.pointer):
                of_object.setdefault(rule.sibling or "", Sibling(_told(rule, durable), rule.when_empty))
    return set_siblings(text, wanted)


def _is_about(rule: Related, pointer: str) -> bool:
    return rule.pointer is None or matches(rule.pointer, pointer)


def _told(rule: Related, durable: Durable) -> str | int | None:
    return rule.text if rule.fact is None else durable.fact(rule.fact)


@dataclass(slots=True)
class RowEdit:
    """A whole row's change: only columns whose value differs."""

    before: dict[str, Value] = field(default_factory=dict)
    after: dict[str, Value] = field(default_factory=dict)
    done: dict[str, list[Place]] = field(default_factory=dict)
    """Per column."""
    guards: dict[str, Value] = field(default_factory=dict)
    """Columns that have to hold these values when the row is written, although they may not change."""
    missing: list[Place] = field(default_factory=list)
    generated: list[Place] = field(default_factory=list)
    """Places in columns that the database computes; they follow what they are made from."""
    followed: list[Place] = field(default_factory=list)
    """Places where the durable URL stands already: such columns when they have followed, and what was rewritten
    after the page was read in which the old URL was found."""

    def put(self, name: str, before: Value, after: Value) -> None:
        """Note that a column changes, if it does."""
        if before != after:
            self.before.setdefault(name, before)
            self.after[name] = after


def edit_row(
    access: RowAccess,
    values: Mapping[str, Value],
    places: Mapping[str, Sequence[Place]],
    excepted: Mapping[str, Collection[tuple[str, str]]],
) -> RowEdit:
    """The change of one row, given its values and its places per column."""
    edit = RowEdit()
    hosts = access.shape.config.host_rules
    for name, of_column in places.items():
        if name in access.generated:
            _sort_generated(edit, values[name], of_column, hosts)
            continue
        content = values[name].data
        if isinstance(content, bytes) and not is_text(content):
            edit.missing += of_column  # it was text when it was found
            continue
        column = access.shape.config.column(name)
        edited = edit_value(values[name], of_column, excepted.get(name, ()), column.related, hosts)
        for place in edited.missing:
            # A replica that lags shows the old URL after it was replaced; the row itself knows better.
            (edit.followed if stands_in(values[name], place.durable.url) else edit.missing).append(place)
        if not edited.done:
            continue
        edit.done[name] = list(edited.done)
        edit.put(name, values[name], edited.value)
        for related, value in related_values(access, column, edited.copies, values):
            if related not in places:
                edit.put(related, values[related], value)
    return edit


def _sort_generated(edit: RowEdit, value: Value, places: Sequence[Place], hosts: HostRules) -> None:
    text = value.data if isinstance(value.data, str) else ""
    there = {digest(found.url) for found in find(text, hosts=hosts)}
    for place in places:
        if place.url_digest in there:
            edit.generated.append(place)
        elif stands_in(value, place.durable.url):
            edit.followed.append(place)
        else:
            edit.missing.append(place)


def stands_in(value: Value, url: str) -> bool:
    """Whether a durable URL stands in a value, also with the slashes that some JSON writers escape."""
    content = value.data
    if isinstance(content, bytes):
        content = decode_bytes(content).text
    return isinstance(content, str) and (url in content or url.replace("/", "\\/") in content)


def related_columns(column: Column) -> list[str]:
    """The columns that are filled when a URL of ``column`` is replaced."""
    return [rule.column for rule in column.related if rule.column is not None]


def related_values(
    access: RowAccess,
    column: Column,
    copies: Sequence[tuple[str, Durable]],
    values: Mapping[str, Value],
) -> list[tuple[str, Value]]:
    """What the related columns become, each in the form that its type takes.

    ``copies`` are the pointer and the copy of each replaced URL, ``values`` what the row holds now.
    """
    filled: list[tuple[str, Value]] = []
    for rule in column.related:
        durable = next((copy for pointer, copy in copies if _is_about(rule, pointer)), None)
        if durable is None or rule.column is None or rule.column in access.generated:
            continue
        if rule.when_empty and values[rule.column].data not in (None, "", b""):
            continue
        told = _told(rule, durable)
        if rule.fact == "uploaded_at" and isinstance(told, str) and access.is_time(rule.column):
            told = _moment_for(access.shape.dialect, told)
        elif isinstance(told, int) and not (access.shape.dialect == "sqlite" and access.is_number(rule.column)):
            told = str(told)
        filled.append((rule.column, Value.of(told)))
    return filled


def _moment_for(dialect: str, iso: str) -> str:
    """A UTC moment as a DATETIME column takes it: MySQL knows no zones in its text."""
    return iso.removesuffix("+00:00").replace("T", " ") if dialect in ("mysql", "sqlite") else iso
