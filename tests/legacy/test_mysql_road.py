"""The whole road on a real MariaDB: composite keys, utf8mb4, its JSON (LONGTEXT with a CHECK), and BLOBs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from tests.legacy.making import fill, run
from tests.legacy.road import Road
from video_assets.catalog import MediaState
from video_assets.catalog.legacy import FindingState
from video_assets.emulator import Emulator
from video_assets.legacy.config.models import Source
from video_assets.legacy.config.presets.tiny_video import tiny_video
from video_assets.legacy.process_batch import Mode, process_batch
from video_assets.legacy.proof.prove import make_proof, verify
from video_assets.legacy.proof.signing import load_signing_key
from video_assets.legacy.rewrite.undo import Selection, redo, undo_rewrites

TABLES = [
    {
        "name": "cards",
        "columns": [{"name": "doc", "type": "json"}, {"name": "note"}],
        "jobs": [{"provider": "runway", "id_at": "doc#/versions/*/taskId", "columns": ["doc"]}],
        "keep": ["prompt"],
    },
    {"name": "clips", "columns": [{"name": "data", "type": "blob", "url_column": "url", "clear": True}]},
]


def rows(url: str) -> list[list[tuple[object, ...]]]:
    """Every row of both tables."""
    engine = sa.create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return [
            [tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1, 2")]
            for table in ("cards", "clips")
        ]


@pytest.fixture
def road(emulator: Emulator, tmp_path: Path, mysql_url: Callable[[], str]) -> Road:
    url = mysql_url()
    road = Road.open(emulator, tmp_path)
    road.source = Source.model_validate({"name": "old", "url": url, "table": TABLES})
    run(
        url,
        "CREATE TABLE cards (tenant VARCHAR(40), number INT, prompt TEXT, doc JSON, note TEXT, "
        "PRIMARY KEY (tenant, number)) CHARACTER SET utf8mb4",
        "CREATE TABLE clips (id INT PRIMARY KEY, data LONGBLOB, url VARCHAR(500)) CHARACTER SET utf8mb4",
    )
    videos = {
        "alive": road.video("alive"),
        "dead": road.video("dead [emulator: dead_links=1]"),
        "gone": road.video("gone [emulator: dead_links=99, refresh=gone]"),
    }
    cards = [("ü🎬", 1, "alive"), ("ü🎬", 2, "dead"), ("other", 1, "gone"), ("other", 2, "alive")]
    fill(
        url,
        "cards",
        [
            {
                "tenant": tenant,
                "number": number,
                "prompt": "ein Vogel 🐦 im Wind",
                "doc": json.dumps(
                    {"🎬": "ja", "versions": [{"url": videos[name][0], "taskId": videos[name][1]}]},
                    ensure_ascii=number == 1,
                    indent=number,
                ),
                "note": f"▶ {videos[name][0]} ◀" if name == "alive" else None,
            }
            for tenant, number, name in cards
        ],
    )
    fill(url, "clips", [{"id": 1, "data": tiny_video(1), "url": None}, {"id": 2, "data": None, "url": "kept"}])
    return road


def test_the_whole_road_on_mariadb(road: Road) -> None:
    url, services = road.source.writing_url(), road.world.services
    before = rows(url)
    [key] = road.take()
    assert len(road.findings()) == 7
    report = process_batch(services, road.source, key, mode=Mode.APPLY)
    [problem] = report.problems
    assert problem.startswith(next(file.id for file in road.files() if file.state == MediaState.LOST))
    assert report.is_done
    road.assert_nothing_lost_or_doubled()
    assert sorted(str(finding.state) for finding in road.findings()) == ["lost"] + ["rewritten"] * 6
    [lost] = [finding for finding in road.findings() if finding.state == FindingState.LOST]
    assert json.loads(lost.row_key) == ["other", 1]
    assert lost.context == {"prompt": "ein Vogel 🐦 im Wind"}

    after = rows(url)
    base = road.world.settings.public_base_url
    for was, now in zip(before[0], after[0], strict=True):
        old, new = json.loads(str(was[3])), json.loads(str(now[3]))
        is_lost = now[:2] == ("other", 1)
        assert (was == now) is is_lost
        assert new["versions"][0]["url"].startswith(base) is not is_lost
        link = new["versions"][0]["url"]
        assert str(now[3]) == str(was[3]).replace(old["versions"][0]["url"], link), "every other byte stays"
    assert after[1][0][1] is None
    assert str(after[1][0][2]).startswith(base)
    assert after[1][1] == before[1][1]

    settings = road.world.settings
    document = make_proof(
        services.catalog, [road.source], key=load_signing_key(settings.home), scratch=settings.spool
    )
    assert verify(document).is_good
    assert document["sources"][0]["accounted"]
    assert document["sources"][0]["durable"] == 6

    undone = undo_rewrites(services, road.source, Selection())
    assert undone.refused == []
    assert rows(url) == before, "byte for byte, the BLOB too"
    assert redo(services.catalog, "old", None) == 6
    [again] = road.take()
    assert process_batch(services, road.source, again, mode=Mode.APPLY).is_done
    assert rows(url) == after
