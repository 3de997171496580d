"""The official SDK ``lumaai``, unmodified, against the emulator, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from lumaai import (
    APIConnectionError,
    AsyncLumaAI,
    AuthenticationError,
    BadRequestError,
    LumaAI,
    NotFoundError,
    RateLimitError,
)
from lumaai.types import Generation

from video_assets.emulator import Emulator

from .conftest import until


@pytest.fixture
def client(emulator: Emulator) -> Iterator[LumaAI]:
    with LumaAI(auth_token=emulator.luma_key, base_url=emulator.luma_base_url, max_retries=0) as made:
        yield made


def finished(client: LumaAI, generation: Generation) -> Generation:
    assert generation.id is not None
    identity = generation.id
    return until(lambda: client.generations.get(identity), lambda now: now.state in ("completed", "failed"))


def test_a_video_is_made_with_a_thumbnail_and_both_can_be_fetched(client: LumaAI) -> None:
    created = client.generations.create(model="ray-2", prompt="a red kite", aspect_ratio="16:9", duration="5s")
    assert created.state in ("queued", "dreaming", "completed")
    done = finished(client, created)
    assert (done.state, done.failure_reason, done.model) == ("completed", None, "ray-2")
    assert done.request is not None
    assert done.request.prompt == "a red kite"  # type: ignore[union-attr]
    assert done.assets is not None
    assert done.assets.video
    assert done.assets.image
    video, image = httpx.get(done.assets.video), httpx.get(done.assets.image)
    assert (video.headers["content-type"], video.content[4:8]) == ("video/mp4", b"ftyp")
    assert (image.headers["content-type"], image.content[:3]) == ("image/jpeg", b"\xff\xd8\xff")


def test_the_asynchronous_client_sees_the_states_in_order(emulator: Emulator) -> None:
    async def run() -> list[str | None]:
        async with AsyncLumaAI(auth_token=emulator.luma_key, base_url=emulator.luma_base_url) as client:
            prompt = "slow [emulator: queue_seconds=0.2, run_seconds=0.4]"
            made = await client.generations.video.create(model="ray-flash-2", prompt=prompt)
            words = [made.state]
            while words[-1] not in ("completed", "failed"):
                await asyncio.sleep(0.02)
                words.append((await client.generations.get(str(made.id))).state)
            await client.generations.delete(str(made.id))
            with pytest.raises(NotFoundError):
                await client.generations.get(str(made.id))
            return list(dict.fromkeys(words))

    assert asyncio.run(run()) == ["queued", "dreaming", "completed"]


def test_a_failed_generation_tells_the_reason_and_is_refunded(client: LumaAI) -> None:
    before = client.credits.get().credit_balance
    reason = "Advanced prompt moderation failed"
    made = client.generations.create(model="ray-2", prompt=f"x [emulator: fail={reason}]")
    done = finished(client, made)
    assert (done.state, done.failure_reason, done.assets) == ("failed", reason, None)
    assert client.credits.get().credit_balance == before


def test_credits_are_cents_and_go_down(client: LumaAI) -> None:
    before = client.credits.get().credit_balance
    finished(client, client.generations.create(model="ray-2", prompt="a kite", duration="9s"))
    assert before - client.credits.get().credit_balance == 9 * 14


def test_ping_and_concepts(client: LumaAI) -> None:
    assert client.ping.check().message == "pong"
    assert "dolly_zoom" in client.generations.concepts.list()


def test_the_list_is_paged_newest_first(client: LumaAI) -> None:
    made = [client.generations.create(model="ray-2", prompt=f"kite {i}").id for i in range(5)]
    first = client.generations.list(limit=2)
    assert [g.id for g in first.generations] == made[:2:-1]
    assert (first.count, first.has_more, first.limit, first.offset) == (2, True, 2, 0)
    last = client.generations.list(limit=2, offset=4)
    assert [g.id for g in last.generations] == made[:1]
    assert (last.count, last.has_more) == (1, False)
    client.generations.delete(str(made[4]))
    assert made[4] not in [g.id for g in client.generations.list(limit=10).generations]


def test_a_lost_answer_can_be_found_in_the_list(emulator: Emulator, client: LumaAI) -> None:
    prompt = "x [emulator: lose_submit=1]"
    with pytest.raises(APIConnectionError):
        client.generations.create(model="ray-2", prompt=prompt)
    (found,) = client.generations.list(limit=10).generations
    assert found.request is not None
    assert found.request.prompt == prompt  # type: ignore[union-attr]
    assert [job.id for job in emulator.jobs_of(prompt)] == [found.id]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"prompt": "ab"}, "too short"),
        ({"prompt": "a" * 5001}, "too long"),
        ({"model": "ray-9"}, "model"),
        ({"aspect_ratio": "2:1"}, "aspect_ratio"),
        ({"duration": "7s"}, "duration"),
        ({"resolution": "8k"}, "resolution"),
    ],
)
def test_what_luma_does_not_accept_is_a_bad_request(
    client: LumaAI, change: dict[str, Any], complaint: str
) -> None:
    request: Any = {"model": "ray-2", "prompt": "a kite"} | change
    with pytest.raises(BadRequestError) as caught:
        client.generations.create(**request)
    body: Any = caught.value.body
    assert complaint in body["detail"]


def test_the_prompt_is_required_unless_a_picture_leads(client: LumaAI) -> None:
    with pytest.raises(BadRequestError, match="required"):
        client.generations.create(model="ray-2")
    keyframes: Any = {"frame0": {"type": "image", "url": "https://example.com/a.jpg"}}
    assert client.generations.create(model="ray-2", keyframes=keyframes).id


def test_keys_are_checked(emulator: Emulator) -> None:
    with pytest.raises(AuthenticationError):
        LumaAI(auth_token="wrong", base_url=emulator.luma_base_url).credits.get()


def test_unknown_generations_are_not_found(client: LumaAI) -> None:
    with pytest.raises(NotFoundError):
        client.generations.get("123e4567-e89b-12d3-a456-426614174000")
    with pytest.raises(NotFoundError):
        client.generations.delete("123e4567-e89b-12d3-a456-426614174000")


def test_more_jobs_than_the_account_allows_is_a_429() -> None:
    with Emulator(luma_concurrency=1, directives={"seconds": 0.2, "run_seconds": 600}) as emulator:
        client = LumaAI(auth_token=emulator.luma_key, base_url=emulator.luma_base_url, max_retries=0)
        running = client.generations.create(model="ray-2", prompt="one")
        with pytest.raises(RateLimitError) as caught:
            client.generations.create(model="ray-2", prompt="two")
        assert caught.value.response.headers["retry-after"]
        client.generations.delete(str(running.id))
        assert client.generations.create(model="ray-2", prompt="two").id


def test_a_video_can_be_modified_and_reframed(client: LumaAI) -> None:
    media: Any = {"url": "https://example.com/a.mp4"}
    modified = client.generations.video.modify(
        generation_type="modify_video", media=media, mode="flex_1", model="ray-2"
    )
    reframed = client.generations.video.reframe(
        generation_type="reframe_video", media=media, aspect_ratio="9:16", model="ray-flash-2"
    )
    for made in (modified, reframed):
        assert finished(client, made).state == "completed"
    with pytest.raises(BadRequestError, match="mode"):
        client.generations.video.modify(
            generation_type="modify_video",
            media=media,
            mode="wild",  # type: ignore[arg-type]
            model="ray-2",
        )
    with pytest.raises(BadRequestError, match="media"):
        client.generations.video.reframe(
            generation_type="reframe_video", media={"url": ""}, aspect_ratio="9:16", model="ray-2"
        )
