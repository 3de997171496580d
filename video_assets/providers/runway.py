"""Runway: https://docs.dev.runwayml.com, API version 2024-11-06.

Sources: [S] is runwayml 5.24.0, read in its source; [D] is Runway's own documentation.

- ``POST /v1/text_to_video | image_to_video | video_to_video`` answers ``{"id": …, "estimatedCost"?: …}`` [S].
- ``GET /v1/tasks/{id}``: PENDING, THROTTLED, RUNNING, SUCCEEDED, FAILED, CANCELLED and no other word [S].
- ``output`` is a list of links that die within 24 to 48 hours; asking again gives fresh ones [S].
- ``DELETE /v1/tasks/{id}`` cancels what is not finished and *deletes the output data* of what is [S].
- There is no listing and no idempotency key: a lost answer to a submission cannot be cleared up [S].
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from video_assets.providers import reading
from video_assets.providers.base import (
    GenerationSpec,
    JobSnapshot,
    JobState,
    OfferedOutput,
    OutputKind,
    PollPlan,
    ProviderError,
    Refreshes,
    RequestRefused,
    SubmissionUncertain,
    TaskUnknown,
)
from video_assets.providers.http import ApiClient, path_segment
from video_assets.providers.parameters import camel, fields_of
from video_assets.settings import Settings

API_VERSION: Final = "2024-11-06"
"""Value of the header ``X-Runway-Version``, without which every call is refused [S: _client.py]."""

LINK_LIFETIME: Final = timedelta(hours=24)
"""The shorter end of "24-48 hours" [S: types/task_retrieve_response.py]; the link's own JWT tells exactly."""

_STATES: Final = {
    "PENDING": JobState.QUEUED,
    "THROTTLED": JobState.QUEUED,  # waits for a free slot of the account; not an error [D]
    "RUNNING": JobState.RUNNING,
    "SUCCEEDED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
    "CANCELLED": JobState.CANCELLED,
    "CANCELED": JobState.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class _Model:
    """What is known of one model. Models that are not listed pass through; the API's 400 judges them."""

    prompt_limit: int | None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Fields the API requires, filled in when the request leaves them out."""
    prompt_required: bool = False
    """True when even a request with an image needs a prompt."""


_MODELS: Final[Mapping[str, _Model]] = {  # [S: types/text_to_video_create_params.py, image_to_video_…]
    "gen4.5": _Model(1000, {"ratio": "1280:720", "duration": 5}, prompt_required=True),
    "gen4_turbo": _Model(1000, {"ratio": "1280:720", "duration": 5}),
    "veo3.1": _Model(1000, {"ratio": "1280:720"}),
    "veo3.1_fast": _Model(1000, {"ratio": "1280:720"}),
    "happyhorse_1_0": _Model(2500),
    "seedance2": _Model(3500),
    "seedance2_fast": _Model(3500),
    "seedance2_mini": _Model(3500),
    "seedance2_5": _Model(15000),
}
_UNLISTED: Final = _Model(None)


class Runway:
    """One Runway account."""

    name = "runway"
    title = "Runway"
    cost_unit = "credits"
    poll_plan = PollPlan(timedelta(seconds=5), 1.2, timedelta(seconds=30))
    """"Not more frequent than once every five seconds for a given task" [S: resources/tasks.py]."""
    max_concurrent_jobs: int | None = None
    """The tiers run 1 to 20 at a time; Runway takes more and lets them wait as THROTTLED [D: usage/tiers]."""
    refreshes: Refreshes = "by_task"
    can_cancel = True

    def __init__(self, settings: Settings) -> None:
        """Raises Misconfigured for an address that is none; a missing key shows at the first call."""
        self._api = ApiClient(
            provider=self.name,
            base_url=settings.runway_base_url,
            address_setting="VIDEO_ASSETS_RUNWAY_BASE_URL",
            key=settings.runway_api_key,
            key_setting="VIDEO_ASSETS_RUNWAY_API_KEY",
            connect_timeout=settings.connect_timeout_seconds,
            timeout=settings.provider_timeout_seconds,
            headers={"X-Runway-Version": API_VERSION},
        )

    @property
    def has_key(self) -> bool:
        """True when VIDEO_ASSETS_RUNWAY_API_KEY is set."""
        return self._api.has_key

    def prompt_limit(self, model: str) -> int | None:
        """Longest prompt for ``model`` in UTF-16 code units, None where Runway states no limit."""
        return _MODELS.get(model, _UNLISTED).prompt_limit

    def prompt_length(self, prompt: str) -> int:
        """Length in UTF-16 code units: an emoji counts as two [S]."""
        return utf16_length(prompt)

    def validate(self, spec: GenerationSpec) -> None:
        """Raise RequestRefused for an empty or too long prompt, no model, or a field that is given twice."""
        build_request(spec)

    def submit(self, spec: GenerationSpec) -> JobSnapshot:
        """Send the request once. Errors as in ``Provider.submit``."""
        path, body = build_request(spec)
        answer = self._api.submit(path, body)
        try:
            return answer.paced(parse_task(answer.body))
        except ProviderError as exc:
            raise SubmissionUncertain(f"{exc}; the job may exist and is not sent again by itself") from None

    def find_submitted(
        self, spec: GenerationSpec, *, since: datetime, exclude: Collection[str] = ()
    ) -> JobSnapshot | None:
        """Always SubmissionUncertain: Runway's API lists no tasks."""
        raise SubmissionUncertain(
            "runway cannot list its tasks, so only its dashboard tells whether this one was taken"
        )

    def poll(self, task_id: str) -> JobSnapshot:
        """GET the task; links are fresh each time. Raises ProviderError, TaskUnknown."""
        answer = self._api.get(f"/v1/tasks/{path_segment(task_id)}")
        snapshot = parse_task(answer.body)
        if snapshot.task_id != task_id:
            raise ProviderError("runway answered about another task than the one asked for")
        return answer.paced(snapshot)

    def cancel(self, task_id: str) -> bool:
        """Stop a task that is not finished; False when it finished or failed first. Raises ProviderError.

        Asks first, because DELETE on a finished task deletes the video. Raises TaskUnknown for a task that is
        not known: that is how Runway shows one that was deleted before [S: resources/tasks.py], but also how any
        other host answers.
        """
        state = self.poll(task_id).state
        if state.settled:
            return state is JobState.CANCELLED
        with suppress(TaskUnknown):  # known a moment ago: deleted by somebody else in between
            self._api.delete(f"/v1/tasks/{path_segment(task_id)}")
        return True

    def download_headers(self, url: str) -> Mapping[str, str]:
        """The key, for a file of the API itself; its media hosts take none. Raises KeyRefused."""
        return self._api.download_headers(url)

    def check_key(self) -> str:
        """GET /v1/organization and say the balance. Raises KeyRefused, ProviderError."""
        balance = reading.number(self._api.get("/v1/organization").body.get("creditBalance"))
        return "the key works" if balance is None else f"the key works, {balance:,.0f} credits left"


def utf16_length(text: str) -> int:
    """UTF-16 code units of ``text``; a lone surrogate counts as one."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def build_request(spec: GenerationSpec) -> tuple[str, dict[str, Any]]:
    """The path and JSON body that ask Runway for ``spec``.

    Parameters may be written as in Runway's JSON (``promptImage``) or as in its Python SDK (``prompt_image``).
    A video input makes it video_to_video, an image input image_to_video, neither text_to_video. Raises
    RequestRefused for what Runway would certainly refuse.
    """
    parameters = fields_of(spec, camel, model="model", prompt="promptText")
    if not spec.model.strip():
        raise RequestRefused("runway needs a model, for example gen4.5")

    facts = _MODELS.get(spec.model, _UNLISTED)
    with_media = True
    if "videoUri" in parameters or "promptVideo" in parameters:
        path = "/v1/video_to_video"
    elif "promptImage" in parameters:
        path = "/v1/image_to_video"
    else:
        path, with_media = "/v1/text_to_video", False

    body = {"model": spec.model, **parameters}
    if path != "/v1/video_to_video":
        body = {**facts.defaults, **body}
    if spec.prompt.strip():
        length = utf16_length(spec.prompt)
        if facts.prompt_limit is not None and length > facts.prompt_limit:
            raise RequestRefused(
                f"the prompt has {length} UTF-16 code units, {spec.model} takes {facts.prompt_limit} at most"
            )
        body["promptText"] = spec.prompt
    elif facts.prompt_required or not with_media:
        raise RequestRefused("the prompt is empty")
    return path, body


def parse_task(body: Mapping[str, Any]) -> JobSnapshot:
    """What Runway says about a task, in our words. Also reads the answer to a submission, which has no status.

    Raises ProviderError for a task without an id, and for one that succeeded without a usable output.
    """
    task_id = reading.task_id(body.get("id"))
    if task_id is None:
        raise ProviderError("runway answered without a task id")
    raw_status = reading.text(body.get("status"), longest=64) or ""
    state = _STATES.get(raw_status.upper(), JobState.RUNNING if raw_status else JobState.QUEUED)
    failed = state is JobState.FAILED
    failure_code = reading.text(body.get("failureCode"), longest=100) if failed else None
    return JobSnapshot(
        task_id=task_id,
        state=state,
        raw_status=raw_status,
        progress=reading.progress(body.get("progress")),
        outputs=_outputs(body.get("output")) if state is JobState.SUCCEEDED else (),
        failure_code=failure_code,
        failure_message=reading.text(body.get("failure")) if failed else None,
        failure_retryable=_retryable(failure_code),
        created_at=reading.moment(body.get("createdAt")),
        estimated_cost=reading.number(reading.mapping(body.get("estimatedCost")).get("credits")),
        cost=reading.number(reading.mapping(body.get("cost")).get("credits")),
    )


def _retryable(failure_code: str | None) -> bool:
    """INTERNAL and INTERNAL.BAD_OUTPUT.* may work next time; SAFETY.*, ASSET.INVALID and unknown codes not."""
    return failure_code is not None and failure_code.upper().split(".")[0] == "INTERNAL"


def _outputs(output: object) -> tuple[OfferedOutput, ...]:
    """Every link, in the provider's order. Image sequences come as .zip with a .wav beside it [S]."""
    links = [reading.address(entry) for entry in output] if isinstance(output, list) else []
    if not links:
        raise ProviderError("runway says the task succeeded but offers no output")
    seen: dict[OutputKind, int] = {}
    offered = []
    for link in links:
        if link is None:
            raise ProviderError("runway offers an output that is no address")
        kind = reading.kind_of(link)
        index = seen.get(kind, 0)
        seen[kind] = index + 1
        offered.append(OfferedOutput(kind, index, link, lifetime=LINK_LIFETIME))
    return tuple(offered)
