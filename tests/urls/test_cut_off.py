"""Links that were cut off by their column: known for what they were, and a whole link is never taken for one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.urls.test_classify_lookalikes import PERMANENT
from tests.urls.test_classify_schemes import CASES, JWT, MD5, SHA256, SHA256_B64, UID, T, b64url
from video_assets.urls import Kind, classify, find, fingerprint, redact

S3 = (
    "https://b.s3.amazonaws.com/v.mp4?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20270115%2Fus-east-1%2Fs3%2Faws4_request"
    f"&X-Amz-Date=20270115T070000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature={SHA256}"
)
CLOUDFRONT_SIGNATURE = ("Ab1~cD2-eF3_" * 29)[:342] + "__"
POLICY = b64url({"Statement": [{"Condition": {"DateLessThan": {"AWS:EpochTime": T}}}]})
AZURE = (
    f"https://x.blob.core.windows.net/c/v.mp4?st=2027-01-15T06%3A00%3A00Z&se=2027-01-15T08%3A00%3A00Z&sp=r"
    f"&sv=2024-08-04&sr=b&skoid={UID}&sktid={UID}&sig={SHA256_B64.replace('+', '%2B').replace('=', '%3D')}"
)
SIGNED = {
    "aws_sigv4": S3,
    "aws_sigv2": f"https://b.s3.amazonaws.com/v.mp4?AWSAccessKeyId=AKIA&Signature=bWFkZSBieSBhIG1hYyEhIQ%3D%3D&Expires={T}",
    "gcs_v4": S3.replace("X-Amz-", "X-Goog-").replace("AWS4-HMAC-SHA256", "GOOG4-RSA-SHA256"),
    "gcs_v2": f"https://storage.googleapis.com/b/v?GoogleAccessId=x@y.iam.gserviceaccount.com&Expires={T}&Signature=ab%3D",
    "alibaba_oss_v1": f"https://d.oss-cn-beijing.aliyuncs.com/v?OSSAccessKeyId=LTAI&Expires={T}&Signature=abc%3D",
    "volcengine_tos": S3.replace("X-Amz-", "X-Tos-").replace("AWS4", "TOS4"),
    "tencent_cos": (
        f"https://b.cos.myqcloud.com/v?q-sign-algorithm=sha1&q-ak=AKID&q-sign-time=1;{T}&q-key-time=1;{T}"
        f"&q-header-list=host&q-url-param-list=&q-signature={SHA256[:40]}"
    ),
    "huawei_obs": f"https://b.obs.cn-north-4.myhuaweicloud.com/v?AccessKeyId=HW&Expires={T}&Signature=abc%3D",
    "cloudfront_canned": (
        f"https://d1.cloudfront.net/v.mp4?Expires={T}&Signature={CLOUDFRONT_SIGNATURE}&Key-Pair-Id=K38HBHX5LX3X2H"
    ),
    "cloudfront_custom": (
        f"https://d1.cloudfront.net/v.mp4?Policy={POLICY}&Signature={CLOUDFRONT_SIGNATURE}&Key-Pair-Id=K38HBHX5LX3X2H"
    ),
    "azure_sas": AZURE,
    "akamai": f"https://a.example.com/v.m3u8?hdnts=exp={T}~acl=/*~hmac={SHA256}",
    "runway": f"https://dnznrvs05pmza.cloudfront.net/v.mp4?_jwt={JWT}",
    "supabase": f"https://x.supabase.co/storage/v1/object/sign/videos/v.mp4?token={JWT}",
    "discord": f"https://cdn.discordapp.com/attachments/1/2/v.mp4?ex={T:x}&is={T:x}&hm={SHA256}",
    "bytedance_cdn": f"https://p16.example.com/v?x-expires={T}&x-signature=abc%2FDEF%3D",
    "home_made": f"https://v.example.com/a.mp4?expires={T}&signature={SHA256}",
    "home_made token": f"https://v.example.com/a.mp4?token={MD5}&expires_at={T}",
}


def first_parameter(url: str) -> int:
    """Where the first parameter ends, which only a signer writes."""
    query = url.index("?")
    if "v.example.com" in url:  # names that anybody uses: both must have begun
        return url.index("&", query) + 2
    return url.find("&", query) if "&" in url else url.index("=", query) + 4


@pytest.mark.parametrize("name", SIGNED)
def test_a_link_cut_anywhere_behind_its_signer_s_first_parameter_is_never_permanent(name: str) -> None:
    url = SIGNED[name]
    assert not classify(url).truncated
    whole = fingerprint(url)
    for length in range(first_parameter(url), len(url)):
        found = classify(url[:length])
        assert found.kind is not Kind.PERMANENT, url[:length]
        if found.truncated:
            assert found.is_temporary
            assert fingerprint(url[:length]) == whole, "it is still the same file"


@given(st.sampled_from([case for case in CASES if case.kind is Kind.TEMPORARY]))
def test_no_whole_link_of_any_scheme_is_taken_for_one_that_was_cut_off(case) -> None:  # type: ignore[no-untyped-def]
    made_up = ("abc%3D", "abc%2FDEF%3D", "SHA", "Signature=a~b-c__", "ssig=k")
    if not any(each in case.url for each in made_up) and case.scheme != "aws_sigv4a":
        assert not classify(case.url).truncated


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("https://b.s3.amazonaws.com/v.mp4?X-Amz-Algorithm=AWS4-HM", "aws_sigv4"),
        ("https://b.s3.amazonaws.com/v.mp4?X-Amz-Credential=AKIA", "aws_sigv4"),
        (S3[:-20], "aws_sigv4"),
        ("https://storage.googleapis.com/b/v.mp4?X-Goog-Algorithm=GOOG4", "gcs_v4"),
        (f"https://x.blob.core.windows.net/c/v.mp4?skoid={UID[:9]}", "azure_sas"),
        ("https://x.example.com/c/v.mp4?se=2027-01-15T08%3A00%3A00Z&sp=r", "azure_sas"),
        (f"https://d1.cloudfront.net/v.mp4?Expires={T}&Signature=abc", "cloudfront_canned"),
        (f"https://d1.cloudfront.net/v.mp4?Expires={T}&Signature={CLOUDFRONT_SIGNATURE}", "cloudfront_canned"),
        ("https://d1.cloudfront.net/v.mp4?Policy=eyJTdGF0", "cloudfront_custom"),
        ("https://x.example.com/v.mp4?token=eyJ", "jwt"),
        ("https://x.example.com/v.mp4?anything=eyJhbGciOiJIUzI1NiJ9.eyJleHAi", "jwt"),
        (f"https://x.example.com/v.mp4?_jwt={JWT.rpartition('.')[0]}.abc", "runway"),
        ("https://x.example.com/v.m3u8?hdnts=exp=18000", "akamai"),
        ("https://d.oss-cn-beijing.aliyuncs.com/v?x-oss-signature-version=OSS4-HMAC-SHA256", "alibaba_oss_v4"),
        ("https://b.cos.myqcloud.com/v?q-sign-algorithm=sha1&q-ak=AK", "tencent_cos"),
    ],
)
def test_a_beginning_that_only_a_signer_writes_is_enough(url: str, scheme: str) -> None:
    for given_url in (
        url,
        f"https://img.example.com/?url={url.replace('%', '%25').replace('&', '%26').replace('?', '%3F')}",
    ):
        found = classify(given_url)
        assert (found.kind, found.truncated) == (Kind.TEMPORARY, True), given_url
    assert classify(url).scheme == scheme
    [inside] = find(json.dumps({"video": {"url": url}}))
    assert (inside.url, inside.classification.truncated) == (url, True)
    [alone] = find(url)
    assert alone.classification.truncated
    [broken] = find(json.dumps({"video": {"url": url}})[:-3])
    assert broken.classification.truncated, "the document was cut off too"


def test_what_is_there_of_a_token_is_hidden_and_its_end_is_told_only_from_what_is_whole() -> None:
    begun = f"https://x.example.com/v.mp4?token={JWT[:60]}"
    assert JWT[:60] in classify(begun).secrets
    assert JWT[:60] not in redact(begun)
    assert classify(S3[:-70]).expires_at is not None
    assert classify(S3[: S3.index("600&X-Amz-Signed")]).expires_at is None, "3600 or 36000?"


@pytest.mark.parametrize(
    "url",
    [
        *(url for url in PERMANENT if "?" in url),
        "https://example.com/sale?expires=1800000000",
        "https://cdn.example.com/v.mp4?cursor=eyJpZCI6MTIzfQ",
        "https://img.example.com/eyJidWNrZXQiOiJ4",
        f"{S3[:-64]}REDACTED",
        f"{S3[:-64]}***",
        S3.replace(SHA256, "{signature}"),
        f"https://img.example.com/?url={S3}",
    ],
)
def test_a_whole_link_or_the_place_of_a_secret_is_not_cut_off(url: str) -> None:
    assert not classify(url).truncated


@pytest.mark.parametrize("behind", ["<signature>", "{signature}", "[signature]", "...", "\u2026"])
def test_a_manual_that_leaves_a_place_for_the_signature_holds_no_link(behind: str) -> None:
    assert find(f"Call {S3[:-64]}{behind} and wait.") == []
