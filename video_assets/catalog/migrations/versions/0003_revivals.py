"""What a batch knows of links that are dead or of unknown life, and how often it was asked for"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from video_assets.catalog.columns import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("legacy_batch", schema=None) as batch_op:
        batch_op.add_column(sa.Column("unknown", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("revive_at", UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column("revivals", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("revived_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("legacy_batch", schema=None) as batch_op:
        batch_op.drop_column("revived_at")
        batch_op.drop_column("revivals")
        batch_op.drop_column("revive_at")
        batch_op.drop_column("unknown")
