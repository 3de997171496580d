"""Whether Dagster's UI stays responsive: the requests its pages send, for more and more partitions.

    python benchmarks/legacy_partitions.py                                   # 100, 1,000, 3,000 and the bound
    python benchmarks/legacy_partitions.py --partitions 100,10000 --rounds 30 --json

For each number a Dagster home of its own (SQLite, the project's ``dagster.yaml``) gets so many partitions of
``legacy_rescue``, half of them materialised, and a real ``dagster-webserver`` is asked over HTTP for

* ``page``: the page that lists an asset's partitions with their statuses,
* ``key_added``: the same page when a key was added just before, which voids Dagster's cached statuses,
* ``graph``: the live data of every asset in the graph,
* ``dialog``: what opens with "Materialize…", where a backfill is chosen,
* ``launch``: a backfill of 1,000 partitions (of all, where there are fewer), cancelled afterwards.

The queries are those of the UI itself, taken out of the installed webserver's scripts. A page's queries are sent
one after the other, so its time is their sum: a browser, which overlaps them, waits less on the network.

The peer is ``video_preview`` with 100 partitions, asked the same on the same webserver, request by request in
turn; of the graph, the graph without ``legacy_rescue``. ``sensor`` is one evaluation of ``expiring_legacy`` with
as many open batches in the catalog, half of them due within the horizon.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import dagster_webserver
import graphql
import requests
from rich.console import Console
from rich.table import Table

from video_assets.catalog.legacy import LegacyBatch
from video_assets.catalog.models import utc_now
from video_assets.cli.dev.stack import WORKSPACE, open_dagster, prepare_dagster_home
from video_assets.cli.dev.supervisor import Supervisor, free_ports
from video_assets.definitions import defs
from video_assets.pipeline.legacy.run_planning import MOST_PARTITIONS
from video_assets.pipeline.legacy.sensors import expiring_legacy
from video_assets.pipeline.partitions import add_keys, generation_requests, legacy_batches, legacy_sources
from video_assets.services import open_services
from video_assets.settings import Settings

ASSET, PEER = "legacy_rescue", "video_preview"
PEER_PARTITIONS = 100
SOURCE = "shop"
BACKFILL = 1_000
console = Console(stderr=True)

DEFINITION = re.compile(r"\b(?:query|mutation|fragment) ([A-Za-z_]\w*)(?=\s*\(|\s+on \w+\s*\{|\s*\{)")
SPREAD = re.compile(r"\.\.\.\s*(?!on\b)([A-Za-z_]\w*)")


class UiQueries:
    """The queries of the installed webserver's user interface, by name."""

    def __init__(self) -> None:
        scripts = Path(dagster_webserver.__file__).parent / "webapp" / "build" / "_next" / "static" / "chunks"
        self._parts: dict[str, str] = {}
        for script in sorted(scripts.rglob("*.js")):
            text = script.read_text(encoding="utf-8", errors="replace")
            for found in DEFINITION.finditer(text):
                self._parts.setdefault(found.group(1), _definition(text, found.start()))

    def text(self, name: str) -> str:
        """The query with every fragment it needs, and ``__typename`` everywhere, as the UI's client adds it."""
        wanted, parts = [name], dict[str, str]()
        while wanted:
            if (part := wanted.pop()) in parts:
                continue
            if part not in self._parts:
                raise SystemExit(f"this dagster-webserver's UI has no query or fragment {part}")
            parts[part] = self._parts[part]
            wanted += SPREAD.findall(parts[part])
        return graphql.print_ast(graphql.visit(graphql.parse("\n".join(parts.values())), _Typenames()))


def _definition(text: str, start: int) -> str:
    """From ``start`` to the brace that closes the selection; variables have no default objects."""
    depth, at = 0, text.index("{", start)
    for brace in re.finditer(r"[{}]", text[at:]):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return text[start : at + brace.end()].replace("\\n", "\n")
    raise SystemExit("a query of dagster-webserver's UI does not end")


class _Typenames(graphql.Visitor):
    """Adds ``__typename`` to every selection that has none, but for an operation's own."""

    def leave_selection_set(
        self, node: graphql.SelectionSetNode, _key: object, parent: object, *_: object
    ) -> graphql.SelectionSetNode | None:
        named = (one.name.value for one in node.selections if isinstance(one, graphql.FieldNode))
        if isinstance(parent, graphql.OperationDefinitionNode) or "__typename" in named:
            return None
        name = graphql.FieldNode(name=graphql.NameNode(value="__typename"), arguments=(), directives=())
        return graphql.SelectionSetNode(selections=(*node.selections, name))


@dataclass(slots=True)
class Page:
    """Some queries that are sent together, and what each took, in seconds."""

    queries: Sequence[tuple[str, Mapping[str, Any]]]
    seconds: list[float] = field(default_factory=list)
    each: dict[str, list[float]] = field(default_factory=dict)

    def p50(self) -> float:
        return statistics.median(self.seconds)

    def p95(self) -> float:
        return statistics.quantiles(self.seconds, n=20, method="inclusive")[-1]


class Ui:
    """A client of one webserver that sends what the UI sends."""

    def __init__(self, address: str, queries: UiQueries) -> None:
        self._http = requests.Session()
        self._http.trust_env = False
        self._address = f"{address}/graphql"
        self._queries, self._texts = queries, dict[str, str]()

    def ask(self, name: str, variables: Mapping[str, Any]) -> tuple[float, dict[str, Any]]:
        """Seconds until the whole answer is here, and its data. Ends the program on an error."""
        if name not in self._texts:
            self._texts[name] = self._queries.text(name)
        body = {"operationName": name, "query": self._texts[name], "variables": variables}
        begun = time.perf_counter()
        answer = self._http.post(self._address, json=body, timeout=120)
        content = answer.content
        seconds = time.perf_counter() - begun
        document = json.loads(content)
        if not answer.ok or document.get("errors"):
            raise SystemExit(f"{name} failed: {content[:500]!r}")
        return seconds, dict(document["data"])

    def open(self, page: Page, *, warm_up: bool = False) -> None:
        """Send a page's queries; their times are kept unless this is the warm-up."""
        taken = {name: self.ask(name, variables)[0] for name, variables in page.queries}
        if warm_up:
            return
        page.seconds.append(sum(taken.values()))
        for name, seconds in taken.items():
            page.each.setdefault(name, []).append(seconds)

    def launch(self, asset: str, keys: Sequence[str]) -> float:
        """Seconds to launch a backfill of these partitions; it is cancelled before this returns."""
        parameters = {
            "tags": [{"key": "dagster/from_ui", "value": "true"}],
            "assetSelection": [asset_key(asset)],
            "partitionNames": list(keys),
            "fromFailure": False,
        }
        seconds, data = self.ask("LaunchPartitionBackfill", {"backfillParams": parameters})
        outcome = data["launchPartitionBackfill"]
        if "backfillId" not in outcome:
            raise SystemExit(f"no backfill was launched: {outcome}")
        _, data = self.ask("CancelBackfill", {"backfillId": outcome["backfillId"]})
        if data["cancelPartitionBackfill"]["__typename"] != "CancelBackfillSuccess":
            raise SystemExit(f"the backfill was not cancelled: {data}")
        return seconds

    def counts(self, asset: str) -> tuple[int, int]:
        """Partitions of an asset and how many of them are materialised, as the UI is told."""
        _, data = self.ask("PartitionHealthQuery", {"assetKey": asset_key(asset)})
        node = data["assetNodeOrError"]
        [dimension] = node["partitionKeysByDimension"]
        return len(dimension["partitionKeys"]), len(node["assetPartitionStatuses"]["materializedPartitions"])


def asset_key(name: str) -> dict[str, list[str]]:
    return {"path": [name]}


def partitions_page(asset: str) -> Page:
    one = asset_key(asset)
    return Page(
        [
            ("AssetViewDefinitionQuery", {"assetKey": one}),
            ("PartitionHealthQuery", {"assetKey": one}),
            ("AssetGraphLiveQuery", {"assetKeys": [one]}),
        ]
    )


def graph_page(assets: Sequence[str]) -> Page:
    some = {"assetKeys": [asset_key(name) for name in assets]}
    return Page(
        [
            ("AssetRecordsQuery", {"limit": 1000}),
            ("AssetGraphLiveQuery", some),
            ("AssetStaleStatusDataQuery", some),
            ("AssetsFreshnessInfoQuery", some),
        ]
    )


def dialog_page(asset: str, upstream: str) -> Page:
    one, above = asset_key(asset), [asset_key(upstream)]
    job = {
        "pipelineName": "__ASSET_JOB",
        "repositoryName": "__repository__",
        "repositoryLocationName": "video_assets",
    }
    return Page(
        [
            ("LaunchAssetLoaderQuery", {"assetKeys": [one]}),
            ("LaunchAssetLoaderResourceQuery", job),
            ("LaunchAssetCheckUpstreamQuery", {"assetKeys": above}),
            ("LaunchAssetWarningsQuery", {"upstreamAssetKeys": above}),
            ("RunningBackfillsNoticeQuery", {}),
            ("LaunchpadRootQuery", {**job, "assetSelection": [one]}),
            ("PartitionHealthQuery", {"assetKey": one}),
        ]
    )


@contextlib.contextmanager
def webserver(dagster_home: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """A real ``dagster-webserver`` on the project's definitions; gives its address."""
    workspace = dagster_home / "workspace.yaml"
    workspace.write_text(WORKSPACE, encoding="utf-8")
    [port] = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "dagster_webserver",
        "-w",
        str(workspace),
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
    ]

    def answers() -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{address}/server_info", timeout=2).ok
        return False

    with Supervisor(dagster_home / "logs") as supervisor:
        supervisor.start("dagster", command, environment=environment, folder=dagster_home)
        supervisor.wait_until(answers, "Dagster's webserver", timeout=90)
        yield address


def fill(instance: dg.DagsterInstance, count: int) -> tuple[list[str], list[str]]:
    """Partitions of both assets, the first half of each materialised; returns the keys of both."""
    keys = [f"{SOURCE}:{number:06}" for number in range(1, count + 1)]
    peers = [f"video-{1_700_000_000_000 + number}-{number:06x}" for number in range(PEER_PARTITIONS)]
    add_keys(instance, [SOURCE], legacy_sources)
    add_keys(instance, keys, legacy_batches)
    add_keys(instance, peers, generation_requests)
    for asset, some in ((ASSET, keys), (PEER, peers)):
        for key in some[: len(some) // 2]:
            instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=key))
    return keys, peers


def sensor_seconds(
    instance: dg.DagsterInstance, settings: Settings, keys: Sequence[str], rounds: int
) -> list[float]:
    """Evaluations of the sensor with every key an open batch, half of them dying within the horizon."""
    settings.legacy_config.parent.mkdir(parents=True, exist_ok=True)
    settings.legacy_config.write_text(
        f'[[source]]\nname = "{SOURCE}"\nurl = "sqlite:///{settings.home / "shop.db"}"\n\n'
        '[[source.table]]\nname = "videos"\nkey = ["id"]\n\n'
        '[[source.table.column]]\nname = "video_url"\ntype = "text"\n'
    )
    services = open_services(settings)
    first, step = utc_now() + timedelta(hours=1), 2 * settings.legacy_horizon / len(keys)
    taken = []
    try:
        with services.catalog.write() as session:
            session.add_all(
                LegacyBatch(key=key, source=SOURCE, number=n, findings=1000, first_deadline_at=first + n * step)
                for n, key in enumerate(keys, 1)
            )
        for _ in range(rounds + 1):
            context = dg.build_sensor_context(instance=instance, resources={"services": services})
            begun = time.perf_counter()
            result = expiring_legacy(context)
            taken.append(time.perf_counter() - begun)
            if not isinstance(result, dg.SensorResult) or not result.run_requests:
                raise SystemExit(f"the sensor asked for nothing: {result}")
    finally:
        services.catalog.close()
    return taken[1:]


def measure(count: int, rounds: int, queries: UiQueries) -> dict[str, Any]:
    """Everything for one number of partitions."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = Settings(_env_file=None, home=folder / "home", legacy_config=folder / "legacy.toml")
        os.environ.pop("DAGSTER_HOME", None)
        dagster_home = prepare_dagster_home(settings)
        instance = stack.enter_context(open_dagster(dagster_home))
        console.print(f"{count:,} partitions: filling …")
        keys, peers = fill(instance, count)
        outside = {name: value for name, value in os.environ.items() if not name.startswith("VIDEO_ASSETS_")}
        environment = {
            **outside,
            "DAGSTER_HOME": str(dagster_home),
            "VIDEO_ASSETS_HOME": str(settings.home),
            "VIDEO_ASSETS_LEGACY_CONFIG": str(settings.legacy_config),
        }
        ui = Ui(stack.enter_context(webserver(dagster_home, environment)), queries)
        for asset, some in ((ASSET, keys), (PEER, peers)):
            if (told := ui.counts(asset)) != (len(some), len(some) // 2):
                raise SystemExit(
                    f"the UI is told {told} of {asset}, not {len(some)} partitions, half of them made"
                )

        console.print(f"{count:,} partitions: asking …")
        everything = sorted(key.to_user_string() for key in defs.resolve_all_asset_keys())
        pages = {
            "page": (partitions_page(ASSET), partitions_page(PEER)),
            "graph": (graph_page(everything), graph_page([name for name in everything if name != ASSET])),
            "dialog": (dialog_page(ASSET, "legacy_findings"), dialog_page(PEER, "hosted_video")),
        }
        found: dict[str, Any] = {"partitions": count}
        for name, (page, peer) in pages.items():
            in_turn(ui, page, peer, rounds)
            found[name] = summary(page, peer)

        launch, launch_peer = Page(()), Page(())
        ui.launch(ASSET, keys[-BACKFILL:])
        for _ in range(rounds):
            launch.seconds.append(ui.launch(ASSET, keys[-BACKFILL:]))
            launch_peer.seconds.append(ui.launch(PEER, peers))
        found["launch"] = {"backfill_of": len(keys[-BACKFILL:]), **summary(launch, launch_peer)}
        taken = sensor_seconds(instance, settings, keys, rounds)
        found["sensor_seconds"] = round(statistics.median(taken), 3)

        page, peer = partitions_page(ASSET), partitions_page(PEER)
        added = iter(range(10**6))

        def add_to_both() -> None:
            number = next(added)
            add_keys(instance, [f"{SOURCE}:{900_000 + number:06}"], legacy_batches)
            add_keys(instance, [f"video-{1_800_000_000_000 + number}-{number:06x}"], generation_requests)

        in_turn(ui, page, peer, rounds, before=add_to_both)
        found["key_added"] = summary(page, peer)
    return found


def in_turn(ui: Ui, page: Page, peer: Page, rounds: int, before: Callable[[], None] | None = None) -> None:
    """Open a page and its peer by turns, each once to warm up."""
    for number in range(rounds + 1):
        if before:
            before()
        ui.open(page, warm_up=number == 0)
        ui.open(peer, warm_up=number == 0)


def summary(page: Page, peer: Page) -> dict[str, Any]:
    """Milliseconds, and the ratio to the peer."""
    found: dict[str, Any] = {
        "p50_ms": round(page.p50() * 1e3),
        "p95_ms": round(page.p95() * 1e3),
        "slowest_ms": round(max(page.seconds) * 1e3),
        "peer_p50_ms": round(peer.p50() * 1e3),
        "peer_p95_ms": round(peer.p95() * 1e3),
        "peer_slowest_ms": round(max(peer.seconds) * 1e3),
        "ratio_to_peer": round(page.p50() / peer.p50(), 2),
    }
    if page.each:
        found["queries_p50_ms"] = {
            name: round(statistics.median(times) * 1e3, 1) for name, times in page.each.items()
        }
    return found


MEASURED = {
    "page": "partitions page",
    "key_added": "… after a key was added",
    "graph": "asset graph",
    "dialog": "backfill dialog",
    "launch": "launch a backfill",
}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--partitions",
        type=lambda text: [int(one) for one in text.split(",")],
        default=[100, 1_000, 3_000, MOST_PARTITIONS],
        metavar="N,N,…",
        help=f"how many partitions (default 100,1000,3000,{MOST_PARTITIONS}, the last being the bound)",
    )
    parser.add_argument(
        "--rounds", type=int, default=20, help="requests of each kind after a warm-up (default 20)"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.rounds < 2 or min(options.partitions) < 2:
        parser.error("at least 2 rounds and 2 partitions")
    queries = UiQueries()
    report = [measure(count, options.rounds, queries) for count in options.partitions]
    if options.json:
        print(json.dumps(report, indent=2))
        return 0
    table = Table(
        title=f"Dagster {dg.__version__}: p50 / p95 in ms, and × a peer with {PEER_PARTITIONS} partitions"
    )
    table.add_column("")
    for found in report:
        table.add_column(f"{found['partitions']:,}", justify="right")
    for name, title in MEASURED.items():
        cells = [f"{f[name]['p50_ms']} / {f[name]['p95_ms']} (× {f[name]['ratio_to_peer']})" for f in report]
        table.add_row(title, *cells)
    table.add_row("sensor expiring_legacy", *(f"{found['sensor_seconds'] * 1e3:.0f}" for found in report))
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
