"""Column types that keep the promises of every table: UTC times, encrypted temporary URLs, known words."""

from __future__ import annotations

import base64
import json
import math
import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator

from video_assets.catalog.errors import EncryptionKeyMissing, EncryptionKeyWrong


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


class Word(TypeDecorator[StrEnum]):
    """One word of an enumeration: text in the database, the enumeration's member in Python.

    Writing a word that is not in it raises ValueError.
    """

    impl = Text
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else self.words(value).value

    def process_result_value(self, value: Any, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.words(value)


class SafeText(TypeDecorator[str]):
    """Text from outside: what a database cannot hold in a text (NUL, half of a surrogate pair) becomes U+FFFD.

    PostgreSQL refuses NUL and both drivers refuse lone surrogates; a provider's garbled message must not undo
    the transaction that reports it.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(value: str) -> str:
    """``value`` with everything that a text column refuses replaced by U+FFFD."""
    if value.isascii() and "\0" not in value:
        return value  # the usual case
    return _UNSTORABLE.sub("\ufffd", value)


def dump_json(value: Any) -> str:
    """``value`` as JSON that PostgreSQL takes too: NaN and the infinities become null."""
    try:
        return _encode(value)
    except ValueError:
        return _encode(_finite(value))


_encode = json.JSONEncoder(allow_nan=False).encode  # json.dumps would make one for each value


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


class EncryptedText(TypeDecorator[str]):
    """Text that is encrypted at rest with Fernet (AES-128-CBC and HMAC-SHA256).

    The key belongs to the process (:meth:`use_key`), because a column type is shared by all sessions.
    """

    impl = Text
    cache_ok = True
    _fernet: Fernet | None = None
    _key: bytes = b""

    @classmethod
    def use_key(cls, key: bytes) -> None:
        """Set the Fernet key of this process. Raises ValueError when it is not one."""
        cls._fernet = Fernet(key)
        cls._key = key

    @classmethod
    def key(cls) -> bytes:
        """The key, for a helper process of this one. Raises EncryptionKeyMissing."""
        cls._cipher()
        return cls._key

    @staticmethod
    def is_token(stored: str) -> bool:
        """Whether raw text has the form of a Fernet token, whatever its key."""
        # Version 0x80, time (8 bytes), IV (16), AES blocks (16 each), MAC (32): https://github.com/fernet/spec
        try:
            raw = base64.b64decode(stored, altchars=b"-_", validate=True)
        except ValueError:
            return False
        return len(raw) >= 73 and raw[0] == 0x80 and (len(raw) - 57) % 16 == 0

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
