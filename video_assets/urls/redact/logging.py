"""Keeping secrets out of every log line of the process: ours, Dagster's, those of requests, urllib3, botocore."""

from __future__ import annotations

import logging
import traceback
from typing import Any

from video_assets.urls.redact.redact import redact

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class RedactingFilter(logging.Filter):
    """Redacts a record in place: message, arguments, traceback, stack, extra attributes. Lets every record pass.

    Put it on handlers; ``install_redaction`` covers records before any handler sees them.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact ``record``; always True."""
        redact_record(record)
        for name, value in list(record.__dict__.items()):
            if name not in _STANDARD and isinstance(value, str):
                record.__dict__[name] = redact(value)
        return True


def redact_record(record: logging.LogRecord) -> None:
    """Redact what a record will show. Keeps the record's form (``msg % args``) as far as it can; never raises."""
    try:
        _redact_message(record)
        _redact_traceback(record)
    except Exception:  # noqa: BLE001 - a log line must never break the work, nor leak because of it
        record.msg = "a log record that could not be made safe to show was withheld"
        record.args = ()
        record.exc_info = None
        record.exc_text = None
        record.stack_info = None


def _redact_message(record: logging.LogRecord) -> None:
    if not record.args:
        if not isinstance(record.msg, str):
            text = str(record.msg)
            if (safe := redact(text)) != text:
                record.msg = safe
        else:
            record.msg = redact(record.msg)
        return
    if isinstance(record.args, tuple):
        record.args = tuple(_safe(argument) for argument in record.args)
    else:
        record.args = {key: _safe(value) for key, value in record.args.items()}
    try:
        text = record.getMessage()
    except (TypeError, ValueError, KeyError):
        # The caller's format is wrong; logging reports that with the arguments, which are safe by now.
        record.msg = redact(str(record.msg))
        return
    safe = redact(text)
    if safe != text:  # the secret only shows once template and arguments are joined
        record.msg, record.args = safe, ()


def _safe(argument: Any) -> Any:
    """The argument itself while its text shows no secret, so that structured handlers go on working."""
    if argument is None or isinstance(argument, bool | int | float):
        return argument
    if isinstance(argument, str):
        return redact(argument)
    if isinstance(argument, bytes):
        text = argument.decode("utf-8", "surrogateescape")
        return argument if (safe := redact(text)) == text else safe.encode("utf-8", "surrogateescape")
    text = f"{argument}\n{argument!r}"
    if redact(text) == text:
        return argument
    return redact(str(argument))


def _redact_traceback(record: logging.LogRecord) -> None:
    if record.exc_info and isinstance(record.exc_info, tuple) and record.exc_info[0] is not None:
        text = record.exc_text or "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        safe = redact(text)
        if safe != text:
            # Formatters print exc_text; without exc_info none can format the exception itself again.
            record.exc_info, record.exc_text = None, safe
    elif record.exc_text:
        record.exc_text = redact(record.exc_text)
    if record.stack_info:
        record.stack_info = redact(record.stack_info)


class _RedactingFactory:
    """A log record factory around the one in force."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self.inner(*args, **kwargs)
        redact_record(record)
        return record


def install_redaction() -> None:
    """Redact every record of this process from now on, whichever logger makes it. A second call does nothing.

    Records are redacted as they are made, so Dagster's ``context.log``, its captured Python logs and the debug
    lines of libraries are covered. Handlers of the root logger also get a ``RedactingFilter``, for ``extra=``.
    """
    factory = logging.getLogRecordFactory()
    if not isinstance(factory, _RedactingFactory):
        logging.setLogRecordFactory(_RedactingFactory(factory))
    for handler in logging.getLogger().handlers:
        if not any(isinstance(known, RedactingFilter) for known in handler.filters):
            handler.addFilter(RedactingFilter())
