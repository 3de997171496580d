"""Addresses: where each kind of store shows an object to the public, and what a download is called."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_assets.settings import Settings
from video_assets.storage import StorageFailed, open_storage
from video_assets.storage.links import attachment, public_base, quote_key
from video_assets.storage.signing import media_query_is_valid, sign_media_query

KEY = "ana/video-1732000000000/video 1+ü.mp4"
QUOTED = "ana/video-1732000000000/video%201%2B%C3%BC.mp4"
SUPABASE = "https://abcdefghijkl.supabase.co/storage/v1/s3"


@pytest.mark.parametrize(
    ("settings", "base"),
    [
        ({}, "https://media-bucket.s3.us-east-1.amazonaws.com"),
        ({"s3_region": "eu-central-1"}, "https://media-bucket.s3.eu-central-1.amazonaws.com"),
        ({"s3_region": "cn-north-1"}, "https://media-bucket.s3.cn-north-1.amazonaws.com.cn"),
        ({"bucket": "media.example.com"}, "https://s3.us-east-1.amazonaws.com/media.example.com"),
        ({"s3_public_flavour": "aws-path"}, "https://s3.us-east-1.amazonaws.com/media-bucket"),
        (
            {"s3_endpoint_url": "https://s3.dualstack.eu-west-1.amazonaws.com"},
            "https://media-bucket.s3.dualstack.eu-west-1.amazonaws.com",
        ),
        ({"s3_endpoint_url": "http://minio:9000/"}, "http://minio:9000/media-bucket"),
        (
            {"s3_endpoint_url": "http://minio:9000", "s3_public_flavour": "aws-path"},
            "http://minio:9000/media-bucket",
        ),
        (
            {"s3_public_flavour": "supabase", "s3_endpoint_url": SUPABASE, "bucket": "generated-videos"},
            "https://abcdefghijkl.supabase.co/storage/v1/object/public/generated-videos",
        ),
        (
            {
                "s3_public_flavour": "supabase",
                "s3_endpoint_url": "https://abcdefghijkl.storage.supabase.co/storage/v1/s3/",
            },
            "https://abcdefghijkl.supabase.co/storage/v1/object/public/media-bucket",
        ),
        (
            {"s3_public_flavour": "supabase", "s3_endpoint_url": "http://127.0.0.1:54321/storage/v1/s3"},
            "http://127.0.0.1:54321/storage/v1/object/public/media-bucket",
        ),
        (
            {"s3_public_flavour": "custom", "s3_public_base_url": "https://cdn.example.com/videos/"},
            "https://cdn.example.com/videos",
        ),
    ],
)
def test_the_public_link_is_where_the_store_shows_the_object(settings: dict[str, str], base: str) -> None:
    values = {"bucket": "media-bucket", "s3_access_key_id": "id", "s3_secret_access_key": "secret", **settings}
    store = open_storage(Settings(_env_file=None, storage="s3", **values))
    assert store.public_url(KEY) == f"{base}/{QUOTED}"


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"s3_public_flavour": "custom"}, "VIDEO_ASSETS_S3_PUBLIC_BASE_URL"),
        ({"s3_public_flavour": "supabase"}, "VIDEO_ASSETS_S3_ENDPOINT_URL"),
        ({"s3_public_flavour": "supabase", "s3_endpoint_url": "https://x.supabase.co"}, "/storage/v1/s3"),
        ({"s3_access_key_id": "id"}, "VIDEO_ASSETS_S3_SECRET_ACCESS_KEY"),
        ({"s3_endpoint_url": "not a url"}, "VIDEO_ASSETS_S3_ENDPOINT_URL"),
    ],
)
def test_settings_that_contradict_each_other_are_named_at_the_start(
    settings: dict[str, str], setting: str
) -> None:
    with pytest.raises(StorageFailed, match=re.escape(setting)) as caught:
        open_storage(Settings(_env_file=None, storage="s3", **settings))
    assert caught.value.retryable is False


@given(st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_key_survives_its_address(key: str) -> None:
    quoted = quote_key(key)
    assert re.fullmatch(r"[A-Za-z0-9%/._~-]+", quoted)
    assert unquote(quoted) == key
    assert urlsplit(f"https://host/{quoted}").path == f"/{quoted}"


@given(st.text(max_size=80))
def test_no_name_breaks_out_of_the_disposition_header(name: str) -> None:
    header = attachment(name)
    assert header.isascii()
    assert re.fullmatch(
        r'attachment; filename="[^"\x00-\x1f\x7f/\\]+"(; filename\*=UTF-8\'\'[A-Za-z0-9%._~-]+)?', header
    )


def test_the_base_without_its_setting_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="VIDEO_ASSETS_S3_PUBLIC_BASE_URL"):
        public_base("custom", bucket="b")


@given(st.text(max_size=40), st.one_of(st.none(), st.text(max_size=20)), st.text(max_size=40))
def test_a_signature_holds_for_one_key_one_name_and_one_secret(key: str, name: str | None, other: str) -> None:
    key, other = key.replace("\0", ""), other.replace("\0", "")
    query = parse_qs(sign_media_query(b"secret", key, expires_in=60, download_name=name), keep_blank_values=True)
    signed = {"expires": query["expires"][0], "signature": query["signature"][0]}
    assert media_query_is_valid(b"secret", key, download_name=name, **signed)
    assert not media_query_is_valid(b"another", key, download_name=name, **signed)
    assert media_query_is_valid(b"secret", other, download_name=name, **signed) is (other == key)
    assert media_query_is_valid(b"secret", key, download_name=other, **signed) is (other == name)
