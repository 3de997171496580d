"""Sora videos: ``videos`` with four URL columns, the provider's own address kept as a backup."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from random import Random

import sqlalchemy as sa

from video_assets.legacy.config.models import Column, Job, Related, Table
from video_assets.legacy.config.presets.preset import PROMPTS, Fate, Links, Preset, Row, later, moment_type

TABLES = (
    Table(
        name="videos",
        columns=(
            Column(name="video_url", kind="video", related=(Related(column="status", text="completed"),)),
            Column(
                name="openai_url",
                kind="video",
                related=(
                    Related(column="video_url", fact="file_url", when_empty=True),
                    Related(column="status", text="completed"),
                ),
            ),
            Column(name="image1_url", kind="image"),
            Column(name="image2_url", kind="image"),
        ),
        created_at="created_at",
        changed_at="updated_at",
        keep=("prompt", "image1_url", "image2_url"),
        jobs=(Job(provider="openai", id_at="video_id", columns=("video_url", "openai_url")),),
    ),
)

_schema = sa.MetaData()
_videos = sa.Table(
    "videos",
    _schema,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("prompt", sa.Text, nullable=False),
    sa.Column("image1_url", sa.Text),
    sa.Column("image2_url", sa.Text),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("video_id", sa.String(80)),
    sa.Column("video_url", sa.Text),
    sa.Column("openai_url", sa.Text),
    sa.Column("created_at", moment_type(), nullable=False),
    sa.Column("updated_at", moment_type()),
)


def _rows(links: Links, random: Random, count: int) -> Iterator[Row]:
    for _ in range(count):
        sample = links.sample("openai", random)
        durable = sample.fate is Fate.DURABLE
        # Some rows hold the provider's address twice, some only as the backup: their own copy was never made.
        served = sample.url if durable or random.random() < 0.7 else None
        status = "completed" if served else random.choice(("processing", "failed", "queued"))
        yield (
            _videos,
            {
                "id": uuid.UUID(int=random.getrandbits(128), version=4),
                "prompt": random.choice(PROMPTS),
                "image1_url": links.image("one", random).url,
                "image2_url": links.image("two", random).url if random.random() < 0.9 else None,
                "status": status,
                "video_id": sample.task_id,
                "video_url": served,
                "openai_url": None if durable else sample.url,
                "created_at": sample.created_at,
                "updated_at": later(sample.created_at, 200),
            },
        )


PRESET = Preset(
    name="sora_videos",
    title="Sora videos with two input images",
    description="plain columns: video_url, openai_url, image1_url, image2_url",
    tables=TABLES,
    schema=_schema,
    fill=_rows,
)
