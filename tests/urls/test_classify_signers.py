"""Every signer that a PyPI library offers: what it signs is recognised to the second, and its secret known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, urlsplit

import jwt
import pytest
from azure.storage.blob import (
    AccountSasPermissions,
    BlobSasPermissions,
    ContainerSasPermissions,
    ResourceTypes,
    UserDelegationKey,
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)
from botocore.auth import HmacV1QueryAuth, S3SigV4QueryAuth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.session import Session
from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.cloud import storage
from google.oauth2 import service_account

from video_assets.urls import Bound, Kind, classify, fingerprint, redact

SECRET_KEY = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
SESSION_TOKEN = "IQoJb3JpZ2luX2VjEPT//////////wEaCXVzLWVhc3QtMSJHMEUCIQDexample+token/with=signs=="


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@dataclass
class Signed:
    url: str
    scheme: str
    expires_at: datetime | None
    secret_names: tuple[str, ...]
    slack: int = 0
    """Seconds the signer's own clock may have moved on."""
    bound: Bound = Bound.CERTAIN


def check(signed: Signed) -> None:
    result = classify(signed.url)
    assert result.kind is Kind.TEMPORARY
    assert result.scheme == signed.scheme
    assert result.bound is signed.bound
    if signed.expires_at is None:
        assert result.expires_at is None
    else:
        assert result.expires_at is not None
        assert timedelta() <= result.expires_at - signed.expires_at <= timedelta(seconds=signed.slack)
    values = [value for name, value in raw_pairs(signed.url) if name.lower() in signed.secret_names]
    assert values, "the case itself must hold a secret"
    for value in values:
        assert value in result.secrets
    shown = redact(signed.url)
    for value in values:
        assert value not in shown
    assert shown.startswith(signed.url.split("?")[0])
    assert not classify(shown).secrets
    assert redact(shown) == shown


def raw_pairs(url: str) -> Iterator[tuple[str, str]]:
    for pair in urlsplit(url).query.split("&"):
        name, _, value = pair.partition("=")
        yield name, value


# --- AWS --------------------------------------------------------------------------------------------------------


def s3_client(
    *, signature: str = "s3v4", token: str | None = None, endpoint: str | None = None, style: str = "auto"
):
    session = Session()
    session.set_credentials("AKIAIOSFODNN7EXAMPLE", SECRET_KEY, token)
    return session.create_client(
        "s3",
        region_name="eu-central-1",
        endpoint_url=endpoint,
        config=Config(signature_version=signature, s3={"addressing_style": style}),
    )


@pytest.mark.parametrize("style", ["path", "virtual"])
@pytest.mark.parametrize("seconds", [1, 3600, 604800])
@pytest.mark.parametrize(
    "endpoint",
    [
        None,
        "https://abcdef0123456789.r2.cloudflarestorage.com",
        "http://127.0.0.1:9000",
        "https://s3.eu-central-1.wasabisys.com",
        "https://fra1.digitaloceanspaces.com",
    ],
)
def test_s3_presigned_urls_die_at_date_plus_expires(endpoint: str | None, seconds: int, style: str) -> None:
    client = s3_client(endpoint=endpoint, style=style)
    began = now()
    url = client.generate_presigned_url(
        "get_object",
        Params={
            "Bucket": "assets",
            "Key": "videos/a b+c/ü.mp4",
            "ResponseContentDisposition": "attachment; filename=x",
        },
        ExpiresIn=seconds,
    )
    check(Signed(url, "aws_sigv4", began + timedelta(seconds=seconds), ("x-amz-signature",), slack=2))


def test_a_session_token_makes_the_end_an_upper_bound() -> None:
    client = s3_client(token=SESSION_TOKEN)
    began = now()
    url = client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"}, ExpiresIn=60)
    check(
        Signed(
            url,
            "aws_sigv4",
            began + timedelta(seconds=60),
            ("x-amz-signature", "x-amz-security-token"),
            slack=2,
            bound=Bound.UPPER,
        )
    )


@pytest.mark.parametrize("auth", [S3SigV4QueryAuth, SigV4QueryAuth])
def test_query_auth_of_any_service_is_sigv4(auth: Callable[..., SigV4QueryAuth]) -> None:
    request = AWSRequest(method="GET", url="https://example.execute-api.eu-west-1.amazonaws.com/video?id=7")
    began = now()
    auth(Credentials("AKIDEXAMPLE", SECRET_KEY), "execute-api", "eu-west-1", 900).add_auth(request)
    check(Signed(request.url, "aws_sigv4", began + timedelta(seconds=900), ("x-amz-signature",), slack=2))


@pytest.mark.parametrize("token", [None, SESSION_TOKEN])
def test_s3_signature_version_2(token: str | None) -> None:
    client = s3_client(signature="s3", token=token)
    began = now()
    url = client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k.mp4"}, ExpiresIn=777)
    secrets = ("signature", "x-amz-security-token") if token else ("signature",)
    bound = Bound.UPPER if token else Bound.CERTAIN
    check(Signed(url, "aws_sigv2", began + timedelta(seconds=777), secrets, slack=2, bound=bound))
    assert HmacV1QueryAuth.DEFAULT_EXPIRES == 3600


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def cloudfront(rsa_key: rsa.RSAPrivateKey) -> CloudFrontSigner:
    return CloudFrontSigner(
        "K2JCJMDEHXQW5F", lambda message: rsa_key.sign(message, padding.PKCS1v15(), hashes.SHA1())
    )


@pytest.mark.parametrize(
    "base", ["https://d111111abcdef8.cloudfront.net/v.mp4", "https://files2.heygen.ai/a/b.mp4?id=9"]
)
def test_cloudfront_canned_policy(rsa_key: rsa.RSAPrivateKey, base: str) -> None:
    dies = datetime(2027, 3, 4, 5, 6, 7, tzinfo=UTC)
    url = cloudfront(rsa_key).generate_presigned_url(base, date_less_than=dies)
    check(Signed(url, "cloudfront_canned", dies, ("signature",)))
    check(Signed(url + "&Hash-Algorithm=SHA256", "cloudfront_canned", dies, ("signature",)))


def test_cloudfront_custom_policy(rsa_key: rsa.RSAPrivateKey) -> None:
    dies = datetime(2027, 3, 4, 5, 6, 7, tzinfo=UTC)
    signer = cloudfront(rsa_key)
    policy = signer.build_policy(
        "https://d1.cloudfront.net/*",
        dies,
        date_greater_than=dies - timedelta(days=1),
        ip_address="203.0.113.0/24",
    )
    url = signer.generate_presigned_url("https://d1.cloudfront.net/v.mp4", policy=policy)
    check(Signed(url, "cloudfront_custom", dies, ("signature", "policy")))


def test_cloudfront_custom_policy_written_by_hand_with_line_ends(rsa_key: rsa.RSAPrivateKey) -> None:
    policy = """{
        "Statement": [
            {"Resource": "https://d1.cloudfront.net/*",
             "Condition": {
                "DateLessThan": { "AWS:EpochTime" : 1803700800 }
             }}]
    }\n"""
    url = cloudfront(rsa_key).generate_presigned_url("https://d1.cloudfront.net/v.mp4", policy=policy)
    check(Signed(url, "cloudfront_custom", datetime.fromtimestamp(1803700800, UTC), ("signature", "policy")))


# --- Google -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bucket(rsa_key: rsa.RSAPrivateKey) -> storage.Bucket:
    pem = rsa_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    credentials = service_account.Credentials.from_service_account_info(
        {
            "client_email": "signer@project.iam.gserviceaccount.com",
            "private_key": pem.decode(),
            "token_uri": "https://oauth2.googleapis.com/token",
        }
    )
    return storage.Client(project="p", credentials=credentials).bucket("assets")


@pytest.mark.parametrize("seconds", [1, 900, 604800])
def test_gcs_v4(bucket: storage.Bucket, seconds: int) -> None:
    began = now()
    url = bucket.blob("a/b c.mp4").generate_signed_url(version="v4", expiration=timedelta(seconds=seconds))
    check(Signed(url, "gcs_v4", began + timedelta(seconds=seconds), ("x-goog-signature",), slack=2))


def test_gcs_v4_of_a_virtual_host_with_a_download_name(bucket: storage.Bucket) -> None:
    began = now()
    url = bucket.blob("v.mp4").generate_signed_url(
        version="v4",
        expiration=timedelta(hours=1),
        virtual_hosted_style=True,
        response_disposition="attachment",
        generation=17,
    )
    check(Signed(url, "gcs_v4", began + timedelta(hours=1), ("x-goog-signature",), slack=2))


@pytest.mark.parametrize("dies", [datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2491, 3, 17, tzinfo=UTC)])
def test_gcs_v2_also_with_the_far_end_of_firebase(bucket: storage.Bucket, dies: datetime) -> None:
    url = bucket.blob("v.mp4").generate_signed_url(version="v2", expiration=dies)
    check(Signed(url, "gcs_v2", dies, ("signature",)))


# --- Azure ------------------------------------------------------------------------------------------------------

ACCOUNT_KEY = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3ODk="
BLOB = "https://acct.blob.core.windows.net/c/v.mp4?"


def delegation_key(expiry: datetime) -> UserDelegationKey:
    key = UserDelegationKey()
    key.signed_oid = "11111111-2222-3333-4444-555555555555"
    key.signed_tid = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
    key.signed_start = "2026-11-20T00:00:00Z"
    key.signed_expiry = expiry.strftime("%Y-%m-%dT%H:%M:%SZ")
    key.signed_service = "b"
    key.signed_version = "2024-08-04"
    key.value = ACCOUNT_KEY
    return key


def test_azure_blob_sas() -> None:
    dies = datetime(2026, 12, 1, 2, 3, 4, tzinfo=UTC)
    token = generate_blob_sas(
        "acct", "c", "v.mp4", account_key=ACCOUNT_KEY, permission=BlobSasPermissions(read=True), expiry=dies
    )
    check(Signed(BLOB + token, "azure_sas", dies, ("sig",)))


@pytest.mark.parametrize(("sas_days", "key_days", "dies_in"), [(1, 7, 1), (7, 1, 1), (3, 3, 3)])
def test_a_user_delegation_sas_dies_with_its_key(sas_days: int, key_days: int, dies_in: int) -> None:
    start = datetime(2026, 11, 21, 10, 11, 12, tzinfo=UTC)
    token = generate_blob_sas(
        "acct",
        "c",
        "v.mp4",
        user_delegation_key=delegation_key(start + timedelta(days=key_days)),
        permission=BlobSasPermissions(read=True),
        expiry=start + timedelta(days=sas_days),
        start=start,
    )
    check(Signed(BLOB + token, "azure_sas", start + timedelta(days=dies_in), ("sig",)))


def test_an_azure_sas_resting_on_a_stored_policy_ends_when_only_the_server_knows() -> None:
    token = generate_container_sas("acct", "c", account_key=ACCOUNT_KEY, policy_id="read-policy")
    check(Signed(BLOB + token, "azure_sas", None, ("sig",)))


def test_azure_container_and_account_sas() -> None:
    dies = datetime(2027, 1, 1, 0, 0, 0, tzinfo=UTC)
    container = generate_container_sas(
        "acct", "c", account_key=ACCOUNT_KEY, permission=ContainerSasPermissions(read=True), expiry=dies
    )
    account = generate_account_sas(
        "acct", ACCOUNT_KEY, ResourceTypes(object=True), AccountSasPermissions(read=True), expiry=dies
    )
    check(Signed(BLOB + container, "azure_sas", dies, ("sig",)))
    check(Signed(BLOB + account, "azure_sas", dies, ("sig",)))


@pytest.mark.parametrize(
    ("written", "dies"),
    [
        ("2026-12-24", datetime(2026, 12, 24, tzinfo=UTC)),
        ("2026-12-24T10:11Z", datetime(2026, 12, 24, 10, 11, tzinfo=UTC)),
        ("2026-12-24T10:11:12.1234567Z", datetime(2026, 12, 24, 10, 11, 12, tzinfo=UTC)),
        ("2026-12-24T10:11:12+02:00", datetime(2026, 12, 24, 8, 11, 12, tzinfo=UTC)),
    ],
)
def test_azure_expiry_in_every_documented_cut(written: str, dies: datetime) -> None:
    for value in (written, quote(written, safe="")):
        token = generate_blob_sas(
            "acct", "c", "v.mp4", account_key=ACCOUNT_KEY, permission="r", expiry=written, protocol="https"
        )
        url = BLOB + "&".join(f"se={value}" if pair.startswith("se=") else pair for pair in token.split("&"))
        check(Signed(url, "azure_sas", dies, ("sig",)))


# --- the Chinese clouds -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "CAISsecurityToken+/=="])
def test_alibaba_oss_v1(token: str | None) -> None:
    oss2 = pytest.importorskip("oss2")
    auth = oss2.StsAuth("LTAIexample", SECRET_KEY, token) if token else oss2.Auth("LTAIexample", SECRET_KEY)
    began = now()
    url = oss2.Bucket(auth, "https://oss-cn-beijing.aliyuncs.com", "dashscope").sign_url("GET", "a/v.mp4", 86400)
    secrets = ("signature", "security-token") if token else ("signature",)
    bound = Bound.UPPER if token else Bound.CERTAIN
    check(Signed(url, "alibaba_oss_v1", began + timedelta(days=1), secrets, slack=2, bound=bound))


@pytest.mark.parametrize("token", [None, "CAISsecurityToken+/=="])
def test_alibaba_oss_v4(token: str | None) -> None:
    oss2 = pytest.importorskip("oss2")
    from oss2.credentials import StaticCredentialsProvider

    auth = oss2.ProviderAuthV4(StaticCredentialsProvider("LTAIexample", SECRET_KEY, token))
    bucket = oss2.Bucket(auth, "https://oss-cn-hangzhou.aliyuncs.com", "dashscope", region="cn-hangzhou")
    began = now()
    url = bucket.sign_url(
        "GET", "v.mp4", 3601, slash_safe=True, params={"x-oss-process": "video/snapshot,t_1000"}
    )
    secrets = ("x-oss-signature", "x-oss-security-token") if token else ("x-oss-signature",)
    bound = Bound.UPPER if token else Bound.CERTAIN
    check(Signed(url, "alibaba_oss_v4", began + timedelta(seconds=3601), secrets, slack=2, bound=bound))


def test_tencent_cos() -> None:
    qcloud_cos = pytest.importorskip("qcloud_cos")
    config = qcloud_cos.CosConfig(
        Region="ap-guangzhou", SecretId="AKIDexample", SecretKey=SECRET_KEY, Token="sts-token-1"
    )
    began = now()
    url = qcloud_cos.CosS3Client(config).get_presigned_url(
        Bucket="b-1250000000",
        Key="v.mp4",
        Method="GET",
        Expired=3600,
        Params={"x-cos-security-token": "sts-token-1"},
    )
    # The SDK dates the start back by a minute and counts the lifetime from there.
    names = dict(parse_qsl(urlsplit(url).query))
    end = datetime.fromtimestamp(int(names["q-sign-time"].split(";")[1]), UTC)
    assert abs(end - began) < timedelta(hours=1, minutes=2)
    check(Signed(url, "tencent_cos", end, ("q-signature", "x-cos-security-token"), bound=Bound.UPPER))
    raw_semicolons = url.replace("%3B", ";")
    check(Signed(raw_semicolons, "tencent_cos", end, ("q-signature",), bound=Bound.UPPER))


def test_volcengine_tos() -> None:
    tos = pytest.importorskip("tos")
    client = tos.TosClientV2("AKTPexample", SECRET_KEY, "tos-ap-southeast-1.bytepluses.com", "ap-southeast-1")
    began = now()
    signed = client.pre_signed_url(
        tos.HttpMethodType.Http_Method_Get, "ark-content", "seedance/v.mp4", expires=86400
    )
    check(Signed(signed.signed_url, "volcengine_tos", began + timedelta(days=1), ("x-tos-signature",), slack=2))


def test_huawei_obs() -> None:
    obs = pytest.importorskip("obs")
    client = obs.ObsClient(
        access_key_id="HWAKexample",
        secret_access_key=SECRET_KEY,
        server="https://obs.cn-north-4.myhuaweicloud.com",
    )
    began = now()
    url = client.createSignedUrl("GET", "bucket", "v.mp4", expires=1800).signedUrl
    scheme = classify(url).scheme
    assert scheme in ("huawei_obs", "aws_sigv2")
    check(Signed(url, str(scheme), began + timedelta(seconds=1800), ("signature",), slack=2))
    v4 = obs.ObsClient(
        access_key_id="HWAKexample",
        secret_access_key=SECRET_KEY,
        server="https://obs.cn-north-4.myhuaweicloud.com",
        signature="v4",
    )
    began = now()
    url = v4.createSignedUrl("GET", "bucket", "v.mp4", expires=1800).signedUrl
    check(Signed(url, "aws_sigv4", began + timedelta(seconds=1800), ("x-amz-signature",), slack=2))


def test_qiniu() -> None:
    qiniu = pytest.importorskip("qiniu")
    access = "MP_Ebql_lSsUrDr7WrXn_5vKocQDLvTPCNEFeVmp"
    began = now()
    url = qiniu.Auth(access, SECRET_KEY).private_download_url("http://cdn.example.com/v.mp4", expires=3600)
    result = classify(url)
    assert (result.kind, result.scheme) == (Kind.TEMPORARY, "qiniu")
    assert result.expires_at is not None
    assert timedelta() <= result.expires_at - began - timedelta(hours=1) <= timedelta(seconds=2)
    signature = url.rsplit(":", 1)[1]
    assert signature in result.secrets
    assert signature not in redact(url)
    assert access in redact(url), "the access key's id is no secret and tells whose link it was"


def test_baidu_bos() -> None:
    pytest.importorskip("baidubce")
    from baidubce.auth.bce_credentials import BceCredentials
    from baidubce.bce_client_configuration import BceClientConfiguration
    from baidubce.services.bos.bos_client import BosClient

    client = BosClient(
        BceClientConfiguration(
            credentials=BceCredentials("bceakexample", SECRET_KEY), endpoint="https://bj.bcebos.com"
        )
    )
    start = int(now().timestamp())
    url = client.generate_pre_signed_url("bucket", "v.mp4", timestamp=start, expiration_in_seconds=1800).decode()
    result = classify(url)
    assert (result.kind, result.scheme) == (Kind.TEMPORARY, "baidu_bos")
    assert result.expires_at == datetime.fromtimestamp(start + 1800, UTC)
    signature = url.rsplit("%2F", 1)[1]
    assert signature in result.secrets
    assert signature not in redact(url)


# --- JSON Web Tokens --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "none"])
@pytest.mark.parametrize(
    "template",
    [
        "https://dnznrvs05pmza.cloudfront.net/{jwt}.mp4",
        "https://dnznrvs05pmza.cloudfront.net/x.mp4?_jwt={jwt}",
        "https://h.example/p?anything={jwt}&v=2",
        "https://h.example/p?{jwt}",
        "https://customer-abc.cloudflarestream.com/{jwt}/manifest/video.m3u8",
        "https://h.example/v;session={jwt}/part/v.mp4",
        "https://h.example/p#access_token={jwt}&token_type=bearer",
        "https://{jwt}@h.example/p",
        "https://user:{jwt}@h.example/p",
        "https://h.example/p?auth=Bearer%20{jwt}",
        "https://h.example/p?auth=Bearer+{jwt}",
    ],
)
def test_a_jwt_is_found_wherever_it_stands(template: str, algorithm: str, rsa_key: rsa.RSAPrivateKey) -> None:
    dies = datetime(2027, 2, 3, tzinfo=UTC)
    claims = {"keyHash": "abc", "bucket": "runway-task-artifacts", "stage": "prod", "exp": int(dies.timestamp())}
    key: object = {"HS256": "s" * 32, "RS256": rsa_key, "none": None}[algorithm]
    token = jwt.encode(claims, key, algorithm=algorithm)  # type: ignore[arg-type]
    for spelled in (token, token.replace(".", "%2E")):
        url = template.format(jwt=spelled)
        result = classify(url)
        assert (result.kind, result.expires_at, result.carries_jwt) == (Kind.TEMPORARY, dies, True)
        assert any(spelled in secret for secret in result.secrets)
        shown = redact(url)
        assert spelled not in shown
        assert token.split(".")[1] not in shown
        other = jwt.encode({**claims, "exp": claims["exp"] + 86400}, key, algorithm=algorithm)  # type: ignore[arg-type]
        assert fingerprint(url) == fingerprint(template.format(jwt=other))


@pytest.mark.parametrize(
    ("exp", "dies"),
    [
        (1800000000, datetime(2027, 1, 15, 8, tzinfo=UTC)),
        (1800000000.75, datetime(2027, 1, 15, 8, tzinfo=UTC)),
        ("1800000000", datetime(2027, 1, 15, 8, tzinfo=UTC)),
        (1800000000000, datetime(2027, 1, 15, 8, tzinfo=UTC)),
        ("1800000000000", datetime(2027, 1, 15, 8, tzinfo=UTC)),
        (1.8e9, datetime(2027, 1, 15, 8, tzinfo=UTC)),
        (1000000000, datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_every_way_of_writing_exp(exp: object, dies: datetime) -> None:
    import json

    from jwt.api_jws import PyJWS

    token = PyJWS().encode(json.dumps({"exp": exp}).encode(), "k" * 32, algorithm="HS256")
    result = classify(f"https://h.example/v.mp4?token={token}")
    assert (result.kind, result.expires_at, result.carries_jwt) == (Kind.TEMPORARY, dies, True)


@pytest.mark.parametrize(
    "claims", [{}, {"sub": "u"}, {"exp": None}, {"exp": True}, {"exp": "soon"}, {"exp": 1e300}]
)
def test_a_jwt_that_names_no_end_is_a_credential(claims: dict[str, object]) -> None:
    import json

    from jwt.api_jws import PyJWS

    token = PyJWS().encode(json.dumps(claims).encode(), "k" * 32, algorithm="HS256")
    result = classify(f"https://h.example/v.mp4?token={token}")
    assert (result.kind, result.expires_at, result.carries_jwt) == (Kind.CREDENTIAL_ONLY, None, True)
    assert token in result.secrets


def test_of_several_tokens_the_earliest_end_counts() -> None:
    early, late = (jwt.encode({"exp": exp}, "k" * 32) for exp in (1800000000, 1900000000))
    result = classify(f"https://h.example/{late}/v.mp4?t={early}")
    assert result.expires_at == datetime.fromtimestamp(1800000000, UTC)
    assert set(result.secrets) == {early, late}
