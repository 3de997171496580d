"""Finds out whether a store can keep the promise: every step a video takes, done with a small probe."""

from __future__ import annotations

import hashlib
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import requests

from video_assets.settings import Settings
from video_assets.storage.durable import IMMUTABLE_CACHE_CONTROL, DurableStorage, StorageFailed
from video_assets.storage.keys import InvalidTemplate, KeyTemplate

Status = Literal["ok", "warning", "failed", "skipped"]

PROBE_BYTES: Final = 64 * 1024
_RANGE: Final = (1000, 1999)
_TIMEOUT: Final = 15.0
_SETTING: Final = re.compile(r"VIDEO_ASSETS_[A-Z0-9_]*[A-Z0-9]")


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One step of the check. ``remedy`` is empty when there is nothing to do."""

    name: str
    status: Status
    detail: str
    remedy: str = ""
    seconds: float = 0.0

    @property
    def settings(self) -> list[str]:
        """Names of the settings that ``remedy`` says to look at or to change, in its order."""
        return list(dict.fromkeys(_SETTING.findall(self.remedy)))


class _Finding(Exception):
    """A step did not go as it should."""

    def __init__(self, status: Status, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.line = (status, detail, remedy)


@dataclass(frozen=True, slots=True)
class _Probe:
    storage: DurableStorage
    settings: Settings
    key: str
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def md5(self) -> str:
        return hashlib.md5(self.content, usedforsecurity=False).hexdigest()


def check_storage(storage: DurableStorage, settings: Settings) -> list[CheckLine]:
    """Do every step with a probe and say how each went. Never raises StorageFailed; leaves nothing behind."""
    return list(iter_checks(storage, settings))


def is_healthy(lines: list[CheckLine]) -> bool:
    """Whether nothing failed. Warnings (a bucket that is not public, say) are for a person to judge."""
    return not any(line.status == "failed" for line in lines)


def iter_checks(storage: DurableStorage, settings: Settings) -> Iterator[CheckLine]:
    """:func:`check_storage`, line by line as the steps end. After a failed write the rest is skipped."""
    # In S3 the type goes along; an ending that means nothing shows a store that takes it from the name instead.
    ending = "probe" if settings.storage == "s3" else "mp4"
    probe = _Probe(
        storage, settings, f"storage-check/{secrets.token_hex(8)}.{ending}", secrets.token_bytes(PROBE_BYTES)
    )
    yield _run("key template", _key_template, probe)
    found = True
    if settings.storage == "s3":
        address = _run("address", _address, probe)
        found = address.status == "ok"
        yield address
    written = _run("write", _write, probe) if found else CheckLine("write", "skipped", "the address is wrong")
    yield written
    try:
        for name, step in _READING:
            if written.status == "ok":
                yield _run(name, step, probe)
            else:
                yield CheckLine(name, "skipped", "nothing was written")
    finally:
        if written.status == "ok":
            deleted = _run("delete", _delete, probe)
    yield deleted if written.status == "ok" else CheckLine("delete", "skipped", "nothing was written")


def _run(name: str, step: Callable[[_Probe], str], probe: _Probe) -> CheckLine:
    begun = time.perf_counter()
    status: Status
    detail, remedy = "", ""
    try:
        status, detail = "ok", step(probe)
    except _Finding as finding:
        status, detail, remedy = finding.line
    except StorageFailed as error:
        what, _, remedy = str(error).partition(". ")  # our own sentences: what happened, then what to do
        status, detail = "failed", what.removesuffix(".") + "."
    return CheckLine(name, status, detail, remedy, round(time.perf_counter() - begun, 3))


def _key_template(probe: _Probe) -> str:
    try:
        template = KeyTemplate.parse(probe.settings.key_template)
    except InvalidTemplate as error:
        raise _Finding("failed", "The key template cannot be used.", str(error)) from None
    return template.template


def _address(probe: _Probe) -> str:
    bucket: Any = probe.storage  # an S3Bucket; its module takes a second to load
    return str(bucket.look_at_address())


def _write(probe: _Probe) -> str:
    with tempfile.TemporaryDirectory(prefix="video-assets-check-") as folder:
        source = Path(folder) / "probe.mp4"
        source.write_bytes(probe.content)
        probe.storage.put(probe.key, source, content_type="video/mp4", sha256=probe.sha256, md5=probe.md5)
    return f"{PROBE_BYTES // 1024} KiB into bucket {probe.storage.bucket!r}"


def _look(probe: _Probe) -> str:
    found = probe.storage.head(probe.key)
    if found is None or found.size != PROBE_BYTES:
        raise _Finding(
            "failed",
            "The store does not report what was just written.",
            "It is not read-after-write consistent, or something deletes objects. Look at its lifecycle rules.",
        )
    if found.content_type != "video/mp4":
        raise _Finding(
            "warning",
            f"The store reports the type {found.content_type!r} for a video.",
            "Browsers may not play it. If the store takes the type from the name, end VIDEO_ASSETS_KEY_TEMPLATE "
            "in .{ext}; else look at what rewrites Content-Type in front of the store.",
        )
    if probe.settings.storage == "s3" and "immutable" not in (found.cache_control or ""):
        raise _Finding(
            "warning",
            "The store does not keep the Cache-Control that it was given.",
            "Browsers and CDNs fetch videos more often than they need to. Let the CDN or proxy in front of the "
            f"store add `Cache-Control: {IMMUTABLE_CACHE_CONTROL}`.",
        )
    return f"{found.size} bytes, {found.content_type}"


def _prove(probe: _Probe) -> str:
    proof = probe.storage.read_back(probe.key, size=PROBE_BYTES, sha256=probe.sha256, md5=probe.md5)
    return "by the store's MD5" if proof == "etag" else "by reading the bytes again"


def _read_range(probe: _Probe) -> str:
    first, last = _RANGE
    if b"".join(probe.storage.read(probe.key, first, last + 1)) != probe.content[first : last + 1]:
        raise _Finding("failed", "A byte range came back wrong.", "Seeking would not work with this store.")
    return f"bytes {first}-{last}"


def _signed_link(probe: _Probe) -> str:
    address = probe.storage.signed_url(probe.key, expires_in=300, download_name="probe.mp4")
    answer = _fetch(probe, address, {}, follow=False)  # a signature does not hold at another host
    if answer.status_code != 200 or answer.content != probe.content:
        raise _Finding(
            "warning",
            f"The signed link answers HTTP {answer.status_code}.",
            "Downloads by signed link will not work. Check the clock, VIDEO_ASSETS_S3_REGION, "
            "VIDEO_ASSETS_S3_ADDRESSING_STYLE, and that the key may read.",
        )
    if not answer.headers.get("Content-Disposition", "").startswith("attachment"):
        raise _Finding(
            "warning",
            "The signed link works, but does not save under a name.",
            "This store ignores response-content-disposition; browsers choose the file name themselves.",
        )
    if "immutable" in answer.headers.get("Cache-Control", ""):
        raise _Finding(
            "warning",
            "The signed link works, but lets caches keep what it shows.",
            "This store ignores response-cache-control; let no shared cache stand in front of signed links.",
        )
    return "works for 300 s, saves under its name"


def _public_link(probe: _Probe) -> str:
    first, last = _RANGE
    asked = {"Range": f"bytes={first}-{last}", "Origin": "https://example.com"}
    answer = _fetch(probe, probe.storage.public_url(probe.key), asked)
    if answer.status_code == 200 and answer.content == probe.content:
        raise _Finding(
            "warning",
            "The public link works, but ignores byte ranges.",
            "Seeking will be slow. Look at the CDN or proxy in front of the store.",
        )
    if answer.status_code != 206 or answer.content != probe.content[first : last + 1]:
        raise _Finding("warning", f"The public link answers HTTP {answer.status_code}.", _how_to_publish(probe))
    missing = []
    if "immutable" not in answer.headers.get("Cache-Control", ""):
        missing.append("no immutable Cache-Control")
    if "Access-Control-Allow-Origin" not in answer.headers:
        missing.append("no CORS header")
    if missing:
        raise _Finding(
            "warning",
            f"The public link works, with {' and '.join(missing)}.",
            "Videos play; players on other sites and caches need these. `video-assets storage policies` prints "
            "the CORS rules.",
        )
    return "anyone may read ranges"


def _how_to_publish(probe: _Probe) -> str:
    settings = probe.settings
    if settings.storage == "local":
        return "Point VIDEO_ASSETS_PUBLIC_BASE_URL at the media server of this store."
    if settings.s3_public_flavour == "custom":
        return "Check VIDEO_ASSETS_S3_PUBLIC_BASE_URL, and that the CDN may read the bucket."
    return "Make the bucket public to read: `video-assets storage policies` prints how."


def _delete(probe: _Probe) -> str:
    probe.storage.delete(probe.key)
    if probe.storage.head(probe.key) is not None:
        raise _Finding("failed", "The probe is still there.", f"Delete {probe.key!r} by hand and allow deletion.")
    return "the probe is gone"


def _fetch(probe: _Probe, address: str, headers: dict[str, str], *, follow: bool = True) -> requests.Response:
    try:
        return requests.get(address, headers=headers, timeout=_TIMEOUT, allow_redirects=follow)
    except requests.RequestException:  # its text holds the address, and with it the signature
        if probe.settings.storage == "local":
            remedy = (
                "Start the media server (`python -m video_assets.web`) or change VIDEO_ASSETS_PUBLIC_BASE_URL."
            )
        else:
            remedy = "Check VIDEO_ASSETS_S3_PUBLIC_FLAVOUR, VIDEO_ASSETS_S3_PUBLIC_BASE_URL and the name server."
        raise _Finding("warning", "Nothing answers at the address of the link.", remedy) from None


_READING: Final[tuple[tuple[str, Callable[[_Probe], str]], ...]] = (
    ("look", _look),
    ("prove", _prove),
    ("range", _read_range),
    ("signed link", _signed_link),
    ("public link", _public_link),
)
