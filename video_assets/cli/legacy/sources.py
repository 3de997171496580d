"""What the commands of ``legacy`` share: which sources are meant, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from video_assets.cli.failures import CommandFailed, ExitCode
from video_assets.legacy.config import load as configuration
from video_assets.legacy.config.models import Source
from video_assets.legacy.errors import ConfigurationInvalid, SourceError, SourceUnavailable
from video_assets.settings import get_settings

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration file of the legacy sources.")
]
SourceArguments = Annotated[
    list[str] | None, typer.Argument(metavar="[SOURCE]...", help="Names of sources; all of them by default.")
]


class Stop(CommandFailed):
    """A source cannot be used; the sentence and the exit code follow from what is wrong with it."""

    def __init__(self, exc: SourceError) -> None:
        unavailable = isinstance(exc, SourceUnavailable)
        super().__init__(str(exc), ExitCode.UNAVAILABLE if unavailable else ExitCode.BAD_INPUT)


def load(config: Path, names: Iterable[str] | None) -> list[Source]:
    """The chosen sources of a configuration file."""
    try:
        sources = configuration.load_sources(config, deleting_hosts=get_settings().deleting_hosts)
        return configuration.choose(sources, list(names or ()))
    except ConfigurationInvalid as exc:
        raise Stop(exc) from None
