"""Whatever a place is called, the catalog gets it back as it was."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import delete

from tests.legacy.making import files, findings
from video_assets.catalog import Catalog, open_catalog
from video_assets.catalog.columns import storable
from video_assets.catalog.legacy import LegacyFile, LegacyFinding
from video_assets.legacy.inventory.record import record
from video_assets.legacy.search.rows import Seen, SeenFile, SeenFinding
from video_assets.settings import Settings

NOW = datetime(2026, 11, 21, tzinfo=UTC)
odd = st.text(st.sampled_from("a\t\n\r\\N\x00\x01'\",{}\u2028\ud800é%"), max_size=8)


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Catalog:
    url = request.getfixturevalue("postgres_url")() if request.param == "postgresql" else None
    return open_catalog(Settings(_env_file=None, home=tmp_path / "home", database_url=url))  # type: ignore[call-arg]


def one_finding(pointer: str, redacted: str, context: dict[str, str], task_id: str | None) -> Seen:
    seen = Seen()
    seen.add_file(
        SeenFile("f1", "print", "video", "https://e.com/x\t\\", redacted, None, None, NOW, "runway", task_id)
    )
    seen.findings.append(
        SeenFinding("p1", "cards", "[1]", "c", pointer, "f1", "d", redacted, None, True, NOW, context, None)
    )
    return seen


@given(odd, odd, st.dictionaries(odd.map(storable), odd.map(storable), max_size=2), st.none() | odd)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_odd_characters_come_back_as_they_were(
    catalog: Catalog, pointer: str, redacted: str, context: dict[str, str], task_id: str | None
) -> None:
    context = {key: value.replace("\0", "") for key, value in context.items()}
    with catalog.write() as session:
        session.execute(delete(LegacyFinding))
        session.execute(delete(LegacyFile))
        first = record(session, "s", one_finding(pointer, redacted, context, task_id), read_at=NOW, table="cards")
        again = record(session, "s", one_finding(pointer, redacted, context, task_id), read_at=NOW, table="cards")
    assert (first.new_findings, first.new_files) == (1, 1)
    assert (again.new_findings, again.new_files) == (0, 0)
    finding, file = findings(catalog)[0], files(catalog)[0]
    assert finding.pointer == storable(pointer)
    assert finding.redacted == file.redacted == storable(redacted)
    assert finding.context == context
    assert finding.deadline_at == file.deadline_at == NOW
    assert file.temporary_url == "https://e.com/x\t\\"
    assert file.task_id == (None if task_id is None else storable(task_id))
