"""The first tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from video_assets.catalog.columns import EncryptedText, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("generation_id", sa.String(), nullable=True),
        sa.Column("job_id", sa.String(), nullable=True),
        sa.Column("output_id", sa.String(), nullable=True),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_event_at"), ["at"], unique=False)
        batch_op.create_index("ix_event_generation_id_id", ["generation_id", "id"], unique=False)

    op.create_table(
        "generation",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("campaign", sa.String(), nullable=True),
        sa.Column("title", sa.String(), nullable=True),
        sa.Column("language", sa.String(), nullable=True),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("generation_type", sa.String(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("submitted_prompt", sa.Text(), nullable=True),
        sa.Column("prompt_length", sa.Integer(), nullable=False),
        sa.Column("was_truncated", sa.Boolean(), nullable=False),
        sa.Column("aspect_ratio", sa.String(), nullable=True),
        sa.Column("duration", sa.Float(), nullable=True),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("versions", sa.Integer(), nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=True),
        sa.Column("request_digest", sa.String(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("progress", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("is_favorite", sa.Boolean(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("queued_at", UtcDateTime(), nullable=False),
        sa.Column("cancel_requested_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("completed_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("retired_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("owner", "idempotency_key", name="uq_generation_owner_idempotency_key"),
    )
    with op.batch_alter_table("generation", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_generation_campaign"), ["campaign"], unique=False)
        batch_op.create_index("ix_generation_owner_created_at", ["owner", "created_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_generation_provider"), ["provider"], unique=False)
        batch_op.create_index("ix_generation_status_updated_at", ["status", "updated_at"], unique=False)

    op.create_table(
        "lease",
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("resource"),
    )
    op.create_table(
        "provider_job",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("generation_id", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("try_number", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("client_reference", sa.String(), nullable=False),
        sa.Column("task_id", sa.String(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("raw_status", sa.String(), nullable=True),
        sa.Column("progress", sa.Float(), nullable=True),
        sa.Column("estimated_cost", sa.Float(), nullable=True),
        sa.Column("cost", sa.Float(), nullable=True),
        sa.Column("cost_unit", sa.String(), nullable=True),
        sa.Column("failure_code", sa.String(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("failure_retryable", sa.Boolean(), nullable=False),
        sa.Column("submit_attempts", sa.Integer(), nullable=False),
        sa.Column("polls", sa.Integer(), nullable=False),
        sa.Column("poll_failures", sa.Integer(), nullable=False),
        sa.Column("intended_at", UtcDateTime(), nullable=True),
        sa.Column("submitted_at", UtcDateTime(), nullable=True),
        sa.Column("polled_at", UtcDateTime(), nullable=True),
        sa.Column("next_poll_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("deadline_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["generation_id"],
            ["generation.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "generation_id", "ordinal", "try_number", name="uq_provider_job_generation_ordinal_try"
        ),
        sa.UniqueConstraint("provider", "task_id", name="uq_provider_job_provider_task_id"),
    )
    with op.batch_alter_table("provider_job", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_provider_job_generation_id"), ["generation_id"], unique=False)
        batch_op.create_index("ix_provider_job_status_next_poll_at", ["status", "next_poll_at"], unique=False)

    op.create_table(
        "output",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("generation_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("temporary_url", EncryptedText(), nullable=True),
        sa.Column("source_redacted", sa.Text(), nullable=True),
        sa.Column("source_fingerprint", sa.String(), nullable=True),
        sa.Column("source_scheme", sa.String(), nullable=True),
        sa.Column("needs_provider_key", sa.Boolean(), nullable=False),
        sa.Column("deadline_at", UtcDateTime(), nullable=True),
        sa.Column("deadline_bound", sa.String(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", UtcDateTime(), nullable=True),
        sa.Column("refreshes", sa.Integer(), nullable=False),
        sa.Column("refreshed_at", UtcDateTime(), nullable=True),
        sa.Column("stored_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["generation_id"],
            ["generation.id"],
        ),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["provider_job.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("job_id", "kind", "index", name="uq_output_job_kind_index"),
    )
    with op.batch_alter_table("output", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_output_generation_id"), ["generation_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_output_job_id"), ["job_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_output_source_fingerprint"), ["source_fingerprint"], unique=False)
        batch_op.create_index("ix_output_state_deadline_at", ["state", "deadline_at"], unique=False)
        batch_op.create_index("ix_output_state_next_attempt_at", ["state", "next_attempt_at"], unique=False)

    op.create_table(
        "media_file",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("generation_id", sa.Text(), nullable=False),
        sa.Column("output_id", sa.Text(), nullable=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("bucket", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("file_url", sa.Text(), nullable=True),
        sa.Column("file_name", sa.String(), nullable=True),
        sa.Column("file_size", sa.BigInteger(), nullable=True),
        sa.Column("file_type", sa.String(), nullable=True),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("md5", sa.String(), nullable=True),
        sa.Column("etag", sa.String(), nullable=True),
        sa.Column("proof", sa.String(), nullable=True),
        sa.Column("container", sa.String(), nullable=True),
        sa.Column("video_codec", sa.String(), nullable=True),
        sa.Column("video_profile", sa.String(), nullable=True),
        sa.Column("audio_codec", sa.String(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("fps", sa.Float(), nullable=True),
        sa.Column("duration_seconds", sa.Float(), nullable=True),
        sa.Column("bitrate", sa.BigInteger(), nullable=True),
        sa.Column("uploaded_at", UtcDateTime(), nullable=True),
        sa.Column("verified_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["generation_id"],
            ["generation.id"],
        ),
        sa.ForeignKeyConstraint(
            ["output_id"],
            ["output.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("bucket", "key", name="uq_media_file_bucket_key"),
    )
    with op.batch_alter_table("media_file", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_media_file_generation_id"), ["generation_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_media_file_output_id"), ["output_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_media_file_sha256"), ["sha256"], unique=False)
        batch_op.create_index("ix_media_file_state_created_at", ["state", "created_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("media_file", schema=None) as batch_op:
        batch_op.drop_index("ix_media_file_state_created_at")
        batch_op.drop_index(batch_op.f("ix_media_file_sha256"))
        batch_op.drop_index(batch_op.f("ix_media_file_output_id"))
        batch_op.drop_index(batch_op.f("ix_media_file_generation_id"))

    op.drop_table("media_file")
    with op.batch_alter_table("output", schema=None) as batch_op:
        batch_op.drop_index("ix_output_state_next_attempt_at")
        batch_op.drop_index("ix_output_state_deadline_at")
        batch_op.drop_index(batch_op.f("ix_output_source_fingerprint"))
        batch_op.drop_index(batch_op.f("ix_output_job_id"))
        batch_op.drop_index(batch_op.f("ix_output_generation_id"))

    op.drop_table("output")
    with op.batch_alter_table("provider_job", schema=None) as batch_op:
        batch_op.drop_index("ix_provider_job_status_next_poll_at")
        batch_op.drop_index(batch_op.f("ix_provider_job_generation_id"))

    op.drop_table("provider_job")
    op.drop_table("lease")
    with op.batch_alter_table("generation", schema=None) as batch_op:
        batch_op.drop_index("ix_generation_status_updated_at")
        batch_op.drop_index(batch_op.f("ix_generation_provider"))
        batch_op.drop_index("ix_generation_owner_created_at")
        batch_op.drop_index(batch_op.f("ix_generation_campaign"))

    op.drop_table("generation")
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.drop_index("ix_event_generation_id_id")
        batch_op.drop_index(batch_op.f("ix_event_at"))

    op.drop_table("event")
