"""``video-assets legacy discover | inventory | report | example``, as a person types them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from video_assets.legacy.config.load import load_sources

PROGRAM = "import sys; from video_assets.cli import main; sys.exit(main())"


def command(
    folder: Path, *arguments: str, expect: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line in ``folder`` with an installation of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VIDEO_ASSETS_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "legacy", *arguments],
        cwd=folder,
        env={**clean, **environment, "VIDEO_ASSETS_HOME": str(folder / "home"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def test_from_an_example_to_a_report(tmp_path: Path) -> None:
    said = command(tmp_path, "example", "generated_cards", "--rows", "60").stdout
    assert "60 rows in generated_cards.db" in said
    taken: list[dict[str, Any]] = json.loads(command(tmp_path, "inventory", "--json").stdout)
    assert (taken[0]["source"], taken[0]["complete"], taken[0]["rows"]) == ("generated-cards", True, 60)
    report = command(tmp_path, "report", "--sample", "0", "--html", "r.html", "--csv", "r.csv")
    assert "dnznrvs05pmza.cloudfront.net" in report.stdout
    assert "_jwt" not in report.stdout + report.stderr
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert (
        (tmp_path / "r.csv").read_text().startswith("host,files,places,dead,hour,day,week,later,unknown,local,")
    )
    [document] = json.loads(command(tmp_path, "report", "--sample", "0", "--json").stdout)
    assert document["files"] == taken[0]["new_files"]


def test_discover_writes_a_configuration_once(tmp_path: Path) -> None:
    command(tmp_path, "example", "heygen_content", "--rows", "40", "--config", "other.toml")
    command(tmp_path, "discover", "sqlite:///heygen_content.db", "--write", "legacy.toml", "--name", "found")
    assert load_sources(tmp_path / "legacy.toml")["found"].table("content").columns[0].name == "content_data"
    again = command(tmp_path, "discover", "sqlite:///heygen_content.db", "--write", "legacy.toml", expect=2)
    assert "legacy.toml exists already" in again.stderr
    found = json.loads(command(tmp_path, "discover", "sqlite:///heygen_content.db", "--json").stdout)
    assert found["places"][0]["path"] == "/videoUrl"
    inventory = command(tmp_path, "inventory", "found")
    assert "complete" in inventory.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("discover", "sqlite:///missing.db"), 3, "there is no file missing.db"),
        (("discover", "postgresql://bob:hunter2@127.0.0.1:1/x"), 3, "cannot be used"),
        (("discover", "nonsense"), 3, "a database is given as a URL"),
        (("discover", "env:NOWHERE_SET"), 2, "NOWHERE_SET, which is not set"),
        (("inventory",), 2, "legacy discover"),
        (("example", "nonsense"), 2, "known are generated_cards"),
        (("report", "a", "--config", "none.toml"), 2, "there is no none.toml"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = command(tmp_path, *arguments, expect=code)
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_a_database_without_anything_temporary_is_a_negative_answer(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "clean.db") as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, url TEXT)")
        connection.execute("INSERT INTO t VALUES (1, 'https://cdn.example.com/a.mp4')")
    done = command(tmp_path, "discover", "sqlite:///clean.db", expect=1)
    assert "No temporary URL and no file was found." in done.stderr
