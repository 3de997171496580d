"""The scan over every row of a source: what temporary is still there, of which class, and what became durable.

It reads every column that can hold text or bytes, of every table that is there, configured or not. Each value and
each durable file is handed on as a leaf, so that a proof can be built over them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlmodel import col, select

from video_assets.catalog import Catalog
from video_assets.catalog.legacy import FindingState, LegacyFile, LegacyFinding
from video_assets.legacy.config.models import Source
from video_assets.legacy.errors import SourceError, SourceUnavailable
from video_assets.legacy.proof.merkle import Words
from video_assets.legacy.proof.scan_plan import Only, TableReading, cannot_be_read, readings
from video_assets.legacy.proof.scan_report import SETTLED, ColumnCount, Remaining, SourceScan, TableScan
from video_assets.legacy.search.byte_values import look_into
from video_assets.legacy.search.folders import (
    DOCUMENT_COLUMN,
    DOCUMENT_TABLE,
    MEDIA_TABLE,
    MOST_DOCUMENT_BYTES,
    folder_pages,
    search_files,
)
from video_assets.legacy.search.rows import Search, SeenFinding, digest
from video_assets.legacy.source.connect import connect
from video_assets.legacy.source.row_key import encode_key
from video_assets.urls import find, may_contain, redact
from video_assets.urls.documents.encodings import decode_bytes
from video_assets.urls.syntax.tokens import find_jwts

LISTED = 10_000
"""Places listed per class; the counts always cover all."""

_AT_ONCE = 400
_FILES_AT_ONCE = 20
"""Documents held in memory together."""

_CLASS_OF = {
    FindingState.LOST.value: "lost",
    FindingState.EXCEPTED.value: "excepted",
    FindingState.GIVEN_UP.value: "given_up",
}


LeafTaker = Callable[[Words], object]


def _nobody(_: Words) -> None:
    """Takes a leaf and does nothing with it."""


def scan_source(
    source: Source,
    catalog: Catalog | None = None,
    *,
    on_value: LeafTaker = _nobody,
    on_file: LeafTaker = _nobody,
    on_progress: Callable[[str, int], object] | None = None,
    only: Only | None = None,
) -> SourceScan:
    """Read every row of every table of a source; with ``only``, of these columns of its configured tables.

    ``on_value`` gets ``(source, table, row key, column, sha256 of the value)`` of every value, ``on_file`` gets
    ``(source, table, row key, column, pointer, bucket, key, sha256, size)`` of every place whose durable address
    stands there now. Without a ``catalog`` nothing is known of a URL, so every one is of the class ``unknown``.
    Of a folder the documents are read; a file that is a video itself is no temporary URL. A table that cannot be
    read is reported in its place. Raises SourceUnavailable when the source fails.
    """
    if source.kind == "folder":
        return _scan_folder(source, catalog, on_value, on_file)
    with connect(source) as database:
        scan = SourceScan(source.name, database.address)
        for reading in readings(database, source, scan, only):
            reader = _TableReader(source.name, reading, catalog, scan, on_value, on_file)
            try:
                for page in reading.pages:
                    reader.read(page.rows)
                    if on_progress is not None:
                        on_progress(reading.name, reading.counts.rows)
            except SourceUnavailable as exc:
                if reading.is_configured:
                    raise
                with database.connect() as connection:
                    connection.execute(text("SELECT 1"))  # it is about this table, if the database answers
                cannot_be_read(scan, reading, exc)
            except SourceError as exc:
                cannot_be_read(scan, reading, exc)
    return scan


def _scan_folder(source: Source, catalog: Catalog | None, on_value: LeafTaker, on_file: LeafTaker) -> SourceScan:
    scan = SourceScan(source.name, str(source.path()))
    column = ColumnCount(type="file")
    scan.tables[DOCUMENT_TABLE] = counts = TableScan(("path",), columns={DOCUMENT_COLUMN: column})
    for files, _ in folder_pages(source, after=None, size=_FILES_AT_ONCE):
        texts: dict[tuple[str, str], str] = {}
        found = search_files(source, files).findings
        media = {finding.row_key for finding in found if finding.table == MEDIA_TABLE}
        for file in files:
            row_key = encode_key([file.relative_to(source.path()).as_posix()])
            if row_key in media:
                continue
            counts.rows += 1
            column.values += 1
            if file.stat().st_size > MOST_DOCUMENT_BYTES:
                counts.problem = f"{file.name} is larger than {MOST_DOCUMENT_BYTES // 1024**2} MB"
                continue
            content = file.read_bytes()
            texts[row_key, DOCUMENT_COLUMN] = content.decode("utf-8", "replace")
            content_digest = hashlib.sha256(content).hexdigest()
            on_value((source.name, DOCUMENT_TABLE, row_key, DOCUMENT_COLUMN, content_digest))
        _count(scan, catalog, [finding for finding in found if finding.table == DOCUMENT_TABLE])
        if catalog is not None:
            _tell_files(scan, catalog, DOCUMENT_TABLE, texts, on_file)
    return scan


@dataclass(slots=True)
class _TableReader:
    source: str
    reading: TableReading
    catalog: Catalog | None
    scan: SourceScan
    on_value: LeafTaker
    on_file: LeafTaker
    search: Search = field(init=False)
    address_of: Mapping[str, str] = field(init=False)
    """Per BLOB column: the column that gets its file's durable address."""
    has_rewritten: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        shape, counts = self.reading.shape, self.reading.counts
        # A column of files is searched like any other here.
        entries = tuple(entry.model_copy(update={"type": "text"}) for entry in shape.config.columns)
        table = shape.config.model_copy(update={"columns": entries})
        self.search = Search(self.source, table, tuple(shape.read_columns()), len(shape.key), all_bytes=True)
        self.address_of = {each.name: each.url_column for each in shape.config.columns if each.url_column}
        counts.columns = {entry.name: ColumnCount(type=counts.types.get(entry.name, "")) for entry in entries}
        if self.catalog is not None:
            with self.catalog.read() as session:
                any_ = _rewritten(self.source, shape.name).limit(1)
                self.has_rewritten = session.exec(any_).first() is not None

    def read(self, rows: Sequence[Sequence[Any]]) -> None:
        """Count one page, and hand on its leaves."""
        values: dict[tuple[str, str], str] = {}
        inside: dict[tuple[str, str], str] = {}
        searched: list[Sequence[Any]] = []
        name, counts = self.reading.name, self.reading.counts
        for row in rows:
            counts.rows += 1
            raw_key = encode_key(row[: self.search.keys])
            row_key = _shown_key(raw_key) if self.reading.names_rows else "[]"
            for number, entry in enumerate(self.search.table.columns, self.search.keys):
                value = row[number]
                if value is None:
                    continue
                text = shown = _as_text(value)
                if isinstance(value, bytes | bytearray | memoryview):
                    content, is_whole = self._bytes(entry.name, bytes(value), inside, raw_key)
                    if content != value:
                        row = (*row[:number], content, *row[number + 1 :])
                    if not is_whole:
                        continue
                    text = "" if content is None else decode_bytes(content).text
                if shown is None or text is None:
                    continue
                counts.columns[entry.name].values += 1
                self.on_value((self.source, name, row_key, entry.name, digest(shown)))
                if self.has_rewritten:
                    values[row_key, entry.name] = text
                if may_contain(text) or "." in text:
                    self._bare_tokens(row_key, entry.name, text)
            searched.append(row)
        found = self.search.rows(searched).findings
        _count(self.scan, self.catalog, found, name, inside, is_configured=self.reading.is_configured)
        if self.has_rewritten and self.catalog is not None:
            _tell_files(self.scan, self.catalog, name, values, self.on_file, self.address_of)

    def _bytes(
        self, name: str, value: bytes, inside: dict[tuple[str, str], str], row_key: str
    ) -> tuple[bytes | None, bool]:
        """What of some bytes is searched, and whether they were read whole."""
        column = self.reading.counts.columns[name]
        looked = look_into(value)
        column.bytes[looked.kind] += 1
        most = self.reading.shape.heads.get(name)
        is_whole = most is None or len(value) < most
        if not is_whole:
            column.unseen[f"{looked.kind}, too large to be searched"] += 1
        elif not looked.is_seen_through:
            column.unseen[looked.kind] += 1
        if looked.kind != "text":
            inside[row_key, name] = f"it stands in {looked.kind}, where it cannot be replaced in place"
        return looked.content, is_whole

    def _bare_tokens(self, row_key: str, column: str, text: str) -> None:
        """Tokens that stand outside every URL: no link, but a credential all the same."""
        tokens = find_jwts(text)
        if not tokens:
            return
        found = find(text, hosts=self.search.table.host_rules)
        for token in tokens:
            if not any(each.start <= token.start < each.end for each in found):
                shown = redact(text[token.start : token.end])
                place = Remaining(self.reading.name, row_key, column, "", "unknown", "jwt", True, shown)
                _keep(self.scan, place)


def _shown_key(row_key: str) -> str:
    """A row key as leaves and lists show it: a key may be a temporary URL itself."""
    return redact(row_key) if may_contain(row_key) else row_key


def _rewritten(source: str, table: str) -> Any:
    return (
        select(LegacyFinding, LegacyFile)
        .join(LegacyFile, col(LegacyFile.id) == LegacyFinding.file_id)
        .where(
            LegacyFinding.source == source,
            LegacyFinding.table_name == table,
            LegacyFinding.state == FindingState.REWRITTEN,
        )
    )


def _tell_files(
    scan: SourceScan,
    catalog: Catalog,
    table: str,
    values: Mapping[tuple[str, str], str],
    on_file: LeafTaker,
    address_of: Mapping[str, str] | None = None,
) -> None:
    """Hand on every place of these values (by row key and column) whose durable address stands there now.

    ``address_of`` names the column that got the address of a BLOB column's file.
    """
    address_of = address_of or {}
    row_keys = list(dict.fromkeys(row_key for row_key, _ in values))
    for some in _portions(row_keys):
        with catalog.read() as session:
            found = session.exec(_rewritten(scan.source, table).where(col(LegacyFinding.row_key).in_(some))).all()
        for finding, file in found:
            column = address_of.get(finding.column_name, finding.column_name)
            text = values.get((finding.row_key, column))
            if text is None or not file.file_url or not _stands_in(file.file_url, text):
                continue  # written over since: then its value is what counts
            scan.tables[table].columns[column].durable += 1
            place = (scan.source, table, finding.row_key, column, finding.pointer)
            on_file((*place, file.bucket or "", file.key or "", file.sha256 or "", str(file.file_size)))


def _count(
    scan: SourceScan,
    catalog: Catalog | None,
    findings: Sequence[SeenFinding],
    table: str | None = None,
    inside: Mapping[tuple[str, str], str] | None = None,
    *,
    is_configured: bool = True,
) -> None:
    """Count what was found in ``table``; ``inside`` tells by row key and column what it cannot be replaced in.

    In a table that nobody configured, a URL is what an inventory found out about the same URL elsewhere: behind a
    view, or in the table whose history this is.
    """
    known = _known(catalog, [finding.id for finding in findings])
    same = {} if is_configured else _settled_elsewhere(catalog, scan.source, findings)
    for finding in findings:
        classed, message, evidence = known.get(
            (finding.id, finding.url_digest), same.get(finding.url_digest, _UNKNOWN)
        )
        if finding.excepted is not None:
            classed, message = "excepted", finding.excepted
        elif classed == "unknown" and inside:
            message = inside.get((finding.row_key, finding.column))
        _keep(
            scan,
            Remaining(
                table or finding.table,
                _shown_key(finding.row_key),
                finding.column,
                finding.pointer,
                classed,
                finding.scheme,
                finding.carries_jwt,
                finding.redacted,
                message,
                evidence,
            ),
        )


def _keep(scan: SourceScan, place: Remaining) -> None:
    column = scan.tables[place.table].columns[place.column]
    column.temporary += 1
    column.jwts += place.carries_jwt
    column.classes[place.classed] += 1
    listed = scan.remaining[place.classed]
    if len(listed) < LISTED:
        listed.append(place)


_Known = tuple[str, str | None, dict[str, Any]]
"""Class, explanation and evidence."""
_UNKNOWN: _Known = ("unknown", None, {})


def _settled_elsewhere(
    catalog: Catalog | None, source: str, findings: Sequence[SeenFinding]
) -> dict[str, _Known]:
    """By URL digest: what is lost or left alone where an inventory found the very same URL."""
    known: dict[str, _Known] = {}
    if catalog is None:
        return known
    digests = {finding.url_digest for finding in findings}
    for some in _portions(list({finding.file_id for finding in findings})):
        statement = (
            select(LegacyFinding, LegacyFile)
            .join(LegacyFile, col(LegacyFile.id) == LegacyFinding.file_id)
            .where(
                col(LegacyFinding.file_id).in_(some),
                LegacyFinding.source == source,
                col(LegacyFinding.state).in_(list(_CLASS_OF)),
            )
        )
        with catalog.read() as session:
            for finding, file in session.exec(statement):
                if finding.url_digest in digests:
                    known[finding.url_digest] = _told(finding, file)
    return known


def _told(finding: LegacyFinding, file: LegacyFile) -> _Known:
    classed = _CLASS_OF.get(str(finding.state), "pending")
    message = finding.message or file.message if classed in SETTLED else None
    return classed, message, dict(file.evidence) if classed in ("lost", "given_up") else {}


def _known(catalog: Catalog | None, ids: Sequence[str]) -> dict[tuple[str, str], _Known]:
    """What is known by finding and URL digest: another URL at a known place is unknown."""
    known: dict[tuple[str, str], _Known] = {}
    if catalog is None:
        return known
    for some in _portions(ids):
        statement = (
            select(LegacyFinding, LegacyFile)
            .join(LegacyFile, col(LegacyFile.id) == LegacyFinding.file_id)
            .where(col(LegacyFinding.id).in_(some))
        )
        with catalog.read() as session:
            for finding, file in session.exec(statement):
                known[finding.id, finding.url_digest] = _told(finding, file)
    return known


def _stands_in(address: str, text: str) -> bool:
    """Whether an address stands in a text, as it is or as JSON writers spell it."""
    spelled = json.dumps(address)[1:-1]
    return any(form in text for form in (address, spelled, spelled.replace("/", "\\/")))


def _as_text(value: Any) -> str | None:
    """A value that can hold a URL as the text that its digest is of; None for NULL, numbers and times."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "surrogateescape")
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return None


def _portions(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]
