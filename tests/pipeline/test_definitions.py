"""What Dagster is told: a renamed asset, job or check shows up here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from video_assets.definitions import build_defs

ROOT = Path(__file__).parents[2]


def test_the_definitions_load_and_have_these_names() -> None:
    defs = build_defs()
    dg.Definitions.validate_loadable(defs)
    repository = defs.get_repository_def()
    assert {key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()} == {
        "generation_request",
        "provider_job",
        "hosted_video",
        "video_preview",
        "legacy_findings",
        "legacy_rescue",
        "legacy_proof",
    }
    assert {key.name for key in repository.asset_graph.asset_check_keys} == {
        "no_persisted_jwt",
        "no_temporary_url",
        "stored_bytes_match",
        "publicly_readable",
        "playable",
        "nothing_temporary_anywhere",
        "no_temporary_url_left",
    }
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "new_generations",
        "provider_jobs",
        "expiring_urls",
        "failed_runs",
        "expiring_legacy",
    }
    assert all(sensor.default_status.value == "RUNNING" for sensor in repository.sensor_defs)


def test_importing_the_definitions_touches_neither_network_nor_disk(tmp_path: Path) -> None:
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise AssertionError('network at import')\n"
        "socket.socket.connect = refuse\n"
        "import video_assets.definitions\n"
    )
    environment = {**os.environ, "VIDEO_ASSETS_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=tmp_path, timeout=60)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("name", ["dagster.yaml"])
def test_the_instance_configuration_is_accepted_by_dagster(name: str, tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_bytes((ROOT / name).read_bytes())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.telemetry_enabled is False
        assert instance.run_retries_enabled
        assert instance.run_monitoring_enabled


def test_the_workspace_names_the_one_module_of_definitions() -> None:
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    assert workspace["load_from"][0]["python_module"]["module_name"] == "video_assets.definitions"
