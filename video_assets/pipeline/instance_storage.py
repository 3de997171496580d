"""Dagster's own storage under the scan: event log, runs and their tags, ticks, checks, whatever it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from video_assets.legacy.proof.store_scan import StoreScan, scan_database, scan_sqlite_files


def scan_instance(instance: dg.DagsterInstance) -> StoreScan:
    """Search every value of every database of ``instance``: SQLite files, or one PostgreSQL or MySQL database.

    An instance in memory has nothing that stays, and is told as such.
    """
    urls = sorted(set(_database_urls(instance)))
    if urls:
        scan = scan_database("Dagster's database", urls[0])
        for url in urls[1:]:
            _add(scan, scan_database("Dagster's database", url))
        return scan
    if instance.is_ephemeral:
        return StoreScan("Dagster's storage, in memory")
    return scan_dagster_home(Path(instance.root_directory))


def scan_dagster_home(folder: Path) -> StoreScan:
    """Search every SQLite database under a ``DAGSTER_HOME``."""
    return scan_sqlite_files(f"Dagster's storage in {folder}", sorted(folder.rglob("*.db")))


def _database_urls(instance: dg.DagsterInstance) -> Iterator[str]:
    for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
        inner: Any = getattr(storage, "_storage", storage)
        for candidate in (storage, inner):
            url = getattr(candidate, "postgres_url", None) or getattr(candidate, "mysql_url", None)
            if isinstance(url, str):
                yield url
                break


def _add(scan: StoreScan, other: StoreScan) -> None:
    scan.databases += other.databases
    scan.rows += other.rows
    scan.values += other.values
    scan.by_column.update(other.by_column)
    scan.jwts += other.jwts
    scan.sample += other.sample
    scan.problems += other.problems
