"""The links of lost files: kept, encrypted, for some time after their death, then erased."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, update
from sqlmodel import col, select

from video_assets.catalog.database import Catalog
from video_assets.catalog.legacy import LegacyFile
from video_assets.catalog.models import MediaState, Output, utc_now

AT_ONCE = 500
"""Rows of one transaction."""
MOST = 100_000
"""Rows of one call: the next one goes on."""


def erase_lost_links(catalog: Catalog, *, kept_for: timedelta, now: datetime | None = None) -> int:
    """Erase the links of files that were lost, and whose links died, longer than ``kept_for`` ago.

    Returns how many there were; in bounded transactions, safe to repeat after a kill.
    """
    until = (now or utc_now()) - kept_for
    erased = 0
    for table in (Output, LegacyFile):
        while erased < MOST and (count := _erase_some(catalog, table, until)):
            erased += count
    return erased


def _erase_some(catalog: Catalog, table: type[Output | LegacyFile], until: datetime) -> int:
    some = (
        select(table.id)
        .where(
            table.state == MediaState.LOST,
            col(table.lost_at) < until,
            or_(col(table.deadline_at).is_(None), col(table.deadline_at) < until),
            col(table.temporary_url).is_not(None),
        )
        .limit(AT_ONCE)
    )
    with catalog.write() as session:
        result: Any = session.execute(
            update(table).where(col(table.id).in_(some)).values(temporary_url=None),
            execution_options={"synchronize_session": False},
        )
        return int(result.rowcount)
