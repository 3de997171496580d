"""Every fault of the fault server, one row each: what it is called, what it counts as, what is left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from video_assets.emulator.faults.server import FAULTS, FaultServer
from video_assets.reasons import Reason
from video_assets.transfer.download.downloader import Downloader, DownloadFailed
from video_assets.transfer.failures import FAULT_RULES, Fault

SECRET = "sw0rdf1sh-not-for-logs"


@dataclass(frozen=True)
class Row:
    """One fault and what the downloader must make of it."""

    name: str
    fault: Fault
    reason: Reason
    options: dict[str, object] = field(default_factory=dict)
    limits: dict[str, object] = field(default_factory=dict)
    expected: str | None = "video"
    expires_in: timedelta | None = timedelta(hours=1)
    requests: int | None = None
    """How often the source is asked within one fetch."""

    def __str__(self) -> str:
        return "-".join([self.name, *map(str, self.options.values())])


SLOW, BAD, EXPIRED = Reason.SOURCE_SLOW, Reason.BAD_CONTENT, Reason.SOURCE_EXPIRED
GONE, REFUSED, UNSAFE = Reason.SOURCE_GONE, Reason.SOURCE_REFUSED, Reason.UNSAFE_ADDRESS
PAST = timedelta(minutes=-1)
LATER = {"longest_wait": 0.5}

ROWS = [
    # The transport.
    Row("truncated", Fault.TRUNCATED, SLOW, requests=2),
    Row("reset", Fault.RESET, SLOW, requests=2),
    Row("reset_at_once", Fault.RESET, SLOW, requests=2),
    Row("no_answer", Fault.RESET, SLOW, requests=2),
    Row("not_http", Fault.BAD_RESPONSE, BAD, requests=1),
    Row("chunked_cut", Fault.TRUNCATED, SLOW, requests=2),
    Row("chunked_early_end", Fault.INCOMPLETE, BAD, requests=2),
    Row("bad_chunk", Fault.TRUNCATED, SLOW),
    Row("close_delimited_cut", Fault.INCOMPLETE, BAD),
    Row("gzip_cut", Fault.CUT_GZIP, SLOW, requests=2),
    Row("gzip_garbage", Fault.DAMAGED, BAD),
    Row("gzip_bomb", Fault.TOO_LARGE, Reason.TOO_LARGE, {"megabytes": 12}, {"max_bytes": 8_000_000}, requests=1),
    Row("unknown_encoding", Fault.UNKNOWN_ENCODING, BAD, requests=1),
    Row("length_short", Fault.LENGTH_LIE, BAD, requests=2),
    Row("length_conflict", Fault.BAD_RESPONSE, BAD),
    Row("length_garbage", Fault.BAD_RESPONSE, BAD),
    Row("too_large", Fault.TOO_LARGE, Reason.TOO_LARGE, requests=1),
    Row("endless", Fault.TOO_LARGE, Reason.TOO_LARGE, limits={"max_bytes": 4_000_000}, requests=1),
    Row("header_flood", Fault.HEADERS_TOO_LARGE, BAD, requests=1),
    Row("long_header", Fault.HEADERS_TOO_LARGE, BAD, requests=1),
    # Too slow.
    Row("stall", Fault.STALLED, SLOW, requests=2),
    Row("stall_before_headers", Fault.STALLED, SLOW, requests=2),
    Row("drip", Fault.TOO_SLOW, SLOW, requests=1),
    Row("drip", Fault.DEADLINE, SLOW, {"bytes": 9}, {"min_bytes_per_second": 0, "total_timeout": 0.6}),
    Row("drip_headers", Fault.STALLED, SLOW),
    # Something else.
    Row("zero_bytes", Fault.ZERO_BYTES, BAD, requests=1),
    Row("no_content", Fault.ZERO_BYTES, BAD, requests=1),
    Row("accepted", Fault.NOT_READY, SLOW, requests=1),
    Row("html", Fault.HTML_BODY, BAD, requests=1),
    Row("html", Fault.HTML_BODY, BAD, {"type": "video/mp4"}, expected=None),
    Row("xml", Fault.XML_BODY, BAD),
    Row("xml", Fault.XML_BODY, BAD, {"type": "video/mp4"}),
    Row("json", Fault.JSON_BODY, BAD),
    Row("json", Fault.JSON_BODY, BAD, {"type": "video/mp4"}, expected=None),
    Row("plain_text", Fault.TEXT_BODY, BAD),
    Row("expired_under_200", Fault.EXPIRED, EXPIRED),
    Row("playlist", Fault.PLAYLIST, Reason.ONLY_A_PLAYLIST, expected=None),
    Row("wrong_container", Fault.WRONG_CONTAINER, BAD),
    Row("garbage", Fault.WRONG_CONTAINER, BAD, expected=None),
    Row("missing_moov", Fault.MISSING_MOOV, BAD, requests=1),
    Row("cut_file", Fault.INCOMPLETE, BAD),
    # Digests that do not fit.
    *(
        Row("digest", Fault.DIGEST_MISMATCH, BAD, {"header": header, "flip": 1}, requests=2)
        for header in (
            "Content-MD5",
            "x-ms-blob-content-md5",
            "x-goog-hash",
            "x-amz-checksum-sha256",
            "x-amz-checksum-sha1",
            "x-amz-checksum-crc32",
            "Digest",
            "Repr-Digest",
        )
    ),
    # Redirects.
    Row("redirect_loop", Fault.REDIRECT_LOOP, BAD, requests=3),
    Row("redirect", Fault.TOO_MANY_REDIRECTS, BAD, {"hops": 6}, requests=6),
    Row("redirect_nowhere", Fault.REDIRECT_WITHOUT_TARGET, BAD),
    Row("redirect_to_login", Fault.LOGIN_PAGE, REFUSED),
    Row("redirect", Fault.REDIRECT_REFUSED, UNSAFE, {"to": "http://127.0.0.1:9/"}, requests=1),
    Row("redirect", Fault.REDIRECT_REFUSED, UNSAFE, {"to": "http://169.254.169.254/latest/"}),
    Row("redirect", Fault.REDIRECT_REFUSED, UNSAFE, {"to": "file:///etc/passwd"}),
    Row("redirect", Fault.REDIRECT_REFUSED, UNSAFE, {"to": "//user:pass@127.0.0.1/"}),
    # Later.
    Row("too_many_requests", Fault.BUSY, SLOW, requests=2),
    Row("too_many_requests", Fault.BUSY, SLOW, {"after": 90}, requests=1),
    Row("unavailable", Fault.BUSY, SLOW, {"after": 90}, requests=1),
    Row("s3_slow_down", Fault.BUSY, SLOW),
    Row("s3_internal", Fault.SERVER_ERROR, SLOW, requests=2),
    Row("azure_busy", Fault.BUSY, SLOW),
    Row("gateway_page", Fault.SERVER_ERROR, SLOW),
    Row("status", Fault.REFUSED, REFUSED, {"code": 418}),
    Row("status", Fault.BUSY, SLOW, {"code": 408}),
    Row("status", Fault.UNEXPECTED_STATUS, BAD, {"code": 304}),
    # A 206 that nobody asked for.
    Row("part_unasked", Fault.BROKEN_RESUME, BAD),
    # Expired, gone, refused: told apart by each cloud's own words, without knowing the time.
    *(
        Row(name, Fault.EXPIRED, EXPIRED, expires_in=None, requests=1)
        for name in (
            "s3_request_has_expired",
            "s3_expired_token",
            "azure_expired",
            "gcs_expired",
            "oss_expired",
            "oss_token_expired",
            "cos_expired",
            "tos_expired",
            "supabase_expired",
            "discord_expired",
            "keycdn_expired",
            "jwt_expired",
        )
    ),
    *(
        Row(name, Fault.GONE, GONE, expires_in=None, requests=1)
        for name in ("s3_no_such_key", "azure_no_blob", "supabase_missing", "imgix_expired", "plain_gone")
    ),
    # The source says for certain that it will not come back, …
    *(
        Row(name, Fault.DELETED, GONE, expires_in=None, requests=1)
        for name in ("gone_deleted", "file_deleted", "s3_delete_marker")
    ),
    # … or that the time has not come, or that a clock is wrong: whose, is not said.
    Row("s3_not_yet_valid", Fault.NOT_YET_VALID, REFUSED, requests=1),
    Row("azure_not_yet", Fault.NOT_YET_VALID, REFUSED, requests=1),
    Row("s3_time_skewed", Fault.CLOCK_SKEW, Reason.CLOCK_SKEW, requests=1),
    *(
        Row(name, Fault.REFUSED, REFUSED, requests=asked)
        for name, asked in (
            ("s3_access_denied", 2),
            ("s3_signature", 2),
            ("s3_unknown_key_id", 2),
            ("azure_signature", 2),
            ("gcs_signature", 2),
            ("cloudfront_denied", 2),
            ("cloudfront_missing_key", 2),
            ("supabase_signature", 1),
            ("waf_page", 2),
            ("unauthorized", 1),
            ("legal", 1),
            ("cloudflare_challenge", 2),
            ("cloudflare_1020", 2),
            ("payment_required", 1),
            ("subscription_expired", 2),
        )
    ),
    # The same answers after the link's own time are an expired link.
    *(
        Row(name, Fault.EXPIRED, EXPIRED, expires_in=PAST, requests=1)
        for name in (
            "cloudfront_denied",
            "s3_access_denied",
            "s3_time_skewed",
            "imgix_expired",
            "azure_signature",
            "unauthorized",
        )
    ),
]

WHOLE = {
    "ok": {},
    "close_delimited": {},
    "chunked": {},
    "gzip": {},
    "deflate": {},
    "early_hints": {},
    "wrong_label": {},
    "only_browsers": {},
    "resume": {"resumed": 1},
    "resume_200": {},
    "resume_200_with_range": {"resumed": 1},
    "resume_wrong_offset": {},
    "resume_416": {},
    "resume_changed_etag": {},
    "resume_changed_total": {},
    "resume_weak_etag": {},
}
"""Odd ways in which the file does arrive whole, and what the report must say beside that."""


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_fault_is_named_counted_and_leaves_nothing_behind(
    row: Row, source: FaultServer, spool: Path, make_downloader: Callable[..., Downloader]
) -> None:
    url = source.url(row.name, token=SECRET, **row.options)
    expires_at = None if row.expires_in is None else datetime.now(UTC) + row.expires_in
    downloader = make_downloader(**row.limits)

    with pytest.raises(DownloadFailed) as caught:
        downloader.fetch(url, spool, expected=row.expected, expires_at=expires_at)

    failure = caught.value
    assert failure.fault is row.fault, failure
    assert failure.reason is row.reason
    assert failure.certain is (row.fault in (Fault.EXPIRED, Fault.DELETED)), "nothing less is certain"
    assert list(spool.iterdir()) == []
    if row.requests is not None:
        assert len(source.requests) == row.requests
    assert SECRET not in f"{failure!r} {failure} {failure.evidence}"
    assert "/fault/" not in f"{failure!r} {failure.evidence}"


@pytest.mark.parametrize("name", WHOLE)
def test_an_odd_but_whole_answer_is_accepted(
    name: str, source: FaultServer, video: bytes, spool: Path, make_downloader: Callable[..., Downloader]
) -> None:
    download = make_downloader(attempts=4).fetch(source.url(name), spool, expected="video")

    assert download.path.read_bytes() == video
    assert list(spool.iterdir()) == [download.path]
    assert download.resumed == WHOLE[name].get("resumed", 0)
    assert (download.content_type, download.extension) == ("video/mp4", "mp4")


def test_every_fault_of_the_server_is_in_a_table() -> None:
    tried = {row.name for row in ROWS} | set(WHOLE)
    assert set(FAULTS) - tried == set()


def test_every_fault_has_a_rule_and_most_are_provoked_here() -> None:
    assert set(FAULT_RULES) == set(Fault)
    elsewhere = {Fault.ADDRESS_REFUSED, Fault.CONNECT, Fault.TLS, Fault.SPOOL, Fault.CANCELLED}
    elsewhere |= {Fault.DNS, Fault.UNKNOWN_HOST, Fault.SYNTHETIC_ADDRESS, Fault.NO_ROUTE}
    assert set(Fault) - {row.fault for row in ROWS} == elsewhere


@pytest.mark.parametrize(
    "name",
    [
        "truncated",
        "reset",
        "stall",
        "chunked_cut",
        "gzip_cut",
        "length_short",
        "s3_internal",
        "too_many_requests",
        "cut_file",
    ],
)
def test_what_fails_once_succeeds_within_the_same_fetch(
    name: str, source: FaultServer, video: bytes, spool: Path, downloader: Downloader
) -> None:
    download = downloader.fetch(source.url(name, times=1), spool)
    assert download.path.read_bytes() == video
    assert download.attempts == 2
    assert len(source.requests) == 2
