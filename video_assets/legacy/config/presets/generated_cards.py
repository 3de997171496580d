"""Runway and Luma cards: ``generated_cards.snapshot`` (JSON) and ``thumbnailUrl`` beside it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from random import Random
from typing import Any

import sqlalchemy as sa

from video_assets.legacy.config.models import Column, Job, Related, Table
from video_assets.legacy.config.presets.preset import PROMPTS, Links, Preset, Row, json_type, later, moment_type

_JOBS = (Job(provider_at="snapshot#/provider", id_at="snapshot#/versions/*/taskId"),)

TABLES = (
    Table(
        name="generated_cards",
        columns=(
            Column(
                name="snapshot",
                type="json",
                kinds={
                    "/versions/*/url": "video",
                    "/versions/*/thumbnailUrl": "thumbnail",
                    "/thumbnailUrl": "thumbnail",
                },
                related=(Related(sibling="storagePath", fact="storage_path", pointer="/versions/*/url"),),
            ),
            Column(name="thumbnailUrl", kind="thumbnail"),
        ),
        created_at="created_at",
        changed_at="updated_at",
        keep=("snapshot#/prompt", "snapshot#/settings", "snapshot#/model"),
        owner_at="user_id",
        jobs=_JOBS,
    ),
)

_schema = sa.MetaData()
_cards = sa.Table(
    "generated_cards",
    _schema,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("user_id", sa.String(40), nullable=False),
    sa.Column("type", sa.String(20), nullable=False),
    sa.Column("snapshot", json_type()),
    sa.Column("thumbnailUrl", sa.Text),
    sa.Column("created_at", moment_type(), nullable=False),
    sa.Column("updated_at", moment_type()),
)


def _rows(links: Links, random: Random, count: int) -> Iterator[Row]:
    for _ in range(count):
        style = random.choice(("runway", "luma"))
        versions: list[dict[str, Any]] = []
        created = None
        thumbnail = None
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            sample = links.sample(style, random)
            created = created or sample.created_at
            thumbnail = thumbnail or sample.thumbnail_url
            versions.append(
                {
                    "url": sample.url,
                    "taskId": sample.task_id,
                    "index": len(versions),
                    "favourite": random.random() < 0.1,
                }
            )
            if sample.thumbnail_url and random.random() < 0.5:
                versions[-1]["thumbnailUrl"] = sample.thumbnail_url
        assert created is not None
        prompt = random.choice(PROMPTS)
        card = {
            "id": f"video-{int(created.timestamp() * 1000)}",
            "provider": style,
            "model": {"runway": "gen4_turbo", "luma": "ray-2"}[style],
            "prompt": prompt,
            "promptLength": len(prompt),
            "wasTruncated": False,
            "settings": {"ratio": "1280:720", "duration": 5, "seed": random.randrange(2**31)},
            "versions": versions,
        }
        yield (
            _cards,
            {
                "id": str(uuid.UUID(int=random.getrandbits(128), version=4)),
                "user_id": f"user-{random.randrange(40):03}",
                "type": "video",
                "snapshot": card if random.random() > 0.01 else None,
                "thumbnailUrl": thumbnail if random.random() < 0.8 else None,
                "created_at": created,
                "updated_at": later(created, 90) if random.random() < 0.7 else None,
            },
        )


PRESET = Preset(
    name="generated_cards",
    title="Runway and Luma cards",
    description="JSON snapshots with one or more versions, and a thumbnail column",
    tables=TABLES,
    schema=_schema,
    fill=_rows,
)
