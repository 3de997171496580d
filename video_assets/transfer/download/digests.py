"""Digests that a source offers beside a file, and whether the bytes agree.

Only what costs next to nothing is computed: hashlib's digests, CRC-32 from zlib, and CRC-32C when
``google-crc32c`` is installed. Anything else (CRC-64 of OSS and COS) is reported as not verified rather than
burning a processor on it in pure Python.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import importlib
import re
import zlib
from collections.abc import Callable, Iterator
from http.client import HTTPMessage
from typing import Any, Final

from video_assets.transfer.download.spool_file import Hasher

_BASE64_HEADERS: Final = {
    "x-amz-checksum-sha256": "sha256",
    "x-amz-checksum-sha1": "sha1",
    "x-amz-checksum-crc32": "crc32",
    "x-amz-checksum-crc32c": "crc32c",
    "x-amz-checksum-crc64nvme": "crc64nvme",
    "x-ms-blob-content-md5": "md5",
    "content-md5": "md5",
}
_NUMBER_HEADERS: Final = {"x-oss-hash-crc64ecma": "crc64ecma", "x-cos-hash-crc64ecma": "crc64ecma"}
_LIST_HEADERS: Final = ("x-goog-hash", "digest", "repr-digest", "content-digest")
_NAMES: Final = {
    "sha-256": "sha256",
    "sha-512": "sha512",
    "sha": "sha1",
    "sha-1": "sha1",
    "md5": "md5",
    "crc32c": "crc32c",
}
_ITEM: Final = re.compile(r"([A-Za-z0-9-]+)\s*=\s*:?([A-Za-z0-9+/]+={0,2}):?")
_SIZES: Final = {"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64, "crc32": 4, "crc32c": 4}


class _Crc:
    """A running checksum with the face of a hashlib object."""

    def __init__(self, extend: Callable[[Any, int], int]) -> None:
        self._extend = extend
        self._value = 0

    def update(self, data: memoryview, /) -> None:
        self._value = self._extend(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


def offered_digests(headers: HTTPMessage) -> dict[str, str]:
    """Digests of the whole file that ``headers`` offer: name to lower-case hex.

    Digests of a multipart upload's parts (``x-amz-checksum-type: COMPOSITE``, or ``…-3`` behind the value) and of
    a stored form that is not what was sent (``x-goog-stored-content-encoding``) do not describe these bytes: they
    are left out. Malformed ones are left out as well. Names without a size here map to an empty text.
    """
    if (headers.get("Content-Encoding") or "identity").strip().lower() not in ("", "identity"):
        return {}
    found: dict[str, str] = {}
    composite = headers.get("x-amz-checksum-type", "").upper() == "COMPOSITE"
    for header, name in _BASE64_HEADERS.items():
        value = headers.get(header)
        if value and not (composite and header.startswith("x-amz-")):
            _keep(found, name, value.strip())
    for header, name in _NUMBER_HEADERS.items():
        if headers.get(header):
            found.setdefault(name, "")
    for header in _LIST_HEADERS:
        if header == "x-goog-hash" and headers.get("x-goog-stored-content-encoding", "identity") != "identity":
            continue
        for name, value in _items(headers, header):
            if name in _NAMES:
                _keep(found, _NAMES[name], value)
    return found


def _items(headers: HTTPMessage, header: str) -> Iterator[tuple[str, str]]:
    for value in headers.get_all(header, []):  # x-goog-hash comes as one header per digest
        for name, text in _ITEM.findall(value):
            yield name.lower(), text


def _keep(found: dict[str, str], name: str, value: str) -> None:
    if name not in _SIZES:
        found.setdefault(name, "")
        return
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return
    if len(raw) == _SIZES[name]:
        found.setdefault(name, raw.hex())


def hasher_for(name: str) -> Hasher | None:
    """A fresh hasher for the digest ``name``, None when it would cost too much here."""
    if name in ("sha1", "md5"):
        return hashlib.new(name, usedforsecurity=False)
    if name in ("sha256", "sha512"):
        return hashlib.new(name)
    if name == "crc32":
        return _Crc(zlib.crc32)
    if name == "crc32c":
        try:
            extend = importlib.import_module("google_crc32c").extend
        except ImportError:
            return None
        return _Crc(lambda data, value: int(extend(value, bytes(data))))
    return None
