"""The at-risk report: what a source holds, when it dies, what saving it takes, and what will be lost. Read only.

Everything is counted by file (what has to be fetched) and by place (what has to be rewritten). Nothing in a
report is a secret: no URL stands in it, only hosts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from video_assets.catalog import Catalog
from video_assets.catalog.legacy import FindingState, LegacyFile, LegacyFinding, LegacySource
from video_assets.catalog.models import MediaState, utc_now
from video_assets.legacy.config.models import Rates, Source
from video_assets.legacy.report.forecast import FOREVER, Forecast, Load, forecast
from video_assets.legacy.report.sizes import measure_all
from video_assets.legacy.search.rows import BLOB_SCHEME, FOLDER_SCHEME
from video_assets.transfer.download.downloader import Downloader


class Bucket(StrEnum):
    """How long a link has to live. The words are promises: they stand in CSV and JSON."""

    DEAD = "dead"
    HOUR = "hour"
    """Less than an hour."""
    DAY = "day"
    """Less than 24 hours."""
    WEEK = "week"
    """Less than 7 days."""
    LATER = "later"
    UNKNOWN = "unknown"
    """Only its server knows."""
    LOCAL = "local"
    """Bytes in a column or a folder: nothing dies."""
    CUT_OFF = "cut_off"
    """The link is not whole where it is stored; only the provider can give another."""


BUCKET_TITLES = {
    Bucket.DEAD: "dead",
    Bucket.HOUR: "< 1 h",
    Bucket.DAY: "< 24 h",
    Bucket.WEEK: "< 7 d",
    Bucket.LATER: "later",
    Bucket.UNKNOWN: "unknown",
    Bucket.LOCAL: "in the database",
    Bucket.CUT_OFF: "cut off",
}

CanRefresh = Callable[[str], bool]
"""Whether a provider (by name) is configured here and hands out fresh links for a job's id."""

MOST_HOSTS = 200
"""Hosts with a line of their own; the rest are summed up as ``(other hosts)``."""
OTHER_HOSTS = "(other hosts)"
LOCAL_HOST = "(here)"

_OPEN = (FindingState.PENDING.value, FindingState.SAVED.value, FindingState.UNDONE.value)
"""Places that still hold what has to go."""


@dataclass(slots=True)
class HostRisk:
    """What stands behind one host."""

    host: str
    files: int = 0
    places: int = 0
    buckets: dict[str, int] = field(default_factory=lambda: dict.fromkeys(map(str, Bucket), 0))
    """Files by how long their longest-lived link has to live."""
    schemes: dict[str, int] = field(default_factory=dict)
    first_deadline_at: datetime | None = None
    """Of the links that still live."""
    refreshable: int = 0
    """Dead files whose provider gives a fresh link for the job's id."""
    sampled: int = 0
    """Files that were asked for one byte."""
    sampled_alive: int = 0
    mean_bytes: float | None = None
    bytes: int = 0
    """Estimate for all files that are not beyond saving."""
    forecast_lost: int = 0

    @property
    def already_lost(self) -> int:
        """Dead, and nobody gives a fresh link."""
        return self.buckets[Bucket.DEAD] + self.buckets[Bucket.CUT_OFF] - self.refreshable


@dataclass(slots=True)
class AtRisk:
    """The report of one source at one moment."""

    source: str
    at: datetime
    scanned_at: datetime | None
    """When the last complete inventory ended; None when there was none yet."""
    rows_scanned: int
    hosts: list[HostRisk] = field(default_factory=list)
    left_alone: list[dict[str, Any]] = field(default_factory=list)
    """Tables that are not the application's own: ``name``, ``kind``, ``role``, ``why``."""
    places: int = 0
    """Places that still hold a temporary URL, or a file itself."""
    files: int = 0
    """Files behind them that are not durable yet."""
    jwts: int = 0
    """Places whose URL carries a JSON Web Token."""
    saved: int = 0
    """Files that are durable already."""
    lost: int = 0
    """Files that were tried and are gone, with evidence."""
    rewritten: int = 0
    excepted: int = 0
    bytes: int = 0
    storage_per_month: float = 0.0
    """US dollars."""
    egress: float = 0.0
    """US dollars, once."""
    rates: Rates = field(default_factory=Rates)
    forecast: Forecast | None = None
    tables: dict[str, int] = field(default_factory=dict)
    """Places per ``table.column``."""

    @property
    def buckets(self) -> dict[str, int]:
        """Files by how long they have to live, over all hosts."""
        return {bucket: sum(host.buckets[bucket] for host in self.hosts) for bucket in map(str, Bucket)}

    @property
    def refreshable(self) -> int:
        """Dead files that a provider brings back."""
        return sum(host.refreshable for host in self.hosts)

    @property
    def already_lost(self) -> int:
        """Dead files that nobody brings back, and those that were tried in vain."""
        return sum(host.already_lost for host in self.hosts) + self.lost

    @property
    def seconds(self) -> float:
        """How long the rescue takes."""
        return self.forecast.seconds if self.forecast is not None else 0.0


def build_report(
    catalog: Catalog,
    source: Source,
    *,
    can_refresh: CanRefresh = lambda _: False,
    downloader: Downloader | None = None,
    sample: int = 5,
    now: datetime | None = None,
) -> AtRisk:
    """Judge a source by its inventory. Nothing is changed, nothing is fetched.

    With a ``downloader`` up to ``sample`` links per host are asked for one byte each, which tells the size and
    whether they really work. Memory is bounded by hosts and minutes, not by files. Raises CatalogError.
    """
    moment = now or utc_now()
    with catalog.read() as session:
        row = session.get(LegacySource, source.name)
        report = AtRisk(
            source.name,
            moment,
            row.scanned_at if row is not None else None,
            row.rows_scanned if row is not None else 0,
            left_alone=list(row.left_alone or ()) if row is not None else [],
            rates=source.rates,
        )
        _count_places(session, report)
        hosts = _count_files(session, report, can_refresh, moment)
        samples = _samples(session, source.name, hosts, sample) if downloader is not None else {}
    if downloader is not None:
        _measure(downloader, hosts, samples)
    known = [host.mean_bytes for host in hosts.values() if host.mean_bytes is not None]
    usual = sum(known) / len(known) if known else source.rates.default_megabytes * 1e6
    for host in hosts.values():
        worth = host.files - host.already_lost
        if host.host != LOCAL_HOST:
            mean = host.mean_bytes if host.mean_bytes is not None else usual
            host.bytes = round(mean * worth)
    report.bytes = sum(host.bytes for host in hosts.values())
    report.storage_per_month = storage_cost(report.bytes, source.rates)
    report.egress = report.bytes / 1e9 * source.rates.egress_per_gb
    with catalog.read() as session:
        loads = _loads(session, source, hosts, usual, can_refresh, moment)
    report.forecast = forecast(loads, source.rates)
    for name, lost in report.forecast.lost_by_host.items():
        hosts[name].forecast_lost = lost
    report.hosts = sorted(hosts.values(), key=_urgency)
    return report


def storage_cost(size: float, rates: Rates) -> float:
    """US dollars a month for ``size`` bytes: 1.5 GB at 0.021 are about 0.03."""
    return size / 1e9 * rates.storage_per_gb_month


def _urgency(host: HostRisk) -> tuple[Any, ...]:
    first = host.first_deadline_at
    return (first is None, first.timestamp() if first is not None else 0.0, -host.files, host.host)


def _count_places(session: Session, report: AtRisk) -> None:
    of_source = col(LegacyFinding.source) == report.source
    open_ = col(LegacyFinding.state).in_(_OPEN)
    states = session.execute(
        select(col(LegacyFinding.state), func.count()).where(of_source).group_by(col(LegacyFinding.state))
    ).all()
    by_state = {str(state): count for state, count in states}
    report.places = sum(by_state.get(state, 0) for state in _OPEN)
    report.rewritten = by_state.get("rewritten", 0)
    report.excepted = by_state.get("excepted", 0)
    report.jwts = session.execute(
        select(func.count()).where(of_source, open_, col(LegacyFinding.carries_jwt))
    ).scalar_one()
    columns = session.execute(
        select(col(LegacyFinding.table_name), col(LegacyFinding.column_name), func.count())
        .where(of_source, open_)
        .group_by(col(LegacyFinding.table_name), col(LegacyFinding.column_name))
    ).all()
    report.tables = {f"{table}.{column}" if column else table: count for table, column, count in columns}


def _bucket(now: datetime) -> ColumnElement[str]:
    deadline = col(LegacyFile.deadline_at)
    return case(
        (col(LegacyFile.scheme).in_([BLOB_SCHEME, FOLDER_SCHEME]), Bucket.LOCAL.value),
        (col(LegacyFile.temporary_url).is_(None), Bucket.CUT_OFF.value),
        (deadline.is_(None), Bucket.UNKNOWN.value),
        (deadline <= now, Bucket.DEAD.value),
        (deadline < now + timedelta(hours=1), Bucket.HOUR.value),
        (deadline < now + timedelta(hours=24), Bucket.DAY.value),
        (deadline < now + timedelta(days=7), Bucket.WEEK.value),
        else_=Bucket.LATER.value,
    )


def _is_wanted(source: str) -> tuple[ColumnElement[bool], ...]:
    """Files that some place waits for; not those that stand only where they are left alone on purpose."""
    finding = aliased(LegacyFinding)
    waiting = select(col(finding.file_id)).where(col(finding.source) == source, col(finding.state).in_(_OPEN))
    return (
        col(LegacyFile.source) == source,
        col(LegacyFile.state) == MediaState.PENDING.value,
        col(LegacyFile.id).in_(waiting),
    )


def _count_files(session: Session, report: AtRisk, can_refresh: CanRefresh, now: datetime) -> dict[str, HostRisk]:
    settled = session.execute(
        select(col(LegacyFile.state), func.count())
        .where(col(LegacyFile.source) == report.source)
        .group_by(col(LegacyFile.state))
    ).all()
    by_state = {str(state): count for state, count in settled}
    report.saved = by_state.get(MediaState.STORED.value, 0)
    report.lost = by_state.get(MediaState.LOST.value, 0)
    bucket = _bucket(now).label("lives_for")
    living = func.min(case((col(LegacyFile.deadline_at) > now, col(LegacyFile.deadline_at))))
    groups = session.execute(
        select(
            col(LegacyFile.host),
            col(LegacyFile.scheme),
            case((col(LegacyFile.task_id).is_not(None), col(LegacyFile.provider))).label("asks"),
            bucket,
            func.count(),
            living,
            func.sum(col(LegacyFile.file_size)),
        )
        .where(*_is_wanted(report.source))
        .group_by(col(LegacyFile.host), col(LegacyFile.scheme), "asks", "lives_for")
        .order_by(func.count().desc())
    ).all()
    places = dict(
        session.execute(
            select(col(LegacyFile.host), func.count())
            .join(LegacyFinding, col(LegacyFinding.file_id) == col(LegacyFile.id))
            .where(
                *_is_wanted(report.source),
                col(LegacyFinding.state).in_(_OPEN),
            )
            .group_by(col(LegacyFile.host))
        )
        .tuples()
        .all()
    )
    hosts: dict[str, HostRisk] = {}
    counted: set[str | None] = set()
    for host, scheme, provider, which, count, first, size in groups:
        name = LOCAL_HOST if which == Bucket.LOCAL else str(host or "?")
        if name not in hosts and len(hosts) >= MOST_HOSTS:
            name = OTHER_HOSTS
        risk = hosts.setdefault(name, HostRisk(name))
        risk.files += count
        risk.buckets[which] += count
        risk.schemes[scheme or "?"] = risk.schemes.get(scheme or "?", 0) + count
        if which in (Bucket.DEAD, Bucket.CUT_OFF) and provider is not None and can_refresh(provider):
            risk.refreshable += count
        if first is not None:
            risk.first_deadline_at = min(risk.first_deadline_at or first, first)
        if which == Bucket.LOCAL:
            risk.bytes += int(size or 0)
        if host not in counted:
            counted.add(host)
            risk.places += places.get(host, 0)
    report.files = sum(host.files for host in hosts.values())
    return hosts


def _samples(
    session: Session, source: str, hosts: Mapping[str, HostRisk], sample: int
) -> dict[str, Sequence[str]]:
    """Some links per host that should work. Ids are digests, so their order is as good as chance."""
    found: dict[str, Sequence[str]] = {}
    for name in hosts:
        if name in (LOCAL_HOST, OTHER_HOSTS):
            continue
        dead_last = case((col(LegacyFile.deadline_at) <= utc_now(), 1), else_=0)
        found[name] = [
            url
            for url in session.scalars(
                select(col(LegacyFile.temporary_url))
                .where(
                    *_is_wanted(source),
                    col(LegacyFile.host) == name,
                    col(LegacyFile.temporary_url).is_not(None),
                )
                .order_by(dead_last, col(LegacyFile.id))
                .limit(sample)
            )
            if url is not None
        ]
    return found


def _measure(downloader: Downloader, hosts: Mapping[str, HostRisk], samples: Mapping[str, Sequence[str]]) -> None:
    order = [(name, url) for name, urls in samples.items() for url in urls]
    sizes: dict[str, list[int]] = {}
    for (name, _), measured in zip(order, measure_all(downloader, [url for _, url in order]), strict=True):
        host = hosts[name]
        host.sampled += 1
        host.sampled_alive += measured.works
        if measured.size is not None:
            sizes.setdefault(name, []).append(measured.size)
    for name, some in sizes.items():
        hosts[name].mean_bytes = sum(some) / len(some)


def _loads(
    session: Session,
    source: Source,
    hosts: Mapping[str, HostRisk],
    usual: float,
    can_refresh: CanRefresh,
    now: datetime,
) -> list[Load]:
    """Living files per host and minute (hour, from tomorrow on), read as a stream."""
    counts: Counter[tuple[str, float]] = Counter()
    rows = session.execute(
        select(
            col(LegacyFile.host),
            col(LegacyFile.deadline_at),
            case((col(LegacyFile.task_id).is_not(None), col(LegacyFile.provider))),
            col(LegacyFile.scheme),
            col(LegacyFile.temporary_url).is_(None),
        ).where(*_is_wanted(source.name)),
        execution_options={"yield_per": 2000},
    )
    for host, deadline, provider, scheme, has_no_link in rows:
        name = host or "?"
        if scheme in (BLOB_SCHEME, FOLDER_SCHEME):
            name = LOCAL_HOST
        elif name not in hosts:
            name = OTHER_HOSTS
        is_cut = has_no_link and name != LOCAL_HOST
        if is_cut and not (provider is not None and can_refresh(provider)):
            continue
        if deadline is None or is_cut:
            counts[name, FOREVER] += 1
            continue
        left = (deadline - now).total_seconds()
        if left > 0:
            grain = 60 if left < 86_400 else 3600
            counts[name, max(left // grain * grain, 1.0)] += 1
        elif provider is not None and can_refresh(provider):
            counts[name, FOREVER] += 1
    loads = []
    for (name, dies_in), files in counts.items():
        risk = hosts[name]
        size = risk.mean_bytes if risk.mean_bytes is not None else usual
        if name == LOCAL_HOST:
            size = risk.bytes / max(risk.files, 1)
        loads.append(Load(name, dies_in, files, size / 1e6))
    return loads
