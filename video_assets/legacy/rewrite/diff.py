"""What a rewrite would change, as unified diffs for people: no secret, and only the surroundings of a change."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from video_assets.legacy.rewrite.plan import PlannedRow
from video_assets.legacy.source.cell import Value
from video_assets.urls import redact

LONGEST_LINE = 300
_BREAK = re.compile(r"(?<=[,{\[>;])(?=\S)|(?<=, )")
"""Where a long line of JSON or HTML may be broken, for showing only."""


def row_diff(planned: PlannedRow) -> str:
    """The change of one row as a unified diff, one part per column; empty when nothing changes."""
    parts: list[str] = []
    for name, after in planned.edit.after.items():
        place = f"{planned.work.table} {redact(planned.work.row_key)} {name}"
        before = planned.edit.before[name]
        # Both or none are broken into lines: else a shorter URL would look like another document.
        breaks = max(_longest_line(before), _longest_line(after)) > LONGEST_LINE // 2
        lines = difflib.unified_diff(
            list(_lines(before, breaks=breaks)),
            list(_lines(after, breaks=breaks)),
            f"a/{place}",
            f"b/{place}",
            n=1,
            lineterm="",
        )
        parts += [line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + " …" for line in lines]
    return "\n".join(parts)


def _longest_line(value: Value) -> int:
    return max(map(len, value.data.splitlines()), default=0) if isinstance(value.data, str | bytes) else 0


def _lines(value: Value, *, breaks: bool) -> Iterator[str]:
    """A value in lines that may be shown, broken at commas if wanted. NULL, numbers and BLOBs are one line."""
    match value.data:
        case None:
            yield "NULL"
            return
        case bytes():
            text = value.data.decode("utf-8", "replace")
        case str():
            text = value.data.encode("utf-8", "replace").decode()
        case _:
            yield str(value.data)
            return
    if value.kind == "stored":
        yield f"(BLOB with SHA-256 {text})"
        return
    for line in redact(text).splitlines() or [""]:
        if breaks:
            yield from _BREAK.split(line)
        else:
            yield line
