"""Leases: never more than one owner of a piece of work, even when a process is killed in the middle.

One conditional upsert takes a free or expired lease, on SQLite and on PostgreSQL alike. The token it returns
grows with each change of hands; whoever commits shows it (:func:`holds`) inside the same transaction, so an
owner that slept past its lease can no longer write.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlmodel import Session, col, select

from video_assets.catalog.models import Lease, utc_now


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease that this process holds."""

    resource: str
    holder: str
    token: int


def new_holder() -> str:
    """A name for one worker: host, process and a random part."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def acquire(
    session: Session, resource: str, holder: str, *, ttl: timedelta, now: datetime | None = None
) -> Claim | None:
    """Take ``resource`` when nobody holds it, or its holder let the lease run out; None otherwise."""
    moment = now or utc_now()
    insert = postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    table = Lease.__table__  # type: ignore[attr-defined]
    statement = (
        insert(table)
        .values(resource=resource, holder=holder, token=1, expires_at=moment + ttl)
        .on_conflict_do_update(
            index_elements=[table.c.resource],
            set_={"holder": holder, "token": table.c.token + 1, "expires_at": moment + ttl},
            where=table.c.expires_at <= moment,
        )
        .returning(table.c.token)
    )
    token = session.execute(statement).scalar_one_or_none()
    return None if token is None else Claim(resource, holder, int(token))


def _is(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    """The lease row, if it is still this very claim."""
    return (
        col(Lease.resource) == claim.resource,
        col(Lease.holder) == claim.holder,
        col(Lease.token) == claim.token,
    )


def renew(session: Session, claim: Claim, *, ttl: timedelta, now: datetime | None = None) -> bool:
    """Prolong a lease; False when it has passed to somebody else."""
    moment = now or utc_now()
    result = session.execute(update(Lease).where(*_is(claim)).values(expires_at=moment + ttl))
    return bool(result.rowcount)  # type: ignore[attr-defined]


def holds(session: Session, claim: Claim) -> bool:
    """Whether the claim is still the newest on its resource; locks the row until the transaction ends."""
    statement = select(Lease).where(*_is(claim))
    return session.exec(statement.with_for_update()).first() is not None


def is_held(session: Session, resource: str, *, now: datetime | None = None) -> bool:
    """Whether somebody is at work on ``resource``."""
    statement = select(Lease.resource).where(
        Lease.resource == resource, col(Lease.expires_at) > (now or utc_now())
    )
    return session.exec(statement).first() is not None


def release(session: Session, claim: Claim, *, now: datetime | None = None) -> None:
    """Give the lease back. The row stays, expired, so that its token keeps growing until it is swept.

    It belongs to nobody then, so a heartbeat that comes a moment late cannot prolong it.
    """
    session.execute(update(Lease).where(*_is(claim)).values(holder="", expires_at=now or utc_now()))


def revoke(session: Session, resources: Collection[str], *, now: datetime | None = None) -> None:
    """Take leases away from whoever holds them: what they have in hand cannot be committed any more."""
    session.execute(
        update(Lease)
        .where(col(Lease.resource).in_(resources))
        .values(holder="", token=Lease.token + 1, expires_at=now or utc_now()),
        execution_options={"synchronize_session": False},
    )


def sweep(session: Session, *, older_than: timedelta, now: datetime | None = None) -> int:
    """Remove leases that ran out or were given back longer than ``older_than`` ago; returns how many.

    Their tokens begin again at 1, so ``older_than`` has to be longer than any worker may stall (a day is).
    """
    moment = (now or utc_now()) - older_than
    result = session.execute(delete(Lease).where(col(Lease.expires_at) < moment))
    return int(result.rowcount)  # type: ignore[attr-defined]
