"""Runway's wire format (API version 2024-11-06), after the source of the official SDK ``runwayml`` 5.24."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from video_assets.emulator.jobs import Job, JobBoard, Phase
from video_assets.emulator.links import LinkOffice, Scheme
from video_assets.emulator.plans import BadDirective
from video_assets.emulator.publishing import signed_urls
from video_assets.emulator.wire import Hangup, Reply, Request, error, poll_fault, submit_fault

VERSION = "2024-11-06"
_SIX = ("1280:720", "720:1280", "1104:832", "832:1104", "960:960", "1584:672")
_FOUR = ("1280:720", "720:1280", "1080:1920", "1920:1080")
_BALANCE = 1_000_000


@dataclass(frozen=True, slots=True)
class ModelRules:
    """What one model accepts at one endpoint; empty tuples are not checked."""

    ratios: tuple[str, ...] = ()
    durations: tuple[int, ...] = ()
    prompt_limit: int | None = None
    """UTF-16 code units."""
    required: tuple[str, ...] = ()
    credits_per_second: int = 10


_TEN_SECONDS = tuple(range(2, 11))
_VEO = ModelRules(_FOUR, (4, 6, 8), 1000, ("promptImage", "ratio"), 40)
_OPEN = ModelRules(required=("promptImage",))
_IMAGE_TO_VIDEO = {
    "gen4.5": ModelRules(_SIX, _TEN_SECONDS, 1000, ("promptImage", "promptText", "ratio", "duration"), 12),
    "gen4_turbo": ModelRules(_SIX, _TEN_SECONDS, 1000, ("promptImage", "ratio"), 5),
    "veo3.1": _VEO,
    "veo3.1_fast": _VEO,
    "kling2.5_turbo_pro": ModelRules(durations=(5, 10), required=("promptImage", "promptText")),
    "happyhorse_1_0": ModelRules(prompt_limit=2500, required=("promptImage",)),
    "seedance2_5": ModelRules(prompt_limit=15_000, required=("promptImage",)),
    **dict.fromkeys(
        ("seedance2", "seedance2_fast", "seedance2_mini"),
        ModelRules(prompt_limit=3500, required=("promptImage",)),
    ),
    **dict.fromkeys(("kling3.0_standard", "kling3.0_pro", "kling3.0_4k", "kling_4"), _OPEN),
    **dict.fromkeys(("klingO3_standard", "klingO3_pro", "klingO3_4k", "hailuo3", "h3_max"), _OPEN),
    **dict.fromkeys(("gemini_omni_flash", "gemini_omni_flash_1.1", "wan3", "wan3_prime"), _OPEN),
    **dict.fromkeys(("grok_imagine_1_5", "grok_imagine_1_5_lite"), _OPEN),
}
_TEXT_TO_VIDEO = {
    model: ModelRules(
        rules.ratios,
        rules.durations,
        rules.prompt_limit,
        tuple("promptText" if name == "promptImage" else name for name in rules.required),
        rules.credits_per_second,
    )
    for model, rules in _IMAGE_TO_VIDEO.items()
    if model != "gen4_turbo"
} | {"gen4.5": ModelRules(("1280:720", "720:1280"), _TEN_SECONDS, 1000, ("promptText", "ratio", "duration"), 12)}
_FROM_VIDEO = ModelRules(required=("videoUri",), credits_per_second=15)

ENDPOINTS: Mapping[str, Mapping[str, ModelRules]] = {
    "/v1/image_to_video": _IMAGE_TO_VIDEO,
    "/v1/text_to_video": _TEXT_TO_VIDEO,
    "/v1/video_to_video": dict.fromkeys(
        ("aleph2", "klingO3_standard", "klingO3_pro", "seedance2", "gemini_omni_flash", "kling_4", "hailuo3"),
        _FROM_VIDEO,
    ),
    "/v1/video_upscale": {"upscale_v1": _FROM_VIDEO},
    "/v1/character_performance": {
        "act_two": ModelRules(required=("character", "reference"), credits_per_second=5)
    },
}


class Runway:
    """Runway, spoken by the emulator."""

    name = "runway"
    prefix = "/runway"

    def __init__(self, board: JobBoard, links: LinkOffice, key: str, *, concurrency: int, daily: int) -> None:
        self.key = key
        self._board = board
        self._links = links
        self._concurrency = concurrency
        self._daily = daily

    def handle(self, request: Request) -> Reply:
        """Answer one request as api.dev.runwayml.com does."""
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return error(401, _shape, "The API key you provided was not recognized.")
        if request.headers.get("x-runway-version") != VERSION:
            return error(400, _shape, f"The X-Runway-Version header must be {VERSION}.")
        if request.path in ENDPOINTS:
            return self._submit(request) if request.method == "POST" else error(405, _shape)
        if task := re.fullmatch(r"/v1/tasks/([^/]+)", request.path):
            return self._task(request, task[1])
        if request.path == "/v1/organization" and request.method == "GET":
            return Reply.of(self._organization())
        return error(404, _shape)

    def _submit(self, request: Request) -> Reply:
        try:
            body = request.json()
            if not isinstance(body, dict):
                raise ValueError
        except ValueError:
            return error(400, _shape, "The request body is not valid JSON.")
        models = ENDPOINTS[request.path]
        issues = _issues(body, models)
        if issues:
            return Reply.of({"error": "Validation of body failed", "issues": issues}, 400)
        prompt = str(body.get("promptText", ""))
        try:
            plan = self._board.defaults.for_prompt(prompt)
        except BadDirective as exc:
            return error(400, _shape, str(exc))
        earlier = self._board.count_submit(self.name, prompt)
        if fault := submit_fault(plan, earlier, _shape):
            return fault
        if self._today() >= self._daily:
            return error(429, _shape, "You have reached your daily generation limit.", plan.retry_after)
        duration = body.get("duration", 5)
        seconds = float(duration) if isinstance(duration, int | float) else 5.0
        cost = round(models[body["model"]].credits_per_second * seconds)
        job = self._board.create(
            self.name,
            body["model"],
            prompt,
            body,
            plan,
            cost=cost,
            size=_pixels(str(body.get("ratio", ""))),
            seconds=seconds,
            paths=[("video", "/media/runway/{id}.mp4")] * max(1, plan.versions),
        )
        if earlier < plan.lose_submit:
            raise Hangup
        return Reply.of({"id": job.id, "estimatedCost": {"credits": cost}})

    def _task(self, request: Request, task_id: str) -> Reply:
        job = self._board.get(self.name, task_id)
        if job is None or (job.plan.refresh == "gone" and job.finished_requests > 0 and request.method == "GET"):
            return error(404, _shape, "The task was not found.")
        if request.method == "DELETE":
            if not self._board.look(job)[0].settled:
                self._board.stop(job, Phase.CANCELLED)
            job.deleted = True
            return Reply(204)
        if request.method != "GET":
            return error(405, _shape)
        return poll_fault(job, _shape, lambda: Reply.of(self._describe(job, request.host)))

    def _describe(self, job: Job, host: str) -> dict[str, Any]:
        phase, progress = self._board.look(job)
        created = job.created.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        task: dict[str, Any] = {"id": job.id, "createdAt": created, "status": phase.value.upper()}
        if phase is Phase.SUCCEEDED:
            return task | {
                "cost": {"credits": job.cost},
                "output": signed_urls(self._links, job, host, Scheme.JWT),
            }
        if phase is Phase.FAILED:
            code = job.failure or job.plan.fail
            return task | {"cost": {"credits": 0}, "failure": _failure_text(code), "failureCode": code}
        if phase is Phase.CANCELLED:
            return task | {"cost": {"credits": 0}}
        task["estimatedCost"] = {"credits": job.cost}
        if phase is Phase.RUNNING:
            task["progress"] = round(progress, 4)
        if job.plan.odd_status and phase is Phase.RUNNING:
            task["status"] = job.plan.odd_status
        return task

    def _today(self) -> int:
        today = datetime.now(UTC).date()
        return sum(job.created.date() == today for job in self._board.all(self.name))

    def _organization(self) -> dict[str, Any]:
        jobs = self._board.all(self.name)
        spent = sum(job.cost for job in jobs if self._board.look(job)[0] is not Phase.FAILED)
        limits = {"maxConcurrentGenerations": self._concurrency, "maxDailyGenerations": self._daily}
        models = {model for endpoint in ENDPOINTS.values() for model in endpoint}
        used = {model: {"dailyGenerations": sum(job.model == model for job in jobs)} for model in models}
        return {
            "creditBalance": _BALANCE - spent,
            "tier": {"maxMonthlyCreditSpend": _BALANCE, "models": dict.fromkeys(sorted(models), limits)},
            "usage": {"models": used},
        }


def _shape(status: int, message: str) -> dict[str, str]:
    return {"error": message}


def _issues(body: Mapping[str, Any], models: Mapping[str, ModelRules]) -> list[dict[str, Any]]:
    """What the API would complain about: one entry per field."""

    def issue(name: str, message: str) -> dict[str, Any]:
        return {"code": "invalid", "path": [name], "message": message}

    rules = models.get(str(body.get("model")))
    if rules is None:
        return [issue("model", f"Must be one of: {', '.join(models)}")]
    found = [issue(name, "Required") for name in rules.required if not body.get(name)]
    prompt, ratio, duration = body.get("promptText"), body.get("ratio"), body.get("duration")
    if prompt is not None and not isinstance(prompt, str):
        found.append(issue("promptText", "Must be a string"))
    elif prompt and rules.prompt_limit and utf16_units(prompt) > rules.prompt_limit:
        found.append(issue("promptText", f"Must be at most {rules.prompt_limit} UTF-16 code units long"))
    if ratio is not None and rules.ratios and ratio not in rules.ratios:
        found.append(issue("ratio", f"Must be one of: {', '.join(rules.ratios)}"))
    if duration is not None and rules.durations and duration not in rules.durations:
        found.append(issue("duration", f"Must be one of: {', '.join(map(str, rules.durations))}"))
    return found


def utf16_units(text: str) -> int:
    """Length as Runway counts it."""
    return len(text.encode("utf-16-le")) // 2


def _pixels(ratio: str) -> tuple[int, int]:
    """Size of the rendered video: the ratio's own pixels, at most 1920 on the long side so that it is quick."""
    match = re.fullmatch(r"(\d+):(\d+)", ratio)
    width, height = (int(match[1]), int(match[2])) if match else (1280, 720)
    if max(width, height) < 100:
        width, height = width * 80, height * 80
    factor = min(1.0, 1920 / max(width, height))
    return round(width * factor / 2) * 2, round(height * factor / 2) * 2


def _failure_text(code: str) -> str:
    if code.startswith("SAFETY"):
        return "The generation was stopped by content moderation."
    if code.startswith("INPUT") or code.startswith("ASSET"):
        return "An input of the generation could not be used."
    return "An unexpected error occurred."
