"""docs/catalog.md says what the code says, and every column of the replaced systems has a place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlmodel import SQLModel

from video_assets.catalog import Event, Generation, Lease, MediaFile, Output, ProviderJob
from video_assets.catalog.states import GENERATION_TRANSITIONS, JOB_TRANSITIONS

PAGE = (Path(__file__).parents[2] / "docs" / "catalog.md").read_text(encoding="utf-8")
MODELS: dict[str, type[SQLModel]] = {
    str(model.__tablename__): model for model in (Event, Generation, Lease, MediaFile, Output, ProviderJob)
}

# The columns of the systems this product replaces, as their own documents name them.
SEEDS = {
    "Runway and Luma": """provider, model, settings, versions[], promptLength, wasTruncated, snapshot,
        thumbnailUrl, user id, generation id, storage path, size, status""",
    "Sora 2": """id, prompt, image1_url, image2_url, status, video_id, video_url, openai_url, created_at,
        updated_at""",
    "HeyGen": """fileUrl, fileName, fileSize, fileType, storagePath, uploadedAt, videoUrl, heygenVideoUrl,
        videoId, duration, status, fallback, storageMetadata, language, duration_seconds, title, script,
        metadata.heygen_video_url, metadata.generation_status, metadata.storage_fallback,
        metadata.storage_metadata""",
    "KIE.AI": """id, user_id, task_id, prompt, provider, model, generation_type, status, progress, video_url,
        thumbnail_url, error_message, parameters, aspect_ratio, duration, is_favorite, created_at, updated_at,
        completed_at""",
}


def _rows(heading: str) -> dict[str, list[str]]:
    """The table under the heading that begins so: first cell → the words in code style of the second."""
    section = re.search(rf"^### {re.escape(heading)}.*?$(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section is not None, f"no heading {heading!r}"
    rows = re.findall(r"^\| `([^`]+)` \| (.*?) \|", section[1], re.MULTILINE)
    return {first: re.findall(r"`([^`]+)`", second) for first, second in rows}


@pytest.mark.parametrize("table", sorted(MODELS))
def test_every_column_of_ours_is_explained_and_no_other(table: str) -> None:
    assert set(_rows(f"`{table}`")) == set(SQLModel.metadata.tables[table].columns.keys())


@pytest.mark.parametrize("seed", sorted(SEEDS))
def test_every_column_of_a_replaced_system_has_a_place_of_ours(seed: str) -> None:
    rows = _rows(seed)
    theirs = {" ".join(name.split()) for name in SEEDS[seed].split(",")}
    assert theirs <= set(rows)
    for name, places in rows.items():
        assert places, f"{seed} {name} leads nowhere"
        for place in places:
            table, _, column = place.partition(".")
            assert hasattr(MODELS[table], column), f"{seed} {name} leads to {place}, which does not exist"


def test_kie_has_its_nineteen_columns_and_sora_its_ten() -> None:
    assert len(_rows("KIE.AI")) == 19
    assert len(_rows("Sora 2")) == 10


@pytest.mark.parametrize(
    ("heading", "table"),
    [("Generation status", GENERATION_TRANSITIONS), ("Provider job status", JOB_TRANSITIONS)],
)
def test_the_state_machines_are_those_of_the_code(heading: str, table: dict[str, frozenset[str]]) -> None:
    assert {state: set(after) for state, after in _rows(heading).items()} == {
        str(state): {str(word) for word in after} for state, after in table.items()
    }
