"""``legacy discover``: looks through a database or folder and proposes a configuration. Nothing is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from video_assets.cli.failures import CommandFailed, ExitCode
from video_assets.cli.legacy.sources import Stop
from video_assets.cli.output import (
    JsonOption,
    cell,
    console,
    note,
    print_json,
    say,
    size_text,
    table,
)
from video_assets.legacy.config import models as configuration
from video_assets.legacy.config.urls import resolve_url
from video_assets.legacy.discover.discover import Discovery, discover
from video_assets.legacy.discover.propose import fixed_lines, propose, propose_folder
from video_assets.legacy.errors import SourceError
from video_assets.legacy.report.formats import left_alone_lines
from video_assets.legacy.search.folders import FolderLook, discover_folder
from video_assets.settings import get_settings
from video_assets.urls import host_rules


def mount(app: typer.Typer) -> None:
    """Add the command to the group ``legacy``."""
    app.command("discover")(discover_command)


def discover_command(
    address: Annotated[
        str,
        typer.Argument(
            metavar="DATABASE_URL|FOLDER",
            help="SQLAlchemy URL, env:NAME to take it from the environment, or a folder.",
        ),
    ],
    exact: Annotated[bool, typer.Option("--exact", help="Read every row instead of a sample.")] = False,
    sample: Annotated[int, typer.Option("--sample", min=1, help="Rows read per table.")] = 1000,
    write: Annotated[
        Path | None, typer.Option("--write", "-w", help="Write a commented configuration file here.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="What the source shall be called.")] = "legacy",
    as_json: JsonOption = False,
) -> None:
    """Look through every text, JSON and BLOB column and say where temporary URLs stand. Changes nothing.

    Exit code 0 when something was found, 1 when there is nothing.
    """
    if not configuration.is_source_name(name):
        raise CommandFailed("--name is made of a-z, 0-9, - and _, at most 63 of them.")
    if write is not None and write.exists():
        raise CommandFailed(f"{write} exists already; choose another file or remove it first.")
    try:
        hosts = host_rules(get_settings().deleting_hosts)
        url = resolve_url(address, source=name)
        if "://" not in url:
            if not Path(url).expanduser().is_dir():
                # What stands in the environment may be a password in the wrong place.
                which = f"of the name in {address}" if address != url else url
                raise CommandFailed(
                    f"there is no folder {which}; a database is given as a URL, such as "
                    "postgresql+psycopg2://user@host/name or sqlite:////folder/file.db",
                    ExitCode.UNAVAILABLE,
                )
            _show_folder(discover_folder(Path(url).expanduser(), hosts=hosts), name, write, as_json=as_json)
            return
        found = discover(url, exact=exact, sample=sample, name=name, hosts=hosts)
    except SourceError as exc:
        raise Stop(exc) from None
    if as_json:
        print_json(_discovery_document(found))
    else:
        _show_discovery(found)
    if not found.places and not found.blobs:
        note("No temporary URL and no file was found.")
        raise typer.Exit(ExitCode.NEGATIVE)
    if write is not None:
        try:
            text = propose(found, name=name, url=address if address.startswith("env:") else url)
        except ValueError as exc:
            note(f"{exc}; {write} was not written.")
            raise typer.Exit(ExitCode.NEGATIVE) from None
        _write(write, text)


def _write(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    note(f"Wrote {path}. Check it, then run: video-assets legacy inventory --config {path}")


def _show_discovery(found: Discovery) -> None:
    if found.places:
        made = table(
            "table", "column", "path", "host", "scheme", ">seen", ">in all", ">alive", ">dying", ">dead",
            ">unknown", "rows of",
        )  # fmt: skip
        for place in found.places:
            exact = found.table(place.table).is_exact
            estimate = found.estimate(place)
            total = "?" if estimate is None else f"{estimate:,}" if exact else f"~{estimate:,}"
            span = "" if place.oldest is None else f"{place.oldest:%Y-%m-%d} … {place.newest:%Y-%m-%d}"
            made.add_row(
                *map(cell, (place.table, place.column, place.pointer, place.host, place.scheme)),
                *map(cell, (f"{place.count:,}", total, f"{place.alive:,}", f"{place.dying:,}")),
                *map(cell, (f"{place.dead:,}", f"{place.unknown:,}", span)),
            )
        console().print(made)
    for blob in found.blobs:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in blob.types.items())
        if blob.count:
            say(f"{blob.table}.{blob.column}: {blob.count:,} files as bytes, {size_text(blob.bytes)} ({kinds})")
        for line in fixed_lines(blob):
            note(line)
    for look in found.tables:
        if look.problem is not None:
            note(f"{look.name} was left out: {look.problem}")
    for line in left_alone_lines(each.document() for each in found.left_alone):
        note(line)


def _discovery_document(found: Discovery) -> dict[str, object]:
    return {
        "address": found.address,
        "dialect": found.dialect,
        "at": found.now,
        "tables": [
            {
                "name": look.name,
                "view": look.is_view,
                "rows": look.rows,
                "rows_read": look.rows_read,
                "exact": look.is_exact,
                "key": list(look.key),
                "problem": look.problem,
            }
            for look in found.tables
        ],
        "places": [
            {
                "table": place.table,
                "column": place.column,
                "path": place.pointer,
                "host": place.host,
                "scheme": place.scheme,
                "count": place.count,
                "estimate": found.estimate(place),
                "oldest": place.oldest,
                "newest": place.newest,
                "first_deadline": place.first_deadline,
                "last_deadline": place.last_deadline,
                "alive": place.alive,
                "dying": place.dying,
                "dead": place.dead,
                "unknown": place.unknown,
            }
            for place in found.places
        ],
        "blobs": [
            {
                "table": blob.table,
                "column": blob.column,
                "count": blob.count,
                "bytes": blob.bytes,
                "types": blob.types,
                "fixed": blob.fixed,
            }
            for blob in found.blobs
        ],
        "left_alone": [each.document() for each in found.left_alone],
    }


def _show_folder(look: FolderLook, name: str, write: Path | None, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "folder": look.path,
                "media_files": look.media_files,
                "media_bytes": look.media_bytes,
                "media_types": look.media_types,
                "places": [
                    {"files": p.table, "path": p.pointer, "host": p.host, "scheme": p.scheme, "count": p.count}
                    for p in look.places
                ],
                "left_out": look.left_out,
            }
        )
    else:
        say(f"{look.path}: {look.media_files:,} media files, {size_text(look.media_bytes)}")
        for place in look.places:
            say(f"{place.table} {place.pointer}: {place.count:,} from {place.host} ({place.scheme})")
    for problem in look.left_out:
        note(f"left out: {problem}")
    if not look.media_files and not look.places:
        raise typer.Exit(ExitCode.NEGATIVE)
    if write is not None:
        _write(write, propose_folder(look, name=name))
