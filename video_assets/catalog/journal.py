"""The event journal: one line per thing that happened, append-only, always redacted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlmodel import Session, col, select

from video_assets.catalog.models import Event
from video_assets.urls import redact


def record(
    session: Session,
    step: str,
    message: str,
    *,
    generation_id: str | None = None,
    job_id: str | None = None,
    output_id: str | None = None,
    run_id: str | None = None,
    **detail: Any,
) -> Event:
    """Append one event. ``step`` is a word of the state machines; message and detail are redacted here."""
    event = Event(
        step=step,
        message=redact(message),
        generation_id=generation_id,
        job_id=job_id,
        output_id=output_id,
        run_id=run_id,
        detail=redacted_json(detail),
    )
    session.add(event)
    return event


def redacted_json(value: dict[str, Any]) -> dict[str, Any]:
    """``value`` as plain JSON with every secret in its strings removed; unknown types become text."""
    return {str(key): _redacted(item) for key, item in value.items()}


def _redacted(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {redact(str(key)): _redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(item) for item in value]
    return redact(str(value))


def events_of(session: Session, generation_id: str, *, limit: int = 500) -> Sequence[Event]:
    """The newest ``limit`` events of a generation, oldest first."""
    statement = (
        select(Event).where(Event.generation_id == generation_id).order_by(col(Event.id).desc()).limit(limit)
    )
    return list(reversed(session.exec(statement).all()))
