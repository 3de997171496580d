"""Which machine's spool holds the verified bytes of a file that is not durable yet.

The bytes themselves and what is needed to upload them are in that spool; these rows tell the other workers of the
same catalog, and people.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func
from sqlmodel import Session, col, select

from video_assets.catalog.models import KeptFile, Lease, utc_now


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for the store with its bytes in hand."""

    files: int
    bytes: int
    since: datetime | None
    """When the first of them was kept."""


def note(session: Session, resource: str, spool: str, *, host: str, size: int) -> None:
    """Write down that ``spool`` holds ``resource``, and that its owner is at work on it now."""
    row = session.get(KeptFile, (resource, spool), populate_existing=True)
    if row is None:
        row = KeptFile(resource=resource, spool=spool, host=host, size=size)
    row.host, row.size, row.seen_at = host, size, utc_now()
    session.add(row)


def forget(session: Session, resources: Collection[str], *, spool: str | None = None) -> None:
    """Remove what is known of ``resources``: of one spool, or of every spool."""
    statement = delete(KeptFile).where(col(KeptFile.resource).in_(resources))
    if spool is not None:
        statement = statement.where(col(KeptFile.spool) == spool)
    session.execute(statement)


def elsewhere(session: Session, resource: str, spool: str) -> KeptFile | None:
    """The row of another spool that holds ``resource``, the one seen last."""
    statement = select(KeptFile).where(KeptFile.resource == resource, KeptFile.spool != spool)
    return session.exec(statement.order_by(col(KeptFile.seen_at).desc()).limit(1)).first()


def all_kept(session: Session) -> Sequence[KeptFile]:
    """Every row; there are no more than the spools have space for."""
    return session.exec(select(KeptFile).order_by(col(KeptFile.resource))).all()


def waiting(session: Session, *, now: datetime | None = None) -> Waiting:
    """Files that wait, over all machines, leaving out those that are being uploaded at this moment."""
    leased = select(Lease.resource).where(
        Lease.resource == KeptFile.resource, col(Lease.expires_at) > (now or utc_now())
    )
    files, size, since = session.exec(
        select(
            func.count(func.distinct(KeptFile.resource)),
            func.coalesce(func.sum(KeptFile.size), 0),
            func.min(KeptFile.kept_at),
        ).where(~leased.exists())
    ).one()
    return Waiting(files, int(size), since)
