"""Which tables of a source are left alone, and whose they are, as its last inventory saw them"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("legacy_source", schema=None) as batch_op:
        batch_op.add_column(sa.Column("left_alone", sa.JSON(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("legacy_source", schema=None) as batch_op:
        batch_op.drop_column("left_alone")
