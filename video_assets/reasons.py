"""Why a try failed, in one word each, with what to do about it.

Every failure of the product carries one of these words. The word decides whether, when and how often the
work is tried again, and it is what a person sees in a table, a check and the Dagster UI.
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
    STORAGE_FAILED = "storage_failed"
    DB_CONFLICT = "db_conflict"
    PROVIDER_ERROR = "provider_error"
    PROVIDER_REFUSED = "provider_refused"
    SUBMISSION_UNCONFIRMED = "submission_unconfirmed"
    CONFIGURATION = "configuration"
    ONLY_A_PLAYLIST = "only_a_playlist"
    UNJUDGED = "unjudged"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how far apart a failed try is repeated.

    ``attempts`` counts tries in all, the first included; 1 means "never again by itself", None "without end".
    Waits double from ``first_wait`` up to ``longest_wait``.
    """

    attempts: int | None
    first_wait: timedelta
    longest_wait: timedelta
    refresh_first: bool
    """Ask the provider for a fresh link before the next try."""
    meaning: str
    """A sentence a person understands."""
    remedy: str
    """What that person can do."""

    def wait_after(self, attempt: int) -> timedelta | None:
        """The pause after try number ``attempt`` (1 is the first), or None when there is to be no other."""
        if self.attempts is not None and attempt >= self.attempts:
            return None
        return min(self.first_wait * float(2 ** min(max(attempt - 1, 0), 30)), self.longest_wait)


def _policy(
    attempts: int | None, first: float, longest: float, *, meaning: str, remedy: str, refresh_first: bool = False
) -> RetryPolicy:
    return RetryPolicy(
        attempts, timedelta(seconds=first), timedelta(seconds=longest), refresh_first, meaning, remedy
    )


RETRY_POLICIES: dict[Reason, RetryPolicy] = {
    Reason.SOURCE_EXPIRED: _policy(
        4,
        2,
        60,
        refresh_first=True,
        meaning="The temporary link has expired.",
        remedy="A fresh link is asked of the provider by job id; nothing to do unless that fails too.",
    ),
    Reason.SOURCE_GONE: _policy(
        3,
        5,
        60,
        refresh_first=True,
        meaning="The provider no longer has the file.",
        remedy="`video-assets retry ID` asks once more, free of charge; else generate the video again, or bring "
        "your own copy.",
    ),
    Reason.SOURCE_REFUSED: _policy(
        4,
        5,
        300,
        refresh_first=True,
        meaning="The source refused to hand out the file although its link has not expired.",
        remedy="Check that the provider key belongs to the account that made the video.",
    ),
    Reason.SOURCE_SLOW: _policy(
        30,
        2,
        300,
        meaning="The source was too slow, too busy, or broke off in the middle.",
        remedy="It is tried again by itself, sooner when the link is about to die.",
    ),
    Reason.TOO_LARGE: _policy(
        1,
        0,
        0,
        meaning="The file is larger than the limit.",
        remedy="Raise VIDEO_ASSETS_MAX_DOWNLOAD_BYTES and retry.",
    ),
    Reason.BAD_CONTENT: _policy(
        4,
        2,
        120,
        refresh_first=True,
        meaning="What arrived is not the complete media file that was promised.",
        remedy="It is tried again with a fresh link; if it stays so, look at the provider's own page.",
    ),
    Reason.UNSAFE_ADDRESS: _policy(
        1,
        0,
        0,
        meaning="The link leads to an address that must not be fetched.",
        remedy="If this host is yours, add it to VIDEO_ASSETS_ALLOWED_HOSTS and retry.",
    ),
    Reason.STORAGE_FAILED: _policy(
        None,
        2,
        300,
        meaning="The durable storage did not take the file, or did not give the same bytes back.",
        remedy="Run `video-assets storage check`; it names what is missing.",
    ),
    Reason.DB_CONFLICT: _policy(
        None,
        1,
        30,
        meaning="Another worker changed the same row first.",
        remedy="It is tried again by itself.",
    ),
    Reason.PROVIDER_ERROR: _policy(
        None,
        2,
        300,
        meaning="The provider did not give a usable answer.",
        remedy="It is tried again by itself; see the provider's status page if it lasts.",
    ),
    Reason.PROVIDER_REFUSED: _policy(
        1,
        0,
        0,
        meaning="The provider refused the request or its generation failed.",
        remedy="Change the request as the message says and submit it again.",
    ),
    Reason.SUBMISSION_UNCONFIRMED: _policy(
        1,
        0,
        0,
        meaning="The answer to a submission was lost and the provider cannot tell whether it took the job.",
        remedy="Look at the provider's dashboard; if it is not there, run `video-assets retry ID --resubmit`.",
    ),
    Reason.CONFIGURATION: _policy(
        1,
        0,
        0,
        meaning="A setting is missing or wrong.",
        remedy="Run `video-assets doctor`; it names the setting.",
    ),
    Reason.ONLY_A_PLAYLIST: _policy(
        1,
        0,
        0,
        meaning="The link leads to a playlist, which is whole but holds no video: it names segments, whose own "
        "links die as well.",
        remedy="Ask the provider for a single file, or join the segments with a tool such as ffmpeg while they "
        "live, and bring the result.",
    ),
    Reason.UNJUDGED: _policy(
        1,
        0,
        0,
        meaning="The file came whole, but nothing here can tell whether it plays, and "
        "VIDEO_ASSETS_REQUIRE_PLAYABLE is on.",
        remedy="Turn VIDEO_ASSETS_REQUIRE_PLAYABLE off to keep such files, and retry.",
    ),
}
