"""The answer to "what is this URL?": one value object, shared by every package above."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Kind(StrEnum):
    """Whether a URL outlives the database row that holds it."""

    TEMPORARY = "temporary"
    """It stops working: at a time it tells, at a time only its server knows, or because the host deletes."""
    CREDENTIAL_ONLY = "credential_only"
    """Something in it grants access and nothing in it ends that access (an API key, a password)."""
    PERMANENT = "permanent"
    """Neither."""


class Bound(StrEnum):
    """How ``expires_at`` relates to the moment the URL really dies."""

    CERTAIN = "certain"
    UPPER = "upper"
    """It may die sooner (an STS session behind a SigV4 signature, a host that deletes early)."""
    LOWER = "lower"
    """It may live longer (a CDN adds a time to live of its own)."""


@dataclass(frozen=True, slots=True)
class Classification:
    """What one URL is.

    ``secrets`` holds the exact substrings of the URL, as it was given, that must never be shown.
    ``retention`` is set for host rules only: the time the host keeps a file, counted from its creation.
    """

    kind: Kind
    scheme: str | None = None
    expires_at: datetime | None = None
    bound: Bound = Bound.CERTAIN
    carries_jwt: bool = False
    secrets: tuple[str, ...] = ()
    retention: timedelta | None = None
    truncated: bool = False
    """The URL was cut off, as columns of a fixed length do it: what is left opens nothing."""

    @property
    def is_temporary(self) -> bool:
        """True when the URL stops working."""
        return self.kind is Kind.TEMPORARY

    @property
    def is_persistable(self) -> bool:
        """True when the URL may be kept in a database: it neither dies nor carries a credential."""
        return self.kind is Kind.PERMANENT

    def __repr__(self) -> str:
        return (
            f"Classification(kind={self.kind.value!r}, scheme={self.scheme!r}, expires_at={self.expires_at}, "
            f"bound={self.bound.value!r}, carries_jwt={self.carries_jwt}, "
            f"truncated={self.truncated}, secrets=<{len(self.secrets)} hidden>)"
        )
