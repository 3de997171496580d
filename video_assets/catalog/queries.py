"""Questions to the catalog: what is there, what is due, how much of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, literal, or_
from sqlmodel import Session, col, select

from video_assets.catalog.models import (
    SETTLED_STATUSES,
    Generation,
    GenerationStatus,
    JobStatus,
    Lease,
    MediaFile,
    MediaState,
    Output,
    ProviderJob,
)


class GenerationNotFound(Exception):
    """No generation has this id."""

    def __init__(self, generation_id: str) -> None:
        super().__init__(
            f"no generation {generation_id!r} in this catalog; `video-assets list` shows the newest ones"
        )
        self.generation_id = generation_id


def get_generation(session: Session, generation_id: str, *, lock: bool = False) -> Generation:
    """One generation; with ``lock`` its row is held until the transaction ends. Raises GenerationNotFound."""
    statement = select(Generation).where(Generation.id == generation_id)
    if lock:
        statement = statement.with_for_update()
    generation = session.exec(statement.execution_options(populate_existing=lock)).first()
    if generation is None:
        raise GenerationNotFound(generation_id)
    return generation


def by_idempotency_key(session: Session, owner: str, key: str) -> Generation | None:
    """The generation that ``owner`` submitted under ``key``."""
    statement = select(Generation).where(Generation.owner == owner, Generation.idempotency_key == key)
    return session.exec(statement).first()


def list_generations(
    session: Session,
    *,
    owner: str | None = None,
    status: GenerationStatus | None = None,
    provider: str | None = None,
    campaign: str | None = None,
    limit: int = 50,
    before: datetime | None = None,
    before_id: str | None = None,
) -> Sequence[Generation]:
    """The newest generations first, filtered.

    Page on with ``before`` and ``before_id`` = the last row's ``created_at`` and ``id``; without the id, rows
    that were created in the same microsecond as that one are passed over.
    """
    statement = select(Generation).order_by(col(Generation.created_at).desc(), col(Generation.id).desc())
    if owner is not None:
        statement = statement.where(Generation.owner == owner)
    if status is not None:
        statement = statement.where(Generation.status == status)
    if provider is not None:
        statement = statement.where(Generation.provider == provider)
    if campaign is not None:
        statement = statement.where(Generation.campaign == campaign)
    if before is not None:
        older = col(Generation.created_at) < before
        if before_id is not None:
            older = or_(older, and_(col(Generation.created_at) == before, col(Generation.id) < before_id))
        statement = statement.where(older)
    return session.exec(statement.limit(limit)).all()


def jobs_of(session: Session, generation_id: str) -> Sequence[ProviderJob]:
    """Every provider job of a generation, by version and try."""
    statement = select(ProviderJob).where(ProviderJob.generation_id == generation_id)
    return session.exec(statement.order_by(col(ProviderJob.ordinal), col(ProviderJob.try_number))).all()


def outputs_of(session: Session, generation_id: str) -> Sequence[Output]:
    """Every output of a generation, by kind and index."""
    statement = select(Output).where(Output.generation_id == generation_id)
    return session.exec(statement.order_by(col(Output.kind), col(Output.index))).all()


def media_of(session: Session, generation_id: str, *, state: MediaState | None = None) -> Sequence[MediaFile]:
    """The media files of a generation, by role and key."""
    statement = select(MediaFile).where(MediaFile.generation_id == generation_id)
    if state is not None:
        statement = statement.where(MediaFile.state == state)
    return session.exec(statement.order_by(col(MediaFile.role), col(MediaFile.key))).all()


def generations_to_submit(
    session: Session, *, limit: int, provider: str | None = None, interrupted: bool = False
) -> Sequence[Generation]:
    """Generations with a job that is still to be sent, oldest first.

    Also those of which other versions are at the provider already. ``interrupted`` keeps only those with a
    submission that did not come to its end, cancelled ones too: whether it was taken has to be cleared up.
    """
    wanted = [JobStatus.INTENDED] if interrupted else [JobStatus.PLANNED, JobStatus.INTENDED]
    unsent = select(ProviderJob.id).where(
        ProviderJob.generation_id == Generation.id, col(ProviderJob.status).in_(wanted)
    )
    statement = select(Generation).where(
        col(Generation.status).in_([GenerationStatus.QUEUED, GenerationStatus.PROCESSING]), unsent.exists()
    )
    if provider is not None:
        statement = statement.where(Generation.provider == provider)
    return session.exec(statement.order_by(col(Generation.created_at)).limit(limit)).all()


def providers_to_submit_to(session: Session) -> Sequence[str]:
    """Names of the providers for which a job is still to be sent."""
    statement = select(ProviderJob.provider).where(
        col(ProviderJob.status).in_([JobStatus.PLANNED, JobStatus.INTENDED])
    )
    return sorted(session.exec(statement.distinct()).all())


def jobs_under_way(session: Session, provider: str) -> int:
    """How many jobs a provider has in hand for us, those included whose submission is going on."""
    statement = select(func.count()).where(
        col(ProviderJob.status).in_([JobStatus.INTENDED, JobStatus.QUEUED, JobStatus.RUNNING]),
        ProviderJob.provider == provider,
    )
    return session.exec(statement).one()


def count_jobs(session: Session, generation_id: str, *statuses: JobStatus) -> int:
    """How many jobs of a generation have one of ``statuses``, older tries included."""
    statement = select(func.count()).where(
        ProviderJob.generation_id == generation_id, col(ProviderJob.status).in_(statuses)
    )
    return session.exec(statement).one()


def answers_since(
    session: Session, provider: str, *, known_since: datetime, unknown_since: datetime, apart_from: str
) -> tuple[int, int]:
    """How many jobs a provider knew when it was last asked about them, and how many it did not.

    What it knew counts from ``known_since`` on. What it did not know counts while it is followed, and from
    ``unknown_since`` on when it is finished; a job that was given up does not: that it is unknown is no news.
    """
    unknown = col(ProviderJob.unknown_since).is_not(None)
    asked = col(ProviderJob.polled_at)
    others = and_(col(ProviderJob.provider) == provider, col(ProviderJob.id) != apart_from)
    at_provider = col(ProviderJob.status).in_([JobStatus.QUEUED, JobStatus.RUNNING])

    def count(*conditions: ColumnElement[bool]) -> int:
        return session.exec(select(func.count()).select_from(ProviderJob).where(others, *conditions)).one()

    known = count(asked >= known_since, ~unknown, col(ProviderJob.poll_failures) == 0)
    finished = col(ProviderJob.status) == JobStatus.SUCCEEDED
    return known, count(at_provider, unknown) + count(asked >= unknown_since, finished, unknown)


def jobs_due(session: Session, *, now: datetime, limit: int) -> Sequence[ProviderJob]:
    """Jobs at the provider whose next poll is due, the longest overdue first.

    A job that was given up is due only when it says when it is to be asked about again.
    """
    at_provider = col(ProviderJob.status).in_([JobStatus.QUEUED, JobStatus.RUNNING])
    statement = select(ProviderJob).where(
        or_(
            and_(at_provider, col(ProviderJob.next_poll_at).is_(None)),
            and_(
                or_(at_provider, col(ProviderJob.status) == JobStatus.ABANDONED),
                col(ProviderJob.next_poll_at) <= now,
            ),
        )
    )
    return session.exec(statement.order_by(col(ProviderJob.next_poll_at).nulls_first()).limit(limit)).all()


def outputs_due(
    session: Session,
    *,
    now: datetime,
    limit: int,
    dies_before: datetime | None = None,
    dies_after: datetime | None = None,
    force: bool = False,
    generation_ids: Collection[str] | None = None,
) -> Sequence[Output]:
    """Outputs that wait for a rescue, soonest deadline first, leaving out what a live lease covers.

    ``dies_before`` keeps only those whose link dies by then, ``dies_after`` only the others (and those of which
    nobody knows). ``force`` ignores the pause between tries (a person asked).
    """
    statement = select(Output).where(Output.state == MediaState.PENDING)
    if generation_ids is not None:
        statement = statement.where(col(Output.generation_id).in_(generation_ids))
    if dies_before is not None:
        statement = statement.where(col(Output.deadline_at) <= dies_before)
    if dies_after is not None:
        statement = statement.where(or_(col(Output.deadline_at).is_(None), col(Output.deadline_at) > dies_after))
    if not force:
        statement = statement.where(
            or_(col(Output.next_attempt_at).is_(None), col(Output.next_attempt_at) <= now)
        )
    held = select(Lease.resource).where(
        col(Lease.resource) == literal("output:") + col(Output.id), col(Lease.expires_at) > now
    )
    statement = statement.where(~held.exists())
    statement = statement.order_by(
        col(Output.deadline_at).is_(None), col(Output.deadline_at), col(Output.created_at)
    )
    return session.exec(statement.limit(limit)).all()


def count_by_status(session: Session) -> dict[str, int]:
    """How many generations have each status (S1.25)."""
    rows = session.exec(select(Generation.status, func.count()).group_by(Generation.status)).all()
    return {str(status): count for status, count in rows}


def stuck_generations(
    session: Session, *, now: datetime, after: timedelta, limit: int = 100
) -> Sequence[Generation]:
    """Unsettled generations in which nothing has happened for longer than ``after``, oldest first (S4.18)."""
    statement = select(Generation).where(
        col(Generation.status).not_in(list(SETTLED_STATUSES)), col(Generation.updated_at) < now - after
    )
    return session.exec(statement.order_by(col(Generation.updated_at)).limit(limit)).all()


def retirable_generations(session: Session, *, settled_before: datetime, limit: int = 10_000) -> Sequence[str]:
    """Ids of settled generations that may leave the Dagster partitions, oldest first."""
    statement = select(Generation.id).where(
        col(Generation.status).in_(list(SETTLED_STATUSES)),
        col(Generation.updated_at) < settled_before,
        col(Generation.retired_at).is_(None),
    )
    return session.exec(statement.order_by(col(Generation.updated_at)).limit(limit)).all()


def pending_media(session: Session, *, older_than: datetime, limit: int = 1000) -> Sequence[MediaFile]:
    """Journal rows of uploads that were begun before ``older_than`` and never committed."""
    statement = select(MediaFile).where(
        MediaFile.state == MediaState.PENDING, col(MediaFile.updated_at) < older_than
    )
    return session.exec(statement.order_by(col(MediaFile.updated_at)).limit(limit)).all()


def task_ids_since(session: Session, provider: str, since: datetime) -> set[str]:
    """Provider task ids that are already ours, of jobs made since ``since``."""
    statement = select(ProviderJob.task_id).where(
        ProviderJob.provider == provider,
        col(ProviderJob.task_id).is_not(None),
        col(ProviderJob.created_at) >= since,
    )
    return {task_id for task_id in session.exec(statement).all() if task_id is not None}


def providers_of(session: Session, generation_ids: Sequence[str]) -> dict[str, str]:
    """The provider's name of each generation."""
    found: dict[str, str] = {}
    for at in range(0, len(generation_ids), 500):
        some = generation_ids[at : at + 500]
        rows = session.exec(select(Generation.id, Generation.provider).where(col(Generation.id).in_(some))).all()
        found.update(dict(rows))
    return found
