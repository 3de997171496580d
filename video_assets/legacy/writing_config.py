"""Writing a configuration file: TOML with a comment above whatever deserves one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from video_assets.legacy.config import Source

Comments = Mapping[tuple[str, ...], Sequence[str]]
"""Lines above an entry, by its path of names: ``()``, ``(table,)``, ``(table, column)``."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_HEAD = """\
# Legacy sources of video-assets. Each [[source]] is a database or a folder that holds temporary URLs.
# A password never stands here: url = "env:NAME" takes the whole address from the environment,
# and ${NAME} inside an address takes a part of it.
# Check what it finds with `video-assets legacy inventory`, then `video-assets legacy report`.
"""


def source_toml(source: Source, comments: Comments | None = None, *, head: bool = True) -> str:
    """One source as TOML that ``parse_sources`` reads back. Only what differs from the defaults is written."""
    entry = source.model_dump(mode="python", by_alias=True, exclude_defaults=True)
    if source.preset is not None:
        entry["preset"] = source.preset
    lines = [_HEAD] if head else []
    lines += _table("source", entry, (), dict(comments or {}))
    return "\n".join(lines).rstrip() + "\n"


def _table(path: str, entry: Mapping[str, Any], names: tuple[str, ...], comments: Comments) -> Iterator[str]:
    for line in comments.get(names, ()):
        # A name or a key of a document may hold line breaks, which would end the comment.
        yield f"# {_CONTROL.sub(' ', line)}".rstrip()
    yield f"[[{path}]]"
    yield from _fields(path, entry, names, comments)


def _fields(path: str, entry: Mapping[str, Any], names: tuple[str, ...], comments: Comments) -> Iterator[str]:
    nested: list[tuple[str, Any]] = []
    for key, value in entry.items():
        if value is None:
            continue
        entries = isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)
        if entries or key in ("reading", "rates", "folder"):
            nested.append((key, value))
        else:
            yield f"{key} = {_value(value)}"
    yield ""
    for key, value in nested:
        if isinstance(value, Mapping):
            yield f"[{path}.{key}]"
            yield from _fields(f"{path}.{key}", value, names, comments)
        else:
            for each in value:
                below = (*names, str(each["name"])) if "name" in each else (*names, key)
                yield from _table(f"{path}.{key}", each, below, comments)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case timedelta():
            return json.dumps(f"P{value.days}DT{value.seconds}S")
        case str():
            return _quoted(value)
        case Mapping():
            inside = ", ".join(f"{_quoted(str(k))} = {_value(v)}" for k, v in value.items())
            return f"{{ {inside} }}"
        case list() | tuple():
            return f"[{', '.join(_value(each) for each in value)}]"
        case _:
            return _quoted(str(value))


def _quoted(text: str) -> str:
    # TOML's escapes are those of JSON; DEL is the one character that JSON leaves as it is and TOML does not take.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
