"""One batch from its findings to its rows: rescue the files, deadline first, then rewrite what is safe.

This is the one entry for the command line and for Dagster. Repeating it is harmless: what is done is skipped, and
what a killed run left half-done is finished first.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from sqlmodel import col, func, select

from video_assets.catalog import Catalog, MediaState
from video_assets.catalog.legacy import FindingState, LegacyFile, LegacyFinding
from video_assets.catalog.models import utc_now
from video_assets.legacy.config.models import Source
from video_assets.legacy.inventory.batches import findings_of, note_batch
from video_assets.legacy.rescue.files import LegacyRescuer, OpenLocal, storage_key
from video_assets.legacy.rescue.open import Tools, closed_tables, open_primary, open_rescuer, open_rows
from video_assets.legacy.rescue.reachability import Reach
from video_assets.legacy.rescue.refresh import askable, path_name
from video_assets.legacy.rewrite.diff import row_diff
from video_assets.legacy.rewrite.edit import Durable
from video_assets.legacy.rewrite.folder_documents import FolderDocuments, inside
from video_assets.legacy.rewrite.ledger import Images, expire_images
from video_assets.legacy.rewrite.plan import PlannedRow, Planner, durable_copy, load_work, rows_of
from video_assets.legacy.rewrite.reconcile import mark
from video_assets.legacy.rewrite.rewriter import RewriteObserver, Rewriter, RewriteReport
from video_assets.legacy.rewrite.sql_script import EmittedFiles, SqlFiles
from video_assets.legacy.search.rows import BLOB_SCHEME, FOLDER_SCHEME
from video_assets.legacy.source.blobs import read_blob
from video_assets.legacy.source.row_key import decode_key
from video_assets.storage.durable import DurableStorage
from video_assets.transfer.rescue.staging import file_blocks
from video_assets.transfer.rescue.target import Observer, Outcome, Result

MOST_PROBLEMS = 20
"""Sentences about what did not work, in one report."""
FILES_AT_ONCE = 200
"""Files between two reports of progress, …"""
FIRST_FILES = 20
"""… and so many until one was reached, so that a run that can reach nothing ends soon."""
PATIENCE = timedelta(seconds=20)
"""A run waits this long for a next attempt that is near, or for a file that another run has in hand."""


class Mode(StrEnum):
    """What is done to the source."""

    RESCUE = "rescue"
    """Nothing: files are made durable, rows stay as they are."""
    DRY_RUN = "dry_run"
    """Nothing at all, not even a download: what would be changed is shown."""
    APPLY = "apply"
    EMIT_SQL = "emit_sql"
    """Nothing: files are made durable, the change is written as SQL, with its inverse."""


@dataclass(slots=True)
class BatchReport:
    """What happened to one batch in one run."""

    batch: str
    mode: Mode
    findings: Counter[str] = field(default_factory=Counter)
    """Findings of the batch by state, as they stand now."""
    files: Counter[str] = field(default_factory=Counter)
    """Files by result: stored, waiting, refused, lost, given_up, skipped."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Files that are not durable, by reason."""
    by_result: dict[str, Counter[str]] = field(default_factory=dict)
    """The same, by result and reason."""
    next_attempt_at: datetime | None = None
    """When the first of the files that wait is due again."""
    unavailable: str | None = None
    """The sentence that says so, when the run has met nothing but faults outside the sources."""
    untried: int = 0
    """Files that were left alone because their hosts cannot be reached from here now."""
    bytes: int = 0
    rewrite: RewriteReport | None = None
    emitted: EmittedFiles | None = None
    diffs: int = 0
    """Rows that were shown."""
    problems: list[str] = field(default_factory=list)
    """The first sentences about what did not work."""
    is_done: bool = False
    """Nothing is left to do for the batch."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch is."""

    step: str
    """``rescue`` or ``rewrite``."""
    done: int
    total: int


def process_batch(
    services: Tools,
    source: Source,
    batch_key: str,
    *,
    mode: Mode,
    run_id: str | None = None,
    observer: Observer | None = None,
    rewrite_observer: RewriteObserver | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_diff: Callable[[str], None] | None = None,
    sql_path: Path | None = None,
    undoable: bool = True,
    patience: timedelta = PATIENCE,
    reach: Reach | None = None,
) -> BatchReport:
    """Work one batch off.

    Args:
        services: settings, catalog, storage, downloader and providers of this process.
        source: the configuration of the batch's source.
        batch_key: as ``plan_batches`` gave it.
        mode: what is done to the source.
        run_id: of the Dagster run or the command, for journal and ledger.
        observer: hears the steps of each file; ``rewrite_observer`` those of the rows.
        on_progress: hears how far it is.
        on_diff: hears the unified diff of each row, in a dry run.
        sql_path: where the SQL goes, in mode ``emit_sql``; it must not exist.
        undoable: keep before-images (needs VIDEO_ASSETS_LEDGER_KEY); False gives up undoing.
        patience: how long to wait for next attempts that are near.
        reach: what the run has met so far, when it works several batches.

    Raises SourceError (among them SourceReadOnly before anything is written, LedgerKeyMissing, PenTaken),
    CatalogError, FileExistsError for ``sql_path``. What one file or row does wrong is in the report.
    """
    started = time.monotonic()
    report = BatchReport(batch_key, mode)
    run = run_id or f"run-{utc_now():%Y%m%dT%H%M%S}-{batch_key}"
    closed: dict[str, str] = {}
    images = None
    if mode is Mode.APPLY and undoable:
        images = Images(services.settings.ledger_key, source.before_images)
    with ExitStack() as cleanup:
        if mode is Mode.APPLY:
            expire_images(services.catalog)
            rows = cleanup.enter_context(open_rows(source))
            closed = closed_tables(rows, source, _tables_of(services.catalog, batch_key))
        if mode is not Mode.DRY_RUN:
            rescuer = cleanup.enter_context(open_rescuer(services, observer))
            _rescue(rescuer, source, batch_key, reach or Reach(), report, run, patience, on_progress)
        if mode is Mode.APPLY:
            rewriter = Rewriter(
                services.catalog,
                rows,
                images=images,
                run=run,
                observer=rewrite_observer,
                lease=timedelta(seconds=services.settings.lease_seconds),
            )
            report.rewrite = rewriter.rewrite(batch=batch_key, closed=closed)
            report.problems += report.rewrite.examples
            _settle_moved(services.catalog, batch_key)
        elif mode is Mode.DRY_RUN:
            planner = _planner(source, cleanup)
            if isinstance(planner, Planner):
                closed = _closed(services.catalog, planner, batch_key)
                report.problems += closed.values()
            for planned in _plans(
                services, planner, source, batch_key, report.problems, foresee=True, closed=closed
            ):
                report.diffs += 1
                if on_diff is not None:
                    on_diff(row_diff(planned))
        elif mode is Mode.EMIT_SQL and source.kind == "database":
            report.emitted = _emit(services, source, batch_key, sql_path, report.problems)
    _conclude(services, source.name, report)
    report.seconds = time.monotonic() - started
    return report


def _tables_of(catalog: Catalog, batch: str) -> Sequence[str]:
    with catalog.read() as session:
        return session.exec(select(LegacyFinding.table_name).where(LegacyFinding.batch == batch).distinct()).all()


# -- files ----------------------------------------------------------------------------------------------------


def _rescue(
    rescuer: LegacyRescuer,
    source: Source,
    batch: str,
    reach: Reach,
    report: BatchReport,
    run: str,
    patience: timedelta,
    on_progress: Callable[[Progress], None] | None,
) -> None:
    with rescuer.catalog.read() as session:
        ids = list(dict.fromkeys(finding.file_id for finding in findings_of(session, batch)))
        hosts: dict[str, str | None] = dict.fromkeys(ids)
        for start in range(0, len(ids), 400):
            some = col(LegacyFile.id).in_(ids[start : start + 400])
            hosts.update(dict(session.exec(select(LegacyFile.id, LegacyFile.host).where(some)).all()))
    with _local_files(rescuer.catalog, source) as open_local:
        _rescue_files(rescuer, hosts, reach, open_local, report, run, patience, on_progress)


def _rescue_files(
    rescuer: LegacyRescuer,
    hosts: Mapping[str, str | None],
    reach: Reach,
    open_local: OpenLocal,
    report: BatchReport,
    run: str,
    patience: timedelta,
    on_progress: Callable[[Progress], None] | None,
) -> None:
    """Rescue the files that are the keys of ``hosts``, in their order, but for hosts that cannot be reached."""
    outcomes: dict[str, Outcome] = {}
    ids = list(hosts)
    left, at_once = ids, FILES_AT_ONCE if reach.others else FIRST_FILES
    while left := [file_id for file_id in left if not reach.is_down(hosts[file_id])]:
        for outcome in rescuer.rescue(left[:at_once], open_local=open_local, run_id=run, patience=patience):
            outcomes[outcome.id] = outcome
            reach.note(hosts[outcome.id], outcome)
        left, at_once = left[at_once:], FILES_AT_ONCE if reach.others else FIRST_FILES
        if on_progress is not None:
            on_progress(Progress("rescue", len(outcomes), len(ids)))
    report.untried = len(ids) - len(outcomes)
    reach.untried += report.untried
    report.unavailable = reach.sentence
    # The same file may be in the hands of another run: its findings here are settled by that one.
    give_up = time.monotonic() + patience.total_seconds()
    while (others := _pending(rescuer.catalog, outcomes)) and time.monotonic() < give_up:
        time.sleep(0.2)
        for outcome in rescuer.rescue(others, open_local=open_local, run_id=run):
            outcomes[outcome.id] = outcome
    for outcome in outcomes.values():
        report.files[str(outcome.result)] += 1
        report.bytes += outcome.size
        if outcome.reason is not None:
            report.reasons[str(outcome.reason)] += 1
            report.by_result.setdefault(str(outcome.result), Counter())[str(outcome.reason)] += 1
        if outcome.next_attempt_at is not None:
            report.next_attempt_at = min(
                outcome.next_attempt_at, report.next_attempt_at or outcome.next_attempt_at
            )
        if outcome.message and outcome.result is not Result.SKIPPED and len(report.problems) < MOST_PROBLEMS:
            report.problems.append(f"{outcome.id}: {outcome.message}")


def _pending(catalog: Catalog, outcomes: dict[str, Outcome]) -> list[str]:
    """Files that were skipped because somebody else has them, and are still not settled."""
    skipped = [
        outcome.id for outcome in outcomes.values() if outcome.result is Result.SKIPPED and outcome.message
    ]
    pending: list[str] = []
    with catalog.read() as session:
        for start in range(0, len(skipped), 400):
            statement = select(LegacyFile.id).where(
                col(LegacyFile.id).in_(skipped[start : start + 400]), LegacyFile.state == MediaState.PENDING
            )
            pending += session.exec(statement).all()
    return pending


@contextmanager
def _local_files(catalog: Catalog, source: Source) -> Iterator[OpenLocal]:
    """How the bytes of BLOBs and of a folder's files are read."""
    with ExitStack() as cleanup:
        reader = cleanup.enter_context(open_primary(source)) if source.kind == "database" else None
        planner = None if reader is None else Planner(source, reader)

        def open_local(file: LegacyFile) -> Iterable[bytes] | None:
            if file.scheme not in (BLOB_SCHEME, FOLDER_SCHEME):
                return None
            with catalog.read() as session:
                finding = session.exec(
                    select(LegacyFinding).where(LegacyFinding.file_id == file.id).order_by(col(LegacyFinding.id))
                ).first()
            if finding is None:
                return None
            key = decode_key(finding.row_key)
            if reader is None or planner is None:
                return file_blocks(inside(source.path(), str(key[0])))
            return read_blob(reader, planner.access(finding.table_name), key, finding.column_name)

        yield open_local


# -- rows -----------------------------------------------------------------------------------------------------


def _planner(source: Source, cleanup: ExitStack) -> Planner | FolderDocuments:
    """Who says what rows become, without writing them."""
    if source.kind == "folder":
        return FolderDocuments(source)
    return Planner(source, cleanup.enter_context(open_primary(source)))


def _emit(services: Tools, source: Source, batch: str, path: Path | None, problems: list[str]) -> EmittedFiles:
    with open_primary(source) as reader:
        planner = Planner(source, reader)
        closed = _closed(services.catalog, planner, batch)
        problems += closed.values()
        with SqlFiles(reader, path or Path(f"{batch.replace(':', '-')}.sql")) as files:
            for planned in _plans(services, planner, source, batch, problems, foresee=False, closed=closed):
                files.add(planner.access(planned.work.table), planned)
        return files.finished()


def _closed(catalog: Catalog, planner: Planner, batch: str) -> dict[str, str]:
    """Tables of a batch whose rows nobody can rewrite, each with the sentence that says so."""
    found = {table: planner.why_closed(table) for table in _tables_of(catalog, batch)}
    return {table: why for table, why in found.items() if why is not None}


def _settle_moved(catalog: Catalog, batch: str) -> None:
    """Files of a folder are done when they are stored: no row names them, and they stay in place."""
    with catalog.write() as session:
        statement = select(LegacyFinding.id).where(
            LegacyFinding.batch == batch,
            LegacyFinding.state == FindingState.SAVED,
            LegacyFinding.scheme == FOLDER_SCHEME,
        )
        mark(session, session.exec(statement).all(), FindingState.REWRITTEN)


def _plans(
    services: Tools,
    planner: Planner | FolderDocuments,
    source: Source,
    batch: str,
    problems: list[str],
    *,
    foresee: bool,
    closed: Collection[str] = (),
) -> Iterator[PlannedRow]:
    """The rows of a batch that would change; why others cannot is added to ``problems``, for the first of them.

    ``foresee``: as if every pending file were stored already. Rows of ``closed`` tables are not even read.
    """
    states = (FindingState.SAVED, FindingState.PENDING) if foresee else (FindingState.SAVED,)

    def durable(file: LegacyFile) -> Durable | None:
        return durable_copy(file) or (_foreseen(file, services.storage) if foresee else None)

    for row in rows_of(services.catalog, source.name, batch=batch, states=states):
        if row[0] in closed:
            continue
        with services.catalog.read() as session:
            works = load_work(session, source.name, [row], states=states, durable=durable)
        for work in works:
            planned = planner.plan(work)
            if planned.problem is not None:
                if len(problems) < MOST_PROBLEMS:
                    problems.append(f"{work.table} {work.row_key}: {planned.problem}")
            elif planned.edit.after:
                yield planned


EXTENSIONS = {"thumbnail": "jpg", "image": "jpg", "gif": "gif", "audio": "mp3", "subtitle": "srt"}


def _foreseen(file: LegacyFile, storage: DurableStorage) -> Durable | None:
    """What a file that is not stored yet would become, as far as its link tells."""
    if file.state in (MediaState.LOST, MediaState.GIVEN_UP):
        return None
    name, dot, extension = path_name(file.redacted or "").rpartition(".")
    if not (name and dot and extension.isalnum() and len(extension) <= 5):
        extension = EXTENSIONS.get(file.kind, "mp4")
    key = storage_key(file, extension.lower())
    return Durable(file.id, storage.public_url(key), key, storage.bucket, key.rpartition("/")[2])


def _conclude(services: Tools, source: str, report: BatchReport) -> None:
    """Count where the findings stand, and write down how the batch does; it is closed when nothing is left."""
    refreshing = askable(services.provider)
    with services.catalog.write() as session:
        statement = (
            select(LegacyFinding.state, func.count())
            .where(LegacyFinding.batch == report.batch)
            .group_by(col(LegacyFinding.state))
        )
        report.findings.update({str(state): count for state, count in session.exec(statement)})
        report.is_done = note_batch(session, source, report.batch, refreshing=refreshing) is None
