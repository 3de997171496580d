"""``legacy give-up``: a person ends the matter of files that are lost, or that are not wanted any more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from video_assets.catalog import open_catalog
from video_assets.cli.failures import CommandFailed
from video_assets.cli.legacy.sources import ConfigOption, load
from video_assets.cli.output import JsonOption, print_json, say
from video_assets.legacy.config.models import FILE_NAME
from video_assets.legacy.rescue.lost import give_up
from video_assets.settings import get_settings


def mount(app: typer.Typer) -> None:
    """Add the command to the group ``legacy``."""
    app.command("give-up", no_args_is_help=True)(give_up_command)


def give_up_command(
    name: Annotated[str, typer.Argument(metavar="SOURCE", help="Name of a source of the file.")],
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="Ids of files, as `legacy run` names them.")
    ] = None,
    lost: Annotated[bool, typer.Option("--lost", help="Every file of the source that is lost.")] = False,
    why: Annotated[str | None, typer.Option("--why", help="Kept with the files, and told by the proof.")] = None,
    config: ConfigOption = Path(FILE_NAME),
    as_json: JsonOption = False,
) -> None:
    """Give up files that are not durable: their links are erased, their evidence stays, no row is touched.

    A file of yours can still be brought with `legacy run --bring-your-own`.

    \b
    Examples:
      video-assets legacy give-up shop --lost --why "the provider deleted them in March"
      video-assets legacy give-up shop 0f3c5a7b9d1e2f406172839405a6b7c8
    """
    if not files and not lost:
        raise CommandFailed("Name the files to give up, or say --lost.")
    [source] = load(config, [name])
    count = give_up(open_catalog(get_settings()), source.name, files=files or (), lost=lost, why=why)
    if as_json:
        print_json({"source": source.name, "given_up": count})
    else:
        say(f"{source.name}: {count:,} files are given up.")
