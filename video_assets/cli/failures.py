"""What may go wrong, in one sentence with the next step, and the exit code that a script can trust."""

from __future__ import annotations

import errno
from enum import IntEnum

import typer
from pydantic import ValidationError

from video_assets.catalog import CatalogError, CatalogTooNew, CatalogUnavailable
from video_assets.catalog.queries import GenerationNotFound
from video_assets.generations.control import NotPossible
from video_assets.generations.intake import RequestInvalid
from video_assets.providers.base import Misconfigured, ProviderError, RequestRefused
from video_assets.storage import InvalidKey, InvalidTemplate, StorageFailed
from video_assets.urls import InvalidHostRule, redact

UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""Typer's base class of everything wrong with a command line; Typer does not export it by name."""


class ExitCode(IntEnum):
    """What the process says when it ends."""

    OK = 0
    NEGATIVE = 1
    """The question was answered, and the answer is no: a check failed, something is not accounted for."""
    BAD_INPUT = 2
    UNAVAILABLE = 3
    WAITING = 4
    """Nothing is wrong that does not pass: something is tried again by a later run."""
    REFUSED = 5
    """Something waits for a person: a limit or rule of ours refuses it."""
    INTERRUPTED = 130
    """Ctrl-C, as shells tell it."""


class CommandFailed(Exception):
    """A command cannot do what was asked. The message is one sentence with the next step."""

    def __init__(self, message: str, code: ExitCode = ExitCode.BAD_INPUT) -> None:
        super().__init__(message)
        self.code = code


def explain(exc: BaseException) -> tuple[str, ExitCode] | None:
    """The sentence and exit code for ``exc``; None for a bug, which deserves its traceback."""
    sentence, code = str(exc), _code(exc)
    if code is None:
        return None
    if isinstance(exc, ValidationError):
        sentence = _settings_sentence(exc)
    elif isinstance(exc, UsageError):
        # format_message() names the option; every usage error of Typer has it.
        sentence = f"{exc.format_message()} Run the command with --help for examples."  # type: ignore[attr-defined]
    elif isinstance(exc, OSError):
        where = f" {exc.filename!r}" if exc.filename else ""
        sentence = f"The file system refused{where}: {exc.strerror or type(exc).__name__}."
    return redact(" ".join(sentence.split())), code


def _code(exc: BaseException) -> ExitCode | None:
    match exc:
        case CommandFailed():
            return exc.code
        case NotPossible():
            return ExitCode.NEGATIVE
        case CatalogUnavailable() | CatalogTooNew() | StorageFailed():
            return ExitCode.UNAVAILABLE
        case RequestRefused() | Misconfigured():
            return ExitCode.BAD_INPUT
        case ProviderError():
            return ExitCode.UNAVAILABLE
        case (
            GenerationNotFound()
            | RequestInvalid()
            | CatalogError()
            | InvalidKey()
            | InvalidTemplate()
            | InvalidHostRule()
        ) | ValidationError():
            return ExitCode.BAD_INPUT
        case OSError() if exc.errno in (errno.EACCES, errno.EROFS, errno.ENOSPC, errno.ENOENT, errno.EADDRINUSE):
            return ExitCode.UNAVAILABLE
        case _:
            return ExitCode.BAD_INPUT if isinstance(exc, UsageError) else None


def _settings_sentence(exc: ValidationError) -> str:
    """Every wrong setting by the name of its environment variable. Never the value, which may be a secret."""
    wrong = "; ".join(
        f"VIDEO_ASSETS_{'_'.join(str(part) for part in error['loc']).upper()}: {error['msg']}"
        for error in exc.errors(include_input=False, include_url=False, include_context=False)
    )
    return f"The configuration is not valid: {wrong}. `video-assets config docs` explains every setting."
