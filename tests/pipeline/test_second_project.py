"""A Dagster project of somebody else, ``tests/second_project``: merged, configured, placed by YAML, and run."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import dagster as dg
import pytest
import yaml
from cryptography.fernet import Fernet
from dagster.components.component_scaffolding import scaffold_object

from tests.world import World
from video_assets import build_defs
from video_assets.pipeline.partitions import legacy_sources

PROJECT = Path(__file__).parents[1] / "second_project"


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PROJECT))
    return import_module("studio.definitions")


def test_dagster_accepts_the_project_with_merged_definitions_and_with_components(tmp_path: Path) -> None:
    command = [Path(sys.executable).with_name("dagster"), "definitions", "validate"]
    modules = ["-m", "studio.definitions", "-m", "studio.managed"]
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT.parents[1]}", "DAGSTER_HOME": str(tmp_path)}
    done = subprocess.run([*command, *modules], capture_output=True, text=True, env=environment, cwd=PROJECT)
    assert done.returncode == 0, done.stderr
    assert "All code locations passed validation" in done.stderr + done.stdout


def test_the_project_keeps_its_executor_and_its_io_manager_and_its_asset_follows_ours(
    world: World, instance: dg.DagsterInstance, studio: ModuleType
) -> None:
    defs = studio.studio(services=world.services)
    dg.Definitions.validate_loadable(defs)
    repository = defs.get_repository_def()
    assert repository.get_job("send_newsletter").executor_def is dg.multiprocess_executor
    assert repository.get_job("host_video").executor_def is dg.in_process_executor
    key = world.finished("for the studio")
    instance.add_dynamic_partitions("generation_requests", [key])
    assert defs.resolve_job_def("host_video").execute_in_process(instance=instance, partition_key=key).success
    assert studio.warehouse.stored == [], "what goes from step to step is not the warehouse's"
    follow = dg.define_asset_job("follow", "captions").resolve(
        asset_graph=repository.asset_graph, resource_defs={"io_manager": studio.warehouse}
    )
    assert follow.execute_in_process(instance=instance, partition_key=key).success
    assert studio.warehouse.stored == [f"captions of {key}"]
    parents = repository.asset_graph.get(dg.AssetKey("captions")).parent_keys
    assert parents == {dg.AssetKey("hosted_video")}
    owners = {tuple(spec.owners) for spec in defs.resolve_all_asset_specs() if "hosted_video" in spec.key.path}
    assert owners == {("team:studio",)}


def test_settings_given_to_build_defs_come_before_the_environment_and_secrets_stay_names(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = Fernet.generate_key().decode()
    monkeypatch.setenv("STUDIO_KEY", secret)
    monkeypatch.setenv("VIDEO_ASSETS_HOME", str(tmp_path / "not here"))
    defs = build_defs(settings={"home": str(tmp_path / "here"), "encryption_key": dg.EnvVar("STUDIO_KEY")})
    assert defs.resolve_job_def("upkeep").execute_in_process(instance=instance).success
    assert (tmp_path / "here" / "catalog.db").exists()
    assert not (tmp_path / "here" / "encryption.key").exists(), "the given key is used, none is generated"
    assert not (tmp_path / "not here").exists()
    shown = repr((defs.resources or {})["services"])
    assert secret not in shown
    assert "STUDIO_KEY" in shown


def test_an_unknown_setting_and_a_secret_in_plain_text_are_refused_without_repeating_the_secret() -> None:
    with pytest.raises(ValueError, match="'hoem' is no setting"):
        build_defs(settings={"hoem": "/srv"})
    for name in ("database_url", "runway_api_key", "s3_secret_access_key"):
        with pytest.raises(ValueError, match=f"VIDEO_ASSETS_{name.upper()}") as refused:
            build_defs(settings={name: "hunter2hunter2"})
        assert "hunter2" not in str(refused.value)


def test_dg_scaffolds_both_components_and_what_it_writes_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "atelier" / "defs"
    folder.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "atelier"\n'
    )
    (folder.parent / "__init__.py").touch()
    scaffold_object(folder / "videos", "video_assets.VideoAssets", None, "yaml", tmp_path)
    scaffold_object(folder / "shop", "video_assets.LegacySource", '{"name": "my-shop"}', "yaml", tmp_path)
    written = yaml.safe_load((folder / "shop" / "defs.yaml").read_text())
    assert (written["type"], written["attributes"]["name"]) == ("video_assets.LegacySource", "my-shop")
    monkeypatch.syspath_prepend(str(tmp_path))
    defs = dg.load_from_defs_folder(path_within_project=folder.parent)
    repository = defs.get_repository_def()
    assert repository.has_job("host_video")
    schedule = repository.get_schedule_def("prove_legacy_source_my_shop")
    with dg.instance_for_test() as instance:
        context = dg.build_schedule_context(instance=instance, repository_def=repository)
        [run] = schedule.evaluate_tick(context).run_requests or []
        assert instance.has_dynamic_partition(str(legacy_sources.name), "my-shop")
    assert (run.partition_key, run.tags["video_assets/legacy_source"]) == ("my-shop", "my-shop")
