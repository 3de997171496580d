"""Intake: a request is answered at once; what cannot be taken is refused by name, before anything is spent."""

from __future__ import annotations

import re

import pytest

from tests.world import World
from video_assets.generations.intake import GenerationRequest, IdempotencyConflict, RequestInvalid, take_in
from video_assets.providers.base import RequestRefused


def take(world: World, **changes: object) -> str:
    values = {"owner": "ann", "provider": "runway", "model": "gen4.5", "prompt": "a boat", **changes}
    request = GenerationRequest(**values)  # type: ignore[arg-type]
    return take_in(world.services.catalog, request, world.services.provider(request.provider)).generation.id


def test_the_id_tells_when_it_was_made(world: World) -> None:
    assert re.fullmatch(r"video-\d{13}-[0-9a-f]{6}", take(world))


def test_the_same_idempotency_key_gives_the_same_generation(world: World) -> None:
    assert take(world, idempotency_key="k1") == take(world, idempotency_key="k1")
    assert take(world, idempotency_key="k1") != take(world, idempotency_key="k1", owner="bob")


def test_an_idempotency_key_cannot_be_reused_for_something_else(world: World) -> None:
    take(world, idempotency_key="k2")
    with pytest.raises(IdempotencyConflict, match="asks for something else"):
        take(world, idempotency_key="k2", prompt="another")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"owner": " "}, "owner"),
        ({"model": ""}, "model"),
        ({"prompt": "  "}, "prompt"),
        ({"versions": 0}, "versions"),
        ({"versions": 11}, "versions"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"parameters": {"seed": float("nan")}}, "parameters"),
        (
            {
                "parameters": {
                    "promptImage": "https://b.s3.amazonaws.com/a.png?AWSAccessKeyId=A&Signature=x%3D&Expires=1"
                }
            },
            "parameters",
        ),
    ],
)
def test_what_cannot_be_taken_is_named(world: World, changes: dict[str, object], field: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        take(world, **changes)
    assert refused.value.field == field


def test_a_prompt_over_the_models_limit_is_refused_before_it_costs_anything(world: World) -> None:
    with pytest.raises(RequestRefused, match="1000"):
        take(world, prompt="x" * 1001)


def test_what_was_asked_is_kept_whole(world: World) -> None:
    key = take(
        world,
        prompt="שלום עולם",
        language="he",
        title="ברוכים הבאים",
        campaign="launch",
        parameters={"ratio": "720:1280", "duration": 10, "seed": 7},
        versions=2,
    )
    generation = world.generation(key)
    assert generation.prompt == "שלום עולם"
    assert (generation.language, generation.campaign, generation.versions) == ("he", "launch", 2)
    assert (generation.aspect_ratio, generation.duration) == ("720:1280", 10)
    assert generation.parameters["seed"] == 7
    assert len(world.jobs(key)) == 2
