"""S3: what goes over the wire, large files, and every fault as one sentence that a person can act on."""

from __future__ import annotations

import base64
import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from video_assets.settings import Settings
from video_assets.storage import ObjectMissing, StorageFailed, open_storage, s3_upload
from video_assets.storage.policies import aws_public_read_policy
from video_assets.storage.s3 import S3Storage
from video_assets.storage.s3_parts import PART_SIZE

from .conftest import Source, make_source, s3_store
from .faulty import Scripted, Wire, relay, scripted_store
from .servers import KEY_ID, SECRET

KEY = "ana/video-1732000000000/video-1.mp4"
MiB = 1024**2


@pytest.fixture
def script() -> Iterator[Scripted]:
    with scripted_store() as script:
        yield script


@pytest.fixture
def wire(rclone: tuple[str, Path]) -> Iterator[Wire]:
    with relay(rclone[0]) as wire:
        yield wire


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_upload, "FIRST_WAIT", 0.01)


def test_an_upload_is_one_put_that_carries_both_digests_and_the_cache_rule(
    script: Scripted, source: Source
) -> None:
    script.on("PUT", (200, "", {"ETag": f'"{source.md5}"'}))
    put = source.put(s3_store(script.endpoint, "bucket"), KEY)
    [_, (method, path, headers, received)] = script.requests  # the first asks whether the bucket is there
    assert (method, path, received) == ("PUT", f"/bucket/{KEY}", len(source.content))
    assert headers["Content-Length"] == str(len(source.content))
    assert headers["Content-Type"] == "video/mp4"
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert headers["Content-MD5"] == base64.b64encode(bytes.fromhex(source.md5)).decode()
    assert headers["X-Amz-Content-SHA256"] == source.sha256
    signed = headers["Authorization"]
    for name in ("cache-control", "content-md5", "content-type", "host", "x-amz-content-sha256"):
        assert name in signed
    assert "Transfer-Encoding" not in headers
    assert put.etag == source.md5


def test_uploads_share_a_kept_connection(wire: Wire, source: Source) -> None:
    store = s3_store(wire.endpoint)
    store.ensure_bucket()
    before = wire.connections
    for number in range(6):
        source.put(store, f"video-{number}.mp4")
    assert wire.connections == before + 1


def test_our_policy_lets_anyone_read_and_the_cache_rule_reaches_them(moto: str, source: Source) -> None:
    store = s3_store(moto)
    store.ensure_bucket()
    source.put(store, KEY)
    asked = {"Range": "bytes=5-9"}
    assert requests.get(store.public_url(KEY), headers=asked, timeout=10).status_code == 403
    store._client.put_bucket_policy(Bucket=store.bucket, Policy=aws_public_read_policy(store.bucket))
    answer = requests.get(store.public_url(KEY), headers=asked, timeout=10)
    assert answer.status_code == 206
    assert answer.content == source.content[5:10]
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Content-Type"] == "video/mp4"


def test_a_signed_address_works_expires_and_cannot_be_changed(s3: S3Storage, source: Source) -> None:
    source.put(s3, KEY)
    address = s3.signed_url(KEY, expires_in=2, download_name="Zoë's film.mp4")
    answer = requests.get(address, timeout=10)
    assert answer.content == source.content
    assert "filename*=UTF-8''Zo%C3%AB%27s%20film.mp4" in answer.headers["Content-Disposition"]
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert requests.get(address.replace("video-1.mp4", "video-2.mp4"), timeout=10).status_code == 403
    assert requests.get(address.partition("?")[0], timeout=10).status_code in (400, 401, 403)
    deadline = time.monotonic() + 15
    while requests.get(address, timeout=10).status_code == 200:
        assert time.monotonic() < deadline, "the signed address does not die"
        time.sleep(0.2)


def test_the_bucket_is_made_once(moto: str) -> None:
    store = s3_store(moto)
    assert store.bucket_exists() is False
    assert store.ensure_bucket() is True
    assert store.ensure_bucket() is False
    assert store.bucket_exists() is True


# Large files


@pytest.mark.parametrize("server", ["rclone", "moto"])
@pytest.mark.parametrize("size", [5 * MiB, 5 * MiB + 1, PART_SIZE, PART_SIZE + 1, 2 * PART_SIZE + 5])
def test_a_large_file_goes_in_parts_and_arrives_whole(
    request: pytest.FixtureRequest, tmp_path: Path, server: str, size: int
) -> None:
    served = request.getfixturevalue(server)
    endpoint = served if isinstance(served, str) else served[0]
    store = s3_store(endpoint, s3_multipart_threshold=5 * MiB)
    store.ensure_bucket()
    large = make_source(tmp_path, size)
    put = large.put(store, KEY)
    in_parts = size > 5 * MiB
    assert put.etag is not None
    assert put.etag.endswith(f"-{-(-size // PART_SIZE)}") is in_parts
    assert store.read_back(KEY, size=size, sha256=large.sha256, md5=large.md5)
    found = store.head(KEY)
    assert found is not None
    assert (found.size, found.content_type) == (size, "video/mp4")
    assert store.abort_stale_uploads(timedelta(seconds=-60)) == 0


def test_an_object_in_parts_is_proven_by_its_etag_where_each_part_was(moto: str, tmp_path: Path) -> None:
    store = s3_store(moto, s3_multipart_threshold=5 * MiB)
    store.ensure_bucket()
    large = make_source(tmp_path, 2 * PART_SIZE + 5)
    size = len(large.content)
    large.put(store, KEY)
    assert store.read_back(KEY, size=size, sha256=large.sha256, md5=large.md5) == "etag"
    other = make_source(tmp_path, size, "other")
    with pytest.raises(StorageFailed, match="other bytes"):
        store.read_back(KEY, size=size, sha256=other.sha256, md5=other.md5)
    # Another process knows nothing of the parts, and reads.
    again = s3_store(moto, store.bucket)
    assert again.read_back(KEY, size=size, sha256=large.sha256, md5=large.md5) == "bytes"
    other.put(s3_store(moto, store.bucket), KEY)
    with pytest.raises(StorageFailed, match="other bytes"):
        store.read_back(KEY, size=size, sha256=large.sha256, md5=large.md5)


PARTS = "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"


@pytest.mark.parametrize("part_etag", ["", '"0123456789abcdef0123456789abcdef"', '"opaque"'])
def test_an_etag_of_parts_that_are_not_called_by_their_md5_proves_nothing(
    script: Scripted, tmp_path: Path, part_etag: str
) -> None:
    large = make_source(tmp_path, 6 * MiB)
    size = len(large.content)
    joined = hashlib.md5(bytes.fromhex(large.md5), usedforsecurity=False).hexdigest() + "-1"
    done = f'<CompleteMultipartUploadResult><ETag>"{joined}"</ETag></CompleteMultipartUploadResult>'
    script.on("POST", (200, PARTS), (200, done))
    script.on("PUT", (200, "", {"ETag": part_etag} if part_etag else {}))
    script.on("HEAD", (200, "", {"Content-Length": str(size), "ETag": f'"{joined}"'}))
    script.on("GET", (200, "other bytes"))
    store = s3_store(script.endpoint, "bucket", s3_multipart_threshold=5 * MiB)
    large.put(store, KEY)
    with pytest.raises(StorageFailed, match="other bytes"):
        store.read_back(KEY, size=size, sha256=large.sha256, md5=large.md5)


def test_each_part_carries_its_own_digests(script: Scripted, tmp_path: Path) -> None:
    large = make_source(tmp_path, PART_SIZE + 1000)
    script.on("POST", (200, PARTS), (200, "<CompleteMultipartUploadResult/>"))
    store = s3_store(script.endpoint, "bucket", s3_multipart_threshold=5 * MiB)
    large.put(store, KEY)
    parts = {path: headers for method, path, headers, _ in script.requests if method == "PUT"}
    assert len(parts) == 2
    for number, content in enumerate((large.content[:PART_SIZE], large.content[PART_SIZE:]), start=1):
        headers = parts[f"/bucket/{KEY}?uploadId=u1&partNumber={number}"]
        md5 = hashlib.md5(content, usedforsecurity=False).digest()
        assert headers["Content-MD5"] == base64.b64encode(md5).decode()
        assert headers["X-Amz-Content-SHA256"] == hashlib.sha256(content).hexdigest()  # it is not under TLS


def test_a_file_that_changed_since_it_was_verified_is_not_joined(script: Scripted, tmp_path: Path) -> None:
    large = make_source(tmp_path, 6 * MiB)
    script.on("POST", (200, PARTS), (200, "<CompleteMultipartUploadResult/>"))
    script.on("DELETE", (204, ""))
    store = s3_store(script.endpoint, "bucket", s3_multipart_threshold=5 * MiB)
    with pytest.raises(StorageFailed, match="changed on disk"):
        store.put(KEY, large.path, content_type="video/mp4", sha256="0" * 64)
    assert script.count("POST") == 1  # begun, not completed
    assert script.requests[-1][0] == "DELETE"


def test_a_failed_part_gives_the_upload_up(script: Scripted, tmp_path: Path) -> None:
    script.on(
        "POST", (200, "<InitiateMultipartUploadResult><UploadId>u1/+=</UploadId></InitiateMultipartUploadResult>")
    )
    script.on("PUT", (200, "", {"ETag": '"e1"'}), (403, "AccessDenied"))
    script.on("DELETE", (204, ""))
    store = s3_store(script.endpoint, "bucket", s3_multipart_threshold=5 * MiB)
    large = make_source(tmp_path, 3 * PART_SIZE)
    with pytest.raises(StorageFailed, match="access is denied"):
        large.put(store, KEY)
    assert script.requests[-1][:2] == ("DELETE", f"/bucket/{KEY}?uploadId=u1%2F%2B%3D")
    assert script.count("POST") == 1  # never completed


def test_an_upload_that_cannot_even_be_given_up_tells_the_first_fault(script: Scripted, tmp_path: Path) -> None:
    script.on(
        "POST", (200, "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>")
    )
    script.on("PUT", (403, "QuotaExceeded"))
    script.on("DELETE", (403, "AccessDenied"))
    store = s3_store(script.endpoint, "bucket", s3_multipart_threshold=5 * MiB)
    with pytest.raises(StorageFailed, match="the store is full"):
        make_source(tmp_path, 6 * MiB).put(store, KEY)


@pytest.mark.parametrize("server", ["rclone", "moto"])
def test_uploads_of_killed_writers_are_swept(request: pytest.FixtureRequest, server: str) -> None:
    served = request.getfixturevalue(server)
    store = s3_store(served if isinstance(served, str) else served[0])
    store.ensure_bucket()
    client: Any = store._client
    for key in ("left/1.mp4", "left/2.mp4"):
        client.create_multipart_upload(Bucket=store.bucket, Key=key)
    assert store.abort_stale_uploads(timedelta(days=36_500)) == 0  # moto dates every upload to 2010
    assert store.abort_stale_uploads(timedelta(seconds=-60)) == 2
    assert store.abort_stale_uploads(timedelta(seconds=-60)) == 0


WRITER = """
import sys
from pathlib import Path
from video_assets.settings import Settings
from video_assets.storage import open_storage, s3_upload

endpoint, bucket, key_id, secret, source, threshold, sha256 = sys.argv[1:]
real = s3_upload._blocks

def half(*args):
    for number, block in enumerate(real(*args)):
        if number == 2:
            print("here", flush=True)
            sys.stdin.read()
        yield block

s3_upload._blocks = half
store = open_storage(Settings(_env_file=None, storage="s3", s3_endpoint_url=endpoint, bucket=bucket,
    s3_access_key_id=key_id, s3_secret_access_key=secret, s3_multipart_threshold=int(threshold)))
store.put("ana/video.mp4", Path(source), content_type="video/mp4", sha256=sha256)
"""


@pytest.mark.parametrize("threshold", [100 * MiB, 5 * MiB])
def test_a_writer_that_is_killed_leaves_no_object(s3: S3Storage, tmp_path: Path, threshold: int) -> None:
    large = make_source(tmp_path, 8 * MiB)
    arguments = [f"http://{s3.host}", s3.bucket, KEY_ID, SECRET, str(large.path), str(threshold), large.sha256]
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, *arguments], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "here\n"
        writer.send_signal(signal.SIGKILL)
    assert s3.head("ana/video.mp4") is None
    assert list(s3.list()) == []
    assert s3.abort_stale_uploads(timedelta(seconds=-60)) == (1 if threshold < 8 * MiB else 0)
    large.put(s3, "ana/video.mp4")
    assert s3.read_back("ana/video.mp4", size=8 * MiB, sha256=large.sha256, md5=large.md5) == "etag"


MEMORY = """
import hashlib, resource, sys
from pathlib import Path
from video_assets.settings import Settings
from video_assets.storage import open_storage

def peak():
    return next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

endpoint, bucket, key_id, secret, source, sha256, threshold = sys.argv[1:]
store = open_storage(Settings(_env_file=None, storage="s3", s3_endpoint_url=endpoint, bucket=bucket,
    s3_access_key_id=key_id, s3_secret_access_key=secret, s3_multipart_threshold=int(threshold)))
list(store.list())  # loads what botocore loads late
before = peak()
store.put("large.mp4", Path(source), content_type="video/mp4", sha256=sha256)
store.read_back("large.mp4", size=Path(source).stat().st_size, sha256=sha256)
print(peak() - before)
"""


@pytest.mark.parametrize("threshold", [1000 * MiB, 5 * MiB])
def test_memory_does_not_grow_with_the_file(s3: S3Storage, tmp_path: Path, threshold: int) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc to read the peak memory")
    size = 200 * MiB
    source = tmp_path / "large"
    with source.open("wb") as file:
        file.truncate(size)
    digest = hashlib.sha256()
    for _ in range(200):
        digest.update(bytes(MiB))
    arguments = [f"http://{s3.host}", s3.bucket, KEY_ID, SECRET, str(source), digest.hexdigest(), str(threshold)]
    run = subprocess.run(
        [sys.executable, "-c", MEMORY, *arguments], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(run.stdout) < 40, f"{run.stdout} MB more"


# Faults


def test_a_busy_store_is_asked_again(script: Scripted, source: Source) -> None:
    script.on("PUT", (503, "SlowDown"), (500, "InternalError"), (200, "", {"ETag": '"x"'}))
    assert source.put(s3_store(script.endpoint, "bucket"), KEY).etag == "x"
    assert [request[3] for request in script.requests if request[0] == "PUT"] == [len(source.content)] * 3


def test_a_busy_store_is_not_asked_for_ever(script: Scripted, source: Source) -> None:
    script.on("PUT", (503, "SlowDown"))
    with pytest.raises(StorageFailed, match="asks to go slower") as caught:
        source.put(s3_store(script.endpoint, "bucket"), KEY)
    assert script.count("PUT") == 4
    assert caught.value.retryable is True


def test_an_upload_cut_in_the_middle_is_sent_again(wire: Wire, source: Source) -> None:
    store = s3_store(wire.endpoint)
    store.ensure_bucket()
    wire.cuts, wire.cut_up_after = 2, 700_000
    store._client._endpoint.http_session.close()
    fresh = s3_store(wire.endpoint.replace("127.0.0.1", "localhost"), store.bucket)  # with no kept connection
    source.put(fresh, KEY)
    assert wire.cuts == 0
    assert store.read_back(KEY, size=len(source.content), sha256=source.sha256, md5=source.md5) == "etag"


def test_a_read_cut_in_the_middle_goes_on_where_it_broke(wire: Wire, s3: S3Storage, source: Source) -> None:
    source.put(s3, KEY)
    store = s3_store(wire.endpoint, s3.bucket)
    wire.cuts, wire.cut_down_after = 2, 600_000
    assert b"".join(store.read(KEY, 1000)) == source.content[1000:]
    assert wire.cuts == 0


def test_a_read_that_is_always_cut_fails_in_the_end(wire: Wire, s3: S3Storage, source: Source) -> None:
    source.put(s3, KEY)
    store = s3_store(wire.endpoint, s3.bucket)
    wire.cuts, wire.cut_down_after = 1000, 100_000
    with pytest.raises(StorageFailed, match="the connection broke"):
        b"".join(store.read(KEY))


def test_a_read_does_not_go_on_in_another_version(script: Scripted) -> None:
    half = (200, "x" * 300_000, {"Content-Length": "600000", "ETag": '"v1"'})
    script.on("GET", half, (412, "PreconditionFailed"))
    blocks = s3_store(script.endpoint, "bucket").read(KEY)
    with pytest.raises(StorageFailed):
        b"".join(blocks)
    assert script.requests[1][2]["If-Match"] == '"v1"'
    assert script.requests[1][2]["Range"] in ("bytes=262144-", "bytes=300000-")


@pytest.mark.parametrize("encryption", [{"x-amz-server-side-encryption": "aws:kms"}, {}])
def test_an_etag_counts_as_proof_only_where_it_is_the_md5(
    script: Scripted, source: Source, encryption: dict[str, str]
) -> None:
    store = s3_store(script.endpoint, "bucket")
    size = len(source.content)
    script.on("HEAD", (200, "", {"Content-Length": str(size), "ETag": f'"{source.md5}"', **encryption}))
    script.on("GET", (200, "not the video"))
    if encryption:
        with pytest.raises(StorageFailed, match="other bytes"):
            store.read_back(KEY, size=size, sha256=source.sha256, md5=source.md5)
    else:
        assert store.read_back(KEY, size=size, sha256=source.sha256, md5=source.md5) == "etag"
        assert script.count("GET") == 0


FAULTS = {
    "an unknown key": ({"s3_access_key_id": "somebody"}, "VIDEO_ASSETS_S3_ACCESS_KEY_ID"),
    "a wrong secret": ({"s3_secret_access_key": "wrong-secret"}, "the secret is wrong"),
    "a missing bucket": ({"bucket": "no-such-bucket"}, "the bucket does not exist"),
    "no server": ({"s3_endpoint_url": "http://127.0.0.1:9"}, "nothing answers there"),
    "no such host": ({"s3_endpoint_url": "http://no-such-host.invalid"}, "nothing answers there"),
    "https to http": ({"s3_endpoint_url": "https"}, "TLS"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_setting_is_named_whatever_is_asked(rclone: tuple[str, Path], source: Source, fault: str) -> None:
    changed, sentence = FAULTS[fault]
    settings: dict[str, Any] = {
        "s3_endpoint_url": rclone[0],
        "s3_access_key_id": KEY_ID,
        "s3_secret_access_key": SECRET,
        "bucket": "bucket-of-faults",
        **changed,
    }
    if settings["s3_endpoint_url"] == "https":
        settings["s3_endpoint_url"] = rclone[0].replace("http://", "https://")
    s3_store(rclone[0], "bucket-of-faults").ensure_bucket()
    store = open_storage(Settings(_env_file=None, storage="s3", **settings))
    calls = [lambda: source.put(store, KEY), lambda: store.read(KEY), lambda: list(store.list())]
    for call in (*calls, lambda: store.head(KEY)):
        with pytest.raises(StorageFailed, match=sentence) as caught:
            call()
        message = str(caught.value)
        assert repr(store.bucket) in message
        assert caught.value.retryable is True
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ is True
        for secret in (SECRET, KEY_ID, "wrong-secret", "X-Amz", "Signature="):
            assert secret not in message


@pytest.mark.parametrize(
    ("status", "code", "sentence", "retryable"),
    [
        (403, "RequestTimeTooSkewed", "the clock of this machine is wrong", True),
        (403, "AccessDenied", "access is denied", True),
        (403, "ExpiredToken", "the session token has expired", True),
        (405, "MethodNotAllowed", "read-only", True),
        (301, "PermanentRedirect", "in another region", True),
        (400, "AuthorizationHeaderMalformed", "in another region", True),
        (400, "BadDigest", "other bytes arrived than were sent", True),
        (400, "EntityTooLarge", "larger than the store accepts", False),
        (415, "InvalidMimeType", "does not accept this type of file", False),
        (507, "InsufficientStorage", "the store is full", True),
        (403, "QuotaExceeded", "the store is full", True),
        (502, "", "the store is failing (HTTP 502)", True),
        (418, "TeapotError", "the store refused (HTTP 418, TeapotError)", True),
    ],
)
def test_what_a_store_answers_becomes_one_sentence_with_a_remedy(
    script: Scripted, source: Source, status: int, code: str, sentence: str, retryable: bool
) -> None:
    script.on("PUT", (status, code))
    script.on("GET", (status, code))
    with pytest.raises(StorageFailed) as caught:
        source.put(s3_store(script.endpoint, "bucket"), KEY)
    message = str(caught.value)
    assert message.startswith(f"Cannot store '{KEY}' in bucket 'bucket' at 127.0.0.1:")
    assert sentence in message
    assert "Server text" not in message
    assert "sekret" not in message
    assert caught.value.retryable is retryable


LOCKED = """<Error><Code>InvalidRequest</Code><Message>Content-MD5 OR x-amz-checksum- HTTP header is required
for Put Object requests with Object Lock parameters</Message></Error>"""


@pytest.mark.parametrize("refusal", [LOCKED, "<Error><Code>MissingContentMD5</Code></Error>"])
def test_a_digest_goes_along_where_a_locked_bucket_asks_for_it(
    script: Scripted, source: Source, refusal: str
) -> None:
    script.on("PUT", (400, refusal), (200, "", {"ETag": '"x"'}))
    store = s3_store(script.endpoint, "bucket")
    assert source.put(store, KEY, md5=False).etag == "x"
    first, second = (headers for method, _, headers, _ in script.requests if method == "PUT")
    assert "Content-MD5" not in first
    assert second["Content-MD5"] == base64.b64encode(bytes.fromhex(source.md5)).decode()
    assert not [name for name in {**first, **second} if name.lower().startswith("x-amz-checksum")]


def test_a_bucket_that_asks_for_yet_another_digest_is_not_asked_for_ever(
    script: Scripted, source: Source
) -> None:
    script.on("PUT", (400, LOCKED))
    with pytest.raises(StorageFailed, match="VIDEO_ASSETS_BUCKET"):
        source.put(s3_store(script.endpoint, "bucket"), KEY)
    assert script.count("PUT") == 1


def test_a_store_that_makes_missing_buckets_is_not_let_do_so(script: Scripted, source: Source) -> None:
    script.on("HEAD", (404, ""))
    script.on("GET", (404, "NoSuchBucket"))
    store = s3_store(script.endpoint, "mistyped")
    for call in (lambda: source.put(store, KEY), lambda: store.head(KEY), lambda: store.delete(KEY)):
        with pytest.raises(StorageFailed, match="the bucket does not exist") as caught:
            call()
        assert not isinstance(caught.value, ObjectMissing)
    assert script.count("PUT") == 0


def test_a_key_that_may_not_look_at_the_bucket_may_still_store(script: Scripted, source: Source) -> None:
    script.on("HEAD", (403, ""))
    script.on("GET", (403, "AccessDenied"))
    script.on("PUT", (200, "", {"ETag": '"x"'}))
    assert source.put(s3_store(script.endpoint, "bucket"), KEY).etag == "x"


def test_a_silent_refusal_is_followed_by_the_question_that_tells_why(script: Scripted) -> None:
    script.on("HEAD", (403, ""))
    script.on("GET", (403, "RequestTimeTooSkewed"))
    with pytest.raises(StorageFailed, match="the clock of this machine is wrong"):
        s3_store(script.endpoint, "bucket").head(KEY)


def test_a_missing_object_is_missing_and_not_a_fault(s3: S3Storage) -> None:
    with pytest.raises(ObjectMissing, match="there is no such object"):
        s3.read(KEY)


def test_no_credentials_anywhere_is_said_plainly(
    script: Scripted, source: Source, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    store = s3_store(script.endpoint, "bucket", s3_access_key_id=None, s3_secret_access_key=None)
    for call in (
        lambda: source.put(store, KEY),
        lambda: store.head(KEY),
        lambda: store.signed_url(KEY, expires_in=9),
    ):
        with pytest.raises(StorageFailed, match="no credentials were found"):
            call()
    assert script.requests == []


def test_one_client_serves_the_whole_process(rclone: tuple[str, Path]) -> None:
    assert s3_store(rclone[0])._client is s3_store(rclone[0])._client
    assert s3_store(rclone[0])._client is not s3_store(rclone[0], s3_region="eu-west-1")._client


def test_an_upload_that_only_finds_no_object_was_asked_in_the_wrong_place(
    script: Scripted, source: Source
) -> None:
    """Huawei OBS finds a bucket that stands in the path, and yet answers NoSuchKey to a PUT of it."""
    script.on("PUT", (404, "NoSuchKey"))
    with pytest.raises(StorageFailed, match="VIDEO_ASSETS_S3_ADDRESSING_STYLE=virtual") as caught:
        source.put(s3_store(script.endpoint, "bucket"), KEY)
    assert not isinstance(caught.value, ObjectMissing)


@pytest.mark.parametrize("location", ["https://{host}/bucket/{key}?X-Amz-Signature=abc", "https://{host}/"])
def test_a_store_that_moved_to_tls_is_told_by_its_setting(
    script: Scripted, source: Source, location: str
) -> None:
    host = script.endpoint.removeprefix("http://")
    moved = {"Location": location.format(host=host, key=KEY)}
    for method in ("HEAD", "GET", "PUT"):
        script.on(method, (308, "", moved))
    with pytest.raises(StorageFailed, match=f"Set VIDEO_ASSETS_S3_ENDPOINT_URL=https://{host}") as caught:
        source.put(s3_store(script.endpoint, "bucket"), KEY)
    assert "X-Amz" not in str(caught.value)
