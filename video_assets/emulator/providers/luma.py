"""Luma Dream Machine's wire format, after the source of the official SDK ``lumaai`` 1.21."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from video_assets.emulator.jobs import Job, JobBoard, Phase
from video_assets.emulator.links import LinkOffice, Scheme
from video_assets.emulator.plans import BadDirective
from video_assets.emulator.publishing import signed_urls
from video_assets.emulator.wire import Hangup, Reply, Request, error, poll_fault, submit_fault

MODELS = ("ray-2", "ray-flash-2")
ASPECT_RATIOS = {
    "1:1": (720, 720),
    "16:9": (1280, 720),
    "9:16": (720, 1280),
    "4:3": (960, 720),
    "3:4": (720, 960),
    "21:9": (1680, 720),
    "9:21": (720, 1680),
}
DURATIONS = ("5s", "9s")
RESOLUTIONS = ("540p", "720p", "1080p", "4k")
MODIFY_MODES = tuple(f"{way}_{strength}" for way in ("adhere", "flex", "reimagine") for strength in (1, 2, 3))
CONCEPTS = ("dolly_zoom", "orbit_left", "orbit_right", "crane_up", "handheld", "static")
PROMPT_LENGTH = range(3, 5001)
_WORDS = {
    Phase.PENDING: "queued",
    Phase.THROTTLED: "queued",
    Phase.RUNNING: "dreaming",
    Phase.SUCCEEDED: "completed",
    Phase.FAILED: "failed",
    Phase.CANCELLED: "failed",
}
_BALANCE_CENTS = 500_000
_CENTS_PER_SECOND = 14


class Luma:
    """Luma Dream Machine, spoken by the emulator."""

    name = "luma"
    prefix = "/luma/dream-machine/v1"

    def __init__(self, board: JobBoard, links: LinkOffice, key: str, *, concurrency: int) -> None:
        self.key = key
        self._board = board
        self._links = links
        self._concurrency = concurrency

    def handle(self, request: Request) -> Reply:
        """Answer one request as api.lumalabs.ai does."""
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return error(401, _shape, "Not authenticated")
        match request.method, request.path:
            case "GET", "/ping":
                return Reply.of({"message": "pong"})
            case "GET", "/credits":
                return Reply.of({"credit_balance": self._balance()})
            case "GET", "/generations/concepts/list":
                return Reply.of(list(CONCEPTS))
            case "GET", "/generations":
                return self._list(request)
            case "POST", "/generations" | "/generations/video":
                return self._submit(request, "video", _complaint)
            case "POST", "/generations/video/modify":
                return self._submit(request, "modify_video", _complaint_of_modify)
            case "POST", "/generations/video/reframe":
                return self._submit(request, "reframe_video", _complaint_of_reframe)
        if generation := re.fullmatch(r"/generations/([^/]+)", request.path):
            return self._generation(request, generation[1])
        return error(404, _shape)

    def _submit(self, request: Request, kind: str, complain: Callable[[dict[str, Any]], str | None]) -> Reply:
        try:
            body = request.json()
            if not isinstance(body, dict):
                raise ValueError
        except ValueError:
            return error(400, _shape, "Invalid JSON body")
        if complaint := complain(body):
            return error(400, _shape, complaint)
        prompt = body.get("prompt") or ""
        try:
            plan = self._board.defaults.for_prompt(prompt)
        except BadDirective as exc:
            return error(400, _shape, str(exc))
        earlier = self._board.count_submit(self.name, prompt)
        if fault := submit_fault(plan, earlier, _shape):
            return fault
        if self._board.active(self.name) >= self._concurrency:
            return error(429, _shape, "Too many concurrent generations", plan.retry_after)
        seconds = float(str(body.get("duration") or "5s").removesuffix("s"))
        folder = "/media/luma/dream-machine/{id}"
        job = self._board.create(
            self.name,
            body["model"],
            prompt,
            {"generation_type": kind, **body},
            plan,
            cost=round(seconds * _CENTS_PER_SECOND),
            size=_pixels(body),
            seconds=seconds,
            paths=[("video", f"{folder}/video.mp4"), ("image", f"{folder}/thumb.jpg")],
        )
        if earlier < plan.lose_submit:
            raise Hangup
        return Reply.of(self._describe(job, request.host), 201)

    def _generation(self, request: Request, generation_id: str) -> Reply:
        job = self._board.get(self.name, generation_id)
        if job is None or (job.plan.refresh == "gone" and job.finished_requests > 0 and request.method == "GET"):
            return error(404, _shape, "Generation not found")
        if request.method == "DELETE":
            job.deleted = True
            return Reply(204)
        if request.method != "GET":
            return error(405, _shape)
        return poll_fault(job, _shape, lambda: Reply.of(self._describe(job, request.host)))

    def _list(self, request: Request) -> Reply:
        try:
            limit, offset = int(request.query.get("limit", "10")), int(request.query.get("offset", "0"))
            if limit < 1 or offset < 0:
                raise ValueError
        except ValueError:
            return error(400, _shape, "limit and offset must be whole numbers")
        jobs = [job for job in reversed(self._board.all(self.name)) if not job.deleted]
        page = jobs[offset : offset + limit]
        return Reply.of(
            {
                "generations": [self._describe(job, request.host, asked=False) for job in page],
                "count": len(page),
                "has_more": offset + limit < len(jobs),
                "limit": limit,
                "offset": offset,
            }
        )

    def _describe(self, job: Job, host: str, *, asked: bool = True) -> dict[str, Any]:
        """The generation as Luma shows it; a listing does not count as asking for this one."""
        phase, _ = self._board.look(job)
        assets, reason = None, None
        if phase is Phase.SUCCEEDED:
            urls = signed_urls(self._links, job, host, Scheme.S3, counted=asked)
            assets = {asset.kind: url for asset, url in zip(job.assets, urls, strict=True)} | {
                "progress_video": None
            }
        elif phase is Phase.FAILED:
            reason = job.failure or job.plan.fail
        odd = job.plan.odd_status if phase is Phase.RUNNING else ""
        return {
            "id": job.id,
            "generation_type": "video",
            "state": odd or _WORDS[phase],
            "failure_reason": reason,
            "created_at": job.created.isoformat().replace("+00:00", "Z"),
            "assets": assets,
            "model": job.model,
            "request": job.request,
        }

    def _balance(self) -> float:
        jobs = self._board.all(self.name)
        return float(_BALANCE_CENTS - sum(j.cost for j in jobs if self._board.look(j)[0] is not Phase.FAILED))


def _shape(status: int, message: str) -> dict[str, str]:
    return {"detail": message}


def _complaint(body: dict[str, Any]) -> str | None:
    """What the API would complain about, in one sentence."""
    if body.get("model") not in MODELS:
        return f"Invalid model, must be one of: {', '.join(MODELS)}"
    prompt = body.get("prompt")
    if prompt is None and not body.get("keyframes"):
        return "Prompt is required"
    if prompt is not None and (not isinstance(prompt, str) or len(prompt) not in PROMPT_LENGTH):
        return (
            "Prompt is too short, minimum length is 3"
            if len(str(prompt)) < 3
            else "Prompt is too long, maximum length is 5000"
        )
    for name, allowed in (
        ("aspect_ratio", tuple(ASPECT_RATIOS)),
        ("duration", DURATIONS),
        ("resolution", RESOLUTIONS),
    ):
        if body.get(name) is not None and body[name] not in allowed:
            return f"Invalid {name}, must be one of: {', '.join(allowed)}"
    return None


def _complaint_of_modify(body: dict[str, Any]) -> str | None:
    if body.get("mode") not in MODIFY_MODES:
        return f"Invalid mode, must be one of: {', '.join(MODIFY_MODES)}"
    return _complaint_of_media(body)


def _complaint_of_reframe(body: dict[str, Any]) -> str | None:
    if not body.get("aspect_ratio"):
        return "aspect_ratio is required"
    return _complaint_of_media(body)


def _complaint_of_media(body: dict[str, Any]) -> str | None:
    """What stands where a prompt is optional because a video is given."""
    media = body.get("media")
    if not isinstance(media, dict) or not media.get("url"):
        return "media.url is required"
    return _complaint({"keyframes": media, **body})


def _pixels(body: dict[str, Any]) -> tuple[int, int]:
    """Size of the rendered video: 540 or 720 lines; larger ones are rendered in 720, which is quick."""
    width, height = ASPECT_RATIOS[body.get("aspect_ratio") or "16:9"]
    factor = 0.75 if body.get("resolution") == "540p" else 1.0
    return round(width * factor / 2) * 2, round(height * factor / 2) * 2
