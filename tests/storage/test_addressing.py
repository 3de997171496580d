"""Where a request is really sent, and for what it is signed, at each kind of store."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from typer.testing import CliRunner

from video_assets.cli.storage import app
from video_assets.settings import Settings, get_settings
from video_assets.storage import StorageFailed, open_storage, s3_upload
from video_assets.storage.addressing import addressing
from video_assets.storage.health import check_storage, is_healthy
from video_assets.storage.s3 import S3Storage
from video_assets.storage.s3_client import connect

from .conftest import Source, make_source, s3_store
from .strict import Cloud, Rules, strict_cloud

KEY = "ana/video 1+ü.mp4"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with strict_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture
def cloud(served: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cloud]:
    """Every host that is asked for is answered by the strict server, or not at all."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.setenv(name, served.proxy)
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(served.authority))
    for name in ("NO_PROXY", "no_proxy", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setattr(s3_upload, "FIRST_WAIT", 0.01)
    connect.cache_clear()
    yield served
    connect.cache_clear()


def aws(region: str, domain: str = "amazonaws.com", kind: str = "s3", **rules: Any) -> Rules:
    return Rules(f"{kind}.{region}.{domain}", region=region, **rules)


def elsewhere(service: str, **rules: Any) -> Rules:
    return Rules(service, virtual_style=True, elsewhere="TemporaryRedirect s3.eu-west-3.amazonaws.com", **rules)


ARN = "arn:aws:s3:us-west-2:123456789012:accesspoint/films"
CN_ARN = "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/films"
ALIAS = "films-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias"
SUPABASE = "abcdefghijkl.supabase.co"

# name: what is set, how the store answers, the host that everything goes to
STORES: dict[str, tuple[dict[str, Any], Rules, str]] = {
    "AWS, nothing set": ({}, aws("us-east-1"), "my-videos.s3.us-east-1.amazonaws.com"),
    "AWS, elsewhere": ({"s3_region": "eu-west-3"}, aws("eu-west-3"), "my-videos.s3.eu-west-3.amazonaws.com"),
    "AWS, a region to opt in": (
        {"s3_region": "me-central-1"},
        aws("me-central-1"),
        "my-videos.s3.me-central-1.amazonaws.com",
    ),
    "AWS, by path": (
        {"s3_region": "eu-west-3", "s3_addressing_style": "path"},
        aws("eu-west-3", virtual_style=False),
        "s3.eu-west-3.amazonaws.com",
    ),
    "AWS, a name with dots": (
        {"s3_region": "eu-west-3", "bucket": "media.example.com"},
        aws("eu-west-3", bucket="media.example.com"),
        "s3.eu-west-3.amazonaws.com",
    ),
    "AWS, China": (
        {"s3_region": "cn-northwest-1"},
        aws("cn-northwest-1", "amazonaws.com.cn"),
        "my-videos.s3.cn-northwest-1.amazonaws.com.cn",
    ),
    "AWS, GovCloud": (
        {"s3_region": "us-gov-west-1"},
        aws("us-gov-west-1"),
        "my-videos.s3.us-gov-west-1.amazonaws.com",
    ),
    "AWS, isolated": (
        {"s3_region": "us-iso-east-1"},
        aws("us-iso-east-1", "c2s.ic.gov"),
        "my-videos.s3.us-iso-east-1.c2s.ic.gov",
    ),
    "AWS, sovereign": (
        {"s3_region": "eusc-de-east-1"},
        aws("eusc-de-east-1", "amazonaws.eu"),
        "my-videos.s3.eusc-de-east-1.amazonaws.eu",
    ),
    "AWS, dual stack by endpoint": (
        {"s3_endpoint_url": "https://s3.dualstack.eu-west-3.amazonaws.com"},
        Rules("s3.dualstack.eu-west-3.amazonaws.com", region="eu-west-3"),
        "my-videos.s3.dualstack.eu-west-3.amazonaws.com",
    ),
    "AWS, global endpoint": (
        {"s3_endpoint_url": "https://s3.amazonaws.com", "s3_region": "eu-west-3"},
        aws("eu-west-3"),
        "my-videos.s3.eu-west-3.amazonaws.com",
    ),
    "AWS, regional endpoint, its region unset": (
        {"s3_endpoint_url": "https://s3.eu-west-3.amazonaws.com/"},
        aws("eu-west-3"),
        "my-videos.s3.eu-west-3.amazonaws.com",
    ),
    "AWS, the bucket's own host": (
        {"s3_endpoint_url": "https://my-videos.s3.eu-west-3.amazonaws.com"},
        aws("eu-west-3"),
        "my-videos.s3.eu-west-3.amazonaws.com",
    ),
    "AWS, interface endpoint of a VPC": (
        {
            "s3_endpoint_url": "https://bucket.vpce-1a2b3c4d-5e6f.s3.us-west-2.vpce.amazonaws.com",
            "s3_region": "us-west-2",
        },
        Rules(
            "bucket.vpce-1a2b3c4d-5e6f.s3.us-west-2.vpce.amazonaws.com", region="us-west-2", virtual_style=False
        ),
        "bucket.vpce-1a2b3c4d-5e6f.s3.us-west-2.vpce.amazonaws.com",
    ),
    "AWS, access point": (
        {"bucket": ARN, "s3_region": "eu-west-3"},
        Rules("s3-accesspoint.us-west-2.amazonaws.com", bucket="films-123456789012", region="us-west-2"),
        "films-123456789012.s3-accesspoint.us-west-2.amazonaws.com",
    ),
    "AWS, access point in China": (
        {"bucket": CN_ARN},
        Rules("s3-accesspoint.cn-north-1.amazonaws.com.cn", bucket="films-123456789012", region="cn-north-1"),
        "films-123456789012.s3-accesspoint.cn-north-1.amazonaws.com.cn",
    ),
    "AWS, alias of an access point": (
        {"bucket": ALIAS, "s3_region": "us-west-2"},
        aws("us-west-2", bucket=ALIAS),
        f"{ALIAS}.s3.us-west-2.amazonaws.com",
    ),
    "AWS, accelerate": (
        {"s3_endpoint_url": "https://s3-accelerate.amazonaws.com", "s3_region": "eu-west-3"},
        Rules("s3-accelerate.amazonaws.com", region="eu-west-3", path_style="InvalidRequest"),
        "my-videos.s3-accelerate.amazonaws.com",
    ),
    "Cloudflare R2": (
        {"s3_endpoint_url": "https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com"},
        Rules("0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com", region="auto"),
        "0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com",
    ),
    "Cloudflare R2, the address of its dashboard": (
        {"s3_endpoint_url": "https://0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com/my-videos"},
        Rules("0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com", region="auto"),
        "0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com",
    ),
    "Backblaze B2": (
        {"s3_endpoint_url": "https://s3.us-west-004.backblazeb2.com"},
        Rules("s3.us-west-004.backblazeb2.com", region="us-west-004"),
        "s3.us-west-004.backblazeb2.com",
    ),
    "Google Cloud Storage": (
        {"s3_endpoint_url": "https://storage.googleapis.com"},
        Rules("storage.googleapis.com"),
        "storage.googleapis.com",
    ),
    "Alibaba OSS": (
        {"s3_endpoint_url": "https://oss-cn-shanghai.aliyuncs.com"},
        Rules("oss-cn-shanghai.aliyuncs.com", region="cn-shanghai", path_style="SecondLevelDomainForbidden"),
        "my-videos.oss-cn-shanghai.aliyuncs.com",
    ),
    "Alibaba OSS, the bucket's own host, inside": (
        {"s3_endpoint_url": "https://my-videos.oss-cn-shanghai-internal.aliyuncs.com"},
        Rules(
            "oss-cn-shanghai-internal.aliyuncs.com", region="cn-shanghai", path_style="SecondLevelDomainForbidden"
        ),
        "my-videos.oss-cn-shanghai-internal.aliyuncs.com",
    ),
    "Tencent COS": (
        {"s3_endpoint_url": "https://cos.ap-shanghai.myqcloud.com", "bucket": "films-1250000000"},
        Rules(
            "cos.ap-shanghai.myqcloud.com",
            bucket="films-1250000000",
            region="ap-shanghai",
            path_style="PathStyleDomainForbidden",
        ),
        "films-1250000000.cos.ap-shanghai.myqcloud.com",
    ),
    "Huawei OBS": (
        {"s3_endpoint_url": "https://obs.eu-west-101.myhuaweicloud.eu"},
        Rules("obs.eu-west-101.myhuaweicloud.eu", region="eu-west-101", path_style="VirtualHostDomainRequired"),
        "my-videos.obs.eu-west-101.myhuaweicloud.eu",
    ),
    "Volcengine TOS": (
        {"s3_endpoint_url": "https://my-videos.tos-s3-cn-beijing.volces.com"},
        Rules("tos-s3-cn-beijing.volces.com", region="cn-beijing", path_style="InvalidPathAccess"),
        "my-videos.tos-s3-cn-beijing.volces.com",
    ),
    "DigitalOcean Spaces, the address of its console": (
        {"s3_endpoint_url": "https://my-videos.fra1.digitaloceanspaces.com"},
        Rules("fra1.digitaloceanspaces.com"),
        "fra1.digitaloceanspaces.com",
    ),
    "Wasabi": (
        {"s3_endpoint_url": "https://s3.eu-central-1.wasabisys.com"},
        Rules("s3.eu-central-1.wasabisys.com", region="eu-central-1"),
        "s3.eu-central-1.wasabisys.com",
    ),
    "Scaleway": (
        {"s3_endpoint_url": "https://s3.fr-par.scw.cloud"},
        Rules("s3.fr-par.scw.cloud", region="fr-par"),
        "s3.fr-par.scw.cloud",
    ),
    "Hetzner, by host": (
        {"s3_endpoint_url": "https://fsn1.your-objectstorage.com", "s3_addressing_style": "virtual"},
        Rules("fsn1.your-objectstorage.com", region="fsn1"),
        "my-videos.fsn1.your-objectstorage.com",
    ),
    "Linode": (
        {"s3_endpoint_url": "https://nl-ams-1.linodeobjects.com"},
        Rules("nl-ams-1.linodeobjects.com", region="nl-ams-1"),
        "nl-ams-1.linodeobjects.com",
    ),
    "IDrive e2": (
        {"s3_endpoint_url": "https://s3.us-west-1.idrivee2.com"},
        Rules("s3.us-west-1.idrivee2.com", region="us-west-1"),
        "s3.us-west-1.idrivee2.com",
    ),
    "Supabase": (
        {"s3_endpoint_url": f"https://{SUPABASE}/storage/v1/s3", "s3_region": "eu-central-1"},
        Rules(SUPABASE, region="eu-central-1", prefix="/storage/v1/s3", virtual_style=False),
        SUPABASE,
    ),
    "MinIO or Ceph without TLS": (
        {"s3_endpoint_url": "http://minio.internal:9000"},
        Rules("minio.internal:9000", region="us-east-1", virtual_style=False),
        "minio.internal:9000",
    ),
    "Ceph with a name per bucket": (
        {"s3_endpoint_url": "http://rgw.internal:8080", "s3_addressing_style": "virtual", "s3_region": "default"},
        Rules("rgw.internal:8080", region="default", path_style="SecondLevelDomainForbidden"),
        "my-videos.rgw.internal:8080",
    ),
}


def open_at(**settings: Any) -> S3Storage:
    return s3_store(settings.pop("s3_endpoint_url", None) or "", settings.pop("bucket", "my-videos"), **settings)


@pytest.mark.parametrize("name", STORES)
def test_everything_goes_to_the_right_host_signed_for_the_right_region(
    cloud: Cloud, tmp_path: Path, name: str
) -> None:
    settings, rules, host = STORES[name]
    # AWS's global host answers for a young bucket as it does: elsewhere.
    cloud.serve(rules, elsewhere("s3.amazonaws.com", bucket=rules.bucket))
    store = open_at(**settings)
    store._multipart_threshold = 1_000_000  # one part is enough here, and small
    source = make_source(tmp_path, 10_000)
    source.put(store, KEY)
    assert store.read_back(KEY, size=len(source.content), sha256=source.sha256, md5=source.md5) == "etag"
    large = make_source(tmp_path, 1_000_001)
    large.put(store, "large.mp4")
    assert store.read_back("large.mp4", size=len(large.content), sha256=large.sha256) == "etag"
    link = requests.get(store.signed_url(KEY, expires_in=60, download_name="a b.mp4"), timeout=10)
    assert (link.status_code, link.content) == (200, source.content)
    assert b"".join(store.read(KEY, 5, 9)) == source.content[5:9]
    assert requests.get(store.public_url(KEY), timeout=10).content == source.content
    assert store.delete(KEY) is True
    assert {seen.host for seen in cloud.seen} == {host}
    assert {seen.status for seen in cloud.seen} <= {200, 204, 206, 404}
    signed = {seen.region for seen in cloud.seen} - {""}  # the public link is not signed
    assert signed == {rules.region or addressing(**_asked(settings)).region}
    assert cloud.tls_failures == []
    bucket_in_path = f"{rules.prefix}/{rules.bucket}/" if host == rules.service else "/"
    assert {seen.path for seen in cloud.seen if seen.method == "PUT"} == {
        f"{bucket_in_path}{key}" for key in (KEY, "large.mp4")
    }


def _asked(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "endpoint_url": settings.get("s3_endpoint_url"),
        "region": settings.get("s3_region"),
        "style": settings.get("s3_addressing_style", "auto"),
        "bucket": settings.get("bucket", "my-videos"),
    }


@pytest.mark.parametrize(
    ("variable", "value", "rules"),
    [
        ("AWS_USE_DUALSTACK_ENDPOINT", "true", Rules("s3.dualstack.eu-west-3.amazonaws.com", region="eu-west-3")),
        ("AWS_USE_FIPS_ENDPOINT", "true", Rules("s3-fips.eu-west-3.amazonaws.com", region="eu-west-3")),
        (
            "AWS_ENDPOINT_URL_S3",
            "https://oss-cn-shanghai.aliyuncs.com",
            Rules("oss-cn-shanghai.aliyuncs.com", region="eu-west-3", path_style="SecondLevelDomainForbidden"),
        ),
        (
            "AWS_ENDPOINT_URL",
            "http://minio.internal:9000",
            Rules("minio.internal:9000", region="eu-west-3", virtual_style=False),
        ),
    ],
)
def test_what_awss_own_configuration_says_is_followed(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, source: Source, variable: str, value: str, rules: Rules
) -> None:
    monkeypatch.setenv(variable, value)
    cloud.serve(rules)
    store = open_at(s3_region="eu-west-3")
    source.put(store, KEY)
    assert requests.get(store.signed_url(KEY, expires_in=60), timeout=10).content == source.content
    assert requests.get(store.public_url(KEY), timeout=10).content == source.content
    assert {seen.status for seen in cloud.seen} == {200}


def test_accelerate_of_the_profile_is_followed(cloud: Cloud, tmp_path: Path, source: Source) -> None:
    (tmp_path / "aws-config").write_text("[default]\ns3 =\n  use_accelerate_endpoint = true\n")
    cloud.serve(Rules("s3-accelerate.amazonaws.com", region="eu-west-3", path_style="InvalidRequest"))
    store = open_at(s3_region="eu-west-3")
    source.put(store, KEY)
    assert requests.get(store.signed_url(KEY, expires_in=60), timeout=10).content == source.content


def test_a_locked_bucket_gets_its_digest_and_others_are_not_asked_to_take_one(
    cloud: Cloud, source: Source
) -> None:
    cloud.serve(aws("eu-west-3", locked=True))
    store = open_at(s3_region="eu-west-3")
    source.put(store, KEY, md5=False)
    assert [("content-md5" in seen.headers, seen.status) for seen in cloud.seen if seen.method == "PUT"] == [
        (False, 400),
        (True, 200),
    ]


@pytest.mark.parametrize("answer", ["PermanentRedirect", "TemporaryRedirect"])
def test_nothing_is_stored_in_a_region_that_links_do_not_reach(cloud: Cloud, source: Source, answer: str) -> None:
    """Links are signed, and public ones kept, for the region that is set: an upload elsewhere would lose both."""
    here = Rules(
        "s3.us-east-1.amazonaws.com", region="eu-west-3", elsewhere=f"{answer} s3.eu-west-3.amazonaws.com"
    )
    cloud.serve(aws("eu-west-3"), here)
    store = open_at()
    for seen_before in (False, True):
        if seen_before:
            store._saw_bucket()  # as by a key that may not look at the bucket: then the PUT itself is refused
        for call in (lambda: source.put(store, KEY), lambda: store.head(KEY), lambda: store.read(KEY)):
            with pytest.raises(StorageFailed, match="Set VIDEO_ASSETS_S3_REGION=eu-west-3"):
                call()
    assert {seen.host for seen in cloud.seen} == {"my-videos.s3.us-east-1.amazonaws.com"}
    assert len(cloud.seen) < 20


def test_no_credential_leaves_for_a_host_that_an_answer_names(cloud: Cloud, source: Source) -> None:
    cloud.serve(
        Rules("store.internal", elsewhere="TemporaryRedirect attacker.example"),
        Rules("attacker.example"),
    )
    store = open_at(s3_endpoint_url="https://store.internal")
    for call in (lambda: source.put(store, KEY), lambda: store.head(KEY), lambda: store.read(KEY)):
        with pytest.raises(StorageFailed) as caught:
            call()
        assert "VIDEO_ASSETS_S3_ENDPOINT_URL" in str(caught.value)
        assert "X-Amz" not in str(caught.value)
    assert {seen.host for seen in cloud.seen} == {"store.internal"}


# name: what is set, how the store answers, what the check says to set
WRONG: dict[str, tuple[dict[str, Any], list[Rules], str]] = {
    "another region of AWS": (
        {"s3_region": "us-west-2"},
        [
            aws("eu-west-3"),
            Rules("s3.us-west-2.amazonaws.com", region="eu-west-3", elsewhere="PermanentRedirect s3.eu-west-3"),
        ],
        "VIDEO_ASSETS_S3_REGION=eu-west-3",
    ),
    "a young bucket in another region of AWS": (
        {"s3_region": "us-west-2"},
        [elsewhere("s3.us-west-2.amazonaws.com")],
        "VIDEO_ASSETS_S3_REGION=eu-west-3",
    ),
    "a region of AWS that must be opted in": (
        {"s3_region": "eu-west-3"},
        [Rules("s3.eu-west-3.amazonaws.com", elsewhere="IllegalLocationConstraintException")],
        "VIDEO_ASSETS_S3_REGION",
    ),
    "a regional endpoint of AWS that is not the bucket's": (
        {"s3_endpoint_url": "https://s3.us-west-2.amazonaws.com"},
        [elsewhere("s3.us-west-2.amazonaws.com")],
        "VIDEO_ASSETS_S3_REGION=eu-west-3 and leave VIDEO_ASSETS_S3_ENDPOINT_URL empty",
    ),
    "a region of a store that names the right one": (
        {"s3_endpoint_url": "https://s3.example.com"},
        [Rules("s3.example.com", region="nl-1")],
        "VIDEO_ASSETS_S3_REGION=nl-1",
    ),
    "a region that R2 does not know": (
        {"s3_endpoint_url": "https://abc.r2.cloudflarestorage.com", "s3_region": "eu-west-3"},
        [Rules("abc.r2.cloudflarestorage.com", elsewhere="InvalidRegionName")],
        "VIDEO_ASSETS_S3_REGION=auto",
    ),
    "another region of OSS": (
        {"s3_endpoint_url": "https://oss-cn-shanghai.aliyuncs.com"},
        [Rules("oss-cn-shanghai.aliyuncs.com", elsewhere="AccessDenied oss-cn-hangzhou.aliyuncs.com")],
        "VIDEO_ASSETS_S3_ENDPOINT_URL=https://oss-cn-hangzhou.aliyuncs.com",
    ),
    "the path at a store that takes none": (
        {"s3_endpoint_url": "https://oss.example.com"},
        [Rules("oss.example.com", path_style="SecondLevelDomainForbidden")],
        "VIDEO_ASSETS_S3_ADDRESSING_STYLE=virtual",
    ),
    "the bucket's own host at a store that is not known": (
        {"s3_endpoint_url": "https://my-videos.oss.example.com"},
        [Rules("oss.example.com", bucket="my-videos")],
        "VIDEO_ASSETS_S3_ADDRESSING_STYLE=virtual",
    ),
    "the host at a store without names per bucket": (
        {"s3_endpoint_url": "http://minio.internal:9000", "s3_addressing_style": "virtual"},
        [Rules("minio.internal:9000", reads_host=False)],
        "VIDEO_ASSETS_S3_ADDRESSING_STYLE=path",
    ),
    "a bucket that is mistyped": ({"bucket": "my-vidoes"}, [aws("us-east-1")], "VIDEO_ASSETS_BUCKET"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_check_names_the_setting_to_change(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    settings, rules, remedy = WRONG[name]
    cloud.serve(*rules)
    monkeypatch.chdir(tmp_path)
    values = {"storage": "s3", "bucket": "my-videos", **settings}
    for setting, value in values.items():
        monkeypatch.setenv(f"VIDEO_ASSETS_{setting.upper()}", value)
    monkeypatch.setenv("VIDEO_ASSETS_S3_ACCESS_KEY_ID", "test-access-key")
    monkeypatch.setenv("VIDEO_ASSETS_S3_SECRET_ACCESS_KEY", "test-secret-key-that-no-message-may-show")
    get_settings.cache_clear()
    for_people = CliRunner().invoke(app, ["check"], env={"COLUMNS": "80"})
    report = json.loads(CliRunner().invoke(app, ["check", "--json"]).stdout)
    get_settings.cache_clear()
    assert for_people.exit_code == 1
    assert remedy in re.sub(r"\s+", " ", for_people.stdout)
    assert max(map(len, for_people.stdout.splitlines())) <= 80
    wrong = next(line for line in report["checks"] if line["status"] == "failed")
    assert wrong["name"] == "address"
    assert remedy in wrong["remedy"]
    assert set(re.findall(r"VIDEO_ASSETS_\w+", remedy)) <= set(wrong["settings"])
    assert "X-Amz" not in for_people.output
    assert not any(seen.method == "PUT" for seen in cloud.seen)


def test_the_check_passes_where_all_is_right(cloud: Cloud) -> None:
    cloud.serve(aws("eu-west-3"))
    settings = Settings(_env_file=None, storage="s3", bucket="my-videos", s3_region="eu-west-3")
    lines = check_storage(open_at(s3_region="eu-west-3"), settings)
    assert is_healthy(lines), lines
    assert lines[1].detail == "https://my-videos.s3.eu-west-3.amazonaws.com, signed for eu-west-3"


def test_a_host_per_bucket_that_nobody_knows_is_told_apart_from_a_store_that_is_away() -> None:
    store = open_at(s3_endpoint_url="http://store.invalid:9000", s3_addressing_style="virtual")
    with pytest.raises(StorageFailed, match="VIDEO_ASSETS_S3_ADDRESSING_STYLE=path"):
        store.look_at_address()


@pytest.mark.parametrize(
    ("bucket", "sentence"),
    [
        ("arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap", "multi-region access point"),
        ("arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/films", "Object Lambda"),
        ("films--usw2-az1--x-s3", "directory bucket"),
    ],
)
def test_a_bucket_that_cannot_hold_copies_is_refused_at_the_start(bucket: str, sentence: str) -> None:
    with pytest.raises(StorageFailed, match=sentence) as caught:
        open_storage(Settings(_env_file=None, storage="s3", bucket=bucket))
    assert caught.value.retryable is False
