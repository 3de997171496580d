"""Everything at once on one machine: emulator, media server, Dagster webserver and daemon, started in order.

``dev`` and ``demo`` are two uses of it. The emulator is a thread of this process, so its keys stand in no command
line; the others are children (see ``processes.py``).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

import video_assets
from video_assets.catalog import open_catalog
from video_assets.cli.dev.supervisor import Supervisor, port_is_free
from video_assets.cli.failures import CommandFailed, ExitCode
from video_assets.emulator import Emulator
from video_assets.settings import Settings

if TYPE_CHECKING:
    from dagster import DagsterInstance

HOST = "127.0.0.1"
START_SECONDS = 90.0
"""How long one part may take to answer: a busy machine imports Dagster slowly."""

WORKSPACE = """# Written by video-assets at each start.
load_from:
  - python_module:
      module_name: video_assets.definitions
      location_name: video_assets
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the parts listen."""

    dagster: int
    media: int
    emulator: int


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a person or a program finds the running parts."""

    dagster: str
    media: str
    emulator: str | None
    home: Path
    dagster_home: Path
    logs: Path

    def document(self) -> dict[str, str | None]:
        """As JSON."""
        return {
            "dagster": self.dagster,
            "media": self.media,
            "emulator": self.emulator,
            "home": str(self.home),
            "dagster_home": str(self.dagster_home),
            "logs": str(self.logs),
        }


def emulator_environment(emulator: Emulator) -> dict[str, str]:
    """Settings that lead both providers to the emulator, and let its media host be fetched."""
    port = urlsplit(emulator.url).port
    ports = [str(one) for one in Settings.model_fields["allowed_ports"].default]
    return {
        "VIDEO_ASSETS_RUNWAY_BASE_URL": emulator.runway_base_url,
        "VIDEO_ASSETS_RUNWAY_API_KEY": emulator.runway_key,
        "VIDEO_ASSETS_LUMA_BASE_URL": emulator.luma_base_url,
        "VIDEO_ASSETS_LUMA_API_KEY": emulator.luma_key,
        "VIDEO_ASSETS_ALLOWED_HOSTS": emulator.host,
        "VIDEO_ASSETS_ALLOWED_PORTS": ",".join([*ports, str(port)]),
    }


def require_free(ports: Mapping[str, int]) -> None:
    """Raise CommandFailed naming the first port of ``ports`` that something else listens on."""
    for what, port in ports.items():
        if not port_is_free(HOST, port):
            raise CommandFailed(
                f"Port {port} for the {what} is taken: stop what listens there, or give --port-base with another "
                "first port (0 picks free ones).",
                ExitCode.UNAVAILABLE,
            )


def find_dagster_yaml() -> Path:
    """The instance configuration: of the working folder, of the checkout, or as it was installed."""
    candidates = (
        Path("dagster.yaml"),
        Path(video_assets.__file__).parent.parent / "dagster.yaml",
        Path(sys.prefix) / "share" / "video_assets" / "dagster.yaml",
    )
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise CommandFailed(
        "dagster.yaml is neither here nor beside the installed package: run this in a checkout, or set "
        "DAGSTER_HOME to a folder that has one."
    )


def prepare_dagster_home(settings: Settings) -> Path:
    """DAGSTER_HOME as it is, else ``home/dagster`` with our ``dagster.yaml``; the tables are made here, once.

    Two processes that start on an empty SQLite home at the same moment fail ("alembic_version has more than one
    head"), so the first start is ours alone.
    """
    given = os.environ.get("DAGSTER_HOME")
    home = Path(given) if given else (settings.home / "dagster").absolute()
    home.mkdir(parents=True, exist_ok=True)
    if not given:
        source, target = find_dagster_yaml(), home / "dagster.yaml"
        if not target.exists() or target.read_bytes() != source.read_bytes():
            shutil.copyfile(source, target)
    with open_dagster(home) as instance:
        instance.get_runs_count()
        instance.get_dynamic_partitions("generation_requests")
        instance.all_instigator_state()
    return home


@contextlib.contextmanager
def open_dagster(dagster_home: Path) -> Iterator[DagsterInstance]:
    """The Dagster instance that lives in ``dagster_home``."""
    from dagster import DagsterInstance  # a second to import, so only where it is needed

    with DagsterInstance.from_config(str(dagster_home)) as instance:
        yield instance


def start_stack(
    supervisor: Supervisor,
    settings: Settings,
    ports: Ports,
    *,
    environment: Mapping[str, str],
    logs: Path,
    emulator: Emulator | None,
    folder: Path | None = None,
) -> Addresses:
    """Start media server, webserver and daemon as children of ``supervisor`` and wait until each answers.

    ``environment`` is all that the children see; ``folder`` their working folder. Raises ChildFailed, Stopped,
    CatalogError, StorageFailed.
    """
    open_catalog(settings).close()  # made and migrated once, before several processes open it
    dagster_home = prepare_dagster_home(settings)
    workspace = dagster_home / "workspace.yaml"
    workspace.write_text(WORKSPACE, encoding="utf-8")
    children = {**environment, "DAGSTER_HOME": str(dagster_home), "PYTHONUNBUFFERED": "1"}
    started = time.time()
    media, dagster = f"http://{HOST}:{ports.media}", f"http://{HOST}:{ports.dagster}"
    python = sys.executable
    supervisor.start(
        "media",
        [python, "-m", "video_assets.web", "--host", HOST, "--port", str(ports.media)],
        environment=children,
        folder=folder,
    )
    supervisor.start(
        "daemon",
        [python, "-m", "dagster._daemon", "run", "-w", str(workspace)],
        environment=children,
        folder=folder,
    )
    supervisor.start(
        "dagster",
        [python, "-m", "dagster_webserver", "-w", str(workspace), "-h", HOST, "-p", str(ports.dagster)],
        environment=children,
        folder=folder,
    )
    supervisor.wait_until(lambda: _answers(f"{media}/healthz"), "The media server", timeout=START_SECONDS)
    supervisor.wait_until(
        lambda: _answers(f"{dagster}/server_info"), "Dagster's webserver", timeout=START_SECONDS
    )
    with open_dagster(dagster_home) as instance:
        supervisor.wait_until(
            lambda: _daemon_runs(instance, since=started), "Dagster's daemon", timeout=START_SECONDS, every=0.25
        )
    return Addresses(
        dagster,
        f"{media}/media",
        emulator.url if emulator else None,
        settings.home.absolute(),
        dagster_home,
        logs,
    )


def _answers(url: str) -> bool:
    with requests.Session() as http:
        http.trust_env = False
        try:
            return http.get(url, timeout=2).ok
        except requests.RequestException:
            return False


def _daemon_runs(instance: DagsterInstance, *, since: float) -> bool:
    """Whether the sensor daemon of this start, not of an earlier one, has given a sign of life."""
    heartbeat = instance.get_daemon_heartbeats().get("SENSOR")
    return heartbeat is not None and heartbeat.timestamp >= since
