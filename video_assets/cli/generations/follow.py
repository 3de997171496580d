"""Following generations in the terminal until they are settled: a live table, or plain lines into a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from sqlmodel import col, select

from video_assets.catalog import Catalog, CatalogUnavailable, Generation, GenerationStatus, MediaState, Output
from video_assets.catalog.models import utc_now
from video_assets.cli.failures import CommandFailed, ExitCode
from video_assets.cli.generations.json_views import generation_document, seconds_to_durable
from video_assets.cli.output import (
    age_text,
    cell,
    console,
    deadline_text,
    duration_text,
    note,
    print_json,
    status,
    table,
)

LOOK_EVERY_SECONDS = 0.5
CATALOG_MAY_BE_AWAY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Row:
    """What the live table shows of one generation."""

    generation: Generation
    outputs: int
    stored: int
    deadline: datetime | None
    """The soonest death of a link that is not rescued yet."""


def read_rows(catalog: Catalog, generation_ids: Sequence[str]) -> list[Row]:
    """The present state of ``generation_ids``, in their order; unknown ids are left out."""
    with catalog.read() as session:
        found = {
            row.id: row
            for row in session.exec(select(Generation).where(col(Generation.id).in_(generation_ids))).all()
        }
        columns = select(Output.generation_id, Output.state, Output.deadline_at)
        outputs = session.exec(columns.where(col(Output.generation_id).in_(generation_ids))).all()
    rows = []
    for generation_id in generation_ids:
        if generation_id not in found:
            continue
        mine = [(state, deadline) for owner, state, deadline in outputs if owner == generation_id]
        deadlines = [deadline for state, deadline in mine if state == MediaState.PENDING and deadline is not None]
        stored = sum(state == MediaState.STORED for state, _ in mine)
        rows.append(Row(found[generation_id], len(mine), stored, min(deadlines, default=None)))
    return rows


def follow(
    catalog: Catalog,
    generation_ids: Sequence[str],
    *,
    quiet: bool = False,
    timeout: float | None = None,
    names: Mapping[str, str] | None = None,
    on_look: Callable[[], None] = lambda: None,
) -> list[Row]:
    """Show ``generation_ids`` until each is settled, or ``timeout`` seconds are over; their last state.

    On a terminal a live table, into a pipe a line per change, with ``quiet`` nothing. ``names`` are shown beside
    the ids; ``on_look`` is called before each look and may raise to end the watching.
    """
    stop_at = None if timeout is None else time.monotonic() + timeout
    out = console()

    def watch(show: Callable[[list[Row]], None]) -> list[Row]:
        return _until_settled(catalog, generation_ids, stop_at, show, on_look)

    if quiet:
        return watch(lambda rows: None)
    if not out.is_terminal:
        return watch(_ChangedLines(names or {}))
    with Live(console=out, refresh_per_second=8) as live:
        return watch(lambda rows: live.update(live_table(rows, names or {})))


def all_completed(rows: Sequence[Row]) -> bool:
    """Whether everything that was watched is durable."""
    return bool(rows) and all(row.generation.status == GenerationStatus.COMPLETED for row in rows)


def show_following(
    catalog: Catalog, generation_ids: Sequence[str], *, as_json: bool, timeout: float | None
) -> bool:
    """``watch``: follow, then one document or a word about what is not settled. True when all are completed."""
    rows = follow(catalog, generation_ids, quiet=as_json, timeout=timeout)
    if as_json:
        print_json({"generations": [generation_document(row.generation) for row in rows]})
    elif any(not row.generation.status.settled for row in rows):
        note("Not settled yet; look again with `video-assets watch`.")
    return all_completed(rows)


def _until_settled(
    catalog: Catalog,
    generation_ids: Sequence[str],
    stop_at: float | None,
    show: Callable[[list[Row]], None],
    on_look: Callable[[], None],
) -> list[Row]:
    away_since: float | None = None
    rows: list[Row] = []
    while True:
        on_look()
        try:
            rows = read_rows(catalog, generation_ids)
            away_since = None
        except CatalogUnavailable:
            # A database that restarts is no reason to stop watching.
            now = time.monotonic()
            away_since = away_since or now
            if now - away_since > CATALOG_MAY_BE_AWAY_SECONDS:
                raise
        show(rows)
        if away_since is None and all(row.generation.status.settled for row in rows):
            return rows
        if stop_at is not None and time.monotonic() >= stop_at:
            return rows
        time.sleep(LOOK_EVERY_SECONDS)


class _ChangedLines:
    """One line per change, for logs and pipes."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._seen: dict[str, tuple[object, ...]] = {}

    def __call__(self, rows: list[Row]) -> None:
        out = console()
        for row in rows:
            generation = row.generation
            state = (generation.status, row.stored, generation.reason)
            if self._seen.get(generation.id) == state:
                continue
            self._seen[generation.id] = state
            parts = [f"{utc_now():%H:%M:%S}", generation.id, generation.provider, str(generation.status)]
            if row.outputs:
                parts.append(f"{row.stored}/{row.outputs} files durable")
            if generation.reason:
                parts.append(f"({generation.reason})")
            if generation.id in self._names:
                parts.append(f"“{self._names[generation.id]}”")
            out.print(cell("  ".join(parts)))
        out.file.flush()


def live_table(rows: Sequence[Row], names: Mapping[str, str]) -> Table:
    """The table of ``watch``: progress, files, the soonest deadline, the time it took."""
    made = table(
        "what" if names else "generation",
        "provider",
        "status",
        "progress",
        ">files",
        "link",
        ">durable after",
        "age",
    )
    for row in rows:
        generation = row.generation
        seconds = seconds_to_durable(generation)
        made.add_row(
            cell(names.get(generation.id, generation.id), "dim" if generation.status.settled else "bold"),
            cell(generation.provider),
            status(generation.status),
            _progress(generation),
            f"{row.stored}/{row.outputs}" if row.outputs else "",
            cell(deadline_text(row.deadline)) if row.deadline else Text(""),
            duration_text(seconds) if seconds is not None else "",
            age_text(generation.created_at),
        )
    return made


def _progress(generation: Generation) -> RenderableType:
    if generation.status.settled and generation.status != GenerationStatus.COMPLETED:
        return Text("")
    return ProgressBar(total=100, completed=generation.progress, width=14)


def require_known(catalog: Catalog, generation_ids: Sequence[str]) -> None:
    """Raise CommandFailed naming the ids that the catalog does not know."""
    known = {row.generation.id for row in read_rows(catalog, generation_ids)}
    unknown = [generation_id for generation_id in generation_ids if generation_id not in known]
    if unknown:
        raise CommandFailed(
            f"No generation {', '.join(repr(one) for one in unknown)} in this catalog; "
            "`video-assets list` shows the newest ones.",
            ExitCode.BAD_INPUT,
        )
