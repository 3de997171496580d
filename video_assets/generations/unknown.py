"""When to believe a provider that says it does not know a job.

One 404 proves little: a job that was made a moment ago may not have reached the replica that answers, a gateway
may send the question to a wrong host, a key may belong to another account. What is unknown has to stay so, and a
provider that suddenly knows hardly any of our jobs is not believed about one of them.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel import Session

from video_assets.catalog import ProviderJob, queries
from video_assets.providers.base import TaskUnknown
from video_assets.reasons import RETRY_POLICIES, Reason
from video_assets.settings import Settings

ANSWERS = 3
"""So often at least it has to be said."""
MANY = 3
"""From so many unknown jobs on, their share among all that were asked about counts."""
WITHOUT_WITNESS = 24
"""So many times longer it has to last where nothing tells that the right host answers."""


def patience(settings: Settings) -> timedelta:
    """How long a job has to stay unknown, at the pace at which providers are asked here."""
    return settings.unknown_job_patience * settings.poll_interval_scale


def lasts(answers: int, since: datetime, now: datetime, settings: Settings, *, witness: bool) -> bool:
    """Whether ``answers`` from ``since`` until ``now`` are enough.

    ``witness`` tells that the provider has answered about another job of ours in the meantime.
    """
    long_enough = patience(settings) * (1 if witness else WITHOUT_WITNESS)
    if not long_enough:
        return True
    return answers >= ANSWERS and now - since >= long_enough


def pause_after(answers: int, settings: Settings) -> timedelta:
    """How long to wait before it is asked about again."""
    policy = RETRY_POLICIES[Reason.PROVIDER_ERROR]
    return (policy.wait_after(answers) or policy.longest_wait) * settings.poll_interval_scale


def note(session: Session, job: ProviderJob, error: TaskUnknown, settings: Settings, *, now: datetime) -> bool:
    """Write down that the provider said it does not know ``job``; True when that may be believed now.

    The job's ``failure_message`` says how the matter stands. Where many jobs became unknown together it is taken
    for what it looks like, a provider that cannot be reached, and is believed only when the job is given up for
    other reasons.
    """
    job.unknown_since = job.unknown_since or now
    job.unknown_answers += 1
    job.polls += 1
    job.poll_failures += 1
    job.polled_at = job.updated_at = now
    known, others = queries.answers_since(
        session,
        job.provider,
        known_since=max(job.unknown_since, now - patience(settings)),
        unknown_since=job.unknown_since,
        apart_from=job.id,
    )
    if others + 1 >= MANY and others + 1 > known:
        job.failure_message = (
            f"{error}; so it says of most jobs at once, which is not believed: is this the right address, and "
            "the key of the account that made them?"
        )
        return False
    times = "once" if job.unknown_answers == 1 else f"{job.unknown_answers} times"
    job.failure_message = f"{error}; said {times} since {job.unknown_since:%Y-%m-%d %H:%M} UTC"
    # Where it is the only one, nobody can be called as a witness; time alone decides.
    return lasts(job.unknown_answers, job.unknown_since, now, settings, witness=True)


def forget(job: ProviderJob) -> None:
    """The provider knows the job: what it said before is void."""
    job.unknown_since = None
    job.unknown_answers = 0
    job.poll_failures = 0
