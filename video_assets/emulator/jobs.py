"""The life of a job: what was asked, when it runs, what it becomes. Every provider's jobs live on one board."""

from __future__ import annotations

import bisect
import hashlib
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
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
    ready_at: float
    """Monotonic time at which it was there."""


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

    def next_download(self) -> int:
        """Count a download; how many there were before it."""
        with self.job.lock:
            self.downloads += 1
            return self.downloads - 1


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
    end: Phase | None = None
    """Set when it was cancelled or made to fail by hand."""
    failure: str = ""
    deleted: bool = False
    status_requests: int = 0
    """Status requests that were answered truly or falsely."""
    finished_requests: int = 0
    """Of these, the ones that showed its outputs."""
    assets: list[Asset] = field(default_factory=list)
    first_queries: dict[str, str] = field(default_factory=dict)
    """The first signed query of each asset, for a plan whose refresh gives the same link again."""
    settled_at: float | None = None
    """When it was finished, which may be before anybody looked."""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def next_status_request(self) -> int:
        """Count a status request; how many there were before it."""
        with self.lock:
            self.status_requests += 1
            return self.status_requests - 1

    def next_finished_request(self) -> int:
        """Count a request that shows the outputs; how many there were before it."""
        with self.lock:
            self.finished_requests += 1
            return self.finished_requests - 1

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
        self._unsettled: dict[str, dict[str, Job]] = {name: {} for name in concurrency}
        self._waiting: dict[str, dict[str, Job]] = {name: {} for name in concurrency}
        self._places: dict[str, list[tuple[float, str]]] = {name: [] for name in concurrency}
        """Per provider: when each place becomes free, and the job that has it."""
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
        """How often ``prompt`` was validly submitted, over all providers, also when the answer was a fault."""
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
            self._unsettled[provider][job.id] = job
            if not plan.polls:
                self._waiting[provider][job.id] = job
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
        with self.lock:
            for job in list(self._unsettled[provider].values()):
                if job.deleted or self.look(job)[0].settled:
                    del self._unsettled[provider][job.id]
            return len(self._unsettled[provider])

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
                return self._outcome(job, job.started_at + length), 1.0
            return Phase.RUNNING, min(progress, 0.99)

    def finished(self, job: Job) -> datetime | None:
        """When the job was settled, to the provider's own clock; None while it is not."""
        with self.lock:
            self.look(job)
            if job.settled_at is None:
                return None
            return job.created + timedelta(seconds=job.settled_at - job.created_at)

    def stop(self, job: Job, phase: Phase, failure: str = "") -> None:
        """End a job now, by cancelling it or by making it fail; frees its place."""
        with self.lock:
            job.end, job.failure, job.settled_at = phase, failure, time.monotonic()
            self._waiting[job.provider].pop(job.id, None)
            places, now = self._places[job.provider], time.monotonic()
            places[:] = sorted((min(end, now) if holder == job.id else end, holder) for end, holder in places)

    def _look_by_polls(self, job: Job) -> tuple[Phase, float]:
        if job.status_requests >= job.plan.polls:
            for asset in job.assets:
                asset.content.result()
            return self._outcome(job, time.monotonic()), 1.0
        if job.status_requests == 0:
            return Phase.PENDING, 0.0
        return Phase.RUNNING, job.status_requests / job.plan.polls

    def _outcome(self, job: Job, ended: float) -> Phase:
        if job.plan.fail:
            job.settled_at = job.settled_at or ended
            return Phase.FAILED
        ready = [asset.content.result().ready_at for asset in job.assets]
        job.settled_at = job.settled_at or max(ended, *ready)
        return Phase.SUCCEEDED

    def _start_waiting(self, provider: str, now: float) -> None:
        """Give free places to waiting jobs in the order of submission, at the moment each place became free."""
        places, limit = self._places[provider], self._concurrency[provider]
        for job in list(self._waiting[provider].values()):
            start = job.created_at + job.plan.queue_seconds * self._scale
            if len(places) >= limit:
                start = max(start, places[0][0])
            if start > now:
                continue
            if len(places) >= limit:
                places.pop(0)
            job.started_at = start
            del self._waiting[provider][job.id]
            bisect.insort(places, (start + job.plan.run_seconds * self._scale, job.id))

    def _render(self, kind: Literal["video", "image"], order: VideoOrder) -> Content:
        path = self._shelf.video(order) if kind == "video" else self._shelf.thumbnail(order)
        with path.open("rb") as file:
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        return Content(path, path.stat().st_size, md5, time.monotonic())
