"""Runway's own words, in and out."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_assets.providers.base import (
    GenerationSpec,
    JobState,
    OutputKind,
    Provider,
    ProviderError,
    RequestRefused,
    SubmissionUncertain,
    TaskUnknown,
)
from video_assets.providers.runway import LINK_LIFETIME, Runway, build_request, parse_task, utf16_length
from video_assets.settings import Settings

from .strategies import json_objects, specs, unhurried
from .wire import Wire, answer

LINK = "https://dnznrvs05pmza.cloudfront.net/a.mp4?_jwt=eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl"


def spec(prompt: str = "a paper boat in rain", model: str = "gen4.5", **parameters: Any) -> GenerationSpec:
    return GenerationSpec(model, prompt, parameters)


# -- requests ------------------------------------------------------------------------------------------------


def test_text_to_video_fills_in_what_the_api_requires() -> None:
    assert build_request(spec()) == (
        "/v1/text_to_video",
        {"model": "gen4.5", "promptText": "a paper boat in rain", "ratio": "1280:720", "duration": 5},
    )


def test_what_is_given_wins_over_the_defaults() -> None:
    _, body = build_request(spec(ratio="720:1280", duration=10, seed=42))
    assert (body["ratio"], body["duration"], body["seed"]) == ("720:1280", 10, 42)


def test_veo_gets_no_duration_that_it_would_refuse() -> None:
    """Veo takes 4, 6 or 8 seconds and chooses by itself when it is not told."""
    _, body = build_request(spec(model="veo3.1"))
    assert body == {"model": "veo3.1", "promptText": "a paper boat in rain", "ratio": "1280:720"}


def test_a_model_nobody_here_knows_passes_through_untouched() -> None:
    path, body = build_request(spec("x" * 50_000, model="gen9", anything={"goes": True}))
    assert path == "/v1/text_to_video"
    assert body == {"model": "gen9", "promptText": "x" * 50_000, "anything": {"goes": True}}


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ({"promptImage": "https://cdn.example.com/a.png"}, "/v1/image_to_video"),
        ({"prompt_image": [{"uri": "https://cdn.example.com/a.png", "position": "first"}]}, "/v1/image_to_video"),
        ({"video_uri": "runway://abc"}, "/v1/video_to_video"),
        ({"promptVideo": "runway://abc", "promptImage": "runway://def"}, "/v1/video_to_video"),
        ({}, "/v1/text_to_video"),
    ],
)
def test_the_inputs_decide_the_endpoint(parameters: dict[str, Any], path: str) -> None:
    assert build_request(spec(**parameters))[0] == path


def test_both_spellings_mean_the_same() -> None:
    snake = build_request(spec(prompt_image="u", content_moderation={"public_figure_threshold": "low"}))
    assert snake == build_request(spec(promptImage="u", contentModeration={"publicFigureThreshold": "low"}))


def test_two_spellings_of_one_field_are_refused() -> None:
    with pytest.raises(RequestRefused, match="promptImage is given twice"):
        build_request(spec(prompt_image="a", promptImage="b"))


@pytest.mark.parametrize(
    "parameters", [{"promptText": "another"}, {"prompt_text": "another"}, {"model": "veo3.1"}]
)
def test_parameters_cannot_contradict_the_request(parameters: dict[str, Any]) -> None:
    with pytest.raises(RequestRefused, match="contradicts"):
        build_request(GenerationSpec("gen4.5", "a boat", parameters))


def test_the_prompt_is_counted_as_runway_counts_it() -> None:
    """An emoji is two UTF-16 code units, so five hundred of them are the most that gen4.5 takes."""
    assert utf16_length("🎬") == 2
    assert utf16_length("é") == 1
    build_request(spec("🎬" * 500))
    with pytest.raises(RequestRefused, match=r"1002 UTF-16 code units, gen4\.5 takes 1000"):
        build_request(spec("🎬" * 501))


@pytest.mark.parametrize(
    ("model", "limit"),
    [("gen4.5", 1000), ("gen4_turbo", 1000), ("veo3.1", 1000), ("seedance2_5", 15000), ("kling_4", None)],
)
def test_prompt_limits(model: str, limit: int | None, settings: Settings) -> None:
    assert Runway(settings).prompt_limit(model) == limit


@pytest.mark.parametrize("prompt", ["", "   ", "\n\t"])
def test_an_empty_prompt_is_refused_before_anything_is_sent(prompt: str, wire: Wire, settings: Settings) -> None:
    with pytest.raises(RequestRefused, match="prompt is empty"):
        Runway(settings).submit(spec(prompt))
    assert wire.connections == 0


def test_an_image_speaks_for_itself_where_the_model_allows_it() -> None:
    assert "promptText" not in build_request(spec("", model="gen4_turbo", promptImage="u"))[1]
    with pytest.raises(RequestRefused, match="prompt is empty"):
        build_request(spec("", model="gen4.5", promptImage="u"))


def test_a_request_without_a_model_is_refused() -> None:
    with pytest.raises(RequestRefused, match="needs a model"):
        build_request(spec(model=" "))


@unhurried
@given(specs)
def test_building_a_request_refuses_or_builds_and_never_changes_the_spec(request: GenerationSpec) -> None:
    before = copy.deepcopy(request.parameters)
    try:
        path, body = build_request(request)
    except RequestRefused:
        pass
    else:
        assert path in ("/v1/text_to_video", "/v1/image_to_video", "/v1/video_to_video")
        assert body["model"] == request.model
        assert body.get("promptText", request.prompt) == request.prompt
    assert request.parameters == before


# -- answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("PENDING", JobState.QUEUED),
        ("THROTTLED", JobState.QUEUED),
        ("RUNNING", JobState.RUNNING),
        ("running", JobState.RUNNING),
        ("CANCELLED", JobState.CANCELLED),
        ("Canceled", JobState.CANCELLED),
        ("FAILED", JobState.FAILED),
        ("POST_PROCESSING", JobState.RUNNING),
        ("", JobState.QUEUED),
        (None, JobState.QUEUED),
    ],
)
def test_states(status: str | None, state: JobState) -> None:
    snapshot = parse_task({"id": "t", "status": status})
    assert snapshot.state is state
    assert snapshot.raw_status == (status or "")


@unhurried
@given(st.text(min_size=1))
def test_a_status_nobody_knows_keeps_the_job_running(status: str) -> None:
    known = {"PENDING", "THROTTLED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "CANCELED"}
    if status.strip().upper() not in known:
        assert not parse_task({"id": "t", "status": status}).state.settled


def test_a_finished_task_in_full() -> None:
    snapshot = parse_task(
        {
            "id": "17f20503",
            "createdAt": "2026-11-20T10:00:00.000Z",
            "status": "SUCCEEDED",
            "output": [LINK],
            "cost": {"credits": 60},
        }
    )
    assert snapshot.created_at == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert snapshot.cost == 60
    (output,) = snapshot.outputs
    assert (output.kind, output.index, output.url) == (OutputKind.VIDEO, 0, LINK)
    assert output.lifetime == LINK_LIFETIME == timedelta(hours=24)
    assert not output.needs_provider_key
    assert "_jwt" not in repr(snapshot)


def test_several_outputs_are_told_apart_and_numbered() -> None:
    links = [f"https://h.example/{name}?_jwt=x" for name in ("a.mp4", "b.zip", "b.WAV", "c.mov", "d", "e.mp4")]
    outputs = parse_task({"id": "t", "status": "SUCCEEDED", "output": links}).outputs
    assert [(o.kind.value, o.index) for o in outputs] == [
        ("video", 0),
        ("archive", 0),
        ("audio", 0),
        ("video", 1),
        ("video", 2),
        ("video", 3),
    ]


@pytest.mark.parametrize(
    "output", [None, [], {}, "", [None], [LINK, 5], ["ftp://h/x"], ["https://["], [{"url": LINK}]]
)
def test_success_without_a_usable_output_is_not_believed(output: object) -> None:
    with pytest.raises(ProviderError) as caught:
        parse_task({"id": "t", "status": "SUCCEEDED", "output": output})
    assert caught.value.retryable
    assert "_jwt" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "retryable"),
    [
        ("SAFETY.INPUT.TEXT", False),
        ("SAFETY.OUTPUT.VIDEO", False),
        ("INTERNAL", True),
        ("INTERNAL.BAD_OUTPUT.CODE01", True),
        ("internal.bad_output", True),
        ("INTERNALISED", False),
        ("ASSET.INVALID", False),
        ("SOMETHING.NEW", False),
        (None, False),
        (7, False),
    ],
)
def test_which_failures_may_work_next_time(code: object, retryable: bool) -> None:
    snapshot = parse_task({"id": "t", "status": "FAILED", "failure": "no", "failureCode": code})
    assert snapshot.failure_retryable is retryable
    assert snapshot.failure_message == "no"


def test_a_failure_text_is_shown_without_the_links_in_it() -> None:
    snapshot = parse_task({"id": "t", "status": "FAILED", "failure": f"cannot read\n {LINK} at all"})
    assert snapshot.failure_message is not None
    assert LINK.partition("=")[2] not in snapshot.failure_message
    assert snapshot.failure_message.startswith("cannot read https://dnznrvs05pmza.cloudfront.net/a.mp4")
    assert snapshot.failure_message.endswith("at all")


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (0.42, 0.42),
        (0, 0.0),
        (1, 1.0),
        (42, 0.42),
        (100, 1.0),
        (101, None),
        (-1, None),
        ("0.5", None),
        (True, None),
    ],
)
def test_progress_is_from_zero_to_one(sent: object, read: float | None) -> None:
    assert parse_task({"id": "t", "status": "RUNNING", "progress": sent}).progress == read


@pytest.mark.parametrize("body", [{}, {"id": None}, {"id": ""}, {"id": []}, {"id": True}])
def test_an_answer_without_an_id_is_an_error(body: dict[str, Any]) -> None:
    with pytest.raises(ProviderError, match="without a task id"):
        parse_task(body)


@unhurried
@given(json_objects)
def test_no_answer_whatsoever_breaks_the_reader(body: dict[str, Any]) -> None:
    try:
        snapshot = parse_task(body)
    except ProviderError:
        return
    assert snapshot.progress is None or 0 <= snapshot.progress <= 1
    assert bool(snapshot.outputs) == (snapshot.state is JobState.SUCCEEDED)
    assert snapshot.created_at is None or snapshot.created_at.tzinfo is UTC
    assert "eyJ" not in repr(snapshot)


# -- calls ---------------------------------------------------------------------------------------------------


def test_runway_is_a_provider(settings: Settings) -> None:
    assert isinstance(Runway(settings), Provider)


def test_a_submission_is_queued_with_its_estimated_cost(wire: Wire, settings: Settings) -> None:
    wire.script = [answer(200, {"id": "t-1", "estimatedCost": {"credits": 60}})]
    snapshot = Runway(settings).submit(spec())
    assert (snapshot.task_id, snapshot.state, snapshot.estimated_cost) == ("t-1", JobState.QUEUED, 60)


def test_an_answer_about_another_task_is_not_taken_for_ours(wire: Wire, settings: Settings) -> None:
    wire.script = [answer(200, {"id": "t-2", "status": "FAILED"})]
    with pytest.raises(ProviderError, match="another task"):
        Runway(settings).poll("t-1")


@pytest.mark.parametrize("status", ["PENDING", "THROTTLED", "RUNNING", "NEW_WORD"])
def test_cancelling_what_is_under_way_deletes_the_task(status: str, wire: Wire, settings: Settings) -> None:
    wire.script = [answer(200, {"id": "t-1", "status": status}), answer(204)]
    assert Runway(settings).cancel("t-1")
    assert [(r.method, r.path) for r in wire.requests] == [("GET", "/v1/tasks/t-1"), ("DELETE", "/v1/tasks/t-1")]


@pytest.mark.parametrize(
    ("task", "accepted"),
    [
        ({"status": "SUCCEEDED", "output": [LINK]}, False),
        ({"status": "FAILED", "failure": "no"}, False),
        ({"status": "CANCELLED"}, True),
    ],
)
def test_a_finished_task_is_never_deleted_because_its_video_would_go_with_it(
    task: dict[str, Any], accepted: bool, wire: Wire, settings: Settings
) -> None:
    wire.script = [answer(200, {"id": "t-1", **task})]
    assert Runway(settings).cancel("t-1") is accepted
    assert [request.method for request in wire.requests] == ["GET"]


def test_a_finished_task_whose_answer_is_odd_is_not_deleted_either(wire: Wire, settings: Settings) -> None:
    wire.script = [answer(200, {"id": "t-1", "status": "SUCCEEDED", "output": "?"})]
    with pytest.raises(ProviderError):
        Runway(settings).cancel("t-1")
    assert [request.method for request in wire.requests] == ["GET"]


def test_a_task_that_vanishes_while_it_is_cancelled_is_stopped(wire: Wire, settings: Settings) -> None:
    wire.script = [answer(200, {"id": "t-1", "status": "RUNNING"}), answer(404, {"error": "not found"})]
    assert Runway(settings).cancel("t-1")


def test_a_task_that_is_not_known_is_not_called_stopped(wire: Wire, settings: Settings) -> None:
    wire.script = [answer(404, {"error": "not found"})]
    with pytest.raises(TaskUnknown):
        Runway(settings).cancel("t-1")


def test_a_cancellation_that_fails_says_so(wire: Wire, settings: Settings) -> None:
    wire.script = [answer(200, {"id": "t-1", "status": "RUNNING"}), answer(500, {"error": "boom"})]
    with pytest.raises(ProviderError) as caught:
        Runway(settings).cancel("t-1")
    assert not isinstance(caught.value, TaskUnknown)


def test_a_lost_submission_stays_uncertain_because_runway_lists_nothing(wire: Wire, settings: Settings) -> None:
    with pytest.raises(SubmissionUncertain, match="dashboard"):
        Runway(settings).find_submitted(spec(), since=datetime.now(UTC), exclude=["t-1"])
    assert wire.connections == 0


@pytest.mark.parametrize(
    ("body", "sentence"),
    [({"creditBalance": 12345}, "the key works, 12,345 credits left"), ({}, "the key works")],
)
def test_a_working_key_tells_the_balance(
    body: dict[str, Any], sentence: str, wire: Wire, settings: Settings
) -> None:
    wire.script = [answer(200, body)]
    assert Runway(settings).check_key() == sentence


def test_runway_is_asked_no_more_often_than_every_five_seconds() -> None:
    pauses = [Runway.poll_plan.pause_after(n).total_seconds() for n in range(20)]
    assert pauses[0] == 5
    assert pauses == sorted(pauses)
    assert pauses[-1] == 30
