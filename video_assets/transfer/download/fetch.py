"""One fetch from its first verdict to its last check: tries, hops, the body, the proof.

Every hop, retry and resume asks the guard again and dials only what it allowed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Final

from video_assets.media.container import ContainerReport
from video_assets.media.formats import HEAD_BYTES
from video_assets.transfer.download.digests import hasher_for, offered_digests
from video_assets.transfer.download.error_responses import ERROR_BODY_BYTES, judge, judge_document
from video_assets.transfer.download.expectation import Asked, file_names, path_of
from video_assets.transfer.download.host_throttle import HostThrottle
from video_assets.transfer.download.policy import (
    OTHER_USER_AGENT,
    USER_AGENT,
    Download,
    DownloadPolicy,
    FetchRequest,
)
from video_assets.transfer.download.spool_file import SpoolFile, default_hashers, identity_hashers
from video_assets.transfer.download.verify import proven_container, verified_digests
from video_assets.transfer.failures import FAULT_RULES, DownloadFailed, Fault
from video_assets.transfer.http.connection import ConnectionPool, Response
from video_assets.transfer.http.content_encoding import Decoder, decoder_for
from video_assets.transfer.http.redirects import is_login, next_url
from video_assets.transfer.http.resume import Bookmark, content_range
from video_assets.transfer.http.timeouts import TimeLimits
from video_assets.transfer.ssrf.guard import Verdict

_BUFFER: Final = 1024 * 1024
_WRITE_FROM: Final = 256 * 1024
"""Bytes gathered before they are hashed and written: from here on hashlib works beside the other threads."""
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_EXCESS_PATIENCE: Final = 0.25
_RESUMABLE: Final = (Fault.TRUNCATED, Fault.RESET, Fault.STALLED)
_TWICE_AT_MOST: Final = (Fault.CONNECT, Fault.DAMAGED, Fault.INCOMPLETE, Fault.DIGEST_MISMATCH, Fault.LENGTH_LIE)
"""Faults that one more try may cure; a third time would be the same again."""

_local = threading.local()


def _buffer() -> memoryview:
    """The buffer of this thread, made once."""
    if not hasattr(_local, "view"):
        _local.view = memoryview(bytearray(_BUFFER))
    view: memoryview = _local.view
    return view


class Fetch:
    """The state of one fetch over all its tries."""

    def __init__(
        self,
        order: FetchRequest,
        policy: DownloadPolicy,
        pool: ConnectionPool,
        gate: HostThrottle,
        judge_url: Callable[[str], Verdict],
    ) -> None:
        """``judge_url`` is the guard under the policy's rules. Raises DownloadFailed when there is no spool."""
        self.order = order
        self.policy = policy
        self.pool = pool
        self.gate = gate
        self.judge_url = judge_url
        self.started = time.monotonic()
        self.watch = TimeLimits(
            deadline=order.deadline,
            idle=self.policy.idle_timeout,
            floor=self.policy.min_bytes_per_second,
            cancelled=order.cancelled,
        )
        self.spool = SpoolFile(order.directory, default_hashers if policy.md5 else identity_hashers)
        self.attempts = 0
        self.resumed = 0
        self.other_headers = False
        self.hops: list[str] = []
        self.bookmark: Bookmark | None = None
        self.offered: dict[str, str] = {}
        self.total: int | None = None
        self.asked = Asked(order.expected)

    # Tries

    def run(self) -> Download:
        """Try until it works or trying again cannot help. Raises DownloadFailed, and leaves no file then."""
        try:
            return self._run()
        except BaseException:
            self.spool.discard()
            raise

    def _run(self) -> Download:
        seen: dict[Fault, int] = {}
        while True:
            self.attempts += 1
            try:
                return self._try()
            except DownloadFailed as failure:
                seen[failure.fault] = seen.get(failure.fault, 0) + 1
                if not self._tries_again(failure, seen[failure.fault]):
                    self._add_evidence(failure)
                    raise
            if self.bookmark is None or self.spool.size == 0:
                self._forget()

    def _tries_again(self, failure: DownloadFailed, times: int) -> bool:
        """Whether another try is worth it; waits before it when that is so."""
        fault = failure.fault
        if fault is Fault.REFUSED and failure.status == 403 and not self.other_headers:
            self.other_headers = True
            self.bookmark = None
            return True
        if fault not in _RESUMABLE:
            self.bookmark = None
        most = 2 if fault in _TWICE_AT_MOST else self.policy.attempts
        if not FAULT_RULES[fault].retried_at_once or times >= most or self.attempts >= self.policy.attempts:
            return False
        wait = min(self.policy.first_wait * 2 ** (times - 1), self.policy.longest_wait)
        if failure.retry_after is not None:
            wait = max(wait, failure.retry_after.total_seconds())
        if wait > self.policy.longest_wait or time.monotonic() + wait >= self.order.deadline:
            return False
        until = time.monotonic() + wait
        while (left := until - time.monotonic()) > 0:
            self.watch.remaining()
            time.sleep(min(left, 0.25))
        return True

    def _forget(self) -> None:
        self.spool.restart()
        self.bookmark = None
        self.offered = {}
        self.total = None

    def _add_evidence(self, failure: DownloadFailed) -> None:
        failure.evidence = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "hops": list(self.hops),
            "attempts": self.attempts,
            "bytes_received": self.spool.size,
            **({"bytes_announced": self.total} if self.total is not None else {}),
            **failure.evidence,
        }

    # Hops

    def _try(self) -> Download:
        url = self.order.url
        origin: str | None = None
        visited: set[tuple[str, str]] = set()
        self.hops = []
        for hop in range(self.policy.max_redirects + 1):
            verdict = self._judged(url, previous=self.hops[-1] if self.hops else None)
            place = (verdict.origin, verdict.target)
            if place in visited:
                raise DownloadFailed(Fault.REDIRECT_LOOP)
            visited.add(place)
            self.hops.append(verdict.origin)
            origin = verdict.origin if hop == 0 else origin if origin == verdict.origin else None
            during_pause = self._respect_pause(verdict)
            slot = self.gate.slot(
                verdict.netloc,
                self.policy.per_host_concurrency,
                self.watch.remaining,
                during_pause=during_pause,
            )
            with slot, ExitStack() as cleanup:
                answer = self._ask(verdict, with_headers=origin is not None)
                cleanup.callback(self._release, answer)
                if answer.status not in _REDIRECTS:
                    return self._receive(verdict, answer, redirected=hop > 0)
                location = answer.headers.get("Location")
                if location is None:
                    raise DownloadFailed(Fault.REDIRECT_WITHOUT_TARGET, status=answer.status)
                self._read_some(answer)
                url = next_url(verdict, location)
        raise DownloadFailed(Fault.TOO_MANY_REDIRECTS, f"more than {self.policy.max_redirects}")

    def _judged(self, url: str, previous: str | None) -> Verdict:
        """The verdict on ``url``; raises DownloadFailed when it is refused."""
        verdict = self.judge_url(url)
        if not verdict.allowed:
            if verdict.rule == "dns":
                unresolved = Fault.DNS if verdict.is_ours else Fault.UNKNOWN_HOST
                raise DownloadFailed(unresolved, verdict.host, evidence={"rule": verdict.rule})
            if verdict.is_ours:
                raise DownloadFailed(
                    Fault.SYNTHETIC_ADDRESS, verdict.reason, evidence={"rule": verdict.rule, "host": verdict.host}
                )
            fault = Fault.ADDRESS_REFUSED if previous is None else Fault.REDIRECT_REFUSED
            raise DownloadFailed(fault, verdict.reason, evidence={"rule": verdict.rule})
        if previous is not None and previous.startswith("https:") and verdict.scheme == "http":
            raise DownloadFailed(Fault.REDIRECT_REFUSED, "it leaves TLS", evidence={"rule": "downgrade"})
        return verdict

    def _respect_pause(self, verdict: Verdict) -> bool:
        """A source that wants to be left alone for long is left alone: the caller has other work to do.

        True when the link would be dead by the end of the pause: then it is asked for all the same.
        """
        pause = timedelta(seconds=round(self.gate.pause_left(verdict.netloc), 3))
        dies_at = self.order.expires_at
        if pause and dies_at is not None and timedelta(0) < dies_at - datetime.now(UTC) <= pause:
            return True
        if pause.total_seconds() > self.policy.longest_wait:
            left = timedelta(seconds=round(pause.total_seconds()))
            raise DownloadFailed(
                Fault.BUSY, f"its host asked for a pause, {left} of it are left", retry_after=pause
            )
        return False

    def _ask(self, verdict: Verdict, *, with_headers: bool) -> Response:
        headers = {
            "User-Agent": OTHER_USER_AGENT if self.other_headers else USER_AGENT,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
        }
        if self.other_headers:
            headers["Accept-Language"] = "en-US,en;q=0.5"
        if with_headers:
            given = {name.lower() for name in self.order.headers}
            headers = {name: value for name, value in headers.items() if name.lower() not in given}
            headers.update(self.order.headers)
        if self.bookmark is not None and self.spool.size:
            headers.update(self.bookmark.request_headers(self.spool.size))
        for fresh in (False, True):
            timeout = min(self.policy.connect_timeout, self.watch.remaining())
            connection = self.pool.connect(verdict, timeout=timeout, fresh=fresh)
            try:
                return connection.ask(
                    verdict, headers, self.watch, most_header_bytes=self.policy.max_header_bytes
                )
            except DownloadFailed as failure:
                connection.close()
                if failure.fault is not Fault.RESET or not connection.used:
                    raise
            except BaseException:
                connection.close()
                raise
        raise AssertionError("a fresh connection was never used before")

    def _release(self, answer: Response) -> None:
        """Keep the connection when the answer was read to its end, close it otherwise."""
        if answer.reusable and not answer.connection.has_trailing_bytes(0.0):
            self.pool.give_back(answer.connection)
        else:
            answer.connection.close()

    def _read_some(self, answer: Response) -> bytes:
        """The beginning of a body that is not the file: enough to judge it, and decoded."""
        body = b""
        view = _buffer()[:ERROR_BODY_BYTES]
        try:
            decoder = decoder_for(answer.encoding)
            while len(body) < ERROR_BODY_BYTES and (count := answer.read_into(view)):
                block = bytes(view[:count])
                body += b"".join(decoder.feed(block)) if decoder else block
        except DownloadFailed as failure:
            if failure.fault in (Fault.CANCELLED, Fault.DEADLINE):
                raise
        return body[:ERROR_BODY_BYTES]

    # The body

    def _receive(self, verdict: Verdict, answer: Response, *, redirected: bool) -> Download:
        self._accept_status(verdict, answer)
        decoder = decoder_for(answer.encoding)
        if self.spool.size == 0:
            self._begin(answer)
        if decoder is not None:
            self.total = None
        elif self.total is None and answer.length is not None:
            self.total = self.spool.size + answer.length
        if self.total is not None and self.total > self.policy.max_bytes:
            raise DownloadFailed(Fault.TOO_LARGE, f"{self.total} bytes, {self.policy.max_bytes} are allowed")

        def take(data: memoryview) -> None:
            if self.spool.size == 0:
                self._refuse_document(verdict, answer, bytes(data[:ERROR_BODY_BYTES]), redirected=redirected)
            if self.spool.size + len(data) > self.policy.max_bytes:
                raise DownloadFailed(Fault.TOO_LARGE, f"{self.policy.max_bytes} bytes are allowed")
            self.spool.write(data)
            if self.order.on_progress is not None:
                self.order.on_progress(self.spool.size, self.total)

        self._pump(answer, decoder, take)
        self._compare_with_total()
        return self._prove(verdict, answer)

    def _compare_with_total(self) -> None:
        """What has arrived must be as much as the length or the range announced."""
        if self.total is None or self.spool.size == self.total:
            return
        if self.spool.size > self.total:
            raise DownloadFailed(Fault.BROKEN_RESUME, f"more than {self.total} bytes came")
        raise DownloadFailed(Fault.TRUNCATED, f"{self.spool.size} of {self.total} bytes came")

    def _accept_status(self, verdict: Verdict, answer: Response) -> None:
        """Return when the body is the file, or the part of it that was asked for. Raises DownloadFailed."""
        status, headers = answer.status, answer.headers
        asked = self.spool.size if self.bookmark is not None else 0
        part = content_range(headers) if status in (200, 206) else None
        if asked and self.bookmark and (status == 206 or (status == 200 and part and part.start)):
            wrong = self.bookmark.mismatch(headers, asked, answer.length)
            if wrong is not None:
                raise DownloadFailed(Fault.BROKEN_RESUME, wrong, status=status)
            self.total = part.total if part and part.total is not None else self.bookmark.total
            self.resumed += 1
            return
        if asked and status == 416:
            raise DownloadFailed(Fault.BROKEN_RESUME, "it has no such part", status=status)
        if status in (200, 203) and (part is None or part.start == 0):
            if self.spool.size:
                self._forget()
            self.total = part.total if part else None
            return
        if status in (200, 206):
            if part is not None and part.is_whole and not asked:
                self.total = part.total
                return
            raise DownloadFailed(Fault.BROKEN_RESUME, "only a part came", status=status)
        failure = judge(
            status, headers, self._read_some(answer), expires_at=self.order.expires_at, now=datetime.now(UTC)
        )
        if status in (429, 503):
            asked_pause = None if failure.retry_after is None else failure.retry_after.total_seconds()
            self.gate.complained(verdict.netloc, self.policy.per_host_concurrency, asked_pause)
        raise failure

    def _begin(self, answer: Response) -> None:
        """Take note of what the first complete answer tells of the file."""
        self.bookmark = Bookmark.of(answer.headers, answer.length)
        self.offered = offered_digests(answer.headers)
        for name in self.offered:
            hasher = None if name in self.spool.hashers else hasher_for(name)
            if hasher is not None:
                self.spool.hashers[name] = hasher

    def _pump(self, answer: Response, decoder: Decoder | None, take: Callable[[memoryview], None]) -> None:
        """Everything of the body through ``take``, in large blocks; what came before a failure is kept."""
        view = _buffer()
        filled = 0

        def flush() -> None:
            nonlocal filled
            data, filled = view[:filled], 0
            if decoder is None:
                if data:
                    take(data)
                return
            for block in decoder.feed(bytes(data)):
                take(memoryview(block))

        try:
            while count := answer.read_into(view[filled:]):
                filled += count
                if filled >= _WRITE_FROM:
                    flush()
        except DownloadFailed as failure:
            if failure.fault in _RESUMABLE and decoder is None:
                flush()
            raise
        flush()
        if decoder is not None and answer.received:
            decoder.end()

    def _refuse_document(self, verdict: Verdict, answer: Response, head: bytes, *, redirected: bool) -> None:
        """Stop at the first bytes when they are a web page, XML or JSON instead of a file."""
        self.asked = Asked.of(
            self.order.expected,
            path_of(self.order.url),
            *file_names(answer.headers.items()),
            path_of(verdict.target),
            content_type=answer.headers.get("Content-Type", ""),
        )
        fault = self.asked.fault(head[:HEAD_BYTES], head)
        if fault is None:
            return
        if fault is Fault.HTML_BODY and redirected and is_login(verdict):
            fault = Fault.LOGIN_PAGE
        if fault in (Fault.PLAYLIST, Fault.LOGIN_PAGE):
            raise DownloadFailed(fault, status=answer.status)
        body = head + self._read_some(answer)
        raise judge_document(
            fault, body, status=answer.status, expires_at=self.order.expires_at, now=datetime.now(UTC)
        )

    # The proof

    def _prove(self, verdict: Verdict, answer: Response) -> Download:
        """Check what has arrived; everything that came over the wire is in the spool now."""
        status = answer.status
        if self.spool.size == 0:
            raise DownloadFailed(Fault.ZERO_BYTES, status=status)
        verified = verified_digests(self.offered, self.spool.hashers, status)
        report = self._proven_container(answer)
        self.spool.close(sync=self.policy.fsync_spool)
        self.gate.served(verdict.netloc, self.policy.per_host_concurrency)
        return Download(
            path=self.spool.path,
            size=self.spool.size,
            sha256=self.spool.hashers["sha256"].hexdigest(),
            md5=self.spool.hashers["md5"].hexdigest() if "md5" in self.spool.hashers else None,
            content_type=report.mime,
            extension=report.extension,
            container=report,
            status=status,
            hops=tuple(self.hops),
            seconds=time.monotonic() - self.started,
            attempts=self.attempts,
            resumed=self.resumed,
            etag=answer.headers.get("ETag"),
            verified_digests=verified,
            unverified_digests=tuple(sorted(set(self.offered) - set(verified))),
        )

    def _proven_container(self, answer: Response) -> ContainerReport:
        """The report on the file; a stump behind which more came is a lie about its length, not a cut file."""
        try:
            return proven_container(self.spool.path, self.asked, answer.status)
        except DownloadFailed as failure:
            cut = failure.fault is Fault.INCOMPLETE and answer.reusable
            if not cut or not answer.connection.has_trailing_bytes(_EXCESS_PATIENCE):
                raise
        detail = f"more came behind the {answer.length} bytes it announced"
        raise DownloadFailed(Fault.LENGTH_LIE, detail, status=answer.status)
