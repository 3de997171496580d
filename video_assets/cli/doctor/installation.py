"""The questions of ``doctor`` about the installation: each answer is one line, with a remedy where needed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import requests
from pydantic import ValidationError
from sqlmodel import col, func, select

from video_assets.catalog import (
    Catalog,
    CatalogError,
    MediaState,
    Output,
    kept,
    migrations,
    open_catalog,
    queries,
)
from video_assets.catalog.models import utc_now
from video_assets.cli.failures import explain
from video_assets.cli.output import age_text, duration_text, size_text
from video_assets.providers import PROVIDERS, get_provider
from video_assets.providers.base import ProviderError
from video_assets.reasons import RETRY_POLICIES, Reason
from video_assets.settings import Settings, get_settings
from video_assets.storage import InvalidTemplate, StorageFailed, open_storage
from video_assets.storage.health import iter_checks
from video_assets.storage.keys import KeyTemplate

Status = Literal["ok", "warning", "failed", "skipped"]

LARGEST_CLOCK_SKEW = timedelta(seconds=30)
LITTLE_DISK = 5 * 1000**3
NO_DISK = 500 * 1000**2
FORGETFUL_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs", "overlay"})
"""What a restart of the machine or container empties."""


@dataclass(frozen=True, slots=True)
class Line:
    """One answer. ``remedy`` says what to do about it, empty when there is nothing to do."""

    name: str
    status: Status
    message: str
    remedy: str = ""


def check_installation() -> Iterator[Line]:
    """Every question about the installation, each answered as soon as it is known."""
    try:
        settings = get_settings()
    except ValidationError as exc:
        explained = explain(exc)
        yield Line("settings", "failed", explained[0] if explained else "", "Correct the setting that is named.")
        return
    yield check_settings(settings)
    yield check_home(settings)
    yield check_encryption_key(settings)
    catalog, line = check_catalog(settings)
    yield line
    yield from check_disk(settings)
    yield from check_storage(settings)
    yield from check_providers(settings)
    yield check_media_server(settings)
    yield from check_dagster(settings)
    if catalog is not None:
        yield check_stuck(catalog, settings)
        yield check_recent_failures(catalog)
        yield check_kept_files(catalog)
        catalog.close()


def check_settings(settings: Settings) -> Line:
    """The settings fit together."""
    try:
        KeyTemplate.parse(settings.key_template)
    except InvalidTemplate as exc:
        return Line("settings", "failed", str(exc), "Correct VIDEO_ASSETS_KEY_TEMPLATE.")
    if settings.poll_interval_scale < 1 and not _is_local(settings.runway_base_url):
        return Line(
            "settings",
            "warning",
            f"VIDEO_ASSETS_POLL_INTERVAL_SCALE is {settings.poll_interval_scale:g} for a real provider",
            "Remove it: providers answer 429 to who asks too often.",
        )
    return Line("settings", "ok", "every setting is valid; `video-assets config show` lists them")


def check_home(settings: Settings) -> Line:
    """The home is a folder that can be written and outlives a restart."""
    home = settings.home.absolute()
    try:
        home.mkdir(parents=True, exist_ok=True)
        probe = home / f".doctor-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as exc:
        return Line("home", "failed", f"{home} cannot be written ({exc.strerror})", "Set VIDEO_ASSETS_HOME.")
    kind = file_system_of(home)
    if kind in FORGETFUL_FILE_SYSTEMS or home.is_relative_to("/tmp"):  # noqa: S108 - only compared
        return Line(
            "home",
            "warning",
            f"{home} is on a {kind or 'temporary'} file system, which a restart may empty",
            "Set VIDEO_ASSETS_HOME to a persistent volume.",
        )
    return Line("home", "ok", f"{home} can be written")


def file_system_of(path: Path) -> str | None:
    """Kind of the file system that holds ``path`` on Linux, None elsewhere."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    best: tuple[str, str | None] = ("", None)
    for line in mounts:
        _, folder, kind, *_ = line.split(" ")
        folder = folder.replace("\\040", " ")
        if path.is_relative_to(folder) and len(folder) >= len(best[0]):
            best = (folder, kind)
    return best[1]


def check_encryption_key(settings: Settings) -> Line:
    """Where the key of pending temporary URLs comes from."""
    if settings.encryption_key is not None:
        return Line("encryption key", "ok", "set in the configuration")
    remedy = "Set VIDEO_ASSETS_ENCRYPTION_KEY: every machine that shares the catalog needs the same key."
    if settings.database_url is not None:
        return Line("encryption key", "warning", "generated on this machine, but the catalog is shared", remedy)
    return Line("encryption key", "ok", f"generated; kept in {settings.home / 'encryption.key'}, back it up")


def check_catalog(settings: Settings) -> tuple[Catalog | None, Line]:
    """The catalog answers and belongs to this version."""
    try:
        catalog = open_catalog(settings)
        with catalog.read() as session:
            counts = queries.count_by_status(session)
    except CatalogError as exc:
        return None, Line("catalog", "failed", str(exc), "Do what the message says; nothing works without it.")
    told = ", ".join(f"{count} {word}" for word, count in sorted(counts.items())) or "empty"
    return catalog, Line("catalog", "ok", f"{catalog.address}, revision {migrations.head()}: {told}")


def check_disk(settings: Settings) -> Iterator[Line]:
    """Room for the spool, and for the local store."""
    folders = {settings.home.absolute()}
    if settings.storage == "local":
        folders.add(settings.local_storage_root.absolute())
    seen: set[int] = set()
    for folder in sorted(folders):
        there = next(one for one in (folder, *folder.parents) if one.exists())
        if there.stat().st_dev in seen:
            continue
        seen.add(there.stat().st_dev)
        free = shutil.disk_usage(there).free
        remedy = "Free some; downloads are verified on disk before they are stored."
        status: Status = "failed" if free < NO_DISK else "warning" if free < LITTLE_DISK else "ok"
        yield Line("disk", status, f"{size_text(free)} free for {folder}", "" if status == "ok" else remedy)


def check_storage(settings: Settings) -> Iterator[Line]:
    """Write, read, range, sign and delete a probe (S1.28: bucket, public, policies, key)."""
    try:
        storage = open_storage(settings)
    except StorageFailed as exc:
        yield Line("storage", "failed", str(exc), "Correct the setting that is named.")
        return
    for line in iter_checks(storage, settings):
        yield Line(f"storage: {line.name}", line.status, line.detail, line.remedy or "")


def check_providers(settings: Settings) -> Iterator[Line]:
    """Each provider takes its key, and its clock agrees with ours."""
    keys = 0
    for name in sorted(PROVIDERS):
        setting = f"VIDEO_ASSETS_{name.upper()}_API_KEY"
        try:
            provider = get_provider(name, settings)
            if not provider.has_key:
                yield Line(name, "skipped", "no key is set", f"Set {setting} to use it.")
                continue
            keys += 1
            yield Line(name, "ok", provider.check_key())
        except ProviderError as exc:
            yield Line(name, "failed", str(exc), f"Check {setting} and the provider's address.")
            continue
        yield check_clock(name, getattr(settings, f"{name}_base_url"))
    if not keys:
        yield Line(
            "providers",
            "warning",
            "no provider has a key, so nothing can be generated",
            "Set one, or try everything with `video-assets dev --emulator`.",
        )


def check_clock(name: str, base_url: str) -> Line:
    """Our clock beside the provider's: deadlines are compared with ours."""
    parts = urlsplit(base_url)
    try:
        with requests.Session() as http:
            http.trust_env = False  # no proxy, no .netrc: only the host that is configured is asked
            answer = http.get(f"{parts.scheme}://{parts.netloc}/", timeout=5, allow_redirects=False, stream=True)
            answer.close()
        moment = parsedate_to_datetime(answer.headers["Date"])
        skew = datetime.now(UTC) - moment.astimezone(UTC)
    except (requests.RequestException, KeyError, ValueError):
        return Line(f"{name} clock", "skipped", "the provider did not tell the time")
    # A Date header has whole seconds, and the answer took its time.
    if abs(skew) > LARGEST_CLOCK_SKEW:
        way = "ahead of" if skew > timedelta() else "behind"
        return Line(
            f"{name} clock",
            "failed",
            f"this machine's clock is {duration_text(abs(skew.total_seconds()))} {way} {name}'s",
            "Synchronise the clock (NTP): deadlines of links are judged by it.",
        )
    return Line(f"{name} clock", "ok", "this machine's clock agrees")


def check_media_server(settings: Settings) -> Line:
    """The address that durable links of the local store begin with answers."""
    if settings.storage != "local":
        return Line("media server", "skipped", "the store serves its own objects")
    parts = urlsplit(settings.public_base_url)
    address = f"{parts.scheme}://{parts.netloc}"
    try:
        with requests.Session() as http:
            http.trust_env = False
            answer = http.get(f"{address}/healthz", timeout=5, allow_redirects=False)
        ok, problem = answer.ok, f"answers {answer.status_code}"
    except requests.RequestException as exc:
        ok, problem = False, f"does not answer ({type(exc).__name__})"
    if ok:
        return Line("media server", "ok", f"{address} answers")
    return Line(
        "media server",
        "warning",
        f"{address} {problem}, so durable links do not open",
        "Start it with `video-assets serve` (or `video-assets dev`), or correct VIDEO_ASSETS_PUBLIC_BASE_URL.",
    )


def check_dagster(settings: Settings) -> Iterator[Line]:
    """The Dagster instance can be opened and its sensor daemon is alive."""
    given = os.environ.get("DAGSTER_HOME")
    home = Path(given) if given else settings.home.absolute() / "dagster"
    start = "Start it with `video-assets dev`, or `dagster-webserver` and `dagster-daemon run` in production."
    if not (home / "dagster.yaml").is_file():
        yield Line("dagster", "warning", f"there is no Dagster instance in {home}", start)
        return
    from dagster import DagsterInstance

    try:
        with DagsterInstance.from_config(str(home)) as instance:
            heartbeats = instance.get_daemon_heartbeats()
            queued = instance.get_runs_count()
    except Exception as exc:  # noqa: BLE001 - whatever a storage plug-in raises is an answer here
        yield Line("dagster", "failed", f"the instance in {home} cannot be opened: {type(exc).__name__}", start)
        return
    yield Line("dagster", "ok", f"{home}, {queued} runs")
    heartbeat = heartbeats.get("SENSOR")
    if heartbeat is None:
        yield Line("daemon", "warning", "the daemon has never run, so nothing moves", start)
        return
    seen = datetime.fromtimestamp(heartbeat.timestamp, UTC)
    if utc_now() - seen > timedelta(minutes=2):
        yield Line("daemon", "warning", f"the daemon's last sign of life was {age_text(seen)}", start)
    else:
        yield Line("daemon", "ok", f"the sensors are running (sign of life {age_text(seen)})")


def check_stuck(catalog: Catalog, settings: Settings) -> Line:
    """Nothing has stood still for too long."""
    with catalog.read() as session:
        stuck = queries.stuck_generations(session, now=utc_now(), after=settings.stuck_after, limit=20)
    if not stuck:
        return Line("stuck", "ok", "no generation stands still")
    first = stuck[0]
    more = "20 or more" if len(stuck) == 20 else str(len(stuck))
    return Line(
        "stuck",
        "warning",
        f"{more} generation(s) stand still; {first.id} is {first.status} since {age_text(first.updated_at)}",
        f"Look with `video-assets show {first.id}`, then `video-assets retry {first.id}`.",
    )


def check_recent_failures(catalog: Catalog) -> Line:
    """Why outputs are waiting or were lost in the last day (S1.28: the logs)."""
    statement = (
        select(Output.reason, func.count())
        .where(
            Output.state != MediaState.STORED,
            col(Output.reason).is_not(None),
            Output.updated_at > utc_now() - timedelta(days=1),
        )
        .group_by(col(Output.reason))
        .order_by(func.count().desc())
    )
    with catalog.read() as session:
        reasons = session.exec(statement).all()
    if not reasons:
        return Line("last 24 hours", "ok", "every output that was offered is durable or on its way")
    worst = reasons[0][0]
    policy = RETRY_POLICIES.get(Reason(worst)) if worst in set(Reason) else None
    told = ", ".join(f"{count} × {reason}" for reason, count in reasons)
    return Line("last 24 hours", "warning", f"outputs not stored: {told}", policy.remedy if policy else "")


def check_kept_files(catalog: Catalog) -> Line:
    """How much waits for the store with its bytes in hand."""
    with catalog.read() as session:
        waiting = kept.waiting(session)
    if not waiting.files or waiting.since is None:
        return Line("kept files", "ok", "no verified file waits for the store")
    return Line(
        "kept files",
        "warning",
        f"{waiting.files} verified file(s) wait for the store, {size_text(waiting.bytes)}, "
        f"the first since {age_text(waiting.since)}",
        "They are uploaded by themselves when the store works; `video-assets storage check` looks at it.",
    )


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
