"""The ledger: written before, confirmed after, and true whatever happened in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, text
from sqlmodel import select

from tests.legacy.bench import Bench, signed
from tests.legacy.road import Road
from video_assets.catalog.legacy import LedgerConfirmation, LedgerImage
from video_assets.catalog.models import utc_now
from video_assets.emulator import Emulator
from video_assets.legacy.errors import SourceReadOnly
from video_assets.legacy.process_batch import Mode, process_batch
from video_assets.legacy.rewrite.ledger import LedgerKeyMissing, PenLost, PenTaken, take_pen
from video_assets.legacy.rewrite.undo import Selection, redo, undo_rewrites
from video_assets.transfer.rescue.sweep import sweep_leftovers

CREATE = "CREATE TABLE cards (id INT PRIMARY KEY, provider TEXT, prompt TEXT, snapshot"
VIDEOS = {"name": "videos", "columns": [{"name": "url"}]}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "old.db").touch()
    opened = Bench.open(tmp_path / "home", f"sqlite:///{tmp_path / 'old.db'}", [VIDEOS])
    opened.sql("CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT)")
    for number in range(3):
        opened.sql("INSERT INTO videos VALUES (:n, :u)", n=number, u=signed(f"{number}.mp4"))
    opened.take()
    yield opened
    opened.close()


def outcomes(bench: Bench) -> list[str]:
    """What became of each entry, in the order of the entries."""
    with bench.catalog.read() as session:
        rows = session.exec(select(LedgerConfirmation).order_by(LedgerConfirmation.id)).all()  # type: ignore[arg-type]
    newest = {row.entry_id: str(row.outcome) for row in rows}
    return [newest.get(entry.id or 0, "open") for entry in bench.entries()]


class Crash(Exception):
    """Stands for a process that ends in the middle."""


def crash_at(bench: Bench, step: str, number: int = 1) -> None:
    """Let the next rewrite or undo end right after a step."""
    left = [number]

    def observer(seen: str, _what: str) -> None:
        if seen == step:
            left[0] -= 1
            if left[0] == 0:
                raise Crash

    bench.observer = observer
    with pytest.raises(Crash):
        bench.rewrite()
    bench.observer = None


def test_an_entry_is_written_before_the_source_changes(bench: Bench) -> None:
    before = bench.sql("SELECT * FROM videos")
    crash_at(bench, "intended")
    assert outcomes(bench) == ["open"] * 3
    assert bench.sql("SELECT * FROM videos") == before


def test_after_a_crash_the_next_run_finds_out_what_was_done(bench: Bench) -> None:
    crash_at(bench, "row_written", 2)
    assert outcomes(bench) == ["open"] * 3
    report = bench.rewrite()
    assert report.reconciled == {"applied": 2, "void": 1}
    assert report.rows == 1
    assert outcomes(bench) == ["applied", "applied", "void", "applied"]
    assert bench.states() == ["rewritten"] * 3


def test_a_row_that_others_changed_after_a_crash_is_unclear_and_looked_at_anew(bench: Bench) -> None:
    crash_at(bench, "row_written", 2)
    bench.sql("UPDATE videos SET url = url || ' edited'")
    report = bench.rewrite()
    assert report.reconciled == {"unclear": 3}
    assert outcomes(bench)[:3] == ["unclear"] * 3
    assert report.rows == 1, "the one whose temporary URL still stands there"
    assert all("X-Amz" not in url for (url,) in bench.sql("SELECT url FROM videos"))


def test_the_undo_of_a_crashed_run_takes_back_exactly_what_was_done(bench: Bench) -> None:
    before = bench.sql("SELECT * FROM videos")
    crash_at(bench, "row_written", 2)
    assert bench.undo().rows == 2
    assert bench.sql("SELECT * FROM videos") == before


def test_only_one_process_writes_into_a_source_at_a_time(bench: Bench) -> None:
    with take_pen(bench.catalog, "old"):
        with pytest.raises(PenTaken), take_pen(bench.catalog, "old", patience=timedelta(seconds=0.2)):
            pass
        with take_pen(bench.catalog, "another"):
            pass
    taken = threading.Event()
    with take_pen(bench.catalog, "old"):
        waiting = threading.Thread(target=lambda: wait_for_pen(bench, taken))
        waiting.start()
        assert not taken.wait(0.2)
    waiting.join(10)
    assert taken.is_set()


def wait_for_pen(bench: Bench, taken: threading.Event) -> None:
    with take_pen(bench.catalog, "old"):
        taken.set()


def test_a_writer_that_slept_too_long_confirms_nothing(bench: Bench) -> None:
    def steal(step: str, _what: str) -> None:
        if step == "intended":
            with bench.catalog.write() as session:
                session.execute(
                    text(
                        "UPDATE lease SET token = token + 1, expires_at = '2020-01-01 00:00:00' "
                        "WHERE resource = 'legacy-pen:old'"
                    )
                )

    bench.observer = steal
    with pytest.raises(PenLost):
        bench.rewrite()
    bench.observer = None
    assert outcomes(bench) == ["open"] * 3
    assert bench.rewrite().reconciled == {"applied": 3}


def test_every_change_has_its_images_only_while_they_are_needed(bench: Bench) -> None:
    bench.rewrite()
    with bench.catalog.read() as session:
        images = session.exec(select(LedgerImage)).all()
    assert len(images) == 3
    assert all(image.expires_at is not None and image.expires_at > utc_now() for image in images)
    assert all(b"X-Amz" not in image.ciphertext for image in images)


# -- a catalog in PostgreSQL ----------------------------------------------------------------------------------


def test_the_whole_road_with_catalog_and_source_in_postgresql(
    emulator: Emulator, tmp_path: Path, postgres_url: Callable[[], str]
) -> None:
    road = Road.open(emulator, tmp_path, database_url=SecretStr(postgres_url()))
    url = postgres_url()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text("CREATE TABLE cards (id INT PRIMARY KEY, provider TEXT, prompt TEXT, snapshot JSONB)")
        )
        for number in range(6):
            link, task = road.video(f"pg {number}" + (" [emulator: dead_links=1]" if number % 2 else ""))
            connection.execute(
                text("INSERT INTO cards VALUES (:n, 'runway', 'p', :s)"),
                {"n": number, "s": f'{{"versions": [{{"url": "{link}", "taskId": "{task}"}}]}}'},
            )
    road.source = road.source.model_copy(update={"url": url})

    def snapshots() -> list[str]:
        with engine.connect() as connection:
            return list(connection.execute(text("SELECT snapshot::text FROM cards ORDER BY id")).scalars())

    before = snapshots()
    services = road.world.services
    report = road.run()
    assert report.findings == {"rewritten": 6}
    road.assert_nothing_lost_or_doubled()
    after = snapshots()
    assert all(road.world.settings.public_base_url in snapshot for snapshot in after)
    assert undo_rewrites(services, road.source, Selection(run="another")).rows == 0
    assert undo_rewrites(services, road.source, Selection(table="cards", row_key="[1]")).rows == 1
    assert undo_rewrites(services, road.source, Selection()).rows == 5
    assert snapshots() == before
    assert redo(services.catalog, "old") == 6
    assert road.run().findings == {"rewritten": 6}
    assert snapshots() == after
    engine.dispose()
    services.catalog.close()


def test_a_read_only_user_is_told_before_anything_is_downloaded(
    emulator: Emulator, tmp_path: Path, postgres_url: Callable[[], str]
) -> None:
    road = Road.open(emulator, tmp_path)
    url = postgres_url()
    engine = create_engine(url)
    link, task = road.video("read only")
    with engine.begin() as connection:
        connection.execute(
            text("CREATE TABLE cards (id INT PRIMARY KEY, provider TEXT, prompt TEXT, snapshot TEXT)")
        )
        connection.execute(
            text("INSERT INTO cards VALUES (1, 'runway', 'p', :s)"),
            {"s": f'{{"versions": [{{"url": "{link}", "taskId": "{task}"}}]}}'},
        )
        connection.execute(text("CREATE ROLE only_reads LOGIN"))
        connection.execute(text("GRANT SELECT ON cards TO only_reads"))
    address = engine.url.set(username="only_reads").render_as_string(hide_password=False)
    road.source = road.source.model_copy(update={"url": address})
    with pytest.raises(SourceReadOnly, match=r"may not UPDATE cards.*--emit-sql"):
        road.run()
    assert emulator.downloads(task) == 0
    report = road.run(Mode.EMIT_SQL, sql_path=tmp_path / "change.sql")
    assert report.emitted is not None
    assert report.emitted.statements == 1
    assert report.findings == {"saved": 1}
    with engine.begin() as connection:
        connection.exec_driver_sql((tmp_path / "change.sql").read_text().replace("%", "%%"))
    assert road.take() == []
    assert [str(finding.state) for finding in road.findings()] == ["changed"]
    with engine.begin() as connection:
        connection.execute(text("DROP OWNED BY only_reads"))
        connection.execute(text("DROP ROLE only_reads"))
    engine.dispose()
    road.world.services.catalog.close()


def test_without_a_ledger_key_nothing_begins_unless_undo_is_given_up(emulator: Emulator, tmp_path: Path) -> None:
    road = Road.open(emulator, tmp_path, ledger_key=None)
    url, task = road.video("no key")
    road.card((url, task))
    with pytest.raises(LedgerKeyMissing):
        road.run()
    assert emulator.downloads(task) == 0
    report = process_batch(road.world.services, road.source, road.take()[0], mode=Mode.APPLY, undoable=False)
    assert report.findings == {"rewritten": 1}
    with road.world.services.catalog.read() as session:
        assert session.exec(select(LedgerImage)).all() == []
    road.assert_nothing_lost_or_doubled()
    road.world.services.catalog.close()


def test_what_was_uploaded_for_a_file_that_was_lost_is_swept(emulator: Emulator, tmp_path: Path) -> None:
    road = Road.open(emulator, tmp_path)
    road.card(road.video("lost in the end [emulator: dead_links=99, refresh=gone]"))
    road.run()
    services = road.world.services
    file = road.files()[0]
    (tmp_path / "half.mp4").write_bytes(b"half")
    services.storage.put("legacy/old/half.mp4", tmp_path / "half.mp4", content_type="video/mp4", sha256="0" * 64)
    with services.catalog.write() as session:
        session.execute(
            text("UPDATE legacy_file SET bucket = :b, key = 'legacy/old/half.mp4' WHERE id = :i"),
            {"b": services.storage.bucket, "i": file.id},
        )
    report = sweep_leftovers(services.catalog, services.storage, services.settings.spool, older_than=timedelta())
    assert report.removed_objects == 1
    assert road.world.objects() == []
    road.assert_nothing_lost_or_doubled()
    services.catalog.close()
