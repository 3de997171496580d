"""A whole installation in a temporary folder, against a running emulator: where saga and pipeline tests live."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import uvicorn
from sqlmodel import Session, select

from video_assets.catalog import Generation, GenerationStatus, MediaFile, MediaState, Output, ProviderJob, queries
from video_assets.emulator import Emulator
from video_assets.generations.following import poll_due_jobs
from video_assets.generations.intake import GenerationRequest, take_in
from video_assets.generations.submission import submit_generation
from video_assets.services import Services, open_services
from video_assets.settings import Settings
from video_assets.transfer.rescue.sweep import unknown_objects
from video_assets.web.app import create_app


def settings_for(emulator: Emulator, home: Path, **changes: Any) -> Settings:
    """Settings of an installation that talks to the emulator only."""
    values: dict[str, Any] = {
        "home": home,
        "runway_api_key": emulator.runway_key,
        "luma_api_key": emulator.luma_key,
        "runway_base_url": emulator.runway_base_url,
        "luma_base_url": emulator.luma_base_url,
        "allowed_hosts": (emulator.host,),
        "poll_interval_scale": 0.02,
        # The emulator forgets a job only when it is told to; tests of doubt set a patience of their own.
        "unknown_job_patience": timedelta(0),
        "lease_seconds": 30.0,
    }
    return Settings(_env_file=None, **{**values, **changes})


@contextmanager
def media_server(home: Path) -> Iterator[str]:
    """A real media server over the local store of ``home``; gives the public base URL."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}/media"
    settings = Settings(_env_file=None, home=home, public_base_url=base)
    server = uvicorn.Server(uvicorn.Config(create_app(settings), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield base
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@dataclass
class World:
    """An installation with its emulator, and the words tests use about it."""

    emulator: Emulator
    settings: Settings
    services: Services

    @classmethod
    def open(cls, emulator: Emulator, home: Path, **changes: Any) -> World:
        settings = settings_for(emulator, home, **changes)
        return cls(emulator, settings, open_services(settings))

    def request(self, prompt: str, *, provider: str = "runway", versions: int = 1, **more: Any) -> str:
        """Take a request in; returns the generation's id."""
        model = {"runway": "gen4.5", "luma": "ray-2"}[provider]
        request = GenerationRequest("ann", provider, model, prompt, versions=versions, **more)
        return take_in(self.services.catalog, request, self.services.provider(provider)).generation.id

    def submit(self, generation_id: str) -> None:
        submit_generation(self.services.catalog, generation_id, self.services.provider, self.settings)

    def poll(self) -> None:
        poll_due_jobs(self.services.catalog, self.services.provider, self.settings, budget_seconds=10)

    def finished(self, prompt: str, **more: Any) -> str:
        """A generation that the provider has finished and nobody has stored yet."""
        generation_id = self.request(prompt, **more)
        self.submit(generation_id)
        self.follow(generation_id)
        return generation_id

    def follow(self, generation_id: str) -> None:
        """Poll until the provider has settled every job."""
        self.until(
            lambda: (
                self.poll()
                or self.status(generation_id) not in (GenerationStatus.QUEUED, GenerationStatus.PROCESSING)
            )  # type: ignore[func-returns-value]
        )

    def until(self, true: Callable[[], object], *, seconds: float = 20) -> None:
        """Wait for a condition."""
        stop_at = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < stop_at, "waited too long"
            time.sleep(0.02)

    def generation(self, generation_id: str) -> Generation:
        with self.services.catalog.read() as session:
            return queries.get_generation(session, generation_id)

    def status(self, generation_id: str) -> GenerationStatus:
        return GenerationStatus(self.generation(generation_id).status)

    def outputs(self, generation_id: str) -> Sequence[Output]:
        with self.services.catalog.read() as session:
            return queries.outputs_of(session, generation_id)

    def media(self, generation_id: str) -> Sequence[MediaFile]:
        with self.services.catalog.read() as session:
            return queries.media_of(session, generation_id)

    def jobs(self, generation_id: str) -> Sequence[ProviderJob]:
        with self.services.catalog.read() as session:
            return queries.jobs_of(session, generation_id)

    def task(self, generation_id: str) -> str:
        """The provider's id of the newest job."""
        task_id = self.jobs(generation_id)[-1].task_id
        assert task_id is not None
        return task_id

    def rescue(self, generation_id: str, **more: Any) -> list[str]:
        """Rescue everything of a generation now; returns the results' words."""
        ids = [output.id for output in self.outputs(generation_id)]
        return [str(result.result) for result in self.services.rescuer.rescue(ids, **more)]

    def edit(self, change: Callable[[Session], object]) -> None:
        """Change rows behind the product's back."""
        with self.services.catalog.write() as session:
            change(session)

    def assert_nothing_lost_or_doubled(self) -> None:
        """The invariants of the whole product, true after any crash and catching up."""
        with self.services.catalog.read() as session:
            outputs = session.exec(select(Output)).all()
            files = session.exec(select(MediaFile)).all()
        by_output = {media.output_id: media for media in files if media.id == media.output_id}
        for output in outputs:
            media = by_output.get(output.id)
            if output.state == MediaState.PENDING:
                assert media is None or media.state == MediaState.PENDING
                continue
            if output.state != MediaState.LOST:
                assert output.temporary_url is None, "what is durable or given up keeps no temporary URL"
            if output.state == MediaState.STORED:
                assert media is not None
                assert media.state == MediaState.STORED
        for media in files:
            if media.state == MediaState.STORED:
                assert media.file_size is not None
                assert media.sha256 is not None
                assert media.file_url is not None
                assert self.services.storage.read_back(media.key, size=media.file_size, sha256=media.sha256)
        assert unknown_objects(self.services.catalog, self.services.storage) == [], "no orphan objects"

    def objects(self) -> list[str]:
        """Every key in the store."""
        return [item.key for item in self.services.storage.list()]
