"""The sensors: what they ask for, in which order, and what a restart or an outage does to that."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import pytest
from sqlalchemy import update

from tests.world import World
from video_assets.catalog import GenerationStatus, Output, ProviderJob
from video_assets.catalog.models import utc_now
from video_assets.emulator import Emulator
from video_assets.pipeline.live import sensors
from video_assets.pipeline.partitions import generation_requests


def tick(sensor: dg.SensorDefinition, world: World, instance: dg.DagsterInstance) -> dg.SensorResult:
    context = dg.build_sensor_context(instance=instance, resources={"services": world.services})
    result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    for request in result.dynamic_partitions_requests or []:  # as Dagster's daemon does before it starts runs
        instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
    return result


def ready(world: World, count: int, prompt: str) -> list[str]:
    """Generations that the provider has finished."""
    keys = [world.request(f"{prompt} {number}") for number in range(count)]
    for key in keys:
        world.submit(key)
    for key in keys:
        world.follow(key)
    return keys


def test_a_queued_generation_becomes_a_partition_and_a_run(world: World, instance: dg.DagsterInstance) -> None:
    key = world.request("a new one")
    result = tick(sensors.new_generations, world, instance)
    assert [request.partition_key for request in result.run_requests or []] == [key]
    assert (result.run_requests or [])[0].tags["video_assets/provider"] == "runway"
    assert instance.has_dynamic_partition(str(generation_requests.name), key)


def test_dagster_starts_the_run_of_a_partition_that_the_same_tick_asks_for(
    world: World, defs: dg.Definitions
) -> None:
    key = world.request("in one tick")
    repository = defs.get_repository_def()
    with (
        dg.instance_for_test() as instance,
        dg.SensorEvaluationContext(  # as the code server makes it
            instance.get_ref(),
            last_tick_completion_time=None,
            last_run_key=None,
            cursor=None,
            repository_name=repository.name,
            repository_def=repository,
            sensor_name="new_generations",
            resources=repository.get_top_level_resources(),
        ) as context,
    ):
        data = sensors.new_generations.evaluate_tick(context)
    [adding] = data.dynamic_partitions_requests or []
    assert (adding.partitions_def_name, list(adding.partition_keys)) == ("generation_requests", [key])
    [run] = data.run_requests or []
    assert run.tags["dagster/partition"] == key


def test_a_restarted_daemon_asks_for_the_same_run_again_and_dagster_dedupes_it(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.request("asked twice")
    first = tick(sensors.new_generations, world, instance).run_requests or []
    again = tick(sensors.new_generations, world, instance).run_requests or []
    assert [r.run_key for r in first] == [r.run_key for r in again]


def test_a_cancelled_generation_is_not_submitted(world: World, instance: dg.DagsterInstance) -> None:
    from video_assets.generations.control import cancel_generation

    key = world.request("never mind")
    cancel_generation(world.services.catalog, key, world.services.provider)
    assert tick(sensors.new_generations, world, instance).run_requests == []
    assert world.status(key) is GenerationStatus.CANCELLED


def test_progress_is_an_observation_and_the_end_a_materialisation(
    world: World, instance: dg.DagsterInstance
) -> None:
    key = world.request("watched [emulator: run_seconds=10]")
    world.submit(key)
    seen: list[object] = []

    def both() -> bool:
        seen.extend(tick(sensors.provider_jobs, world, instance).asset_events or [])
        return any(isinstance(event, dg.AssetMaterialization) for event in seen)

    world.until(both)
    assert any(isinstance(event, dg.AssetObservation) for event in seen)
    assert {event.partition for event in seen} == {key}  # type: ignore[attr-defined]


def test_a_finished_generation_gets_a_run_of_its_own(world: World, instance: dg.DagsterInstance) -> None:
    [key] = ready(world, 1, "single")
    requests = tick(sensors.provider_jobs, world, instance).run_requests or []
    assert [(r.job_name, r.partition_key) for r in requests] == [("host_video", key)]


def test_many_finished_generations_share_one_run(world: World, instance: dg.DagsterInstance) -> None:
    keys = ready(world, 5, "many")
    requests = tick(sensors.provider_jobs, world, instance).run_requests or []
    assert [r.job_name for r in requests] == ["rescue_batch"]
    config = requests[0].run_config["ops"]["rescue_generations"]["config"]
    assert set(config["generation_ids"]) == set(keys)


def test_after_an_outage_the_soonest_deadline_comes_first(world: World, instance: dg.DagsterInstance) -> None:
    keys = ready(world, 3, "outage")
    for hours, key in zip((5, 1, 3), keys, strict=True):
        moment = utc_now() + timedelta(hours=hours)
        world.edit(
            lambda session, key=key, moment=moment: session.execute(  # type: ignore[misc]
                update(Output).where(Output.generation_id == key).values(deadline_at=moment)  # type: ignore[arg-type]
            )
        )
    requests = tick(sensors.provider_jobs, world, instance).run_requests or []
    assert [r.partition_key for r in requests] == [keys[1], keys[2], keys[0]]


def test_a_link_that_dies_soon_gets_a_priority_run_and_nothing_else_starts_one_for_it(
    world: World, instance: dg.DagsterInstance
) -> None:
    calm, dying = ready(world, 2, "horizon")
    for key, minutes in ((calm, 300), (dying, 5)):
        moment = utc_now() + timedelta(minutes=minutes)
        world.edit(
            lambda session, key=key, moment=moment: session.execute(  # type: ignore[misc]
                update(Output).where(Output.generation_id == key).values(deadline_at=moment)  # type: ignore[arg-type]
            )
        )
    ordinary = tick(sensors.provider_jobs, world, instance).run_requests or []
    assert [r.partition_key for r in ordinary] == [calm]
    urgent = tick(sensors.expiring_urls, world, instance).run_requests or []
    assert [r.partition_key for r in urgent] == [dying]
    assert urgent[0].tags["dagster/priority"] == "10"


def test_what_a_live_lease_covers_is_not_asked_for(world: World, instance: dg.DagsterInstance) -> None:
    from video_assets.catalog import leases

    [key] = ready(world, 1, "leased")
    with world.services.catalog.write() as session:
        leases.acquire(session, f"output:{world.outputs(key)[0].id}", "somebody", ttl=timedelta(minutes=5))
    assert (tick(sensors.provider_jobs, world, instance).run_requests or []) == []
    assert (tick(sensors.expiring_urls, world, instance).run_requests or []) == []


def test_when_no_job_can_be_asked_the_tick_fails_instead_of_looking_quiet(
    world: World, instance: dg.DagsterInstance
) -> None:
    key = world.request("bad key [emulator: poll_errors=99, poll_status=401]")
    world.submit(key)
    world.edit(lambda session: session.execute(update(ProviderJob).values(next_poll_at=utc_now())))
    with pytest.raises(dg.Failure, match="none of 1 provider jobs could be asked"):
        tick(sensors.provider_jobs, world, instance)
    assert world.status(key) is GenerationStatus.PROCESSING, "nothing is lost: it is asked again later"


def test_a_tick_out_of_time_keeps_what_it_learned_and_goes_on_next_time(
    world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [world.request(f"budget {number}") for number in range(4)]
    for key in keys:
        world.submit(key)
    world.edit(lambda session: session.execute(update(ProviderJob).values(next_poll_at=utc_now())))
    monkeypatch.setattr(sensors, "BUDGET_SECONDS", 0.0)
    tick(sensors.provider_jobs, world, instance)
    monkeypatch.setattr(sensors, "BUDGET_SECONDS", 25.0)
    world.until(
        lambda: (
            tick(sensors.provider_jobs, world, instance)
            and all(world.status(key) is GenerationStatus.STORING for key in keys)
        )
    )


def test_no_secret_reaches_a_run_request_or_an_event(
    world: World, instance: dg.DagsterInstance, emulator: Emulator
) -> None:
    ready(world, 5, "secrets")
    result = tick(sensors.provider_jobs, world, instance)
    everything = repr(result.run_requests) + repr(result.asset_events)
    assert not [secret for secret in emulator.issued_secrets() if secret in everything]
