"""The tables of an SQLite file: virtual tables and their shadow tables told from a user's own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from video_assets.legacy.source.relations.model import Fill, Holds, Relation, RelationColumn, Role
from video_assets.urls import redact

_FTS: Final = ("fts3", "fts4", "fts5")
_SHADOWS: Final[Mapping[str, str]] = {
    "fts3": r"content|segments|segdir|docsize|stat",
    "fts4": r"content|segments|segdir|docsize|stat",
    "fts5": r"content|data|idx|docsize|config",
    "rtree": r"node|rowid|parent",
    "rtree_i32": r"node|rowid|parent",
    "geopoly": r"node|rowid|parent",
    "spellfix1": r"vocab",
    "vec0": r"chunks|rowids|info|auxiliary|(?:vector_chunks|metadatachunks|metadatatext)\d+",
    "vss0": r"index|data",
}
"""What modules call their shadow tables, after the virtual table's name and ``_``: https://sqlite.org/fts5.html,
fts3.html, rtree.html, spellfix1.html, geopoly.html, and the sources of sqlite-vec and sqlite-vss. SQLite itself
tells (``PRAGMA table_list``) only for modules that are loaded."""
_DERIVED: Final = ("fts5vocab", "fts4aux", "fts3tokenize")
_VIRTUAL = re.compile(
    r"""create\s+virtual\s+table\s+(?:if\s+not\s+exists\s+)?(?:"[^"]*"|`[^`]*`|\[[^\]]*\]|'[^']*'|\S+?)(?:\s*\.\s*\S+)?
        \s+using\s+["'`\[]?(?P<module>\w+)["'`\]]?\s*(?:\((?P<arguments>.*)\))?""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_CONTENT = re.compile(
    r"""(?:^|,)\s*content\s*=\s*(?:"([^"]*)"|'([^']*)'|`([^`]*)`|\[([^\]]*)\]|(\w*))""", re.IGNORECASE
)
_TELLS_OF_UPDATES = re.compile(r"\b(?:after|before)\s+update\b", re.IGNORECASE)
_AT_CHANGE = re.compile(r"\b(?:update|delete)\b", re.IGNORECASE)


def sqlite_relations(connection: Connection) -> tuple[list[Relation], list[Fill]]:
    """Every table and view of the file, and the triggers that fill tables. Raises SQLAlchemyError."""
    schema = connection.exec_driver_sql("SELECT type, name, tbl_name, sql FROM sqlite_master").all()
    virtual = {
        name: match
        for kind, name, _, sql in schema
        if kind == "table" and sql and (match := _VIRTUAL.match(sql.strip())) is not None
    }
    told = _told_shadows(connection)
    triggers = [(name, table, sql) for kind, name, table, sql in schema if kind == "trigger" and sql]
    found = []
    for kind, name, _, _ in schema:
        if kind not in ("table", "view"):
            continue
        relation = Relation(name, None, "virtual table" if name in virtual else kind, default_schema="main")
        try:
            relation = replace(relation, columns=_columns(connection, name))
        except SQLAlchemyError as exc:
            cause = redact(str(getattr(exc, "orig", None) or type(exc).__name__)).splitlines()[0]
            relation = replace(relation, unread=f"this program's SQLite cannot open it: {cause}")
        found.append(_with_role(relation, virtual, told, triggers))
    fills = [Fill(name, (None, table), sql) for name, table, sql in triggers if _fires_at_change(sql)]
    return found, fills


def is_virtual(connection: Connection, table: str) -> bool:
    """Whether a table is a virtual one."""
    statement = "SELECT count(*) FROM sqlite_master WHERE name = ? AND sql LIKE 'CREATE VIRTUAL%'"
    return bool(connection.exec_driver_sql(statement, (table,)).scalar())


def why_not_rewritten(connection: Connection, table: str) -> str | None:
    """Half a sentence when writing ``table`` directly would make a virtual table malformed, else None."""
    for relation in sqlite_relations(connection)[0]:
        if relation.is_called(table) and relation.role in (Role.SHADOW, Role.INDEX):
            return f"{table!r} is not rewritten, it is {relation.note}"
    return None


def _told_shadows(connection: Connection) -> set[str]:
    """The shadow tables that SQLite itself names: from version 3.37 on, for modules that are loaded."""
    try:
        rows = connection.exec_driver_sql("PRAGMA table_list").mappings().all()
    except SQLAlchemyError:
        return set()
    return {row["name"] for row in rows if row["type"] == "shadow"}


def _columns(connection: Connection, table: str) -> tuple[RelationColumn, ...]:
    quoted = table.replace("'", "''")
    rows = connection.exec_driver_sql(f"PRAGMA table_xinfo('{quoted}')").mappings().all()
    # Hidden columns of a virtual table (1) hold commands and ranks.
    return tuple(
        RelationColumn(row["name"], row["type"] or "", _holds(row["type"] or ""))
        for row in rows
        if row["hidden"] != 1
    )


def _holds(declared: str) -> Holds:
    """Any column may hold anything; one of BLOB affinity is expected to hold bytes.

    https://sqlite.org/datatype3.html, 3.1
    """
    upper = declared.upper()
    if "INT" in upper or "CHAR" in upper or "CLOB" in upper or "TEXT" in upper:
        return Holds.TEXT
    return Holds.BYTES if not upper or any(word in upper for word in ("BLOB", "BINARY", "BYTE")) else Holds.TEXT


def _with_role(
    relation: Relation,
    virtual: Mapping[str, re.Match[str]],
    told: set[str],
    triggers: Sequence[tuple[str, str, str]],
) -> Relation:
    name = relation.table
    if relation.kind == "view":
        return replace(relation, unread="a view shows rows of tables, which are read", is_elsewhere=True)
    if name.startswith("sqlite_"):
        note = "SQLite's own; ANALYZE renews its samples" if name.startswith("sqlite_stat") else "SQLite's own"
        return replace(relation, role=Role.STATISTICS, note=note)
    if name in virtual:
        return _virtual(relation, virtual[name], triggers)
    owner = _owner(name, virtual, told)
    if owner is None:
        return relation
    return replace(
        relation,
        role=Role.SHADOW,
        note=f"a part of the virtual table {owner}, through which it is read and rewritten",
        unread=f"a part of the virtual table {owner}",
        is_elsewhere=True,
    )


def _owner(name: str, virtual: Mapping[str, re.Match[str]], told: set[str]) -> str | None:
    """The virtual table that a shadow table belongs to: the one with the longest name."""
    for owner in sorted(virtual, key=len, reverse=True):
        if not name.lower().startswith(f"{owner.lower()}_"):
            continue
        suffixes = _SHADOWS.get(virtual[owner]["module"].lower(), r".+")
        if name in told or re.fullmatch(suffixes, name[len(owner) + 1 :], re.IGNORECASE):
            return owner
    return None


def _virtual(relation: Relation, match: re.Match[str], triggers: Sequence[tuple[str, str, str]]) -> Relation:
    module = match["module"].lower()
    if module in _DERIVED:
        return replace(
            relation,
            role=Role.INDEX,
            note="shows the terms of a full-text index",
            unread="it shows the terms of a full-text index",
            is_elsewhere=True,
        )
    content = _CONTENT.search(match["arguments"] or "") if module in _FTS else None
    if content is None:
        return relation
    table = next((part for part in content.groups() if part is not None), "")
    if not table:
        return replace(
            relation,
            role=Role.INDEX,
            note="a full-text index without content: after a rewrite its entries are the old ones",
            unread="it keeps the words of what was indexed, though no text: they go when it is filled anew",
        )
    name = relation.table.lower()
    keeps_up = any(
        of.lower() == table.lower() and name in sql.lower() and _TELLS_OF_UPDATES.search(sql)
        for _, of, sql in triggers
    )
    if keeps_up:
        return replace(
            relation,
            role=Role.INDEX,
            note=f"a full-text index over {table}, whose triggers keep it right",
            unread=f"its text stands in {table}, which is read",
            is_elsewhere=True,
        )
    quoted = relation.table.replace('"', '""')
    return replace(
        relation,
        role=Role.INDEX,
        note=f"a full-text index over {table}, and no trigger tells it of changed rows: after a rewrite and "
        f'after an undo run INSERT INTO "{quoted}"("{quoted}") VALUES(\'rebuild\')',
        unread=f"no trigger tells it of changed rows of {table}: it keeps the words of former ones until it is "
        "rebuilt",
    )


def _fires_at_change(sql: str) -> bool:
    """Whether a trigger fires when a row is changed or deleted."""
    head = re.split(r"\bon\b", sql, maxsplit=1, flags=re.IGNORECASE)[0]
    return _AT_CHANGE.search(head) is not None
