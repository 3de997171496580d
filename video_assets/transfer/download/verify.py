"""Is what arrived the file that was promised? Its first bytes, its digests, its structure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from video_assets.media.container import ContainerReport, UnreadableFile, check_container
from video_assets.media.file_types import HTML, FileFormat
from video_assets.media.formats import HEAD_BYTES, recognise
from video_assets.storage.content_types import OCTET_STREAM
from video_assets.transfer.download.error_responses import ERROR_BODY_BYTES
from video_assets.transfer.download.expectation import Asked
from video_assets.transfer.download.spool_file import Hasher
from video_assets.transfer.failures import DownloadFailed, Fault

_PROBLEM_FAULTS: Final = {
    "empty": Fault.ZERO_BYTES,
    "not_media": Fault.WRONG_CONTAINER,
    "incomplete": Fault.INCOMPLETE,
    "missing_moov": Fault.MISSING_MOOV,
    "damaged": Fault.DAMAGED,
}


def verified_digests(offered: Mapping[str, str], hashers: Mapping[str, Hasher], status: int) -> tuple[str, ...]:
    """Names of the ``offered`` digests that were computed and agree. Raises DownloadFailed when one differs."""
    verified = []
    for name, expected in sorted(offered.items()):
        hasher = hashers.get(name)
        if hasher is None or not expected:
            continue
        if hasher.hexdigest() != expected:
            raise DownloadFailed(Fault.DIGEST_MISMATCH, name, status=status)
        verified.append(name)
    return tuple(verified)


def proven_container(path: Path, asked: Asked, status: int | None = None) -> ContainerReport:
    """The report on a whole file that may be what was asked for, with the type and extension to keep it as.

    Raises DownloadFailed for any other.
    """
    try:
        report = check_container(path)
        with path.open("rb") as file:
            body = file.read(ERROR_BODY_BYTES)
    except UnreadableFile as error:
        raise DownloadFailed(Fault.SPOOL, str(error)) from None
    except OSError as error:
        raise DownloadFailed(Fault.SPOOL, error.strerror) from None
    found = recognise(body[:HEAD_BYTES])
    evidence = {"found": report.format}
    fault = asked.fault(body[:HEAD_BYTES], body)
    if fault is not None:
        raise DownloadFailed(fault, report.detail, status=status, evidence=evidence)
    if report.problem == "not_media":  # asked for by name
        return _kept_as(asked.settled(found), report)
    if report.problem is not None:
        raise DownloadFailed(_PROBLEM_FAULTS[report.problem], report.detail, status=status, evidence=evidence)
    if not asked.takes(report.kind):
        detail = f"{asked.kind} was promised, {report.format} came"
        raise DownloadFailed(Fault.WRONG_CONTAINER, detail, status=status, evidence=evidence)
    kept = asked.settled(found)
    return report if kept is found else _kept_as(kept, report)


def _kept_as(found: FileFormat, report: ContainerReport) -> ContainerReport:
    return replace(
        report,
        kind=found.kind,
        format=found.name,
        mime=OCTET_STREAM if found is HTML else found.mime,  # kept for saving, not for opening
        extension=found.extension,
        problem=None,
        detail=None,
    )
