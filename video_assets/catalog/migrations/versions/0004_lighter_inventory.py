"""Fewer and smaller indexes where an inventory writes millions of rows

Half of what it cost the database to take in a finding went into checks and entries that nobody used: NULLs in
indexes, an index on (source, fingerprint) that says the same as the primary key, which is made of both, and a
look for the file that stands in the same transaction.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NAMES = {"fk": "%(table_name)s_%(column_0_name)s_fkey"}
"""How PostgreSQL named the foreign key by itself; SQLite did not name it."""


def _partial(name: str, table: str, columns: list[str], *, unique: bool = False) -> None:
    filled = sa.text(f"{columns[-1] if unique else columns[0]} IS NOT NULL")
    op.create_index(name, table, columns, unique=unique, postgresql_where=filled, sqlite_where=filled)


def upgrade() -> None:
    op.drop_index("ix_legacy_finding_batch", "legacy_finding")
    op.drop_index("ix_legacy_file_sha256", "legacy_file")
    # First the one that refers: SQLite makes both tables anew.
    with op.batch_alter_table("legacy_finding", naming_convention=_NAMES) as batch_op:
        batch_op.drop_constraint("legacy_finding_file_id_fkey", type_="foreignkey")
    with op.batch_alter_table("legacy_file") as batch_op:
        batch_op.drop_constraint("uq_legacy_file_source_fingerprint", type_="unique")
        batch_op.drop_constraint("uq_legacy_file_bucket_key", type_="unique")
    _partial("ix_legacy_finding_batch", "legacy_finding", ["batch", "state"])
    _partial("ix_legacy_file_sha256", "legacy_file", ["sha256"])
    _partial("uq_legacy_file_bucket_key", "legacy_file", ["bucket", "key"], unique=True)


def downgrade() -> None:
    op.drop_index("uq_legacy_file_bucket_key", "legacy_file")
    op.drop_index("ix_legacy_file_sha256", "legacy_file")
    op.drop_index("ix_legacy_finding_batch", "legacy_finding")
    with op.batch_alter_table("legacy_file") as batch_op:
        batch_op.create_unique_constraint("uq_legacy_file_bucket_key", ["bucket", "key"])
        batch_op.create_unique_constraint("uq_legacy_file_source_fingerprint", ["source", "fingerprint"])
    with op.batch_alter_table("legacy_finding") as batch_op:
        batch_op.create_foreign_key("legacy_finding_file_id_fkey", "legacy_file", ["file_id"], ["id"])
    op.create_index("ix_legacy_file_sha256", "legacy_file", ["sha256"])
    op.create_index("ix_legacy_finding_batch", "legacy_finding", ["batch", "state"])
