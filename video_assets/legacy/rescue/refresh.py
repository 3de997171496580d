"""A dead link of a legacy source is asked for again, from its provider, by the job's id.

A provider that gives fresh links to the live workflow gives them here too; nothing here knows one by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from sqlmodel import Session, col, select

from video_assets.catalog.legacy import LegacyFile, LegacyFinding
from video_assets.catalog.models import utc_now
from video_assets.providers import PROVIDERS, UnknownProvider
from video_assets.providers.base import (
    JobSnapshot,
    JobState,
    Misconfigured,
    OfferedOutput,
    Provider,
    ProviderError,
    TaskUnknown,
)
from video_assets.transfer.rescue.target import MEDIA_KINDS, LinkGone, LinkUnavailable
from video_assets.urls import classify, fingerprint

GetProvider = Callable[[str], Provider]


@dataclass(frozen=True, slots=True)
class FreshLink:
    """A link that works again."""

    url: str = field(repr=False)
    deadline_at: datetime | None
    task_id: str
    matched_by: str
    """How it was told from the job's other outputs: ``fingerprint``, ``name``, ``only one`` or ``position``."""
    needs_provider_key: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is known of a file whose link is dead."""

    kind: str
    fingerprint: str
    provider: str | None
    task_id: str | None
    name: str = ""
    """Last segment of its path."""
    position: int | None = None
    """Its place among the source's files of the same job and family, from 0 …"""
    siblings: int = 1
    """… and how many those are."""


def askable(get_provider: GetProvider) -> tuple[str, ...]:
    """Names of the providers that can be asked for fresh links here: they give them, and their key is set."""
    names: list[str] = []
    for name in PROVIDERS:
        try:
            provider = get_provider(name)
        except Misconfigured:
            continue
        if provider.has_key and provider.refreshes != "no":
            names.append(name)
    return tuple(names)


def fresh_link(wanted: Wanted, get_provider: GetProvider) -> FreshLink:
    """Ask the provider again.

    Raises LinkGone when there will never be one (no job id, no such provider, the output is gone, or nothing
    tells which of several outputs it was), LinkUnavailable when the provider cannot be asked now, and TaskUnknown
    when it does not know the job, which has to be said more than once before it is believed.
    """
    if wanted.provider is None or wanted.task_id is None:
        raise LinkGone("the row names no job that a provider could be asked about")
    try:
        provider = get_provider(wanted.provider)
    except UnknownProvider:
        raise LinkGone(f"no provider called {wanted.provider!r} is known here") from None
    except ProviderError as exc:
        raise LinkUnavailable(str(exc), reason=exc.reason) from None
    if provider.refreshes == "no":
        raise LinkGone(f"{provider.title} hands out each link once only")
    try:
        snapshot = provider.poll(wanted.task_id)
    except TaskUnknown:
        raise
    except ProviderError as exc:
        raise LinkUnavailable(str(exc), reason=exc.reason, retry_after=exc.retry_after) from None
    offered, matched_by = _match(wanted, provider, snapshot)
    found = classify(offered.url, created_at=snapshot.created_at)
    deadline = found.expires_at
    if deadline is None and offered.lifetime is not None:
        deadline = utc_now() + offered.lifetime
    return FreshLink(offered.url, deadline, wanted.task_id, matched_by, offered.needs_provider_key)


def _match(wanted: Wanted, provider: Provider, snapshot: JobSnapshot) -> tuple[OfferedOutput, str]:
    """The output of the job that is the wanted file. Raises LinkGone when none is, or when it cannot be told."""
    if not snapshot.state.settled:
        raise LinkUnavailable(f"{provider.title} is still working on {wanted.task_id} ({snapshot.raw_status})")
    if snapshot.state is not JobState.SUCCEEDED:
        why = f": {snapshot.failure_message}" if snapshot.failure_message else ""
        raise LinkGone(f"{provider.title} says that {wanted.task_id} {snapshot.state}{why}", data_gone=True)
    for output in snapshot.outputs:
        if fingerprint(output.url) == wanted.fingerprint:
            return output, "fingerprint"
    alike = _alike(wanted.kind, snapshot.outputs)
    if not alike:
        raise LinkGone(f"{provider.title} no longer offers a {wanted.kind} for {wanted.task_id}", data_gone=True)
    if len(alike) == 1 and wanted.siblings == 1:
        return alike[0], "only one"
    named = [output for output in alike if wanted.name and path_name(output.url) == wanted.name]
    if len(named) == 1:
        return named[0], "name"
    if wanted.position is not None and wanted.siblings == len(alike):
        return alike[wanted.position], "position"
    raise LinkGone(
        f"{provider.title} offers {len(alike)} files for {wanted.task_id}; nothing tells which of them this was"
    )


def _alike(kind: str, offered: Sequence[OfferedOutput]) -> list[OfferedOutput]:
    """The outputs of the same kind, in order; without any, those of the same family (a clip is a video)."""
    same = [output for output in offered if output.kind == kind]
    family = MEDIA_KINDS.get(kind)
    alike = same or [output for output in offered if family and MEDIA_KINDS.get(output.kind) == family]
    return sorted(alike, key=lambda output: output.index)


def path_name(url: str) -> str:
    """The last segment of a URL's path; empty when there is none."""
    try:
        return urlsplit(url).path.rpartition("/")[2]
    except ValueError:
        return ""


def wanted_file(session: Session, file: LegacyFile) -> Wanted:
    """What the catalog knows that helps to find ``file`` among a job's outputs.

    Files of one job stand in a document in the order the provider gave them; so the order of their places is
    the order of the job's outputs, as long as all of them are there.
    """
    position, siblings = None, 1
    if file.task_id is not None:
        family = MEDIA_KINDS.get(file.kind, file.kind)
        statement = (
            select(LegacyFile.id, LegacyFile.kind, LegacyFinding.row_key, LegacyFinding.pointer)
            .join(LegacyFinding, col(LegacyFinding.file_id) == LegacyFile.id)
            .where(
                LegacyFile.source == file.source,
                LegacyFile.provider == file.provider,
                LegacyFile.task_id == file.task_id,
            )
            .limit(1000)
        )
        places: dict[str, tuple[str, list[tuple[int, str]]]] = {}
        for file_id, kind, row_key, pointer in session.exec(statement):
            if MEDIA_KINDS.get(kind, kind) == family:
                place = (row_key, _natural(pointer))
                places[file_id] = min(places.get(file_id, place), place)
        ordered = sorted(places, key=lambda file_id: places[file_id])
        if file.id in places:
            position, siblings = ordered.index(file.id), len(ordered)
    name = path_name(file.temporary_url or file.redacted or "")
    return Wanted(file.kind, file.fingerprint, file.provider, file.task_id, name, position, siblings)


def _natural(pointer: str) -> list[tuple[int, str]]:
    """A pointer in an order in which ``/versions/10`` comes after ``/versions/9``."""
    return [(int(token), "") if token.isdecimal() else (-1, token) for token in pointer.split("/")]
