"""The legacy workflow through Dagster: inventory, backfill, sensor, proof, on an example against the emulator."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
from cryptography.fernet import Fernet
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from sqlalchemy import update
from sqlmodel import select

from tests.world import World, media_server
from video_assets.catalog import MediaState
from video_assets.catalog.legacy import FindingState, LegacyBatch, LegacyFile, LegacyFinding
from video_assets.catalog.models import utc_now
from video_assets.definitions import build_defs
from video_assets.emulator import Emulator
from video_assets.legacy.config.presets import PRESETS
from video_assets.legacy.examples.create import create_example
from video_assets.legacy.process_batch import BatchReport, Mode
from video_assets.legacy.proof.prove import verify
from video_assets.pipeline.instance_storage import scan_instance
from video_assets.pipeline.legacy import sensors as legacy_sensors
from video_assets.pipeline.partitions import add_keys, legacy_batches, legacy_sources
from video_assets.pipeline.run_tags import BATCH_TAG, PRIORITY_TAG, SOURCE_TAG

NAME = "cards"
ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(
        InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="video_assets.definitions")),
        "__repository__",
    ),
    "__ASSET_JOB",
)
"""Where Dagster finds the code of a run that waits in its queue."""


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    home = tmp_path / "home"
    database = tmp_path / "app.db"
    create_example(PRESETS["generated_cards"], database, rows=30, name=NAME, emulator=emulator)
    config = tmp_path / "legacy.toml"
    config.write_text(f'[[source]]\nname = "{NAME}"\nurl = "sqlite:///{database}"\npreset = "generated_cards"\n')
    with media_server(home) as base:
        opened = World.open(
            emulator,
            home,
            public_base_url=base,
            legacy_config=config,
            ledger_key=Fernet.generate_key().decode(),
        )
        yield opened
        opened.services.catalog.close()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture
def defs(world: World) -> dg.Definitions:
    return build_defs(services=world.services)


def materialise(
    defs: dg.Definitions, instance: dg.DagsterInstance, job: str, key: str, **more: Any
) -> dg.ExecuteInProcessResult:
    kind = legacy_batches if ":" in key else legacy_sources
    add_keys(instance, [key], kind)
    return defs.resolve_job_def(job).execute_in_process(
        instance=instance, raise_on_error=False, tags={"dagster/partition": key}, **more
    )


def shown(instance: dg.DagsterInstance) -> list[str]:
    return list(instance.get_dynamic_partitions(str(legacy_batches.name)))


def in_mode(mode: str) -> dict[str, Any]:
    return {"ops": {"legacy_rescue": {"config": {"mode": mode}}}}


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    [event] = result.asset_materializations_for_node(asset)
    return {name: getattr(value, "value", None) for name, value in event.metadata.items()}


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    return " ".join(
        event.step_failure_data.user_failure_data.description or ""
        for event in result.all_events
        if event.is_step_failure and event.step_failure_data.user_failure_data
    )


def texts(world: World) -> str:
    url = world.settings.legacy_config.read_text().split("sqlite:///")[1].split('"')[0]
    with sqlite3.connect(url) as connection:
        return "\n".join(str(row) for row in connection.execute("SELECT * FROM generated_cards"))


def test_the_whole_road_inventory_backfill_rewrite_proof(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    result = materialise(defs, instance, "take_legacy_inventory", NAME)
    assert result.success
    found = metadata_of(result, "legacy_findings")
    assert found["temporary_urls"] > 10
    assert found["at_risk_report"]["files"] == found["files_at_risk"]
    assert "| host |" in found["at_risk"]
    [key] = shown(instance)

    before = texts(world)
    result = materialise(defs, instance, "rescue_legacy_batch", key)
    assert result.success
    assert texts(world) == before, "in mode rescue no row is touched"
    result = materialise(defs, instance, "rescue_legacy_batch", key, run_config=in_mode("apply"))
    assert result.success
    assert metadata_of(result, "legacy_rescue")["rows_rewritten"] > 0
    assert texts(world) != before

    result = materialise(defs, instance, "prove_legacy_source", NAME)
    assert result.success
    [check] = result.get_asset_check_evaluations()
    assert (check.check_name, check.partition, check.passed) == ("no_temporary_url_left", NAME, True)
    metadata = {name: value.value for name, value in check.metadata.items()}
    with world.services.catalog.read() as session:
        states = [f.state for f in session.exec(select(LegacyFinding)).all()]
    assert metadata["lost"] == states.count(FindingState.LOST)
    assert metadata["lost"] > 0, "the example has links that nobody brings back"
    assert metadata["exceptions"]["lost"]["count"] == metadata["lost"]
    document = json.loads(Path(metadata_of(result, "legacy_proof")["proof"]).read_text())
    assert verify(document).is_good
    assert document["sources"][0]["durable"] == states.count(FindingState.REWRITTEN)


def test_the_check_fails_while_rows_wait_and_says_what_to_do(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    materialise(defs, instance, "take_legacy_inventory", NAME)
    result = materialise(defs, instance, "prove_legacy_source", NAME)
    [check] = result.get_asset_check_evaluations()
    assert not check.passed
    assert check.metadata["pending"].value > 0
    assert "legacy_rescue" in str(check.metadata["what_to_do"].value)


def test_several_batches_in_one_run_are_each_materialised(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    config = world.settings.legacy_config
    config.write_text(config.read_text() + "batch_size = 8\n")
    materialise(defs, instance, "take_legacy_inventory", NAME)
    keys = shown(instance)
    assert len(keys) > 2
    result = defs.resolve_job_def("rescue_legacy_batch").execute_in_process(
        instance=instance,
        tags={"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]},
    )
    assert result.success
    assert instance.get_materialized_partitions(dg.AssetKey("legacy_rescue")) == set(keys)


def test_a_backfill_names_the_batches_that_have_to_wait_and_materialises_the_others(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"{NAME}:{number:06}" for number in (1, 2, 3)]
    add_keys(instance, keys, legacy_batches)

    def process(_services: object, _source: object, key: str, *, mode: Mode, **_more: object) -> BatchReport:
        report = BatchReport(key, mode)
        if key == keys[1]:
            report.findings["pending"], report.reasons["source_slow"] = 7, 2
        return report

    monkeypatch.setattr("video_assets.pipeline.legacy.assets.process_batch", process)
    result = defs.resolve_job_def("rescue_legacy_batch").execute_in_process(
        instance=instance,
        raise_on_error=False,
        tags={"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]},
    )
    assert not result.success
    assert instance.get_materialized_partitions(dg.AssetKey("legacy_rescue")) == {keys[0], keys[2]}
    assert f"{keys[1]}: 7 findings wait (2 source_slow)" in failure_of(result)


def test_the_sensor_shows_partitions_and_starts_what_dies_first(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    config = world.settings.legacy_config
    config.write_text(config.read_text() + "batch_size = 8\n")
    tick(world, instance)
    assert instance.get_dynamic_partitions(str(legacy_sources.name)) == [NAME], "ready to be materialised"
    materialise(defs, instance, "take_legacy_inventory", NAME)
    keys = shown(instance)
    now = utc_now()
    hours = {keys[-1]: 0.5, keys[0]: 3.0}
    with world.services.catalog.write() as session:
        for row in session.exec(select(LegacyBatch)).all():
            row.first_deadline_at = now + timedelta(hours=hours.get(row.key, 200))
    runs = tick(world, instance).run_requests or []
    assert [run.partition_key for run in runs] == [keys[-1], keys[0]]
    assert [run.tags[PRIORITY_TAG] for run in runs] == ["5", "4"]
    assert {run.tags[SOURCE_TAG] for run in runs} == {NAME}
    assert runs[0].tags[BATCH_TAG] == keys[-1]
    again = tick(world, instance).run_requests or []
    assert [run.run_key for run in again] == [run.run_key for run in runs], "Dagster dedupes them"


def test_a_batch_goes_on_dying_after_its_first_link_has_died(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    materialise(defs, instance, "take_legacy_inventory", NAME)
    [key] = shown(instance)
    soon = utc_now() + timedelta(hours=2)
    with world.services.catalog.write() as session:
        session.execute(update(LegacyFile).values(deadline_at=soon))
        session.get_one(LegacyBatch, key).first_deadline_at = utc_now() - timedelta(minutes=1)
    [run] = tick(world, instance).run_requests or []
    assert run.partition_key == key
    with world.services.catalog.read() as session:
        assert session.get_one(LegacyBatch, key).first_deadline_at == soon


def queue_run(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus = dg.DagsterRunStatus.QUEUED, **tags: str
) -> str:
    """A run of ``legacy_rescue`` as a backfill from Dagster's UI makes it; its id."""
    run_id = str(uuid4())
    instance.run_storage.add_run(
        dg.DagsterRun(
            job_name="__ASSET_JOB",
            run_id=run_id,
            tags={name.replace("__", "/"): value for name, value in tags.items()},
            asset_selection=frozenset({dg.AssetKey("legacy_rescue")}),
            status=status,
            remote_job_origin=ORIGIN,
        )
    )
    return run_id


def place_of(instance: dg.DagsterInstance, run_id: str) -> str | None:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.tags.get(PRIORITY_TAG)


def test_a_backfill_from_the_ui_gets_its_places_in_the_queue_from_the_deadlines(
    world: World, instance: dg.DagsterInstance
) -> None:
    keys = [f"{NAME}:{number:06}" for number in range(1, 7)]
    add_keys(instance, keys, legacy_batches)
    hours = dict(zip(keys, (200.0, 200.0, 5.0, 200.0, 0.5, 200.0), strict=True))
    with world.services.catalog.write() as session:
        for number, key in enumerate(keys, 1):
            deadline = utc_now() + timedelta(hours=hours[key])
            session.add(LegacyBatch(key=key, source=NAME, number=number, first_deadline_at=deadline))
    tags = {"dagster__backfill": "abc", "dagster__asset_partition_range_start": keys[0]}
    far = queue_run(instance, dagster__asset_partition_range_end=keys[1], **tags)
    soon = queue_run(instance, dagster__backfill="abc", dagster__partition=keys[2])
    chosen = queue_run(instance, dagster__backfill="abc", dagster__partition=keys[3], dagster__priority="3")
    dying = queue_run(instance, dagster__backfill="abc", dagster__partition=keys[4])
    working = queue_run(instance, dg.DagsterRunStatus.STARTED, dagster__partition=keys[5])
    runs = tick(world, instance).run_requests or []
    assert [place_of(instance, run) for run in (far, soon, chosen, dying)] == ["-10", "3", "3", "4"]
    assert place_of(instance, working) is None, "what works has left the queue"
    assert [(run.partition_key, run.tags[PRIORITY_TAG]) for run in runs] == [(keys[4], "5")]
    with world.services.catalog.write() as session:
        session.get_one(LegacyBatch, keys[0]).first_deadline_at = utc_now() + timedelta(hours=2)
    tick(world, instance)
    assert place_of(instance, far) == "4", "it climbs as its deadline comes near"


def test_dead_links_that_the_provider_brings_back_are_saved_without_a_person(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    materialise(defs, instance, "take_legacy_inventory", NAME)
    [key] = shown(instance)
    gone = utc_now() - timedelta(minutes=1)
    with world.services.catalog.write() as session:
        # What still lives is of no interest here; what a provider knows is dead.
        session.execute(update(LegacyFile).values(deadline_at=gone))
        session.execute(
            update(LegacyFile).where(LegacyFile.task_id.is_(None)).values(deadline_at=None)  # type: ignore[union-attr]
        )
        session.get_one(LegacyBatch, key).first_deadline_at = gone
    [run] = tick(world, instance).run_requests or []
    assert (run.partition_key, run.tags[PRIORITY_TAG]) == (key, "-20")
    assert (tick(world, instance).run_requests or []) == [], "asked for once; the next time after a pause"
    with world.services.catalog.write() as session:
        assert session.get_one(LegacyBatch, key).revivals == 1
        session.get_one(LegacyBatch, key).revived_at = utc_now() - timedelta(hours=1)
    [again] = tick(world, instance).run_requests or []
    assert again.run_key != run.run_key, "a run that died is asked for again"
    assert materialise(defs, instance, "rescue_legacy_batch", key).success
    with world.services.catalog.read() as session:
        asked = session.exec(select(LegacyFile).where(LegacyFile.task_id.is_not(None))).all()  # type: ignore[union-attr]
        assert session.get_one(LegacyBatch, key).revive_at is None
    assert [file.state for file in asked].count(MediaState.STORED) > 0
    assert MediaState.PENDING not in [file.state for file in asked]
    with world.services.catalog.write() as session:
        session.get_one(LegacyBatch, key).revived_at = utc_now() - timedelta(days=30)
    assert (tick(world, instance).run_requests or []) == [], "nothing is left to ask"


def test_partitions_that_were_deleted_come_back_and_never_exceed_their_bound(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.services.catalog.write() as session:
        for number in range(1, 31):
            session.add(LegacyBatch(key=f"{NAME}:{number:06}", source=NAME, number=number))
    monkeypatch.setattr("video_assets.pipeline.legacy.run_planning.keys_to_show.__kwdefaults__", {"most": 20})
    monkeypatch.setattr("video_assets.pipeline.legacy.run_planning.keys_to_retire.__kwdefaults__", {"most": 20})
    tick(world, instance)
    assert len(shown(instance)) == 20
    with world.services.catalog.write() as session:
        session.execute(update(LegacyBatch).where(LegacyBatch.number <= 15).values(done_at=utc_now()))  # type: ignore[arg-type]
    tick(world, instance)
    assert len(shown(instance)) <= 20
    assert f"{NAME}:000030" in shown(instance), "what is open takes the place of what is done"


def test_without_a_configuration_file_the_sensor_rests_and_with_a_broken_one_it_complains(
    world: World, instance: dg.DagsterInstance
) -> None:
    path = world.settings.legacy_config
    path.write_text("[[source]]\nname = 1\n")
    with pytest.raises(dg.Failure, match="name"):
        tick(world, instance)
    path.unlink()
    skip = tick(world, instance).skip_reason
    assert "there is no" in str(skip)


def test_a_partition_that_the_file_does_not_describe_says_so(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    result = materialise(defs, instance, "take_legacy_inventory", "somebody-else")
    assert not result.success
    assert "describes no source of this name" in failure_of(result)


def test_no_secret_reaches_dagster(
    world: World, defs: dg.Definitions, emulator: Emulator, tmp_path: Path
) -> None:
    folder = tmp_path / "dagster"
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        materialise(defs, instance, "take_legacy_inventory", NAME)
        [key] = shown(instance)
        assert materialise(defs, instance, "rescue_legacy_batch", key, run_config=in_mode("apply")).success
        assert materialise(defs, instance, "prove_legacy_source", NAME).success
        scan = scan_instance(instance)
    assert scan.values > 100, "the databases of the instance were really read"
    assert scan.is_clean, scan.sample
    from video_assets.demo.leak_scan import scan as look_for

    assert look_for([folder], emulator.issued_secrets()).clean


def tick(world: World, instance: dg.DagsterInstance) -> dg.SensorResult:
    context = dg.build_sensor_context(instance=instance, resources={"services": world.services})
    result = legacy_sensors.expiring_legacy(context)
    assert isinstance(result, dg.SensorResult)
    for request in result.dynamic_partitions_requests or []:  # as Dagster's daemon does before it starts runs
        instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
    return result
