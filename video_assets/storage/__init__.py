"""Durable storage: one protocol, one class per kind of store, one place that builds URLs."""

from __future__ import annotations

from video_assets.settings import Settings
from video_assets.storage.durable import (
    IMMUTABLE_CACHE_CONTROL,
    DurableStorage,
    ObjectMissing,
    StorageFailed,
    StoredObject,
)
from video_assets.storage.keys import InvalidKey, InvalidTemplate, KeyTemplate

__all__ = [
    "IMMUTABLE_CACHE_CONTROL",
    "DurableStorage",
    "InvalidKey",
    "InvalidTemplate",
    "KeyTemplate",
    "ObjectMissing",
    "StorageFailed",
    "StoredObject",
    "open_storage",
]


def open_storage(settings: Settings) -> DurableStorage:
    """The durable storage that the settings name. Touches neither network nor bucket.

    Raises :class:`StorageFailed` when the settings contradict each other, naming the one to change.
    """
    if settings.storage == "local":
        from video_assets.storage.local import LocalStorage
        from video_assets.storage.signing import load_signing_key

        return LocalStorage(
            settings.local_storage_root, settings.bucket, settings.public_base_url, load_signing_key(settings)
        )
    # Imported only when used: dagster-aws and boto3 take a second to load.
    from video_assets.storage.s3 import open_s3_storage

    return open_s3_storage(settings)
