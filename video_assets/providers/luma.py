"""Luma Dream Machine (Ray 2): https://docs.lumalabs.ai.

Sources: [S] is lumaai 1.21.0, read in its source; [D] is Luma's own documentation.

- ``POST /generations/video`` answers with the generation object, every field of which is optional [S].
- ``GET /generations/{id}``: queued, dreaming, completed, failed; no progress figure, no "cancelled" [S].
- ``assets.video`` is the video, ``assets.image`` its poster; ``assets.progress_video`` is a by-product [S].
- ``GET /generations?limit&offset`` lists an account's generations with the request echoed in each [S]: that is
  how a lost answer to a submission is cleared up. The order of the listing is not documented.
- How long links live is not documented, and they look unsigned: treated as unknown, and rescued at once.
- ``DELETE /generations/{id}`` "removes" a generation [S]; nothing says that it stops one, so it is not a cancel.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
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
)
from video_assets.providers.http import ApiClient, path_segment
from video_assets.providers.parameters import fields_of, snake
from video_assets.settings import Settings

PROMPT_SHORTEST: Final = 3
PROMPT_LONGEST: Final = 5000
"""Characters [D: errors]."""

_STATES: Final = {
    "queued": JobState.QUEUED,
    "dreaming": JobState.RUNNING,
    "completed": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
}

_PAGE = 50
_MOST_PAGES = 40
_CLOCK_TOLERANCE = timedelta(seconds=60)
"""What is left of clock skew after the server's Date header has been taken into account, and rounding."""


class Luma:
    """One Luma Dream Machine account."""

    name = "luma"
    title = "Luma Dream Machine"
    cost_unit = "US cents"
    poll_plan = PollPlan(timedelta(seconds=3), 1.2, timedelta(seconds=20))
    """Luma's own samples ask every three seconds [D]."""
    max_concurrent_jobs: int | None = 10
    """Concurrent videos of the Build tier [D: rate-limits]; more are refused with 429."""
    refreshes: Refreshes = "by_task"
    can_cancel = False

    def __init__(self, settings: Settings) -> None:
        """Raises Misconfigured for an address that is none; a missing key shows at the first call."""
        self._api = ApiClient(
            provider=self.name,
            base_url=settings.luma_base_url,
            address_setting="VIDEO_ASSETS_LUMA_BASE_URL",
            key=settings.luma_api_key,
            key_setting="VIDEO_ASSETS_LUMA_API_KEY",
            connect_timeout=settings.connect_timeout_seconds,
            timeout=settings.provider_timeout_seconds,
        )

    @property
    def has_key(self) -> bool:
        """True when VIDEO_ASSETS_LUMA_API_KEY is set."""
        return self._api.has_key

    def prompt_limit(self, model: str) -> int | None:
        """5000 characters for every model."""
        return PROMPT_LONGEST

    def prompt_length(self, prompt: str) -> int:
        """Length in characters (Unicode code points)."""
        return len(prompt)

    def validate(self, spec: GenerationSpec) -> None:
        """Raise RequestRefused for a prompt outside 3 to 5000 characters, no model, or a field given twice."""
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
        """Look through the account's listing for the generation of ``spec``; details in ``Provider``.

        A generation is the one we sent when its prompt, model and parameters are ours, it was created after
        ``since`` by the server's clock, and no other job owns it; of several equal ones the nearest to ``since``
        is taken. Raises SubmissionUncertain when a listed generation may or may not be ours (it has no time,
        echoes no request, or differs in a parameter only), and when the listing is too long to read.
        An account that lists nothing at all, although jobs of ours are in it, is a ProviderError: another host or
        account answered.
        """
        _, wanted = build_request(spec)
        owned = frozenset(exclude)
        ours: list[tuple[timedelta, JobSnapshot]] = []
        doubtful = 0
        listed = 0
        for page, clock_ahead in self._listing_back_to(since):
            listed += len(page)
            earliest = since + clock_ahead - _CLOCK_TOLERANCE
            for entry in page:
                if reading.task_id(entry.get("id")) in owned:
                    continue
                created = reading.moment(entry.get("created_at"))
                if created is not None and created < earliest:
                    continue
                match = _resemblance(wanted, entry)
                if match is _Match.SAME and created is not None:
                    ours.append((abs(created - since - clock_ahead), parse_task(entry)))
                elif match is not _Match.OTHER:
                    doubtful += 1
        if owned and not listed:
            raise ProviderError("luma lists no generation at all, although it has taken some of ours")
        if ours:
            return min(ours, key=lambda found: found[0])[1]
        if doubtful:
            raise SubmissionUncertain(
                f"luma lists {doubtful} generation(s) of that time that may or may not be this one"
            )
        return None

    def _listing_back_to(self, since: datetime) -> Iterator[tuple[list[reading.JsonObject], timedelta]]:
        """Pages of the listing, each with how far the server's clock is ahead of ours.

        Ends at the end of the listing. It ends earlier only where the times seen so far prove that it runs from
        new to old and has passed ``since``: the order is not documented, and stopping too early would pay twice.
        """
        seen: list[datetime | None] = []
        offset = 0
        for _ in range(_MOST_PAGES):
            answer = self._api.get("/generations", {"limit": _PAGE, "offset": offset})
            listed = answer.body.get("generations")
            if not isinstance(listed, list):
                raise ProviderError("luma's listing holds no generations")
            page: list[reading.JsonObject] = [entry for entry in listed if isinstance(entry, dict)]
            clock_ahead = answer.date - datetime.now(UTC) if answer.date else timedelta()
            yield page, clock_ahead
            if not listed or answer.body.get("has_more") is False:
                return
            seen += [reading.moment(entry.get("created_at")) for entry in page]
            if _runs_back_past(since + clock_ahead - _CLOCK_TOLERANCE, seen):
                return
            offset += len(listed)
        raise SubmissionUncertain("luma's listing is too long to tell whether this generation was taken")

    def poll(self, task_id: str) -> JobSnapshot:
        """GET the generation. Raises ProviderError, TaskUnknown."""
        answer = self._api.get(f"/generations/{path_segment(task_id)}")
        snapshot = parse_task(answer.body)
        if snapshot.task_id != task_id:
            raise ProviderError("luma answered about another generation than the one asked for")
        return answer.paced(snapshot)

    def cancel(self, task_id: str) -> bool:
        """Always False and without a call: Luma cannot stop a generation, only remove it from the account."""
        return False

    def download_headers(self, url: str) -> Mapping[str, str]:
        """The key, for a file of the API itself; its media hosts take none. Raises KeyRefused."""
        return self._api.download_headers(url)

    def check_key(self) -> str:
        """GET /credits and say the balance. Raises KeyRefused, ProviderError."""
        cents = reading.number(self._api.get("/credits").body.get("credit_balance"))
        return "the key works" if cents is None else f"the key works, {cents / 100:,.2f} USD left"


def build_request(spec: GenerationSpec) -> tuple[str, dict[str, Any]]:
    """The path and JSON body that ask Luma for ``spec``.

    Parameters are Luma's own (``aspect_ratio``, ``resolution``, ``loop``, ``keyframes`` …), in snake or camel
    case; a whole number as ``duration`` becomes "5s". Raises RequestRefused for what Luma would certainly refuse.
    """
    parameters = fields_of(spec, snake, model="model", prompt="prompt")
    if not spec.model.strip():
        raise RequestRefused("luma needs a model, for example ray-2")
    if not spec.prompt.strip():
        raise RequestRefused("the prompt is empty")
    if not PROMPT_SHORTEST <= len(spec.prompt) <= PROMPT_LONGEST:
        raise RequestRefused(
            f"the prompt has {len(spec.prompt)} characters, luma takes {PROMPT_SHORTEST} to {PROMPT_LONGEST}"
        )
    duration = parameters.get("duration")
    if isinstance(duration, int) and not isinstance(duration, bool):
        parameters["duration"] = f"{duration}s"
    return "/generations/video", {"model": spec.model, "prompt": spec.prompt, **parameters}


def parse_task(body: Mapping[str, Any]) -> JobSnapshot:
    """What Luma says about a generation, in our words.

    Raises ProviderError for a generation without an id, and for one that completed without a video.
    """
    task_id = reading.task_id(body.get("id"))
    if task_id is None:
        raise ProviderError("luma answered without a generation id")
    raw_status = reading.text(body.get("state"), longest=64) or ""
    state = _STATES.get(raw_status.lower(), JobState.RUNNING if raw_status else JobState.QUEUED)
    return JobSnapshot(
        task_id=task_id,
        state=state,
        raw_status=raw_status,
        outputs=_outputs(reading.mapping(body.get("assets"))) if state is JobState.SUCCEEDED else (),
        failure_message=reading.text(body.get("failure_reason")) if state is JobState.FAILED else None,
        created_at=reading.moment(body.get("created_at")),
    )


def _outputs(assets: reading.JsonObject) -> tuple[OfferedOutput, ...]:
    video, poster = reading.address(assets.get("video")), reading.address(assets.get("image"))
    if video is None:
        raise ProviderError("luma says the generation completed but offers no video")
    offered = [OfferedOutput(OutputKind.VIDEO, 0, video)]
    if poster is not None:
        offered.append(OfferedOutput(OutputKind.THUMBNAIL, 0, poster))
    return tuple(offered)


class _Match(Enum):
    SAME = auto()
    MAYBE = auto()
    OTHER = auto()


def _resemblance(wanted: Mapping[str, Any], listed: reading.JsonObject) -> _Match:
    """Whether a listed generation was asked for by the body ``wanted``.

    Another prompt or model is another generation. A parameter that differs leaves doubt, for the provider may
    write it otherwise than we did; one that the echo leaves out does not.
    """
    request = reading.mapping(listed.get("request"))
    model = request.get("model") or listed.get("model")
    if model not in (None, wanted["model"]) or listed.get("generation_type") not in (None, "video"):
        return _Match.OTHER
    prompt = request.get("prompt")
    if not isinstance(prompt, str):
        return _Match.MAYBE
    if _plain(prompt) != _plain(wanted["prompt"]):
        return _Match.OTHER
    asked = {
        name: value for name, value in wanted.items() if name not in ("model", "prompt") and value is not None
    }
    if any(request.get(name) not in (None, value) for name, value in asked.items()):
        return _Match.MAYBE
    return _Match.MAYBE if request.get("keyframes") and "keyframes" not in asked else _Match.SAME


def _plain(prompt: str) -> str:
    return " ".join(unicodedata.normalize("NFC", prompt).split())


def _runs_back_past(moment: datetime, seen: list[datetime | None]) -> bool:
    """True when ``seen`` only ever descends, really does, and its last time lies before ``moment``."""
    times = [created for created in seen if created is not None]
    if len(times) < len(seen) or not times:
        return False
    descends = all(later >= earlier for later, earlier in itertools.pairwise(times))
    return descends and times[0] > times[-1] and times[-1] < moment
