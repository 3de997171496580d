"""Luma's own words, in and out, and how a lost answer is cleared up by its listing."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

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
)
from video_assets.providers.luma import Luma, build_request, parse_task
from video_assets.settings import Settings

from .strategies import json_objects, specs, unhurried
from .wire import Act, Request, Wire, answer

VIDEO = "https://storage.cdn-luma.com/dream-machine/u/v.mp4"
POSTER = "https://storage.cdn-luma.com/dream-machine/u/p.jpg"


def spec(prompt: str = "a paper boat in rain", model: str = "ray-2", **parameters: Any) -> GenerationSpec:
    return GenerationSpec(model, prompt, parameters)


# -- requests ------------------------------------------------------------------------------------------------


def test_a_request_is_the_spec_in_lumas_words() -> None:
    keyframes = {"frame0": {"type": "image", "url": "https://cdn.example.com/a.jpg"}}
    assert build_request(spec(aspectRatio="9:16", duration=5, loop=False, keyframes=keyframes)) == (
        "/generations/video",
        {
            "model": "ray-2",
            "prompt": "a paper boat in rain",
            "aspect_ratio": "9:16",
            "duration": "5s",
            "loop": False,
            "keyframes": keyframes,
        },
    )


def test_nothing_is_asked_for_that_nobody_asked_for() -> None:
    assert build_request(spec())[1] == {"model": "ray-2", "prompt": "a paper boat in rain"}


@pytest.mark.parametrize(
    ("prompt", "words"),
    [("", "empty"), ("  \n", "empty"), ("ab", "2 characters"), ("x" * 5001, "5001 characters")],
)
def test_prompts_luma_would_certainly_refuse(prompt: str, words: str, wire: Wire, settings: Settings) -> None:
    with pytest.raises(RequestRefused, match=words):
        Luma(settings).submit(spec(prompt))
    assert wire.connections == 0


def test_an_emoji_is_one_character(settings: Settings) -> None:
    luma = Luma(settings)
    assert luma.prompt_length("🎬") == 1
    assert luma.prompt_limit("ray-2") == 5000
    luma.validate(spec("🎬" * 5000))


@unhurried
@given(specs)
def test_building_a_request_refuses_or_builds_and_never_changes_the_spec(request: GenerationSpec) -> None:
    before = copy.deepcopy(request.parameters)
    try:
        path, body = build_request(request)
    except RequestRefused:
        pass
    else:
        assert path == "/generations/video"
        assert (body["model"], body["prompt"]) == (request.model, request.prompt)
    assert request.parameters == before


# -- answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("queued", JobState.QUEUED),
        ("dreaming", JobState.RUNNING),
        ("DREAMING", JobState.RUNNING),
        ("failed", JobState.FAILED),
        ("upscaling", JobState.RUNNING),
        (None, JobState.QUEUED),
    ],
)
def test_states(word: str | None, state: JobState) -> None:
    assert parse_task({"id": "g", "state": word}).state is state


@unhurried
@given(st.text(min_size=1))
def test_a_state_nobody_knows_keeps_the_job_running(word: str) -> None:
    if word.strip().lower() not in {"queued", "dreaming", "completed", "failed"}:
        assert not parse_task({"id": "g", "state": word}).state.settled


def test_a_completed_generation_offers_its_video_and_its_poster() -> None:
    snapshot = parse_task(
        {
            "id": "g",
            "state": "completed",
            "created_at": "2026-11-20T10:00:00Z",
            "assets": {"video": VIDEO, "image": POSTER, "progress_video": "https://storage.cdn-luma.com/x.mp4"},
        }
    )
    assert [(o.kind, o.index, o.url) for o in snapshot.outputs] == [
        (OutputKind.VIDEO, 0, VIDEO),
        (OutputKind.THUMBNAIL, 0, POSTER),
    ]
    assert all(output.lifetime is None for output in snapshot.outputs), "no lifetime is documented"
    assert snapshot.progress is None


@pytest.mark.parametrize("assets", [None, {}, [], {"image": POSTER}, {"video": None}, {"video": "soon"}])
def test_completion_without_a_video_is_not_believed(assets: object) -> None:
    with pytest.raises(ProviderError, match="no video"):
        parse_task({"id": "g", "state": "completed", "assets": assets})


def test_a_failure_keeps_lumas_sentence_and_is_not_paid_for_again_by_itself() -> None:
    snapshot = parse_task({"id": "g", "state": "failed", "failure_reason": "Advanced prompt moderation failed"})
    assert snapshot.failure_message == "Advanced prompt moderation failed"
    assert not snapshot.failure_retryable


@unhurried
@given(json_objects)
def test_no_answer_whatsoever_breaks_the_reader(body: dict[str, Any]) -> None:
    try:
        snapshot = parse_task(body)
    except ProviderError:
        return
    assert bool(snapshot.outputs) == (snapshot.state is JobState.SUCCEEDED)
    assert "eyJ" not in repr(snapshot)


# -- calls ---------------------------------------------------------------------------------------------------


def test_luma_is_a_provider(settings: Settings) -> None:
    assert isinstance(Luma(settings), Provider)


def test_luma_cannot_cancel_and_does_not_pretend_to(wire: Wire, settings: Settings) -> None:
    luma = Luma(settings)
    assert not luma.can_cancel
    assert luma.cancel("g-1") is False
    assert wire.connections == 0


def test_an_answer_about_another_generation_is_not_taken_for_ours(wire: Wire, settings: Settings) -> None:
    wire.script = [answer(200, {"id": "g-2", "state": "failed"})]
    with pytest.raises(ProviderError, match="another generation"):
        Luma(settings).poll("g-1")


def test_a_working_key_tells_the_balance_in_dollars(wire: Wire, settings: Settings) -> None:
    wire.script = [answer(200, {"credit_balance": 1234.0})]
    assert Luma(settings).check_key() == "the key works, 12.34 USD left"
    assert wire.requests[0].path == "/dream-machine/v1/credits"


# -- a lost answer -------------------------------------------------------------------------------------------

SENT = datetime.now(UTC) - timedelta(minutes=5)


def listed(task_id: str, *, seconds: float = 1, prompt: str | None = None, **changes: Any) -> dict[str, Any]:
    """A generation in Luma's listing, created ``seconds`` after our submission."""
    request = {
        "model": "ray-2",
        "prompt": prompt or "a paper boat in rain",
        "generation_type": "video",
        "loop": None,
    }
    return {
        "id": task_id,
        "state": "dreaming",
        "generation_type": "video",
        "model": "ray-2",
        "created_at": (SENT + timedelta(seconds=seconds)).isoformat(),
        "request": {**request, **changes.pop("request", {})},
        **changes,
    }


def listing(
    generations: list[dict[str, Any]], *, has_more: bool = True, date: str | None = None
) -> Callable[[Request], Act]:
    headers = {"date": date} if date else {}

    def respond(request: Request) -> Act:
        query = parse_qs(urlsplit(request.path).query)
        offset, limit = int(query["offset"][0]), int(query["limit"][0])
        page = generations[offset : offset + limit]
        more = {"has_more": offset + limit < len(generations)} if has_more else {}
        return answer(200, {"generations": page, "count": len(page), **more}, **headers)

    return respond


def strangers(count: int) -> list[dict[str, Any]]:
    return [listed(f"s-{n}", seconds=-60 * n, prompt=f"something else {n}") for n in range(count)]


def found(settings: Settings, request: GenerationSpec | None = None, **arguments: Any) -> str | None:
    snapshot = Luma(settings).find_submitted(request or spec(), since=SENT, **arguments)
    return snapshot.task_id if snapshot else None


@pytest.mark.parametrize("order", ["newest first", "oldest first", "any order"])
@pytest.mark.parametrize("has_more", [True, False])
def test_a_lost_job_is_found_in_whatever_order_luma_lists(
    order: str, has_more: bool, wire: Wire, settings: Settings
) -> None:
    generations = sorted([*strangers(120), listed("g-1")], key=lambda g: str(g["created_at"]))
    if order == "newest first":
        generations.reverse()
    elif order == "any order":
        random.Random(7).shuffle(generations)
    wire.otherwise = listing(generations, has_more=has_more)
    assert found(settings) == "g-1"


def test_a_long_history_is_not_read_once_the_listing_has_passed_our_time(wire: Wire, settings: Settings) -> None:
    wire.otherwise = listing(strangers(10_000))
    assert found(settings) is None
    assert len(wire.requests) == 1


def test_a_history_that_proves_nothing_leaves_the_submission_uncertain(wire: Wire, settings: Settings) -> None:
    wire.otherwise = listing([listed(f"s-{n}", seconds=n, prompt="something else") for n in range(10_000)])
    with pytest.raises(SubmissionUncertain, match="too long"):
        found(settings)
    assert len(wire.requests) == 40


def test_a_job_that_was_never_taken_is_not_found(wire: Wire, settings: Settings) -> None:
    wire.otherwise = listing([])
    assert found(settings) is None


def test_nothing_is_asked_beyond_the_end_of_the_listing(wire: Wire, settings: Settings) -> None:
    wire.otherwise = listing([listed(f"s-{n}", seconds=n, prompt="something else") for n in range(51)])
    assert found(settings) is None
    assert len(wire.requests) == 2


@pytest.mark.parametrize(
    "other",
    [
        listed("g-0", seconds=-600),
        listed("g-0", prompt="a paper boat in snow"),
        listed("g-0", request={"model": "ray-flash-2"}),
        listed("g-0", generation_type="image"),
    ],
    ids=["earlier", "another prompt", "another model", "an image"],
)
def test_what_is_certainly_not_ours_is_passed_over(other: dict[str, Any], wire: Wire, settings: Settings) -> None:
    wire.otherwise = listing([other])
    assert found(settings) is None
    wire.otherwise = listing([other, listed("g-1")])
    assert found(settings) == "g-1"


@pytest.mark.parametrize(
    "other",
    [
        listed("g-0", request={"aspect_ratio": "1:1"}),
        listed("g-0", request={"keyframes": {"frame0": {"type": "image", "url": "https://a.example/b"}}}),
        listed("g-0", created_at=None),
        {**listed("g-0"), "request": None},
        {"id": "g-0", "state": "queued"},
    ],
    ids=["another ratio", "an image we did not send", "no time", "no request", "hardly anything"],
)
def test_what_may_be_ours_is_neither_adopted_nor_paid_for_again(
    other: dict[str, Any], wire: Wire, settings: Settings
) -> None:
    wire.otherwise = listing([other])
    with pytest.raises(SubmissionUncertain, match="may or may not"):
        found(settings, spec(aspect_ratio="16:9"))
    assert found(settings, spec(aspect_ratio="16:9"), exclude=["g-0"]) is None


def test_parameters_that_luma_does_not_echo_leave_no_doubt(wire: Wire, settings: Settings) -> None:
    wire.otherwise = listing([listed("g-1", request={"aspect_ratio": "16:9", "resolution": None})])
    assert found(settings, spec(aspect_ratio="16:9", resolution="720p", duration=5)) == "g-1"


def test_a_prompt_is_recognised_however_luma_writes_its_spaces_and_accents(
    wire: Wire, settings: Settings
) -> None:
    wire.otherwise = listing([listed("g-1", prompt="une scène à Paris")])
    assert found(settings, spec("  une sce\u0300ne\na\u0300  Paris ")) == "g-1"


def test_two_equal_lost_submissions_get_a_job_each(wire: Wire, settings: Settings) -> None:
    wire.otherwise = listing([listed("g-2", seconds=8), listed("g-1", seconds=2), listed("g-3", seconds=30)])
    assert found(settings) == "g-1"
    assert found(settings, exclude={"g-1"}) == "g-2"
    assert found(settings, exclude={"g-1", "g-2", "g-3"}) is None


@pytest.mark.parametrize("skew", [timedelta(hours=-3), timedelta(minutes=20)])
def test_a_wrong_clock_here_does_not_hide_the_job(skew: timedelta, wire: Wire, settings: Settings) -> None:
    """The server's own Date says how far the two clocks are apart."""
    created = (SENT + skew + timedelta(seconds=2)).isoformat()
    date = format_datetime(datetime.now(UTC) + skew, usegmt=True)
    wire.otherwise = listing([listed("g-1", created_at=created)], date=date)
    assert found(settings) == "g-1"


@pytest.mark.parametrize("body", [{}, {"generations": None}, {"generations": {"id": "g-1"}}])
def test_a_listing_that_is_none_proves_nothing(body: dict[str, Any], wire: Wire, settings: Settings) -> None:
    wire.script = [answer(200, body)]
    with pytest.raises(ProviderError, match="no generations"):
        found(settings)


def test_a_listing_that_cannot_be_read_proves_nothing(wire: Wire, settings: Settings) -> None:
    wire.script = [answer(503, {"detail": "busy"})]
    with pytest.raises(ProviderError) as caught:
        found(settings)
    assert caught.value.retryable
