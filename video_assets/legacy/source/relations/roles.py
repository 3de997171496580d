"""Whose tables are, as their names, columns and triggers tell on every kind of database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from sqlmodel import SQLModel

from video_assets.catalog.migrations import VERSION_TABLE
from video_assets.legacy.source.relations.model import Fill, Relation, Role

_MIGRATIONS: Final[Mapping[str, str]] = {
    "alembic_version": "Alembic",
    "django_migrations": "Django",
    "flyway_schema_history": "Flyway",
    "schema_version": "Flyway",
    "databasechangelog": "Liquibase",
    "databasechangeloglock": "Liquibase",
    "schema_migrations": "Rails and others",
    "ar_internal_metadata": "Rails",
    "_prisma_migrations": "Prisma",
    "__drizzle_migrations": "Drizzle",
    "knex_migrations": "Knex",
    "knex_migrations_lock": "Knex",
    "sequelizemeta": "Sequelize",
    "__efmigrationshistory": "Entity Framework",
    "_sqlx_migrations": "SQLx",
    "__diesel_schema_migrations": "Diesel",
    "goose_db_version": "goose",
    "atlas_schema_revisions": "Atlas",
    "doctrine_migration_versions": "Doctrine",
    "migration_versions": "Doctrine",
    "phinxlog": "Phinx",
    "_yoyo_migration": "yoyo",
    "_yoyo_log": "yoyo",
    "_yoyo_version": "yoyo",
    "refinery_schema_history": "refinery",
    "migrations_lock": "a migration tool",
    "d1_migrations": "Cloudflare D1",
    "_cf_kv": "Cloudflare D1",
}
"""Tables (in lower case) in which migration tools note what was run, with the tool's name."""

_DAGSTER: Final[Mapping[str, str]] = {
    "event_logs": "dagster_event_type",
    "asset_keys": "last_materialization",
    "asset_event_tags": "event_timestamp",
    "dynamic_partitions": "partitions_def_name",
    "concurrency_limits": "concurrency_key",
    "concurrency_slots": "concurrency_key",
    "pending_steps": "concurrency_key",
    "asset_check_executions": "execution_status",
    "asset_daemon_asset_evaluations": "asset_evaluation_body",
    "runs": "run_body",
    "run_tags": "run_id",
    "snapshots": "snapshot_body",
    "secondary_indexes": "migration_completed",
    "daemon_heartbeats": "daemon_type",
    "bulk_actions": "action_type",
    "backfill_tags": "backfill_id",
    "instance_info": "run_storage_id",
    "jobs": "job_origin_id",
    "instigators": "instigator_body",
    "job_ticks": "job_origin_id",
    "schedules": "schedule_origin_id",
    "schedule_ticks": "schedule_origin_id",
}
"""Tables of Dagster's storage, each with a column that tells it from others of its name."""

DAGSTER_NOTE: Final = "belongs to Dagster's storage"

_KNOWN_HISTORY: Final[Mapping[str, str]] = {
    "audit.logged_actions": "the audit trigger of 2ndQuadrant",
    "audit.record_version": "supa_audit",
    "pgmemento.row_log": "pgMemento",
}
_TWIN = re.compile(r"(?:(?P<of>.+?)_(?:history|hist|audit|audits|audit_log)|"
                   r"(?:history|audit)_(?P<of2>.+))", re.IGNORECASE)  # fmt: skip
_INSERTED = re.compile(
    r"""\binsert\s+(?:or\s+\w+\s+)?(?:ignore\s+)?into\s+(?:only\s+)?
        (?P<name>(?:"[^"]+"|`[^`]+`|\[[^\]]+\]|[\w$]+)(?:\s*\.\s*(?:"[^"]+"|`[^`]+`|\[[^\]]+\]|[\w$]+))?)""",
    re.IGNORECASE | re.VERBOSE,
)
_OLD_ROW = re.compile(r"\bold\b", re.IGNORECASE)
_PART_OF_NAME = re.compile(r'"([^"]+)"|`([^`]+)`|\[([^\]]+)\]|([\w$]+)')


def with_roles(relations: Iterable[Relation], fills: Sequence[Fill]) -> list[Relation]:
    """The relations with the roles that do not depend on the kind of database; what has one keeps it."""
    found = list(relations)
    filled = _filled(found, fills)
    by_place = {(relation.schema, relation.table): relation for relation in found}
    has_catalog = all((None, name) in by_place for name in ("legacy_finding", "ledger_entry", "provider_job"))
    return [
        relation
        if relation.is_left_alone or relation.is_view
        else _with_role(relation, by_place, filled, has_catalog)
        for relation in found
    ]


def _with_role(
    relation: Relation,
    by_place: Mapping[tuple[str | None, str], Relation],
    filled: Mapping[tuple[str | None, str], Fill],
    has_catalog: bool,
) -> Relation:
    columns = {column.name for column in relation.columns}
    if has_catalog and relation.schema is None and relation.table in (VERSION_TABLE, *SQLModel.metadata.tables):
        return replace(
            relation,
            role=Role.CATALOG,
            note="the product's own catalog",
            unread="the catalog is read as such",
            is_elsewhere=True,
        )
    if _DAGSTER.get(relation.table) in columns and _is_dagsters(by_place, relation):
        return replace(
            relation,
            role=Role.DAGSTER,
            note=DAGSTER_NOTE,
            unread="Dagster's storage is read as such",
            is_elsewhere=True,
        )
    if (tool := _MIGRATIONS.get(relation.table.lower())) is not None:
        return replace(relation, role=Role.TOOL, note=f"belongs to {tool}, which notes there what was run")
    known = _KNOWN_HISTORY.get(f"{relation.schema or relation.default_schema}.{relation.table}".lower())
    if known is not None:
        return replace(relation, role=Role.HISTORY, note=f"a history table, filled by {known}{_HISTORY}")
    fill = filled.get((relation.schema, relation.table))
    if fill is not None:
        table = fill.table[1]
        note = f"filled by the trigger {fill.trigger} when a row of {table} changes, by a rewrite too{_HISTORY}"
        return replace(relation, role=Role.HISTORY, note=note)
    if (twin := _twin_of(relation, by_place)) is not None:
        return replace(relation, role=Role.HISTORY, note=f"a history table of {twin.name}{_HISTORY}")
    return relation


_HISTORY: Final = ": what it holds is the past; to rewrite it too, add it to the configuration"


def _is_dagsters(by_place: Mapping[tuple[str | None, str], Relation], relation: Relation) -> bool:
    """Run tags look like anybody's: Dagster's tables come together."""
    return any((relation.schema, name) in by_place for name in ("event_logs", "runs", "instigators", "job_ticks"))


def _twin_of(relation: Relation, by_place: Mapping[tuple[str | None, str], Relation]) -> Relation | None:
    """The table whose former rows this one keeps: its name in the other's, and every column of it here too."""
    match = _TWIN.fullmatch(relation.table)
    if match is None:
        return None
    of = match["of"] or match["of2"]
    columns = {column.name for column in relation.columns}
    for name in (of, f"{of}s", of.removesuffix("s")):
        twin = by_place.get((relation.schema, name))
        if twin is not None and twin.columns and {column.name for column in twin.columns} < columns:
            return twin
    return None


def _filled(relations: Sequence[Relation], fills: Sequence[Fill]) -> dict[tuple[str | None, str], Fill]:
    """Which tables are filled by triggers of others."""
    found: dict[tuple[str | None, str], Fill] = {}
    for fill in fills:
        for match in _INSERTED.finditer(fill.body):
            statement = fill.body[match.start() :].partition(";")[0]
            if _OLD_ROW.search(statement) is None:
                continue  # what is new is nobody's past
            parts = [next(filter(None, each.groups())) for each in _PART_OF_NAME.finditer(match["name"])]
            for relation in relations:
                place = (relation.schema, relation.table)
                schema = relation.schema or relation.default_schema or ""
                is_meant = relation.table.lower() == parts[-1].lower() and (
                    len(parts) == 1 or schema.lower() == parts[0].lower()
                )
                if is_meant and place != fill.table:
                    found.setdefault(place, fill)
    return found
