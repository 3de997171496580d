"""Column types that keep two promises of every table: times are UTC, temporary URLs are encrypted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC: timezone-aware in Python, ``timestamptz`` on PostgreSQL, naive UTC text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime was given to a UTC column; use datetime.now(UTC)")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class EncryptionKeyMissing(RuntimeError):
    """A temporary URL was to be read or written before the encryption key was set."""


class EncryptionKeyWrong(RuntimeError):
    """The stored secret was encrypted with another key."""


class EncryptedText(TypeDecorator[str]):
    """Text that is encrypted at rest with Fernet (AES-128-CBC and HMAC-SHA256).

    The key belongs to the process (:meth:`use_key`), because a column type is shared by all sessions.
    """

    impl = Text
    cache_ok = True
    _fernet: Fernet | None = None

    @classmethod
    def use_key(cls, key: bytes) -> None:
        """Set the Fernet key of this process. Raises ValueError when it is not one."""
        cls._fernet = Fernet(key)

    @classmethod
    def _cipher(cls) -> Fernet:
        if cls._fernet is None:
            raise EncryptionKeyMissing("open the catalog with open_catalog() before using encrypted columns")
        return cls._fernet

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else self._cipher().encrypt(value.encode()).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        if value is None:
            return None
        try:
            return self._cipher().decrypt(str(value).encode()).decode()
        except InvalidToken:
            raise EncryptionKeyWrong(
                "a pending temporary URL was encrypted with another key: set VIDEO_ASSETS_ENCRYPTION_KEY to the "
                "key this catalog was filled with (embedded default: encryption.key in VIDEO_ASSETS_HOME)"
            ) from None
