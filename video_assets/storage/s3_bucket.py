"""One bucket: whether it is there, where and how it is reached, and what a store's refusal means.

S3 answers a HEAD of a missing bucket and of a missing object alike, and some stores make a missing bucket at the
first PUT. So the bucket is asked for before the first request that would be misread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import urllib3.exceptions
from botocore.exceptions import BotoCoreError, ClientError

from video_assets.storage.addressing import Addressing, is_aws
from video_assets.storage.durable import StorageFailed
from video_assets.storage.s3_faults import Fault, Refused, explain, fault_of
from video_assets.storage.s3_upload import Target

FAILURES: Final = (BotoCoreError, ClientError, Refused, urllib3.exceptions.HTTPError, OSError)
_BUCKET_IS_SURE_FOR: Final = 60.0
"""Seconds for which a bucket that answered is taken to exist."""

_LIST_FIELDS: Final = {"Name", "KeyCount", "MaxKeys", "IsTruncated", "Contents"}

T = TypeVar("T")


class S3Bucket:
    """A bucket at the place that the settings name, asked through one boto3 client."""

    def __init__(self, client: Any, bucket: str, place: Addressing) -> None:
        self._client = client
        self._bucket = bucket
        self._place = place
        self._host = urlsplit(str(client.meta.endpoint_url)).netloc.rpartition("@")[2]
        self._sure_until = 0.0

    def __repr__(self) -> str:
        return f"S3Storage({self._bucket!r} at {self._host!r})"

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self._bucket

    @property
    def host(self) -> str:
        """Host and port of the store, for messages."""
        return self._host

    def bucket_exists(self) -> bool:
        """Whether the bucket is there and may be asked for. HEAD does not say why, so a 404 is asked about."""
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except FAILURES as error:
            if fault_of(error).status != 404:
                raise self._explained(error, "look") from None
            try:
                self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1)
            except FAILURES as told:
                if fault_of(told).status == 404:
                    return False
        self._saw_bucket()
        return True

    def look_at_address(self) -> str:
        """Where and how the bucket is reached, in words. Raises StorageFailed, naming the setting, if it is not.

        Finds what an upload would not: a bucket that the store would make by itself, and a store that takes the
        bucket from the path although it stands in the host name.
        """
        action = "look"
        if not self.bucket_exists():
            raise self._say(Fault("NoSuchBucket", 404), action)
        if self._place.bucket_in_host:
            listed: dict[str, Any] = {"Name": ""}
            with suppress(*FAILURES):  # a key need not be allowed to list
                listed = self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1)
            if not _LIST_FIELDS & set(listed):
                headers = listed["ResponseMetadata"]["HTTPHeaders"]
                if headers.get("content-length") != "0":  # that was the list of all buckets
                    raise self._say(Fault("NoSuchBucket", 404), action)
        target = self._asking(action, lambda: self._target("a"))
        return f"{target.url.removesuffix('/a')}, signed for {target.region}"

    def ensure_bucket(self) -> bool:
        """Create the bucket when it does not exist; True when it was created. Calling it twice is harmless."""
        if self.bucket_exists():
            return False
        region = self._client.meta.region_name
        options: dict[str, Any] = {}
        if is_aws(self._host) and region != "us-east-1":
            options["CreateBucketConfiguration"] = {"LocationConstraint": region}
        try:
            self._client.create_bucket(Bucket=self._bucket, **options)
        except FAILURES as error:
            if fault_of(error).code == "BucketAlreadyOwnedByYou":
                return False
            raise self._explained(error, "create the bucket") from None
        self._saw_bucket()
        return True

    def _saw_bucket(self) -> None:
        self._sure_until = time.monotonic() + _BUCKET_IS_SURE_FOR

    def _require_bucket(self, action: str) -> None:
        """Raise StorageFailed when the bucket is surely missing, or when the store cannot be asked at all.

        A key that may not look at the bucket is no reason to stop: the request itself tells what is allowed.
        """
        if time.monotonic() < self._sure_until:
            return
        try:
            self._client.head_bucket(Bucket=self._bucket)
            self._saw_bucket()
        except FAILURES as error:
            fault = fault_of(error)
            if fault.status == 404 and not self.bucket_exists():
                raise self._say(Fault("NoSuchBucket", 404), action) from None
            if not fault.status:
                raise self._explained(error, action) from None

    def _target(self, key: str) -> Target:
        """Address and signature of ``key`` at the store, as botocore resolved them."""
        signed = self._client.generate_presigned_url("put_object", Params={"Bucket": self._bucket, "Key": key})
        return Target.of(str(signed))

    def _asking(self, action: str, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except FAILURES as error:
            raise self._explained(error, action) from None

    def _explained(self, error: Exception, action: str) -> StorageFailed:
        """What ``error`` means. An answer that does not say why is followed by a question whose answer does."""
        fault = fault_of(error)
        if fault.silent:
            try:
                self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1)
            except FAILURES as told:
                clearer = fault_of(told)
                # A key may be allowed to write and not to list: then the first answer is the better one.
                if clearer.code != "AccessDenied" or clearer.elsewhere or fault.code == "broken":
                    fault = clearer
        return self._say(fault, action)

    def _say(self, fault: Fault, action: str) -> StorageFailed:
        return explain(fault, action, bucket=self._bucket, host=self._host, place=self._place)
