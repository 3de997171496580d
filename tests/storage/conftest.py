"""The three stores of these tests, each in an empty bucket of its own: a folder, rclone's S3 and moto's S3."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from video_assets.settings import Settings
from video_assets.storage import DurableStorage, open_storage
from video_assets.storage.s3 import S3Storage

from .servers import KEY_ID, SECRET, moto_server, rclone_server


@dataclass(frozen=True)
class Source:
    """A file with its digests, as the transfer hands it over."""

    path: Path
    content: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def md5(self) -> str:
        return hashlib.md5(self.content, usedforsecurity=False).hexdigest()

    def put(self, store: DurableStorage, key: str, *, content_type: str = "video/mp4", md5: bool = True) -> Any:
        return store.put(
            key, self.path, content_type=content_type, sha256=self.sha256, md5=self.md5 if md5 else None
        )


def make_source(folder: Path, size: int, seed: str = "video") -> Source:
    content = hashlib.shake_128(seed.encode()).digest(size)
    path = folder / f"spool-{uuid.uuid4().hex}"
    path.write_bytes(content)
    return Source(path, content)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return make_source(tmp_path, 1_500_003)


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Endpoint and folder of ``rclone serve s3``."""
    folder = tmp_path_factory.mktemp("rclone")
    buckets = folder / "buckets"
    buckets.mkdir()
    with rclone_server(buckets, folder / "log") as endpoint:
        yield endpoint, buckets


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


def s3_store(endpoint: str, bucket: str | None = None, **settings: Any) -> S3Storage:
    values: dict[str, Any] = {
        "storage": "s3",
        "s3_endpoint_url": endpoint,
        "s3_access_key_id": KEY_ID,
        "s3_secret_access_key": SECRET,
        "bucket": bucket or f"bucket-{uuid.uuid4().hex[:12]}",
    }
    store = open_storage(Settings(_env_file=None, **{**values, **settings}))
    assert isinstance(store, S3Storage)
    return store


@pytest.fixture
def s3(rclone: tuple[str, Path]) -> S3Storage:
    """An empty bucket of a server that checks signatures."""
    store = s3_store(rclone[0])
    store.ensure_bucket()
    return store


@pytest.fixture(params=["local", "rclone", "moto"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> DurableStorage:
    """Every kind of store in turn, empty."""
    if request.param == "local":
        return open_storage(Settings(_env_file=None, home=tmp_path / "home"))
    served = request.getfixturevalue(request.param)
    bucket = s3_store(served if isinstance(served, str) else served[0])
    bucket.ensure_bucket()
    return bucket
