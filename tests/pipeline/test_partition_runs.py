"""Runs of partitions, as a person starts them: materialise, fail, retry, backfill, batch, check, tidy."""

from __future__ import annotations

import json
from datetime import timedelta

import dagster as dg
import jwt
import pytest
from sqlalchemy import text, update

from tests.world import World
from video_assets.catalog import Generation, GenerationStatus
from video_assets.catalog.models import utc_now
from video_assets.emulator import Emulator
from video_assets.pipeline.live.upkeep import retire
from video_assets.pipeline.partitions import add_keys, generation_requests

HOSTED = dg.AssetKey("hosted_video")


def run(
    defs: dg.Definitions, instance: dg.DagsterInstance, job: str, key: str | None = None, **more: object
) -> dg.ExecuteInProcessResult:
    if key is not None:
        add_keys(instance, [key])
    tags = more.pop("tags", None) or ({} if key is None else {"dagster/partition": key})
    return defs.resolve_job_def(job).execute_in_process(
        instance=instance,
        raise_on_error=False,
        tags=tags,  # type: ignore[arg-type]
        **more,  # type: ignore[arg-type]
    )


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    return " ".join(
        event.step_failure_data.user_failure_data.description or ""
        for event in result.all_events
        if event.is_step_failure and event.step_failure_data.user_failure_data
    )


def check_answers(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {evaluation.check_name: evaluation.passed for evaluation in result.get_asset_check_evaluations()}


def test_a_partition_is_hosted_proven_and_previewed_in_one_run(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    key = world.finished("one run")
    result = run(defs, instance, "host_video", key)
    assert result.success
    assert check_answers(result) == {
        "no_persisted_jwt": True,
        "no_temporary_url": True,
        "stored_bytes_match": True,
        "publicly_readable": True,
        "playable": True,
    }
    [materialization] = [
        event.materialization for event in result.get_asset_materialization_events() if event.asset_key == HOSTED
    ]
    assert materialization.partition == key
    metadata = {name: value.value for name, value in materialization.metadata.items()}
    assert metadata["durable_link"] == world.media(key)[0].file_url or metadata["durable_link"].endswith(".mp4")
    assert metadata["margin_to_deadline_seconds"] > 0
    assert len(str(metadata["sha256"])) == 64
    previews = [m for m in world.media(key) if m.role in ("poster", "preview")]
    assert {m.role for m in previews} == {"poster", "preview"}


def test_a_generation_that_is_still_processing_says_so(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    key = world.request("not yet [emulator: run_seconds=9999]")
    world.submit(key)
    world.poll()
    result = run(defs, instance, "host_video", key)
    assert not result.success
    assert "still processing at runway" in failure_of(result)


def test_a_partition_key_that_no_generation_has_is_named(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    result = run(defs, instance, "submit_generation", "video-1700000000000-abcdef")
    assert not result.success
    assert "no generation 'video-1700000000000-abcdef'" in failure_of(result)
    result = run(defs, instance, "host_video", "video-1700000000000-abcdef")
    assert not result.success
    assert "no generation 'video-1700000000000-abcdef'" in failure_of(result)


def test_submitting_a_partition_twice_pays_once(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance, emulator: Emulator
) -> None:
    key = world.request("pay once")
    assert run(defs, instance, "submit_generation", key).success
    assert run(defs, instance, "submit_generation", key).success
    assert emulator.submits("pay once") == 1


def test_a_lost_video_fails_with_evidence_and_a_persons_retry_tries_again(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance, emulator: Emulator
) -> None:
    key = world.finished("given up [emulator: missing=true]")
    output = world.outputs(key)[0]
    long_failing = {"deadline_at": None, "failing_since": utc_now() - timedelta(days=8)}
    world.edit(lambda session: session.execute(update(type(output)).values(long_failing)))
    result = run(defs, instance, "host_video", key)
    assert not result.success
    assert "expired" in failure_of(result)
    assert world.status(key) is GenerationStatus.EXPIRED
    emulator.change_job(world.task(key), missing=False)
    assert run(defs, instance, "host_video", key).success
    assert world.status(key) is GenerationStatus.COMPLETED


def test_a_backfill_over_several_partitions_is_one_run_that_reports_each(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    good = world.finished("backfill good")
    bad = world.finished("backfill bad [emulator: dead_links=99, refresh=gone]")
    add_keys(instance, [good, bad])
    run(
        defs,
        instance,
        "host_video",
        tags={"dagster/asset_partition_range_start": good, "dagster/asset_partition_range_end": bad},
    )
    assert instance.get_materialized_partitions(HOSTED) == {good}
    assert world.status(bad) is GenerationStatus.EXPIRED


def test_a_batch_run_reports_every_generation_under_its_own_partition(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    keys = [world.finished(f"batch {number}") for number in range(3)]
    add_keys(instance, keys)
    config = {"ops": {"rescue_generations": {"config": {"generation_ids": keys}}}}
    assert run(defs, instance, "rescue_batch", run_config=config).success
    assert instance.get_materialized_partitions(HOSTED) == set(keys)
    assert instance.get_materialized_partitions(dg.AssetKey("video_preview")) == set(keys)


def test_a_check_that_fails_in_a_batch_blocks_its_partition_and_fails_the_run(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    good, bad = world.finished("batch good"), world.finished("batch tampered")
    add_keys(instance, [good, bad])
    world.rescue(bad)
    path = world.settings.local_storage_root / world.settings.bucket / world.media(bad)[0].key
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(-10, 2)
        file.write(b"tampering!")
    config = {"ops": {"rescue_generations": {"config": {"generation_ids": [bad, good]}}}}
    result = run(defs, instance, "rescue_batch", run_config=config)
    assert not result.success
    assert f"{bad}: stored_bytes_match" in failure_of(result)
    assert instance.get_materialized_partitions(HOSTED) == {good}
    assert instance.get_materialized_partitions(dg.AssetKey("video_preview")) == {good}


PLANTED = [
    ("generation", "prompt"),
    ("generation", "title"),
    ("generation", "error_message"),
    ("generation", "parameters"),
    ("provider_job", "failure_message"),
    ("output", "source_redacted"),
    ("output", "temporary_url"),
    ("media_file", "file_url"),
    ("media_file", "file_name"),
    ("event", "message"),
    ("event", "detail"),
]


@pytest.mark.parametrize(("table", "column"), PLANTED)
def test_a_jwt_planted_in_any_column_turns_the_checks_red_and_the_row_is_named(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance, table: str, column: str
) -> None:
    key = world.finished("planted")
    world.rescue(key)
    token = jwt.encode({"exp": 4102444800}, "a secret of thirty-two bytes....", algorithm="HS256")
    link = f"https://dnznrvs05pmza.cloudfront.net/video.mp4?_jwt={token}"
    value = json.dumps({"kept": [link]}) if column in ("parameters", "detail") else link
    belongs = "id" if table == "generation" else "generation_id"
    with world.services.catalog.engine.begin() as connection:
        connection.execute(
            text(f"UPDATE {table} SET {column} = :value WHERE {belongs} = :key"), {"value": value, "key": key}
        )
    result = run(defs, instance, "verify_hosted_video", key)
    answers = check_answers(result)
    assert answers["no_persisted_jwt"] is False
    assert answers["no_temporary_url"] is False
    [evaluation] = [e for e in result.get_asset_check_evaluations() if e.check_name == "no_persisted_jwt"]
    shown = str(evaluation.metadata)
    assert table in shown
    assert column in shown
    assert token not in shown
    assert token.rpartition(".")[2] not in shown
    audit = run(defs, instance, "audit_catalog")
    assert check_answers(audit) == {"nothing_temporary_anywhere": False}


def test_a_file_changed_in_the_store_turns_its_check_red(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    key = world.finished("tampered")
    world.rescue(key)
    path = world.settings.local_storage_root / world.settings.bucket / world.media(key)[0].key
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(-10, 2)
        file.write(b"tampering!")
    answers = check_answers(run(defs, instance, "verify_hosted_video", key))
    assert answers["stored_bytes_match"] is False
    assert answers["publicly_readable"] is True


def test_settled_generations_leave_the_partitions_and_stay_in_the_catalog(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    old, fresh, open_ = world.finished("old"), world.finished("fresh"), world.request("open")
    for key in (old, fresh):
        world.rescue(key)
    add_keys(instance, [old, fresh, open_])
    long_ago = utc_now() - timedelta(days=365)
    world.edit(
        lambda session: session.execute(
            update(Generation).where(Generation.id.in_([old, open_])).values(updated_at=long_ago)  # type: ignore[attr-defined]
        )
    )
    assert retire(instance, world.services) == 1
    assert set(instance.get_dynamic_partitions(str(generation_requests.name))) == {fresh, open_}
    assert world.generation(old).retired_at is not None


def test_upkeep_removes_what_a_killed_process_left(
    world: World, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    scratch = world.settings.spool / "rescue-left-behind"
    scratch.mkdir(parents=True)
    (scratch / "half.mp4").write_bytes(b"half")
    import os

    for path in (scratch / "half.mp4", scratch):
        os.utime(path, (0, 0))
    assert run(defs, instance, "upkeep").success
    assert not scratch.exists()


def test_nothing_a_run_says_holds_a_secret(
    world: World,
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    emulator: Emulator,
    capfd: pytest.CaptureFixture[str],
) -> None:
    keys = [
        world.finished("said 1"),
        world.finished("said 2 [emulator: dead_links=99, refresh=gone]"),
        world.finished("said 3 [emulator: error_first=9, error_status=500]"),
    ]
    results = [run(defs, instance, "host_video", key) for key in keys]
    said = "".join(str(event) for result in results for event in result.all_events)
    out, err = capfd.readouterr()
    found = [secret for secret in emulator.issued_secrets() if secret in said + out + err]
    assert found == []
