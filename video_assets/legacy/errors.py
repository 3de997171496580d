"""What can be wrong with a legacy source, each a sentence for a person. No message holds a password or a URL."""

from __future__ import annotations


class SourceError(Exception):
    """Something about a source stops the work. The message names the source and the next step."""


class ConfigurationInvalid(SourceError):
    """The configuration file cannot be used as it is."""


class SourceUnavailable(SourceError):
    """The database or folder cannot be reached or opened; trying again later may help."""


class SourceBusy(SourceUnavailable):
    """A statement waited too long for a lock or ran too long; it was given up to spare the source."""


class SourceMismatch(SourceError):
    """The configuration names a table or column that the source does not have."""


class NoUsableKey(SourceError):
    """The rows of a table cannot be told apart, so they cannot be paged through or rewritten."""


class SourceReadOnly(SourceError):
    """The user may read but not write; a rewrite is not possible with it."""
