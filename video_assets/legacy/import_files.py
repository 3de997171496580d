"""Bring your own: files that somebody kept are matched to what was lost, stored, and the rows saved after all.

A match must be certain. The order of trust: SHA-256, the name in the lost link's path, the exact size, the
duration; a later one counts only when it points from one file to one lost file and back.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement
from sqlmodel import col, select

from video_assets.catalog import Catalog, MediaState
from video_assets.catalog.legacy import LegacyFile, LegacyFinding
from video_assets.catalog.models import utc_now
from video_assets.legacy.rescue.open import Tools, open_rescuer
from video_assets.legacy.rescue.refresh import path_name
from video_assets.media.probe import NotPlayable, probe
from video_assets.transfer.rescue.staging import file_blocks
from video_assets.transfer.rescue.target import Result

DURATION_STEP = 0.05
"""Seconds: two durations that round to the same step are one."""


@dataclass(frozen=True, slots=True)
class Match:
    """A file of the folder and the lost file that it is."""

    path: Path
    file_id: str
    by: str
    """``hash``, ``name``, ``size`` or ``duration``."""


@dataclass(slots=True)
class BroughtReport:
    """What a folder could give back."""

    looked_at: int = 0
    matched: list[Match] = field(default_factory=list)
    saved: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """File id → why it could not be stored."""
    unmatched: list[str] = field(default_factory=list)
    """Names in the folder that belong to nothing that was lost, or not for certain."""


@dataclass(frozen=True, slots=True)
class _Lost:
    """What is known of a lost file."""

    id: str
    names: frozenset[str]
    sha256: str | None
    size: int | None
    duration: float | None


def bring_your_own(
    services: Tools, source: str, folder: Path, *, dry_run: bool = False, run_id: str | None = None
) -> BroughtReport:
    """Match the files under ``folder`` to the lost files of ``source`` and store what matches.

    The evidence of the loss stays with the file, beside the name of what was brought; the findings are saved,
    so that the next batch run rewrites their rows. With ``dry_run`` nothing is stored. Raises OSError when the
    folder cannot be read, CatalogError.
    """
    paths = sorted(_files(folder))
    report = BroughtReport(looked_at=len(paths))
    report.matched = match_files(paths, _lost_files(services.catalog, source))
    taken = {match.path for match in report.matched}
    report.unmatched = [str(path.relative_to(folder)) for path in paths if path not in taken]
    if dry_run or not report.matched:
        return report
    brought = {match.file_id: match for match in report.matched}
    with open_rescuer(services) as rescuer:
        outcomes = rescuer.rescue(
            list(brought),
            open_local=lambda file: file_blocks(brought[file.id].path),
            brought={match.file_id: _evidence(match, folder) for match in report.matched},
            run_id=run_id,
        )
    for outcome in outcomes:
        if outcome.result is Result.STORED:
            report.saved += 1
        else:
            report.failed[outcome.id] = outcome.message or str(outcome.result)
    return report


def match_files(paths: Iterable[Path], lost: Iterable[_Lost]) -> list[Match]:
    """Which path is which lost file; each of both at most once."""
    free_paths = list(paths)
    free_lost = list(lost)
    matches: list[Match] = []
    clues: list[tuple[str, Callable[[Path], Iterable[Hashable]], Callable[[_Lost], Iterable[Hashable]]]] = [
        ("hash", lambda path: [_sha256(path)], lambda file: [file.sha256]),
        ("name", lambda path: [path.name.lower()], lambda file: file.names),
        ("size", lambda path: [path.stat().st_size], lambda file: [file.size]),
        ("duration", lambda path: [_duration(path)], lambda file: [_rounded(file.duration)]),
    ]
    for by, of_path, of_lost in clues:
        by_clue: dict[Hashable, list[_Lost]] = defaultdict(list)
        for file in free_lost:
            for clue in of_lost(file):
                if clue is not None:
                    by_clue[clue].append(file)
        if not by_clue:
            continue
        claims: dict[Hashable, list[Path]] = defaultdict(list)
        for path in free_paths:
            for clue in of_path(path):
                if clue in by_clue:
                    claims[clue].append(path)
        found = [
            Match(claims[clue][0], by_clue[clue][0].id, by)
            for clue in claims
            if (by == "hash" or len(claims[clue]) == 1) and len({file.id for file in by_clue[clue]}) == 1
        ]
        done_paths: set[Path] = set()
        done_lost: set[str] = set()
        for match in found:
            if match.path not in done_paths and match.file_id not in done_lost:
                matches.append(match)
                done_paths.add(match.path)
                done_lost.add(match.file_id)
        free_paths = [path for path in free_paths if path not in done_paths]
        free_lost = [file for file in free_lost if file.id not in done_lost]
    return matches


def _files(folder: Path) -> Iterator[Path]:
    for root, _folders, names in os.walk(folder, onerror=_raise):
        for name in names:
            path = Path(root) / name
            if not name.startswith(".") and path.is_file() and not path.is_symlink():
                yield path


def _raise(error: OSError) -> None:
    raise error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _duration(path: Path) -> int | None:
    try:
        return _rounded(probe(path).duration_seconds)
    except NotPlayable:
        return None


def _rounded(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds / DURATION_STEP)


def _lost_files(catalog: Catalog, source: str) -> list[_Lost]:
    """The lost files of a source, with what their rows still tell about them."""
    lost: list[_Lost] = []
    condition: ColumnElement[bool] = col(LegacyFile.state).in_((MediaState.LOST, MediaState.GIVEN_UP))
    with catalog.read() as session:
        for file in session.exec(select(LegacyFile).where(LegacyFile.source == source, condition)):
            context = session.exec(
                select(LegacyFinding.context).where(LegacyFinding.file_id == file.id).limit(1)
            ).first()
            lost.append(_known_of(file, context or {}))
    return lost


def _known_of(file: LegacyFile, context: Mapping[str, Any]) -> _Lost:
    names = {path_name(file.redacted or "").lower()}
    sha256, size, duration = file.sha256, file.file_size, file.facts.get("duration_seconds")
    for place, value in context.items():
        word = place.lower().replace("_", "")
        if isinstance(value, str) and word.endswith(("filename", "name")):
            names.add(value.rpartition("/")[2].lower())
        elif isinstance(value, str) and word.endswith("sha256"):
            sha256 = sha256 or value.lower()
        elif isinstance(value, int | float) and word.endswith(("filesize", "sizebytes")):
            size = size or int(value)
        elif isinstance(value, int | float) and word.endswith(("duration", "durationseconds")):
            duration = duration or float(value)
    return _Lost(file.id, frozenset(name for name in names if "." in name), sha256, size, duration)


def _evidence(match: Match, folder: Path) -> dict[str, str]:
    """What is kept about a file that was brought."""
    return {
        "name": str(match.path.relative_to(folder)),
        "matched_by": match.by,
        "when": utc_now().isoformat(timespec="seconds"),
    }
