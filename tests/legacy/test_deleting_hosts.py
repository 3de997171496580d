"""Hosts that a user names as deleting: found, told in the proof, and refused by the guard; and links cut off."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from tests.legacy.making import NOW, catalog_in, database_url, files, fill, findings, run, signed, source_of
from tests.legacy.road import Road
from video_assets.catalog import MediaState
from video_assets.emulator import Emulator
from video_assets.legacy.config.load import load_sources, parse_sources
from video_assets.legacy.config.models import Source
from video_assets.legacy.config.toml import source_toml
from video_assets.legacy.errors import ConfigurationInvalid
from video_assets.legacy.guard.triggers import install_guard, installed_guards, remove_guard
from video_assets.legacy.inventory import parallel as lanes
from video_assets.legacy.inventory.take import take_inventory
from video_assets.legacy.proof.prove import make_proof, verify, verify_against
from video_assets.legacy.report.at_risk import Bucket, build_report

RULES = ["media.example.com/renders/ = 7d", "tmp.example.net"]
GONE_SOON = "https://media.example.com/renders/1.mp4"
STAYS = "https://media.example.com/static/logo.png"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    url = database_url(request, request.param, tmp_path)
    json_type = "TEXT" if request.param == "sqlite" else "jsonb"
    run(
        url,
        f"CREATE TABLE clips (id INTEGER PRIMARY KEY, video_url TEXT, data {json_type}, made TEXT, changed TEXT)",
    )
    return url


def clips(url: str, rules: list[str], **more: object) -> Source:
    columns = [{"name": "video_url"}, {"name": "data", "type": "json"}]
    table = {"name": "clips", "created_at": "made", "column": columns, **more}
    return source_of(url, table, deleting_hosts=rules, reading={"lanes": 3})


def fill_clips(url: str, count: int = 400) -> None:
    rows = []
    for number in range(count):
        link = GONE_SOON.replace("1.mp4", f"{number}.mp4") if number % 10 == 0 else STAYS
        data = json.dumps({"outputs": [{"url": link}], "n": number})
        times = {"made": NOW.isoformat(), "changed": NOW.isoformat()}
        rows.append({"id": number, "video_url": None, "data": data, **times})
    fill(url, "clips", rows)


def test_an_inventory_by_several_processes_finds_a_user_s_host_and_knows_when_it_deletes(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "STRETCH_ROWS", 20)
    fill_clips(url)
    catalog = catalog_in(tmp_path)
    assert take_inventory(catalog, clips(url, [])).findings == 0
    source = clips(url, RULES)
    assert take_inventory(catalog, source).findings == 40
    assert {(file.host, file.scheme) for file in files(catalog)} == {("media.example.com", "deleting_host")}
    assert {file.deadline_at for file in files(catalog)} == {NOW + timedelta(days=7)}
    assert (
        build_report(catalog, source).buckets[Bucket.LATER] + build_report(catalog, source).buckets[Bucket.WEEK]
        == 40
    )


def test_rows_that_were_read_by_other_rules_are_read_again(url: str, tmp_path: Path) -> None:
    fill_clips(url, 30)
    catalog = catalog_in(tmp_path)
    run(url, "UPDATE clips SET changed = '2020-01-01T00:00:00Z' WHERE id > 0")
    assert take_inventory(catalog, clips(url, [], changed_at="changed")).findings == 0
    assert take_inventory(catalog, clips(url, [], changed_at="changed")).rows < 30
    assert take_inventory(catalog, clips(url, RULES, changed_at="changed")).findings == 3


def test_a_proof_says_which_hosts_it_was_told_and_a_verifier_scans_by_the_same(url: str, tmp_path: Path) -> None:
    fill_clips(url, 20)
    catalog = catalog_in(tmp_path)
    key = Ed25519PrivateKey.generate()
    blind = make_proof(catalog, [clips(url, [])], key=key, scratch=tmp_path)
    assert blind["verdict"]["clean"], "without being told nobody knows"
    told = make_proof(catalog, [clips(url, RULES)], key=key, scratch=tmp_path)
    [part] = told["sources"]
    assert part["deleting_hosts"] == RULES
    assert not told["verdict"]["clean"]
    assert part["tables"]["clips"]["columns"]["data"]["temporary"] == 2
    found = verify(told)
    verify_against(found, "legacy", url, tmp_path)
    assert found.is_good, found.failures
    tampered = json.loads(json.dumps(told)) | {"sources": [{**part, "deleting_hosts": []}]}
    assert not verify(tampered).is_good


@pytest.fixture
def guarded(url: str) -> Iterator[tuple[Source, sa.Engine]]:
    source = clips(url, RULES)
    install_guard(source)
    engine = sa.create_engine(url, poolclass=NullPool)
    yield source, engine
    engine.dispose()


def _takes(engine: sa.Engine, column: str, value: str) -> bool:
    try:
        with engine.begin() as connection:
            cast = "CAST(:v AS jsonb)" if column == "data" and engine.dialect.name == "postgresql" else ":v"
            connection.execute(
                sa.text(f"INSERT INTO clips (id, {column}) VALUES ((SELECT count(*) FROM clips), {cast})"),
                {"v": value},
            )
    except DBAPIError as exc:
        if "takes no temporary URL" not in str(exc.orig):
            raise
        return False
    return True


def test_the_guard_refuses_a_user_s_host_and_nothing_else_of_it(guarded: tuple[Source, sa.Engine]) -> None:
    source, engine = guarded
    refused = [
        GONE_SOON,
        "https://eu.media.example.com:8443/Renders/2.mp4",
        f"see {GONE_SOON} soon",
        "https://tmp.example.net/a",
        "http:\\/\\/media.example.com\\/renders\\/2.mp4",
    ]
    assert [each for each in refused if _takes(engine, "video_url", each)] == []
    assert not _takes(engine, "data", json.dumps({"a": [{"b": GONE_SOON}]}))
    taken = [
        STAYS,
        "https://tmp.example.net/",
        "https://nottmp.example.net/a",
        "https://example.com/media.example.com/renders/",
    ]
    assert [each for each in taken if not _takes(engine, "video_url", each)] == []
    assert _takes(engine, "data", json.dumps({"a": STAYS}))
    remove_guard(source)
    assert installed_guards(source) == []
    assert _takes(engine, "video_url", GONE_SOON)


def test_rules_stand_in_the_file_for_all_sources_or_for_one_and_those_of_the_settings_are_added(
    tmp_path: Path,
) -> None:
    text = (
        f'deleting_hosts = ["{RULES[0]}"]\n'
        '[[source]]\nname = "a"\nurl = "sqlite:///a.db"\ndeleting_hosts = ["a.example.org"]\n'
        'preset = "kie_gallery"\n'
        '[[source]]\nname = "b"\nurl = "sqlite:///b.db"\n'
        '[[source.table]]\nname = "t"\n[[source.table.column]]\nname = "c"\n'
    )
    path = tmp_path / "legacy.toml"
    path.write_text(text)
    sources = load_sources(path, deleting_hosts=(RULES[1],))
    assert sources["a"].deleting_hosts == ("a.example.org", *RULES)
    assert {table.deleting_hosts for table in sources["b"].tables} == {tuple(RULES)}
    assert parse_sources(source_toml(sources["b"]))["b"] == sources["b"]
    for wrong in ('deleting_hosts = ["https://a"]\n', 'deleting_hosts = "a.example.org"\n'):
        with pytest.raises(ConfigurationInvalid, match="deleting_hosts"):
            parse_sources(wrong + text.partition("\n")[2])
    with pytest.raises(ConfigurationInvalid, match="VIDEO_ASSETS_DELETING_HOSTS"):
        load_sources(path, deleting_hosts=("https://a",))


# --- links that were cut off ---


def test_a_link_cut_off_by_its_column_is_marked_not_kept_and_counted_apart(url: str, tmp_path: Path) -> None:
    whole = signed("long/path/1.mp4", NOW + timedelta(hours=5))
    other = signed("long/path/2.mp4", NOW + timedelta(hours=5))
    rows = [(1, whole[:200]), (2, whole), (3, other[:255]), (4, STAYS)]
    fill(url, "clips", [{"id": key, "video_url": link} for key, link in rows])
    catalog, source = catalog_in(tmp_path), clips(url, [])
    take_inventory(catalog, source)
    assert len(files(catalog)) == 2, "cut or not, one file is one file"
    assert sorted(bool(finding.context.get("truncated")) for finding in findings(catalog)) == [False, True, True]
    by_link = {file.temporary_url for file in files(catalog)}
    assert by_link == {whole, None}
    report = build_report(catalog, source)
    assert (report.buckets[Bucket.CUT_OFF], report.already_lost) == (1, 1)
    assert build_report(catalog, source, can_refresh=lambda _: True).buckets[Bucket.CUT_OFF] == 1


@pytest.fixture
def road(emulator: Emulator, tmp_path: Path) -> Iterator[Road]:
    opened = Road.open(emulator, tmp_path)
    yield opened
    opened.world.services.catalog.close()


def test_a_cut_off_link_is_never_fetched_and_comes_back_by_its_job(road: Road, emulator: Emulator) -> None:
    link, task = road.video("cut")
    card = road.card((link[: link.index("=") + 40], task))
    report = road.run()
    assert report.files == {"stored": 1}
    [file] = road.files()
    assert (file.state, file.refreshes) == (MediaState.STORED, 1)
    assert emulator.downloads(task) == 1
    assert road.urls(card)[0].startswith(road.world.settings.public_base_url)


def test_a_cut_off_link_without_a_job_is_lost_and_says_why(road: Road) -> None:
    link, _ = road.video("cut and alone")
    card = road.card((link[: link.index("=") + 40], ""))
    before = road.urls(card)
    assert road.run().files == {"lost": 1}
    [file] = road.files()
    assert "cut off" in (file.message or "")
    assert "names no job" in (file.message or "")
    assert road.urls(card) == before
