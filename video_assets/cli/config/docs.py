"""``docs/configuration.md``, written from the settings class so that it cannot fall behind it.

``video-assets config docs > docs/configuration.md`` writes it; a test compares the two.
"""

from __future__ import annotations

import types
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from video_assets.cli.output import duration_text
from video_assets.settings import Settings

SECTIONS = {
    "home": "Home and catalog",
    "storage": "Durable storage",
    "runway_api_key": "Providers",
    "allowed_hosts": "Downloads",
    "expiry_horizon": "Deadlines, leases and upkeep",
    "media_host": "Media server",
}
"""The setting that begins a section, and its heading. The order is that of the class."""

INTRODUCTION = """# Configuration

Every setting is an environment variable, or a line of the same form in a file `.env` in the working folder; the
environment wins. Everything has a default, and the defaults need no service: SQLite, a local folder, and the
embedded media server.

`video-assets config show` says what is in force and where each value came from. `video-assets doctor` says what
is wrong with it, and what to do.

Durations are written as `HH:MM:SS` (`00:30:00`) or as ISO 8601 (`PT30M`, `P1D`). This file is generated: change
`video_assets/settings.py`, then run `video-assets config docs > docs/configuration.md`.
"""


def render() -> str:
    """The whole file."""
    parts = [INTRODUCTION]
    for name, field in Settings.model_fields.items():
        if name in SECTIONS:
            parts.append(f"\n## {SECTIONS[name]}\n\n| variable | type | default | meaning |\n|---|---|---|---|\n")
        parts.append(
            f"| `VIDEO_ASSETS_{name.upper()}` | {_type(field)} | {_default(field.default)} "
            f"| {(field.description or '').replace('|', chr(92) + '|')} |\n"
        )
    parts.append(DAGSTER)
    return "".join(parts)


DAGSTER = """
## Dagster

| variable | default | meaning |
|---|---|---|
| `DAGSTER_HOME` | `VIDEO_ASSETS_HOME/dagster` with `video-assets dev` | Folder of the Dagster instance: runs, \
events, schedules. `video-assets dev` puts the repository's `dagster.yaml` there. |
"""


def _type(field: FieldInfo) -> str:
    word = _type_word(field.annotation)
    limits = []
    for limit in field.metadata:
        match limit:
            case Gt():
                limits.append(f"> {limit.gt}")
            case Ge():
                limits.append(f"≥ {limit.ge}")
            case Lt():
                limits.append(f"< {limit.lt}")
            case Le():
                limits.append(f"≤ {limit.le}")
    return f"{word}, {', '.join(limits)}" if limits else word


_TYPE_WORDS: dict[Any, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "`true` or `false`",
    Path: "path",
    SecretStr: "secret",
    timedelta: "duration",
}


def _type_word(annotation: Any) -> str:
    if annotation in _TYPE_WORDS:
        return _TYPE_WORDS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_word(one) for one in arguments if one is not type(None))
    if origin is tuple:
        return f"comma-separated {_type_word(arguments[0])}s"
    if origin is dict:
        return f"comma-separated `name={_type_word(arguments[1])}`"
    raise TypeError(f"no word for the type {annotation!r} of a setting")


def _default(value: Any) -> str:
    if value is None or value in ((), {}):
        return "—"
    if isinstance(value, timedelta):
        return duration_text(value.total_seconds())
    if isinstance(value, tuple):
        return f"`{','.join(str(item) for item in value)}`"
    return f"`{value}`"
