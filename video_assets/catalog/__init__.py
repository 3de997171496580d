"""The catalog: what was asked for, what the provider did, what we hold. SQLModel tables and their queries.

Knows settings and URL intelligence; knows nothing of Dagster, providers or the web.
"""

from video_assets.catalog.database import Catalog, CatalogHandle, open_catalog
from video_assets.catalog.errors import (
    CatalogError,
    CatalogTooNew,
    CatalogUnavailable,
    EncryptionKeyMissing,
    EncryptionKeyWrong,
)
from video_assets.catalog.models import (
    Event,
    Generation,
    GenerationStatus,
    JobStatus,
    KeptFile,
    Lease,
    MediaFile,
    MediaState,
    Output,
    ProviderJob,
)

__all__ = [
    "Catalog",
    "CatalogError",
    "CatalogHandle",
    "CatalogTooNew",
    "CatalogUnavailable",
    "EncryptionKeyMissing",
    "EncryptionKeyWrong",
    "Event",
    "Generation",
    "GenerationStatus",
    "JobStatus",
    "KeptFile",
    "Lease",
    "MediaFile",
    "MediaState",
    "Output",
    "ProviderJob",
    "open_catalog",
]
