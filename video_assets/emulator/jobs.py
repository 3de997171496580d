"""The life of a job: what was asked, when it runs, what it becomes. Every provider's jobs live on one board."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from video_assets.emulator.plans import JobPlan
from video_assets.emulator.videos import VideoOrder, VideoShelf


class Phase(Enum):
    """Where a job is. Each provider has its own words for these."""

    PENDING = "pending"
    THROTTLED = "throttled"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def settled(self) -> bool:
        """True when nothing more will happen."""
        return self in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED)


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of an output: a file on disk, its size and its MD5 (which is what S3's ETag is)."""

    path: Path
    size: int
    md5: str


@dataclass(slots=True)
class Asset:
    """One output of a job and the path under which the media host serves it."""

    job: Job
    kind: Literal["video", "image"]
    index: int
    path: str
    content: Future[Content]
    downloads: int = 0
    """GET requests with a good link, also those that were made to fail."""


@dataclass(slots=True)
class Job:
    """One job. Times are of the monotonic clock, except ``created``."""

    id: str
    provider: str
    model: str
    prompt: str
    request: Mapping[str, Any]
    plan: JobPlan
    cost: int
    created: datetime
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    """Set when it was cancelled or failed by hand."""
    end: Phase | None = None
    failure: str = ""
    deleted: bool = False
    status_requests: int = 0
    """Status requests that were answered truly or falsely."""
    finished_requests: int = 0
    """Of these, the ones that showed its outputs."""
    assets: list[Asset] = field(default_factory=list)
    first_queries: dict[str, str] = field(default_factory=dict)
    """The first signed query of each asset, for a plan whose refresh gives the same link again."""

    def faulty(self, fault: str, counter: int) -> bool:
        """Whether the plan's ``fault`` (a number of first times) applies to occurrence ``counter``, from 0."""
        return bool(counter < getattr(self.plan, fault))


class JobBoard:
    """All jobs, in the order of their submission. Thread-safe; time passes when somebody looks."""

    def __init__(self, shelf: VideoShelf, *, time_scale: float, concurrency: Mapping[str, int]) -> None:
        self._shelf = shelf
        self._scale = time_scale
        self._concurrency = dict(concurrency)
        self._jobs: dict[str, Job] = {}
        self._assets: dict[str, Asset] = {}
        self._submits: Counter[tuple[str, str]] = Counter()
        self._renderers = ThreadPoolExecutor(2, "emulator-render")
        self.lock = threading.RLock()
        self.defaults = JobPlan()

    def close(self) -> None:
        """Stop rendering."""
        self._renderers.shutdown(cancel_futures=True)

    def count_submit(self, provider: str, prompt: str) -> int:
        """Note a valid submission of ``prompt``; how many there were before."""
        with self.lock:
            self._submits[provider, prompt] += 1
            return self._submits[provider, prompt] - 1

    def submits(self, prompt: str) -> int:
        """How often ``prompt`` was submitted, over all providers, also when the answer was an error."""
        with self.lock:
            return sum(count for (_, text), count in self._submits.items() if text == prompt)

    def create(
        self,
        provider: str,
        model: str,
        prompt: str,
        request: Mapping[str, Any],
        plan: JobPlan,
        *,
        cost: int,
        size: tuple[int, int],
        seconds: float,
        paths: Sequence[tuple[Literal["video", "image"], str]],
    ) -> Job:
        """Put a job on the board and begin to render its outputs. ``{id}`` in a path becomes a fresh uuid."""
        job = Job(
            str(uuid.uuid4()), provider, model, prompt, request, plan, cost, datetime.now(UTC), time.monotonic()
        )
        length = plan.seconds or seconds
        counts: Counter[str] = Counter()
        for kind, template in paths:
            index = counts[kind]
            counts[kind] += 1
            seed = f"{job.id}/{index}"
            order = VideoOrder(seed, *size, length, plan.size, plan.moov_at_end)
            content = self._renderers.submit(self._render, kind, order)
            asset = Asset(job, kind, index, template.replace("{id}", str(uuid.uuid4())), content)
            job.assets.append(asset)
        with self.lock:
            self._jobs[job.id] = job
            self._assets.update({asset.path: asset for asset in job.assets})
        return job

    def get(self, provider: str, job_id: str) -> Job | None:
        """The job, None when it never was or was deleted."""
        with self.lock:
            job = self._jobs.get(job_id)
        return job if job is not None and job.provider == provider and not job.deleted else None

    def find(self, job_id: str) -> Job:
        """Any job, deleted ones too. Raises KeyError."""
        with self.lock:
            return self._jobs[job_id]

    def all(self, provider: str | None = None) -> list[Job]:
        """Jobs in the order of submission, deleted ones too."""
        with self.lock:
            return [job for job in self._jobs.values() if provider in (None, job.provider)]

    def asset(self, path: str) -> Asset | None:
        """The output served under ``path``, None when there is none or its job was deleted."""
        with self.lock:
            asset = self._assets.get(path)
        return asset if asset is not None and not asset.job.deleted else None

    def active(self, provider: str) -> int:
        """Jobs of the provider that are not settled."""
        return sum(not self.look(job)[0].settled for job in self.all(provider) if not job.deleted)

    def look(self, job: Job) -> tuple[Phase, float]:
        """Where the job is now, and its progress from 0 to 1."""
        with self.lock:
            now = time.monotonic()
            if job.end is not None:
                return job.end, 0.0
            if job.plan.polls:
                return self._look_by_polls(job)
            self._start_waiting(job.provider, now)
            if job.started_at is None:
                waiting = now < job.created_at + job.plan.queue_seconds * self._scale
                return (Phase.PENDING if waiting else Phase.THROTTLED), 0.0
            length = job.plan.run_seconds * self._scale
            progress = (now - job.started_at) / length if length else 1.0
            if progress >= 1 and (job.plan.fail or all(asset.content.done() for asset in job.assets)):
                return self._outcome(job), 1.0
            return Phase.RUNNING, min(progress, 0.99)

    def stop(self, job: Job, end: Phase, failure: str = "") -> None:
        """End a job now, by cancelling it or by making it fail; frees its place."""
        with self.lock:
            job.end, job.ended_at, job.failure = end, time.monotonic(), failure

    def _look_by_polls(self, job: Job) -> tuple[Phase, float]:
        if job.status_requests >= job.plan.polls:
            for asset in job.assets:
                asset.content.result()
            return self._outcome(job), 1.0
        if job.status_requests == 0:
            return Phase.PENDING, 0.0
        return Phase.RUNNING, job.status_requests / job.plan.polls

    def _outcome(self, job: Job) -> Phase:
        return Phase.FAILED if job.plan.fail else Phase.SUCCEEDED

    def _start_waiting(self, provider: str, now: float) -> None:
        """Give free places to waiting jobs in the order of submission, at the moment each place became free."""
        jobs = [job for job in self._jobs.values() if job.provider == provider and not job.plan.polls]
        running = [job for job in jobs if job.started_at is not None]
        busy = sorted(self._frees_at(job) for job in running)[-self._concurrency[provider] :]
        for job in jobs:
            if job.started_at is not None or job.end is not None:
                continue
            start = job.created_at + job.plan.queue_seconds * self._scale
            if len(busy) >= self._concurrency[provider]:
                start = max(start, busy[0])
            if start > now:
                continue
            job.started_at = start
            busy = sorted([*busy, self._frees_at(job)])[-self._concurrency[provider] :]

    def _frees_at(self, job: Job) -> float:
        assert job.started_at is not None
        finish = job.started_at + job.plan.run_seconds * self._scale
        return finish if job.ended_at is None else min(finish, job.ended_at)

    def _render(self, kind: Literal["video", "image"], order: VideoOrder) -> Content:
        path = self._shelf.video(order) if kind == "video" else self._shelf.thumbnail(order)
        with path.open("rb") as file:
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        return Content(path, path.stat().st_size, md5)
