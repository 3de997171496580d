"""Writing a configuration file: TOML with comments at the head of whatever table deserves one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import tomlkit
from tomlkit.items import Table

from video_assets.legacy.config.models import Source

Comments = Mapping[tuple[str, ...], Sequence[str]]
"""Lines of a table, by its path of names: ``()``, ``(table,)``, ``(table, column)``."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SECTIONS = ("reading", "rates", "folder")
"""Keys that become a table of their own; other mappings are written in one line."""
_HEAD = (
    "Legacy sources of video-assets. Each [[source]] is a database or a folder that holds temporary URLs.",
    'A password never stands here: url = "env:NAME" takes the whole address from the environment,',
    "and ${NAME} inside an address takes a part of it.",
    "Check what it finds with `video-assets legacy inventory`, then `video-assets legacy report`.",
)


def source_toml(source: Source, comments: Comments | None = None, *, head: bool = True) -> str:
    """One source as TOML that ``parse_sources`` reads back. Only what differs from the defaults is written."""
    entry = source.model_dump(mode="python", by_alias=True, exclude_defaults=True)
    if source.preset is not None:
        entry["preset"] = source.preset
    document = tomlkit.document()
    for line in _HEAD if head else ():
        document.add(tomlkit.comment(line))
    sources = tomlkit.aot()
    sources.append(_table(entry, (), comments or {}))
    document.add("source", sources)
    return tomlkit.dumps(document).rstrip() + "\n"


def _table(entry: Mapping[str, Any], names: tuple[str, ...], comments: Comments) -> Table:
    table = tomlkit.table()
    for line in comments.get(names, ()):
        # A name or a key of a document may hold line breaks, which would end the comment.
        table.add(tomlkit.comment(_CONTROL.sub(" ", line).strip()))
    nested: list[tuple[str, Any]] = []
    for key, value in entry.items():
        if value is None:
            continue
        is_list = isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)
        if is_list or key in _SECTIONS:
            nested.append((key, value))
        else:
            table.add(key, _value(value))
    for key, value in nested:
        if isinstance(value, Mapping):
            table.add(key, _table(value, names, {}))
            continue
        entries = tomlkit.aot()
        for each in value:
            entries.append(_table(each, (*names, str(each.get("name", key))), comments))
        table.add(key, entries)
    table.add(tomlkit.nl())
    return table


def _value(value: Any) -> Any:
    match value:
        case timedelta():
            return f"P{value.days}DT{value.seconds}S"
        case Mapping():
            line = tomlkit.inline_table()
            line.update({str(key): _value(each) for key, each in value.items()})
            return line
        case list() | tuple():
            return [_value(each) for each in value]
        case bool() | int() | float():
            return value
        case _:
            return str(value)
