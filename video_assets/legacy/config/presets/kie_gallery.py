"""The KIE.AI gallery: ``generated_videos`` with its 19 columns, the provider's URL saved as it came."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import sqlalchemy as sa

from video_assets.legacy.config.models import Column, Job, Related, Table
from video_assets.legacy.config.presets.preset import (
    PROMPTS,
    Fate,
    Links,
    Preset,
    Row,
    json_type,
    later,
    moment_type,
)

SERVICES = ("kie-veo3-fast", "kie-veo3", "kie-sora2", "kie-hailuo")

TABLES = (
    Table(
        name="generated_videos",
        columns=(
            Column(
                name="video_url",
                kind="video",
                related=(
                    Related(column="status", text="completed"),
                    Related(column="completed_at", fact="uploaded_at", when_empty=True),
                ),
            ),
            Column(name="thumbnail_url", kind="thumbnail"),
            Column(name="parameters", type="json"),
        ),
        created_at="created_at",
        changed_at="updated_at",
        keep=("prompt", "model", "parameters", "aspect_ratio", "duration"),
        owner_at="user_id",
        jobs=(
            Job(
                provider_at="provider",
                names=dict.fromkeys(SERVICES, "kie"),
                id_at="task_id",
                columns=("video_url", "thumbnail_url"),
            ),
        ),
    ),
)

_schema = sa.MetaData()
_videos = sa.Table(
    "generated_videos",
    _schema,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("user_id", sa.String(40), nullable=False),
    sa.Column("task_id", sa.String(80)),
    sa.Column("prompt", sa.Text, nullable=False),
    sa.Column("provider", sa.String(40), nullable=False),
    sa.Column("model", sa.String(40)),
    sa.Column("generation_type", sa.String(20)),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("progress", sa.Integer, nullable=False),
    sa.Column("video_url", sa.String(1000)),
    sa.Column("thumbnail_url", sa.String(1000)),
    sa.Column("error_message", sa.Text),
    sa.Column("parameters", json_type()),
    sa.Column("aspect_ratio", sa.String(10)),
    sa.Column("duration", sa.Integer),
    sa.Column("is_favorite", sa.Boolean, nullable=False),
    sa.Column("created_at", moment_type(), nullable=False),
    sa.Column("updated_at", moment_type()),
    sa.Column("completed_at", moment_type()),
)


def _rows(links: Links, random: Random, count: int) -> Iterator[Row]:
    for number in range(1, count + 1):
        sample = links.sample("kie", random)
        service = random.choice(SERVICES)
        empty = sample.fate is Fate.EMPTY
        source = links.image("input", random)
        from_image = random.random() < 0.3
        yield (
            _videos,
            {
                "id": number,
                "user_id": f"user-{random.randrange(40):03}",
                "task_id": sample.task_id,
                "prompt": random.choice(PROMPTS),
                "provider": service,
                "model": service.removeprefix("kie-"),
                "generation_type": "img2vid" if from_image else "text2vid",
                "status": random.choice(("processing", "failed")) if empty else "completed",
                "progress": 40 if empty else 100,
                "video_url": sample.url,
                "thumbnail_url": sample.thumbnail_url if random.random() < 0.6 else None,
                "error_message": "Insufficient credits" if empty else None,
                "parameters": {"imageUrls": [source.url] if from_image else [], "seed": random.randrange(10**6)},
                "aspect_ratio": random.choice(("16:9", "9:16")),
                "duration": 8,
                "is_favorite": random.random() < 0.1,
                "created_at": sample.created_at,
                "updated_at": later(sample.created_at, 150),
                "completed_at": None if empty else later(sample.created_at, 150),
            },
        )


PRESET = Preset(
    name="kie_gallery",
    title="KIE.AI gallery",
    description="19 columns, URLs in VARCHAR columns, parameters as JSON",
    tables=TABLES,
    schema=_schema,
    fill=_rows,
)
