"""What we send is what the official SDKs send: the same method, path, JSON and identifying headers."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import lumaai
import pytest
import runwayml

from video_assets.providers.base import GenerationSpec
from video_assets.providers.luma import Luma
from video_assets.providers.runway import Runway
from video_assets.settings import Settings

from .conftest import LUMA_KEY, RUNWAY_KEY
from .wire import Request, Wire, answer

IMAGE = "https://cdn.example.com/a.png"
TASK = {
    "id": "t-1",
    "createdAt": "2026-11-20T10:00:00Z",
    "status": "RUNNING",
    "progress": 0.1,
    "state": "dreaming",
}


def essence(request: Request) -> dict[str, Any]:
    """What an API looks at; not the user agent, telemetry headers or the order of keys."""
    target = urlsplit(request.path)
    return {
        "method": request.method,
        "path": target.path,
        "query": parse_qs(target.query),
        "body": json.loads(request.body) if request.body else None,
        "type": request.headers.get("content-type") if request.body else None,
        **{name: request.headers.get(name) for name in ("authorization", "x-runway-version")},
    }


def assert_same(wire: Wire, sdk_call: Callable[[], object], our_call: Callable[[], object]) -> None:
    wire.otherwise = lambda request: answer(204) if request.method == "DELETE" else answer(200, TASK)
    sdk_call()
    theirs = essence(wire.requests[-1])
    assert theirs["authorization"]
    our_call()
    assert len(wire.requests) >= 2
    assert essence(wire.requests[-1]) == theirs


@pytest.fixture
def runway_sdk(wire: Wire) -> runwayml.RunwayML:
    return runwayml.RunwayML(api_key=RUNWAY_KEY, base_url=wire.url, max_retries=0)


@pytest.fixture
def luma_sdk(wire: Wire) -> lumaai.LumaAI:
    return lumaai.LumaAI(auth_token=LUMA_KEY, base_url=f"{wire.url}/dream-machine/v1", max_retries=0)


RUNWAY_CALLS = [
    ("text_to_video", "gen4.5", {"ratio": "720:1280", "duration": 8, "seed": 42}),
    ("text_to_video", "veo3.1", {"ratio": "1920:1080", "duration": 6, "audio": False}),
    (
        "image_to_video",
        "gen4.5",
        {
            "prompt_image": [{"uri": IMAGE, "position": "first"}],
            "ratio": "1104:832",
            "duration": 2,
            "content_moderation": {"public_figure_threshold": "low"},
            "output_format": "prores",
        },
    ),
    ("image_to_video", "gen4_turbo", {"prompt_image": IMAGE, "ratio": "1280:720", "duration": 5}),
    ("video_to_video", "aleph2", {"video_uri": "runway://abc", "seed": 1}),
    (
        "video_to_video",
        "klingO3_pro",
        {"prompt_video": "runway://abc", "references": [{"uri": IMAGE}], "duration": 5},
    ),
]


@pytest.mark.parametrize(("endpoint", "model", "parameters"), RUNWAY_CALLS)
def test_runway_submissions(
    endpoint: str,
    model: str,
    parameters: dict[str, Any],
    wire: Wire,
    settings: Settings,
    runway_sdk: runwayml.RunwayML,
) -> None:
    create: Callable[..., object] = getattr(runway_sdk, endpoint).create
    assert_same(
        wire,
        lambda: create(model=model, prompt_text="a paper boat — 雨", **parameters),
        lambda: Runway(settings).submit(GenerationSpec(model, "a paper boat — 雨", parameters)),
    )


def test_runway_tasks(wire: Wire, settings: Settings, runway_sdk: runwayml.RunwayML) -> None:
    runway = Runway(settings)
    assert_same(wire, lambda: runway_sdk.tasks.retrieve("t-1"), lambda: runway.poll("t-1"))
    assert_same(wire, lambda: runway_sdk.tasks.delete("t-1"), lambda: runway.cancel("t-1"))
    assert_same(wire, runway_sdk.organization.retrieve, runway.check_key)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"aspect_ratio": "9:16", "duration": "9s", "resolution": "1080p", "loop": True},
        {
            "keyframes": {
                "frame0": {"type": "image", "url": IMAGE},
                "frame1": {"type": "generation", "id": "g-0"},
            },
            "concepts": [{"key": "dolly_zoom"}],
        },
        {"generation_type": "video", "callback_url": "https://hooks.example.com/luma"},
    ],
)
def test_luma_submissions(
    parameters: dict[str, Any], wire: Wire, settings: Settings, luma_sdk: lumaai.LumaAI
) -> None:
    create: Callable[..., object] = luma_sdk.generations.create
    assert_same(
        wire,
        lambda: create(model="ray-2", prompt="a paper boat — 雨", **parameters),
        lambda: Luma(settings).submit(GenerationSpec("ray-2", "a paper boat — 雨", parameters)),
    )


def test_luma_generations(wire: Wire, settings: Settings, luma_sdk: lumaai.LumaAI) -> None:
    luma = Luma(settings)
    assert_same(wire, lambda: luma_sdk.generations.get("t-1"), lambda: luma.poll("t-1"))
    assert_same(wire, luma_sdk.credits.get, luma.check_key)


def test_luma_listing(wire: Wire, settings: Settings, luma_sdk: lumaai.LumaAI) -> None:
    wire.otherwise = lambda request: answer(200, {"generations": []})
    luma_sdk.generations.list(limit=50, offset=0)
    since = datetime.now(UTC) - timedelta(minutes=1)
    Luma(settings).find_submitted(GenerationSpec("ray-2", "a paper boat"), since=since)
    assert essence(wire.requests[1]) == essence(wire.requests[0])
