"""Verified files that are kept while the store fails: which spool holds which"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from video_assets.catalog.columns import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kept_file",
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("spool", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("kept_at", UtcDateTime(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("resource", "spool"),
    )


def downgrade() -> None:
    op.drop_table("kept_file")
