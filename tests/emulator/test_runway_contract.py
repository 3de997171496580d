"""The official SDK ``runwayml``, unmodified, against the emulator, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from runwayml import (
    APIConnectionError,
    AsyncRunwayML,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
    RunwayML,
    TaskFailedError,
)

from video_assets.emulator import Emulator

from .conftest import until

STATES = ["PENDING", "THROTTLED", "RUNNING", "SUCCEEDED"]


@pytest.fixture
def client(emulator: Emulator) -> Iterator[RunwayML]:
    with RunwayML(api_key=emulator.runway_key, base_url=emulator.runway_base_url, max_retries=0) as made:
        yield made


def submit(client: RunwayML, prompt: str = "a red kite", **more: Any) -> str:
    request = {"model": "gen4.5", "ratio": "1280:720", "duration": 5} | more
    return client.text_to_video.create(prompt_text=prompt, **request).id


def finished(client: RunwayML, task_id: str) -> Any:
    return until(lambda: client.tasks.retrieve(task_id), lambda task: task.status in ("SUCCEEDED", "FAILED"))


def test_a_video_is_made_and_downloaded(emulator: Emulator, client: RunwayML) -> None:
    created = client.text_to_video.create(model="gen4.5", prompt_text="a kite", ratio="1280:720", duration=5)
    assert created.estimated_cost.credits == 60
    task = finished(client, created.id)
    assert task.status == "SUCCEEDED"
    assert task.cost.credits == 60
    (url,) = task.output
    video = httpx.get(url)
    assert (video.status_code, video.headers["content-type"]) == (200, "video/mp4")
    assert video.content[4:8] == b"ftyp"


def test_the_sdks_own_waiting_works_for_success_failure_and_cancellation(emulator: Emulator) -> None:
    """The SDK waits about six seconds between two looks, so everything is awaited at once."""

    async def asynchronous() -> None:
        async with AsyncRunwayML(api_key=emulator.runway_key, base_url=emulator.runway_base_url) as client:
            make = client.image_to_video.create
            image: Any = [{"uri": "https://example.com/a.png", "position": "first"}]
            common: Any = {"model": "gen4_turbo", "prompt_image": image, "ratio": "1280:720"}
            good = await make(prompt_text="good", **common)
            bad = await make(prompt_text="bad [emulator: fail=SAFETY.INPUT.TEXT]", **common)
            stopped = await make(prompt_text="stopped [emulator: run_seconds=600]", **common)
            emulator.cancel_job(stopped.id)
            outcomes = await asyncio.gather(
                good.wait_for_task_output(),
                bad.wait_for_task_output(),
                stopped.wait_for_task_output(),
                asyncio.to_thread(synchronous),
                return_exceptions=True,
            )
        assert not isinstance(outcomes[0], BaseException)
        assert outcomes[0].status == "SUCCEEDED"
        assert isinstance(outcomes[1], TaskFailedError)
        assert outcomes[1].task_details.failure_code == "SAFETY.INPUT.TEXT"  # type: ignore[union-attr]
        assert isinstance(outcomes[2], TaskFailedError)
        assert outcomes[2].task_details.status == "CANCELLED"
        assert outcomes[3] == "SUCCEEDED"

    def synchronous() -> str:
        with RunwayML(api_key=emulator.runway_key, base_url=emulator.runway_base_url) as client:
            task = client.text_to_video.create(model="gen4.5", prompt_text="x", ratio="720:1280", duration=2)
            return client.tasks.retrieve(task.id).wait_for_task_output().status

    asyncio.run(asynchronous())


def test_a_task_goes_through_pending_running_with_progress_and_succeeded(client: RunwayML) -> None:
    task_id = submit(client, "slow [emulator: queue_seconds=0.2, run_seconds=0.6]")
    seen: list[Any] = []
    until(
        lambda: seen.append(client.tasks.retrieve(task_id)) or seen[-1], lambda task: task.status == "SUCCEEDED"
    )
    words = list(dict.fromkeys(task.status for task in seen))
    assert words == ["PENDING", "RUNNING", "SUCCEEDED"]
    progress = [task.progress for task in seen if task.status == "RUNNING"]
    assert progress == sorted(progress)
    assert all(0 <= value < 1 for value in progress)
    assert len(set(progress)) > 2


def test_progress_can_be_counted_in_polls_instead_of_seconds(client: RunwayML) -> None:
    task_id = submit(client, "counted [emulator: polls=3]")
    assert [client.tasks.retrieve(task_id).status for _ in range(4)] == [
        "RUNNING",
        "RUNNING",
        "SUCCEEDED",
        "SUCCEEDED",
    ]


def test_jobs_over_the_limit_of_the_account_are_throttled_and_run_in_order() -> None:
    with Emulator(runway_concurrency=1, directives={"queue_seconds": 0, "seconds": 0.2}) as emulator:
        client = RunwayML(api_key=emulator.runway_key, base_url=emulator.runway_base_url)
        first = submit(client, "one [emulator: run_seconds=600]")
        second = submit(client, "two [emulator: run_seconds=600]")
        assert client.tasks.retrieve(first).status == "RUNNING"
        assert client.tasks.retrieve(second).status == "THROTTLED"
        client.tasks.delete(first)
        assert client.tasks.retrieve(second).status == "RUNNING"


def test_a_failed_task_tells_its_code_and_costs_nothing(client: RunwayML) -> None:
    task = finished(client, submit(client, "x [emulator: fail=INTERNAL.BAD_OUTPUT.CODE01]"))
    assert (task.status, task.failure_code) == ("FAILED", "INTERNAL.BAD_OUTPUT.CODE01")
    assert task.failure
    assert task.cost.credits == 0


def test_a_job_can_have_several_outputs_which_all_differ(client: RunwayML) -> None:
    task = finished(client, submit(client, "x [emulator: versions=3]"))
    bodies = {httpx.get(url).content for url in task.output}
    assert len(task.output) == len(bodies) == 3


def test_cancelling_and_deleting_make_a_task_unknown(client: RunwayML) -> None:
    running, done = submit(client, "x [emulator: run_seconds=600]"), submit(client)
    link = finished(client, done).output[0]
    for task_id in (running, done):
        client.tasks.delete(task_id)
        with pytest.raises(NotFoundError):
            client.tasks.retrieve(task_id)
        with pytest.raises(NotFoundError):
            client.tasks.delete(task_id)
    assert httpx.get(link).status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt_text": ""}, "promptText"),
        ({"prompt_text": "a" * 1001}, "promptText"),
        ({"prompt_text": "🎈" * 501}, "promptText"),
        ({"ratio": "1:1"}, "ratio"),
        ({"ratio": "1584:672"}, "ratio"),
        ({"duration": 11}, "duration"),
        ({"model": "gen-none"}, "model"),
    ],
)
def test_what_runway_does_not_accept_is_a_bad_request_that_names_the_field(
    client: RunwayML, change: dict[str, Any], field: str
) -> None:
    request: Any = {"model": "gen4.5", "prompt_text": "x", "ratio": "1280:720", "duration": 5} | change
    with pytest.raises(BadRequestError) as caught:
        client.text_to_video.create(**request)
    body: Any = caught.value.body
    assert [issue["path"] for issue in body["issues"]] == [[field]]


def test_a_thousand_units_are_just_allowed(client: RunwayML) -> None:
    assert submit(client, "🎈" * 500)


def test_every_missing_field_is_named(client: RunwayML) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.post("/v1/image_to_video", body={"model": "gen4.5"}, cast_to=object)
    body: Any = caught.value.body
    assert {issue["path"][0] for issue in body["issues"]} == {"promptImage", "promptText", "ratio", "duration"}


def test_keys_and_versions_are_checked(emulator: Emulator) -> None:
    wrong = RunwayML(api_key="key_wrong", base_url=emulator.runway_base_url)
    with pytest.raises(AuthenticationError):
        wrong.organization.retrieve()
    old = RunwayML(api_key=emulator.runway_key, base_url=emulator.runway_base_url, runway_version="2023-01-01")
    with pytest.raises(BadRequestError, match="X-Runway-Version"):
        old.organization.retrieve()
    bare = httpx.get(f"{emulator.runway_base_url}/v1/organization")
    assert bare.status_code == 401


def test_unknown_tasks_and_wrong_methods(emulator: Emulator, client: RunwayML) -> None:
    with pytest.raises(NotFoundError):
        client.tasks.retrieve("17f20503-6c24-4c16-946b-35dbbce2af2f")
    headers = {"Authorization": f"Bearer {emulator.runway_key}", "X-Runway-Version": "2024-11-06"}
    assert httpx.get(f"{emulator.runway_base_url}/v1/text_to_video", headers=headers).status_code == 405
    assert httpx.get(f"{emulator.runway_base_url}/v1/nothing", headers=headers).status_code == 404


def test_the_organization_tells_balance_limits_and_use(client: RunwayML) -> None:
    before = client.organization.retrieve()
    submit(client)
    after = client.organization.retrieve()
    assert before.credit_balance - after.credit_balance == 60
    assert after.usage.models["gen4.5"].daily_generations == 1
    assert after.tier.models["gen4.5"].max_concurrent_generations == 20


def test_the_daily_limit_is_a_429(client: RunwayML) -> None:
    with Emulator(runway_daily=1, directives={"seconds": 0.2}) as emulator:
        one = RunwayML(api_key=emulator.runway_key, base_url=emulator.runway_base_url, max_retries=0)
        submit(one)
        with pytest.raises(RateLimitError):
            submit(one)


def test_a_link_holds_a_real_jwt_with_the_claims_runway_uses(client: RunwayML) -> None:
    url = httpx.URL(finished(client, submit(client)).output[0])
    token = url.params["_jwt"]
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    claims = jwt.decode(token, options={"verify_signature": False})
    assert set(claims) == {"keyHash", "bucket", "stage", "exp"}
    assert claims["exp"] % 86_400 == 0  # midnight UTC, 24 to 48 hours ahead


def test_the_sdk_retries_a_busy_api_by_itself_and_gets_through(emulator: Emulator) -> None:
    client = RunwayML(api_key=emulator.runway_key, base_url=emulator.runway_base_url, max_retries=2)
    prompt = "x [emulator: submit_errors=1, submit_status=429, retry_after=0.05]"
    task_id = submit(client, prompt)
    assert emulator.submits(prompt) == 2
    assert [job.id for job in emulator.jobs_of(prompt)] == [task_id]


def test_errors_of_the_api_arrive_as_the_sdks_exceptions(client: RunwayML) -> None:
    prompt = "x [emulator: submit_errors=1, submit_status=429, retry_after=7]"
    with pytest.raises(RateLimitError) as limited:
        submit(client, prompt)
    assert limited.value.response.headers["retry-after"] == "7"
    assert submit(client, prompt)
    task_id = submit(client, "y [emulator: poll_errors=1, poll_status=502]")
    with pytest.raises(InternalServerError):
        client.tasks.retrieve(task_id)
    assert client.tasks.retrieve(task_id).id == task_id


def test_a_lost_answer_has_created_a_job_that_the_client_does_not_know(
    emulator: Emulator, client: RunwayML
) -> None:
    prompt = "x [emulator: lose_submit=1]"
    with pytest.raises(APIConnectionError):
        submit(client, prompt)
    assert len(emulator.jobs_of(prompt)) == 1


def test_a_retrying_client_pays_twice_for_a_lost_answer(emulator: Emulator) -> None:
    """Why the product never lets an SDK retry a submission: this is what would happen."""
    client = RunwayML(api_key=emulator.runway_key, base_url=emulator.runway_base_url, max_retries=2)
    prompt = "x [emulator: lose_submit=1]"
    submit(client, prompt)
    assert len(emulator.jobs_of(prompt)) == 2


def test_garbage_and_web_pages_come_with_status_200(emulator: Emulator, client: RunwayML) -> None:
    task_id = submit(client, "x [emulator: garbage_first=1, html_first=1]")
    headers = {"Authorization": f"Bearer {emulator.runway_key}", "X-Runway-Version": "2024-11-06"}
    address = f"{emulator.runway_base_url}/v1/tasks/{task_id}"
    cut, page, good = (httpx.get(address, headers=headers) for _ in range(3))
    assert (cut.status_code, page.status_code) == (200, 200)
    with pytest.raises(ValueError):
        cut.json()
    assert page.headers["content-type"] == "text/html"
    assert good.json()["id"] == task_id


def test_a_status_word_nobody_knows_can_be_sent(emulator: Emulator, client: RunwayML) -> None:
    task_id = submit(client, "x [emulator: odd_status=DREAMING_BIG, run_seconds=600]")
    assert until(lambda: client.tasks.retrieve(task_id).status, lambda word: word != "PENDING") == "DREAMING_BIG"


def test_a_misspelt_directive_is_refused(client: RunwayML) -> None:
    with pytest.raises(BadRequestError, match="truncate_frist"):
        submit(client, "x [emulator: truncate_frist=1]")
    with pytest.raises(BadRequestError, match="link_ttl"):
        submit(client, "x [emulator: link_ttl=soon]")
