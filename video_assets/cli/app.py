"""The application: mounts every group of commands, turns what goes wrong into one sentence and an exit code."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from video_assets import __version__, urls
from video_assets.cli import storage as storage_commands
from video_assets.cli.config import command as config
from video_assets.cli.demo import command as demo
from video_assets.cli.demo import legacy as demo_legacy
from video_assets.cli.dev import command as dev
from video_assets.cli.dev import serve as serving
from video_assets.cli.dev.dev_file import join_running_dev
from video_assets.cli.doctor import command as doctor
from video_assets.cli.failures import ExitCode, explain
from video_assets.cli.generations import inspect as looking
from video_assets.cli.generations import manage as acting
from video_assets.cli.generations import submit as submitting
from video_assets.cli.legacy import command as legacy_commands
from video_assets.cli.legacy import give_up as legacy_giving_up
from video_assets.cli.legacy import guard as legacy_guarding
from video_assets.cli.legacy import proof
from video_assets.cli.legacy import run as legacy_running
from video_assets.cli.legacy import undo as legacy_undoing
from video_assets.cli.output import complain
from video_assets.cli.urls import command as url_commands

app = typer.Typer(
    name="video-assets",
    help="Every generated video is safe before its link dies, and anyone can check it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"video-assets {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    pass


submitting.mount(app)
looking.mount(app)
acting.mount(app)
doctor.mount(app)
app.add_typer(storage_commands.app, name="storage")
app.add_typer(url_commands.app, name="urls")
for legacy_part in (legacy_running, legacy_giving_up, legacy_undoing, legacy_guarding):
    legacy_part.mount(legacy_commands.app)
app.add_typer(legacy_commands.app, name="legacy")
app.add_typer(proof.app, name="proof")
app.add_typer(config.app, name="config")
serving.mount(app)
dev.mount(app)
demo.mount(app)
demo_legacy.mount(app)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (``sys.argv`` by default) and return its exit code. Never raises, never shows a trace
    for what a person can put right."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    urls.install_redaction()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character must not stop the command.
            stream.reconfigure(errors="backslashreplace")
    try:
        join_running_dev()
        code = app(args=arguments, prog_name="video-assets", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else ExitCode.OK
    except BrokenPipeError:
        return _reader_left()
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except Exception as exc:
        explained = explain(exc)
        if explained is None:
            raise
        sentence, exit_code = explained
        complain(sentence)
        return exit_code


def _reader_left() -> int:
    """``video-assets list | head -1``: the reader has seen enough, which is no failure worth a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.NEGATIVE
