"""Is what arrived the file that was promised? Its first bytes, its digests, its structure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from video_assets.media.container import ContainerReport, UnreadableFile, check_container
from video_assets.media.formats import recognise
from video_assets.transfer.failures import DownloadFailed, Fault
from video_assets.transfer.orders import Expected
from video_assets.transfer.spool import Hasher

_DOCUMENT_FAULTS: Final = {"html": Fault.HTML_BODY, "xml": Fault.XML_BODY, "json": Fault.JSON_BODY}
_PROBLEM_FAULTS: Final = {
    "empty": Fault.ZERO_BYTES,
    "not_media": Fault.WRONG_CONTAINER,
    "incomplete": Fault.INCOMPLETE,
    "missing_moov": Fault.MISSING_MOOV,
    "damaged": Fault.DAMAGED,
}


def fault_of_head(head: bytes, expected: Expected | None) -> Fault | None:
    """What is wrong with a body that begins with ``head`` (document, playlist); None when it may be a file."""
    found = recognise(head)
    if found.kind == "playlist":
        return Fault.PLAYLIST
    if found.kind != "document" or (expected == "subtitle" and found.name == "text"):
        return None
    return _DOCUMENT_FAULTS.get(found.name, Fault.TEXT_BODY)


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


def proven_container(path: Path, expected: Expected | None, status: int) -> ContainerReport:
    """The report on a file that is whole and of the expected family. Raises DownloadFailed for any other."""
    try:
        report = check_container(path)
    except UnreadableFile as error:
        raise DownloadFailed(Fault.SPOOL, str(error)) from None
    if expected == "subtitle" and report.format == "text":
        return report
    evidence = {"found": report.format}
    if report.problem is not None:
        fault = _PROBLEM_FAULTS[report.problem]
        raise DownloadFailed(fault, report.detail, status=status, evidence=evidence)
    if expected not in (None, report.kind):
        detail = f"{expected} was promised, {report.format} came"
        raise DownloadFailed(Fault.WRONG_CONTAINER, detail, status=status, evidence=evidence)
    return report
