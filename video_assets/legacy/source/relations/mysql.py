"""The tables of one database of MySQL or MariaDB."""

from __future__ import annotations

from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, text

from video_assets.legacy.source.relations.model import Fill, Holds, Relation, RelationColumn

_RELATIONS = text(
    """
SELECT t.TABLE_NAME AS name, t.TABLE_TYPE AS kind, c.COLUMN_NAME AS attname, c.COLUMN_TYPE AS type,
       c.DATA_TYPE AS typname, DATABASE() AS own_schema
FROM information_schema.TABLES t
LEFT JOIN information_schema.COLUMNS c ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME
WHERE t.TABLE_SCHEMA = DATABASE()
ORDER BY t.TABLE_NAME, c.ORDINAL_POSITION
"""
)
_TRIGGERS = text(
    """
SELECT TRIGGER_NAME AS name, EVENT_OBJECT_TABLE AS of_table, ACTION_STATEMENT AS body
FROM information_schema.TRIGGERS
WHERE TRIGGER_SCHEMA = DATABASE() AND EVENT_MANIPULATION IN ('UPDATE', 'DELETE')
"""
)
_NO_TEXT: Final = frozenset(
    ("tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "bit", "date", "datetime",
     "timestamp", "time", "year", "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring",
     "multipolygon", "geometrycollection", "geomcollection", "uuid", "inet4", "inet6", "vector")
)  # fmt: skip


def mysql_relations(connection: Connection) -> tuple[list[Relation], list[Fill]]:
    """Every table and view of the database that the address names, and the triggers that fill tables."""
    found = []
    for (name, kind), group in groupby(
        connection.execute(_RELATIONS).mappings().all(), key=lambda row: (row["name"], row["kind"])
    ):
        rows = list(group)
        columns = tuple(
            RelationColumn(row["attname"], _plain(row["type"]), _holds(_plain(row["typname"]).lower()))
            for row in rows
            if row["attname"] is not None
        )
        own_schema = rows[0]["own_schema"]
        found.append(
            Relation(name, None, "view" if kind.endswith("VIEW") else "table", columns, default_schema=own_schema,
                     **_seen(kind))
        )  # fmt: skip
    fills = [
        Fill(row["name"], (None, row["of_table"]), _plain(row["body"]))
        for row in connection.execute(_TRIGGERS).mappings()
    ]
    return found, fills


def _seen(kind: str) -> dict[str, Any]:
    if kind.endswith("VIEW"):
        return {"unread": "a view shows rows of tables, which are read", "is_elsewhere": True}
    if kind == "SEQUENCE":
        return {"unread": "a sequence holds numbers", "is_elsewhere": True}
    if kind == "SYSTEM VERSIONED":
        return {"hidden": "former versions of its rows (SYSTEM VERSIONING) are not read"}
    return {}


def _plain(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _holds(name: str) -> Holds:
    if "blob" in name or "binary" in name:
        return Holds.BYTES
    return Holds.NOTHING if name in _NO_TEXT else Holds.TEXT
