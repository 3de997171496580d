"""``video-assets storage check``: green only where a video would be safe, else the name of what is missing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from video_assets.cli.storage import app
from video_assets.settings import Settings, get_settings
from video_assets.storage import DurableStorage, StoredObject, open_storage
from video_assets.storage.health import CheckLine, check_storage, is_healthy, iter_checks
from video_assets.storage.policies import aws_public_read_policy, supabase_policies

from ..web.conftest import running_media_server
from .conftest import s3_store
from .faulty import scripted_store
from .servers import KEY_ID, SECRET

STEPS = ["key template", "write", "look", "prove", "range", "signed link", "public link", "delete"]
S3_STEPS = ["key template", "address", *STEPS[1:]]


def statuses(lines: list[CheckLine]) -> dict[str, str]:
    return {line.name: line.status for line in lines}


def settings_for(store: DurableStorage, **values: Any) -> Settings:
    return Settings(_env_file=None, storage="s3", bucket=store.bucket, **values)


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Runs the command with these settings and no others."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **environment: str) -> Result:
        for name, value in environment.items():
            monkeypatch.setenv(f"VIDEO_ASSETS_{name}", value)
        get_settings.cache_clear()
        return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})

    yield run
    get_settings.cache_clear()


def test_a_folder_with_its_media_server_passes_every_step(tmp_path: Path) -> None:
    with running_media_server(tmp_path / "home") as server:
        settings = Settings(_env_file=None, home=tmp_path / "home", public_base_url=f"{server.base}/media")
        lines = check_storage(open_storage(settings), settings)
    assert statuses(lines) == dict.fromkeys(STEPS, "ok"), lines
    assert [line.name for line in lines] == STEPS
    assert list(server.storage.list()) == []


def test_a_folder_without_its_media_server_is_fit_with_a_warning(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path, public_base_url="http://127.0.0.1:9/media")
    lines = check_storage(open_storage(settings), settings)
    assert is_healthy(lines)
    warnings = {line.name: line.remedy for line in lines if line.status == "warning"}
    assert set(warnings) == {"signed link", "public link"}
    assert all("python -m video_assets.web" in remedy for remedy in warnings.values())


def test_a_bucket_that_is_not_public_is_told_how_to_become_so(moto: str) -> None:
    store = s3_store(moto)
    store.ensure_bucket()
    lines = check_storage(store, settings_for(store))
    assert statuses(lines)["public link"] == "warning"
    assert "HTTP 403" in next(line.detail for line in lines if line.name == "public link")
    assert "video-assets storage policies" in next(line.remedy for line in lines if line.name == "public link")
    store._client.put_bucket_policy(Bucket=store.bucket, Policy=aws_public_read_policy(store.bucket))
    lines = check_storage(store, settings_for(store))
    assert statuses(lines) == dict.fromkeys(S3_STEPS, "ok"), lines
    assert list(store.list()) == []


def test_a_missing_bucket_fails_once_and_the_rest_is_skipped(moto: str) -> None:
    store = s3_store(moto)
    lines = check_storage(store, settings_for(store))
    assert statuses(lines) == {"key template": "ok", "address": "failed"} | dict.fromkeys(S3_STEPS[2:], "skipped")
    assert "the bucket does not exist" in lines[1].detail
    assert "VIDEO_ASSETS_BUCKET" in lines[1].remedy
    assert not is_healthy(lines)


class Lying:
    """A store that keeps the probe and answers one question wrongly."""

    def __init__(self, store: DurableStorage, **lies: Any) -> None:
        self._store = store
        self._lies = lies

    def __getattr__(self, name: str) -> Any:
        return self._lies.get(name) or getattr(self._store, name)


@pytest.mark.parametrize(
    ("lies", "step", "status"),
    [
        ({"head": lambda key: None}, "look", "failed"),
        ({"head": lambda key: StoredObject(key, 65_536, content_type="text/html")}, "look", "warning"),
        ({"read": lambda key, start=0, end=None: iter([b"x"])}, "range", "failed"),
        ({"delete": lambda key: False}, "delete", "failed"),
    ],
)
def test_a_store_that_does_not_keep_its_word_is_found_out(
    tmp_path: Path, lies: dict[str, Any], step: str, status: str
) -> None:
    settings = Settings(_env_file=None, home=tmp_path, public_base_url="http://127.0.0.1:9/media")
    store: Any = Lying(open_storage(settings), **lies)
    found = next(line for line in check_storage(store, settings) if line.name == step)
    assert found.status == status
    assert found.remedy


def test_a_check_that_is_broken_off_leaves_no_probe(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path)
    store = open_storage(settings)
    lines = iter_checks(store, settings)
    while next(lines).name != "look":
        pass
    assert len(list(store.list())) == 1
    lines.close()  # type: ignore[attr-defined]
    assert list(store.list()) == []


def test_a_template_that_cannot_work_fails_the_check(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path, key_template="{user}/{id}")
    lines = check_storage(open_storage(settings), settings)
    assert lines[0].status == "failed"
    assert "unknown word {user}" in lines[0].remedy


def test_the_command_says_line_by_line_what_it_found(check: Any, tmp_path: Path) -> None:
    result = check("check", HOME=str(tmp_path), PUBLIC_BASE_URL="http://127.0.0.1:9/media")
    assert result.exit_code == 0
    assert "The storage is fit, 2 to look at." in result.stdout
    for step in STEPS:
        assert step in result.stdout


def test_the_command_exits_1_and_names_the_remedy(check: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    result = check("check", HOME=str(tmp_path), STORAGE_ROOT=str(tmp_path / "file"))
    assert result.exit_code == 1
    assert "→ Look at VIDEO_ASSETS_STORAGE_ROOT." in result.stdout
    assert "The storage is not fit." in result.stdout


def test_json_is_one_document_and_holds_no_secret(check: Any, rclone: tuple[str, Path]) -> None:
    store = s3_store(rclone[0])
    environment = {
        "STORAGE": "s3",
        "S3_ENDPOINT_URL": rclone[0],
        "S3_ACCESS_KEY_ID": KEY_ID,
        "S3_SECRET_ACCESS_KEY": SECRET,
        "BUCKET": store.bucket,
    }
    failed = check("check", "--json", **environment)
    assert failed.exit_code == 1
    report = json.loads(failed.stdout)
    assert report["healthy"] is False
    assert report["checks"][1]["name"] == "address"
    assert report["checks"][1]["settings"] == ["VIDEO_ASSETS_BUCKET"]
    created = check("check", "--json", "--create-bucket", **environment)
    assert created.exit_code == 0, created.output
    report = json.loads(created.stdout)
    assert (report["healthy"], report["storage"], report["bucket"]) == (True, "s3", store.bucket)
    assert report["checks"][0] == {
        "name": "bucket",
        "status": "ok",
        "detail": f"'{store.bucket}' was created",
        "remedy": "",
        "seconds": 0.0,
        "settings": [],
    }
    assert {line["name"]: line["status"] for line in report["checks"]}["signed link"] == "ok"
    for output in (failed.output, created.output):
        assert SECRET not in output
        assert "X-Amz" not in output


@pytest.mark.parametrize(
    ("environment", "remedy"),
    [
        ({"STORAGE": "s3", "S3_ACCESS_KEY_ID": "only-half"}, "VIDEO_ASSETS_S3_SECRET_ACCESS_KEY together"),
        ({"STORAGE": "s3", "S3_PUBLIC_FLAVOUR": "custom"}, "VIDEO_ASSETS_S3_PUBLIC_BASE_URL"),
        ({"MEDIA_PORT": "many"}, "VIDEO_ASSETS_MEDIA_PORT"),
        ({"HOME": "/dev/null/home"}, "VIDEO_ASSETS_HOME"),
    ],
)
def test_settings_that_cannot_work_are_named(check: Any, environment: dict[str, str], remedy: str) -> None:
    result = check("check", **environment)
    assert result.exit_code == 1
    assert remedy in result.stdout
    assert "Traceback" not in result.output


def test_the_policies_fit_the_store(check: Any) -> None:
    aws = check("policies", BUCKET="hug-videos")
    assert "arn:aws:s3:::hug-videos/*" in aws.stdout
    assert "CORSRules" in aws.stdout
    supabase = check("policies", BUCKET="hug-videos", S3_PUBLIC_FLAVOUR="supabase")
    assert supabase.stdout == supabase_policies("hug-videos")


def test_supabase_owners_reach_their_own_folder_only() -> None:
    sql = supabase_policies("generated-videos")
    created = re.findall(
        r"create policy (\".*?\") on storage.objects\s+for (\w+) to (\w+) (.*?);", sql, re.DOTALL
    )
    assert [(action, role) for _, action, role, _ in created] == [
        ("insert", "authenticated"),
        ("select", "authenticated"),
        ("delete", "authenticated"),
    ]
    for name, _, _, rule in created:
        assert f"drop policy if exists {name} on storage.objects;" in sql
        assert "(storage.foldername(name))[1] = (select auth.uid())::text" in rule
        assert "bucket_id = 'generated-videos'" in rule
    assert "values ('o''brien'" in supabase_policies("o'brien")


@pytest.mark.parametrize(
    ("kept", "detail"),
    [
        ({"Content-Type": "video/mp4"}, "does not keep the Cache-Control"),
        (
            {"Content-Type": "application/octet-stream", "Cache-Control": "public, max-age=31536000, immutable"},
            "reports the type 'application/octet-stream'",
        ),
    ],
)
def test_a_store_that_keeps_less_than_it_is_given_is_noticed(kept: dict[str, str], detail: str) -> None:
    """As a store on a file system does, which keeps bytes and takes the type from the name."""
    with scripted_store() as script:
        script.on("HEAD", (200, "", {"Content-Length": "65536", **kept}))
        store = s3_store(script.endpoint, "bucket")
        look = next(line for line in iter_checks(store, settings_for(store)) if line.name == "look")
    [put] = [path for method, path, _, _ in script.requests if method == "PUT"]
    assert put.endswith(".probe")  # an ending from which no type can be guessed
    assert look.status == "warning"
    assert detail in look.detail
    assert look.remedy
