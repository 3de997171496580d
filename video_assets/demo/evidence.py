"""What must be true in the end, and is asked of the outside: the source is dead, the durable copy plays.

Nothing here believes the catalog: links are fetched again, files are downloaded, hashed and decoded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import requests

from video_assets.catalog import (
    Catalog,
    Event,
    Generation,
    GenerationStatus,
    MediaFile,
    MediaState,
    Output,
    journal,
    queries,
)
from video_assets.demo.scenes import Scene
from video_assets.emulator import Emulator
from video_assets.media.probe import NotPlayable, probe
from video_assets.transfer.rescue.checks import Verifier

DEAD = frozenset({401, 403, 404, 410})
TIMEOUT = 20.0

SensorOf = Callable[[str], str | None]
"""The sensor that started a Dagster run, by the run's id."""


@dataclass(frozen=True, slots=True)
class FileEvidence:
    """One durable file, fetched anonymously by its address."""

    role: str
    url: str
    size: int
    sha256: str
    frames: int
    """Decoded frames; 0 when it does not play."""
    problem: str | None = None


@dataclass(slots=True)
class Evidence:
    """One generation in the end."""

    scene: str
    generation_id: str
    provider: str
    status: GenerationStatus
    reason: str | None
    message: str | None
    seconds_to_durable: float | None
    files: list[FileEvidence] = field(default_factory=list)
    checks_passed: int = 0
    checks: int = 0
    source_answers: list[int] = field(default_factory=list)
    """HTTP statuses of every link the provider ever handed out for it, asked now."""
    proof_of_loss: dict[str, Any] = field(default_factory=dict)
    """For what could not be saved: when, and what the source said."""
    saved_by: str | None = None
    """The sensor that started the run which made it durable."""
    downloads: int = 0
    """How often the source was asked for its files, and gave something."""
    margin_seconds: float | None = None
    """From "durable" to the death of the link it was saved from; None where the link does not tell."""
    refreshes: int = 0
    submits: int = 0
    """How often the provider was asked to generate it; more than once per version is paid twice."""
    problems: list[str] = field(default_factory=list)

    @property
    def videos(self) -> list[FileEvidence]:
        """The durable videos, one per version."""
        return [file for file in self.files if file.role == "video"]

    @property
    def source_files(self) -> list[FileEvidence]:
        """The files that the provider made, not those we made from them."""
        return [file for file in self.files if file.role not in ("poster", "preview")]

    @property
    def accounted_for(self) -> bool:
        """Safe, or known to be not savable with the reason and the evidence."""
        return not self.problems

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "accounted_for": self.accounted_for}


def gather(
    scene: Scene,
    generation_id: str,
    *,
    catalog: Catalog,
    verifier: Verifier,
    emulator: Emulator,
    sensor_of: SensorOf,
    scratch: Path,
) -> Evidence:
    """Kill every source link of a generation, then prove what is left. Raises GenerationNotFound."""
    with catalog.read() as session:
        generation = queries.get_generation(session, generation_id)
        jobs = queries.jobs_of(session, generation_id)
        outputs = queries.outputs_of(session, generation_id)
        media = queries.media_of(session, generation_id, state=MediaState.STORED)
        events = journal.events_of(session, generation_id)
    evidence = Evidence(
        scene=scene.name,
        generation_id=generation_id,
        provider=generation.provider,
        status=generation.status,
        reason=generation.reason,
        message=generation.error_message,
        seconds_to_durable=_seconds(generation),
        proof_of_loss=dict(generation.evidence),
        saved_by=_saved_by(events, sensor_of),
        margin_seconds=_margin(outputs),
        refreshes=sum(output.refreshes for output in outputs),
    )
    for job in jobs:
        if job.task_id is not None:
            evidence.downloads += emulator.downloads(job.task_id)
            evidence.submits = emulator.submits(emulator.job(job.task_id).prompt)
            emulator.kill_links(job.task_id)
            evidence.source_answers += source_answers(emulator, job.task_id)
    if media:
        outcomes = verifier.verify(generation_id)
        evidence.checks, evidence.checks_passed = len(outcomes), sum(outcome.passed for outcome in outcomes)
        evidence.problems += [f"{o.name}: {o.message}" for o in outcomes if not o.passed]
        order = sorted(media, key=lambda file: (file.role != "video", file.key))
        evidence.files = [fetch_durable(file, scratch) for file in order]
    evidence.problems += list(_problems(scene, evidence))
    return evidence


def source_answers(emulator: Emulator, task_id: str) -> list[int]:
    """What the source says now to every link it ever handed out for a task."""
    answers = []
    with requests.Session() as http:
        http.trust_env = False
        for link in emulator.links(task_id):
            with http.get(f"{emulator.url}{link.path}?{link.query}", timeout=TIMEOUT, stream=True) as answer:
                answers.append(answer.status_code)
    return answers


def fetch_durable(media: MediaFile, scratch: Path) -> FileEvidence:
    """Download a durable file by its address as anybody could, hash it, and decode it."""
    url = media.file_url or ""
    digest, size, frames, problem = hashlib.sha256(), 0, 0, None
    scratch.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=scratch) as folder, requests.Session() as http:
        http.trust_env = False
        path = Path(folder) / (media.file_name or "file")
        try:
            with http.get(url, timeout=TIMEOUT, stream=True) as answer, path.open("wb") as file:
                answer.raise_for_status()
                for block in answer.iter_content(256 * 1024):
                    digest.update(block)
                    size += len(block)
                    file.write(block)
            if digest.hexdigest() != media.sha256:
                problem = "other bytes than the catalog says"
            probe(path)
            frames = decoded_frames(path)
        except NotPlayable as exc:
            problem = f"does not play: {exc}"
        except requests.RequestException as exc:
            problem = f"cannot be fetched: {type(exc).__name__}"
    return FileEvidence(media.role, url, size, digest.hexdigest(), frames, problem)


def decoded_frames(path: Path) -> int:
    """Every picture of the file, decoded from the first to the last. Raises NotPlayable."""
    try:
        with av.open(str(path)) as container:
            return sum(1 for _ in container.decode(video=0))
    except (av.FFmpegError, IndexError) as exc:
        raise NotPlayable(type(exc).__name__) from None


def _problems(scene: Scene, evidence: Evidence) -> Iterable[str]:
    """Why the generation is not accounted for; empty when it is."""
    if evidence.status != scene.ends:
        yield f"it ended as {evidence.status} instead of {scene.ends} ({evidence.message or 'no message'})"
        return
    yield from (f"{file.url}: {file.problem}" for file in evidence.files if file.problem)
    alive = [status for status in evidence.source_answers if status not in DEAD]
    if alive:
        yield f"a source link still answers {alive[0]}"
    if scene.ends == GenerationStatus.COMPLETED:
        if len(evidence.videos) != scene.versions:
            yield f"{len(evidence.videos)} videos are durable instead of {scene.versions}"
        if not evidence.source_answers:
            yield "no source link is known, so nothing is proven"
        if scene.saved_by is not None and evidence.saved_by != scene.saved_by:
            yield f"it was saved by {evidence.saved_by}, not by {scene.saved_by}"
        if evidence.downloads < len(evidence.source_files) + scene.failed_downloads:
            yield "no download failed, so nothing was shown"
        if evidence.refreshes < scene.refreshes:
            yield "no link was refreshed, so nothing was shown"
    elif not (evidence.reason and evidence.message):
        yield "it ended without a reason"
    if evidence.submits > scene.versions:
        yield f"it was submitted {evidence.submits} times for {scene.versions} version(s): paid twice"
    if scene.ends == GenerationStatus.EXPIRED and not evidence.proof_of_loss:
        yield "it is said to be lost without evidence"


def _saved_by(events: Sequence[Event], sensor_of: SensorOf) -> str | None:
    runs = [event.run_id for event in events if event.step == "committed" and event.run_id is not None]
    return sensor_of(runs[-1]) if runs else None


def _margin(outputs: Sequence[Output]) -> float | None:
    margins = [
        (output.deadline_at - output.stored_at).total_seconds()
        for output in outputs
        if output.deadline_at is not None and output.stored_at is not None
    ]
    return min(margins, default=None)


def _seconds(generation: Generation) -> float | None:
    if generation.finished_at is None or generation.completed_at is None:
        return None
    return (generation.completed_at - generation.finished_at).total_seconds()
