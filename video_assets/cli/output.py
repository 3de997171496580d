"""What goes to the terminal: documents, tables and complaints, safe to show and safe to pipe."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from video_assets.catalog.models import utc_now
from video_assets.urls import redact

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, nothing else.")]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

STATUS_STYLES = {
    "queued": "cyan",
    "processing": "cyan",
    "storing": "blue",
    "completed": "green",
    "stored": "green",
    "succeeded": "green",
    "ok": "green",
    "passed": "green",
    "failed": "red",
    "fail": "red",
    "lost": "red",
    "expired": "magenta",
    "cancelled": "yellow",
    "warn": "yellow",
    "unconfirmed": "yellow",
}


def console(*, stderr: bool = False) -> Console:
    """A console on the present standard output (or error). Into a pipe it writes whole lines without colours."""
    stream = sys.stderr if stderr else sys.stdout
    is_terminal = stream.isatty()
    return Console(
        file=stream,
        highlight=False,
        force_terminal=is_terminal,
        no_color=None if is_terminal else True,
        # Nobody cuts a table for a reader that is a program.
        width=None if is_terminal else 10_000,
    )


def plain(value: object) -> str:
    """``value`` as text without secrets and without control characters that could rewrite the terminal."""
    return _CONTROL.sub("\ufffd", redact(str(value)))


def cell(value: object, style: str = "") -> Text:
    """Text for a table or a line: markup in it is shown, not obeyed."""
    return Text("" if value is None else plain(value), style=style)


def status(word: object) -> Text:
    """A status word in its colour."""
    return cell(word, STATUS_STYLES.get(str(word), ""))


def table(*columns: str, title: str | None = None) -> Table:
    """An empty table in the style of all commands. Columns with a leading ``>`` are aligned to the right."""
    made = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(
            column.removeprefix(">"), justify="right" if column.startswith(">") else "left", overflow="fold"
        )
    return made


def print_json(document: object) -> None:
    """Write one JSON document to standard output. Times are ISO 8601 in UTC; every text is redacted."""
    sys.stdout.write(to_json(document) + "\n")
    sys.stdout.flush()


def to_json(document: object, *, indent: int | None = 2) -> str:
    """``document`` as JSON, redacted."""
    return json.dumps(_json_value(document), indent=indent, ensure_ascii=False)


def _json_value(value: object) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {str(key): _json_value(item) for key, item in value.items()}
        case str() | Path():
            return redact(str(value))
        case Iterable():
            return [_json_value(item) for item in value]
        case _:
            return redact(str(value))


def say(message: str = "") -> None:
    """One line for a person on standard output."""
    console().print(cell(message))


def note(message: str) -> None:
    """One line beside the result, on standard error."""
    console(stderr=True).print(cell(message, "dim"))


def complain(sentence: str) -> None:
    """What went wrong, on standard error."""
    line = Text("error: ", style="bold red")
    line.append_text(cell(sentence))
    console(stderr=True).print(line, soft_wrap=True)


def size_text(size: int | None) -> str:
    """Bytes as a person says them: ``5.2 MB`` (decimal, as storage is billed)."""
    if size is None:
        return "—"
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def duration_text(seconds: float) -> str:
    """``42 s``, ``12 min``, ``3 h 20 min``, ``2 d 4 h``."""
    seconds = max(seconds, 0)
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def age_text(moment: datetime | None, *, now: datetime | None = None) -> str:
    """How long ago: ``3 min ago``."""
    return "—" if moment is None else f"{duration_text(((now or utc_now()) - moment).total_seconds())} ago"


def deadline_text(deadline: datetime | None, *, now: datetime | None = None) -> str:
    """The countdown of a link: ``dies in 12 min``, ``died 3 h ago``, ``unknown``."""
    if deadline is None:
        return "unknown"
    left = (deadline - (now or utc_now())).total_seconds()
    return f"dies in {duration_text(left)}" if left > 0 else f"died {duration_text(-left)} ago"
