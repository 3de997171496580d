"""Clips of Replicate and the videos joined from them, kept as BLOBs in the database itself."""

from __future__ import annotations

import uuid
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
from video_assets.legacy.config.presets.tiny_video import tiny_video

TABLES = (
    Table(
        name="generated_videos",
        columns=(
            Column(
                name="video_data",
                type="blob",
                kind="video",
                url_column="video_url",
                clear=True,
                related=(
                    Related(column="file_size", fact="file_size"),
                    Related(column="status", text="completed"),
                ),
            ),
            Column(name="clips", type="json", kinds={"/*/url": "clip"}),
        ),
        created_at="created_at",
        keep=("prompt", "clips#/*/prompt", "campaign_id"),
        owner_at="user_id",
        jobs=(Job(provider="replicate", id_at="clips#/*/prediction_id"),),
    ),
)

_schema = sa.MetaData()
_videos = sa.Table(
    "generated_videos",
    _schema,
    sa.Column("job_id", sa.String(40), primary_key=True),
    sa.Column("user_id", sa.String(40), nullable=False),
    sa.Column("campaign_id", sa.String(40)),
    sa.Column("prompt", sa.Text),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("video_url", sa.Text),
    sa.Column("video_data", sa.LargeBinary),
    sa.Column("file_size", sa.BigInteger),
    sa.Column("clips", json_type()),
    sa.Column("created_at", moment_type(), nullable=False),
    sa.Column("completed_at", moment_type()),
)


def _rows(links: Links, random: Random, count: int) -> Iterator[Row]:
    films = [tiny_video(number) for number in range(8)]
    for _ in range(count):
        job_id = str(uuid.UUID(int=random.getrandbits(128), version=4))
        samples = [links.sample("replicate", random) for _ in range(random.choice((1, 2, 3)))]
        film = random.choice(films) if random.random() < 0.4 else None
        clips = [
            {
                "filename": f"clip_{number}.mp4",
                "url": sample.url,
                "prediction_id": sample.task_id,
                "prompt": random.choice(PROMPTS),
            }
            for number, sample in enumerate(samples)
            if sample.fate is not Fate.EMPTY
        ]
        created = samples[0].created_at
        yield (
            _videos,
            {
                "job_id": job_id,
                "user_id": f"user-{random.randrange(40):03}",
                "campaign_id": f"campaign-{random.randrange(12)}",
                "prompt": random.choice(PROMPTS),
                "status": "completed" if film else "failed" if not clips else "completed",
                "video_url": f"/api/v3/videos/{job_id}/combined" if film else None,
                "video_data": film,
                "file_size": len(film) if film else None,
                "clips": clips or None,
                "created_at": created,
                "completed_at": later(created, 180) if clips else None,
            },
        )


PRESET = Preset(
    name="clip_blobs",
    title="Clips and joined videos in BLOBs",
    description="videos as bytes inside the database, their clips behind Replicate's links",
    tables=TABLES,
    schema=_schema,
    fill=_rows,
)
