"""The rescue: what is stored, what is tried again, what is given up, and what stays in the catalog afterwards."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.world import World
from video_assets.catalog import GenerationStatus, MediaState, Output
from video_assets.catalog.models import utc_now
from video_assets.emulator import Emulator
from video_assets.generations.control import NotPossible, give_up_outputs, retry_generation
from video_assets.reasons import Reason
from video_assets.services import Services
from video_assets.storage.durable import StorageFailed, StoredObject
from video_assets.transfer.rescue.outputs import Step


def with_parts(world: World, **parts: Any) -> World:
    """The same installation with some of its parts replaced."""
    old = world.services
    values = {
        "settings": old.settings,
        "catalog": old.catalog,
        "storage": old.storage,
        "downloader": old.downloader,
        "observer": old.observer,
    }
    return World(world.emulator, world.settings, Services(**{**values, **parts}))


def test_a_finished_video_becomes_durable_and_its_temporary_url_is_erased(world: World) -> None:
    key = world.finished("a paper boat")
    assert world.status(key) is GenerationStatus.STORING
    assert world.outputs(key)[0].temporary_url is not None
    assert world.rescue(key) == ["stored"]
    generation, media = world.generation(key), world.media(key)[0]
    assert generation.status == GenerationStatus.COMPLETED
    assert media.key == f"ann/{key}/video-0.mp4"
    assert media.file_url == f"{world.settings.public_base_url}/{media.key}"
    assert media.file_type == "video/mp4"
    assert media.video_codec == "h264"
    assert media.duration_seconds
    stored = b"".join(world.services.storage.read(media.key))
    assert len(stored) == media.file_size
    assert hashlib.sha256(stored).hexdigest() == media.sha256
    assert world.outputs(key)[0].temporary_url is None
    world.assert_nothing_lost_or_doubled()


def test_every_version_of_a_generation_is_stored_under_its_own_number(world: World) -> None:
    key = world.finished("three boats", versions=3)
    assert world.rescue(key) == ["stored"] * 3
    assert [media.key.rpartition("/")[2] for media in world.media(key)] == [
        "video-0.mp4",
        "video-1.mp4",
        "video-2.mp4",
    ]


def test_one_task_may_offer_several_videos(world: World) -> None:
    key = world.finished("two takes [emulator: versions=2]")
    assert world.rescue(key) == ["stored", "stored"]
    assert len({media.sha256 for media in world.media(key)}) == 2


def test_thumbnails_are_rescued_with_the_video(world: World) -> None:
    key = world.finished("a fox", provider="luma")
    assert world.rescue(key) == ["stored", "stored"]
    assert {(media.role, media.file_type) for media in world.media(key)} == {
        ("video", "video/mp4"),
        ("thumbnail", "image/jpeg"),
    }


def test_rescuing_again_downloads_nothing(world: World, emulator: Emulator) -> None:
    key = world.finished("only once please")
    world.rescue(key)
    before = emulator.downloads(world.task(key))
    assert world.rescue(key) == ["skipped"]
    assert emulator.downloads(world.task(key)) == before == 1


def test_a_link_that_died_is_refreshed_by_job_id(world: World) -> None:
    key = world.finished("late [emulator: dead_links=1]")
    assert world.rescue(key) == ["stored"]
    assert world.outputs(key)[0].refreshes == 1


def test_a_dead_link_that_cannot_be_refreshed_is_lost_with_evidence(world: World) -> None:
    key = world.finished("too late [emulator: dead_links=99, refresh=gone]")
    assert world.rescue(key) == ["lost"]
    generation, output = world.generation(key), world.outputs(key)[0]
    assert generation.status == GenerationStatus.EXPIRED
    assert output.reason == Reason.SOURCE_EXPIRED
    assert output.evidence["status"] == 401
    assert output.evidence["when"]
    assert "does not know this task" in output.evidence["refresh"]
    assert output.temporary_url is not None, "kept for a while: what could bring it back"
    assert output.lost_at is not None
    assert generation.prompt.startswith("too late"), "what is needed to make it again is kept"
    assert world.objects() == []


def test_a_file_that_is_missing_under_a_living_link_is_waited_for(world: World, emulator: Emulator) -> None:
    key = world.finished("a lagging replica [emulator: missing=true]")
    assert world.rescue(key) == ["waiting"]
    world.edit(lambda session: session.execute(text("UPDATE output SET attempts = 400")))
    assert world.rescue(key) == ["waiting"]
    assert world.outputs(key)[0].failing_since is not None
    emulator.change_job(world.task(key), missing=False)
    assert world.rescue(key) == ["stored"]
    assert world.outputs(key)[0].failing_since is None


def test_when_fresh_links_do_not_work_either_patience_ends_after_days(world: World) -> None:
    key = world.finished("never there [emulator: missing=true]")
    world.rescue(key)
    week_ago = utc_now() - timedelta(days=8)

    def make_old(session: Any) -> None:
        session.get(Output, world.outputs(key)[0].id).failing_since = week_ago

    world.edit(make_old)
    assert world.rescue(key) == ["lost"]
    assert world.status(key) is GenerationStatus.EXPIRED


def test_what_source_and_provider_both_say_is_gone_is_lost_before_its_link_dies(
    world: World, emulator: Emulator
) -> None:
    key = world.finished("both say so [emulator: missing=true, refresh=gone]")
    assert world.rescue(key) == ["lost"]
    output = world.outputs(key)[0]
    assert output.deadline_at is None or output.deadline_at > utc_now()
    assert output.reason == Reason.SOURCE_GONE
    emulator.change_job(world.task(key), missing=False)
    retry_generation(world.services.catalog, key)
    assert world.rescue(key) == ["stored"], "by the link that was kept"
    world.assert_nothing_lost_or_doubled()


def test_what_a_person_gives_up_is_not_lost_and_keeps_no_link(world: World) -> None:
    waits = world.finished("not wanted any more [emulator: missing=true]")
    world.rescue(waits)
    given_up = give_up_outputs(world.services.catalog, waits, why="the campaign was cancelled")
    assert (given_up.status, given_up.error_message) == ("cancelled", "the campaign was cancelled")
    [output] = world.outputs(waits)
    assert (output.state, output.temporary_url) == (MediaState.GIVEN_UP, None)
    assert world.rescue(waits) == ["given_up"]
    lost = world.finished("too late [emulator: dead_links=99, refresh=gone]")
    world.rescue(lost)
    assert give_up_outputs(world.services.catalog, lost).status == GenerationStatus.CANCELLED
    with pytest.raises(NotPossible, match="no file that is lost or waits"):
        give_up_outputs(world.services.catalog, lost)
    retry_generation(world.services.catalog, waits)
    assert world.rescue(waits) == ["waiting"]


def test_a_worker_that_has_what_is_given_up_in_hand_cannot_commit_it(world: World) -> None:
    key = world.finished("given up meanwhile")

    def observer(seen: Step, _output: str) -> None:
        if seen is Step.VERIFIED:
            give_up_outputs(world.services.catalog, key)

    assert with_parts(world, observer=observer).rescue(key) == ["skipped"]
    assert world.outputs(key)[0].state == MediaState.GIVEN_UP
    assert world.status(key) is GenerationStatus.CANCELLED
    assert world.objects() == []


def test_a_truncated_download_succeeds_on_a_later_try(world: World) -> None:
    key = world.finished("cut off [emulator: truncate_first=1]")
    assert world.rescue(key, patience=timedelta(seconds=20)) == ["stored"]
    world.assert_nothing_lost_or_doubled()


def test_a_web_page_called_video_is_refused_and_tried_again(world: World) -> None:
    key = world.finished("fooled [emulator: wrong_type_first=1]")
    assert world.rescue(key) == ["waiting"]
    output = world.outputs(key)[0]
    assert output.reason == Reason.BAD_CONTENT
    assert output.next_attempt_at is not None
    assert world.status(key) is GenerationStatus.STORING
    assert world.rescue(key) == ["stored"]


def test_the_next_try_comes_before_the_link_dies(world: World) -> None:
    key = world.finished("soon dead [emulator: link_ttl=6, missing=true]")
    world.rescue(key)
    output = world.outputs(key)[0]
    if output.state == MediaState.PENDING:
        assert output.next_attempt_at is not None
        assert output.deadline_at is not None
        assert output.next_attempt_at < max(output.deadline_at, utc_now() + timedelta(seconds=6))


def test_partial_success_is_kept_and_the_rest_is_tried_again(world: World, emulator: Emulator) -> None:
    key = world.finished("pair", versions=2)
    second = world.jobs(key)[1].task_id
    assert second is not None
    emulator.change_job(second, wrong_type_first=1)
    assert sorted(world.rescue(key)) == ["stored", "waiting"]
    assert world.status(key) is GenerationStatus.STORING
    assert sorted(world.rescue(key)) == ["skipped", "stored"]
    assert world.status(key) is GenerationStatus.COMPLETED


class FailingStorage:
    """A real store whose operation ``fails`` raises as a broken one does, until it is mended."""

    def __init__(self, inner: Any, fails: str) -> None:
        self.inner, self.fails = inner, fails
        self.broken = True

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if name == self.fails and self.broken:

            def broken(*_: object, **__: object) -> Any:
                if name == "read_back":
                    raise StorageFailed("the store returned other bytes")
                raise StorageFailed("the store did not answer")

            return broken
        return found

    def put(self, key: str, source: Path, **more: Any) -> StoredObject:
        if self.fails == "put" and self.broken:
            raise StorageFailed("no space left in the bucket")
        return self.inner.put(key, source, **more)  # type: ignore[no-any-return]


@pytest.mark.parametrize("operation", ["put", "read_back"])
def test_a_failing_store_leaves_nothing_behind_and_is_tried_again(world: World, operation: str) -> None:
    key = world.finished(f"broken store {operation}")
    storage = FailingStorage(world.services.storage, operation)
    broken = with_parts(world, storage=storage)
    assert broken.rescue(key) == ["waiting"]
    assert world.outputs(key)[0].reason == Reason.STORAGE_FAILED
    assert world.objects() == []
    storage.broken = False
    assert broken.rescue(key) == ["stored"]
    world.assert_nothing_lost_or_doubled()


def test_a_store_that_is_down_for_long_never_makes_us_give_up(world: World) -> None:
    key = world.finished("patience")
    broken = with_parts(world, storage=FailingStorage(world.services.storage, "put"))
    for _ in range(15):
        assert broken.rescue(key) == ["waiting"]
    assert world.rescue(key) == ["stored"]


def test_when_the_commit_fails_the_uploaded_object_is_removed(world: World) -> None:
    key = world.finished("no commit")
    catalog = world.services.catalog
    with catalog.engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER refuse BEFORE UPDATE OF state ON media_file WHEN NEW.state = 'stored' "
                "BEGIN SELECT RAISE(ABORT, 'the disk of the database is full'); END"
            )
        )
    assert world.rescue(key) == ["waiting"]
    assert world.outputs(key)[0].reason == Reason.DB_CONFLICT
    assert world.objects() == [], "rolled back"
    with catalog.engine.begin() as connection:
        connection.execute(text("DROP TRIGGER refuse"))
    assert world.rescue(key) == ["stored"]
    world.assert_nothing_lost_or_doubled()


@pytest.mark.parametrize("step", list(Step))
def test_an_exception_after_any_step_leaves_a_state_that_the_next_try_completes(world: World, step: Step) -> None:
    """Bugs and kills of a thread: whatever is raised where, nothing is half-saved and nothing is doubled."""
    key = world.finished(f"fault after {step} [emulator: dead_links=1]")

    def observer(seen: Step, _output: str) -> None:
        if seen is step:
            raise RuntimeError(f"injected after {step}")

    with pytest.raises(RuntimeError, match="injected"):
        with_parts(world, observer=observer).rescue(key)
    media = world.media(key)
    stored = [m for m in media if m.state == MediaState.STORED]
    assert len(stored) == (1 if step is Step.COMMITTED else 0)
    assert world.rescue(key) == ["skipped" if step is Step.COMMITTED else "stored"]
    assert world.status(key) is GenerationStatus.COMPLETED
    assert len(world.objects()) == 1
    world.assert_nothing_lost_or_doubled()


def test_what_a_cut_off_try_uploaded_is_adopted_instead_of_sent_again(world: World) -> None:
    key = world.finished("adopt me")

    def observer(seen: Step, _output: str) -> None:
        if seen is Step.STORED:
            raise RuntimeError("injected")

    with pytest.raises(RuntimeError):
        with_parts(world, observer=observer).rescue(key)
    seen: list[Step] = []
    again = with_parts(world, observer=lambda step, _: seen.append(step))
    assert again.rescue(key) == ["stored"]
    assert Step.STORED not in seen
    assert Step.READ_BACK in seen


def test_what_a_cut_off_try_stored_under_another_key_is_removed_when_the_key_changes(world: World) -> None:
    key = world.finished("another name for it")

    def observer(seen: Step, _output: str) -> None:
        if seen is Step.STORED:
            raise RuntimeError("injected")

    with pytest.raises(RuntimeError):
        with_parts(world, observer=observer).rescue(key)
    [before] = world.objects()
    settings = world.settings.model_copy(update={"key_template": "moved/{generation}/{index}.{ext}"})
    assert with_parts(world, settings=settings).rescue(key) == ["stored"]
    [after] = world.objects()
    assert before != after
    world.assert_nothing_lost_or_doubled()


def test_two_workers_at_once_download_once_and_store_once(world: World, emulator: Emulator) -> None:
    key = world.finished("a race [emulator: bytes_per_second=150000]")
    start = threading.Barrier(4)

    def work() -> list[str]:
        start.wait()
        return world.rescue(key)

    with ThreadPoolExecutor(4) as pool:
        results = [word for future in [pool.submit(work) for _ in range(4)] for word in future.result()]
    assert sorted(results) == ["skipped", "skipped", "skipped", "stored"]
    assert emulator.downloads(world.task(key)) == 1
    world.assert_nothing_lost_or_doubled()


def test_a_worker_that_slept_past_its_lease_cannot_commit(world: World) -> None:
    key = world.finished("slow worker")

    def observer(seen: Step, output_id: str) -> None:
        if seen is Step.READ_BACK:
            # Meanwhile the lease ran out and somebody else took it.
            world.edit(
                lambda session: session.execute(
                    text("UPDATE lease SET token = token + 1, holder = 'other' WHERE resource = :r"),
                    {"r": f"output:{output_id}"},
                )
            )

    assert with_parts(world, observer=observer).rescue(key) == ["skipped"]
    assert world.outputs(key)[0].state == MediaState.PENDING
    assert all(media.state == MediaState.PENDING for media in world.media(key))


def test_failures_carry_no_secret_into_the_catalog(world: World, emulator: Emulator) -> None:
    world.rescue(world.finished("a [emulator: dead_links=99, refresh=gone]"))
    world.rescue(world.finished("b [emulator: wrong_type_first=9]"))
    world.rescue(world.finished("a fox", provider="luma"))
    path = world.settings.home / "catalog.db"
    everything = b"".join(file.read_bytes() for file in path.parent.glob("catalog.db*"))
    for secret in emulator.issued_secrets():
        assert secret.encode() not in everything
