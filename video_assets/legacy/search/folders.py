"""Folders as sources: which files are media, which documents hold temporary URLs, and their inventory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from video_assets.catalog.models import utc_now
from video_assets.legacy.config.models import Column, Source, Table
from video_assets.legacy.discover.discover import Place
from video_assets.legacy.errors import SourceUnavailable
from video_assets.legacy.search.byte_values import media_type_of
from video_assets.legacy.search.json_pointer import generalised, kept_pointer
from video_assets.legacy.search.rows import (
    FOLDER_SCHEME,
    Search,
    Seen,
    SeenFile,
    SeenFinding,
    digest,
    file_id,
    finding_id,
    host_of,
    kind_of_name,
)
from video_assets.legacy.source.row_key import encode_key
from video_assets.urls import NO_RULES, HostRules, find, redact

MEDIA_TABLE = "(files)"
"""Findings that are files themselves have this table name; their row key is ``[relative path]``."""
DOCUMENT_TABLE = "(documents)"
"""Findings inside text files."""
DOCUMENT_COLUMN = "content"

MOST_DOCUMENT_BYTES = 64 * 1024**2
"""Larger text files are left out and named."""

_DOCUMENTS = frozenset(
    (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".html", ".htm", ".md", ".txt", ".xml", ".yaml", ".yml")
)


@dataclass(slots=True)
class FolderLook:
    """What a folder holds."""

    path: Path
    media_files: int = 0
    media_bytes: int = 0
    media_types: dict[str, int] = field(default_factory=dict)
    document_types: set[str] = field(default_factory=set)
    """Endings of documents with temporary URLs."""
    places: list[Place] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Documents that were too large or could not be read."""


def discover_folder(path: Path, *, now: datetime | None = None, hosts: HostRules = NO_RULES) -> FolderLook:
    """Look through a folder. Raises SourceUnavailable when it is none."""
    look = FolderLook(path)
    moment = now or utc_now()
    places: dict[tuple[str, str, str, str], Place] = {}
    for file in _files(path):
        suffix = file.suffix.lower()
        if (kind_of_file(file) or "file") != "file":
            look.media_files += 1
            look.media_bytes += file.stat().st_size
            with file.open("rb") as opened:
                kind = media_type_of(opened.read(16))
            look.media_types[kind] = look.media_types.get(kind, 0) + 1
        elif suffix in _DOCUMENTS:
            content = _content(file, look.left_out)
            written = datetime.fromtimestamp(file.stat().st_mtime, UTC)
            for finding in find(content, created_at=written, hosts=hosts):
                key = (
                    suffix,
                    generalised(kept_pointer(finding.pointer)),
                    host_of(finding.url) or "?",
                    finding.classification.scheme or "?",
                )
                place = places.setdefault(key, Place(f"*{suffix}", DOCUMENT_COLUMN, *key[1:]))
                place.add(written, finding.classification.expires_at, moment)
                look.document_types.add(suffix)
    look.places = sorted(places.values(), key=lambda place: -place.count)
    return look


def folder_pages(source: Source, *, after: str | None, size: int) -> Iterator[tuple[Sequence[Path], str]]:
    """The files of a folder source in the order of their paths, ``size`` at a time, with the last path."""
    root = source.path()
    wanted = sorted(
        {
            file.relative_to(root).as_posix()
            for pattern in (*source.folder.media, *source.folder.documents)
            for file in _matching(root, pattern)
        }
    )
    waiting = [name for name in wanted if after is None or name > after]
    for start in range(0, len(waiting), size):
        some = waiting[start : start + size]
        yield [root / name for name in some], some[-1]


def search_files(source: Source, files: Sequence[Path]) -> Seen:
    """What some files of a folder source hold, or are."""
    root = source.path()
    seen = Seen()
    documents = Search(
        source.name,
        Table(
            name=DOCUMENT_TABLE,
            columns=(Column(name=DOCUMENT_COLUMN),),
            created_at="created_at",
            deleting_hosts=source.deleting_hosts,
        ),
        ("path", DOCUMENT_COLUMN, "created_at"),
        1,
        all_bytes=True,
    )
    for file in files:
        name = file.relative_to(root).as_posix()
        try:
            if kind_of_file(file) is not None:
                _media(seen, source.name, file, name)
            else:
                content = _content(file, [])
                written = datetime.fromtimestamp(file.stat().st_mtime, UTC)
                seen.add(documents.rows([(name, content, written)]))
        except OSError:
            continue  # it was removed meanwhile
    return seen


def kind_of_file(path: Path) -> str | None:
    """The kind of a file that is to be kept itself, by its extension; None for one that may hold links."""
    return None if path.suffix.lower() in _DOCUMENTS else kind_of_name(path.name)


def _media(seen: Seen, source: str, file: Path, name: str) -> None:
    row_key = encode_key([name])
    made_of = finding_id(source, MEDIA_TABLE, row_key, "", "", 0)
    size = file.stat().st_size
    known = SeenFile(
        id=file_id(source, made_of),
        fingerprint=made_of,
        kind=kind_of_file(file) or "file",
        url=None,
        redacted=redact(name),
        host=None,
        scheme=FOLDER_SCHEME,
        deadline_at=None,
        provider=None,
        task_id=None,
        size=size,
    )
    seen.add_file(known)
    seen.findings.append(
        SeenFinding(
            id=made_of,
            table=MEDIA_TABLE,
            row_key=row_key,
            column="",
            pointer="",
            file_id=known.id,
            url_digest=digest(f"{FOLDER_SCHEME}:{size}"),
            redacted=known.redacted,
            scheme=FOLDER_SCHEME,
            carries_jwt=False,
            deadline_at=None,
            context={},
            excepted=None,
        )
    )


def _files(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        raise SourceUnavailable(f"there is no folder {root}")
    for folder, folders, names in os.walk(root, followlinks=False):
        folders.sort()
        for name in sorted(names):
            file = Path(folder) / name
            if file.is_file() and not file.is_symlink():
                yield file


def _matching(root: Path, pattern: str) -> Iterator[Path]:
    if not root.is_dir():
        raise SourceUnavailable(f"there is no folder {root}")
    # A link may lead out of the folder, and its target is not ours to move.
    return (file for file in root.glob(pattern) if file.is_file() and not file.is_symlink())


def _content(file: Path, left_out: list[str]) -> bytes:
    try:
        if file.stat().st_size > MOST_DOCUMENT_BYTES:
            left_out.append(f"{file.name} is larger than {MOST_DOCUMENT_BYTES // 1024**2} MB")
            return b""
        return file.read_bytes()
    except OSError as exc:
        left_out.append(f"{file.name} cannot be read: {exc.strerror}")
        return b""
