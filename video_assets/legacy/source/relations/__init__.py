"""What a database is made of: every table and view with its columns, and whose it is.

Not every table is a user's own. Some are parts of others (shadow tables, partitions), some belong to an extension
or a tool, some are filled by triggers. Each is left alone or rewritten through its owner, and named.
"""

from __future__ import annotations

from video_assets.legacy.source.connect import SourceDatabase
from video_assets.legacy.source.relations.model import Holds, Relation, RelationColumn, Role
from video_assets.legacy.source.relations.mysql import mysql_relations
from video_assets.legacy.source.relations.postgresql import postgresql_relations
from video_assets.legacy.source.relations.roles import with_roles
from video_assets.legacy.source.relations.sqlite import sqlite_relations

__all__ = ["Holds", "Relation", "RelationColumn", "Role", "relations_of"]


def relations_of(database: SourceDatabase) -> list[Relation]:
    """Every table and view of the database as it is now, in the order of their names. Raises SourceError.

    System catalogs are not among them: nobody's rows stand there.
    """
    with database.connect() as connection:
        match database.dialect:
            case "sqlite":
                found, fills = sqlite_relations(connection)
            case "postgresql":
                found, fills = postgresql_relations(connection)
            case _:
                found, fills = mysql_relations(connection)
    return sorted(with_roles(found, fills), key=lambda relation: (relation.schema or "", relation.table))
