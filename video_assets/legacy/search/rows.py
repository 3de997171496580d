"""What temporary URLs a row holds, and what is known about each: pure functions over the values of a page.

Nothing here touches a database, so that several processes can search at once.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from video_assets import __version__
from video_assets.legacy.config.models import Column, Except, Job, Table
from video_assets.legacy.search.byte_values import is_text
from video_assets.legacy.search.json_pointer import RowPlaces, kept_pointer, matches
from video_assets.legacy.search.prefilter import not_plain
from video_assets.legacy.source.row_key import encode_key
from video_assets.legacy.source.table_shape import moment_of
from video_assets.media import file_types
from video_assets.transfer.rescue.target import MEDIA_KINDS
from video_assets.urls import Classification, Finding, HostRules, find, fingerprint, may_contain, redact
from video_assets.urls.schemes import SCHEMES
from video_assets.urls.syntax.tokens import find_jwts

MOST_CONTEXT = 4000
"""Characters kept of one context value."""

BLOB_SCHEME = "blob"
FOLDER_SCHEME = "file"

_KIND_WORDS = (
    ("thumbnail", re.compile(r"thumb|poster|preview|cover|still", re.IGNORECASE)),
    ("gif", re.compile(r"gif", re.IGNORECASE)),
    ("subtitle", re.compile(r"subtitle|srt|vtt", re.IGNORECASE)),
    ("captioned", re.compile(r"caption", re.IGNORECASE)),
    ("audio", re.compile(r"audio|music|voice|sound", re.IGNORECASE)),
    ("image", re.compile(r"image|photo|picture|img", re.IGNORECASE)),
    ("clip", re.compile(r"clip", re.IGNORECASE)),
    ("video", re.compile(r"video|movie|mp4", re.IGNORECASE)),
)


@dataclass(slots=True)
class SeenFile:
    """A file behind at least one URL of the page."""

    id: str
    fingerprint: str
    kind: str
    url: str | None = field(repr=False)
    redacted: str
    host: str | None
    scheme: str | None
    deadline_at: datetime | None
    provider: str | None
    task_id: str | None
    size: int | None = None
    """Known in advance for BLOBs and files of a folder."""


@dataclass(slots=True)
class SeenFinding:
    """One place that holds a temporary URL, or a file itself."""

    id: str
    table: str
    row_key: str
    column: str
    pointer: str
    file_id: str
    url_digest: str
    redacted: str
    scheme: str | None
    carries_jwt: bool
    deadline_at: datetime | None
    context: dict[str, Any]
    excepted: str | None


@dataclass(slots=True)
class Seen:
    """What a page holds. Files are named once each."""

    files: dict[str, SeenFile] = field(default_factory=dict)
    findings: list[SeenFinding] = field(default_factory=list)

    def add(self, other: Seen) -> None:
        """Take over what another part of the page holds."""
        for file in other.files.values():
            self.add_file(file)
        self.findings += other.findings

    def add_file(self, file: SeenFile) -> None:
        """Keep, of two links to one file, the one that lives longer."""
        known = self.files.get(file.id)
        if known is None:
            self.files[file.id] = file
            return
        if (file.url is None) is not (known.url is None):
            longer = known.url is None
        else:
            longer = file.deadline_at is not None and (
                known.deadline_at is None or file.deadline_at > known.deadline_at
            )
        if longer:
            file.task_id, file.provider = file.task_id or known.task_id, file.provider or known.provider
            self.files[file.id] = file
        elif known.task_id is None:
            known.task_id, known.provider = file.task_id, file.provider


@dataclass(frozen=True, slots=True)
class Search:
    """How to search the rows of one table. Can be sent to another process."""

    source: str
    table: Table
    names: tuple[str, ...]
    """The columns of a row as it is read, key first."""
    keys: int
    """How many of them are the key."""
    all_bytes: bool = False
    """Bytes that are no text are searched as well, although a URL in them cannot be replaced."""

    def rows(self, rows: Sequence[Sequence[Any]]) -> Seen:
        """Everything that the rows hold. Never raises for their content."""
        seen = Seen()
        hosts = self.table.host_rules
        places: list[tuple[int, int]] = []
        for number, entry in enumerate(self.table.columns):
            column = self.names.index(entry.name, self.keys)
            places += [(place, number) for place in not_plain([row[column] for row in rows], hosts)]
        places.sort()  # as they stand in the table
        for place, number in places:
            row, entry = rows[place], self.table.columns[number]
            value = row[self.names.index(entry.name, self.keys)]
            if entry.type == "blob":
                if value:
                    self._blob(seen, row, entry, int(value))
            elif isinstance(value, str):
                self._text(seen, row, entry, value)
            elif isinstance(value, bytes | memoryview | bytearray):
                content = bytes(value)
                if may_contain(content) and (self.all_bytes or is_text(content)):
                    self._text(seen, row, entry, content)
        return seen

    def _text(self, seen: Seen, row: Sequence[Any], entry: Column, value: str | bytes) -> None:
        created = None
        if self.table.created_at is not None and may_contain(value):
            created = moment_of(row[self.names.index(self.table.created_at)])
        found = find(value, created_at=created, hosts=self.table.host_rules)
        if not found:
            return
        row_key = encode_key(row[: self.keys])
        places = RowPlaces(self.names, row)
        positions: dict[str, int] = {}
        kept: dict[str, Any] = {}
        for finding in found:
            pointer = kept_pointer(finding.pointer)
            position = positions[pointer] = positions.get(pointer, -1) + 1
            excepted = _why_excepted(self.table.exceptions, finding, pointer)
            file = _file(self.source, self.table, entry, finding, pointer, places)
            if excepted is not None and file.id not in seen.files:
                file.url = None  # nothing is ever fetched from here, so its address need not be kept
            seen.add_file(file)
            seen.findings.append(
                SeenFinding(
                    finding_id(self.source, self.table.name, row_key, entry.name, pointer, position),
                    table=self.table.name,
                    row_key=row_key,
                    column=entry.name,
                    pointer=pointer,
                    file_id=file.id,
                    url_digest=digest(finding.url),
                    redacted=file.redacted,
                    scheme=file.scheme,
                    carries_jwt=finding.classification.carries_jwt,
                    deadline_at=file.deadline_at,
                    context=_context(self.table, places, pointer, kept)
                    | ({"truncated": True} if finding.classification.truncated else {}),
                    excepted=excepted,
                )
            )

    def _blob(self, seen: Seen, row: Sequence[Any], entry: Column, size: int) -> None:
        row_key = encode_key(row[: self.keys])
        places = RowPlaces(self.names, row)
        made_of = finding_id(self.source, self.table.name, row_key, entry.name, "", 0)
        file = SeenFile(
            id=file_id(self.source, made_of),
            fingerprint=made_of,
            kind=entry.kind if entry.kind != "auto" else _kind_of_name(entry.name) or "video",
            url=None,
            redacted=f"{self.table.name}.{entry.name} of {row_key}, {size} bytes",
            host=None,
            scheme=BLOB_SCHEME,
            deadline_at=None,
            provider=None,
            task_id=None,
            size=size,
        )
        seen.add_file(file)
        seen.findings.append(
            SeenFinding(
                id=made_of,
                table=self.table.name,
                row_key=row_key,
                column=entry.name,
                pointer="",
                file_id=file.id,
                url_digest=digest(f"{BLOB_SCHEME}:{size}"),
                redacted=file.redacted,
                scheme=BLOB_SCHEME,
                carries_jwt=False,
                deadline_at=None,
                context=_context(self.table, places, "", {}),
                excepted=None,
            )
        )


def rules_digest(hosts: HostRules) -> str:
    """SHA-256 (hex) of all rules by which a URL is found: what was read by older ones is read again."""
    rules = [f"{scheme.name} {scheme.source}" for scheme in SCHEMES]
    return hashlib.sha256("\n".join([__version__, *rules, *hosts.texts()]).encode()).hexdigest()


def digest(text: str) -> str:
    """SHA-256 (hex) of a URL as it stands, so that a change is noticed without keeping it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def finding_id(source: str, table: str, row_key: str, column: str, pointer: str, position: int) -> str:
    """The name of one place: the same at every inventory."""
    # A JSON list, as the ids of all catalogs are made of; put together here at half the price.
    names = ", ".join([_quoted(name) for name in (source, table, row_key, column, pointer)])
    place = f"[{names}, {position}]"
    return hashlib.sha256(place.encode()).hexdigest()[:32]


_quoted = json.encoder.encode_basestring_ascii


def file_id(source: str, fingerprinted: str) -> str:
    """The name of one file of a source: the same at every inventory."""
    return hashlib.sha256(f"{source}\n{fingerprinted}".encode()).hexdigest()[:32]


def _file(
    source: str, table: Table, entry: Column, finding: Finding, pointer: str, places: RowPlaces
) -> SeenFile:
    url = finding.url
    print_ = fingerprint(url)
    provider, task_id = None, None
    if table.jobs:
        jobs = [job for job in table.jobs if not job.columns or entry.name in job.columns]
        provider, task_id = _job(jobs, url, pointer, places)
    return SeenFile(
        id=file_id(source, print_),
        fingerprint=print_,
        kind=_kind(entry, pointer, url),
        # What is left of a link that was cut off opens nothing: it is never fetched, so it need not be kept.
        url=None if finding.classification.truncated else url,
        redacted=_redacted(url, finding.classification),
        host=host_of(url),
        scheme=finding.classification.scheme,
        deadline_at=None if finding.classification.truncated else finding.classification.expires_at,
        provider=provider,
        task_id=task_id,
    )


def _redacted(url: str, found: Classification) -> str:
    """The URL without its secrets, which its classification names."""
    secrets = found.secrets
    for secret in sorted(secrets, key=len, reverse=True) if len(secrets) > 1 else secrets:
        url = url.replace(secret, "REDACTED")
    return url


_USUAL_HOST = re.compile(r"https?://([a-z0-9.\-]+)(?=[/?#]|\Z)")


def host_of(url: str) -> str | None:
    """The host in lower case, with its port when that is given; None when there is none."""
    usual = _USUAL_HOST.match(url)
    if usual is not None:
        return usual[1]
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    return None if not host else f"{host}:{port}" if port else host


def _kind(entry: Column, pointer: str, url: str) -> str:
    for rule, kind in entry.kinds.items():
        if matches(rule, pointer):
            return kind if kind != "auto" else _guess(entry, pointer, url)
    return entry.kind if entry.kind != "auto" else _guess(entry, pointer, url)


def _guess(entry: Column, pointer: str, url: str) -> str:
    """The extension tells the family; within it the name of the place tells more (a poster, a clip)."""
    by_key = _kind_of_pointer(pointer)
    by_extension = kind_of_name(url.partition("?")[0].partition("#")[0])
    if by_extension is None:
        return by_key or _kind_of_name(entry.name) or "video"
    family = MEDIA_KINDS.get(by_extension)
    if by_key in ("thumbnail", "captioned", "clip") and MEDIA_KINDS.get(by_key) == family:
        return by_key
    return by_extension


def kind_of_name(name: str) -> str | None:
    """The kind of file that the extension of a name or a path tells; None for an unknown one."""
    found = file_types.by_extension(file_types.extension_of(name))
    if found is None:
        return None
    if found is file_types.GIF:
        return "gif"
    if found.kind == "playlist":
        return "video"
    return found.kind if found.kind in ("video", "image", "audio", "subtitle") else "file"


def urlsplit_path(url: str) -> str:
    """The path of a URL, percent-decoded; empty when it cannot be split."""
    try:
        return unquote(urlsplit(url).path)
    except ValueError:
        return ""


@lru_cache(maxsize=4096)
def _kind_of_pointer(pointer: str) -> str | None:
    for token in reversed(pointer.split("/")):
        if token and not token.isdigit() and (kind := _kind_of_name(token)) is not None:
            return kind
    return None


@lru_cache(maxsize=4096)
def _kind_of_name(name: str) -> str | None:
    return next((kind for kind, words in _KIND_WORDS if words.search(name)), None)


def _job(jobs: Sequence[Job], url: str, pointer: str, places: RowPlaces) -> tuple[str | None, str | None]:
    for job in jobs:
        if job.provider is not None:
            word: Any = job.provider
        else:
            word = places.get(job.provider_at or "", pointer)
        if not isinstance(word, str) or not word:
            continue
        provider = job.names.get(word, word)
        task_id = _task_id(job, url, pointer, places)
        if task_id:
            return provider, task_id
    return None, None


def _task_id(job: Job, url: str, pointer: str, places: RowPlaces) -> str | None:
    value: Any = None
    if job.id_at is not None:
        value = places.get(job.id_at, pointer)
    elif job.id_in_path is not None:
        match = re.search(job.id_in_path, urlsplit_path(url))
        value = match[1] if match else None
    elif job.id_in_jwt is not None:
        value = _claims(url).get(job.id_in_jwt)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value.strip() if isinstance(value, str) and 0 < len(value.strip()) <= 500 else None


def _claims(url: str) -> Mapping[str, Any]:
    for token in find_jwts(url):
        body = url[token.start : token.end].split(".")[1]
        try:
            claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        except ValueError:
            continue
        if isinstance(claims, dict):
            return claims
    return {}


def _why_excepted(rules: Sequence[Except], finding: Finding, pointer: str) -> str | None:
    for rule in rules:
        host = (host_of(finding.url) or "").partition(":")[0]
        if rule.host is not None and host != rule.host and not host.endswith(f".{rule.host}"):
            continue
        if rule.pointer is not None and not matches(rule.pointer, pointer):
            continue
        if rule.path is not None and not re.search(rule.path, urlsplit_path(finding.url)):
            continue
        return rule.why
    return None


def _context(table: Table, places: RowPlaces, pointer: str, known: dict[str, Any]) -> dict[str, Any]:
    """What of the row is kept; ``known`` remembers what is the same for every finding of the row."""
    context: dict[str, Any] = {}
    for place in table.keep:
        if place not in known or "*" in place:
            known[place] = _keepable(places.get(place, pointer))
        if known[place] is not None:
            context[place] = known[place]
    if table.created_at is not None and (created := moment_of(places.get(table.created_at))) is not None:
        context["created_at"] = created.isoformat()
    if table.owner_at is not None and (owner := places.get(table.owner_at, pointer)) is not None:
        context["owner"] = _keepable(str(owner)[:200])
    return context


def _keepable(value: Any) -> Any:
    """A context value without secrets and of bounded size."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return redact(text[: MOST_CONTEXT * 4])[:MOST_CONTEXT].encode("utf-8", "replace").decode()
