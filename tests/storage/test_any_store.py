"""What every store promises, asked of each of them."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from video_assets.reasons import Reason
from video_assets.storage import DurableStorage, InvalidKey, ObjectMissing, StorageFailed

from .conftest import Source, make_source

KEY = "ana/video-1732000000000/video-1.mp4"


def test_what_is_put_can_be_seen_and_read(store: DurableStorage, source: Source) -> None:
    put = source.put(store, KEY)
    assert (put.key, put.size) == (KEY, len(source.content))
    found = store.head(KEY)
    assert found is not None
    assert (found.key, found.size, found.content_type) == (KEY, len(source.content), "video/mp4")
    assert found.etag
    assert '"' not in found.etag
    assert found.modified_at is not None
    assert abs(datetime.now(UTC) - found.modified_at) < timedelta(minutes=2)
    assert b"".join(store.read(KEY)) == source.content
    assert source.path.read_bytes() == source.content


def test_a_store_is_what_the_protocol_says(store: DurableStorage) -> None:
    assert isinstance(store, DurableStorage)
    assert store.bucket


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, 1),
        (0, None),
        (5, 5),
        (7, 3),
        (262_143, 262_145),
        (1_500_002, None),
        (1_500_003, None),
        (9_999_999, None),
        (9_999_999, 10_000_000),
        (1_400_000, 9_999_999),
    ],
)
def test_a_range_is_a_slice(store: DurableStorage, source: Source, start: int, end: int | None) -> None:
    source.put(store, KEY)
    assert b"".join(store.read(KEY, start, end)) == source.content[start:end]


def test_a_block_of_a_read_is_small_whatever_the_file(store: DurableStorage, source: Source) -> None:
    source.put(store, KEY)
    assert max(map(len, store.read(KEY))) <= 256 * 1024


def test_a_reader_may_stop_in_the_middle(store: DurableStorage, source: Source) -> None:
    source.put(store, KEY)
    for _ in range(80):  # more than any pool of connections holds
        blocks = store.read(KEY)
        next(blocks)
        blocks.close()  # type: ignore[attr-defined]
    assert store.head(KEY) is not None


def test_missing_is_told_apart_from_broken(store: DurableStorage) -> None:
    assert store.head("no/such.mp4") is None
    assert store.delete("no/such.mp4") is False
    with pytest.raises(ObjectMissing):
        store.read("no/such.mp4")
    with pytest.raises(ObjectMissing):
        store.read("no/such.mp4", 5, 5)
    with pytest.raises(ObjectMissing):
        store.read_back("no/such.mp4", size=1, sha256="0" * 64)


def test_the_proof_of_the_bytes_holds_and_can_fail(store: DurableStorage, source: Source, tmp_path: Path) -> None:
    source.put(store, KEY)
    size = len(source.content)
    assert store.read_back(KEY, size=size, sha256=source.sha256, md5=source.md5) in ("etag", "bytes")
    assert store.read_back(KEY, size=size, sha256=source.sha256) == "bytes"
    other = make_source(tmp_path, size, "other")
    with pytest.raises(StorageFailed, match="other bytes"):
        store.read_back(KEY, size=size, sha256=other.sha256, md5=other.md5)
    with pytest.raises(StorageFailed, match=f"{size} bytes"):
        store.read_back(KEY, size=size + 1, sha256=source.sha256, md5=source.md5)


def test_putting_again_replaces(store: DurableStorage, source: Source, tmp_path: Path) -> None:
    source.put(store, KEY)
    again = make_source(tmp_path, 10, "again")
    again.put(store, KEY)
    assert b"".join(store.read(KEY)) == again.content
    assert [found.key for found in store.list()] == [KEY]


def test_an_empty_file_is_a_file(store: DurableStorage, tmp_path: Path) -> None:
    empty = make_source(tmp_path, 0)
    empty.put(store, "a/empty.mp4")
    assert store.read_back("a/empty.mp4", size=0, sha256=empty.sha256, md5=empty.md5)
    assert list(store.read("a/empty.mp4")) == []


def test_deleting_twice_is_no_error(store: DurableStorage, source: Source) -> None:
    source.put(store, KEY)
    assert store.delete(KEY) is True
    assert store.delete(KEY) is False
    assert store.head(KEY) is None
    assert list(store.list()) == []


def test_the_list_is_in_key_order_and_by_prefix(store: DurableStorage, tmp_path: Path) -> None:
    small = make_source(tmp_path, 3)
    keys = ["a/b/c.mp4", "a/b.mp4", "a-b/c.mp4", "a0/c.mp4", "b/é.mp4", "b/z.mp4", "a/b/d.mp4"]
    for key in keys:
        small.put(store, key)
    listed = list(store.list())
    assert [found.key for found in listed] == sorted(keys, key=str.encode)
    assert {found.size for found in listed} == {3}
    assert all(found.modified_at is not None and found.modified_at.tzinfo is not None for found in listed)
    for prefix in ("a", "a/", "a/b", "a/b/", "a-", "b/é", "nothing", "a/b/c.mp4"):
        expected = sorted((key for key in keys if key.startswith(prefix)), key=str.encode)
        assert [found.key for found in store.list(prefix)] == expected, prefix


@pytest.mark.parametrize(
    "key", ["ü/ñ á.mp4", "a+b & c=d;e@f$g,h.mp4", "100%/50%20.mp4", "what?#.mp4", "it's (1)!.mp4", "日本/語.mp4"]
)
def test_any_allowed_key_works_from_end_to_end(store: DurableStorage, source: Source, key: str) -> None:
    source.put(store, key)
    found = store.head(key)
    assert found is not None
    assert found.size == len(source.content)
    assert b"".join(store.read(key, 5, 9)) == source.content[5:9]
    assert [listed.key for listed in store.list()] == [key]
    assert store.public_url(key).isascii()
    assert store.delete(key) is True


@pytest.mark.parametrize(
    "key", ["", "/a", "a//b", "a/../b", "..", "a/./b", "a\\b", "a\0b", "a\nb", "a/", "x" * 1025]
)
def test_a_key_that_leads_elsewhere_is_refused_by_every_method(
    store: DurableStorage, source: Source, key: str
) -> None:
    calls = [
        lambda: source.put(store, key),
        lambda: store.head(key),
        lambda: store.read(key),
        lambda: store.read_back(key, size=1, sha256="0" * 64),
        lambda: store.delete(key),
        lambda: store.public_url(key),
        lambda: store.signed_url(key, expires_in=60),
    ]
    for call in calls:
        with pytest.raises(InvalidKey) as caught:
            call()
        assert caught.value.retryable is False
        assert caught.value.reason is Reason.STORAGE_FAILED
    assert list(store.list()) == []


@pytest.mark.parametrize("seconds", [0, -1, 7 * 24 * 3600 + 1])
def test_a_signed_address_cannot_live_for_ever(store: DurableStorage, seconds: int) -> None:
    with pytest.raises(ValueError, match="lives between"):
        store.signed_url(KEY, expires_in=seconds)


def test_a_source_that_is_gone_is_named_by_its_key(store: DurableStorage, tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="cannot be read"):
        store.put(KEY, tmp_path / "gone", content_type="video/mp4", sha256="0" * 64)
    assert store.head(KEY) is None


def test_many_threads_may_put_read_and_delete_at_once(store: DurableStorage, tmp_path: Path) -> None:
    sources = [make_source(tmp_path, 200_000 + number, str(number)) for number in range(8)]

    def work(number: int) -> bool:
        mine = sources[number % 8]
        key = f"shared/folder-{number % 2}/video-{number}.mp4"
        mine.put(store, key)
        same = b"".join(store.read(key)) == mine.content
        return same and store.delete(key)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(48)))
    assert list(store.list()) == []


def test_a_reader_never_sees_half_of_a_replacement(store: DurableStorage, tmp_path: Path) -> None:
    versions = [make_source(tmp_path, 400_000, "old"), make_source(tmp_path, 400_000, "new")]
    versions[0].put(store, KEY)
    allowed = {version.sha256 for version in versions}
    done = threading.Event()

    def replace() -> None:
        for number in range(12):
            versions[number % 2].put(store, KEY)
        done.set()

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(replace)
        seen = 0
        while not done.is_set() or seen < 3:
            if writer.done() and writer.exception():
                break
            assert hashlib.sha256(b"".join(store.read(KEY))).hexdigest() in allowed
            seen += 1
        writer.result()
