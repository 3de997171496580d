"""Folders: their media are stored, the documents in them are rewritten in place, and an undo brings them back."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.legacy.road import Road
from video_assets.emulator import Emulator
from video_assets.legacy.config.models import Source
from video_assets.legacy.errors import SourceError
from video_assets.legacy.process_batch import Mode
from video_assets.legacy.rewrite.folder_documents import inside
from video_assets.legacy.rewrite.undo import Selection, undo_rewrites


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "old"
    (made / "deep").mkdir(parents=True)
    return made


@pytest.fixture
def road(emulator: Emulator, tmp_path: Path, folder: Path) -> Iterator[Road]:
    opened = Road.open(emulator, tmp_path)
    opened.source = Source.model_validate(
        {
            "name": "old",
            "kind": "folder",
            "url": str(folder),
            "folder": {"media": ["**/*.mp4"], "documents": ["**/*.json", "**/*.html"]},
        }
    )
    yield opened
    opened.world.services.catalog.close()


def test_documents_are_rewritten_and_come_back_byte_for_byte(road: Road, folder: Path) -> None:
    url, _ = road.video("in two documents")
    document = json.dumps({"url": url, "title": "é"}).encode("utf-16")
    page = b'\xff not unicode <a href="' + url.replace("&", "&amp;").encode() + b'">here</a>\r\n'
    (folder / "a.json").write_bytes(document)
    (folder / "deep" / "b.html").write_bytes(page)
    (folder / "a.json").chmod(0o640)
    assert road.run().findings == {"rewritten": 2}
    new = json.loads((folder / "a.json").read_bytes().decode("utf-16"))
    assert new["url"].startswith(road.world.settings.public_base_url)
    assert new["title"] == "é"
    assert new["url"].encode() in (folder / "deep" / "b.html").read_bytes()
    assert (folder / "a.json").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in folder.rglob("*.*")) == ["a.json", "b.html"], "no scratch is left"
    road.assert_nothing_lost_or_doubled()
    report = undo_rewrites(road.world.services, road.source, Selection())
    assert (report.rows, report.refused) == (2, [])
    assert (folder / "a.json").read_bytes() == document
    assert (folder / "deep" / "b.html").read_bytes() == page


def test_a_document_that_is_edited_in_the_middle_keeps_the_edit(road: Road, folder: Path) -> None:
    url, _ = road.video("edited meanwhile")
    path = folder / "a.json"
    path.write_text(json.dumps({"url": url}))
    edits = iter([json.dumps({"url": url, "new": True})])

    def edit(step: str, _what: str) -> None:
        if step == "intended" and (new := next(edits, None)) is not None:
            path.write_text(new)

    assert road.run(rewrite_observer=edit).findings == {"rewritten": 1}
    assert json.loads(path.read_text())["new"] is True
    assert url not in path.read_text()


def test_a_file_system_that_cannot_flush_a_folder_does_not_hide_a_change(
    road: Road, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = road.video("flushed or not")
    path = folder / "a.json"
    path.write_text(json.dumps({"url": url}))
    before = path.read_bytes()
    fsync = os.fsync

    def of_files_only(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(handle)

    road.run(Mode.RESCUE)
    monkeypatch.setattr(os, "fsync", of_files_only)
    assert road.run().findings == {"rewritten": 1}
    assert undo_rewrites(road.world.services, road.source, Selection()).refused == []
    assert path.read_bytes() == before


def test_media_files_of_a_folder_are_stored_and_stay_where_they_are(road: Road, folder: Path) -> None:
    made = road.world.finished("a file on disk")
    road.world.rescue(made)
    content = b"".join(road.world.services.storage.read(road.world.media(made)[0].key))
    (folder / "deep" / "combined.mp4").write_bytes(content)
    assert road.run(Mode.RESCUE).findings == {"saved": 1}
    report = road.run()
    assert report.is_done
    assert report.findings == {"rewritten": 1}
    file = road.files()[0]
    assert b"".join(road.world.services.storage.read(file.key or "")) == content
    assert (folder / "deep" / "combined.mp4").read_bytes() == content


def test_a_dry_run_shows_the_documents_change(road: Road, folder: Path) -> None:
    url, _ = road.video("just a look")
    (folder / "a.json").write_text(json.dumps({"url": url}))
    shown: list[str] = []
    assert road.run(Mode.DRY_RUN, on_diff=shown.append).diffs == 1
    assert '(documents) ["a.json"] content' in shown[0]
    assert url in (folder / "a.json").read_text()


def test_a_name_cannot_lead_out_of_the_folder(folder: Path) -> None:
    assert inside(folder, "deep/x.json") == (folder / "deep" / "x.json").resolve()
    with pytest.raises(SourceError, match="not inside"):
        inside(folder, "../other.json")
