"""Small legacy databases for tests, and the words tests use about their inventory."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import NullPool
from sqlmodel import select

from video_assets.catalog import Catalog, open_catalog
from video_assets.catalog.legacy import LegacyFile, LegacyFinding
from video_assets.legacy.config.load import read_source
from video_assets.legacy.config.models import Source
from video_assets.settings import Settings

NOW = datetime.now(UTC).replace(microsecond=0)
DIALECTS = ("sqlite", "postgresql", "mysql")


def signed(name: str, dies: datetime, *, salt: int = 0, host: str = "clips.s3.amazonaws.com") -> str:
    """A presigned S3 URL of ``name`` that dies at ``dies``. Another salt is another signature."""
    made = dies - timedelta(hours=1)
    return (
        f"https://{host}/{name}?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F{made:%Y%m%d}%2Fus-east-1%2Fs3%2Faws4_request"
        f"&X-Amz-Date={made:%Y%m%dT%H%M%SZ}&X-Amz-Expires=3600&X-Amz-SignedHeaders=host"
        f"&X-Amz-Signature={salt:064x}"
    )


def plain(name: str) -> str:
    """A permanent URL."""
    return f"https://cdn.example.com/public/{name}?v=3"


def database_url(request: pytest.FixtureRequest, dialect: str, tmp_path: Path) -> str:
    """The URL of a new, empty database of a real server (or file)."""
    if dialect == "sqlite":
        path = tmp_path / "legacy.db"
        sa.create_engine(f"sqlite:///{path}").connect().close()
        path.touch()
        return f"sqlite:///{path}"
    new_database: Callable[[], str] = request.getfixturevalue(
        {"postgresql": "postgres_url", "mysql": "mysql_url"}[dialect]
    )
    return new_database()


def run(url: str, *statements: str | tuple[str, Sequence[Any]]) -> None:
    """Execute SQL on a source, as its own application would."""
    engine = sa.create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        for statement in statements:
            if isinstance(statement, str):
                connection.exec_driver_sql(statement)
            else:
                connection.execute(sa.text(statement[0]), statement[1])


def fill(url: str, table: str, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; dicts and lists become JSON text."""
    engine = sa.create_engine(url, poolclass=NullPool)
    names = list(rows[0])
    quoted = ", ".join(engine.dialect.identifier_preparer.quote(name) for name in names)
    statement = sa.text(f"INSERT INTO {table} ({quoted}) VALUES ({', '.join(f':{n}' for n in names)})")
    with engine.begin() as connection:
        connection.execute(
            statement,
            [{k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in row.items()} for row in rows],
        )


def source_of(url: str, *tables: dict[str, Any], **more: Any) -> Source:
    """A source's configuration, by the words of its TOML."""
    reading = {
        "page_rows": 50,
        "lock_timeout_seconds": 1.0,
        "most_pause_seconds": 0.05,
        **more.pop("reading", {}),
    }
    # Tests give whole addresses, which a configuration file may not hold with a password.
    return read_source({"name": "legacy", "url": url, "table": list(tables), "reading": reading, **more})


def cards(url: str) -> Source:
    """The configuration of ``make_cards``."""
    return source_of(
        url,
        {
            "name": "cards",
            "created_at": "created_at",
            "changed_at": "updated_at",
            "keep": ["prompt"],
            "column": [{"name": "snapshot", "type": "json"}, {"name": "thumbnail"}],
            "job": [{"provider": "runway", "id_at": "snapshot#/versions/*/taskId", "columns": ["snapshot"]}],
        },
    )


_JSON = {"sqlite": "TEXT", "postgresql": "JSONB", "mysql": "JSON"}


def make_cards(
    url: str, rows: int, *, dies: Callable[[int], datetime] = lambda _: NOW + timedelta(hours=5)
) -> None:
    """A table of cards; every tenth row holds a temporary video, every twentieth a temporary thumbnail too."""
    kind = _JSON[sa.make_url(url).get_backend_name()]
    run(
        url,
        f"CREATE TABLE cards (id INTEGER PRIMARY KEY, prompt TEXT, snapshot {kind}, thumbnail TEXT, "
        "created_at TIMESTAMP NULL, updated_at TIMESTAMP NULL)",
    )
    fill(
        url,
        "cards",
        [
            {
                "id": n,
                "prompt": f"prompt {n}",
                "snapshot": {
                    "versions": [
                        {"url": signed(f"{n}.mp4", dies(n), salt=n) if n % 10 == 0 else plain(f"{n}.mp4"),
                         "taskId": f"task-{n}"}
                    ],
                    "note": None,
                },
                "thumbnail": signed(f"{n}.jpg", dies(n), salt=n) if n % 20 == 0 else None,
                "created_at": "2026-11-01 10:00:00",
                "updated_at": "2026-11-01 10:00:00",
            }
            for n in range(1, rows + 1)
        ],
    )  # fmt: skip


def catalog_in(folder: Path) -> Catalog:
    """An empty catalog (SQLite)."""
    return open_catalog(Settings(_env_file=None, home=folder / "home"))  # type: ignore[call-arg]


def findings(catalog: Catalog, **where: Any) -> list[LegacyFinding]:
    """Findings by place."""
    with catalog.read() as session:
        statement = select(LegacyFinding).order_by(
            LegacyFinding.table_name, LegacyFinding.row_key, LegacyFinding.column_name, LegacyFinding.pointer
        )
        return list(session.exec(statement.filter_by(**where)).all())


def files(catalog: Catalog) -> list[LegacyFile]:
    """Files by their redacted address."""
    with catalog.read() as session:
        return sorted(session.exec(select(LegacyFile)).all(), key=lambda file: file.redacted or "")
