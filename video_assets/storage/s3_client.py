"""The S3 client: one per process, with the options that stores other than AWS and many threads need."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from dagster_aws.s3 import S3Resource

from video_assets.storage.addressing import Addressing
from video_assets.storage.durable import StorageFailed
from video_assets.storage.s3_upload import Uploader

CONNECTIONS: Final = 64


class S3StoreResource(S3Resource):
    """dagster-aws' ``S3Resource`` with the client options that stores other than AWS and many threads need."""

    addressing_style: str = "virtual"

    def session(self) -> boto3.session.Session:
        """The boto3 session whose credentials sign everything."""
        return boto3.session.Session(
            aws_access_key_id=self.aws_access_key_id,
            aws_secret_access_key=self.aws_secret_access_key,
            aws_session_token=self.aws_session_token,
            region_name=self.region_name,
            profile_name=self.profile_name,
        )

    def get_client(self) -> Any:
        """A new S3 client; it costs about 80 ms and a pool of connections, so one per process is made."""
        return self._client(self.session())

    def _client(self, session: boto3.session.Session) -> Any:
        client = session.client(
            "s3",
            endpoint_url=self.endpoint_url,
            use_ssl=self.use_ssl,
            verify=self.verify,
            config=Config(
                signature_version="s3v4",
                max_pool_connections=CONNECTIONS,
                connect_timeout=10,
                read_timeout=60,
                retries={"mode": "standard", "max_attempts": 4},
                # boto3's trailing checksums break or slow several S3-compatible stores.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                # In the style "auto" botocore signs addresses of AWS's global host, which redirects or refuses
                # where the bucket is in another region; virtual ones are regional.
                s3={
                    "addressing_style": "path" if self.addressing_style == "path" else "virtual",
                    "us_east_1_regional_endpoint": "regional",
                },
            ),
        )

        client.meta.events.register_last("before-parameter-build.s3", _stay_in_region)
        return client

    def connect(self) -> tuple[Any, Uploader]:
        """A client and an uploader that share credentials and endpoint."""
        session = self.session()
        client = self._client(session)

        def credentials() -> Any:
            found = session.get_credentials()
            return found.get_frozen_credentials() if found is not None else None

        return client, Uploader(client.meta.endpoint_url, credentials, CONNECTIONS)


def _stay_in_region(context: dict[str, Any], **_: Any) -> None:
    """Keep botocore from following a bucket into another region.

    It does so for its own requests only: what it signs for others (uploads, links) is not valid there, and public
    links would be kept that never work. It also asks itself without end where a redirect names no region.
    """
    context.setdefault("s3_redirect", {})["redirected"] = True


@lru_cache(maxsize=8)
def connect(addressing: Addressing, key_id: str | None, secret: str | None, process: int) -> tuple[Any, Uploader]:
    """The client and the uploader of one store, made once per process.

    ``process`` is the caller's process id: it keeps a forked child off its parent's sockets.
    Raises :class:`StorageFailed` when the settings allow no client.
    """
    resource = S3StoreResource(
        endpoint_url=addressing.endpoint_url,
        region_name=addressing.region,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        addressing_style=addressing.style,
    )
    try:
        return resource.connect()
    except (BotoCoreError, ValueError):
        raise StorageFailed(
            "The S3 client cannot be made: check VIDEO_ASSETS_S3_ENDPOINT_URL, VIDEO_ASSETS_S3_REGION "
            "and AWS_PROFILE.",
            retryable=False,
        ) from None
