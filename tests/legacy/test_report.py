"""The at-risk report: right counts, honest estimates, four forms, no secret in any of them."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import col, update

from tests.legacy.making import NOW, catalog_in, database_url, fill, run, signed, source_of
from video_assets.catalog import Catalog, MediaState
from video_assets.catalog.legacy import FindingState, LegacyFile, LegacyFinding
from video_assets.cli.output import to_json
from video_assets.emulator import Emulator
from video_assets.legacy.config.models import Rates, Source
from video_assets.legacy.config.presets import PRESETS
from video_assets.legacy.examples.create import create_example
from video_assets.legacy.inventory.take import take_inventory
from video_assets.legacy.report.at_risk import Bucket, build_report, storage_cost
from video_assets.legacy.report.formats import advice_sentences, report_csv, report_document
from video_assets.legacy.report.html import report_html
from video_assets.transfer.download.downloader import Downloader, DownloadPolicy
from video_assets.transfer.download.host_throttle import HostThrottle

LIVES = {
    "dead": timedelta(days=-3),
    "dead-refreshable": timedelta(hours=-2),
    "hour": timedelta(minutes=30),
    "day": timedelta(hours=10),
    "week": timedelta(days=3),
}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return catalog_in(tmp_path)


@pytest.fixture
def source(request: pytest.FixtureRequest, tmp_path: Path, catalog: Catalog) -> Source:
    """Seven files on two hosts, one of them behind two rows; the inventory is taken."""
    url = database_url(request, "sqlite", tmp_path)
    run(url, "CREATE TABLE t (id INTEGER PRIMARY KEY, url TEXT, task TEXT, data BLOB)")
    rows = [
        {"id": n, "url": signed(f"{name}.mp4", NOW + life, salt=n), "task": "x" if "ref" in name else None}
        for n, (name, life) in enumerate(LIVES.items())
    ]
    rows.append({"id": 10, "url": signed("week.mp4", NOW + LIVES["week"], salt=77), "task": None})
    rows.append({"id": 11, "url": "https://tempfile.redpandaai.co/kieai/a.mp4", "task": None})
    fill(url, "t", [{**row, "data": b"\0" * 900 if row["id"] == 10 else None} for row in rows])
    source = source_of(
        url,
        {
            "name": "t",
            "column": [{"name": "url"}, {"name": "data", "type": "blob"}],
            "job": [{"provider": "runway", "id_at": "task"}],
        },
    )
    take_inventory(catalog, source)
    return source


def test_files_are_counted_once_by_the_time_they_have_left(catalog: Catalog, source: Source) -> None:
    report = build_report(catalog, source, can_refresh=lambda name: name == "runway", now=NOW)
    assert report.buckets == {
        "dead": 2, "hour": 1, "day": 1, "week": 1, "later": 0, "unknown": 1, "cut_off": 0, "local": 1,
    }  # fmt: skip
    assert (report.files, report.places) == (7, 8)
    assert (report.refreshable, report.already_lost) == (1, 1)
    assert report.tables == {"t.url": 7, "t.data": 1}
    urgent = report.hosts[0]
    assert (urgent.host, urgent.first_deadline_at) == ("clips.s3.amazonaws.com", NOW + LIVES["hour"])


def test_without_a_key_of_the_provider_nothing_is_refreshable(catalog: Catalog, source: Source) -> None:
    report = build_report(catalog, source, now=NOW)
    assert (report.refreshable, report.already_lost) == (0, 2)


def test_what_is_settled_is_not_at_risk_any_more(catalog: Catalog, source: Source) -> None:
    with catalog.write() as session:
        stored = update(LegacyFile).where(col(LegacyFile.redacted).contains("week.mp4"))
        session.execute(stored.values(state=MediaState.STORED.value))
        lost = update(LegacyFile).where(col(LegacyFile.redacted).contains("/dead.mp4"))
        session.execute(lost.values(state=MediaState.LOST.value))
        session.execute(
            update(LegacyFinding)
            .where(col(LegacyFinding.row_key) == "[2]")
            .values(state=FindingState.EXCEPTED.value)
        )
    report = build_report(catalog, source, now=NOW)
    assert (report.saved, report.lost, report.excepted) == (1, 1, 1)
    assert report.buckets["week"] == 0
    assert report.buckets["hour"] == 0  # it is left alone on purpose
    assert report.already_lost == 2  # the one that was tried, and the dead one nobody refreshes


def test_the_cost_is_the_seeds_own_example() -> None:
    assert storage_cost(50 * 30e6, Rates()) == pytest.approx(0.0315)


def test_sizes_are_measured_by_asking_for_one_byte(tmp_path: Path, catalog: Catalog, emulator: Emulator) -> None:
    example = create_example(PRESETS["kie_gallery"], tmp_path / "kie.db", rows=60, emulator=emulator)
    take_inventory(catalog, example.source)
    before = emulator.jobs()
    downloads = {job.id: emulator.downloads(job.id) for job in before}
    with Downloader(DownloadPolicy(allowed_hosts=(emulator.host,)), gate=HostThrottle()) as downloader:
        report = build_report(catalog, example.source, downloader=downloader, sample=4)
    [host] = [host for host in report.hosts if host.host == emulator.host]
    assert (host.sampled, host.sampled_alive) == (4, 4)  # links that should work are asked first
    asked = [job for job in before if emulator.downloads(job.id) > downloads[job.id]]
    sizes = [asset.content.result().size for job in asked for asset in job.assets]
    assert host.mean_bytes is not None
    assert min(sizes) <= host.mean_bytes <= max(sizes)
    assert emulator.media_requests_with_key == 0


def test_a_backlog_that_is_too_large_says_what_will_be_lost_and_which_limit_saves_it(
    catalog: Catalog, source: Source
) -> None:
    slow = source.model_copy(
        update={"rates": Rates(connections=1, connections_per_host=1, seconds_per_file=4000)}
    )
    report = build_report(catalog, slow, now=NOW)
    assert report.forecast is not None
    assert report.forecast.lost >= 1
    sentences = advice_sentences(report)
    assert "will die before their turn" in sentences[0]
    assert re.search(r"Raise \w+", sentences[1])


def test_every_form_tells_the_same_and_holds_no_secret(catalog: Catalog, source: Source) -> None:
    report = build_report(catalog, source, now=NOW)
    document = json.loads(to_json(report_document(report)))
    assert document["files"] == 7
    assert set(document["deadlines"]) == {str(bucket) for bucket in Bucket}
    lines = list(csv.DictReader(io.StringIO(report_csv(report))))
    assert sum(int(line["files"]) for line in lines) == 7
    assert {line["host"] for line in lines} == {host["host"] for host in document["hosts"]}
    page = report_html(report)
    for form in (to_json(document), report_csv(report), page):
        assert "X-Amz-Signature" not in form
        assert f"{2:064x}" not in form
    assert page.count("<svg") == 2
    assert "<script" not in page
    assert not re.search(r"(?:src|href)=", page), "the page loads something"
    assert "prefers-color-scheme" in page


def test_host_names_from_a_database_cannot_become_markup_or_a_formula(
    request: pytest.FixtureRequest, tmp_path: Path, catalog: Catalog
) -> None:
    url = database_url(request, "sqlite", tmp_path)
    run(url, "CREATE TABLE t (id INTEGER PRIMARY KEY, url TEXT)")
    fill(url, "t", [{"id": 1, "url": "https://x.example.com/a.mp4"}])
    source = source_of(url, {"name": "t", "column": [{"name": "url"}]})
    report = build_report(catalog, source, now=NOW)
    from video_assets.legacy.report.at_risk import HostRisk

    report.hosts = [HostRisk("=<b>evil</b>", files=1)]
    assert "<b>evil" not in report_html(report)
    assert report_csv(report).splitlines()[1].startswith("'=")
