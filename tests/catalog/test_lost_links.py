"""The links of lost files, on both databases: kept for a while, erased in portions, used or given up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlmodel import select

from video_assets.catalog import Catalog, MediaState, lost_links
from video_assets.catalog.legacy import FindingState, LegacyFile, LegacyFinding
from video_assets.catalog.lost_links import erase_lost_links
from video_assets.catalog.models import utc_now
from video_assets.legacy.inventory.record import settle_finding_states
from video_assets.legacy.rescue import lost
from video_assets.legacy.rescue.lost import again_lost, give_up, open_findings

NOW = utc_now()


def _file(number: int, **more: object) -> LegacyFile:
    values = {"state": MediaState.LOST, "temporary_url": "https://a.example/?sig=1", "lost_at": NOW, **more}
    return LegacyFile(id=f"f{number:03}", source="s", fingerprint=str(number), **values)


def _fill(catalog: Catalog, *files: LegacyFile, places: int = 1) -> None:
    with catalog.write() as session:
        for file in files:
            for place in range(places):
                finding = LegacyFinding(
                    id=f"{file.id}.{place}", source="s", table_name="t", row_key="[1]", column_name="c",
                    file_id=file.id, url_digest="d", redacted="r", state=FindingState.LOST,
                )  # fmt: skip
                session.add(finding)
            session.add(file)


def _states(catalog: Catalog) -> tuple[set[str], set[str]]:
    with catalog.read() as session:
        files = {str(state) for state in session.exec(select(LegacyFile.state))}
        return files, {str(state) for state in session.exec(select(LegacyFinding.state))}


def test_links_are_erased_in_portions_when_their_time_has_come(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_links, "AT_ONCE", 2)
    old = NOW - timedelta(days=40)
    _fill(
        catalog,
        *(_file(number, lost_at=old, deadline_at=old) for number in range(5)),
        _file(5, lost_at=old, deadline_at=NOW),
        _file(6),
        _file(7, lost_at=old, state=MediaState.PENDING),
    )
    assert erase_lost_links(catalog, kept_for=timedelta(days=30)) == 5
    with catalog.read() as session:
        kept = session.exec(select(LegacyFile.id).where(LegacyFile.temporary_url.is_not(None))).all()  # type: ignore[union-attr]
    assert sorted(kept) == ["f005", "f006", "f007"]


def test_lost_files_become_work_again_in_portions_and_what_has_nothing_left_stays(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost, "FILES_AT_ONCE", 2)
    monkeypatch.setattr(lost, "FINDINGS_AT_ONCE", 3)
    _fill(catalog, *(_file(number) for number in range(5)), places=4)
    _fill(catalog, _file(8, temporary_url=None), _file(9, temporary_url=None, provider="runway", task_id="t"))
    report = again_lost(catalog, "s")
    assert (report.files, report.without_means) == (6, 1)
    assert open_findings(catalog, "s") == {"pending": 21, "lost": 1}
    assert _states(catalog) == ({"pending", "lost"}, {"pending", "lost"})
    assert give_up(catalog, "s", lost=True) == 1
    assert open_findings(catalog, "s") == {"pending": 21, "given_up": 1}


def test_an_inventory_finishes_what_a_kill_between_findings_and_file_left(catalog: Catalog) -> None:
    _fill(catalog, _file(1, state=MediaState.PENDING, lost_at=None), _file(2))
    with catalog.write() as session:
        settle_finding_states(session, "s")
    assert open_findings(catalog, "s") == {"pending": 1, "lost": 1}
