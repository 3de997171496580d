"""``classify``: what one URL is, when it dies, what in it is secret."""

from __future__ import annotations

from datetime import UTC, datetime

from video_assets.urls.classify.analyse import Analysis, Verdict, recent_analysis
from video_assets.urls.classify.classification import Bound, Classification, Kind
from video_assets.urls.host_rules import NO_RULES, HostRules
from video_assets.urls.schemes.model import Scheme
from video_assets.urls.syntax import times as moments

_PERMANENT = Classification(Kind.PERMANENT)


def classify(
    url: str, *, created_at: datetime | None = None, now: datetime | None = None, hosts: HostRules = NO_RULES
) -> Classification:
    """Say what ``url`` is. Never raises, whatever the text; linear in its length.

    ``url`` may stand in any stored spelling (HTML entities, JSON escapes, percent-encoded, quoted). Of several
    ends, the earliest counts. Host rules count from ``created_at`` (UTC when it names no zone); without it their
    ``expires_at`` is None. ``now`` is accepted for callers that pin the clock; no scheme depends on it, since a
    URL that is dead already was temporary too. ``hosts`` are the user's own rules; they win over built-in ones.
    """
    analysis = recent_analysis(url)
    verdicts = analysis.verdicts
    told = _told(analysis, hosts) if hosts else None
    if told is not None:
        kept = [each for each in verdicts if each.secrets or each.scheme.retention is None]
        verdicts = [*kept, Verdict(told, Kind.TEMPORARY, None, told.bound, [])]
    if not verdicts:
        return _PERMANENT
    kind = Kind.CREDENTIAL_ONLY
    named: Verdict = verdicts[0]
    expires_at, bound = None, Bound.CERTAIN
    for verdict in verdicts:
        if verdict.kind is not Kind.TEMPORARY:
            continue
        if kind is not Kind.TEMPORARY:
            kind, named = Kind.TEMPORARY, verdict
        at, sure = verdict.expires_at, verdict.bound
        lifetime = verdict.scheme.retention if told is None or verdict.scheme is told else None
        if created_at is not None and lifetime is not None:
            started = created_at if created_at.tzinfo else created_at.replace(tzinfo=UTC)
            at, sure = moments.add(started.astimezone(UTC), lifetime), verdict.scheme.bound
        if at is not None and (expires_at is None or at < expires_at):
            expires_at, bound = at, sure
    return Classification(
        kind,
        named.scheme.name,
        expires_at,
        bound,
        analysis.carries_jwt,
        tuple(dict.fromkeys([url[start:end] for start, end in analysis.secrets])),
        analysis.retention if told is None else told.retention,
        any(verdict.truncated for verdict in verdicts),
    )


def _told(analysis: Analysis, hosts: HostRules) -> Scheme | None:
    """The user's rule for the URL or one inside it."""
    for parts in (analysis.parts, *analysis.inside):
        if (scheme := hosts.scheme_of(parts)) is not None:
            return scheme
    return None
