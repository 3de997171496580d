"""Uploads in parts: each part is covered by its own MD5, and the whole by the ETag that stores make of these."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from video_assets.storage.durable import StorageFailed
from video_assets.storage.s3_upload import Digests, Target, Uploader, digests

PART_SIZE: Final = 16 * 1024**2
PARTS_AT_ONCE: Final = 4
_MAX_PARTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Joined:
    """The joined object: its ETag, and whether that proves the bytes.

    It does when the store called each part by the MD5 of its bytes, and the whole by the MD5 of these MD5s
    followed by their number: what AWS, Ceph, MinIO and SeaweedFS do without encryption by key.
    """

    etag: str
    proven: bool


def put_parts(
    client: Any,
    uploader: Uploader,
    find_target: Callable[[], Target],
    source: Path,
    size: int,
    *,
    bucket: str,
    key: str,
    headers: Mapping[str, str],
    sha256: str,
    give_up: Callable[[str], None],
) -> Joined:
    """Upload ``size`` bytes of ``source`` in equal parts, a few at the same time, and join them.

    Each part carries its Content-MD5, and over plain HTTP its signed SHA-256 as well, as botocore signs it. What
    was sent is compared with ``sha256``, the hex digest of the whole file. ``give_up`` is called with the
    upload's id on any error, which is then raised as it came.
    """
    part_size = max(PART_SIZE, -(-size // _MAX_PARTS))
    begun = client.create_multipart_upload(
        Bucket=bucket, Key=key, ContentType=headers["Content-Type"], CacheControl=headers["Cache-Control"]
    )
    upload = begun["UploadId"]
    target = find_target()  # only now: the answer may have told in which region the bucket is

    whole = hashlib.sha256()
    failed = threading.Event()

    def send(number: int, offset: int, length: int, known: Digests) -> tuple[str, bytes]:
        try:
            answer = uploader.put(
                target,
                source,
                offset=offset,
                length=length,
                headers={"Content-MD5": known.content_md5},
                payload_sha256=known.sha256,
                query=f"uploadId={quote(upload, safe='-_.~')}&partNumber={number}",
            )
        except BaseException:
            failed.set()
            raise
        return answer.get("ETag", ""), known.md5

    try:
        with ThreadPoolExecutor(PARTS_AT_ONCE, thread_name_prefix="s3-part") as pool:
            sent: list[Future[tuple[str, bytes]]] = []
            try:
                for offset in range(0, size, part_size):
                    length = min(part_size, size - offset)
                    known = digests(source, offset, length, sha256=not target.encrypted, whole=whole)
                    sent.append(pool.submit(send, len(sent) + 1, offset, length, known))
                    if failed.is_set():
                        break
                parts = [part.result() for part in sent]
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        if whole.hexdigest() != sha256:
            raise StorageFailed(
                f"The file to store as {key!r} is not the one that was verified: it changed on disk."
            )
        named = [{"PartNumber": number, "ETag": etag} for number, (etag, _) in enumerate(parts, start=1)]
        done = client.complete_multipart_upload(
            Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": named}
        )
    except BaseException:
        give_up(upload)
        raise
    etag = str(done.get("ETag", "")).strip('"')
    joined = hashlib.md5(b"".join(md5 for _, md5 in parts), usedforsecurity=False).hexdigest()
    by_md5 = all(etag_of_part.strip('"') == md5.hex() for etag_of_part, md5 in parts)
    return Joined(etag, by_md5 and etag == f"{joined}-{len(parts)}")
