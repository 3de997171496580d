"""``classify``: what one URL is, when it dies, what in it is secret."""

from __future__ import annotations

from datetime import UTC, datetime

from video_assets.urls import moments
from video_assets.urls.analysis import Verdict, recent_analysis
from video_assets.urls.classification import Bound, Classification, Kind

_PERMANENT = Classification(Kind.PERMANENT)


def classify(url: str, *, created_at: datetime | None = None, now: datetime | None = None) -> Classification:
    """Say what ``url`` is. Never raises, whatever the text; linear in its length.

    ``url`` may stand in any stored spelling (HTML entities, JSON escapes, percent-encoded, quoted). Of several
    ends, the earliest counts. Host rules count from ``created_at`` (UTC when it names no zone); without it their
    ``expires_at`` is None. ``now`` is accepted for callers that pin the clock; no scheme depends on it, since a
    URL that is dead already was temporary too.
    """
    analysis = recent_analysis(url)
    if not analysis.verdicts:
        return _PERMANENT
    kind = Kind.CREDENTIAL_ONLY
    named: Verdict = analysis.verdicts[0]
    expires_at, bound = None, Bound.CERTAIN
    for verdict in analysis.verdicts:
        if verdict.kind is not Kind.TEMPORARY:
            continue
        if kind is not Kind.TEMPORARY:
            kind, named = Kind.TEMPORARY, verdict
        at, sure = verdict.expires_at, verdict.bound
        if created_at is not None and verdict.scheme.retention is not None:
            started = created_at if created_at.tzinfo else created_at.replace(tzinfo=UTC)
            at, sure = moments.add(started.astimezone(UTC), verdict.scheme.retention), verdict.scheme.bound
        if at is not None and (expires_at is None or at < expires_at):
            expires_at, bound = at, sure
    return Classification(
        kind,
        named.scheme.name,
        expires_at,
        bound,
        analysis.carries_jwt,
        tuple(dict.fromkeys([url[start:end] for start, end in analysis.secrets])),
        analysis.retention,
        any(verdict.truncated for verdict in analysis.verdicts),
    )
