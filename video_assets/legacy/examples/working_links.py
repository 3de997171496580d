"""Real links of a running emulator, so that the whole workflow can be walked on an example.

A few dozen finished jobs stand behind all rows, under ever new signatures. Some of their links are dead and the
provider gives fresh ones; some are dead and the provider has forgotten the job.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol

from video_assets.legacy.config.presets.preset import Fate, Sample
from video_assets.legacy.examples.invented_links import PROJECT
from video_assets.providers import get_provider
from video_assets.providers.base import GenerationSpec, JobSnapshot, JobState, OutputKind, Provider
from video_assets.settings import Settings

PLAYED_BY: Final = {
    "runway": "runway",
    "luma": "luma",
    "openai": "luma",
    "heygen": "luma",
    "replicate": "runway",
    "kie": "luma",
}
"""Which provider of the emulator plays which provider of the old systems."""

_PATIENCE_SECONDS = 60.0


class EmulatorLike(Protocol):
    """What is needed of ``video_assets.emulator.Emulator``."""

    runway_key: str
    luma_key: str

    @property
    def runway_base_url(self) -> str: ...
    @property
    def luma_base_url(self) -> str: ...
    def change_job(self, job_id: str, **directives: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class _Job:
    provider: str
    task_id: str
    fate: Fate


class EmulatedLinks:
    """Makes the jobs at first use. ``jobs`` is how many each fate gets per provider."""

    def __init__(self, emulator: EmulatorLike, *, jobs: int = 6, now: datetime | None = None) -> None:
        self.now = (now or datetime.now(UTC)).replace(microsecond=0)
        self._emulator = emulator
        self._per_fate = jobs
        settings = Settings(
            _env_file=None,
            home=Path(),
            runway_api_key=emulator.runway_key,
            runway_base_url=emulator.runway_base_url,
            luma_api_key=emulator.luma_key,
            luma_base_url=emulator.luma_base_url,
        )
        self._providers: dict[str, Provider] = {
            name: get_provider(name, settings) for name in sorted(set(PLAYED_BY.values()))
        }
        self._jobs: dict[tuple[str, Fate], list[_Job]] = {}
        self._dead: dict[str, JobSnapshot] = {}

    def sample(self, style: str, random: Random) -> Sample:
        """A video behind a link that was issued for this very row."""
        provider = PLAYED_BY[style]
        fate = random.choices(list(Fate), weights=(45, 20, 8, 15, 12))[0]
        created = self.now - timedelta(hours=1) - timedelta(days=20) * random.random()
        if fate is Fate.EMPTY:
            return Sample(fate, style, f"{random.getrandbits(64):x}", created)
        if fate is Fate.DURABLE:
            url = f"{PROJECT}/generated-videos/{random.getrandbits(64):x}/video-0.mp4"
            return Sample(fate, style, f"{random.getrandbits(64):x}", created, url, url.replace(".mp4", ".jpg"))
        job = random.choice(self._of(provider, fate))
        snapshot = self._dead.get(job.task_id)
        if snapshot is None:
            lifetime = random.choice([timedelta(minutes=50), timedelta(hours=10), timedelta(days=3)])
            seconds = round(lifetime.total_seconds() * random.uniform(0.5, 1))
            self._emulator.change_job(job.task_id, link_ttl=seconds)
            snapshot = self._providers[provider].poll(job.task_id)
        by_kind = {output.kind: output.url for output in snapshot.outputs}
        return Sample(
            fate, style, job.task_id, created, by_kind[OutputKind.VIDEO], by_kind.get(OutputKind.THUMBNAIL)
        )

    def image(self, name: str, random: Random) -> Sample:
        """An input picture: a public one, or a thumbnail behind a signed link."""
        created = self.now - timedelta(days=30) * random.random()
        if random.random() < 0.9:
            url = f"{PROJECT}/hug-images/{random.getrandbits(64):x}-{name}.jpg"
            return Sample(Fate.DURABLE, "supabase", "", created, url)
        job = random.choice(self._of("luma", Fate.ALIVE))
        snapshot = self._providers["luma"].poll(job.task_id)
        by_kind = {output.kind: output.url for output in snapshot.outputs}
        return Sample(Fate.ALIVE, "luma", job.task_id, created, by_kind[OutputKind.THUMBNAIL])

    def finish(self) -> None:
        """From now on the provider gives fresh links for dead ones, or has forgotten the job."""
        for (_, fate), jobs in self._jobs.items():
            for job in jobs:
                if fate is Fate.REFRESHABLE:
                    self._emulator.change_job(job.task_id, dead_links=0)
                elif fate is Fate.GONE:
                    self._emulator.change_job(job.task_id, dead_links=0, refresh="gone")

    def _of(self, provider: str, fate: Fate) -> Sequence[_Job]:
        if (provider, fate) not in self._jobs:
            self._jobs[provider, fate] = [self._make(provider, fate, n) for n in range(self._per_fate)]
        return self._jobs[provider, fate]

    def _make(self, name: str, fate: Fate, number: int) -> _Job:
        provider = self._providers[name]
        dead = ", dead_links=1000000" if fate is not Fate.ALIVE else ""
        prompt = f"example {fate} {number} [emulator: queue_seconds=0, run_seconds=0, seconds=0.5{dead}]"
        parameters = {"runway": {"ratio": "1280:720"}, "luma": {"resolution": "540p", "aspect_ratio": "16:9"}}
        model = {"runway": "gen4.5", "luma": "ray-2"}[name]
        submitted = provider.submit(GenerationSpec(model, prompt, parameters[name]))
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while (snapshot := provider.poll(submitted.task_id)).state is not JobState.SUCCEEDED:
            if snapshot.state.settled or time.monotonic() > give_up:
                raise RuntimeError(f"the emulator did not finish an example's job: {snapshot.raw_status}")
            time.sleep(0.02)
        if fate is not Fate.ALIVE:
            self._dead[submitted.task_id] = snapshot
        return _Job(name, submitted.task_id, fate)
