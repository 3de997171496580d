"""One kept file: a folder with verified bytes and a note of what is needed to go on with them.

Whoever takes it up reads size and SHA-256 from the disk first: bytes at rest may be damaged, and the note alone
is no proof. The note carries a digest of its own, and no URL.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from video_assets.catalog.models import utc_now
from video_assets.media.container import UnreadableFile, check_container
from video_assets.media.probe import MediaFacts
from video_assets.transfer.download.policy import Download

NOTE: Final = "note.json"
_BLOCK_BYTES: Final = 1024 * 1024


class KeptFileDamaged(Exception):
    """The kept bytes are not the ones that were verified. The message is safe to show."""


class KeptFileUnreadable(Exception):
    """The kept bytes may be there, but cannot be read now. The message is safe to show."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A file in the spool that was proven whole, with what the proof told."""

    download: Download
    facts: MediaFacts | None
    """None for kinds that are not media."""
    is_kept: bool


@dataclass(frozen=True, slots=True)
class KeptItem:
    """One folder, as far as its note tells."""

    folder: Path
    resource: str
    """The name of the file's lease."""
    size: int
    deadline_at: datetime | None

    def rank(self, now: datetime) -> tuple[int, float]:
        """Sorts by how readily it may be given up, least readily first."""
        if self.deadline_at is None:
            return 1, 0.0
        return (2 if self.deadline_at > now else 0), self.deadline_at.timestamp()

    def is_replaceable(self, now: datetime) -> bool:
        """Whether it can probably be downloaded again."""
        return self.rank(now)[0] > 0


def write_note(
    folder: Path, resource: str, download: Download, facts: MediaFacts | None, deadline_at: datetime | None
) -> None:
    """Note what is needed to upload the file of ``folder`` later. Raises OSError."""
    note = {
        "resource": resource,
        "name": download.path.name,
        "size": download.size,
        "sha256": download.sha256,
        "md5": download.md5,
        "content_type": download.content_type,
        "extension": download.extension,
        "facts": None if facts is None else asdict(facts),
        "deadline_at": None if deadline_at is None else deadline_at.isoformat(),
        "verified_at": utc_now().isoformat(timespec="seconds"),
    }
    line = json.dumps(note).encode()
    # Its digest tells a note that was damaged, or that a power cut left half written.
    write_private(folder / NOTE, line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n")


def proven_file(folder: Path) -> Verified:
    """The file of a folder after its bytes were read. Raises KeptFileDamaged, OSError."""
    note = _read_note(folder)
    path = folder / str(note["name"])
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    hashers = (sha256,) if note["md5"] is None else (sha256, md5)
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size != note["size"]:
            raise KeptFileDamaged(f"The kept file has {size} bytes instead of {note['size']}.")
        buffer = memoryview(bytearray(_BLOCK_BYTES))
        while count := file.readinto(buffer):
            for hasher in hashers:
                hasher.update(buffer[:count])
    if sha256.hexdigest() != note["sha256"]:
        raise KeptFileDamaged("The kept file holds other bytes than the ones that were verified.")
    try:
        report = check_container(path)
    except UnreadableFile as error:
        raise KeptFileUnreadable(str(error)) from None
    download = Download(
        path=path,
        size=size,
        sha256=str(note["sha256"]),
        md5=None if note["md5"] is None else md5.hexdigest(),
        content_type=str(note["content_type"]),
        extension=str(note["extension"]),
        container=report,
        status=0,
        hops=(),
        seconds=0.0,
        attempts=0,
        resumed=0,
        etag=None,
    )
    return Verified(download, _facts(note["facts"]), is_kept=True)


def _facts(known: dict[str, Any] | None) -> MediaFacts | None:
    """Facts as they were noted, also by another version of the product."""
    if known is None:
        return None
    names = {field.name for field in fields(MediaFacts)}
    with suppress(TypeError):
        return MediaFacts(**{name: value for name, value in known.items() if name in names})
    return None


def item_of(folder: Path) -> KeptItem | None:
    """A folder without its proof, for counting; None when its note is damaged or gone."""
    try:
        note = _read_note(folder)
    except (KeptFileDamaged, FileNotFoundError, NotADirectoryError):
        return None
    deadline = note["deadline_at"]
    return KeptItem(
        folder,
        str(note["resource"]),
        int(note["size"]),
        None if deadline is None else datetime.fromisoformat(str(deadline)),
    )


def _read_note(folder: Path) -> dict[str, Any]:
    """The note of a folder. Raises KeptFileDamaged, OSError."""
    line, _, rest = (folder / NOTE).read_bytes().partition(b"\n")
    if hashlib.sha256(line).hexdigest().encode() != rest.strip():
        raise KeptFileDamaged("What was noted about the kept file is damaged.")
    note: dict[str, Any] = json.loads(line)
    return note


def write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def sync_file(folder: Path) -> None:
    """Force a file that will wait to the disk. Before its first failed upload it need not outlive a power cut."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
