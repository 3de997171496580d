"""A provider that says it does not know a job: doubted, asked again, and believed only when it lasts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, update
from sqlmodel import select

from tests.world import World
from video_assets.catalog import GenerationStatus, JobStatus, ProviderJob
from video_assets.catalog.models import utc_now
from video_assets.emulator import Emulator
from video_assets.emulator.jobs import Phase
from video_assets.generations.control import cancel_generation, retry_generation
from video_assets.generations.following import poll_due_jobs
from video_assets.providers.base import ProviderError
from video_assets.transfer.rescue.target import LinkGone, LinkUnavailable

SHORT = timedelta(seconds=10)
"""A fifth of a second at the pace of these tests."""
LONG = timedelta(hours=10)


@pytest.fixture
def doubting(emulator: Emulator, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Opens installations over one catalog that differ in their settings."""
    opened: list[World] = []

    def open_world(**changes: Any) -> World:
        opened.append(World.open(emulator, tmp_path / "home", **{"unknown_job_patience": SHORT, **changes}))
        return opened[-1]

    yield open_world
    for world in opened:
        world.services.catalog.close()


@contextmanager
def host_that_answers(status: int, body: bytes, content_type: str = "application/json") -> Iterator[str]:
    """A real server that answers everything alike: a wrong host, a captive portal, another API."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


NOT_FOUND = b'{"error": "The task was not found."}'


def all_jobs(world: World, keys: list[str]) -> list[ProviderJob]:
    return [job for key in keys for job in world.jobs(key)]


def _fewest_unknown_answers(world: World) -> int:
    with world.services.catalog.read() as session:
        return session.exec(select(func.min(ProviderJob.unknown_answers))).one()


def ask_now(world: World) -> None:
    """Poll, whatever pause the last answer asked for."""
    past = utc_now() - timedelta(seconds=1)
    world.edit(lambda session: session.execute(update(ProviderJob).values(next_poll_at=past)))
    world.poll()


def keep_asking(world: World, key: str, done: Callable[[ProviderJob], object]) -> ProviderJob:
    """Ask about the generation's only job until ``done``."""
    world.until(lambda: world.poll() or done(world.jobs(key)[-1]))  # type: ignore[func-returns-value]
    return world.jobs(key)[-1]


def forget(emulator: Emulator, task: str, forgotten: bool = True) -> None:
    """Make the provider forget a job, or remember it."""
    emulator.job(task).deleted = forgotten


# -- many at once ---------------------------------------------------------------------------------------------


def test_a_wrong_host_that_knows_none_of_fifty_jobs_ends_none_of_them(
    doubting: Callable[..., World], emulator: Emulator
) -> None:
    right = doubting()
    keys = [right.request(f"one of many {number} [emulator: run_seconds=1, seconds=1]") for number in range(50)]
    for key in keys:
        right.submit(key)
    with host_that_answers(404, NOT_FOUND) as address:
        wrong = doubting(runway_base_url=address)
        stop_at = time.monotonic() + 120
        while _fewest_unknown_answers(right) < 4:
            assert time.monotonic() < stop_at
            report = poll_due_jobs(
                right.services.catalog, wrong.services.provider, wrong.settings, budget_seconds=5
            )
            assert not report.outcomes or report.all_failed
    jobs = all_jobs(right, keys)
    assert all(utc_now() - (job.unknown_since or utc_now()) > timedelta(seconds=0.2) for job in jobs)
    assert {job.status for job in jobs} <= {JobStatus.QUEUED, JobStatus.RUNNING}
    assert sum("not believed" in (job.failure_message or "") for job in jobs) > 40
    assert "right address" in (jobs[0].failure_message or "")
    assert {right.status(key) for key in keys} == {GenerationStatus.PROCESSING}
    assert right.generation(keys[0]).reason == "provider_error"
    right.until(
        lambda: right.poll() or {right.status(key) for key in keys} == {GenerationStatus.STORING},  # type: ignore[func-returns-value]
        seconds=120,
    )
    assert all(job.unknown_since is None for job in all_jobs(right, keys))
    assert right.generation(keys[0]).error_message is None
    assert right.rescue(keys[0]) == ["stored"]
    assert right.status(keys[0]) is GenerationStatus.COMPLETED
    assert len(emulator.jobs_of(emulator.job(jobs[0].task_id or "").prompt)) == 1


def test_jobs_that_a_provider_knows_bear_witness_against_the_one_it_forgot(
    doubting: Callable[..., World], emulator: Emulator
) -> None:
    world = doubting()
    others = [world.request(f"remembered {number} [emulator: run_seconds=9999]") for number in range(3)]
    key = world.request("forgotten [emulator: run_seconds=9999]")
    for one in (*others, key):
        world.submit(one)
    task = world.task(key)
    forget(emulator, task)
    first = keep_asking(world, key, lambda job: job.unknown_answers)
    assert first.status in (JobStatus.QUEUED, JobStatus.RUNNING)
    job = keep_asking(world, key, lambda job: job.status is JobStatus.ABANDONED)
    assert job.unknown_answers >= 3
    generation = world.generation(key)
    assert generation.status is GenerationStatus.EXPIRED
    assert generation.reason == "source_gone"
    assert task in str(generation.evidence)
    assert {world.status(one) for one in others} == {GenerationStatus.PROCESSING}


# -- one at a time --------------------------------------------------------------------------------------------


def test_a_job_that_its_provider_does_not_know_yet_is_found_a_moment_later(
    doubting: Callable[..., World],
) -> None:
    """A replica that lags behind the one that took the job."""
    world = doubting(unknown_job_patience=timedelta(hours=1))
    key = world.request("too early [emulator: poll_errors=4, poll_status=404]")
    world.submit(key)
    world.follow(key)
    assert world.status(key) is GenerationStatus.STORING
    assert world.jobs(key)[0].unknown_since is None


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [
        (401, b'{"error": "bad key"}', "application/json"),
        (403, b"<html>403 Forbidden</html>", "text/html"),
        (404, b"<html>404: nginx</html>", "text/html"),
        (410, b'{"error": "gone"}', "application/json"),
        (200, b"<html>Welcome! Accept the terms to use this network.</html>", "text/html"),
        (200, b"[]", "application/json"),
        (200, b'{"data": []}', "application/json"),
        (200, b'{"id": "another", "status": "FAILED"}', "application/json"),
        (400, b'{"error": "this API version was retired"}', "application/json"),
    ],
)
def test_no_single_answer_that_is_not_about_the_job_ends_it(
    doubting: Callable[..., World], status: int, body: bytes, content_type: str
) -> None:
    world = doubting(unknown_job_patience=LONG)
    key = world.request("asked in the wrong place [emulator: run_seconds=0]")
    world.submit(key)
    with host_that_answers(status, body, content_type) as address:
        wrong = doubting(unknown_job_patience=LONG, runway_base_url=address)
        for _ in range(5):
            ask_now(wrong)
    assert world.jobs(key)[0].poll_failures == 5
    assert world.generation(key).reason == "provider_error", "where a person looks, the trouble is told"
    ask_now(world)
    world.follow(key)
    assert world.status(key) is GenerationStatus.STORING


def test_a_provider_that_is_not_known_here_any_more_holds_up_no_other_job(doubting: Callable[..., World]) -> None:
    world = doubting()
    key = world.request("follows on")
    other = world.request("of a provider that was removed [emulator: run_seconds=9999]")
    for one in (key, other):
        world.submit(one)
    world.edit(
        lambda session: session.execute(
            update(ProviderJob).where(ProviderJob.generation_id == other).values(provider="sora")  # type: ignore[arg-type]
        )
    )
    world.follow(key)
    assert world.status(key) is GenerationStatus.STORING
    assert "no provider 'sora'" in (world.jobs(other)[0].failure_message or "")


# -- asking again ---------------------------------------------------------------------------------------------


def abandoned(world: World, emulator: Emulator, prompt: str) -> str:
    """A generation whose only job was finished, and forgotten until that was believed."""
    key = world.request(prompt)
    world.submit(key)
    world.until(lambda: emulator.phase(world.task(key)) is Phase.SUCCEEDED)
    forget(emulator, world.task(key))
    keep_asking(world, key, lambda job: job.status is JobStatus.ABANDONED)
    assert world.status(key) is GenerationStatus.EXPIRED
    return key


def test_a_retry_asks_again_for_free_and_brings_the_job_back(
    doubting: Callable[..., World], emulator: Emulator
) -> None:
    world = doubting()
    key = abandoned(world, emulator, "mislaid")
    assert retry_generation(world.services.catalog, key).status is GenerationStatus.PROCESSING
    world.until(lambda: world.poll() or world.status(key) is GenerationStatus.EXPIRED)  # type: ignore[func-returns-value]
    forget(emulator, world.task(key), forgotten=False)
    retry_generation(world.services.catalog, key)
    world.follow(key)
    assert world.rescue(key) == ["stored"]
    assert world.status(key) is GenerationStatus.COMPLETED
    assert len(emulator.jobs_of("mislaid")) == 1
    assert [job.try_number for job in world.jobs(key)] == [1]


def test_only_a_person_who_says_so_pays_again(doubting: Callable[..., World], emulator: Emulator) -> None:
    world = doubting()
    key = abandoned(world, emulator, "paid again")
    assert retry_generation(world.services.catalog, key, resubmit=True).status is GenerationStatus.QUEUED
    world.submit(key)
    assert len(emulator.jobs_of("paid again")) == 2
    assert world.jobs(key)[0].next_poll_at is None, "the forgotten one is let go"


def test_a_job_that_was_abandoned_is_asked_about_again_by_itself(
    doubting: Callable[..., World], emulator: Emulator
) -> None:
    world = doubting()
    key = abandoned(world, emulator, "found by itself")
    ask_now(world)
    assert world.status(key) is GenerationStatus.EXPIRED
    assert world.jobs(key)[0].next_poll_at is not None
    forget(emulator, world.task(key), forgotten=False)
    ask_now(world)
    assert world.status(key) is GenerationStatus.STORING
    assert world.rescue(key) == ["stored"]


def test_a_job_that_was_abandoned_at_its_deadline_is_asked_about_before_it_is_paid_again(
    doubting: Callable[..., World], emulator: Emulator
) -> None:
    world = doubting()
    key = world.request("slow [emulator: run_seconds=20]")
    world.submit(key)
    past = utc_now() - timedelta(seconds=1)
    times = {"submitted_at": past - timedelta(days=1), "deadline_at": past, "next_poll_at": past}
    world.edit(lambda session: session.execute(update(ProviderJob).values(**times)))
    world.poll()
    assert world.status(key) is GenerationStatus.FAILED
    assert world.jobs(key)[0].status is JobStatus.ABANDONED
    retry_generation(world.services.catalog, key)
    world.follow(key)
    assert world.status(key) is GenerationStatus.STORING
    assert len(emulator.jobs_of("slow [emulator: run_seconds=20]")) == 1


# -- fresh links ----------------------------------------------------------------------------------------------


def test_a_fresh_link_is_given_up_only_when_the_job_stays_unknown(
    doubting: Callable[..., World], emulator: Emulator
) -> None:
    world = doubting()
    key = world.finished("its link dies")
    output = world.outputs(key)[0].id
    links = world.services.rescuer.links
    assert links is not None
    forget(emulator, world.task(key))
    with pytest.raises(LinkUnavailable, match="said once"):
        links.refresh(output)
    forget(emulator, world.task(key), forgotten=False)
    links.refresh(output)
    assert world.jobs(key)[0].unknown_since is None
    forget(emulator, world.task(key))
    for _ in range(2):
        with pytest.raises(LinkUnavailable):
            links.refresh(output)
    time.sleep(0.25)
    with pytest.raises(LinkGone, match="said 3 times"):
        links.refresh(output)


def test_a_wrong_host_does_not_make_fresh_links_impossible(doubting: Callable[..., World]) -> None:
    world = doubting()
    outputs = [world.outputs(world.finished(f"their links die {number}"))[0].id for number in range(4)]
    with host_that_answers(404, NOT_FOUND) as address:
        wrong = doubting(runway_base_url=address).services.rescuer.links
        assert wrong is not None
        stop_at = time.monotonic() + 1
        while time.monotonic() < stop_at:
            for output in outputs:
                with pytest.raises(LinkUnavailable):
                    wrong.refresh(output)
    assert world.services.rescuer.links is not None
    for output in outputs:
        world.services.rescuer.links.refresh(output)


# -- cancelling -----------------------------------------------------------------------------------------------


def cancel(world: World, key: str) -> GenerationStatus:
    return GenerationStatus(cancel_generation(world.services.catalog, key, world.services.provider).status)


def test_a_cancellation_that_met_a_wrong_host_is_not_called_a_stop_and_the_job_can_be_had_back(
    doubting: Callable[..., World], emulator: Emulator
) -> None:
    world = doubting()
    key = world.request("cancelled in the wrong place")
    world.submit(key)
    with host_that_answers(404, NOT_FOUND) as address:
        assert cancel(doubting(runway_base_url=address), key) is GenerationStatus.CANCELLED
    job = world.jobs(key)[0]
    assert job.status is JobStatus.ABANDONED
    assert "may still be charged" in (job.failure_message or "")
    retry_generation(world.services.catalog, key)
    world.follow(key)
    assert world.status(key) is GenerationStatus.STORING
    assert len(emulator.jobs_of("cancelled in the wrong place")) == 1


def test_after_a_cancellation_that_could_not_stop_the_job_a_retry_pays_nothing(
    doubting: Callable[..., World], emulator: Emulator
) -> None:
    world = doubting()
    key = world.request("cancelled, but made", provider="luma")
    world.submit(key)
    assert cancel(world, key) is GenerationStatus.CANCELLED
    retry_generation(world.services.catalog, key)
    world.follow(key)
    assert set(world.rescue(key)) == {"stored"}
    assert world.status(key) is GenerationStatus.COMPLETED
    assert len(emulator.jobs_of("cancelled, but made")) == 1


def test_a_cancellation_while_the_request_is_on_its_way_stops_the_job_once_it_is_known(
    doubting: Callable[..., World], emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = doubting()
    key = world.request("cancelled on the way [emulator: run_seconds=9999]")
    provider = world.services.provider("runway")
    send = provider.submit

    def submit(spec: Any) -> Any:
        answer = send(spec)
        assert cancel(world, key) is GenerationStatus.QUEUED
        return answer

    monkeypatch.setattr(provider, "submit", submit)
    world.submit(key)
    assert world.status(key) is GenerationStatus.CANCELLED
    assert world.jobs(key)[0].status is JobStatus.CANCELLED
    assert emulator.job(world.task(key)).deleted


def test_a_cancellation_that_died_before_it_reached_the_provider_is_passed_on_later(
    doubting: Callable[..., World], emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = doubting()
    key = world.request("killed while cancelling [emulator: run_seconds=9999]")
    world.submit(key)

    def killed(task_id: str) -> bool:
        raise ProviderError("the process died here")

    with monkeypatch.context() as patched:
        patched.setattr(world.services.provider("runway"), "cancel", killed)
        with pytest.raises(ProviderError):
            cancel(world, key)
    assert world.status(key) is GenerationStatus.PROCESSING
    ask_now(world)
    assert world.status(key) is GenerationStatus.CANCELLED
    assert emulator.job(world.task(key)).deleted


def test_a_retry_takes_back_a_cancellation_that_has_not_taken_effect(
    doubting: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = doubting()
    key = world.request("changed my mind")
    world.submit(key)

    def away(task_id: str) -> bool:
        raise ProviderError("cannot be reached")

    with monkeypatch.context() as patched:
        patched.setattr(world.services.provider("runway"), "cancel", away)
        with pytest.raises(ProviderError):
            cancel(world, key)
    retry_generation(world.services.catalog, key)
    world.follow(key)
    assert world.status(key) is GenerationStatus.STORING
