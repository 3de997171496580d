"""Submission: each job is paid once, whatever is lost, killed or answered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import update

from tests.world import World
from video_assets.catalog import GenerationStatus, JobStatus, ProviderJob
from video_assets.catalog.models import utc_now
from video_assets.emulator import Emulator
from video_assets.generations import submission
from video_assets.generations.control import NotPossible, cancel_generation, retry_generation
from video_assets.generations.submission import SubmissionDelayed
from video_assets.providers.base import KeyRefused, Provider, SubmissionUncertain


def test_the_intent_is_in_the_catalog_before_the_request_leaves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = world.request("intent first")
    seen: list[str] = []
    provider = world.services.provider("runway")
    original = provider.submit

    def submit(spec: object) -> object:
        seen.extend(str(job.status) for job in world.jobs(key))
        return original(spec)  # type: ignore[arg-type]

    monkeypatch.setattr(provider, "submit", submit)
    world.submit(key)
    assert seen == ["intended"]
    assert world.jobs(key)[0].status in (JobStatus.QUEUED, JobStatus.RUNNING)


def test_submitting_again_sends_nothing(world: World, emulator: Emulator) -> None:
    key = world.request("sent once")
    world.submit(key)
    world.submit(key)
    assert len(emulator.jobs_of("sent once")) == 1


def test_many_processes_submitting_at_once_pay_once(world: World, emulator: Emulator) -> None:
    key = world.request("crowd")

    def work() -> None:
        with suppress(SubmissionDelayed):  # another one is at it
            world.submit(key)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: work(), range(6)))
    assert len(emulator.jobs_of("crowd")) == 1


def test_a_lost_answer_is_looked_for_in_the_providers_list_and_never_sent_again(
    world: World, emulator: Emulator
) -> None:
    prompt = "lost answer [emulator: lose_submit=1]"
    key = world.request(prompt, provider="luma")
    world.submit(key)
    assert len(emulator.jobs_of(prompt)) == 1
    world.follow(key)
    assert world.status(key) is GenerationStatus.STORING


def test_where_the_provider_cannot_be_searched_a_person_decides(world: World, emulator: Emulator) -> None:
    prompt = "lost for good [emulator: lose_submit=1]"
    key = world.request(prompt)
    with pytest.raises(SubmissionUncertain):
        world.submit(key)
    generation = world.generation(key)
    assert generation.status == GenerationStatus.FAILED
    assert generation.reason == "submission_unconfirmed"
    assert len(emulator.jobs_of(prompt)) == 1
    with pytest.raises(NotPossible, match="--resubmit"):
        retry_generation(world.services.catalog, key)
    assert retry_generation(world.services.catalog, key, resubmit=True).status == GenerationStatus.QUEUED
    world.submit(key)
    assert len(emulator.jobs_of(prompt)) == 2


@pytest.mark.parametrize("provider", ["luma", "runway"])
def test_a_process_killed_after_the_intent_never_causes_a_second_payment(
    world: World, emulator: Emulator, provider: str
) -> None:
    """The kill came right after the provider took the job, before its id was written."""
    prompt = f"killed in the middle {provider}"
    key = world.request(prompt, provider=provider)
    world.submit(key)
    world.edit(
        lambda session: session.execute(
            update(ProviderJob)
            .where(ProviderJob.generation_id == key)  # type: ignore[arg-type]
            .values(status="intended", task_id=None)
        )
    )
    world.edit(lambda session: _set_status(session, key, "queued"))
    if provider == "luma":
        world.submit(key)
        assert world.jobs(key)[0].task_id is not None
    else:
        with pytest.raises(SubmissionUncertain):
            world.submit(key)
        assert world.jobs(key)[0].status == JobStatus.UNCONFIRMED
    assert len(emulator.jobs_of(prompt)) == 1


def test_a_process_killed_before_the_request_left_is_sent_once_the_listing_proves_it(
    world: World, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = world.request("never left", provider="luma")
    world.edit(
        lambda session: session.execute(
            update(ProviderJob)
            .where(ProviderJob.generation_id == key)  # type: ignore[arg-type]
            .values(status="intended", intended_at=utc_now())
        )
    )
    with pytest.raises(SubmissionDelayed, match="not listed yet"):
        world.submit(key)
    assert len(emulator.jobs_of("never left")) == 0
    monkeypatch.setattr(submission, "RECONCILE_AFTER", timedelta(0))
    world.submit(key)
    assert len(emulator.jobs_of("never left")) == 1


def test_a_busy_provider_leaves_it_queued_and_nothing_is_paid(world: World, emulator: Emulator) -> None:
    prompt = "busy [emulator: submit_errors=1, submit_status=429, retry_after=3]"
    key = world.request(prompt)
    with pytest.raises(SubmissionDelayed) as delayed:
        world.submit(key)
    assert delayed.value.retry_after == timedelta(seconds=3)
    assert world.status(key) is GenerationStatus.QUEUED
    assert world.jobs(key)[0].status == JobStatus.PLANNED
    world.submit(key)
    assert len(emulator.jobs_of(prompt)) == 1


def test_a_refused_key_says_so_and_loses_nothing(world: World, emulator: Emulator) -> None:
    key = world.request("wrong key")
    wrong = World.open(emulator, world.settings.home, runway_api_key="key_wrong")
    with pytest.raises(KeyRefused):
        wrong.submit(key)
    generation = world.generation(key)
    assert generation.status == GenerationStatus.QUEUED
    assert generation.reason == "configuration"
    world.submit(key)
    assert world.status(key) is GenerationStatus.PROCESSING


def test_what_the_provider_refuses_fails_with_the_providers_own_sentence(world: World) -> None:
    key = world.request("odd ratio", parameters={"ratio": "1:7", "duration": 5})
    world.submit(key)
    generation = world.generation(key)
    assert generation.status == GenerationStatus.FAILED
    assert generation.reason == "provider_refused"
    assert generation.error_message


def test_a_failed_generation_may_be_tried_again_and_keeps_its_history(world: World) -> None:
    key = world.request("fails [emulator: fail=INTERNAL.BAD_OUTPUT.CODE01]")
    world.submit(key)
    world.follow(key)
    assert world.status(key) is GenerationStatus.FAILED
    assert world.generation(key).error_message
    retry_generation(world.services.catalog, key)
    assert world.status(key) is GenerationStatus.QUEUED
    world.submit(key)
    assert [job.try_number for job in world.jobs(key)] == [1, 2]


# -- cancelling ---------------------------------------------------------------------------------------------


def cancel(world: World, key: str) -> GenerationStatus:
    return GenerationStatus(cancel_generation(world.services.catalog, key, world.services.provider).status)


def test_cancelling_a_queued_generation_sends_nothing(world: World, emulator: Emulator) -> None:
    key = world.request("cancelled early")
    assert cancel(world, key) is GenerationStatus.CANCELLED
    world.submit(key)
    assert len(emulator.jobs_of("cancelled early")) == 0


def test_cancelling_at_the_provider_stops_the_job_there(world: World) -> None:
    key = world.request("cancelled late [emulator: run_seconds=9999]")
    world.submit(key)
    assert cancel(world, key) is GenerationStatus.CANCELLED
    assert world.jobs(key)[0].status == JobStatus.CANCELLED


def test_a_provider_that_cannot_stop_is_no_longer_followed_and_the_cost_is_said(world: World) -> None:
    key = world.request("unstoppable [emulator: run_seconds=9999]", provider="luma")
    world.submit(key)
    assert cancel(world, key) is GenerationStatus.CANCELLED
    assert "may still be charged" in (world.jobs(key)[0].failure_message or "")


def test_cancelling_what_is_generated_already_is_refused_because_it_is_paid(world: World) -> None:
    key = world.finished("too late to cancel")
    with pytest.raises(NotPossible, match="paid for"):
        cancel(world, key)
    world.rescue(key)
    with pytest.raises(NotPossible, match="completed already"):
        cancel(world, key)


def test_cancelling_twice_is_refused_politely(world: World) -> None:
    key = world.request("twice")
    cancel(world, key)
    with pytest.raises(NotPossible, match="cancelled already"):
        cancel(world, key)


def _set_status(session: object, key: str, status: str) -> None:
    from video_assets.catalog import Generation

    session.get_one(Generation, key).status = status  # type: ignore[attr-defined]


def test_every_provider_in_the_registry_keeps_the_protocol(world: World) -> None:
    for name in ("runway", "luma"):
        assert isinstance(world.services.provider(name), Provider)
