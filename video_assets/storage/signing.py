"""Signed addresses of our own media server: how they are made, how they are checked, and with which secret."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from video_assets.settings import Settings
from video_assets.storage.durable import StorageFailed

MAX_SIGNED_SECONDS: Final = 7 * 24 * 3600
"""The longest life of a signed address: the limit of AWS Signature Version 4, kept for every store."""


def check_lifetime(expires_in: int) -> int:
    """``expires_in`` seconds when a signed address may live so long, else ValueError."""
    if not 1 <= expires_in <= MAX_SIGNED_SECONDS:
        raise ValueError(f"A signed address lives between 1 and {MAX_SIGNED_SECONDS} seconds, not {expires_in}.")
    return expires_in


def sign_media_query(secret: bytes, key: str, *, expires_in: int, download_name: str | None = None) -> str:
    """The query string that lets ``key`` be fetched from the media server for ``expires_in`` seconds."""
    query = {"expires": str(int(time.time()) + check_lifetime(expires_in))}
    if download_name is not None:
        query["download"] = download_name
    query["signature"] = _media_signature(secret, key, query["expires"], download_name)
    return urlencode(query)


def media_query_is_valid(
    secret: bytes, key: str, *, expires: str, signature: str, download_name: str | None = None
) -> bool:
    """Whether the signature was made by ``secret`` for this key, life and name. Says nothing about the clock."""
    expected = _media_signature(secret, key, expires, download_name)
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))


def _media_signature(secret: bytes, key: str, expires: str, download_name: str | None) -> str:
    # NUL cannot occur in a key or in a number, so no two requests share one message.
    message = "\0".join(("GET", key, expires, "" if download_name is None else "=" + download_name))
    return hmac.new(secret, message.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def load_signing_key(settings: Settings) -> bytes:
    """The secret that signs addresses of the media server, 32 bytes.

    Derived from ``encryption_key`` when that is set, so that several machines agree; else read from
    ``home/media-signing.key``, which is made on first use, readable by its owner only. Raises
    :class:`StorageFailed` when that file can be neither made nor read.
    """
    if settings.encryption_key is not None:
        key = settings.encryption_key.get_secret_value().encode()
        return hmac.new(key, b"video-assets signed media addresses", hashlib.sha256).digest()
    path = settings.home / "media-signing.key"
    try:
        if not path.exists():
            _create_once(path, secrets.token_hex(32))
        key = bytes.fromhex(path.read_text("ascii").strip())
    except OSError as error:
        raise StorageFailed(
            f"{path} cannot be used: {error.strerror}. VIDEO_ASSETS_HOME must be a folder this user may write."
        ) from None
    except ValueError:
        key = b""
    if len(key) != 32:
        raise StorageFailed(f"{path} is damaged. Remove it; links that were signed with it end.", retryable=False)
    return key


def _create_once(path: Path, text: str) -> None:
    """Write ``path`` complete or not at all; when somebody else was first, theirs stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()
