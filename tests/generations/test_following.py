"""Following: what the provider says is written down, redacted, and never believed to be final too early."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text, update

from tests.world import World
from video_assets.catalog import GenerationStatus, JobStatus, ProviderJob
from video_assets.catalog.models import utc_now
from video_assets.emulator import Emulator
from video_assets.emulator.jobs import Phase
from video_assets.generations.following import poll_due_jobs


def test_progress_is_visible_while_the_provider_works(world: World) -> None:
    key = world.request("slow [emulator: run_seconds=30]")
    world.submit(key)
    world.until(lambda: world.poll() or 0 < world.generation(key).progress < 100)  # type: ignore[func-returns-value]


def test_an_unknown_status_word_keeps_it_running(world: World) -> None:
    key = world.request("odd [emulator: odd_status=PONDERING, run_seconds=20]")
    world.submit(key)
    world.until(lambda: world.poll() or world.jobs(key)[0].raw_status == "PONDERING")  # type: ignore[func-returns-value]
    assert world.jobs(key)[0].status == JobStatus.RUNNING
    world.follow(key)


def test_garbage_and_web_pages_from_the_provider_are_survived(world: World) -> None:
    for prompt in ("cut [emulator: garbage_first=2]", "page [emulator: html_first=2]"):
        key = world.request(prompt)
        world.submit(key)
        world.follow(key)
        assert world.status(key) is GenerationStatus.STORING


def test_a_failure_keeps_the_providers_code_and_sentence(world: World) -> None:
    key = world.request("refused [emulator: fail=SAFETY.INPUT.TEXT]")
    world.submit(key)
    world.follow(key)
    job = world.jobs(key)[0]
    assert job.failure_code == "SAFETY.INPUT.TEXT"
    assert not job.failure_retryable
    assert world.generation(key).status == GenerationStatus.FAILED


def test_a_job_that_never_settles_is_abandoned_at_its_deadline(world: World) -> None:
    key = world.request("for ever [emulator: run_seconds=99999]")
    world.submit(key)
    past = utc_now() - timedelta(seconds=1)
    world.edit(lambda session: session.execute(update(ProviderJob).values(deadline_at=past, next_poll_at=past)))
    world.poll()
    assert world.status(key) is GenerationStatus.FAILED
    assert "given up" in (world.generation(key).error_message or "")


def test_a_job_that_finished_during_an_outage_is_saved_even_past_its_deadline(
    world: World, emulator: Emulator
) -> None:
    key = world.request("finished while we slept")
    world.submit(key)
    world.until(lambda: emulator.phase(world.task(key)) is Phase.SUCCEEDED)
    past = utc_now() - timedelta(hours=1)
    world.edit(lambda session: session.execute(update(ProviderJob).values(deadline_at=past, next_poll_at=past)))
    world.follow(key)
    assert world.rescue(key) == ["stored"]


def test_the_temporary_url_is_kept_only_encrypted_with_its_deadline(world: World, emulator: Emulator) -> None:
    key = world.finished("encrypted")
    output = world.outputs(key)[0]
    assert output.deadline_at is not None
    assert output.source_scheme is not None
    assert output.temporary_url is not None
    token = output.temporary_url.partition("_jwt=")[2]
    with world.services.catalog.engine.connect() as connection:
        raw = connection.execute(text("SELECT temporary_url, source_redacted FROM output")).all()
    assert token not in str(raw)
    database = b"".join(path.read_bytes() for path in world.settings.home.glob("catalog.db*"))
    assert token.encode() not in database


def test_a_round_without_time_left_reports_what_it_did_not_reach(world: World) -> None:
    for number in range(3):
        world.submit(world.request(f"later {number}"))
    past = utc_now() - timedelta(seconds=1)
    world.edit(lambda session: session.execute(update(ProviderJob).values(next_poll_at=past)))
    report = poll_due_jobs(world.services.catalog, world.services.provider, world.settings, budget_seconds=0.0)
    assert report.due == 3
    assert report.out_of_time == 3


def test_a_job_the_provider_forgot_before_we_saw_its_output_is_expired_with_evidence(
    world: World, emulator: Emulator
) -> None:
    key = world.request("forgotten [emulator: refresh=gone]")
    world.submit(key)
    task = world.task(key)
    world.until(lambda: emulator.phase(task) is Phase.SUCCEEDED)
    world.services.provider("runway").poll(task)  # somebody else looked first; the next to ask is told 404
    world.follow(key)
    generation = world.generation(key)
    assert generation.status == GenerationStatus.EXPIRED
    assert task in str(generation.evidence)
