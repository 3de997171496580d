"""When a file that could not be saved is tried again, and when it is lost: one pure function.

A file is lost when its link is dead and there is no other, or when its source said for certain that it will not
come back. How many tries there were decides nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from video_assets.reasons import RetryPolicy, Side

GRACE: Final = timedelta(hours=1)
"""A source that gives no clear answer is still asked for so long after a link's death, or after the first failure
when the link was dead before: clocks differ, and some hosts are generous."""
LEAST_PAUSE: Final = timedelta(seconds=2)
"""Between tries of a link that is about to die; the last one falls so close before its death."""
_AFTER_DEATH: Final = timedelta(seconds=1)


def next_attempt(
    now: datetime,
    attempts: int,
    deadline: datetime | None,
    first_seen: datetime,
    policy: RetryPolicy,
    retry_after: timedelta | None = None,
    *,
    patience: timedelta,
) -> datetime | None:
    """When to try again after try number ``attempts`` failed; None when the file is lost.

    ``deadline`` is when the link dies, None when nobody knows or when the provider replaces it; ``first_seen`` is
    since when the source has failed without a break; ``policy`` belongs to the reason of this failure.
    ``retry_after`` is what the source asked for. ``patience`` is how long a source without a deadline is asked.

    Pauses grow, but are never longer than half of what is left of the link's life, so that it is tried ever more
    often as its death comes near; the first try after it asks the provider, or hears that the link has expired.
    """
    end = last_moment(deadline, first_seen, policy.side, patience)
    if end is not None and now >= end:
        return None
    wait = policy.wait_after(attempts)
    if retry_after is not None:
        wait = max(wait, retry_after)
    if deadline is not None and now < deadline:
        wait = min(wait, max((deadline - now) / 2, LEAST_PAUSE))
        return now + wait if now + wait < deadline else deadline + _AFTER_DEATH
    if end is None:
        return now + wait
    if deadline is not None and policy.side in (Side.SOURCE, Side.RULES):
        wait = min(wait, GRACE / 4)
    return min(now + wait, end)


def last_moment(
    deadline: datetime | None, first_seen: datetime, side: Side, patience: timedelta
) -> datetime | None:
    """From when on a failure on ``side`` means that the file is lost; None when it never does."""
    known = first_seen if deadline is None else max(deadline, first_seen)
    match side:
        case Side.OURS:
            return None
        case Side.BETWEEN:
            return known + patience
        case Side.SOURCE | Side.RULES:
            return known + (patience if deadline is None else GRACE)
