"""Proofs on the disk: whole or not at all; drafts of dead writers are removed, those of living ones are not."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from video_assets.legacy.proof.write import sweep_drafts, write_document, write_proof

DIES_WHILE_IT_WRITES = """
import os, signal, sys
from video_assets.cli.app import run
from video_assets.legacy.proof import write as proof_files
write = proof_files.write_document
def write_document(path, document):
    os.fsync = lambda handle: (os.ftruncate(handle, 100), os.kill(os.getpid(), signal.SIGKILL))
    write(path, document)
proof_files.write_document = write_document
run(["proof", "--html", sys.argv[1]])
"""


def test_a_command_killed_while_it_writes_a_proof_leaves_a_draft_which_the_next_removes(tmp_path: Path) -> None:
    home = tmp_path / "home"
    environment = {**os.environ, "VIDEO_ASSETS_HOME": str(home)}
    command = [sys.executable, "-c", DIES_WHILE_IT_WRITES, str(tmp_path / "proof.html")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    [draft] = (home / "proofs").iterdir()
    assert draft.stat().st_size == 100
    assert not (tmp_path / "proof.html").exists()
    path = write_proof(home, "later", {"format": "any"})
    assert list(path.parent.iterdir()) == [path]


def test_the_draft_of_a_living_writer_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swept = []
    monkeypatch.setattr(os, "fsync", lambda _handle: swept.append(sweep_drafts(tmp_path)))
    write_document(tmp_path / "proof.json", {"whole": True})
    assert swept == [0]
    assert [path.name for path in tmp_path.iterdir()] == ["proof.json"]


def test_a_draft_that_is_swept_before_its_writer_has_locked_it_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, swept = fcntl.flock, []

    def late(handle: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        swept.append(sweep_drafts(tmp_path))
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    write_document(tmp_path / "proof.json", {"whole": True})
    assert swept == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["proof.json"]


def test_only_drafts_are_removed_and_elsewhere_only_those_of_the_same_document(tmp_path: Path) -> None:
    mine = ["a.json.backup", "a.json.0123456789AB", "b.json.0123456789ab", "a.txt.0123456789ab"]
    for name in [*mine, "a.json.0123456789ab"]:
        (tmp_path / name).write_text("{}")
    write_document(tmp_path / "a.json", {"new": True})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*mine, "a.json"])
    assert json.loads((tmp_path / "a.json").read_text()) == {"new": True}


def test_a_document_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken.json").mkdir()
    with pytest.raises(IsADirectoryError):
        write_document(tmp_path / "taken.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["taken.json"]
