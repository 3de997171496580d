"""Durable storage in any S3-compatible store: AWS, Supabase Storage, Cloudflare R2, MinIO and others."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from video_assets.settings import Settings
from video_assets.storage.addressing import Addressing, addressing, is_aws, unsupported
from video_assets.storage.durable import IMMUTABLE_CACHE_CONTROL, ObjectMissing, StorageFailed, StoredObject
from video_assets.storage.keys import validate_key
from video_assets.storage.links import attachment, public_base, quote_key
from video_assets.storage.s3_bucket import FAILURES, S3Bucket
from video_assets.storage.s3_client import connect
from video_assets.storage.s3_faults import Refused, fault_of
from video_assets.storage.s3_parts import put_parts
from video_assets.storage.s3_upload import Uploader, digests
from video_assets.storage.signing import check_lifetime

READ_BLOCK: Final = 256 * 1024
_MAX_SINGLE_PUT: Final = 5 * 1024**3
_READ_RESUMES: Final = 3
_PROVEN_ETAGS_KEPT: Final = 1000

T = TypeVar("T")


class S3Storage(S3Bucket):
    """Objects in one bucket of an S3-compatible store.

    Uploads are single PUTs of known length, or parts above ``multipart_threshold`` bytes; every rarer request
    goes through boto3. ``public_base`` is what public links start with (see ``links.public_base``); None means
    the address that botocore computes, as for an access point.
    """

    def __init__(
        self,
        client: Any,
        uploader: Uploader,
        bucket: str,
        *,
        place: Addressing,
        public_base: str | None,
        multipart_threshold: int,
    ) -> None:
        super().__init__(client, bucket, place)
        self._uploader = uploader
        self._public_base = public_base
        self._multipart_threshold = min(multipart_threshold, _MAX_SINGLE_PUT)
        self._proven: dict[str, tuple[str, str]] = {}  # key: SHA-256 and ETag of what was proven while it was put

    @property
    def compares_md5(self) -> bool:
        """True: it goes along as Content-MD5, and the ETag of a single-part object is compared with it."""
        return True

    def put(
        self, key: str, source: Path, *, content_type: str, sha256: str, md5: str | None = None
    ) -> StoredObject:
        """Upload ``source``. A reader sees the whole object or none; a failed upload leaves nothing behind.

        The signature covers ``sha256``, and ``md5`` goes along as Content-MD5: a store that checks either
        refuses bytes that changed on the way. A bucket that does not exist is an error, also at stores that
        would make it.
        """
        validate_key(key)
        try:
            size = source.stat().st_size
        except OSError as error:
            raise StorageFailed(f"The file to store as {key!r} cannot be read: {error.strerror}.") from None
        headers = {"Content-Type": content_type, "Cache-Control": IMMUTABLE_CACHE_CONTROL}
        if md5 is not None:
            headers["Content-MD5"] = base64.b64encode(bytes.fromhex(md5)).decode()
        action = f"store {key!r}"
        self._require_bucket(action)
        if size > self._multipart_threshold:
            etag = self._asking(action, lambda: self._put_parts(key, source, size, headers, sha256))
        else:
            etag = self._asking(action, lambda: self._put_whole(key, source, size, headers, sha256))
        self._saw_bucket()
        return StoredObject(key=key, size=size, etag=etag, content_type=content_type)

    def head(self, key: str) -> StoredObject | None:
        """What the store says about ``key``, or None when it is not there."""
        found = self._head(key)
        return None if found is None else _describe(key, found)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Bytes ``start`` to ``end`` (exclusive) in blocks of up to 256 KiB. Raises ObjectMissing at once.

        A connection that breaks in the middle is taken up again where it broke, three times at most, and only
        while the object is still the same.
        """
        if start < 0 or (end is not None and end < 0):
            raise ValueError("A range begins and ends at or after 0.")
        if end is not None and end <= start:
            if self._head(key) is None:
                raise ObjectMissing(f"There is no object {key!r} in bucket {self._bucket!r}.")
            return iter(())
        first = self._get(key, start, end, None)
        return iter(()) if first is None else self._blocks(key, start, end, first)

    def read_back(self, key: str, *, size: int, sha256: str, md5: str | None = None) -> str:
        """Compare size and MD5 with what the store reports; where its ETag is no MD5, read and hash it."""
        found = self._head(key)
        if found is None:
            raise ObjectMissing(f"There is no object {key!r} in bucket {self._bucket!r}.")
        if found["ContentLength"] != size:
            raise StorageFailed(
                f"Bucket {self._bucket!r} holds {found['ContentLength']} bytes of {key!r} instead of {size}."
            )
        etag = _unquote(found.get("ETag"))
        # The ETag of an object encrypted with a managed or a customer's key is not the MD5 of its bytes.
        encrypted = found.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in found
        # That of an object in parts was proven by ``put`` (``s3_parts.Joined``) while it sent them.
        if etag is not None and not encrypted and (etag == md5 or self._proven.get(key) == (sha256, etag)):
            return "etag"
        digest = hashlib.sha256()
        count = 0
        for block in self.read(key):
            digest.update(block)
            count += len(block)
        if count != size or digest.hexdigest() != sha256:
            raise StorageFailed(f"Bucket {self._bucket!r} holds other bytes under {key!r} than were put there.")
        return "bytes"

    def delete(self, key: str) -> bool:
        """Remove ``key``. S3 does not say whether it was there, so the store is asked first."""
        if self._head(key) is None:
            return False
        self._asking(f"delete {key!r}", lambda: self._client.delete_object(Bucket=self._bucket, Key=key))
        return True

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Every object whose key starts with ``prefix``; pages of up to 1,000 are fetched as they are needed."""
        pages = iter(self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix))
        while page := self._asking("list objects", lambda: next(pages, None)):
            for entry in page.get("Contents", ()):
                yield StoredObject(
                    key=entry["Key"],
                    size=entry["Size"],
                    etag=_unquote(entry.get("ETag")),
                    modified_at=entry["LastModified"].astimezone(UTC),
                )

    def public_url(self, key: str) -> str:
        """The permanent, anonymous address of ``key``; it works when the bucket is public."""
        validate_key(key)
        if self._public_base is None:
            return self._target(key).url
        return f"{self._public_base}/{quote_key(key)}"

    def signed_url(self, key: str, *, expires_in: int, download_name: str | None = None) -> str:
        """An address at the store itself that works for ``expires_in`` seconds, and that nobody may cache."""
        parameters = {
            "Bucket": self._bucket,
            "Key": validate_key(key),
            "ResponseCacheControl": "private, no-store",
        }
        if download_name is not None:
            parameters["ResponseContentDisposition"] = attachment(download_name)
        check_lifetime(expires_in)
        signed: str = self._asking(
            f"sign an address of {key!r}",
            lambda: self._client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=expires_in),
        )
        return signed

    def abort_stale_uploads(self, older_than: timedelta) -> int:
        """Give up multipart uploads begun more than ``older_than`` ago, whose writer died; returns how many."""
        horizon = datetime.now(UTC) - older_than
        pages = iter(self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket))
        aborted = 0
        try:
            for page in pages:
                for upload in page.get("Uploads", ()):
                    if upload["Initiated"].astimezone(UTC) < horizon:
                        self._abort(upload["Key"], upload["UploadId"])
                        aborted += 1
        except FAILURES as error:
            # This is how rclone says that a bucket never had any.
            if fault_of(error).code != "NoSuchUpload":
                raise self._explained(error, "list unfinished uploads") from None
        return aborted

    def _put_whole(
        self, key: str, source: Path, size: int, headers: Mapping[str, str], sha256: str
    ) -> str | None:
        """One PUT; sent again with a digest if the store asks for one."""
        target = self._target(key)
        while True:
            try:
                answer = self._uploader.put(
                    target, source, offset=0, length=size, headers=headers, payload_sha256=sha256
                )
                return _unquote(answer.get("ETag"))
            except Refused as refused:
                fault = refused.fault
                if fault.wants_digest and "Content-MD5" not in headers:  # its bucket is locked
                    known = digests(source, 0, size, sha256=False)
                    headers = {**headers, "Content-MD5": known.content_md5}
                elif fault.code == "NoSuchKey" and self._place.style == "path":
                    raise Refused(replace(fault, code="VirtualHostDomainRequired")) from None  # so says OBS
                else:
                    raise

    def _put_parts(
        self, key: str, source: Path, size: int, headers: Mapping[str, str], sha256: str
    ) -> str | None:
        def give_up(upload: str) -> None:
            with suppress(StorageFailed):  # what failed matters, not that tidying up failed too
                self._abort(key, upload)

        self._proven.pop(key, None)
        joined = put_parts(
            self._client,
            self._uploader,
            lambda: self._target(key),
            source,
            size,
            bucket=self._bucket,
            key=key,
            headers=headers,
            sha256=sha256,
            give_up=give_up,
        )
        if joined.proven:
            while len(self._proven) >= _PROVEN_ETAGS_KEPT:
                with suppress(KeyError, RuntimeError, StopIteration):  # another thread was first
                    del self._proven[next(iter(self._proven))]
            self._proven[key] = (sha256, joined.etag)
        return joined.etag or None

    def _abort(self, key: str, upload: str) -> None:
        def ask() -> None:
            with suppress(self._client.exceptions.NoSuchUpload):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)

        self._asking(f"give up the upload of {key!r}", ask)

    def _head(self, key: str) -> dict[str, Any] | None:
        validate_key(key)
        try:
            found: dict[str, Any] = self._client.head_object(Bucket=self._bucket, Key=key)
        except FAILURES as error:
            if fault_of(error).status == 404:
                self._require_bucket(f"look at {key!r}")  # a missing bucket looks the same
                return None
            raise self._explained(error, f"look at {key!r}") from None
        self._saw_bucket()
        return found

    def _get(self, key: str, start: int, end: int | None, etag: str | None) -> dict[str, Any] | None:
        """Ask for a range; None when it lies behind the end of the object."""
        validate_key(key)
        options: dict[str, Any] = {"IfMatch": etag} if etag else {}
        if start or end is not None:
            options["Range"] = f"bytes={start}-" if end is None else f"bytes={start}-{end - 1}"
        try:
            found: dict[str, Any] = self._client.get_object(Bucket=self._bucket, Key=key, **options)
        except FAILURES as error:
            if fault_of(error).status == 416:
                return None
            raise self._explained(error, f"read {key!r}") from None
        return found

    def _blocks(self, key: str, position: int, end: int | None, answer: dict[str, Any]) -> Iterator[bytes]:
        etag = answer.get("ETag")
        resumes = 0
        while True:
            try:
                with closing(answer["Body"]) as body:
                    for block in body.iter_chunks(READ_BLOCK):
                        position += len(block)
                        yield block
                return
            except FAILURES as error:
                resumes += 1
                if resumes > _READ_RESUMES:
                    raise self._explained(error, f"read {key!r}") from None
            again = self._get(key, position, end, etag)
            if again is None:
                return
            answer = again


def _describe(key: str, found: Mapping[str, Any]) -> StoredObject:
    modified = found.get("LastModified")
    return StoredObject(
        key=key,
        size=found["ContentLength"],
        etag=_unquote(found.get("ETag")),
        content_type=found.get("ContentType"),
        modified_at=modified.astimezone(UTC) if modified else None,
        cache_control=found.get("CacheControl"),
    )


def _unquote(etag: str | None) -> str | None:
    return etag.strip('"') if etag else None


def open_s3_storage(settings: Settings) -> S3Storage:
    """The S3 store of the settings, over the one client that this process has for it."""
    key_id, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    if (key_id is None) != (secret is None):
        raise StorageFailed(
            "Set VIDEO_ASSETS_S3_ACCESS_KEY_ID and VIDEO_ASSETS_S3_SECRET_ACCESS_KEY together, or neither.",
            retryable=False,
        )
    if why := unsupported(settings.bucket):
        raise StorageFailed(f"VIDEO_ASSETS_BUCKET {why}", retryable=False)
    place = _place(settings, settings.s3_endpoint_url)
    secrets = (key_id.get_secret_value() if key_id else None, secret.get_secret_value() if secret else None)
    client, uploader = connect(place, *secrets, os.getpid())
    found = str(client.meta.endpoint_url)
    if place.endpoint_url is None and not is_aws(urlsplit(found).netloc):
        # AWS's own configuration (AWS_ENDPOINT_URL_S3, the profile) names another store.
        place = _place(settings, found)
        client, uploader = connect(place, *secrets, os.getpid())
    try:
        base = public_base(
            settings.s3_public_flavour,
            bucket=settings.bucket,
            endpoint_url=place.endpoint_url or found,
            by_path=place.style == "path",
            custom_base=settings.s3_public_base_url,
        )
    except ValueError as error:
        raise StorageFailed(str(error), retryable=False) from None
    return S3Storage(
        client,
        uploader,
        settings.bucket,
        place=place,
        public_base=base,
        multipart_threshold=settings.s3_multipart_threshold,
    )


def _place(settings: Settings, endpoint_url: str | None) -> Addressing:
    return addressing(
        endpoint_url, region=settings.s3_region, style=settings.s3_addressing_style, bucket=settings.bucket
    )
