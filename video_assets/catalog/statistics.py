"""Figures about the whole catalog: how much is stored, for whom, and what was finished last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func
from sqlmodel import Session, col, select

from video_assets.catalog import queries
from video_assets.catalog.models import Generation, GenerationStatus, MediaFile, MediaState


@dataclass(frozen=True, slots=True)
class Usage:
    """What one owner keeps in one bucket."""

    owner: str
    bucket: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Totals:
    """The catalog in one line."""

    generations: int
    by_status: dict[str, int]
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Completed:
    """A completed generation and the permanent link of its first video."""

    id: str
    owner: str
    prompt: str
    video_url: str | None
    created_at: datetime
    completed_at: datetime | None


def usage(session: Session) -> Sequence[Usage]:
    """Stored bytes per owner and bucket, the largest first (S0.33, S1.24)."""
    size = func.coalesce(func.sum(MediaFile.file_size), 0)
    statement = (
        select(Generation.owner, MediaFile.bucket, func.count(), size)
        .join(Generation, col(Generation.id) == col(MediaFile.generation_id))
        .where(MediaFile.state == MediaState.STORED)
        .group_by(col(Generation.owner), col(MediaFile.bucket))
        .order_by(size.desc(), col(Generation.owner), col(MediaFile.bucket))
    )
    return [
        Usage(owner, bucket, files, int(total or 0)) for owner, bucket, files, total in session.exec(statement)
    ]


def totals(session: Session) -> Totals:
    """How many generations, by status, and how many bytes are durable (S1.25, S1.26)."""
    by_status = queries.count_by_status(session)
    statement = select(func.count(), func.coalesce(func.sum(MediaFile.file_size), 0)).where(
        MediaFile.state == MediaState.STORED
    )
    files, size = session.exec(statement).one()
    return Totals(generations=sum(by_status.values()), by_status=by_status, files=files, bytes=int(size or 0))


def last_completed(session: Session, *, limit: int = 10) -> Sequence[Completed]:
    """The generations that were completed last, newest first (S1.27)."""
    newest = session.exec(
        select(Generation)
        .where(Generation.status == GenerationStatus.COMPLETED)
        .order_by(col(Generation.completed_at).desc().nulls_last(), col(Generation.id).desc())
        .limit(limit)
    ).all()
    links: dict[str, str | None] = {}
    files = session.exec(
        select(MediaFile)
        .where(
            col(MediaFile.generation_id).in_([row.id for row in newest]),
            MediaFile.state == MediaState.STORED,
            MediaFile.role == "video",
        )
        .order_by(col(MediaFile.key))
    )
    for file in files:
        links.setdefault(file.generation_id, file.file_url)
    return [
        Completed(row.id, row.owner, row.prompt, links.get(row.id), row.created_at, row.completed_at)
        for row in newest
    ]
