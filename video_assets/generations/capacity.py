"""How many jobs a provider may have under way for us, counted in the catalog, over all processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from video_assets.catalog import Catalog, Generation, GenerationStatus, JobStatus, queries
from video_assets.providers.base import Provider, ProviderError
from video_assets.settings import Settings

GetProvider = Callable[[str], Provider]

MOST_NOTES = 500
"""Generations that are told in one transaction why they wait."""


def limit_of(provider: Provider, settings: Settings) -> int | None:
    """How many jobs may be under way at ``provider``; None without limit."""
    return settings.max_concurrent_jobs.get(provider.name, provider.max_concurrent_jobs) or None


def free_places(session: Session, provider: Provider, settings: Settings) -> int | None:
    """How many more jobs ``provider`` may get now; None without limit.

    The answer holds until the end of the transaction, which has to be a writing one.
    """
    limit = limit_of(provider, settings)
    if limit is None:
        return None
    if session.get_bind().dialect.name == "postgresql":
        # Two that count at the same moment would both find the last place free.
        session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"capacity:{provider.name}"))))
    return max(limit - queries.jobs_under_way(session, provider.name), 0)


def why_it_waits(provider: Provider, settings: Settings) -> str:
    """The sentence for a generation that has to wait for a free place."""
    limit = limit_of(provider, settings)
    return (
        f"{provider.title} has {limit} jobs of ours under way, as many as it may "
        "(VIDEO_ASSETS_MAX_CONCURRENT_JOBS); this one waits for one of them to finish"
    )


def ready_to_submit(
    catalog: Catalog, get_provider: GetProvider, settings: Settings, *, limit: int
) -> Sequence[Generation]:
    """Generations to submit now, oldest first, no more than their providers may take; the others learn why.

    A provider that is not known here counts as one without limit: its submission says what is wrong.
    """
    with catalog.read() as session:
        names = queries.providers_to_submit_to(session)
        interrupted = queries.generations_to_submit(session, limit=limit, interrupted=True)
    ready = {generation.id: generation for generation in interrupted}
    for name in names:
        try:
            provider = get_provider(name)
        except ProviderError:
            provider = None
        limited = provider is not None and limit_of(provider, settings) is not None
        with catalog.write() if limited else catalog.read() as session:
            free = free_places(session, provider, settings) if provider is not None else None
            for generation in queries.generations_to_submit(session, limit=limit, provider=name):
                if free is not None and free <= 0:
                    break
                ready[generation.id] = generation
                if free is not None:
                    free -= queries.count_jobs(session, generation.id, JobStatus.PLANNED)
            if provider is not None and limited:
                _tell_the_others(session, provider, settings, set(ready))
    return sorted(ready.values(), key=lambda generation: generation.created_at)[:limit]


def _tell_the_others(session: Session, provider: Provider, settings: Settings, ready: set[str]) -> None:
    why = why_it_waits(provider, settings)
    waiting = (
        select(Generation.id)
        .where(
            Generation.provider == provider.name,
            Generation.status == GenerationStatus.QUEUED,
            col(Generation.error_message).is_distinct_from(why),
            col(Generation.id).not_in(ready),
        )
        .order_by(col(Generation.created_at))
        .limit(MOST_NOTES)
    )
    session.execute(
        update(Generation).where(col(Generation.id).in_(waiting)).values(reason=None, error_message=why)
    )
