"""Why a try failed, in one word each, with what to do about it.

Every failure of the product carries one of these words. The word decides when the work is tried again and what
the failure counts against, and it is what a person sees in a table, a check and the Dagster UI. How many tries
there were decides nothing: ``transfer/retrying.py`` says when a file is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Reason(StrEnum):
    """One word for why a try failed."""

    SOURCE_EXPIRED = "source_expired"
    SOURCE_GONE = "source_gone"
    SOURCE_REFUSED = "source_refused"
    SOURCE_SLOW = "source_slow"
    TOO_LARGE = "too_large"
    BAD_CONTENT = "bad_content"
    UNSAFE_ADDRESS = "unsafe_address"
    DNS_FAILED = "dns_failed"
    HOST_UNKNOWN = "host_unknown"
    NETWORK_FAILED = "network_failed"
    TLS_UNTRUSTED = "tls_untrusted"
    CLOCK_SKEW = "clock_skew"
    DISK_FAILED = "disk_failed"
    STORAGE_FAILED = "storage_failed"
    DB_CONFLICT = "db_conflict"
    PROVIDER_ERROR = "provider_error"
    PROVIDER_REFUSED = "provider_refused"
    SUBMISSION_UNCONFIRMED = "submission_unconfirmed"
    CONFIGURATION = "configuration"
    ONLY_A_PLAYLIST = "only_a_playlist"
    UNJUDGED = "unjudged"


class Side(StrEnum):
    """Where a failure lies, which decides what it counts against."""

    SOURCE = "source"
    """The source said it or did it: counts until the link is dead."""
    RULES = "rules"
    """One of our own limits refuses the file: a person may change that while the link lives."""
    BETWEEN = "between"
    """On the way, where nobody can tell whose fault it is: counts, and much longer than a link lives."""
    OURS = "ours"
    """On our own side: never counts against the source."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How far apart failed tries are, and on which side the failure lies.

    Waits double from ``first_wait`` up to ``longest_wait``; a link that is about to die is tried more often.
    """

    side: Side
    first_wait: timedelta
    longest_wait: timedelta
    refresh_first: bool
    """Ask the provider for a fresh link before the next try."""
    meaning: str
    """A sentence a person understands."""
    remedy: str
    """What that person can do."""
    when_all: str = ""
    """What a run says that met nothing else, behind "0 of N "."""
    stops_run: bool = False
    """A run that meets nothing else stops early: no other file would fare better."""

    def wait_after(self, attempt: int) -> timedelta:
        """The pause after try number ``attempt`` (1 is the first)."""
        return min(self.first_wait * float(2 ** min(max(attempt - 1, 0), 30)), self.longest_wait)


def _policy(
    side: Side,
    first: float,
    longest: float,
    *,
    meaning: str,
    remedy: str,
    refresh_first: bool = False,
    when_all: str = "",
    stops_run: bool = False,
) -> RetryPolicy:
    pauses = (timedelta(seconds=first), timedelta(seconds=longest))
    return RetryPolicy(side, *pauses, refresh_first, meaning, remedy, when_all, stops_run)


_MINUTE, _HOUR = 60, 3600

RETRY_POLICIES: dict[Reason, RetryPolicy] = {
    Reason.SOURCE_EXPIRED: _policy(
        Side.SOURCE,
        2,
        _HOUR,
        refresh_first=True,
        meaning="The temporary link has expired.",
        remedy="A fresh link is asked of the provider by job id; nothing to do unless that fails too.",
    ),
    Reason.SOURCE_GONE: _policy(
        Side.SOURCE,
        5,
        2 * _HOUR,
        refresh_first=True,
        meaning="The source says that it does not have the file.",
        remedy="It is tried again while its link may live; `video-assets retry ID` asks once more, else bring "
        "your own copy.",
    ),
    Reason.SOURCE_REFUSED: _policy(
        Side.SOURCE,
        5,
        2 * _HOUR,
        refresh_first=True,
        meaning="The source refused to hand out the file although its link has not expired.",
        remedy="It is tried again while its link may live. Check that the provider key belongs to the account "
        "that made the video, and that the source does not block this machine.",
    ),
    Reason.SOURCE_SLOW: _policy(
        Side.SOURCE,
        2,
        _HOUR,
        meaning="The source was too slow, too busy, or broke off in the middle.",
        remedy="It is tried again by itself, sooner when the link is about to die.",
    ),
    Reason.TOO_LARGE: _policy(
        Side.RULES,
        6 * _HOUR,
        24 * _HOUR,
        meaning="The file is larger than the limit.",
        remedy="Raise VIDEO_ASSETS_MAX_DOWNLOAD_BYTES and retry while its link lives.",
    ),
    Reason.BAD_CONTENT: _policy(
        Side.SOURCE,
        2,
        2 * _HOUR,
        refresh_first=True,
        meaning="What arrived is not the complete media file that was promised.",
        remedy="It is tried again by itself; if it stays so, look at the provider's own page.",
    ),
    Reason.UNSAFE_ADDRESS: _policy(
        Side.RULES,
        5 * _MINUTE,
        6 * _HOUR,
        meaning="The link leads to an address that must not be fetched.",
        remedy="If this host is yours, add it to VIDEO_ASSETS_ALLOWED_HOSTS and retry while its link lives. If "
        "this network sends everybody to a login page, log in.",
    ),
    Reason.DNS_FAILED: _policy(
        Side.OURS,
        30,
        _HOUR,
        meaning="This machine's DNS gave no answer, or an address that stands for another.",
        remedy="Look at this machine's DNS: fake-IP proxies and DNS64 answer with addresses that are refused; "
        "have it give this program the real ones.",
        when_all="could be resolved: is this machine's DNS a fake-IP proxy, or down?",
        stops_run=True,
    ),
    Reason.HOST_UNKNOWN: _policy(
        Side.BETWEEN,
        30,
        2 * _HOUR,
        meaning="The DNS knows no host of this name.",
        remedy="Ask another DNS server: if it knows the name, this machine's DNS is at fault; if none does, the "
        "source is closed.",
        when_all="could be resolved: does this machine's DNS block these names?",
        stops_run=True,
    ),
    Reason.NETWORK_FAILED: _policy(
        Side.OURS,
        30,
        _HOUR,
        meaning="This machine has no way to the source.",
        remedy="Look at this machine's network: routes, firewall, limits on open files.",
        when_all="could be reached: is this machine's network up?",
        stops_run=True,
    ),
    Reason.TLS_UNTRUSTED: _policy(
        Side.BETWEEN,
        30,
        _HOUR,
        meaning="The certificate that was shown is not one that this machine trusts.",
        remedy="Where a proxy inspects TLS, name its authority with SSL_CERT_FILE. Check this machine's clock "
        "and its certificate authorities.",
        when_all="showed a certificate that this machine trusts: does a proxy inspect TLS here?",
        stops_run=True,
    ),
    Reason.CLOCK_SKEW: _policy(
        Side.OURS,
        30,
        _HOUR,
        meaning="The source says that the clocks differ too much.",
        remedy="Synchronise this machine's clock (NTP).",
        when_all="could be fetched, because the clocks differ: is this machine's clock right?",
        stops_run=True,
    ),
    Reason.DISK_FAILED: _policy(
        Side.OURS,
        10,
        _HOUR,
        meaning="The folder for downloads could not take the file.",
        remedy="Free disk space under VIDEO_ASSETS_HOME, or move it.",
        when_all="could be written to the spool folder: is the disk full?",
        stops_run=True,
    ),
    # Files can be fetched while the store is away, so a run that meets nothing else goes on.
    Reason.STORAGE_FAILED: _policy(
        Side.OURS,
        2,
        5 * _MINUTE,
        meaning="The durable storage did not take the file, or did not give the same bytes back.",
        remedy="Run `video-assets storage check`; it names what is missing.",
        when_all="could be stored: is the durable storage up?",
    ),
    Reason.DB_CONFLICT: _policy(
        Side.OURS,
        1,
        30,
        meaning="Another worker changed the same row first.",
        remedy="It is tried again by itself.",
        when_all="could be committed: is the catalog up?",
    ),
    Reason.PROVIDER_ERROR: _policy(
        Side.BETWEEN,
        2,
        5 * _MINUTE,
        meaning="The provider did not give a usable answer.",
        remedy="It is tried again by itself; see the provider's status page if it lasts.",
        when_all="could be asked for again: is the provider up?",
    ),
    Reason.PROVIDER_REFUSED: _policy(
        Side.SOURCE,
        0,
        0,
        meaning="The provider refused the request or its generation failed.",
        remedy="Change the request as the message says and submit it again.",
    ),
    Reason.SUBMISSION_UNCONFIRMED: _policy(
        Side.RULES,
        0,
        0,
        meaning="The answer to a submission was lost and the provider cannot tell whether it took the job.",
        remedy="Look at the provider's dashboard; if it is not there, run `video-assets retry ID --resubmit`.",
    ),
    Reason.CONFIGURATION: _policy(
        Side.OURS,
        30,
        _HOUR,
        meaning="A setting is missing or wrong.",
        remedy="Run `video-assets doctor`; it names the setting.",
        when_all="could be fetched: a setting is missing or wrong; `video-assets doctor` names it",
    ),
    Reason.ONLY_A_PLAYLIST: _policy(
        Side.RULES,
        6 * _HOUR,
        24 * _HOUR,
        meaning="The link leads to a playlist, which is whole but holds no video: it names segments, whose own "
        "links die as well.",
        remedy="Ask the provider for a single file, or join the segments with a tool such as ffmpeg while they "
        "live, and bring the result.",
    ),
    Reason.UNJUDGED: _policy(
        Side.RULES,
        6 * _HOUR,
        24 * _HOUR,
        meaning="The file came whole, but nothing here can tell whether it plays, and "
        "VIDEO_ASSETS_REQUIRE_PLAYABLE is on.",
        remedy="Turn VIDEO_ASSETS_REQUIRE_PLAYABLE off to keep such files, and retry.",
    ),
}
