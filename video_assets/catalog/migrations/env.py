"""Alembic's entry point: runs inside the connection and transaction that ``migrations`` opened."""

from alembic import context
from sqlmodel import SQLModel

from video_assets.catalog import legacy, models  # noqa: F401  (fills the metadata)
from video_assets.catalog.migrations import VERSION_TABLE

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
context.run_migrations()
