"""The tables of the legacy side"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from video_assets.catalog.columns import EncryptedText, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ledger_entry",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("undoes", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("table_name", sa.String(), nullable=False),
        sa.Column("row_key", sa.Text(), nullable=False),
        sa.Column("column_name", sa.String(), nullable=False),
        sa.Column("before_digest", sa.String(), nullable=False),
        sa.Column("after_digest", sa.String(), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("ledger_entry", schema=None) as batch_op:
        batch_op.create_index("ix_ledger_entry_place", ["source", "table_name", "row_key"], unique=False)
        batch_op.create_index(batch_op.f("ix_ledger_entry_run"), ["run"], unique=False)
        batch_op.create_index("ix_ledger_entry_source_id", ["source", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_ledger_entry_undoes"), ["undoes"], unique=False)

    op.create_table(
        "legacy_batch",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("findings", sa.Integer(), nullable=False),
        sa.Column("first_deadline_at", UtcDateTime(), nullable=True),
        sa.Column("done_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    with op.batch_alter_table("legacy_batch", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_legacy_batch_first_deadline_at"), ["first_deadline_at"], unique=False
        )
        batch_op.create_index("ix_legacy_batch_source_number", ["source", "number"], unique=False)

    op.create_table(
        "legacy_file",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("temporary_url", EncryptedText(), nullable=True),
        sa.Column("redacted", sa.Text(), nullable=True),
        sa.Column("host", sa.String(), nullable=True),
        sa.Column("scheme", sa.String(), nullable=True),
        sa.Column("deadline_at", UtcDateTime(), nullable=True),
        sa.Column("provider", sa.String(), nullable=True),
        sa.Column("task_id", sa.String(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", UtcDateTime(), nullable=True),
        sa.Column("refreshes", sa.Integer(), nullable=False),
        sa.Column("bucket", sa.String(), nullable=True),
        sa.Column("key", sa.String(), nullable=True),
        sa.Column("file_url", sa.Text(), nullable=True),
        sa.Column("file_name", sa.String(), nullable=True),
        sa.Column("file_size", sa.BigInteger(), nullable=True),
        sa.Column("file_type", sa.String(), nullable=True),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("md5", sa.String(), nullable=True),
        sa.Column("etag", sa.String(), nullable=True),
        sa.Column("proof", sa.String(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("stored_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("bucket", "key", name="uq_legacy_file_bucket_key"),
        sa.UniqueConstraint("source", "fingerprint", name="uq_legacy_file_source_fingerprint"),
    )
    with op.batch_alter_table("legacy_file", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_legacy_file_sha256"), ["sha256"], unique=False)
        batch_op.create_index(
            "ix_legacy_file_source_state_deadline", ["source", "state", "deadline_at"], unique=False
        )

    op.create_table(
        "legacy_source",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("preset", sa.String(), nullable=True),
        sa.Column("cursor", sa.JSON(), nullable=False),
        sa.Column("rows_scanned", sa.BigInteger(), nullable=False),
        sa.Column("scanned_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "ledger_confirmation",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("entry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"],
            ["ledger_entry.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("ledger_confirmation", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ledger_confirmation_entry_id"), ["entry_id"], unique=False)

    op.create_table(
        "ledger_image",
        sa.Column("entry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["entry_id"],
            ["ledger_entry.id"],
        ),
        sa.PrimaryKeyConstraint("entry_id"),
    )
    with op.batch_alter_table("ledger_image", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ledger_image_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "legacy_finding",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("table_name", sa.String(), nullable=False),
        sa.Column("row_key", sa.Text(), nullable=False),
        sa.Column("column_name", sa.String(), nullable=False),
        sa.Column("pointer", sa.Text(), nullable=False),
        sa.Column("file_id", sa.Text(), nullable=False),
        sa.Column("url_digest", sa.String(), nullable=False),
        sa.Column("redacted", sa.Text(), nullable=False),
        sa.Column("scheme", sa.String(), nullable=True),
        sa.Column("carries_jwt", sa.Boolean(), nullable=False),
        sa.Column("deadline_at", UtcDateTime(), nullable=True),
        sa.Column("context", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("batch", sa.String(), nullable=True),
        sa.Column("found_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["file_id"],
            ["legacy_file.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("legacy_finding", schema=None) as batch_op:
        batch_op.create_index("ix_legacy_finding_batch", ["batch", "state"], unique=False)
        batch_op.create_index(batch_op.f("ix_legacy_finding_file_id"), ["file_id"], unique=False)
        batch_op.create_index("ix_legacy_finding_place", ["source", "table_name", "row_key"], unique=False)
        batch_op.create_index(
            "ix_legacy_finding_source_state_deadline", ["source", "state", "deadline_at"], unique=False
        )


def downgrade() -> None:
    with op.batch_alter_table("legacy_finding", schema=None) as batch_op:
        batch_op.drop_index("ix_legacy_finding_source_state_deadline")
        batch_op.drop_index("ix_legacy_finding_place")
        batch_op.drop_index(batch_op.f("ix_legacy_finding_file_id"))
        batch_op.drop_index("ix_legacy_finding_batch")

    op.drop_table("legacy_finding")
    with op.batch_alter_table("ledger_image", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_ledger_image_expires_at"))

    op.drop_table("ledger_image")
    with op.batch_alter_table("ledger_confirmation", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_ledger_confirmation_entry_id"))

    op.drop_table("ledger_confirmation")
    op.drop_table("legacy_source")
    with op.batch_alter_table("legacy_file", schema=None) as batch_op:
        batch_op.drop_index("ix_legacy_file_source_state_deadline")
        batch_op.drop_index(batch_op.f("ix_legacy_file_sha256"))

    op.drop_table("legacy_file")
    with op.batch_alter_table("legacy_batch", schema=None) as batch_op:
        batch_op.drop_index("ix_legacy_batch_source_number")
        batch_op.drop_index(batch_op.f("ix_legacy_batch_first_deadline_at"))

    op.drop_table("legacy_batch")
    with op.batch_alter_table("ledger_entry", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_ledger_entry_undoes"))
        batch_op.drop_index("ix_ledger_entry_source_id")
        batch_op.drop_index(batch_op.f("ix_ledger_entry_run"))
        batch_op.drop_index("ix_ledger_entry_place")

    op.drop_table("ledger_entry")
