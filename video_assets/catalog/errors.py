"""What can be wrong with the catalog as a whole. Each message says what to do and holds no password."""

from __future__ import annotations


class CatalogError(Exception):
    """The catalog cannot be used. The message says what to do and holds no password."""


class CatalogUnavailable(CatalogError):
    """The database is unreachable, locked for too long, read-only, full or gone."""


class CatalogTooNew(CatalogError):
    """A later version of the product has migrated this catalog."""


class EncryptionKeyMissing(CatalogError):
    """A temporary URL was to be read or written before the encryption key was set."""


class EncryptionKeyWrong(CatalogError):
    """The stored secret was encrypted with another key."""
