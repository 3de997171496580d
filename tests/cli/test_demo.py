"""The judge of the demonstration has to be able to say no. (The demonstration itself is a step of CI.)"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import update

from tests.world import World
from video_assets.catalog import GenerationStatus, MediaFile, Output
from video_assets.demo.evidence import Evidence, gather
from video_assets.demo.scenes import COMPLETED, EXPIRED, FAILED, SCENES, Scene
from video_assets.emulator.plans import JobPlan
from video_assets.generations.intake import check_request
from video_assets.storage import open_storage

PLAIN = Scene("plain", "runway", "A paper boat")


def judge(world: World, scene: Scene, generation_id: str, *, sensor: str | None = None) -> Evidence:
    return gather(
        scene,
        generation_id,
        catalog=world.services.catalog,
        verifier=world.services.verifier,
        emulator=world.emulator,
        sensor_of=lambda _run_id: sensor,
        scratch=world.settings.spool,
    )


def durable(world: World, prompt: str) -> str:
    key = world.finished(prompt)
    world.rescue(key, run_id="run-1")
    return key


def test_a_dozen_over_two_providers_that_everybody_would_accept(world: World) -> None:
    assert len(SCENES) == 12
    assert {scene.provider for scene in SCENES} == {"runway", "luma"}
    assert {scene.ends for scene in SCENES} == {COMPLETED, FAILED, EXPIRED}
    assert any(scene.versions > 1 for scene in SCENES)
    for scene in SCENES:
        request = scene.request()
        check_request(request, world.services.provider(scene.provider))
        assert JobPlan().for_prompt(request.prompt) != JobPlan()


def test_a_durable_generation_is_safe_once_its_source_is_dead(world: World) -> None:
    key = durable(world, "safe")
    evidence = judge(world, PLAIN, key)
    assert evidence.problems == []
    assert set(evidence.source_answers) == {401}
    assert (evidence.checks, evidence.checks_passed) == (5, 5)
    [video] = evidence.videos
    assert video.frames > 10, "every picture is decoded, not a sample"
    assert not [secret for secret in world.emulator.issued_secrets() if secret in repr(evidence.document())]


def test_a_missing_object_is_not_accounted_for(world: World) -> None:
    key = durable(world, "deleted")
    open_storage(world.settings).delete(world.media(key)[0].key)
    evidence = judge(world, PLAIN, key)
    assert not evidence.accounted_for
    assert any("cannot be fetched" in problem for problem in evidence.problems)


def test_bytes_of_another_video_are_not_accounted_for(world: World) -> None:
    mine, other = durable(world, "mine"), durable(world, "other")
    [path] = world.settings.local_storage_root.rglob(f"{mine}/video-0.mp4")
    [wrong] = world.settings.local_storage_root.rglob(f"{other}/video-0.mp4")
    path.unlink()
    path.write_bytes(wrong.read_bytes())
    evidence = judge(world, PLAIN, mine)
    assert any("other bytes than the catalog says" in problem for problem in evidence.problems)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda scene: replace(scene, ends=GenerationStatus.FAILED), "it ended as completed instead of failed"),
        (lambda scene: replace(scene, versions=2), "1 videos are durable instead of 2"),
        (lambda scene: replace(scene, saved_by="expiring_urls"), "saved by provider_jobs, not by expiring_urls"),
        (lambda scene: replace(scene, failed_downloads=1), "no download failed"),
        (lambda scene: replace(scene, refreshes=1), "no link was refreshed"),
    ],
)
def test_a_scene_that_did_not_happen_as_told_is_not_accounted_for(
    world: World, change: Callable[[Scene], Scene], complaint: str
) -> None:
    evidence = judge(world, change(PLAIN), durable(world, "otherwise"), sensor="provider_jobs")
    assert any(complaint in problem for problem in evidence.problems), evidence.problems


def test_a_loss_without_evidence_is_not_accounted_for(world: World) -> None:
    key = world.finished("gone [emulator: dead_links=1, refresh=gone]")
    world.rescue(key)
    lost = replace(PLAIN, ends=EXPIRED)
    assert judge(world, lost, key).problems == []
    from video_assets.catalog import Generation

    world.edit(lambda session: session.execute(update(Generation).values(evidence={})))
    assert any("without evidence" in problem for problem in judge(world, lost, key).problems)


def test_a_red_check_is_not_accounted_for(world: World) -> None:
    key = durable(world, "leaky")
    link = "https://cdn.example.com/v.mp4?_jwt=eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3OTUyMzAxNDV9.c2lnbmF0dXJlc2lnbmF0dXJl"
    world.edit(lambda session: session.execute(update(Output).values(message=link)))
    evidence = judge(world, PLAIN, key)
    assert any("no_persisted_jwt" in problem for problem in evidence.problems)
    assert link not in repr(evidence.document())


def test_a_wrong_checksum_in_the_catalog_is_not_accounted_for(world: World) -> None:
    key = durable(world, "wrong checksum")
    world.edit(lambda session: session.execute(update(MediaFile).values(sha256="0" * 64)))
    assert not judge(world, PLAIN, key).accounted_for
