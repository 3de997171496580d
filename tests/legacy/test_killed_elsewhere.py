"""SIGKILL while batches are cut, SQL is emitted or a proof is made: the next run finishes, nothing is left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import select

from tests.legacy.bench import Bench
from tests.legacy.killed_elsewhere import SIZE
from tests.legacy.making import cards, database_url, make_cards
from video_assets.catalog.legacy import LegacyBatch
from video_assets.legacy.inventory.batches import plan_batches
from video_assets.legacy.inventory.take import take_inventory
from video_assets.legacy.proof.prove import verify

ROOT = Path(__file__).parents[2]
FINDINGS = 34


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A source with 34 temporary URLs in 23 rows, its inventory taken."""
    url = database_url(request, "sqlite", tmp_path)
    make_cards(url, 230)
    bench = Bench.open(tmp_path / "home", url, [{"name": "cards", "columns": [{"name": "thumbnail"}]}])
    bench.source = cards(url)
    assert take_inventory(bench.catalog, bench.source).findings == FINDINGS
    yield bench
    bench.close()


def run(bench: Bench, home: Path, moment: str, number: int = 0) -> int:
    url = bench.source.writing_url()
    command = [sys.executable, "-m", "tests.legacy.killed_elsewhere", str(home), url, moment, str(number)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-3000:]
    return done.returncode


@pytest.mark.parametrize(
    ("moment", "number"), [("plan.written", 1), ("plan.written", 3), ("plan.noted", 2), ("plan.closed", 1)]
)
def test_batches_that_were_being_cut_are_cut_by_the_next(
    bench: Bench, tmp_path: Path, moment: str, number: int
) -> None:
    home = tmp_path / "home"
    assert run(bench, home, moment, number) == -signal.SIGKILL
    before = {finding.id: finding.batch for finding in bench.findings() if finding.batch}
    assert run(bench, home, moment) == 0
    found = bench.findings()
    assert all(finding.batch for finding in found)
    assert before.items() <= {finding.id: finding.batch for finding in found}.items(), "what was cut stays so"
    counted = Counter(finding.batch for finding in found)
    with bench.catalog.read() as session:
        batches = session.exec(select(LegacyBatch).order_by(LegacyBatch.number)).all()
    assert {batch.key: batch.findings for batch in batches} == counted
    assert [batch.number for batch in batches] == list(range(1, len(batches) + 1))
    assert len({(finding.row_key, finding.batch) for finding in found}) == 23, "a row stands in one batch"
    again = plan_batches(bench.catalog, bench.source.name, size=SIZE)
    assert (again.new, again.closed) == ([], [])


@pytest.mark.parametrize(
    ("moment", "number"),
    [("emit.added", 1), ("emit.added", 9), ("emit.drafted", 1), ("emit.drafted", 2), ("emit.finished", 1)],
)
def test_half_a_file_of_sql_never_looks_like_a_whole_one(
    bench: Bench, tmp_path: Path, moment: str, number: int
) -> None:
    home = tmp_path / "home"
    plan_batches(bench.catalog, bench.source.name)
    bench.store()
    assert run(bench, home, moment, number) == -signal.SIGKILL
    change, inverse = home / "change.sql", home / "change.undo.sql"
    if moment == "emit.finished":
        assert change.exists()
    else:
        assert not change.exists()
        assert not inverse.exists()
        assert run(bench, home, moment) == 0
    for path in (change, inverse):
        assert path.read_text().count("UPDATE cards") == 23
    assert list(home.glob("*.part")) == []
    assert bench.states() == ["saved"] * FINDINGS, "no row was touched"


@pytest.mark.parametrize(("moment", "number"), [("prove.added", 50), ("prove.counted", 1), ("prove.written", 1)])
def test_a_proof_that_was_being_made_is_made_by_the_next_and_leaves_no_scratch(
    bench: Bench, tmp_path: Path, moment: str, number: int
) -> None:
    home = tmp_path / "home"
    assert run(bench, home, moment, number) == -signal.SIGKILL
    proof = home / "proofs" / "legacy.json"
    assert not proof.exists(), "whole or not at all"
    assert len(list((home / "proofs").glob("*"))) == (moment == "prove.written"), "its draft"
    assert list((home / "spool").rglob("*")) == []
    assert run(bench, home, moment) == 0
    assert list(proof.parent.iterdir()) == [proof], "the draft of the dead one is gone"
    document = json.loads(proof.read_text())
    assert verify(document).is_good
    assert document["sources"][0]["rows"] == 230
    assert not document["verdict"]["accounted"]
