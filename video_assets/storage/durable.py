"""What every durable store can do. One class implements it per kind of store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, runtime_checkable

from video_assets.reasons import Reason

IMMUTABLE_CACHE_CONTROL = "public, max-age=31536000, immutable"
"""Durable objects never change, so every cache on the way may keep them for a year (S0.32, S3.4)."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as the store reports it. ``etag`` is opaque: identity is SHA-256, never an ETag."""

    key: str
    size: int
    etag: str | None = None
    content_type: str | None = None
    modified_at: datetime | None = None
    cache_control: str | None = None


class StorageFailed(Exception):
    """The store did not do what was asked. The message names bucket and key, never a credential."""

    reason = Reason.STORAGE_FAILED

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class ObjectMissing(StorageFailed):
    """The key does not exist in the store."""


@runtime_checkable
class DurableStorage(Protocol):
    """A bucket of immutable objects.

    Every method may raise :class:`StorageFailed`. Methods are safe to call from several threads.
    """

    @property
    def bucket(self) -> str:
        """Name of the bucket."""

    @property
    def compares_md5(self) -> bool:
        """Whether an MD5 makes ``put`` safer or ``read_back`` cheaper here; without it none need be computed."""

    def put(
        self, key: str, source: Path, *, content_type: str, sha256: str, md5: str | None = None
    ) -> StoredObject:
        """Store the file at ``source`` under ``key``, replacing what is there. All or nothing.

        ``sha256`` and ``md5`` are hex digests of the file; the store verifies what it can on the way.
        """

    def head(self, key: str) -> StoredObject | None:
        """What the store knows of ``key``, or None when it is not there."""

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes ``start`` to ``end`` (exclusive; None is the end) in blocks. Raises ObjectMissing."""

    def read_back(self, key: str, *, size: int, sha256: str, md5: str | None = None) -> str:
        """Prove that the store holds exactly these bytes, in the cheapest way that is a proof.

        Returns how it was proven: ``"etag"`` (the store's MD5 of a single-part object equals ours) or
        ``"bytes"`` (read and hashed again). Raises StorageFailed when the object differs.
        """

    def delete(self, key: str) -> bool:
        """Remove ``key``; True when something was removed. Removing twice is not an error."""

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Every object whose key starts with ``prefix``, in key order, paged."""

    def public_url(self, key: str) -> str:
        """The permanent, anonymous address of ``key``."""

    def signed_url(self, key: str, *, expires_in: int, download_name: str | None = None) -> str:
        """An address of ``key`` that works for ``expires_in`` seconds. Made at read time, never stored."""

    def abort_stale_uploads(self, older_than: timedelta) -> int:
        """Remove what writers that were killed more than ``older_than`` ago left half-written; returns how many.

        Such leftovers are never visible as objects, but they take space (and money, in S3).
        """
