"""How a command in a second terminal finds the emulator of a running ``video-assets dev``.

``dev`` keeps what it gave its children in ``home/dev.json`` and holds a lock on it. A file that nobody holds was
left by a ``dev`` that was killed, and is ignored: no command ever talks to an emulator that is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from video_assets.cli.failures import CommandFailed, ExitCode
from video_assets.settings import get_settings

FILE_NAME = "dev.json"


@contextlib.contextmanager
def shared_environment(home: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Let other commands on ``home`` use ``environment`` while the block lasts.

    Raises CommandFailed when another ``dev`` runs on this home.
    """
    home.mkdir(parents=True, exist_ok=True)
    path = home / FILE_NAME
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CommandFailed(
                f"`video-assets dev` is running on {home} already: stop it, or set VIDEO_ASSETS_HOME to another "
                "folder.",
                ExitCode.UNAVAILABLE,
            ) from None
        file.truncate()
        json.dump(dict(environment), file)
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def join_running_dev() -> None:
    """Take over the environment of the ``dev`` that runs on this home, if one does."""
    try:
        path = get_settings().home / FILE_NAME
    except ValidationError:
        return  # the command itself says what is wrong with the configuration
    try:
        with path.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                os.environ.update(json.load(file))
                get_settings.cache_clear()
    except (OSError, ValueError):
        return
