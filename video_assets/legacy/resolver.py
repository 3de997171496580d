"""The old-link resolver: which durable copy belongs to an old address, whatever its signature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlmodel import Session, col, select

from video_assets.catalog.legacy import LegacyFile, LegacySource
from video_assets.catalog.models import MediaFile, MediaState, Output
from video_assets.legacy.search.rows import file_id
from video_assets.urls import fingerprint


class Answer(StrEnum):
    """What is known of an old address."""

    STORED = "stored"
    PENDING = "pending"
    """Known, and not durable yet."""
    LOST = "lost"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Resolution:
    """The answer about one address. It never holds the address itself."""

    answer: Answer
    file_url: str | None = None
    """The durable address of a stored copy."""
    message: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """Of a lost file: what its host answered, and when."""
    at: datetime | None = None


def resolve(session: Session, url: str) -> Resolution:
    """The durable copy of the file behind ``url``, found by the URL's fingerprint; its signature does not matter.

    A stored copy counts before a pending one and that before a loss, in the live and the legacy side alike.
    """
    print_ = fingerprint(url)
    statement = (
        select(MediaFile.file_url)
        .join(Output, col(MediaFile.id) == Output.id)
        .where(Output.source_fingerprint == print_, MediaFile.state == MediaState.STORED)
        .limit(1)
    )
    if found := session.exec(statement).first():
        return Resolution(Answer.STORED, found)
    outputs = session.exec(select(Output).where(Output.source_fingerprint == print_).limit(20)).all()
    ids = [file_id(source, print_) for source in session.exec(select(LegacySource.name))]
    files = session.exec(select(LegacyFile).where(col(LegacyFile.id).in_(ids))).all()
    for file in files:
        if file.state == MediaState.STORED and file.file_url:
            return Resolution(Answer.STORED, file.file_url)
    known: list[Output | LegacyFile] = [*outputs, *files]
    if any(each.state == MediaState.PENDING for each in known):
        return Resolution(Answer.PENDING, message="its file is known and not stored yet")
    for each in known:
        if each.state in (MediaState.LOST, MediaState.GIVEN_UP):
            return Resolution(
                Answer.LOST,
                message=each.message or "it was gone before it could be saved",
                evidence=dict(each.evidence),
                at=each.updated_at,
            )
    return Resolution(Answer.UNKNOWN, message="no file is known that this address ever led to")
