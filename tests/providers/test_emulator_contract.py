"""The providers against the emulator: whole lives of jobs, with everything that goes wrong on the way.

``polls=N`` in a prompt lets a job finish at its Nth status request, so that nothing here waits for a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import urllib3

from video_assets.emulator import Emulator
from video_assets.providers import get_provider
from video_assets.providers.base import (
    GenerationSpec,
    JobSnapshot,
    JobState,
    KeyRefused,
    OfferedOutput,
    OutputKind,
    Provider,
    ProviderError,
    RequestRefused,
    SubmissionUncertain,
    TaskUnknown,
)
from video_assets.settings import Settings

MODELS = {"runway": "gen4.5", "luma": "ray-2"}
MAX_POLLS = 10


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(port=0) as running:
        yield running


@pytest.fixture
def emulated(emulator: Emulator, settings_for: Callable[..., Settings]) -> Settings:
    return settings_for(
        emulator.runway_base_url,
        runway_api_key=emulator.runway_key,
        luma_base_url=emulator.luma_base_url,
        luma_api_key=emulator.luma_key,
    )


@pytest.fixture(params=sorted(MODELS))
def provider(request: pytest.FixtureRequest, emulated: Settings) -> Provider:
    return get_provider(request.param, emulated)


def spec(provider: Provider, scene: str, directives: str = "") -> GenerationSpec:
    plan = ", ".join(filter(None, ["polls=2", "seconds=0.5", directives]))
    return GenerationSpec(MODELS[provider.name], f"{scene} for {provider.name} [emulator: {plan}]")


def settle(provider: Provider, task_id: str) -> list[JobSnapshot]:
    """Every snapshot until the job is settled."""
    seen = []
    for _ in range(MAX_POLLS):
        seen.append(provider.poll(task_id))
        if seen[-1].state.settled:
            return seen
    raise AssertionError(f"still {seen[-1].raw_status} after {MAX_POLLS} polls")


def video_of(snapshot: JobSnapshot) -> OfferedOutput:
    return next(output for output in snapshot.outputs if output.kind is OutputKind.VIDEO)


def download(output: OfferedOutput) -> tuple[int, bytes]:
    response = urllib3.request("GET", output.url, retries=False)
    return response.status, response.data


def test_a_job_from_its_submission_to_a_video_that_plays(provider: Provider) -> None:
    started = datetime.now(UTC)
    submitted = provider.submit(spec(provider, "a happy boat"))
    assert submitted.state is JobState.QUEUED
    snapshots = settle(provider, submitted.task_id)
    done = snapshots[-1]
    assert JobState.RUNNING in {snapshot.state for snapshot in snapshots}
    assert done.state is JobState.SUCCEEDED
    assert done.task_id == submitted.task_id
    assert done.created_at is not None
    assert abs(done.created_at - started) < timedelta(seconds=30)
    status, body = download(video_of(done))
    assert status == 200
    assert body[4:8] == b"ftyp"


def test_costs_and_progress_are_told_where_the_provider_tells_them(emulated: Settings) -> None:
    runway = get_provider("runway", emulated)
    submitted = runway.submit(spec(runway, "a priced boat"))
    snapshots = settle(runway, submitted.task_id)
    assert submitted.estimated_cost == snapshots[-1].cost == 60
    assert any(s.progress is not None and 0 < s.progress < 1 for s in snapshots)


def test_several_versions_are_several_videos(emulated: Settings) -> None:
    runway = get_provider("runway", emulated)
    done = settle(runway, runway.submit(spec(runway, "three boats", "versions=3")).task_id)[-1]
    assert [(output.kind, output.index) for output in done.outputs] == [(OutputKind.VIDEO, n) for n in range(3)]
    assert len({output.url for output in done.outputs}) == 3


def test_a_poster_comes_beside_lumas_video(emulated: Settings) -> None:
    luma = get_provider("luma", emulated)
    done = settle(luma, luma.submit(spec(luma, "a boat with a poster")).task_id)[-1]
    assert [output.kind for output in done.outputs] == [OutputKind.VIDEO, OutputKind.THUMBNAIL]
    status, body = download(done.outputs[1])
    assert status == 200
    assert body.startswith(b"\xff\xd8")


def test_a_failure_is_told_in_the_providers_words(provider: Provider) -> None:
    submitted = provider.submit(spec(provider, "a sunk boat", "fail=SAFETY.INPUT.TEXT"))
    failed = settle(provider, submitted.task_id)[-1]
    assert failed.state is JobState.FAILED
    assert failed.failure_message
    assert not failed.failure_retryable
    assert not failed.outputs


def test_a_quality_failure_of_runway_may_work_next_time(emulated: Settings) -> None:
    runway = get_provider("runway", emulated)
    failed = settle(runway, runway.submit(spec(runway, "a blurry boat", "fail=INTERNAL.BAD_OUTPUT.01")).task_id)[
        -1
    ]
    assert failed.failure_code == "INTERNAL.BAD_OUTPUT.01"
    assert failed.failure_retryable


def test_asking_again_gives_a_link_that_works(provider: Provider) -> None:
    task_id = provider.submit(spec(provider, "a refreshed boat", "dead_links=1")).task_id
    dead = video_of(settle(provider, task_id)[-1])
    assert download(dead)[0] in (401, 403)
    fresh = video_of(provider.poll(task_id))
    assert fresh.url != dead.url
    assert download(fresh)[0] == 200


def test_a_job_that_the_provider_forgot_is_unknown(provider: Provider) -> None:
    task_id = provider.submit(spec(provider, "a forgotten boat", "refresh=gone")).task_id
    settle(provider, task_id)
    with pytest.raises(TaskUnknown):
        provider.poll(task_id)


def test_a_status_nobody_knows_is_waited_out(provider: Provider) -> None:
    task_id = provider.submit(spec(provider, "an odd boat", "polls=3, odd_status=MARINATING")).task_id
    snapshots = settle(provider, task_id)
    assert "MARINATING" in [snapshot.raw_status for snapshot in snapshots]
    assert snapshots[-1].state is JobState.SUCCEEDED


def test_broken_answers_do_not_end_a_job(provider: Provider) -> None:
    faults = "polls=5, poll_errors=1, garbage_first=1, html_first=1"
    task_id = provider.submit(spec(provider, "a garbled boat", faults)).task_id
    for _ in range(3):
        with pytest.raises(ProviderError) as caught:
            provider.poll(task_id)
        assert type(caught.value) is ProviderError
        assert caught.value.retryable
    assert settle(provider, task_id)[-1].state is JobState.SUCCEEDED


def test_too_many_requests_name_the_pause_and_take_nothing(provider: Provider) -> None:
    request = spec(provider, "a throttled boat", "submit_errors=1, submit_status=429, retry_after=7")
    with pytest.raises(ProviderError) as caught:
        provider.submit(request)
    assert type(caught.value) is ProviderError
    assert caught.value.retry_after == timedelta(seconds=7)
    assert provider.submit(request).state is JobState.QUEUED


def test_a_polite_refusal_of_a_poll_names_the_pause(provider: Provider) -> None:
    faults = "poll_errors=1, poll_status=429, retry_after=3"
    task_id = provider.submit(spec(provider, "a boat too often", faults)).task_id
    with pytest.raises(ProviderError) as caught:
        provider.poll(task_id)
    assert caught.value.retry_after == timedelta(seconds=3)


def test_a_lost_answer_is_cleared_up_where_the_provider_lists_its_jobs(
    emulated: Settings, emulator: Emulator
) -> None:
    luma = get_provider("luma", emulated)
    request = spec(luma, "a lost boat", "lose_submit=1")
    since = datetime.now(UTC)
    with pytest.raises(SubmissionUncertain):
        luma.submit(request)
    found = luma.find_submitted(request, since=since)
    assert found is not None
    assert settle(luma, found.task_id)[-1].state is JobState.SUCCEEDED
    assert luma.find_submitted(request, since=since, exclude=[found.task_id]) is None
    assert emulator.submits(request.prompt) == 1


def test_a_submission_that_never_became_a_job_is_not_found(emulated: Settings) -> None:
    luma = get_provider("luma", emulated)
    request = spec(luma, "a boat nobody took", "submit_errors=1, submit_status=500")
    since = datetime.now(UTC)
    with pytest.raises(SubmissionUncertain):
        luma.submit(request)
    assert luma.find_submitted(request, since=since) is None


def test_a_lost_answer_of_runway_stays_uncertain(emulated: Settings, emulator: Emulator) -> None:
    runway = get_provider("runway", emulated)
    request = spec(runway, "a lost boat", "lose_submit=1")
    since = datetime.now(UTC)
    with pytest.raises(SubmissionUncertain):
        runway.submit(request)
    with pytest.raises(SubmissionUncertain):
        runway.find_submitted(request, since=since)
    assert emulator.submits(request.prompt) == 1


def test_cancelling_stops_a_job_and_spares_a_finished_one(emulated: Settings) -> None:
    runway = get_provider("runway", emulated)
    running = runway.submit(spec(runway, "a cancelled boat", "polls=9")).task_id
    assert runway.cancel(running)
    with pytest.raises(TaskUnknown):
        runway.poll(running)
    with pytest.raises(TaskUnknown):
        runway.cancel(running)

    finished = runway.submit(spec(runway, "a boat cancelled too late")).task_id
    done = settle(runway, finished)[-1]
    assert not runway.cancel(finished)
    assert download(video_of(done))[0] == 200


def test_a_wrong_key_is_refused(
    provider: Provider, emulator: Emulator, settings_for: Callable[..., Settings]
) -> None:
    stranger = get_provider(
        provider.name, settings_for(emulator.runway_base_url, luma_base_url=emulator.luma_base_url)
    )
    with pytest.raises(KeyRefused):
        stranger.check_key()
    with pytest.raises(KeyRefused):
        stranger.submit(spec(provider, "a stranger's boat"))
    assert provider.check_key().endswith("left")


def test_an_unknown_model_is_refused_with_the_providers_own_list(provider: Provider) -> None:
    with pytest.raises(RequestRefused, match=MODELS[provider.name]):
        provider.submit(GenerationSpec("video-9000", "a boat from the future"))
