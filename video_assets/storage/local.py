"""Durable storage in a folder: what the embedded defaults use, and a mounted volume in production."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from io import FileIO
from pathlib import Path
from typing import Final

from video_assets.storage.content_types import content_type_of
from video_assets.storage.durable import ObjectMissing, StorageFailed, StoredObject
from video_assets.storage.keys import RESERVED_SEGMENT, InvalidKey, validate_key
from video_assets.storage.links import quote_key
from video_assets.storage.signing import sign_media_query

READ_BLOCK: Final = 256 * 1024
_COPY_BLOCK: Final = 1024 * 1024
_NO_KERNEL_COPY: Final = {errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM}


class LocalStorage:
    """Objects as files under ``root/bucket``; a key is the path of its file.

    An object appears complete or not at all: it is written beside the others, in ``.incoming`` on the same file
    system, flushed to the disk, then renamed, and the folders are flushed too. The source is copied inside the
    kernel, which shares the blocks where the file system can (XFS, btrfs). It is never hard-linked: a second
    name for the same file would let a later write to the spool change a durable object.

    Symbolic links inside the store are refused, so that no key leads out of it.
    """

    def __init__(self, root: Path, bucket: str, public_base_url: str, signing_key: bytes) -> None:
        if "/" in bucket:
            raise InvalidKey(f"The bucket {bucket!r} is not a single folder name.")
        validate_key(bucket)
        self._bucket = bucket
        self._folder = (root.absolute() / bucket).resolve()
        self._incoming = self._folder / RESERVED_SEGMENT
        self._public_base_url = public_base_url.rstrip("/")
        self._signing_key = signing_key

    def __repr__(self) -> str:
        return f"LocalStorage({str(self._folder)!r})"

    @property
    def bucket(self) -> str:
        """Name of the bucket: the first folder under the root."""
        return self._bucket

    @property
    def compares_md5(self) -> bool:
        """False: reading a file back costs little here and proves more."""
        return False

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self._folder

    def put(
        self, key: str, source: Path, *, content_type: str, sha256: str, md5: str | None = None
    ) -> StoredObject:
        """Copy ``source`` to ``key``, all or nothing, and flush it to the disk. ``source`` stays as it is.

        The Content-Type is not written down: it follows from the ending of the key. The digests are not needed
        on the way, because :meth:`read_back` reads what is on the disk.
        """
        target = self._path(key)
        try:
            reader = source.open("rb", buffering=0)
        except OSError as error:
            raise StorageFailed(f"The file to store as {key!r} cannot be read: {error.strerror}.") from None
        with reader, self._telling(f"store {key!r}"):
            self._make_folder(self._incoming)
            draft = self._incoming / f"{secrets.token_hex(12)}.part"
            try:
                written = self._write(draft, reader)
                self._publish(draft, target)
            except BaseException:
                with suppress(OSError):
                    draft.unlink()
                raise
            return self._describe(key, written)

    def head(self, key: str) -> StoredObject | None:
        """Size, time and type of ``key``, or None when it is not there."""
        target = self._path(key)
        try:
            with self._finding(key, "look at"):
                found = target.lstat()
        except ObjectMissing:
            return None
        return self._describe(key, found) if stat.S_ISREG(found.st_mode) else None

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Bytes ``start`` to ``end`` (exclusive) in blocks of 256 KiB. Raises ObjectMissing at once."""
        if start < 0 or (end is not None and end < 0):
            raise ValueError("A range begins and ends at or after 0.")
        file = self._open(key)
        file.seek(start)
        return self._blocks(key, file, None if end is None else max(end - start, 0))

    def read_back(self, key: str, *, size: int, sha256: str, md5: str | None = None) -> str:
        """Compare the size, then hash the stored file again. Always ``"bytes"``."""
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(_COPY_BLOCK))
        with self._open(key) as file, self._finding(key, "read"):
            stored = os.fstat(file.fileno()).st_size
            if stored != size:
                raise StorageFailed(f"The store holds {stored} bytes of {key!r} instead of {size}.")
            while count := file.readinto(buffer):
                digest.update(buffer[:count])
        if digest.hexdigest() != sha256:
            raise StorageFailed(f"The store holds other bytes under {key!r} than were put there.")
        return "bytes"

    def delete(self, key: str) -> bool:
        """Remove ``key`` and the folders that became empty. True when it was there."""
        target = self._path(key)
        try:
            with self._finding(key, "delete"):
                if not stat.S_ISREG(target.lstat().st_mode):
                    return False
                target.unlink()
        except ObjectMissing:
            return False
        folder = target.parent
        with suppress(OSError):  # not empty, or somebody else was faster
            _flush_folder(folder)
            while folder != self._folder:
                folder.rmdir()
                folder = folder.parent
        return True

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Every object whose key starts with ``prefix``, in the order S3 lists: by the bytes of the whole key."""
        with self._telling("list the store"):
            yield from self._walk(self._folder, "", prefix)

    def public_url(self, key: str) -> str:
        """The address of ``key`` on the media server."""
        return f"{self._public_base_url}/{quote_key(validate_key(key))}"

    def signed_url(self, key: str, *, expires_in: int, download_name: str | None = None) -> str:
        """The address of ``key`` on the media server with a life of ``expires_in`` seconds, checked by it."""
        query = sign_media_query(self._signing_key, key, expires_in=expires_in, download_name=download_name)
        return f"{self.public_url(key)}?{query}"

    def abort_stale_uploads(self, older_than: timedelta) -> int:
        """Remove what killed writers left half-written more than ``older_than`` ago; returns how many."""
        removed = 0
        horizon = time.time() - older_than.total_seconds()
        with self._telling("sweep half-written files"):
            for draft in self._incoming.glob("*.part"):
                with suppress(FileNotFoundError):
                    if draft.lstat().st_mtime < horizon:
                        draft.unlink()
                        removed += 1
        return removed

    def _path(self, key: str) -> Path:
        """The file of ``key``. Raises InvalidKey when the key or a symbolic link on the way leads elsewhere."""
        target = self._folder.joinpath(*validate_key(key).split("/"))
        with self._telling(f"look at {key!r}"):
            if target.parent.resolve() != target.parent:
                raise InvalidKey(f"The way to {key!r} leads over a symbolic link, which the store refuses.")
        return target

    def _open(self, key: str) -> FileIO:
        """``key`` opened unbuffered for reading; a symbolic link or a folder of that name counts as missing."""
        target = self._path(key)
        with self._finding(key, "read"):
            return open(target, "rb", buffering=0, opener=_open_no_follow)

    def _blocks(self, key: str, file: FileIO, remaining: int | None) -> Iterator[bytes]:
        with file, self._finding(key, "read"):
            while remaining is None or remaining > 0:
                block = file.read(READ_BLOCK if remaining is None else min(READ_BLOCK, remaining))
                if not block:
                    return
                if remaining is not None:
                    remaining -= len(block)
                yield block

    def _write(self, draft: Path, reader: FileIO) -> os.stat_result:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        try:
            expected = os.fstat(reader.fileno()).st_size
            copied = _copy(reader, handle)
            if copied != expected:
                raise StorageFailed(
                    f"The file to store changed while it was copied: {copied} of {expected} bytes."
                )
            os.fsync(handle)
            return os.fstat(handle)
        finally:
            os.close(handle)

    def _publish(self, draft: Path, target: Path) -> None:
        for _ in range(20):
            try:
                self._make_folder(target.parent)
                os.replace(draft, target)
            except FileNotFoundError:
                continue  # a delete pruned the folder between the two lines
            with suppress(FileNotFoundError):  # and another one the object, already
                _flush_folder(target.parent)
            return
        raise StorageFailed(
            f"The folder of {target.name!r}, or the half-written file, is removed by somebody else."
        )

    def _make_folder(self, folder: Path) -> None:
        """Make ``folder`` and its parents; every new name is flushed, so that a power cut cannot lose the way."""
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for new in reversed(missing):
            with suppress(FileExistsError):
                new.mkdir()
            with suppress(FileNotFoundError):
                _flush_folder(new.parent)

    def _walk(self, folder: Path, path: str, prefix: str) -> Iterator[StoredObject]:
        try:
            with os.scandir(folder) as entries:
                # A folder sorts as "name/", because that is how the keys below it go on.
                named = sorted(
                    (os.fsencode(entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "")), entry.name)
                    for entry in entries
                    if not entry.is_symlink()
                )
        except FileNotFoundError:
            return
        for encoded, name in named:
            if not path and name == RESERVED_SEGMENT:
                continue
            key = path + name
            if encoded.endswith(b"/"):
                below = key + "/"
                if below.startswith(prefix) or prefix.startswith(below):
                    yield from self._walk(folder / name, below, prefix)
            elif key.startswith(prefix):
                with suppress(FileNotFoundError):
                    found = (folder / name).lstat()
                    if stat.S_ISREG(found.st_mode):
                        yield self._describe(key, found)

    @staticmethod
    def _describe(key: str, found: os.stat_result) -> StoredObject:
        return StoredObject(
            key=key,
            size=found.st_size,
            etag=f"{found.st_size:x}-{found.st_mtime_ns:x}",
            content_type=content_type_of(key),
            modified_at=datetime.fromtimestamp(found.st_mtime, UTC),
        )

    @contextmanager
    def _telling(self, action: str) -> Iterator[None]:
        """Turn an error of the operating system into one sentence with its remedy."""
        try:
            yield
        except OSError as error:
            raise StorageFailed(f"Cannot {action} in {self._folder}: {_remedy(error)}") from None

    @contextmanager
    def _finding(self, key: str, action: str) -> Iterator[None]:
        """The same for something that may not be there: a name that leads to no file is a missing object."""
        with self._telling(f"{action} {key!r}"):
            try:
                yield
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR):
                    raise ObjectMissing(f"The local store holds no object {key!r}.") from None
                raise


def _remedy(error: OSError) -> str:
    """What an operating-system error means here, and what to do about it."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full. Free some space or move VIDEO_ASSETS_STORAGE_ROOT to a larger disk."
        case errno.EFBIG:
            return "the file is larger than this disk or process may hold. Raise the file-size limit."
        case errno.EROFS:
            return "the disk is mounted read-only. Mount it writable or change VIDEO_ASSETS_STORAGE_ROOT."
        case errno.EACCES | errno.EPERM:
            return "the folder may not be written by this user. Change its owner or its permissions."
        case errno.ENOTDIR | errno.EEXIST | errno.EISDIR | errno.ENOTEMPTY:
            return "a file and a folder of one name are in each other's way. Look at VIDEO_ASSETS_STORAGE_ROOT."
        case errno.ENOENT:
            return (
                "the folder cannot be made or is gone. Check VIDEO_ASSETS_STORAGE_ROOT and what is mounted there."
            )
        case errno.EMFILE | errno.ENFILE:
            return "too many files are open. Raise the limit of open files (ulimit -n)."
        case errno.EIO:
            return "the disk reports a read or write error. Check the disk."
        case _:
            return f"{error.strerror or type(error).__name__}."


def _open_no_follow(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def _copy(reader: FileIO, handle: int) -> int:
    """Copy from the start of ``reader`` to the empty file ``handle``; returns the number of bytes."""
    copied = 0
    if hasattr(os, "copy_file_range"):  # Linux
        try:
            while count := os.copy_file_range(reader.fileno(), handle, 64 * _COPY_BLOCK, copied, copied):
                copied += count
            # Some network file systems answer 0 at once; then the loop below does the work.
        except OSError as error:
            if error.errno not in _NO_KERNEL_COPY:
                raise
    reader.seek(copied)
    os.lseek(handle, copied, os.SEEK_SET)
    buffer = memoryview(bytearray(_COPY_BLOCK))
    while count := reader.readinto(buffer):
        written = 0
        while written < count:
            written += os.write(handle, buffer[written:count])
        copied += count
    return copied


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
