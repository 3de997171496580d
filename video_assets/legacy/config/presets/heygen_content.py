"""HeyGen avatars: the JSON document ``content.content_data``. Its share page is a page, not a file, and stays."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import sqlalchemy as sa

from video_assets.legacy.config.models import Column, Except, Fact, Job, Related, Table
from video_assets.legacy.config.presets.preset import PROMPTS, Links, Preset, Row, json_type, later, moment_type

_FACTS: tuple[tuple[str, Fact], ...] = (
    ("fileUrl", "file_url"),
    ("fileName", "file_name"),
    ("fileSize", "file_size"),
    ("fileType", "file_type"),
    ("storagePath", "storage_path"),
    ("uploadedAt", "uploaded_at"),
)

TABLES = (
    Table(
        name="content",
        columns=(
            Column(
                name="content_data",
                type="json",
                kinds={"/videoUrl": "video", "/heygenVideoUrl": "video", "/fileUrl": "video"},
                related=tuple(Related(sibling=key, fact=fact, pointer="/videoUrl") for key, fact in _FACTS),
            ),
        ),
        created_at="created_at",
        changed_at="updated_at",
        keep=("content_data#/script", "content_data#/language", "content_data#/title"),
        owner_at="user_id",
        jobs=(Job(provider="heygen", id_at="content_data#/videoId"),),
        exceptions=(
            Except(
                host="app.heygen.com",
                path="^/share/",
                why="a share page of HeyGen is a page for people, not a video file",
            ),
        ),
    ),
)

_schema = sa.MetaData()
_content = sa.Table(
    "content",
    _schema,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("user_id", sa.String(40), nullable=False),
    sa.Column("content_type", sa.String(20), nullable=False),
    sa.Column("content_data", json_type()),
    sa.Column("created_at", moment_type(), nullable=False),
    sa.Column("updated_at", moment_type()),
)


def _rows(links: Links, random: Random, count: int) -> Iterator[Row]:
    for number in range(1, count + 1):
        sample = links.sample("heygen", random)
        kind = "avatar" if random.random() < 0.85 else "article"
        document: dict[str, Any]
        if kind == "article":
            # What is no video must come through untouched.
            document = {"title": "הודעה", "body": f'<p>See <a href="https://example.com/{number}">more</a></p>'}
        else:
            document = {
                "title": f"Avatar {number}",
                "script": random.choice(PROMPTS),
                "language": random.choice(("he", "en", "es")),
                "videoUrl": sample.url,
                "videoId": sample.task_id,
                "duration_seconds": random.randrange(5, 90),
                "fileUrl": None,
                "fileName": None,
                "fileSize": None,
                "fileType": None,
                "storagePath": None,
                "uploadedAt": None,
                "metadata": {
                    "heygen_video_url": f"https://app.heygen.com/share/{sample.task_id}",
                    "generation_status": "completed" if sample.url else "processing",
                    "storage_fallback": True,
                    "storage_metadata": None,
                },
            }
        yield (
            _content,
            {
                "id": number,
                "user_id": f"user-{random.randrange(40):03}",
                "content_type": kind,
                "content_data": document,
                "created_at": sample.created_at,
                "updated_at": later(sample.created_at, 400),
            },
        )


PRESET = Preset(
    name="heygen_content",
    title="HeyGen avatar content",
    description="one JSON document per row with six file fields; the share page is kept",
    tables=TABLES,
    schema=_schema,
    fill=_rows,
)
