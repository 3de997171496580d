"""The tables of a PostgreSQL database: whose they are by ownership, and what this user does not see of them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, text

from video_assets.legacy.source.relations.model import Fill, Holds, Relation, RelationColumn, Role

_KINDS: Final[Mapping[str, str]] = {
    "r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table",
}  # fmt: skip
_RELATIONS = text(
    """
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relispartition, current_schema() AS own_schema,
       pg_get_userbyid(c.relowner) AS owner, row_security_active(c.oid) AS is_secured,
       (SELECT e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
        WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
          AND (d.classid = 'pg_class'::regclass AND d.objid = c.oid
               OR d.classid = 'pg_namespace'::regclass AND d.objid = n.oid) LIMIT 1) AS extension,
       (SELECT string_agg(i.inhparent::regclass::text, ', ') FROM pg_inherits i
        WHERE i.inhrelid = c.oid
          AND NOT EXISTS (SELECT FROM pg_attribute own WHERE own.attrelid = c.oid AND own.attnum > 0
                          AND NOT own.attisdropped AND own.attinhcount = 0)) AS parent,
       a.attname, format_type(a.atttypid, a.atttypmod) AS type,
       coalesce(item.typcategory, base.typcategory, t.typcategory) AS category,
       coalesce(item.typname, base.typname, t.typname) AS typname,
       has_column_privilege(c.oid, a.attnum, 'SELECT') AS is_readable
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type base ON base.oid = nullif(t.typbasetype, 0)
LEFT JOIN pg_type item ON t.typcategory = 'A' AND item.oid = nullif(t.typelem, 0)
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY n.nspname, c.relname, c.oid, a.attnum
"""
)
_TRIGGERS = text(
    """
SELECT t.tgname, n.nspname, c.relname, p.prosrc, current_schema() AS own_schema
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_proc p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal AND t.tgtype & 24 <> 0
"""
)
"""Bit 8 is DELETE, bit 16 UPDATE."""
_NO_TEXT_CATEGORIES: Final = frozenset("BDGINTV")
"""Booleans, dates and times, geometry, network addresses, numbers, time spans, bit strings."""
_NO_TEXT_TYPES: Final = frozenset(
    ("uuid", "vector", "halfvec", "sparsevec", "geometry", "geography", "macaddr", "macaddr8", "pg_lsn", "xid",
     "xid8", "cid", "tid", "txid_snapshot", "pg_snapshot", "box2d", "box3d")
)  # fmt: skip
_PLATFORM_SCHEMAS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("auth", "storage", "realtime", "_realtime", "vault", "supabase_functions", "supabase_migrations",
         "_analytics", "pgsodium", "pgbouncer", "net", "graphql"), "Supabase"),
    "hdb_catalog": "Hasura",
    "neon_auth": "Neon",
}  # fmt: skip
"""Schemas of platforms that are made outside of extensions: https://supabase.com/docs/guides/database, Hasura's
and Neon's documentation. Supabase's names are common words, so they count only where its roles are there."""


def postgresql_relations(connection: Connection) -> tuple[list[Relation], list[Fill]]:
    """Every table and view outside of the system's schemas, and the triggers that fill tables."""
    rows = connection.execute(_RELATIONS).mappings().all()
    has_supabase = bool(
        connection.execute(text("SELECT count(*) FROM pg_roles WHERE rolname = 'supabase_admin'")).scalar()
    )
    found = []
    for _, group in groupby(rows, key=lambda row: row["oid"]):
        of_table = list(group)
        found.append(_relation(of_table[0], _columns(of_table), has_supabase=has_supabase))
    fills = [
        Fill(row["tgname"], (_schema(row), row["relname"]), row["prosrc"])
        for row in connection.execute(_TRIGGERS).mappings()
    ]
    return found, fills


def large_objects(connection: Connection) -> int:
    """How many large objects the database keeps outside of its tables."""
    return int(connection.execute(text("SELECT count(*) FROM pg_largeobject_metadata")).scalar_one())


def _schema(row: RowMapping) -> str | None:
    return None if row["nspname"] == row["own_schema"] else str(row["nspname"])


def _columns(rows: list[RowMapping]) -> tuple[RelationColumn, ...]:
    return tuple(
        RelationColumn(
            row["attname"], row["type"], _holds(row["category"], row["typname"]), bool(row["is_readable"])
        )
        for row in rows
        if row["attname"] is not None
    )


def _holds(category: str, name: str) -> Holds:
    if name == "bytea":
        return Holds.BYTES
    return Holds.NOTHING if category in _NO_TEXT_CATEGORIES or name in _NO_TEXT_TYPES else Holds.TEXT


def _relation(row: RowMapping, columns: tuple[RelationColumn, ...], *, has_supabase: bool) -> Relation:
    kind = _KINDS[row["relkind"]]
    more = _role(row, kind, has_supabase=has_supabase)
    if row["is_secured"]:
        more["hidden"] = "a row level security policy hides rows from this user"
    return Relation(row["relname"], _schema(row), kind, columns, default_schema=row["own_schema"], **more)


def _role(row: RowMapping, kind: str, *, has_supabase: bool) -> dict[str, Any]:
    if kind == "view":
        seen = {"unread": "a view shows rows of tables, which are read", "is_elsewhere": True}
    elif kind == "foreign table":
        seen = {"unread": "its rows stand on another server"}
    else:
        seen = {}
    if row["extension"]:
        return {"role": Role.EXTENSION, "note": f"belongs to the extension {row['extension']}", **seen}
    if row["parent"]:
        parent = row["parent"]
        return {
            "role": Role.PART,
            "note": f"a part of {parent}, through which its rows are read and rewritten",
            "unread": f"its rows are read as rows of {parent}",
            "is_elsewhere": True,
        }
    platform = _PLATFORM_SCHEMAS.get(row["nspname"])
    if platform == "Supabase" and not has_supabase:
        platform = None
    if platform is None and str(row["owner"]).startswith("supabase_") and row["owner"] != "supabase_admin":
        platform = "Supabase"
    if platform is not None:
        return {"role": Role.PLATFORM, "note": f"belongs to {platform}", **seen}
    if kind == "foreign table":
        return {"role": Role.FOREIGN, "note": "a foreign table: describe the database that it stands in", **seen}
    if kind == "materialized view":
        return {"note": "keeps a copy: REFRESH MATERIALIZED VIEW once the tables behind it are rewritten"}
    return seen
