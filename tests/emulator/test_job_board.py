"""Time on the board of jobs: places, order, and the moment a job was finished."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from video_assets.emulator.jobs import Job, JobBoard, Phase
from video_assets.emulator.plans import JobPlan
from video_assets.emulator.videos import VideoOrder, VideoShelf

from .conftest import until


@pytest.fixture
def board(tmp_path: Path) -> Iterator[JobBoard]:
    made = JobBoard(VideoShelf(tmp_path / "videos"), time_scale=1.0, concurrency={"p": 2})
    yield made
    made.close()


def put(board: JobBoard, **plan: float) -> Job:
    changed = JobPlan(seconds=0.1, queue_seconds=0).changed(plan)
    paths = [("video", "/media/p/{id}.mp4")]
    return board.create("p", "m", "x", {}, changed, cost=1, size=(64, 64), seconds=1, paths=paths)  # type: ignore[arg-type]


def test_waiting_jobs_start_when_a_place_became_free_not_when_somebody_looked(board: JobBoard) -> None:
    jobs = [put(board, run_seconds=0.3) for _ in range(6)]
    until(lambda: board.look(jobs[-1])[0], lambda phase: phase is Phase.SUCCEEDED)
    for job in jobs:
        assert board.look(job)[0] is Phase.SUCCEEDED
    starts = [(job.started_at or 0) - (jobs[0].started_at or 0) for job in jobs]
    assert starts[:2] == pytest.approx([0, 0], abs=0.1)
    assert starts[2:4] == pytest.approx([0.3, 0.3], abs=0.1)
    assert starts[4:] == pytest.approx([0.6, 0.6], abs=0.1)


def test_stopping_a_waiting_job_lets_it_never_run(board: JobBoard) -> None:
    jobs = [put(board, run_seconds=600) for _ in range(3)]
    assert board.look(jobs[2])[0] is Phase.THROTTLED
    board.stop(jobs[2], Phase.CANCELLED)
    board.stop(jobs[0], Phase.FAILED, "INTERNAL")
    assert [board.look(job)[0] for job in jobs] == [Phase.FAILED, Phase.RUNNING, Phase.CANCELLED]
    assert board.active("p") == 1


def test_the_moment_of_finishing_is_the_providers_own(board: JobBoard) -> None:
    job = put(board, run_seconds=0.2)
    assert board.finished(job) is None
    until(lambda: board.look(job)[0], lambda phase: phase.settled)
    finished = board.finished(job)
    assert finished is not None
    assert job.created + timedelta(seconds=0.2) <= finished <= datetime.now(UTC)
    assert board.finished(job) == finished


def test_time_can_run_faster(tmp_path: Path) -> None:
    board = JobBoard(VideoShelf(tmp_path), time_scale=0.001, concurrency={"p": 2})
    job = put(board, queue_seconds=60, run_seconds=60)
    until(lambda: board.look(job)[0], lambda phase: phase is Phase.SUCCEEDED)
    board.close()


def test_a_video_is_rendered_once_however_many_ask_and_each_seed_differs(tmp_path: Path) -> None:
    shelf = VideoShelf(tmp_path)
    order = VideoOrder("seed", 160, 96, 0.5)
    found: list[tuple[str, int]] = []

    def ask() -> None:
        path = shelf.video(order)
        found.append((path.name, path.stat().st_mtime_ns))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    other = shelf.video(VideoOrder("another", 160, 96, 0.5))
    again = VideoShelf(tmp_path / "elsewhere").video(order)
    assert other.read_bytes() != shelf.video(order).read_bytes() == again.read_bytes()
    assert list(tmp_path.glob("*.part")) == []
