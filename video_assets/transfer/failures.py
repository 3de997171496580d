"""Every way a download can fail: one table, one exception.

A :class:`Fault` says precisely what happened; its :class:`FaultRule` says which reason word it counts as (and by
that on whose side it lies), whether it is certain that the link will not work again, and whether trying again
within the same fetch can help.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from video_assets.reasons import Reason


class Fault(StrEnum):
    """What exactly went wrong with one download."""

    # Before a connection exists.
    ADDRESS_REFUSED = "address_refused"
    DNS = "dns"
    UNKNOWN_HOST = "unknown_host"
    SYNTHETIC_ADDRESS = "synthetic_address"
    NO_ROUTE = "no_route"
    CONNECT = "connect"
    TLS = "tls"
    # On the way to the file.
    REDIRECT_REFUSED = "redirect_refused"
    REDIRECT_LOOP = "redirect_loop"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    REDIRECT_WITHOUT_TARGET = "redirect_without_target"
    LOGIN_PAGE = "login_page"
    # What the source answered.
    EXPIRED = "expired"
    DELETED = "deleted"
    GONE = "gone"
    REFUSED = "refused"
    NOT_YET_VALID = "not_yet_valid"
    CLOCK_SKEW = "clock_skew"
    BUSY = "busy"
    SERVER_ERROR = "server_error"
    NOT_READY = "not_ready"
    UNEXPECTED_STATUS = "unexpected_status"
    BAD_RESPONSE = "bad_response"
    HEADERS_TOO_LARGE = "headers_too_large"
    # How the bytes came.
    RESET = "reset"
    STALLED = "stalled"
    TOO_SLOW = "too_slow"
    DEADLINE = "deadline"
    TRUNCATED = "truncated"
    LENGTH_LIE = "length_lie"
    CUT_GZIP = "cut_gzip"
    UNKNOWN_ENCODING = "unknown_encoding"
    BROKEN_RESUME = "broken_resume"
    # What the bytes are.
    TOO_LARGE = "too_large"
    ZERO_BYTES = "zero_bytes"
    HTML_BODY = "html_body"
    XML_BODY = "xml_body"
    JSON_BODY = "json_body"
    TEXT_BODY = "text_body"
    PLAYLIST = "playlist"
    WRONG_CONTAINER = "wrong_container"
    INCOMPLETE = "incomplete"
    MISSING_MOOV = "missing_moov"
    DAMAGED = "damaged"
    DIGEST_MISMATCH = "digest_mismatch"
    # On our side.
    SPOOL = "spool"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class FaultRule:
    """What a fault means for whoever decides about the next try."""

    reason: Reason
    meaning: str
    """One sentence for people, without secrets."""
    certain: bool = False
    """The source has said that this link will not work again. One 404 or 403 is far from that."""
    retried_at_once: bool = False
    """Trying again within the same fetch can help: from the start, or from where it broke off."""


_SLOW = Reason.SOURCE_SLOW
_BAD = Reason.BAD_CONTENT
_UNSAFE = Reason.UNSAFE_ADDRESS

FAULT_RULES: dict[Fault, FaultRule] = {
    Fault.ADDRESS_REFUSED: FaultRule(_UNSAFE, "The link must not be fetched."),
    Fault.DNS: FaultRule(Reason.DNS_FAILED, "The DNS of this machine does not answer."),
    Fault.UNKNOWN_HOST: FaultRule(Reason.HOST_UNKNOWN, "The DNS knows no host of the link's name."),
    Fault.SYNTHETIC_ADDRESS: FaultRule(
        Reason.DNS_FAILED, "The DNS of this machine gave an address that stands for another one."
    ),
    Fault.NO_ROUTE: FaultRule(Reason.NETWORK_FAILED, "This machine has no way to the source."),
    Fault.CONNECT: FaultRule(_SLOW, "No connection to the source could be made.", retried_at_once=True),
    Fault.TLS: FaultRule(Reason.TLS_UNTRUSTED, "The source could not prove its identity (TLS)."),
    Fault.REDIRECT_REFUSED: FaultRule(_UNSAFE, "The source redirects to a forbidden place."),
    Fault.REDIRECT_LOOP: FaultRule(_BAD, "The source redirects in a circle."),
    Fault.TOO_MANY_REDIRECTS: FaultRule(_BAD, "The source redirects too many times."),
    Fault.REDIRECT_WITHOUT_TARGET: FaultRule(_BAD, "The source redirects without saying where to."),
    Fault.LOGIN_PAGE: FaultRule(Reason.SOURCE_REFUSED, "The source leads to a login page instead of the file."),
    Fault.EXPIRED: FaultRule(Reason.SOURCE_EXPIRED, "The link has expired.", certain=True),
    Fault.DELETED: FaultRule(Reason.SOURCE_GONE, "The source has deleted the file.", certain=True),
    Fault.GONE: FaultRule(Reason.SOURCE_GONE, "The source says that it has no such file."),
    Fault.REFUSED: FaultRule(Reason.SOURCE_REFUSED, "The source refused to hand out the file."),
    Fault.NOT_YET_VALID: FaultRule(Reason.SOURCE_REFUSED, "The link is not valid yet, says the source."),
    Fault.CLOCK_SKEW: FaultRule(Reason.CLOCK_SKEW, "The source says that its clock and ours differ too much."),
    Fault.BUSY: FaultRule(_SLOW, "The source asked to come back later.", retried_at_once=True),
    Fault.SERVER_ERROR: FaultRule(_SLOW, "The source had an error of its own.", retried_at_once=True),
    Fault.NOT_READY: FaultRule(_SLOW, "The source is still preparing the file."),
    Fault.UNEXPECTED_STATUS: FaultRule(_BAD, "The source answered with a status that carries no file."),
    Fault.BAD_RESPONSE: FaultRule(_BAD, "The source did not answer in proper HTTP."),
    Fault.HEADERS_TOO_LARGE: FaultRule(_BAD, "The source sent more headers than any file needs."),
    Fault.RESET: FaultRule(_SLOW, "The source broke the connection.", retried_at_once=True),
    Fault.STALLED: FaultRule(_SLOW, "The source fell silent.", retried_at_once=True),
    Fault.TOO_SLOW: FaultRule(_SLOW, "The source sent less than the least acceptable rate."),
    Fault.DEADLINE: FaultRule(_SLOW, "The file did not arrive within the time it was given."),
    Fault.TRUNCATED: FaultRule(_SLOW, "The body broke off before its end.", retried_at_once=True),
    Fault.LENGTH_LIE: FaultRule(_BAD, "The source announced another length than it sent.", retried_at_once=True),
    Fault.CUT_GZIP: FaultRule(_SLOW, "The compressed body broke off before its end.", retried_at_once=True),
    Fault.UNKNOWN_ENCODING: FaultRule(_BAD, "The body is compressed in a way that was not asked for."),
    Fault.BROKEN_RESUME: FaultRule(
        _BAD, "The source answered for a part of the file that was not asked for.", retried_at_once=True
    ),
    Fault.TOO_LARGE: FaultRule(Reason.TOO_LARGE, "The file is larger than the limit."),
    Fault.ZERO_BYTES: FaultRule(_BAD, "The file is empty."),
    Fault.HTML_BODY: FaultRule(_BAD, "A web page arrived instead of the file."),
    Fault.XML_BODY: FaultRule(_BAD, "An XML document arrived instead of the file."),
    Fault.JSON_BODY: FaultRule(_BAD, "A JSON document arrived instead of the file."),
    Fault.TEXT_BODY: FaultRule(_BAD, "Plain text arrived instead of the file."),
    Fault.PLAYLIST: FaultRule(
        Reason.ONLY_A_PLAYLIST,
        "A playlist arrived: it only names segments, which die as well, so a copy of it would save nothing.",
    ),
    Fault.WRONG_CONTAINER: FaultRule(_BAD, "The file is not of the kind that was promised."),
    Fault.INCOMPLETE: FaultRule(_BAD, "The file ends before its own structure does.", retried_at_once=True),
    Fault.MISSING_MOOV: FaultRule(_BAD, "The video has no index (moov): it is cut off or still being written."),
    Fault.DAMAGED: FaultRule(_BAD, "The file is not intact inside.", retried_at_once=True),
    Fault.DIGEST_MISMATCH: FaultRule(
        _BAD, "The bytes differ from the digest that the source offered.", retried_at_once=True
    ),
    Fault.SPOOL: FaultRule(Reason.DISK_FAILED, "The spool folder could not take the file."),
    Fault.CANCELLED: FaultRule(_SLOW, "The download was cancelled."),
}


class DownloadFailed(Exception):
    """A file could not be fetched. The message is one sentence that is safe to show; it holds no URL.

    ``certain`` says that this link will not work again; whether another can be had is a question of its own.
    """

    def __init__(
        self,
        fault: Fault,
        detail: str | None = None,
        *,
        reason: Reason | None = None,
        status: int | None = None,
        retry_after: timedelta | None = None,
        evidence: Mapping[str, object] | None = None,
    ) -> None:
        rule = FAULT_RULES[fault]
        super().__init__(f"{rule.meaning.removesuffix('.')}: {detail}" if detail else rule.meaning)
        self.fault = fault
        self.reason = reason or rule.reason
        self.detail = detail
        self.status = status
        self.retry_after = retry_after
        self.evidence: dict[str, object] = dict(evidence or {})

    @property
    def certain(self) -> bool:
        """True when the source has said that this link will not work again."""
        return FAULT_RULES[self.fault].certain

    @property
    def message(self) -> str:
        """The sentence of the exception."""
        return str(self)
