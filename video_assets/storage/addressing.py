"""How a bucket is addressed: at which endpoint, signed for which region, its name in the host or in the path.

AWS itself is left to botocore, which knows every partition. For other stores one table says what the host of an
endpoint tells: the style that the store accepts, and the region where the name holds it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from botocore.loaders import Loader

AddressingStyle = Literal["auto", "virtual", "path"]
DEFAULT_REGION: Final = "us-east-1"

_REGION = r"(?P<region>[a-z]{2,4}(?:-[a-z]+)+-?\d*)"


@dataclass(frozen=True, slots=True)
class Addressing:
    """Where requests go. ``endpoint_url`` None means AWS, whose hosts botocore computes from the region."""

    endpoint_url: str | None
    region: str
    style: Literal["virtual", "path"]

    @property
    def bucket_in_host(self) -> bool:
        """Whether the bucket is meant to stand in the host name of a store other than AWS."""
        if self.endpoint_url is None or self.style == "path":
            return False
        return not is_aws(self.endpoint_url.partition("://")[2])


@dataclass(frozen=True, slots=True)
class _Store:
    """Hosts of one kind of store; a group ``region`` of the pattern is the region to sign for."""

    host: re.Pattern[str]
    style: Literal["virtual", "path"]
    region: str | None = None


def _store(host: str, style: Literal["virtual", "path"], region: str | None = None) -> _Store:
    return _Store(re.compile(host), style, region)


def _aws_domains() -> str:
    """The domains of every AWS partition that botocore knows, as one alternation."""
    partitions = Loader().load_data("partitions")["partitions"]
    kinds = ("dnsSuffix", "dualStackDnsSuffix")
    return "|".join(sorted({re.escape(partition["outputs"][kind]) for partition in partitions for kind in kinds}))


_AWS_HOST: Final = re.compile(
    rf"s3(?:(?P<kind>-accelerate|-fips)|-external-1)?(?P<stack>\.dualstack)?(?:[.-]{_REGION})?\.(?:{_aws_domains()})"
)

_STORES: Final = (
    # These refuse a bucket in the path: SecondLevelDomainForbidden, PathStyleDomainForbidden, InvalidPathAccess;
    # OBS answers PUT with NoSuchKey and yet finds the bucket. Tigris refuses it for newer buckets.
    _store(rf"(?:s3\.)?oss-{_REGION}(?<!-internal)(?:-internal)?\.aliyuncs\.com", "virtual"),
    _store(r"(?:s3\.)?oss-[a-z0-9-]+\.aliyuncs\.com", "virtual"),
    _store(rf"cos(?:-internal)?\.{_REGION}\.(?:myqcloud\.com|tencentcos\.cn)", "virtual"),
    _store(r"cos\.accelerate\.(?:myqcloud\.com|tencentcos\.cn)", "virtual"),
    _store(rf"obs\.{_REGION}\.myhuaweicloud\.(?:com|eu)", "virtual"),
    _store(rf"tos-s3-{_REGION}\.(?:i?volces|i?bytepluses)\.com", "virtual"),
    _store(r"(?:t3\.storage(?:api)?|fly\.storage\.tigris)\.dev", "virtual", "auto"),
    # These take both; the path needs neither a name nor a certificate per bucket.
    _store(r"[0-9a-z]+(?:\.(?:eu|fedramp|us))?\.r2\.cloudflarestorage\.com", "path", "auto"),
    _store(r"storage\.googleapis\.com", "path", "auto"),
    _store(r"s3\.(?P<region>[a-z]+-[a-z]+-\d+)\.backblazeb2\.com", "path"),
    _store(r"(?P<region>[a-z]{3}\d)\.digitaloceanspaces\.com", "path"),
    _store(rf"s3(?:\.{_REGION})?\.wasabisys\.com", "path"),
    _store(r"s3\.(?P<region>[a-z]{2}-[a-z]{3})\.scw\.cloud", "path"),
    _store(r"(?P<region>[a-z]{3}\d)\.your-objectstorage\.com", "path"),
    _store(rf"{_REGION}\.linodeobjects\.com", "path"),
    _store(rf"s3\.{_REGION}\.idrivee2\.com", "path"),
    _store(r"s3\.(?P<region>[a-z]+(?:-[a-z]+)*)\.(?:io|perf)\.cloud\.ovh\.(?:net|us)", "path"),
)
"""What the host of an endpoint tells, first match first. Sources: each store's documentation of its endpoints."""


def addressing(
    endpoint_url: str | None, *, region: str | None, style: AddressingStyle, bucket: str
) -> Addressing:
    """Where ``bucket`` is asked for, from what is set; what is not set is read from the endpoint's host.

    An endpoint that holds the bucket already, in its host or as its path (consoles show both forms), is taken
    without it where that cannot be mistaken. AWS's global endpoint becomes the regional one: it answers for
    buckets elsewhere with a redirect that a signature does not survive.
    """
    if not endpoint_url:
        named = _arn_region(bucket)
        return Addressing(None, region or named or DEFAULT_REGION, _chosen(style, "virtual"))
    url, host = _bare(endpoint_url, bucket)
    prefix = f"{bucket.lower()}."
    candidates = [(url, host)]
    if host.startswith(prefix):
        candidates.append((url.replace(host, host.removeprefix(prefix), 1), host.removeprefix(prefix)))
    for candidate, name in candidates:
        named = region or region_of(name) or DEFAULT_REGION
        if aws := _AWS_HOST.fullmatch(name):
            regional = aws["kind"] or aws["stack"] or aws["region"]
            return Addressing(candidate if regional else None, named, _chosen(style, "virtual"))
        for store in _STORES:
            if store.host.fullmatch(name):
                return Addressing(candidate, named, _chosen(style, store.style))
    if style == "virtual":
        url, _ = candidates[-1]
    return Addressing(url, region or DEFAULT_REGION, _chosen(style, "path"))


def is_aws(host: str) -> bool:
    """Whether ``host``, without a bucket in front, is S3 itself, of any AWS partition."""
    return _AWS_HOST.fullmatch(host.lower()) is not None


def region_of(host: str) -> str | None:
    """The region that the host of an endpoint (without a bucket in front) names or wants, or None."""
    if aws := _AWS_HOST.fullmatch(host.lower()):
        return aws["region"]
    for store in _STORES:
        if found := store.host.fullmatch(host.lower()):
            return found.groupdict().get("region") or store.region
    return None


def unsupported(bucket: str) -> str | None:
    """Why ``bucket`` cannot hold durable copies, or None. These kinds need another way of signing or writing."""
    if re.fullmatch(r"arn:[^:]+:s3::.*", bucket):
        return "is a multi-region access point, which needs SigV4A. Name one bucket or its access point instead."
    if bucket.startswith("arn:") and ":s3-object-lambda:" in bucket:
        return "is an Object Lambda access point, which cannot be written to. Name the bucket behind it."
    if bucket.endswith("--x-s3"):
        return "is a directory bucket (S3 Express), which needs sessions. Name a general purpose bucket."
    return None


def _chosen(style: AddressingStyle, sound: Literal["virtual", "path"]) -> Literal["virtual", "path"]:
    return sound if style == "auto" else style


def _arn_region(bucket: str) -> str | None:
    parts = bucket.split(":")
    return parts[3] or None if parts[0] == "arn" and len(parts) > 5 else None


def _bare(endpoint_url: str, bucket: str) -> tuple[str, str]:
    """The endpoint without a trailing slash or a path that is the bucket, and its host in lower case."""
    url = endpoint_url.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return url, ""
    if parts.path == f"/{bucket}":
        url = url.removesuffix(f"/{bucket}")
    netloc = parts.netloc.lower()
    return url.replace(parts.netloc, netloc, 1) if netloc != parts.netloc else url, host
