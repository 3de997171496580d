"""The emulator as one object: start it, read its addresses and keys, see what happened, stop it."""

from __future__ import annotations

import secrets
import tempfile
import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from video_assets.emulator.control import Control
from video_assets.emulator.jobs import Job, JobBoard, Phase
from video_assets.emulator.links import Link, LinkOffice
from video_assets.emulator.providers.luma import Luma
from video_assets.emulator.providers.runway import Runway
from video_assets.emulator.server import EmulatorServer
from video_assets.emulator.serving import MediaHost
from video_assets.emulator.videos import VideoShelf
from video_assets.emulator.wire import ProviderApi


class Emulator:
    """A running set of emulated providers. Use it as a context manager, or call ``start`` and ``stop``.

    ``port`` 0 takes a free one. ``state_dir`` keeps rendered videos between runs; without it they live in a
    temporary folder. ``time_scale`` multiplies the time jobs take (0.1 is ten times faster); links live in real
    time. ``directives`` are defaults for every job, see :class:`video_assets.emulator.plans.JobPlan`.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        state_dir: Path | None = None,
        time_scale: float = 1.0,
        runway_key: str | None = None,
        luma_key: str | None = None,
        runway_concurrency: int = 20,
        luma_concurrency: int = 10,
        runway_daily: int = 25_000,
        directives: Mapping[str, Any] | None = None,
    ) -> None:
        self.runway_key = runway_key or f"key_{secrets.token_hex(32)}"
        self.luma_key = luma_key or f"luma-{secrets.token_hex(24)}"
        self._temporary = tempfile.TemporaryDirectory(prefix="emulator-") if state_dir is None else None
        shelf = VideoShelf(Path(self._temporary.name) if self._temporary else state_dir or Path())
        limits = {"runway": runway_concurrency, "luma": luma_concurrency}
        self._board = JobBoard(shelf, time_scale=time_scale, concurrency=limits)
        self._board.defaults = self._board.defaults.changed(directives or {})
        self._links = LinkOffice()
        self._media = MediaHost(self._board, self._links)
        self._control = Control(self._board, self._links, self.issued_secrets)
        providers: list[ProviderApi] = [
            Runway(self._board, self._links, self.runway_key, concurrency=runway_concurrency, daily=runway_daily),
            Luma(self._board, self._links, self.luma_key, concurrency=luma_concurrency),
        ]
        self._server = EmulatorServer((host, port), providers, self._media, self._control)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="emulator", daemon=True
        )

    @property
    def host(self) -> str:
        """``address:port``."""
        return f"{self._server.server_address[0]!s}:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """Address of the control page."""
        return f"http://{self.host}"

    @property
    def runway_base_url(self) -> str:
        """What takes the place of ``https://api.dev.runwayml.com``."""
        return f"{self.url}/runway"

    @property
    def luma_base_url(self) -> str:
        """What takes the place of ``https://api.lumalabs.ai/dream-machine/v1``."""
        return f"{self.url}/luma/dream-machine/v1"

    def start(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop answering, cut open connections, and delete what was temporary."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.close_connections()
        self._board.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def set_defaults(self, **directives: Any) -> None:
        """Change the plan of jobs to come. Raises BadDirective."""
        self._board.defaults = self._board.defaults.changed(directives)

    def change_job(self, job_id: str, **directives: Any) -> None:
        """Change the plan of one job. Raises BadDirective, KeyError."""
        job = self._board.find(job_id)
        job.plan = job.plan.changed(directives)

    def jobs(self) -> list[Job]:
        """Every job, oldest first, deleted ones too."""
        return self._board.all()

    def job(self, job_id: str) -> Job:
        """One job by its id. Raises KeyError."""
        return self._board.find(job_id)

    def phase(self, job_id: str) -> Phase:
        """Where a job is now. Raises KeyError."""
        return self._board.look(self._board.find(job_id))[0]

    def finished_at(self, job_id: str) -> datetime | None:
        """When the provider had finished the job, None while it has not. Raises KeyError."""
        return self._board.finished(self._board.find(job_id))

    def cancel_job(self, job_id: str) -> None:
        """Cancel a job as the provider itself might: it stays, with the status CANCELLED. Raises KeyError."""
        self._board.stop(self._board.find(job_id), Phase.CANCELLED)

    def fail_job(self, job_id: str, code: str = "INTERNAL.BAD_OUTPUT.CODE01") -> None:
        """Make a job fail now. Raises KeyError."""
        self._board.stop(self._board.find(job_id), Phase.FAILED, code)

    def links(self, job_id: str) -> list[Link]:
        """Every link issued for a job, oldest first."""
        return self._links.of_job(job_id)

    def kill_links(self, job_id: str) -> int:
        """Make every link issued for a job dead now; how many were alive."""
        return self._links.kill(job_id)

    def submits(self, prompt: str) -> int:
        """How often exactly this prompt was validly submitted, also when the answer was a fault."""
        return self._board.submits(prompt)

    def jobs_of(self, prompt: str) -> list[Job]:
        """The jobs that were created for exactly this prompt: more than one means paid twice."""
        return [job for job in self._board.all() if job.prompt == prompt]

    def downloads(self, job_id: str) -> int:
        """How often outputs of the job were fetched with a good link."""
        return sum(asset.downloads for asset in self._board.find(job_id).assets)

    @property
    def media_requests_with_key(self) -> int:
        """Media requests that carried an Authorization header: a provider key sent where it does not belong."""
        return self._media.requests_with_key

    def issued_secrets(self) -> tuple[str, ...]:
        """Every secret that was handed out: JWTs, signatures, and the two API keys."""
        return (*self._links.secrets(), self.runway_key, self.luma_key)
