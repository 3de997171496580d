"""The rules one by one: resuming, digests, decoding, error documents, redirects, politeness."""

from __future__ import annotations

import gzip
import random
import threading
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.client import HTTPMessage
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transfer.scripted import script
from video_assets.emulator.faults.refusals import REFUSALS
from video_assets.emulator.faults.server import FaultServer
from video_assets.emulator.faults.wrong_bodies import digest_header
from video_assets.reasons import Reason
from video_assets.settings import Settings
from video_assets.transfer.download.digests import hasher_for, offered_digests
from video_assets.transfer.download.downloader import Downloader, DownloadFailed, DownloadPolicy
from video_assets.transfer.download.error_responses import judge, read_error, retry_after
from video_assets.transfer.download.host_throttle import HostThrottle
from video_assets.transfer.failures import Fault
from video_assets.transfer.http.content_encoding import Decoder, decoder_for
from video_assets.transfer.http.redirects import is_login, next_url
from video_assets.transfer.http.resume import Bookmark, content_range
from video_assets.transfer.ssrf.guard import verdict

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
Make = Callable[..., Downloader]


def headers(**values: str) -> HTTPMessage:
    """Headers of an answer; underscores mean hyphens."""
    message = HTTPMessage()
    for name, value in values.items():
        message[name.replace("_", "-")] = value
    return message


# Resuming


def test_a_broken_download_goes_on_where_it_stopped(
    source: FaultServer, video: bytes, spool: Path, downloader: Downloader
) -> None:
    download = downloader.fetch(source.url("resume"), spool)
    first, second = source.requests
    assert "range" not in first.headers
    assert second.headers["range"] == f"bytes={int(len(video) * 0.4)}-"
    assert second.headers["if-range"].startswith('"')
    assert (download.resumed, download.status, download.path.read_bytes()) == (1, 206, video)


@pytest.mark.parametrize(
    "name", ["resume_wrong_offset", "resume_416", "resume_changed_etag", "resume_changed_total"]
)
def test_a_part_that_does_not_fit_means_start_again(
    name: str, source: FaultServer, video: bytes, spool: Path, make_downloader: Make
) -> None:
    download = make_downloader(attempts=4).fetch(source.url(name), spool)
    assert ["range" in request.headers for request in source.requests] == [False, True, False]
    assert (download.resumed, download.path.read_bytes()) == (0, video)


@pytest.mark.parametrize("name", ["resume_weak_etag", "truncated"])
def test_nothing_is_resumed_without_a_strong_etag(
    name: str, source: FaultServer, spool: Path, downloader: Downloader
) -> None:
    downloader.fetch(source.url(name, times=1), spool)
    assert all("range" not in request.headers for request in source.requests)


def test_an_etag_must_be_strong_and_the_body_plain_to_be_resumed() -> None:
    assert Bookmark.of(headers(ETag='"a"'), 5) == Bookmark('"a"', 5)
    assert Bookmark.of(headers(ETag='W/"a"'), 5) is None
    assert Bookmark.of(headers(ETag="a"), 5) is None
    assert Bookmark.of(headers(), 5) is None
    assert Bookmark.of(headers(ETag='"a"', Content_Encoding="gzip"), 5) is None
    assert Bookmark.of(headers(ETag='"a"', Accept_Ranges="none"), 5) is None


@pytest.mark.parametrize(
    ("part", "length", "wrong"),
    [
        ("bytes 40-99/100", 60, None),
        ("bytes 40-99/*", 60, None),
        ("bytes 41-99/100", 59, "begins"),
        ("bytes 40-99/101", 60, "another size"),
        ("bytes 40-89/100", 50, "ends before"),
        ("bytes 40-99/100", 59, "length"),
        ("bytes 40-30/100", 60, "does not say"),
        ("items 40-99/100", 60, "does not say"),
        ("", 60, "does not say"),
    ],
)
def test_a_part_continues_only_when_everything_agrees(part: str, length: int, wrong: str | None) -> None:
    found = Bookmark('"a"', 100).mismatch(headers(Content_Range=part, ETag='"a"'), 40, length)
    assert found is None if wrong is None else wrong in (found or "")


@given(st.text(max_size=60))
def test_reading_a_content_range_never_raises(text: str) -> None:
    found = content_range(headers(Content_Range=text)) if text.isprintable() else None
    assert found is None or 0 <= found.start <= found.last


# Digests

CHECKED = (
    "Content-MD5 x-ms-blob-content-md5 x-goog-hash Digest Repr-Digest "
    "x-amz-checksum-sha256 x-amz-checksum-sha1 x-amz-checksum-crc32"
)


@pytest.mark.parametrize("header", CHECKED.split())
def test_an_offered_digest_is_verified(
    header: str, source: FaultServer, spool: Path, downloader: Downloader
) -> None:
    download = downloader.fetch(source.url("digest", header=header), spool)
    assert len(download.verified_digests) == 1
    assert download.unverified_digests == ()


@pytest.mark.parametrize("header", ["x-oss-hash-crc64ecma", "x-cos-hash-crc64ecma"])
def test_a_digest_that_is_too_dear_is_reported_as_not_verified(
    header: str, source: FaultServer, spool: Path, downloader: Downloader
) -> None:
    download = downloader.fetch(source.url("digest", header=header), spool)
    assert (download.verified_digests, download.unverified_digests) == ((), ("crc64ecma",))


def test_digests_that_describe_other_bytes_are_left_out() -> None:
    md5 = digest_header("Content-MD5", b"x")
    assert set(offered_digests(headers(Content_MD5=md5))) == {"md5"}
    assert offered_digests(headers(Content_MD5=md5, Content_Encoding="gzip")) == {}
    assert offered_digests(headers(Content_MD5="not base64!")) == {}
    assert offered_digests(headers(Content_MD5="YQ==")) == {}
    composite = headers(x_amz_checksum_crc32=digest_header("x-amz-checksum-crc32", b"x"))
    assert set(offered_digests(composite)) == {"crc32"}
    composite["x-amz-checksum-type"] = "COMPOSITE"
    assert offered_digests(composite) == {}
    assert offered_digests(headers(x_amz_checksum_sha256="47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=-3")) == {}
    stored = headers(x_goog_hash=digest_header("x-goog-hash", b"x"), x_goog_stored_content_encoding="gzip")
    assert offered_digests(stored) == {}


def test_google_sends_its_hashes_as_two_headers() -> None:
    answer = headers(x_goog_hash="crc32c=n03x6A==")
    answer["x-goog-hash"] = digest_header("x-goog-hash", b"x")
    assert set(offered_digests(answer)) == {"crc32c", "md5"}


def test_crc32c_is_right_where_it_can_be_computed() -> None:
    hasher = hasher_for("crc32c")
    if hasher is None:
        pytest.skip("google-crc32c is not installed")
    hasher.update(memoryview(b"12345"))
    hasher.update(memoryview(b"6789"))
    assert hasher.hexdigest() == "e3069283"


# Decoding


@given(st.binary(max_size=20_000), st.integers(1, 400), st.sampled_from(["gzip", "deflate", "raw", "members"]))
@settings(deadline=None)
def test_a_compressed_body_comes_out_whole_in_any_pieces(data: bytes, step: int, form: str) -> None:
    if form == "gzip":
        wire = gzip.compress(data)
    elif form == "members":
        wire = gzip.compress(data[:50]) + gzip.compress(data[50:]) + bytes(9)
    else:
        squeezer = zlib.compressobj(wbits=zlib.MAX_WBITS if form == "deflate" else -zlib.MAX_WBITS)
        wire = squeezer.compress(data) + squeezer.flush()
    decoder = Decoder("deflate" if form in ("deflate", "raw") else "gzip")
    found = b"".join(b"".join(decoder.feed(wire[i : i + step])) for i in range(0, len(wire), step))
    decoder.end()
    assert found == data


def test_a_compressed_body_that_is_cut_anywhere_is_noticed() -> None:
    wire = gzip.compress(random.Random(1).randbytes(3000))
    for cut in range(1, len(wire)):
        decoder = Decoder("gzip")
        list(decoder.feed(wire[:cut]))
        with pytest.raises(DownloadFailed) as caught:
            decoder.end()
        assert caught.value.fault is Fault.CUT_GZIP


def test_a_bomb_comes_out_in_small_blocks() -> None:
    sizes = [len(block) for block in Decoder("gzip").feed(gzip.compress(bytes(30_000_000)))]
    assert sum(sizes) == 30_000_000
    assert max(sizes) <= 262_144


def test_only_what_can_be_undone_is_taken() -> None:
    assert decoder_for(None) is None
    assert decoder_for("identity") is None
    with pytest.raises(DownloadFailed):
        decoder_for("br")


# Error documents


@given(st.binary(max_size=3000), st.integers(100, 599), st.booleans())
def test_judging_an_answer_never_raises_and_never_repeats_the_body(
    body: bytes, status: int, is_past: bool
) -> None:
    expires_at = NOW - timedelta(hours=1) if is_past else None
    failure = judge(status, headers(), body, expires_at=expires_at, now=NOW)
    assert failure.status == status


def test_a_body_that_echoes_the_link_is_not_repeated() -> None:
    secret = "X-Amz-Signature=0123456789abcdef"
    for body in (
        f"<Error><Code>AccessDenied</Code><Message>bad https://b/k?{secret}</Message></Error>",
        f'{{"error":"bad https://b/k?{secret}","code":"x {secret}"}}',
        f"bad https://b/k?{secret}",
    ):
        failure = judge(403, headers(), body.encode(), expires_at=None, now=NOW)
        assert secret not in f"{failure!r}{failure.evidence}"


def test_each_document_is_read_to_its_own_code() -> None:
    assert read_error(REFUSALS["s3_no_such_key"].body).code == "NoSuchKey"
    assert read_error(REFUSALS["azure_expired"].body).code == "AuthenticationFailed"
    assert read_error(REFUSALS["supabase_missing"].body).status == 404
    assert read_error(b'{"error":{"code":"not_found","message":"x"}}').code == "not_found"
    assert read_error(b"[" * 100_000).code is None
    assert read_error(b'{"a":' * 100_000).code is None


def test_a_link_that_is_known_to_be_dead_is_expired_whatever_the_words() -> None:
    for status in (400, 401, 403, 404, 410):
        failure = judge(status, headers(), b"no", expires_at=NOW - timedelta(seconds=1), now=NOW)
        assert failure.reason is Reason.SOURCE_EXPIRED
    busy = judge(503, headers(), b"no", expires_at=NOW - timedelta(seconds=1), now=NOW)
    assert busy.reason is Reason.SOURCE_SLOW


def test_a_link_is_dead_only_when_the_sources_clock_says_so_too() -> None:
    """Our clock may be ahead: what it calls dead, the source may call a refusal of today."""
    dead = NOW - timedelta(hours=1)
    here = {"expires_at": dead, "now": NOW}
    assert judge(403, headers(), b"no", **here).fault is Fault.EXPIRED
    assert judge(403, headers(Date="Mon, 05 Jan 2026 09:30:00 GMT"), b"no", **here).fault is Fault.EXPIRED
    earlier = judge(403, headers(Date="Sun, 04 Jan 2026 10:00:00 GMT"), b"no", **here)
    assert (earlier.fault, earlier.certain) == (Fault.REFUSED, False)
    assert judge(403, headers(Date="no date"), b"no", **here).fault is Fault.EXPIRED


@pytest.mark.parametrize(
    ("status", "body", "certain"),
    [
        (403, b'{"message":"Signature expired: 20260105T090000Z is now earlier than 20260105T095500Z"}', True),
        (403, b'{"message":"The API key of this account has expired"}', False),
        (403, b"<html><body>Your session has expired, log in again</body></html>", False),
        (402, b"Link expired", False),
        (410, b"<html><body>This video has been removed by its owner</body></html>", True),
        (410, b"Gone", False),
        (404, b"<html><body>The page was removed</body></html>", False),
        (404, b'{"error":{"code":"asset_deleted"}}', True),
        (403, b'{"error":{"code":"asset_deleted"}}', False),
        (404, b'{"code":"NoSuchKey"}', False),
        (401, b'{"error":"InvalidJWT","message":"\\"nbf\\" claim timestamp check failed"}', False),
    ],
)
def test_only_what_the_source_says_of_the_file_or_its_link_is_certain(
    status: int, body: bytes, certain: bool
) -> None:
    assert judge(status, headers(), body, expires_at=None, now=NOW).certain is certain


def test_a_link_tells_its_own_time_when_nobody_else_does(
    source: FaultServer, spool: Path, downloader: Downloader
) -> None:
    signed = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20200101%2Fus-east-1%2Fs3%2Faws4_request"
    signed += f"&X-Amz-Date=20200101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature={'a' * 64}"
    with pytest.raises(DownloadFailed) as caught:
        downloader.fetch(f"http://{source.netloc}/fault/s3_access_denied?{signed}", spool)
    assert caught.value.fault is Fault.EXPIRED


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7),
        (" 0 ", 0),
        ("Mon, 05 Jan 2026 10:01:00 GMT", 60),
        ("Mon, 05 Jan 2026 09:00:00 GMT", 0),
        ("999999999999999999", 86_400),
        ("soon", None),
        ("-3", None),
        ("1.5", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str | None, seconds: int | None) -> None:
    found = retry_after(value, NOW)
    assert found == (None if seconds is None else timedelta(seconds=seconds))


def test_a_pause_the_source_asks_for_is_kept(source: FaultServer, spool: Path, make_downloader: Make) -> None:
    download = make_downloader().fetch(source.url("too_many_requests", after=1, times=1), spool)
    assert download.attempts == 2
    assert download.seconds >= 1.0


def test_a_long_pause_is_handed_to_the_caller_and_kept_by_the_next_fetch(
    source: FaultServer, spool: Path, downloader: Downloader
) -> None:
    with pytest.raises(DownloadFailed) as caught:
        downloader.fetch(source.url("unavailable", after=90), spool)
    assert caught.value.retry_after == timedelta(seconds=90)
    with pytest.raises(DownloadFailed) as caught:
        downloader.fetch(source.url("ok"), spool)
    assert caught.value.fault is Fault.BUSY
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > timedelta(seconds=80)
    assert len(source.requests) == 1


# Redirects

BASE = verdict("https://cdn.example.com/a/b/c.mp4?x=1", lambda _host: ["8.8.8.8"])


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("https://other.example.com/x%2Fy?z", "https://other.example.com/x%2Fy?z"),
        ("//other.example.com/x", "https://other.example.com/x"),
        ("/x/../y%2e?z=%2F", "https://cdn.example.com/x/../y%2e?z=%2F"),
        ("d.mp4", "https://cdn.example.com/a/b/d.mp4"),
        ("./d.mp4", "https://cdn.example.com/a/b/d.mp4"),
        ("../d.mp4?q=../..", "https://cdn.example.com/a/d.mp4?q=../.."),
        ("../../../../d", "https://cdn.example.com/d"),
        ("?y=2", "https://cdn.example.com/a/b/c.mp4?y=2"),
        ("", "https://cdn.example.com/a/b/c.mp4?x=1"),
        ("#top", "https://cdn.example.com/a/b/c.mp4?x=1"),
        (" /my video.mp4 ", "https://cdn.example.com/my%20video.mp4"),
        ("/vid\u00c3\u00a9o", "https://cdn.example.com/vid\u00e9o"),
        ("javascript:alert(1)", "javascript:alert(1)"),
    ],
)
def test_a_reference_is_resolved_without_rewriting_it(location: str, url: str) -> None:
    assert next_url(BASE, location) == url


def test_login_pages_are_known_by_their_path() -> None:
    def is_login_path(path: str) -> bool:
        return is_login(verdict(f"https://a.example.com{path}", lambda _host: ["8.8.8.8"]))

    assert all(map(is_login_path, ("/login", "/users/sign_in?x", "/signin/", "/sso/start", "/Login.aspx")))
    assert not any(map(is_login_path, ("/blogin", "/logins.mp4", "/video?next=/login", "/design")))


# Politeness


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_no_more_than_so_many_at_once() -> None:
    gate, lock = HostThrottle(), threading.Lock()
    active = most = 0

    def work() -> None:
        nonlocal active, most
        with gate.slot("a", 3, lambda: 5.0):
            with lock:
                active += 1
                most = max(most, active)
            barrier.wait(0.02)
            with lock:
                active -= 1

    barrier = threading.Event()
    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 3


def test_a_complaint_slows_down_and_success_relaxes_again() -> None:
    clock = Clock()
    gate = HostThrottle(clock)
    assert gate.complained("a", 8, None) == 1.0
    assert gate.complained("a", 8, None) == 2.0
    assert gate.pause_left("a") == 2.0
    assert gate.pause_left("b") == 0.0
    clock.now += 3
    assert gate.pause_left("a") == 0.0
    with gate.slot("a", 8, lambda: 1.0):
        assert gate.pause_left("a") > 0.0, "the next one starts a little later"
    for _ in range(100):
        gate.served("a", 8)
    clock.now += 60
    with gate.slot("a", 8, lambda: 1.0):
        assert gate.pause_left("a") == 0.0
    assert gate.complained("a", 8, 45.0) == 45.0


def test_waiting_for_a_place_ends_with_the_patience() -> None:
    gate = HostThrottle()

    def none_left() -> float:
        raise DownloadFailed(Fault.DEADLINE)

    with (
        gate.slot("a", 1, lambda: 1.0),
        pytest.raises(DownloadFailed),
        gate.slot("a", 1, none_left),
    ):
        raise AssertionError("a second place was given")


# Settings


def test_the_limits_come_from_the_settings() -> None:
    found = DownloadPolicy.from_settings(
        Settings(max_download_bytes=7, allowed_hosts=("a:1",), per_host_concurrency=2, min_bytes_per_second=9)
    )
    assert (found.max_bytes, found.allowed_hosts) == (7, ("a:1",))
    assert (found.per_host_concurrency, found.min_bytes_per_second) == (2, 9)
    assert DownloadPolicy.from_settings(Settings()).allowed_hosts == ()


def test_an_unknown_family_of_files_is_a_mistake_of_the_caller(spool: Path, downloader: Downloader) -> None:
    with pytest.raises(ValueError, match="family"):
        downloader.fetch("https://cdn.example.com/", spool, expected="vidoe")


def test_the_code_of_r2_for_an_expired_link_is_enough_without_a_sentence() -> None:
    body = b"<Error><Code>ExpiredRequest</Code></Error>"
    for status in (400, 403):
        assert judge(status, headers(), body, expires_at=None, now=NOW).fault is Fault.EXPIRED


def test_a_link_that_would_be_dead_by_the_end_of_its_host_s_pause_is_asked_for_all_the_same(
    tmp_path: Path,
) -> None:
    later = b"HTTP/1.1 429 Too Many\r\nRetry-After: 10800\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    whole = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/vtt\r\nContent-Length: 8\r\nConnection: close\r\n\r\nWEBVTT\n\n"
    )
    with script(later, whole) as server:
        policy = DownloadPolicy(allowed_hosts=(server.netloc,), longest_wait=5.0)
        with Downloader(policy, gate=HostThrottle()) as downloads:

            def fetch(life: timedelta | None) -> int:
                dies_at = None if life is None else datetime.now(UTC) + life
                return downloads.fetch(f"http://{server.netloc}/a.vtt", tmp_path, expires_at=dies_at).size

            with pytest.raises(DownloadFailed, match="429"):
                fetch(None)
            for life in (None, timedelta(hours=4), timedelta(seconds=-5)):
                with pytest.raises(DownloadFailed, match="its host asked for a pause") as caught:
                    fetch(life)
                assert caught.value.retry_after is not None
            assert fetch(timedelta(minutes=10)) == 8
            with pytest.raises(DownloadFailed, match="its host asked for a pause"):
                fetch(None)


def test_requests_during_a_pause_stay_as_far_apart_as_others() -> None:
    clock = Clock()
    gate = HostThrottle(clock)
    gate.complained("a", 8, 3600.0)
    with gate.slot("a", 8, lambda: 1.0, during_pause=True):
        pass

    def give_up() -> float:
        raise TimeoutError

    with pytest.raises(TimeoutError), gate.slot("a", 8, give_up, during_pause=True):
        pass
    clock.now += 0.2
    with gate.slot("a", 8, lambda: 1.0, during_pause=True):
        assert gate.pause_left("a") > 3000.0
