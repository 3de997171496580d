"""What Dagster is told: a renamed asset, job or check shows up here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from sqlalchemy import inspect

from video_assets.catalog import open_catalog
from video_assets.definitions import build_defs
from video_assets.settings import Settings

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
        "catalog_audit",
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


def test_every_asset_says_whom_to_ask_what_it_is_made_with_and_where_its_code_is() -> None:
    specs = {spec.key.to_user_string(): spec for spec in build_defs().resolve_all_asset_specs()}
    assert all(spec.owners and spec.kinds and spec.description and spec.group_name for spec in specs.values())
    touched = {name: spec.tags["video_assets/touches"] for name, spec in specs.items()}
    assert [name for name, what in touched.items() if what == "source"] == ["legacy_rescue"]
    assert [name for name, what in touched.items() if what == "provider"] == ["generation_request"]
    run_here = [spec for name, spec in specs.items() if name != "provider_job"]
    assert all(spec.code_version for spec in run_here)
    for spec in run_here:
        [reference] = spec.metadata["dagster/code_references"].code_references
        assert Path(reference.file_path).is_relative_to(ROOT / "video_assets")
        assert spec.key.path[-1] in "".join(
            Path(reference.file_path)
            .read_text()
            .splitlines(keepends=True)[reference.line_number - 1 : reference.line_number + 40]
        )


def test_an_asset_that_is_a_table_shows_the_columns_that_its_migrations_make(tmp_path: Path) -> None:
    catalog = open_catalog(Settings(home=tmp_path))
    made = inspect(catalog.engine)
    shown = {
        spec.metadata["dagster/table_name"]: spec.metadata["dagster/column_schema"]
        for spec in build_defs().resolve_all_asset_specs()
        if "dagster/column_schema" in spec.metadata
    }
    assert set(shown) == {"generation", "provider_job", "legacy_finding"}
    for table, schema in shown.items():
        assert {column.name for column in schema.columns} == {
            column["name"] for column in made.get_columns(table)
        }
        nullable = {column.name for column in schema.columns if column.constraints.nullable}
        assert nullable == {column["name"] for column in made.get_columns(table) if column["nullable"]}
    catalog.close()


def test_the_audit_and_the_proof_go_stale_by_themselves() -> None:
    policies = {
        spec.key.to_user_string(): spec.freshness_policy for spec in build_defs().resolve_all_asset_specs()
    }
    assert {name for name, policy in policies.items() if policy is not None} == {"catalog_audit", "legacy_proof"}


def test_loading_warns_of_nothing_and_silences_no_warning_of_other_code() -> None:
    code = (
        "import warnings, dagster as dg\n"
        "warnings.simplefilter('error', dg.BetaWarning)\n"
        "warnings.simplefilter('error', dg.PreviewWarning)\n"
        "warnings.filterwarnings('error', category=DeprecationWarning, message='Parameter ')\n"
        "from video_assets.definitions import defs\n"
        "defs.get_repository_def()\n"
        "try:\n"
        "    dg.asset(name='theirs', backfill_policy=dg.BackfillPolicy.single_run())(lambda: None)\n"
        "except dg.BetaWarning:\n"
        "    print('their own warning was raised')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout == "their own warning was raised\n", done.stderr


def test_importing_the_package_imports_dagster_only_when_it_is_asked_for() -> None:
    code = (
        "import sys, video_assets\n"
        "assert 'build_defs' in dir(video_assets) and not hasattr(video_assets, 'nothing_of_this_name')\n"
        "print('dagster' in sys.modules, end=' ')\n"
        "from video_assets import LegacySource, VideoAssets, build_defs\n"
        "print('dagster' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout == "False True\n", done.stderr
