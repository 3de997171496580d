"""Addresses of objects: the public ones per kind of store, and the name a download gets."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal
from urllib.parse import quote, urlsplit

Flavour = Literal["aws-virtual", "aws-path", "supabase", "custom"]


def quote_key(key: str) -> str:
    """``key`` percent-encoded for the path of a URL: only unreserved characters and ``/`` stay as they are."""
    return quote(key, safe="/~")


def public_base(
    flavour: Flavour,
    *,
    bucket: str,
    endpoint_url: str | None = None,
    by_path: bool = False,
    custom_base: str | None = None,
) -> str | None:
    """What the public address of every object of ``bucket`` starts with, without a trailing slash.

    ``by_path`` says that the store is asked with the bucket in the path. None means that the address cannot be
    composed from a host, as that of an access point. Raises ValueError, naming the setting, when the flavour
    needs something that is not set.
    """
    if flavour == "custom":
        if not custom_base:
            raise ValueError("Set VIDEO_ASSETS_S3_PUBLIC_BASE_URL: the flavour `custom` builds links from it.")
        return custom_base.rstrip("/")
    if flavour == "supabase":
        return f"{_supabase_storage(endpoint_url)}/object/public/{bucket}"
    if bucket.startswith("arn:"):
        return None
    if not endpoint_url:
        raise ValueError("Set VIDEO_ASSETS_S3_ENDPOINT_URL: links are built from it.")
    scheme, _, host = endpoint_url.rstrip("/").partition("://")
    # A bucket with dots does not fit the wildcard certificate of virtual-host addresses.
    if flavour == "aws-path" or by_path or "." in bucket:
        return f"{scheme}://{host}/{bucket}"
    return f"{scheme}://{bucket}.{host}"


def _supabase_storage(endpoint_url: str | None) -> str:
    """``https://{project}.supabase.co/storage/v1`` from the S3 endpoint of a Supabase project."""
    if not endpoint_url:
        raise ValueError(
            "Set VIDEO_ASSETS_S3_ENDPOINT_URL to https://{project}.supabase.co/storage/v1/s3: "
            "the flavour `supabase` builds links from it."
        )
    parts = urlsplit(endpoint_url)
    path = parts.path.rstrip("/")
    if not path.endswith("/storage/v1/s3"):
        raise ValueError(
            "VIDEO_ASSETS_S3_ENDPOINT_URL of a Supabase project ends in /storage/v1/s3; this one does not."
        )
    # {project}.storage.supabase.co, meant for large uploads, serves the same objects; S0.16 names this form.
    host = parts.netloc.replace(".storage.supabase.co", ".supabase.co")
    return f"{parts.scheme}://{host}{path.removesuffix('/s3')}"


def attachment(name: str) -> str:
    """A Content-Disposition header that downloads as ``name``, in both forms of RFC 6266."""
    name = re.sub(r"[\x00-\x1f\x7f/\\]", "_", name).strip() or "download"
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = plain.replace('"', "'").replace("%", "_").strip() or "download"
    header = f'attachment; filename="{plain}"'
    if plain != name:
        header += f"; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"
    return header
