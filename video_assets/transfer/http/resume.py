"""Going on where a download broke off: when that is allowed, and what the answer must look like.

RFC 9110, sections 13.1.5 and 14. A wrong resume glues two different files together, so everything uncertain means
"start again from zero": a weak or changed ETag, another total, another start than the one that was asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http.client import HTTPMessage

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.I)
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]{1,512}"')


@dataclass(frozen=True, slots=True)
class ContentRange:
    """The part of a file that an answer carries: first and last byte, both included, and the file's size."""

    start: int
    last: int
    total: int | None

    @property
    def is_whole(self) -> bool:
        """True when the part is the whole file."""
        return self.start == 0 and self.total == self.last + 1


def content_range(headers: HTTPMessage) -> ContentRange | None:
    """The Content-Range of an answer, None when there is none or it makes no sense."""
    found = _CONTENT_RANGE.fullmatch((headers.get("Content-Range") or "").strip())
    if not found:
        return None
    start, last = int(found.group(1)), int(found.group(2))
    total = None if found.group(3) == "*" else int(found.group(3))
    if last < start or (total is not None and last >= total):
        return None
    return ContentRange(start, last, total)


@dataclass(frozen=True, slots=True)
class Bookmark:
    """What must be the same when a download goes on: the strong ETag and, where known, the size."""

    etag: str
    total: int | None

    @classmethod
    def of(cls, headers: HTTPMessage, length: int | None) -> Bookmark | None:
        """The bookmark of a complete (200) answer, None when it cannot be resumed."""
        etag = (headers.get("ETag") or "").strip()
        refuses = (headers.get("Accept-Ranges") or "").strip().lower() == "none"
        return None if _encoded(headers) or refuses or not _STRONG_ETAG.fullmatch(etag) else cls(etag, length)

    def request_headers(self, offset: int) -> dict[str, str]:
        """The headers that ask for everything from ``offset`` on, if the file is still the same."""
        return {"Range": f"bytes={offset}-", "If-Range": self.etag}

    def mismatch(self, headers: HTTPMessage, offset: int, length: int | None) -> str | None:
        """Why an answer that carries a part does not continue at ``offset``, as a phrase; None when it does."""
        part = content_range(headers)
        etag = headers.get("ETag")
        if part is None:
            return "the part does not say where it belongs"
        if _encoded(headers):
            return "the part is compressed"
        if part.start != offset:
            return f"the part begins at byte {part.start}, not {offset}"
        if etag is not None and etag.strip() != self.etag:
            return "the file changed in between"
        if None not in (part.total, self.total) and part.total != self.total:
            return "the file has another size now"
        if length is not None and length != part.last - part.start + 1:
            return "the length of the part contradicts its range"
        if part.total is not None and part.last + 1 != part.total:
            return "the part ends before the file does"
        return None


def _encoded(headers: HTTPMessage) -> bool:
    """True when the body may be another form of the file than its bytes."""
    return any(
        word.strip().lower() not in ("", "identity")
        for value in headers.get_all("Content-Encoding", [])
        for word in value.split(",")
    )
