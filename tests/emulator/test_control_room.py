"""The control page and its JSON, the plans, and the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from video_assets.emulator import Emulator
from video_assets.emulator.plans import BadDirective, JobPlan, describe

from .test_media_host import Api


def test_directives_are_read_out_of_the_prompt() -> None:
    plan = JobPlan().for_prompt("a kite [emulator: link_ttl=8, truncate_first=1, moov_at_end, fail=A B] at noon")
    assert (plan.link_ttl, plan.truncate_first, plan.moov_at_end, plan.fail) == (8.0, 1, True, "A B")
    assert JobPlan().for_prompt("a kite [not for us]") == JobPlan()


@pytest.mark.parametrize(
    "bad", ["nothing=1", "versions=two", "link_ttl=-1", "moov_at_end=perhaps", "refresh=later"]
)
def test_directives_that_cannot_be_are_refused(bad: str) -> None:
    with pytest.raises(BadDirective, match=bad.partition("=")[0]):
        JobPlan().for_prompt(f"x [emulator: {bad}]")


def test_every_directive_is_explained() -> None:
    assert all(meaning for _, _, meaning in describe())


def test_the_page_shows_jobs_and_directives_but_no_secret(emulator: Emulator) -> None:
    api = Api(emulator)
    api.output(api.runway())
    api.assets(api.luma())
    page, jobs = httpx.get(emulator.url), httpx.get(f"{emulator.url}/control/jobs")
    assert page.headers["content-type"].startswith("text/html")
    assert "gen4.5" in page.text
    assert "truncate_first" in page.text
    assert {job["provider"] for job in jobs.json()} == {"runway", "luma"}
    assert len(emulator.issued_secrets()) >= 5
    for secret in emulator.issued_secrets():
        assert secret not in page.text
        assert secret not in jobs.text
    assert set(httpx.get(f"{emulator.url}/control/secrets").json()) == set(emulator.issued_secrets())


def test_a_prompt_cannot_put_markup_on_the_page(emulator: Emulator) -> None:
    Api(emulator).runway("", promptText="<script>alert(1)</script>")
    assert "<script>" not in httpx.get(emulator.url).text


def test_the_buttons_kill_links_and_fail_jobs(emulator: Emulator) -> None:
    api = Api(emulator)
    done = api.runway()
    link = api.output(done)
    pressed = httpx.post(f"{emulator.url}/control/jobs/{done}/kill", headers={"Accept": "text/html"})
    assert (pressed.status_code, pressed.headers["location"]) == (303, "/")
    assert httpx.get(link).status_code == 401
    running = api.runway("run_seconds=600")
    assert httpx.post(f"{emulator.url}/control/jobs/{running}/fail").json()["state"] == "failed"
    assert api.task(running).json()["status"] == "FAILED"
    assert httpx.post(f"{emulator.url}/control/jobs/none/fail").status_code == 404


def test_plans_can_be_changed_for_one_job_and_for_all_to_come(emulator: Emulator) -> None:
    api = Api(emulator)
    task_id = api.runway()
    address = f"{emulator.url}/control/jobs/{task_id}"
    assert httpx.post(address, json={"missing": True}).status_code == 200
    assert httpx.get(api.output(task_id)).status_code == 404
    wrong = httpx.post(address, json={"mising": True})
    assert wrong.status_code == 400
    assert "mising" in wrong.json()["error"]
    assert httpx.post(f"{emulator.url}/control/defaults", json={"versions": 2}).status_code == 200
    assert httpx.get(f"{emulator.url}/control/defaults").json()["versions"] == 2
    assert len(emulator.job(api.runway()).assets) == 2


def test_an_unknown_path_is_not_found(emulator: Emulator) -> None:
    assert httpx.get(f"{emulator.url}/control/nothing").status_code == 404


def test_a_stopped_emulator_is_gone_with_its_files() -> None:
    with Emulator(directives={"seconds": 0.2, "run_seconds": 0, "queue_seconds": 0}) as emulator:
        api = Api(emulator)
        link = api.output(api.runway())
        path = emulator.jobs()[0].assets[0].content.result().path
        assert path.exists()
    assert not path.exists()
    with pytest.raises(httpx.TransportError):
        httpx.get(link)


def test_the_command_prints_its_addresses_serves_and_stops(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "video_assets.emulator",
        "--port",
        "0",
        "--state-dir",
        str(tmp_path / "state"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline().split() for _ in range(3)]
            page, base, key = lines[0][-1], lines[2][1], lines[2][-1]
            assert httpx.get(page).status_code == 200
            answer = httpx.get(f"{base}/credits", headers={"Authorization": f"Bearer {key}"})
            assert answer.json()["credit_balance"] > 0
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
