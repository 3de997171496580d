"""Remember since when a provider does not know a job, and let jobs that were given up be asked about again

A job that one wrong 404 had made ``failed``, or that was given up at its deadline, becomes ``abandoned``: a retry
asks its provider about it once more, free of charge.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from video_assets.catalog.columns import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Added in place: SQLite would have to make the table anew for anything else, and outputs refer to it.
    op.add_column("provider_job", sa.Column("unknown_answers", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("provider_job", sa.Column("unknown_since", UtcDateTime(), nullable=True))
    op.create_index("ix_provider_job_provider_polled_at", "provider_job", ["provider", "polled_at"])
    op.execute(
        "UPDATE provider_job SET status = 'abandoned' WHERE status = 'failed' AND task_id IS NOT NULL AND "
        "(failure_code = 'source_gone' OR "
        "(failure_code = 'provider_error' AND failure_message LIKE 'still %: given up'))"
    )


def downgrade() -> None:
    op.execute("UPDATE provider_job SET status = 'cancelled' WHERE status = 'abandoned' AND failure_code IS NULL")
    op.execute("UPDATE provider_job SET status = 'failed' WHERE status = 'abandoned'")
    op.drop_index("ix_provider_job_provider_polled_at", "provider_job")
    op.drop_column("provider_job", "unknown_since")
    op.drop_column("provider_job", "unknown_answers")
