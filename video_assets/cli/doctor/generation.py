"""``doctor ID``: why does this video not play? The chain from the request to the player, link by link (S1.29)."""

from __future__ import annotations

from collections.abc import Iterator

from video_assets.catalog import GenerationStatus, JobStatus, MediaState, open_catalog
from video_assets.cli.doctor.installation import Line
from video_assets.cli.generations.json_views import GenerationView, load_view
from video_assets.cli.output import age_text, deadline_text, size_text
from video_assets.reasons import RETRY_POLICIES, Reason
from video_assets.settings import Settings
from video_assets.storage import DurableStorage, StorageFailed, open_storage
from video_assets.transfer.rescue.checks import Verifier
from video_assets.urls import HostRules, classify, host_rules


def check_generation(settings: Settings, generation_id: str) -> Iterator[Line]:
    """Every link of the chain. Raises GenerationNotFound, CatalogError."""
    catalog = open_catalog(settings)
    view = load_view(catalog, generation_id, events=0)
    yield _status(view)
    yield from _jobs(view)
    yield from _outputs(view)
    if not view.videos:
        yield Line("durable file", "failed", "there is none yet", _remedy(view))
        return
    try:
        storage = open_storage(settings)
    except StorageFailed as exc:
        yield Line("storage", "failed", str(exc), "Run `video-assets storage check`.")
        return
    hosts = host_rules(settings.deleting_hosts)
    yield from _files(view, storage, hosts)
    verifier = Verifier(catalog, storage, settings.spool, require_playable=settings.require_playable, hosts=hosts)
    for outcome in verifier.verify(generation_id):
        yield Line(
            outcome.name.replace("_", " "),
            "failed" if not outcome.passed else "warning" if outcome.is_unknown else "ok",
            outcome.message,
            UNKNOWN if outcome.is_unknown else "" if outcome.passed else VERDICTS.get(outcome.name, ""),
        )
    catalog.close()


UNKNOWN = (
    "The bytes are the ones that came, but nothing here can decode them: try the file in a browser or player."
)
VERDICTS = {
    "no_persisted_jwt": "A token was saved: rewrite the row that is named, and find who wrote it.",
    "no_temporary_url": "A link that dies was saved: rewrite the row that is named, and find who wrote it.",
    "stored_bytes_match": "The object was changed or damaged in the store: restore it from a backup, or "
    "`video-assets retry` while the provider still has it.",
    "publicly_readable": "Run `video-assets storage check`; `video-assets storage policies` prints what makes "
    "it public.",
    "playable": "The bytes do not decode: `video-assets show` tells codec and source; try a browser.",
}


def _status(view: GenerationView) -> Line:
    generation = view.generation
    word = generation.status
    if word == GenerationStatus.COMPLETED:
        if generation.error_message:
            note = f"completed {age_text(generation.completed_at)}; {generation.error_message}"
            return Line("generation", "warning", note, f"`video-assets retry {generation.id}` asks for it again.")
        return Line("generation", "ok", f"completed {age_text(generation.completed_at)}")
    why = generation.error_message or generation.reason or f"{generation.progress} % done"
    if word.settled:
        return Line("generation", "failed", f"{word}: {why}", _remedy(view))
    return Line("generation", "warning", f"still {word}: {why}", _remedy(view))


def _remedy(view: GenerationView) -> str:
    generation = view.generation
    if generation.reason in set(Reason):
        return RETRY_POLICIES[Reason(generation.reason)].remedy
    if generation.status == GenerationStatus.QUEUED:
        return "The pipeline submits it; `video-assets doctor` tells whether it runs."
    if generation.status == GenerationStatus.PROCESSING:
        return f"The provider is working; `video-assets watch {generation.id}`."
    if generation.status == GenerationStatus.STORING:
        return f"It is being made durable; `video-assets watch {generation.id}`."
    return f"`video-assets retry {generation.id}` tries again."


def _jobs(view: GenerationView) -> Iterator[Line]:
    for job in view.jobs:
        name = f"job {job.ordinal}.{job.try_number}"
        told = f"{job.status} at {job.provider}" + (f" as {job.task_id}" if job.task_id else "")
        if job.status in (JobStatus.FAILED, JobStatus.UNCONFIRMED, JobStatus.ABANDONED):
            newer = any(other.ordinal == job.ordinal and other.try_number > job.try_number for other in view.jobs)
            remedy = "" if newer else _remedy(view)
            yield Line(name, "warning" if newer else "failed", f"{told}: {job.failure_message or '?'}", remedy)
        elif job.status == JobStatus.SUCCEEDED:
            yield Line(name, "ok", told)
        else:
            yield Line(name, "warning", told)


def _outputs(view: GenerationView) -> Iterator[Line]:
    for output in view.outputs:
        name = f"{output.kind} {output.index}"
        if output.state == MediaState.STORED:
            yield Line(name, "ok", f"durable since {age_text(output.stored_at)}, its temporary link is erased")
        elif output.state == MediaState.LOST:
            yield Line(name, "failed", f"lost: {output.message}", _remedy(view))
        elif output.state == MediaState.GIVEN_UP:
            yield Line(name, "warning", f"given up: {output.message}")
        else:
            waits = f", last problem: {output.message}" if output.message else ""
            told = f"not durable yet, its link {deadline_text(output.deadline_at)}{waits}"
            yield Line(name, "warning", told, f"`video-assets retry {view.generation.id}` tries at once.")


def _files(view: GenerationView, storage: DurableStorage, hosts: HostRules) -> Iterator[Line]:
    for file in view.videos:
        url = file.file_url or ""
        if not url or not classify(url, hosts=hosts).is_persistable:
            yield Line(
                "address",
                "failed",
                f"{file.key}: the saved address is not a permanent one",
                VERDICTS["no_temporary_url"],
            )
        elif url != storage.public_url(file.key):
            yield Line(
                "address",
                "warning",
                f"{url} was saved, but today's configuration would say {storage.public_url(file.key)}",
                "If the old address no longer works, set VIDEO_ASSETS_PUBLIC_BASE_URL (or the S3 settings) back.",
            )
        else:
            yield Line("address", "ok", f"{url} is ours")
        try:
            found = storage.head(file.key)
        except StorageFailed as exc:
            yield Line("object", "failed", str(exc), "Run `video-assets storage check`.")
            continue
        if found is None:
            yield Line(
                "object",
                "failed",
                f"{file.bucket}/{file.key} is not in the store",
                VERDICTS["stored_bytes_match"],
            )
        else:
            yield Line("object", "ok", f"{file.bucket}/{file.key}, {size_text(found.size)}, {found.content_type}")
