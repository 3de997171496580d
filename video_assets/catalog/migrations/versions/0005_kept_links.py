"""A lost file keeps its link for a while, and the time since when its source has failed

``failing_since`` takes the place of a count of tries. ``lost_at`` tells the upkeep whose links are to be erased;
files that were lost before have no link to erase.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from video_assets.catalog.columns import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("output", "legacy_file"):
        for column in ("failing_since", "lost_at"):
            op.add_column(table, sa.Column(column, UtcDateTime(), nullable=True))
    op.create_index("ix_output_state_lost_at", "output", ["state", "lost_at"])
    filled = sa.text("lost_at IS NOT NULL")
    op.create_index(
        "ix_legacy_file_lost_at", "legacy_file", ["lost_at"], postgresql_where=filled, sqlite_where=filled
    )


def downgrade() -> None:
    # An earlier version knows neither a kept link nor the word.
    for name in ("output", "legacy_file"):
        rows = sa.table(name, sa.column("state"), sa.column("temporary_url"))
        op.execute(rows.update().where(rows.c.state.in_(["lost", "given_up"])).values(temporary_url=None))
    for name in ("output", "legacy_file", "legacy_finding"):
        rows = sa.table(name, sa.column("state"))
        op.execute(rows.update().where(rows.c.state == "given_up").values(state="lost"))
    op.drop_index("ix_legacy_file_lost_at", "legacy_file")
    op.drop_index("ix_output_state_lost_at", "output")
    for table in ("output", "legacy_file"):
        for column in ("lost_at", "failing_since"):
            op.drop_column(table, column)
