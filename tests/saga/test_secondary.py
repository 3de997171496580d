"""Secondary outputs: what a job adds to the video it was asked for, and what its loss means."""

from __future__ import annotations

import pytest
from sqlmodel import Session

from tests.world import World
from video_assets.catalog import GenerationStatus, MediaState, Output
from video_assets.catalog.models import utc_now
from video_assets.generations.control import NotPossible, retry_generation, revive_outputs
from video_assets.reasons import Reason


def with_an_extra(world: World, kind: str) -> tuple[str, str]:
    """A finished generation that also offers a file that is gone; its id and that output's."""
    key = world.finished(f"a video and its {kind}")
    job = world.jobs(key)[0]
    output = f"{job.id}.{kind}.0"

    def add(session: Session) -> None:
        session.add(
            Output(
                id=output,
                generation_id=key,
                job_id=job.id,
                kind=kind,
                temporary_url=f"{world.emulator.url}/media/nothing-here.gif",
                next_attempt_at=utc_now(),
            )
        )

    world.edit(add)
    return key, output


def lose(world: World, output_id: str) -> None:
    """Have one output tried until it is lost."""
    world.edit(lambda session: setattr(session.get_one(Output, output_id), "attempts", 99))
    world.services.rescuer.rescue([output_id])


@pytest.mark.parametrize("kind", ["gif", "subtitle", "captioned", "thumbnail"])
def test_a_generation_whose_video_is_durable_is_completed_and_says_what_it_could_not_keep(
    world: World, kind: str
) -> None:
    key, extra = with_an_extra(world, kind)
    lose(world, extra)
    assert world.status(key) is GenerationStatus.STORING
    world.rescue(key)
    generation = world.generation(key)
    assert generation.status is GenerationStatus.COMPLETED
    assert generation.reason == next(output.reason for output in world.outputs(key) if output.id == extra)
    assert generation.reason is not None
    assert f"but for {kind} 0" in (generation.error_message or "")
    assert extra not in generation.evidence
    world.assert_nothing_lost_or_doubled()


def test_what_is_missing_may_be_tried_again_and_the_note_goes_when_it_is_there(world: World) -> None:
    key, extra = with_an_extra(world, "gif")
    world.rescue(key)
    lose(world, extra)
    assert retry_generation(world.services.catalog, key).status is GenerationStatus.COMPLETED
    assert world.generation(key).error_message is None
    row = next(output for output in world.outputs(key) if output.id == extra)
    assert row.state is MediaState.PENDING
    lose(world, extra)
    assert world.generation(key).error_message
    assert revive_outputs(world.services.catalog, key) == 1
    world.edit(lambda session: session.delete(session.get_one(Output, extra)))
    with pytest.raises(NotPossible, match="every video is durable"):
        retry_generation(world.services.catalog, key)


def test_a_gif_that_is_all_a_job_delivers_is_what_was_asked_for(world: World) -> None:
    key, extra = with_an_extra(world, "gif")
    video = next(output.id for output in world.outputs(key) if output.kind == "video")
    world.edit(lambda session: session.delete(session.get_one(Output, video)))
    lose(world, extra)
    generation = world.generation(key)
    assert generation.status in (GenerationStatus.EXPIRED, GenerationStatus.FAILED)
    assert generation.reason in set(Reason)
    assert retry_generation(world.services.catalog, key).status is GenerationStatus.STORING
