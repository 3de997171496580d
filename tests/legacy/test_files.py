"""The files of a legacy source: saved once each, resurrected by job id, or lost with everything that is known."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.legacy.road import Road
from video_assets.catalog import MediaState
from video_assets.catalog.legacy import FindingState, LegacyFile
from video_assets.emulator import Emulator
from video_assets.legacy.import_files import bring_your_own
from video_assets.legacy.process_batch import Mode, Progress, process_batch
from video_assets.legacy.rescue import files as files_module
from video_assets.reasons import Reason
from video_assets.services import Services
from video_assets.transfer.download.host_throttle import HostThrottle


@pytest.fixture
def road(emulator: Emulator, tmp_path: Path) -> Iterator[Road]:
    opened = Road.open(emulator, tmp_path)
    yield opened
    opened.world.services.catalog.close()


def test_a_batch_saves_its_files_and_rewrites_its_rows(road: Road) -> None:
    card = road.card(road.video("one"), road.video("two"))
    seen: list[Progress] = []
    report = road.run(on_progress=seen.append)
    assert report.is_done
    assert report.files == {"stored": 2}
    assert report.findings == {"rewritten": 2}
    assert seen[-1].done == seen[-1].total == 2
    base = road.world.settings.public_base_url
    assert [url.startswith(f"{base}/legacy/old/") for url in road.urls(card)] == [True, True]
    assert all(file.temporary_url is None and file.proof for file in road.files())
    road.assert_nothing_lost_or_doubled()
    assert road.run().files == {}, "nothing is left to do"


def test_one_file_behind_many_rows_and_signatures_is_downloaded_once(road: Road, emulator: Emulator) -> None:
    url, task = road.video("shared")
    cards = [road.card((url, task)) for _ in range(5)]
    report = road.run()
    assert report.files == {"stored": 1}
    assert report.findings == {"rewritten": 5}
    assert emulator.downloads(task) == 1
    assert len({road.urls(card)[0] for card in cards}) == 1


def test_findings_of_a_file_with_very_many_rows_are_settled_in_portions(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "FINDINGS_AT_ONCE", 3)
    video = road.video("everywhere")
    for _ in range(10):
        road.card(video)
    assert road.run(Mode.RESCUE).findings == {"saved": 10}


@pytest.mark.parametrize("provider", ["runway", "luma"])
def test_a_dead_link_is_resurrected_by_its_job(road: Road, provider: str) -> None:
    card = road.card(road.video("late [emulator: dead_links=1]", provider=provider), provider=provider)
    report = road.run()
    assert report.files == {"stored": 1}
    assert road.files()[0].refreshes == 1
    assert road.urls(card)[0].startswith(road.world.settings.public_base_url)


def test_of_a_job_with_several_videos_each_place_gets_its_own(road: Road) -> None:
    key = road.world.finished("two takes [emulator: versions=2, dead_links=1]")
    links = [(output.temporary_url or "", road.world.task(key)) for output in road.world.outputs(key)]
    assert len(links) == 2
    card = road.card(*links)
    assert road.run().files == {"stored": 2}
    assert len({file.sha256 for file in road.files()}) == 2
    assert len(set(road.urls(card))) == 2


def test_what_cannot_be_saved_is_lost_with_evidence_prompt_and_row(road: Road) -> None:
    card = road.card(road.video("gone [emulator: dead_links=99, refresh=gone]"), prompt="a red fox")
    before = road.urls(card)
    report = road.run()
    assert report.is_done
    assert report.files == {"lost": 1}
    assert report.reasons == {str(Reason.SOURCE_EXPIRED): 1}
    file, finding = road.files()[0], road.findings()[0]
    assert file.state == MediaState.LOST
    assert file.evidence["status"] == 401
    assert file.evidence["when"]
    assert "no longer knows" in file.evidence["refresh"]
    assert file.lost_at is not None
    assert finding.state == FindingState.LOST
    assert finding.reason == str(Reason.SOURCE_EXPIRED)
    assert finding.context["prompt"] == "a red fox"
    assert road.urls(card) == before, "a row is only rewritten for a file that is safe"


def test_one_answer_that_its_job_is_unknown_loses_no_file(emulator: Emulator, tmp_path: Path) -> None:
    road = Road.open(emulator, tmp_path, unknown_job_patience=timedelta(hours=1))
    url, task = road.video("mislaid [emulator: dead_links=2]")
    road.card((url, task))
    emulator.job(task).deleted = True
    assert road.run(patience=timedelta()).files == {"waiting": 1}
    file = road.files()[0]
    assert file.evidence["unknown_to_provider"]["answers"] == 1
    assert "key that of their account" in (file.message or "")
    emulator.job(task).deleted = False
    road.world.edit(lambda session: setattr(session.get_one(LegacyFile, file.id), "next_attempt_at", None))
    road.run()
    assert road.files()[0].state == MediaState.STORED
    assert "unknown_to_provider" not in road.files()[0].evidence
    road.world.services.catalog.close()


def test_a_link_without_a_job_is_lost_when_it_is_dead(road: Road) -> None:
    url, _ = road.video("nobody knows [emulator: dead_links=99]")
    road.card((url, ""))
    road.run()
    assert "names no job" in (road.files()[0].message or "")


def test_an_unknown_provider_says_so(road: Road) -> None:
    road.card(road.video("whose [emulator: dead_links=99]"), provider="acme")
    road.run()
    assert "No provider called 'acme'" in (road.files()[0].message or "")


def test_a_provider_that_cannot_be_asked_now_is_asked_again_later(road: Road) -> None:
    road.card(road.video("patience [emulator: dead_links=99]"))
    no_key = road.world.settings.model_copy(update={"runway_api_key": None})
    old = road.world.services
    services = Services(no_key, old.catalog, old.storage, old.downloader)
    report = process_batch(services, road.source, road.take()[0], mode=Mode.APPLY, patience=timedelta())
    assert report.files == {"waiting": 1}
    assert not report.is_done
    assert road.files()[0].next_attempt_at is not None


def test_a_failing_file_does_not_touch_the_others(road: Road) -> None:
    road.card(road.video("fine"), road.video("bad [emulator: wrong_type_first=9]"))
    report = road.run(patience=timedelta())
    assert report.files == {"stored": 1, "waiting": 1}
    assert report.findings == {"rewritten": 1, "pending": 1}
    assert report.reasons == {"bad_content": 1}


def test_a_dry_run_shows_the_change_and_touches_nothing(road: Road, emulator: Emulator) -> None:
    url, task = road.video("look only")
    road.card((url, task))
    before = road.path.read_bytes()
    shown: list[str] = []
    report = road.run(Mode.DRY_RUN, on_diff=shown.append)
    assert report.diffs == len(shown) == 1
    assert shown[0].splitlines()[0] == "--- a/cards [1] snapshot"
    assert f"{road.world.settings.public_base_url}/legacy/old/" in shown[0]
    for secret in emulator.issued_secrets():
        assert secret not in shown[0]
    assert emulator.downloads(task) == 0
    assert road.path.read_bytes() == before
    assert report.findings == {"pending": 1}
    road.run()
    assert f'+"url": "{road.urls(1)[0]}"' in shown[0], "the very URL was foretold"
    changes = [line for line in shown[0].splitlines()[2:] if line.startswith(("+", "-"))]
    assert len(changes) == 2, "the rest of the document is no change"


def test_a_rescue_leaves_the_rows_alone(road: Road) -> None:
    card = road.card(road.video("only the file"))
    before = road.urls(card)
    assert road.run(Mode.RESCUE).findings == {"saved": 1}
    assert road.urls(card) == before
    assert road.run(Mode.APPLY).findings == {"rewritten": 1}


def test_two_runs_at_once_share_the_work_and_the_limits_of_a_host(emulator: Emulator, tmp_path: Path) -> None:
    road = Road.open(emulator, tmp_path, per_host_concurrency=2, lease_seconds=30.0)
    videos = [road.video(f"video {number} [emulator: bytes_per_second=200000]") for number in range(6)]
    for video in videos:
        road.card(video)
    key = road.take()[0]
    start = threading.Barrier(2)

    def work() -> Any:
        other = Services(
            road.world.settings,
            road.world.services.catalog,
            road.world.services.storage,
            type(road.world.services.downloader)(road.world.services.downloader.policy, gate=HostThrottle()),
        )
        start.wait()
        return process_batch(other, road.source, key, mode=Mode.APPLY)

    with ThreadPoolExecutor(2) as pool:
        reports = [future.result() for future in [pool.submit(work) for _ in range(2)]]
    assert sum(report.files["stored"] for report in reports) == 6
    assert [emulator.downloads(task) for _, task in videos] == [1] * 6
    assert sum(report.rewrite.rows for report in reports if report.rewrite) == 6
    road.assert_nothing_lost_or_doubled()
    road.world.services.catalog.close()


def test_what_was_lost_can_be_brought_by_its_owner(road: Road, tmp_path: Path) -> None:
    gone = road.card(road.video("mine [emulator: dead_links=99, refresh=gone]"))
    kept = road.card(road.video("template for the file"))
    road.run()
    stored, lost = sorted(road.files(), key=lambda file: file.state != MediaState.STORED)
    name = (lost.redacted or "").partition("?")[0].rpartition("/")[2]
    folder = tmp_path / "mine"
    (folder / "deep").mkdir(parents=True)
    original = tmp_path / "original.mp4"
    original.write_bytes(b"".join(road.world.services.storage.read(stored.key or "")))
    shutil.copy(original, folder / "deep" / name)
    (folder / "unrelated.txt").write_text("hello")
    looked = bring_your_own(road.world.services, "old", folder, dry_run=True)
    assert [(match.by, match.file_id) for match in looked.matched] == [("name", lost.id)]
    assert looked.unmatched == ["unrelated.txt"]
    report = bring_your_own(road.world.services, "old", folder)
    assert (report.saved, report.failed) == (1, {})
    file = next(file for file in road.files() if file.id == lost.id)
    assert file.state == MediaState.STORED
    assert file.evidence["status"] == 401, "how it was lost stays known"
    assert file.evidence["brought"]["matched_by"] == "name"
    assert road.run().findings["rewritten"] == 2
    assert road.urls(gone)[0] == file.file_url
    assert road.urls(kept)[0] == stored.file_url
    road.assert_nothing_lost_or_doubled()


def test_a_broken_file_that_is_brought_stays_lost(road: Road, tmp_path: Path) -> None:
    road.card(road.video("mine [emulator: dead_links=99, refresh=gone]"))
    road.run()
    lost = road.files()[0]
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / (lost.redacted or "").partition("?")[0].rpartition("/")[2]).write_bytes(b"<html>not a video")
    report = bring_your_own(road.world.services, "old", folder)
    assert report.saved == 0
    assert list(report.failed) == [lost.id]
    with road.world.services.catalog.read() as session:
        file = session.get_one(LegacyFile, lost.id)
    assert file.state == MediaState.LOST
    assert file.evidence["status"] == 401


def test_blobs_are_stored_by_streaming_and_their_url_is_filled_in(road: Road) -> None:
    stored = road.world.finished("a blob")
    road.world.rescue(stored)
    content = b"".join(road.world.services.storage.read(road.world.media(stored)[0].key))
    road.sql("CREATE TABLE generated (id TEXT PRIMARY KEY, video_data BLOB, video_url TEXT)")
    road.sql("INSERT INTO generated VALUES ('a', :b, NULL), ('b', :c, NULL)", b=content, c=b"not a video")
    table = {"name": "generated", "columns": [{"name": "video_data", "type": "blob", "url_column": "video_url"}]}
    road.source = type(road.source).model_validate({"name": "old", "url": road.source.url, "table": [table]})
    report = road.run(patience=timedelta())
    assert report.files == {"stored": 1, "waiting": 1}
    rows = road.sql("SELECT id, video_data, video_url FROM generated ORDER BY id")
    assert rows[0][1] == content, "the bytes stay unless the configuration says otherwise"
    assert rows[0][2].startswith(road.world.settings.public_base_url)
    assert rows[1] == ("b", b"not a video", None)


def test_no_secret_of_a_link_reaches_the_catalog_in_the_clear(road: Road, emulator: Emulator) -> None:
    road.card(road.video("fine"), road.video("gone [emulator: dead_links=99, refresh=gone]"))
    road.card(road.video("bad [emulator: wrong_type_first=9]"))
    road.run(patience=timedelta())
    home = road.world.settings.home
    everything = b"".join(file.read_bytes() for file in home.glob("catalog.db*"))
    for secret in emulator.issued_secrets():
        assert secret.encode() not in everything


def test_a_file_in_rows_of_several_owners_is_stored_once_and_each_finding_knows_its_owner(
    road: Road,
) -> None:
    video = road.video("shared by two owners")
    cards = [road.card(video, prompt="ann's"), road.card(video, prompt="bob's")]
    [table] = road.source.tables
    road.source = road.source.model_copy(update={"tables": (table.model_copy(update={"owner_at": "prompt"}),)})
    road.run(Mode.RESCUE)
    [file] = road.files()
    assert file.key == f"legacy/old/{file.id}.mp4"
    owners = {finding.row_key: finding.context["owner"] for finding in road.findings()}
    assert owners == {f"[{cards[0]}]": "ann's", f"[{cards[1]}]": "bob's"}
