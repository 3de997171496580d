"""Discovery on real databases: every place with its counts, and a configuration that finds the same."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.legacy.making import DIALECTS, NOW, catalog_in, database_url, fill, make_cards, plain, run, signed
from video_assets.legacy.config.load import parse_sources
from video_assets.legacy.config.presets import PRESETS
from video_assets.legacy.discover.discover import Discovery, Place, discover
from video_assets.legacy.discover.propose import propose, propose_folder
from video_assets.legacy.errors import ConfigurationInvalid, SourceUnavailable
from video_assets.legacy.examples.create import create_example
from video_assets.legacy.inventory.take import take_inventory
from video_assets.legacy.search.folders import discover_folder


@pytest.fixture(params=DIALECTS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return database_url(request, request.param, tmp_path)


def place(found: Discovery, column: str) -> Place:
    [one] = [place for place in found.places if place.column == column]
    return one


def test_places_are_named_and_counted_by_what_is_alive_dying_and_dead(url: str) -> None:
    lives = [timedelta(days=3), timedelta(hours=3), timedelta(hours=-3)]
    make_cards(url, 90, dies=lambda n: NOW + lives[n // 10 % 3])
    found = discover(url, now=NOW)
    snapshot = place(found, "snapshot")
    assert (snapshot.table, snapshot.pointer) == ("cards", "/versions/*/url")
    assert (snapshot.host, snapshot.scheme) == ("clips.s3.amazonaws.com", "aws_sigv4")
    assert (snapshot.count, snapshot.alive, snapshot.dying, snapshot.dead) == (9, 3, 3, 3)
    assert (snapshot.first_deadline, snapshot.last_deadline) == (NOW + lives[2], NOW + lives[0])
    assert snapshot.oldest is not None
    assert snapshot.oldest.isoformat() == "2026-11-01T10:00:00+00:00"
    assert place(found, "thumbnail").count == 4
    assert found.table("cards").is_exact


def test_a_sample_reads_the_oldest_the_newest_and_some_between_and_estimates_the_rest(url: str) -> None:
    make_cards(url, 900)
    found = discover(url, sample=90, now=NOW)
    look = found.table("cards")
    assert (look.rows, look.rows_read, look.is_exact) == (900, 90, False)
    estimate = found.estimate(place(found, "snapshot"))
    assert estimate == pytest.approx(90, abs=30)
    exact = discover(url, sample=90, exact=True, now=NOW)
    assert exact.table("cards").is_exact
    assert place(exact, "snapshot").count == 90


def test_views_empty_tables_and_tables_without_text_do_not_disturb(url: str) -> None:
    make_cards(url, 20)
    run(
        url,
        "CREATE VIEW seen AS SELECT id, thumbnail FROM cards",
        "CREATE TABLE numbers (id INTEGER PRIMARY KEY, value INTEGER)",
        "CREATE TABLE empty (id INTEGER PRIMARY KEY, url TEXT)",
    )
    found = discover(url, now=NOW)
    assert {look.name for look in found.tables} == {"cards", "seen", "numbers", "empty"}
    assert {(p.table, p.column) for p in found.places} == {
        ("cards", "snapshot"), ("cards", "thumbnail"), ("seen", "thumbnail"),
    }  # fmt: skip
    assert [look.problem for look in found.tables] == [None] * 4


def test_bytes_in_a_column_are_told_by_their_first_bytes(url: str) -> None:
    kind = {"sqlite": "BLOB", "postgresql": "BYTEA", "mysql": "LONGBLOB"}[sa.make_url(url).get_backend_name()]
    run(url, f"CREATE TABLE films (id INTEGER PRIMARY KEY, data {kind}, video_url TEXT)")
    mp4 = b"\0\0\0\x18ftypisom" + b"\0" * 500
    fill(url, "films", [{"id": n, "data": data} for n, data in enumerate([mp4, mp4, b"hello", None, b""])])
    [blob] = discover(url, now=NOW).blobs
    assert (blob.count, blob.bytes, blob.types) == (3, 2 * len(mp4) + 5, {"video/mp4": 2, "unknown": 1})


def test_the_proposed_configuration_finds_what_discovery_found(url: str, tmp_path: Path) -> None:
    make_cards(url, 60)
    found = discover(url, now=NOW)
    text = propose(found, name="mine", url=url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEGACY_DATABASE_URL", url)
        report = take_inventory(catalog_in(tmp_path), parse_sources(text)["mine"])
    assert report.findings == found.urls == 9
    assert report.problems == []
    assert "# /versions/*/url: 6 from clips.s3.amazonaws.com" in text


def test_the_proposed_configuration_holds_no_password_and_no_url_of_a_file() -> None:
    found = Discovery("postgresql://app:***@db/app", "postgresql", now=NOW)
    with pytest.raises(ValueError, match="nothing temporary was found"):
        propose(found, name="mine", url="postgresql://app:hunter2@db/app")


@pytest.mark.parametrize("name", PRESETS)
def test_discovery_needs_no_preset(name: str, tmp_path: Path) -> None:
    example = create_example(PRESETS[name], tmp_path / "a.db", rows=80)
    url = example.source.url
    text = propose(discover(url, exact=True), name="found", url=url)
    catalog = catalog_in(tmp_path)
    by_preset = take_inventory(catalog, example.source)
    by_discovery = take_inventory(catalog, parse_sources(text)["found"])
    assert by_discovery.findings == by_preset.findings


def test_folders_are_looked_through_for_media_and_for_documents(tmp_path: Path) -> None:
    root = tmp_path / "videos"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "combined.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    (root / "a" / "b" / "list.json").write_text(json.dumps([{"u": signed("a.mp4", NOW)}, {"u": plain("b")}]))
    (root / "page.html").write_text(f'<video src="{signed("c.mp4", NOW).replace("&", "&amp;")}">')
    look = discover_folder(root, now=NOW)
    assert (look.media_files, look.media_types) == (1, {"video/mp4": 1})
    assert {(p.table, p.pointer, p.count) for p in look.places} == {("*.json", "/*/u", 1), ("*.html", "", 1)}
    source = parse_sources(propose_folder(look, name="films"))["films"]
    assert take_inventory(catalog_in(tmp_path), source).findings == 3
    with pytest.raises(SourceUnavailable, match="there is no folder"):
        discover_folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("address", "error", "says"),
    [
        ("not a url", ConfigurationInvalid, "not a SQLAlchemy URL"),
        ("oracle://x/y", ConfigurationInvalid, "cannot be read"),
        ("sqlite://", ConfigurationInvalid, "is a file"),
        ("sqlite:////nowhere/at/all.db", SourceUnavailable, "there is no file"),
    ],
)
def test_addresses_that_lead_nowhere(address: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        discover(address)
