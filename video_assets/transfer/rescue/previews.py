"""Poster and hover preview of a durable video: extra files beside the original, made from the stored bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from video_assets.catalog import Catalog, MediaFile, MediaState, journal, queries
from video_assets.catalog.models import utc_now
from video_assets.media.poster import poster
from video_assets.media.preview import preview
from video_assets.media.probe import CannotJudge, MediaFacts
from video_assets.storage.durable import DurableStorage
from video_assets.transfer.rescue.checks import copy_from_store

VIDEO_ROLES = ("video", "clip", "captioned")

POSTER_WIDTH = 640
"""Pixels: enough for a card or a player's first moment, small enough to be shown inline in the Dagster UI."""

RENDITIONS: dict[str, tuple[str, Callable[[Path, Path], MediaFacts]]] = {
    "poster": ("jpg", partial(poster, width=POSTER_WIDTH)),
    "preview": ("mp4", preview),
}


def rendition_key(video_key: str, role: str) -> str:
    """Where the poster or preview of a video is kept, known before it is made: ``….poster.jpg`` beside it."""
    return f"{video_key.rpartition('.')[0]}.{role}.{RENDITIONS[role][0]}"


def make_previews(
    catalog: Catalog, storage: DurableStorage, generation_id: str, *, spool: Path, run_id: str | None = None
) -> list[MediaFile]:
    """Make what is missing of poster and preview for each stored video of a generation; returns all of them.

    Repeating it changes nothing. A video that cannot be decoded here gets none, and the journal says
    why. Raises StorageFailed, NotPlayable, CatalogError.
    """
    with catalog.read() as session:
        files = queries.media_of(session, generation_id)
    made = {media.id: media for media in files if media.role in RENDITIONS and media.state == MediaState.STORED}
    for video in files:
        if video.role not in VIDEO_ROLES or video.state != MediaState.STORED:
            continue
        missing = [role for role in RENDITIONS if f"{video.id}.{role}" not in made]
        if not missing:
            continue
        with copy_from_store(storage, video.key, spool) as original:
            try:
                for role in missing:
                    media = _make(catalog, storage, video, role, original, run_id)
                    made[media.id] = media
            except CannotJudge as exc:
                _note_impossible(catalog, video, exc, run_id)
    return sorted(made.values(), key=lambda media: media.key)


def _note_impossible(catalog: Catalog, video: MediaFile, why: CannotJudge, run_id: str | None) -> None:
    with catalog.write() as session:
        journal.record(
            session,
            "no_preview",
            f"{video.key}: {why}",
            generation_id=video.generation_id,
            output_id=video.output_id,
            run_id=run_id,
        )


def _make(
    catalog: Catalog, storage: DurableStorage, video: MediaFile, role: str, original: Path, run_id: str | None
) -> MediaFile:
    extension, render = RENDITIONS[role]
    key = rendition_key(video.key, role)
    with TemporaryDirectory(dir=original.parent) as folder:
        path = Path(folder) / f"{role}.{extension}"
        facts = render(original, path)
        data: dict[str, Any] = {
            "file_name": key.rpartition("/")[2],
            "file_size": path.stat().st_size,
            "file_type": facts.mime_type,
            "sha256": _digest(path),
        }
        with catalog.write() as session:
            media = session.get(MediaFile, f"{video.id}.{role}") or MediaFile(
                id=f"{video.id}.{role}",
                generation_id=video.generation_id,
                output_id=video.output_id,
                role=role,
                bucket=storage.bucket,
                key=key,
            )
            media.sqlmodel_update(data)
            media.updated_at = utc_now()
            session.add(media)
        storage.put(key, path, content_type=facts.mime_type, sha256=data["sha256"])
        proof = storage.read_back(key, size=data["file_size"], sha256=data["sha256"])
    with catalog.write() as session:
        media = session.get_one(MediaFile, media.id, populate_existing=True)
        now = utc_now()
        media.state = MediaState.STORED
        media.file_url = storage.public_url(key)
        media.proof = proof
        media.container = facts.container
        media.video_codec = facts.video_codec
        media.width, media.height, media.fps = facts.width, facts.height, facts.fps
        media.duration_seconds = facts.duration_seconds
        media.uploaded_at = media.verified_at = media.updated_at = now
        journal.record(
            session,
            f"{role}_made",
            f"{key} ({data['file_size']} bytes)",
            generation_id=video.generation_id,
            output_id=video.output_id,
            run_id=run_id,
        )
        return media


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
