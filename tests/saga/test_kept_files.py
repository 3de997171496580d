"""Verified bytes are kept while our own side fails: the store is away, the disk is full, a process is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.legacy.road import Road
from tests.storage.faulty import Wire, relay
from tests.storage.servers import KEY_ID, SECRET, rclone_server
from tests.world import World
from video_assets.catalog import GenerationStatus, MediaState, kept
from video_assets.catalog.models import utc_now
from video_assets.cli.doctor.installation import check_kept_files
from video_assets.emulator import Emulator
from video_assets.legacy.process_batch import Mode, process_batch
from video_assets.reasons import Reason
from video_assets.services import open_services
from video_assets.storage import s3_upload
from video_assets.transfer.rescue.outputs import Step
from video_assets.transfer.rescue.sweep import sweep_leftovers


@dataclass
class Store:
    """A real S3 server behind a wire that can be cut."""

    wire: Wire
    buckets: Path

    def settings(self, **changes: Any) -> dict[str, Any]:
        return {
            "storage": "s3",
            "s3_endpoint_url": self.wire.endpoint,
            "s3_access_key_id": KEY_ID,
            "s3_secret_access_key": SECRET,
            "bucket": "videos",
            **changes,
        }


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(s3_upload, "FIRST_WAIT", 0.01)
    buckets = tmp_path / "buckets"
    (buckets / "videos").mkdir(parents=True)
    with rclone_server(buckets, tmp_path / "log") as endpoint, relay(endpoint) as wire:
        yield Store(wire, buckets)


def kept_folders(world: World) -> list[Path]:
    """The kept files of the world's spool that wait, as folders."""
    return sorted(path for path in (world.settings.spool / "kept").glob("*") if path.is_dir())


def content_of(folder: Path) -> Path:
    [path] = [path for path in folder.iterdir() if path.name != "note.json"]
    return path


def let_the_link_die(world: World, key: str) -> None:
    """Nothing brings the file back from its source after this, and the catalog knows it."""
    for job in world.jobs(key):
        assert job.task_id is not None
        world.emulator.kill_links(job.task_id)
        world.emulator.change_job(job.task_id, refresh="gone")
    world.edit(
        lambda session: session.execute(
            text("UPDATE output SET deadline_at = :d WHERE generation_id = :g"),
            {"d": utc_now().replace(tzinfo=None) - timedelta(minutes=1), "g": key},
        )
    )


def sweep(world: World, older_than: timedelta = timedelta()) -> int:
    services = world.services
    report = sweep_leftovers(services.catalog, services.storage, world.settings.spool, older_than=older_than)
    return report.removed_kept


def test_a_store_that_is_away_for_longer_than_the_link_lives_loses_nothing(
    emulator: Emulator, tmp_path: Path, store: Store
) -> None:
    world = World.open(emulator, tmp_path / "home", **store.settings())
    store.wire.is_away = True
    key = world.finished("outlives its link [emulator: link_ttl=2, refresh=gone]")
    assert world.rescue(key) == ["waiting"]
    world.until(lambda: (world.outputs(key)[0].deadline_at or utc_now()) < utc_now())
    for _ in range(2):
        assert world.rescue(key) == ["waiting"]
    output = world.outputs(key)[0]
    assert output.reason == Reason.STORAGE_FAILED
    assert "only the upload is tried again" in (output.message or "")
    assert check_kept_files(world.services.catalog).status == "warning"
    assert "1 verified file(s)" in check_kept_files(world.services.catalog).message
    store.wire.is_away = False
    assert world.rescue(key) == ["stored"]
    assert emulator.downloads(world.task(key)) == 1
    assert world.outputs(key)[0].refreshes == 0
    media = world.media(key)[0]
    assert (media.video_codec, media.file_type) == ("h264", "video/mp4"), "its facts were kept as well"
    assert kept_folders(world) == []
    assert check_kept_files(world.services.catalog).status == "ok"
    world.assert_nothing_lost_or_doubled()


def test_files_of_a_legacy_source_are_kept_too(emulator: Emulator, tmp_path: Path, store: Store) -> None:
    road = Road.open(emulator, tmp_path, **store.settings())
    url, task = road.video("an old one")
    card = road.card((url, task))
    store.wire.is_away = True
    [batch] = road.take()

    def work() -> dict[str, int]:
        source, services = road.source, road.world.services
        return dict(process_batch(services, source, batch, mode=Mode.APPLY, patience=timedelta()).files)

    assert work() == {"waiting": 1}
    emulator.kill_links(task)
    emulator.change_job(task, refresh="gone")
    assert work() == {"waiting": 1}
    store.wire.is_away = False
    assert work() == {"stored": 1}
    assert emulator.downloads(task) == 1
    assert road.files()[0].refreshes == 0
    assert road.urls(card) != [url]
    road.assert_nothing_lost_or_doubled()


def test_several_workers_of_one_spool_download_once_between_them(
    emulator: Emulator, tmp_path: Path, store: Store
) -> None:
    world = World.open(emulator, tmp_path / "home", **store.settings())
    other = World(emulator, world.settings, open_services(world.settings))
    store.wire.is_away = True
    key = world.finished("two at it")
    for _ in range(2):
        with ThreadPoolExecutor(2) as pool:
            words = {word for words in pool.map(lambda one: one.rescue(key), (world, other)) for word in words}
        assert words <= {"waiting", "skipped"}
    let_the_link_die(world, key)
    store.wire.is_away = False
    with ThreadPoolExecutor(2) as pool:
        done = [word for words in pool.map(lambda one: one.rescue(key), (world, other)) for word in words]
    assert "stored" in done
    assert emulator.downloads(world.task(key)) == 1
    world.assert_nothing_lost_or_doubled()
    other.services.catalog.close()


@pytest.mark.parametrize("step", [Step.VERIFIED, Step.JOURNALED, Step.STORED, Step.READ_BACK])
def test_a_process_killed_behind_the_verification_needs_neither_download_nor_link_again(
    emulator: Emulator, tmp_path: Path, step: Step
) -> None:
    world = World.open(emulator, tmp_path / "home", lease_seconds=1.0)
    key = world.finished(f"killed after {step} with its link")
    values = world.settings.model_dump(mode="json")
    for name in ("runway_api_key", "luma_api_key"):
        values[name] = getattr(world.settings, name).get_secret_value()
    command = [sys.executable, "-m", "tests.saga.killed_rescue", json.dumps(values), str(step)]
    command += [output.id for output in world.outputs(key)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    let_the_link_die(world, key)
    world.until(lambda: world.rescue(key) == ["stored"])
    assert world.status(key) is GenerationStatus.COMPLETED
    assert emulator.downloads(world.task(key)) == 1
    assert kept_folders(world) == []
    world.assert_nothing_lost_or_doubled()
    world.services.catalog.close()


def test_a_kept_file_is_swept_when_its_row_is_settled_and_not_before(world: World) -> None:
    key = world.finished("swept afterwards")

    def observer(seen: Step, _output: str) -> None:
        if seen is Step.READ_BACK:
            raise KeyboardInterrupt

    services = world.services
    interrupted = World(world.emulator, world.settings, replace(services, observer=observer))
    with pytest.raises(KeyboardInterrupt):
        interrupted.rescue(key)
    [folder] = kept_folders(world)
    assert sweep(world) == 0, "it is wanted still"
    assert kept_folders(world) == [folder]
    world.edit(lambda session: session.execute(text("UPDATE output SET state = 'stored', temporary_url = NULL")))
    assert sweep(world, older_than=timedelta(hours=1)) == 0, "it is young"
    assert sweep(world) == 1
    assert kept_folders(world) == []
    with services.catalog.read() as session:
        assert kept.all_kept(session) == []


def test_what_the_catalog_does_not_know_is_swept(emulator: Emulator, tmp_path: Path, store: Store) -> None:
    world = World.open(emulator, tmp_path / "home", **store.settings())
    store.wire.is_away = True
    world.rescue(world.finished("forgotten by its catalog"))
    [folder] = kept_folders(world)
    note = (folder / "note.json").read_bytes().partition(b"\n")[0]
    assert json.loads(note)["resource"].startswith("output:")
    store.wire.is_away = False
    world.edit(lambda session: session.execute(text("DELETE FROM media_file")))
    world.edit(lambda session: session.execute(text("DELETE FROM output")))
    assert sweep(world) == 1
    assert kept_folders(world) == []


def cut_short(folder: Path) -> None:
    with content_of(folder).open("r+b") as file:
        file.truncate(1000)


def change_a_bit(folder: Path) -> None:
    with content_of(folder).open("r+b") as file:
        file.seek(5000)
        byte = file.read(1)
        file.seek(5000)
        file.write(bytes([byte[0] ^ 1]))


def empty_the_note(folder: Path) -> None:
    (folder / "note.json").write_bytes(b"")


def change_the_note(folder: Path) -> None:
    path = folder / "note.json"
    path.write_bytes(path.read_bytes().replace(b"video/mp4", b"video/mp5"))


def remove_the_content(folder: Path) -> None:
    content_of(folder).unlink()


@pytest.mark.parametrize("damage", [cut_short, change_a_bit, empty_the_note, change_the_note, remove_the_content])
def test_a_damaged_kept_file_is_noticed_and_downloaded_again(
    emulator: Emulator, tmp_path: Path, store: Store, damage: Any
) -> None:
    world = World.open(emulator, tmp_path / "home", **store.settings())
    store.wire.is_away = True
    key = world.finished("damaged at rest")
    world.rescue(key)
    damage(kept_folders(world)[0])
    store.wire.is_away = False
    assert world.rescue(key) == ["stored"]
    assert emulator.downloads(world.task(key)) == 2
    assert world.media(key)[0].file_type == "video/mp4"
    assert kept_folders(world) == []
    world.assert_nothing_lost_or_doubled()


def test_the_evidence_of_a_loss_says_that_the_kept_file_was_damaged(
    emulator: Emulator, tmp_path: Path, store: Store
) -> None:
    world = World.open(emulator, tmp_path / "home", **store.settings())
    store.wire.is_away = True
    key = world.finished("damaged and gone")
    world.rescue(key)
    change_a_bit(kept_folders(world)[0])
    let_the_link_die(world, key)
    store.wire.is_away = False
    assert world.rescue(key) == ["lost"]
    assert "other bytes" in world.outputs(key)[0].evidence["kept_file"]


def test_a_kept_file_that_cannot_be_read_at_the_moment_is_not_given_up(
    emulator: Emulator, tmp_path: Path, store: Store
) -> None:
    world = World.open(emulator, tmp_path / "home", **store.settings())
    store.wire.is_away = True
    key = world.finished("out of reach")
    world.rescue(key)
    let_the_link_die(world, key)
    store.wire.is_away = False
    content = content_of(kept_folders(world)[0])
    elsewhere = content.rename(tmp_path / "elsewhere")
    content.mkdir()  # opening it fails, for root as well
    assert world.rescue(key) == ["waiting"]
    output = world.outputs(key)[0]
    assert output.reason == Reason.STORAGE_FAILED
    assert "cannot be read" in (output.message or "")
    [folder] = kept_folders(world)
    (folder / content.name).rmdir()
    elsewhere.rename(folder / content.name)
    assert world.rescue(key) == ["stored"]
    assert emulator.downloads(world.task(key)) == 1


def kept_names(world: World, keys: dict[str, str]) -> set[str]:
    """Which of the named generations are kept."""
    notes = [(folder / "note.json").read_text() for folder in kept_folders(world)]
    return {name for name, key in keys.items() if any(key in note for note in notes)}


def test_when_the_bound_is_reached_the_links_that_live_longest_make_way(
    emulator: Emulator, tmp_path: Path, store: Store
) -> None:
    size = 300_000
    world = World.open(
        emulator, tmp_path / "home", **store.settings(kept_files_max_bytes=2 * size, download_concurrency=1)
    )
    store.wire.is_away = True
    keys: dict[str, str] = {}
    for name, life in (("week", 604_800), ("hour", 3_600), ("day", 86_400), ("minutes", 600)):
        keys[name] = world.finished(f"lives a {name} [emulator: link_ttl={life}, size={size}]")
    dead = keys["dead"] = world.finished(f"lives no more [emulator: link_ttl=2, refresh=gone, size={size}]")
    assert world.rescue(dead) == ["waiting"]
    world.until(lambda: (world.outputs(dead)[0].deadline_at or utc_now()) < utc_now())
    expected = {"week": {"dead", "week"}, "hour": {"dead", "hour"}, "day": {"dead", "hour"}}
    for name, kept_now in {**expected, "minutes": {"dead", "minutes"}}.items():
        assert world.rescue(keys[name]) == ["waiting"]
        assert kept_names(world, keys) == kept_now
        assert world.outputs(keys[name])[0].reason == Reason.STORAGE_FAILED
    with world.services.catalog.read() as session:
        assert kept.waiting(session).files == 2, "the catalog says the same"
    store.wire.is_away = False
    for key in keys.values():
        assert world.rescue(key) == ["stored"]
    downloads = {name: emulator.downloads(world.task(key)) for name, key in keys.items()}
    assert downloads == {"dead": 1, "week": 2, "hour": 2, "day": 2, "minutes": 1}
    world.assert_nothing_lost_or_doubled()


def test_the_bound_holds_when_many_files_fail_at_once(emulator: Emulator, tmp_path: Path, store: Store) -> None:
    size = 300_000
    world = World.open(emulator, tmp_path / "home", **store.settings(kept_files_max_bytes=3 * size))
    store.wire.is_away = True
    key = world.finished(f"eight at once [emulator: versions=8, size={size}]")
    assert world.rescue(key) == ["waiting"] * 8
    assert len(kept_folders(world)) == 3
    store.wire.is_away = False
    assert world.rescue(key) == ["stored"] * 8
    world.assert_nothing_lost_or_doubled()


def test_files_of_killed_runs_are_held_to_the_bound_by_the_sweep(world: World) -> None:
    key = world.finished("left by a killed run")
    [output] = world.outputs(key)
    services = world.services

    def observer(seen: Step, _output: str) -> None:
        if seen is Step.JOURNALED:
            raise SystemExit

    interrupted = World(world.emulator, world.settings, replace(services, observer=observer))
    with pytest.raises(SystemExit):
        interrupted.rescue(key)
    [folder] = kept_folders(world)
    folder.rename(folder.with_name(folder.name + ".uploading"))  # as SIGKILL leaves it
    assert sweep(world) == 0
    assert kept_folders(world) == [folder], "it waits from now on"
    assert world.rescue(key) == ["stored"]
    assert world.emulator.downloads(world.task(key)) == 1
    assert output.state == MediaState.PENDING


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of ``size`` bytes on ``folder``; skips where none can be mounted."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_full_disk_is_ours_and_loses_nothing(emulator: Emulator, tmp_path: Path, store: Store) -> None:
    with small_disk(tmp_path / "home" / "spool", 1024 * 1024) as spool:
        world = World.open(emulator, tmp_path / "home", **store.settings(kept_files_min_free_bytes=0))
        filler = spool / "kept"
        filler.mkdir()
        filler /= "lock"
        filler.write_bytes(bytes(900 * 1024))
        key = world.finished("no space for it [emulator: size=400000]")
        assert world.rescue(key) == ["waiting"]
        assert world.outputs(key)[0].reason == Reason.DISK_FAILED
        filler.write_bytes(b"")
        store.wire.is_away = True
        assert world.rescue(key) == ["waiting"]
        let_the_link_die(world, key)
        store.wire.is_away = False
        assert world.rescue(key) == ["stored"]
        world.assert_nothing_lost_or_doubled()
        world.services.catalog.close()


def test_a_disk_on_which_only_the_note_has_no_space_does_without_keeping(
    emulator: Emulator, tmp_path: Path, store: Store
) -> None:
    size = 400 * 1024
    with small_disk(tmp_path / "home" / "spool", size + 256 * 1024) as spool:
        world = World.open(emulator, tmp_path / "home", **store.settings(kept_files_min_free_bytes=0))
        key = world.finished(f"fits at first [emulator: size={size}]")
        store.wire.is_away = True

        def fill(seen: Step, _output: str) -> None:
            if seen is Step.DOWNLOADED:
                with (spool / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(4096))

        full = World(emulator, world.settings, replace(world.services, observer=fill))
        assert full.rescue(key) == ["waiting"]
        assert kept_folders(world) == []
        assert "kept" not in (world.outputs(key)[0].message or "")
        (spool / "filler").unlink()
        store.wire.is_away = False
        assert world.rescue(key) == ["stored"], world.outputs(key)[0].message
        assert emulator.downloads(world.task(key)) == 2
        world.services.catalog.close()


def test_kept_files_make_way_for_a_download_that_is_more_urgent(
    emulator: Emulator, tmp_path: Path, store: Store
) -> None:
    with small_disk(tmp_path / "home" / "spool", 2 * 1024 * 1024):
        world = World.open(emulator, tmp_path / "home", **store.settings(kept_files_min_free_bytes=900 * 1024))
        store.wire.is_away = True
        week = world.finished("a week [emulator: link_ttl=604800, size=1000000]")
        hour = world.finished("an hour [emulator: link_ttl=3600, size=1000000]")
        assert world.rescue(week) == ["waiting"]
        keys = {"week": week, "hour": hour}
        assert kept_names(world, keys) == {"week"}
        (world.settings.spool / "filler").write_bytes(bytes(700 * 1024))
        assert world.rescue(hour) == ["waiting"]
        assert "week" not in kept_names(world, keys)
        (world.settings.spool / "filler").unlink()
        store.wire.is_away = False
        assert world.rescue(week) == world.rescue(hour) == ["stored"]
        world.services.catalog.close()


def second_machine(world: World, tmp_path: Path, **changes: Any) -> World:
    """Another installation with a spool of its own, over the same catalog and store."""
    settings = world.settings.model_copy(update={"home": tmp_path / "other", **changes})
    url = world.settings.catalog_url
    key = (world.settings.home / "encryption.key").read_text().strip()
    values = {**settings.model_dump(), "database_url": url, "encryption_key": key}
    settings = type(settings)(_env_file=None, **values)
    return World(world.emulator, settings, open_services(settings))


def seen(world: World, ago: timedelta) -> None:
    """The holder of every kept file was seen last so long ago."""
    world.edit(
        lambda session: session.execute(
            text("UPDATE kept_file SET seen_at = :t"), {"t": (utc_now() - ago).replace(tzinfo=None)}
        )
    )


@pytest.fixture
def machines(emulator: Emulator, tmp_path: Path, store: Store) -> Iterator[tuple[World, World, str]]:
    """Two machines, the first of which holds the bytes of a generation while the store is away."""
    first = World.open(emulator, tmp_path / "home", **store.settings())
    second = second_machine(first, tmp_path)
    store.wire.is_away = True
    key = first.finished("on one of two machines")
    assert first.rescue(key) == ["waiting"]
    yield first, second, key
    first.services.catalog.close()
    second.services.catalog.close()


def test_another_machine_leaves_the_file_to_the_one_that_holds_it(
    machines: tuple[World, World, str], emulator: Emulator, store: Store
) -> None:
    first, second, key = machines
    assert second.rescue(key) == ["waiting"], "also while the link lives: one download is enough"
    let_the_link_die(first, key)
    for _ in range(3):
        assert second.rescue(key) == ["waiting"]
    output = first.outputs(key)[0]
    assert output.reason == Reason.STORAGE_FAILED
    assert os.uname().nodename in (output.message or "")
    store.wire.is_away = False
    assert first.rescue(key) == ["stored"]
    assert emulator.downloads(first.task(key)) == 1
    assert first.outputs(key)[0].refreshes == 0
    first.assert_nothing_lost_or_doubled()


def test_a_file_is_not_called_lost_while_a_silent_machine_may_still_store_it(
    machines: tuple[World, World, str], store: Store
) -> None:
    first, second, key = machines
    let_the_link_die(first, key)
    seen(first, timedelta(hours=20))
    store.wire.is_away = False
    assert second.rescue(key) == ["waiting"]
    assert "does not know this task" in (first.outputs(key)[0].message or "")
    seen(first, timedelta(hours=25))
    assert second.rescue(key) == ["lost"], "but not for ever"


def test_a_file_of_a_machine_that_fell_silent_is_fetched_by_another(
    machines: tuple[World, World, str], emulator: Emulator, store: Store
) -> None:
    first, second, key = machines
    seen(first, timedelta(minutes=20))
    store.wire.is_away = False
    assert second.rescue(key) == ["stored"]
    assert emulator.downloads(first.task(key)) == 2
    assert len(kept_folders(first)) == 1
    assert sweep(first) == 1, "what the silent one held is swept when it is back"
    first.assert_nothing_lost_or_doubled()


def test_a_link_that_dies_before_its_holder_could_be_missed_is_used(
    machines: tuple[World, World, str], emulator: Emulator
) -> None:
    first, second, key = machines
    soon = (utc_now() + timedelta(minutes=5)).replace(tzinfo=None)
    first.edit(lambda session: session.execute(text("UPDATE output SET deadline_at = :d"), {"d": soon}))
    assert second.rescue(key) == ["waiting"]
    assert len(kept_folders(second)) == 1, "two machines hold it now"
    assert emulator.downloads(first.task(key)) == 2


def test_kept_files_are_private_and_hold_no_link(emulator: Emulator, tmp_path: Path, store: Store) -> None:
    world = World.open(emulator, tmp_path / "home", **store.settings())
    store.wire.is_away = True
    world.rescue(world.finished("private"))
    root = world.settings.spool / "kept"
    for path in (root, *root.rglob("*")):
        allowed = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) & ~allowed == 0, path
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret.encode() in content for secret in emulator.issued_secrets())


def test_a_catalog_that_refuses_the_commit_costs_no_second_download(world: World, emulator: Emulator) -> None:
    key = world.finished("no commit, one download")
    catalog = world.services.catalog
    with catalog.engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER refuse BEFORE UPDATE OF state ON media_file WHEN NEW.state = 'stored' "
                "BEGIN SELECT RAISE(ABORT, 'the disk of the database is full'); END"
            )
        )
    assert world.rescue(key) == ["waiting"]
    let_the_link_die(world, key)
    assert world.rescue(key) == ["waiting"]
    with catalog.engine.begin() as connection:
        connection.execute(text("DROP TRIGGER refuse"))
    assert world.rescue(key) == ["stored"]
    assert emulator.downloads(world.task(key)) == 1
    world.assert_nothing_lost_or_doubled()
