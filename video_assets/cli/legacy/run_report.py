"""What one ``legacy run`` did to one source: as figures, as JSON, as an exit code, and for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from video_assets.catalog.models import utc_now
from video_assets.cli.failures import ExitCode
from video_assets.cli.output import cell, console, duration_text, note, say, size_text, table
from video_assets.legacy.process_batch import BatchReport, Mode
from video_assets.legacy.rescue.lost import AgainReport
from video_assets.reasons import RETRY_POLICIES, Reason, Side


@dataclass(slots=True)
class RunReport:
    """What one ``legacy run`` did to one source."""

    source: str
    mode: Mode
    run: str
    batches: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    """Findings of the batches that were worked, by state, as they stand now."""
    files: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    by_result: dict[str, Counter[str]] = field(default_factory=dict)
    next_attempt_at: datetime | None = None
    unavailable: str | None = None
    """What is said when the run met nothing but faults outside the sources."""
    untried: int = 0
    again: AgainReport | None = None
    """What ``--again-lost`` began with."""
    source_findings: Counter[str] = field(default_factory=Counter)
    """Findings of the whole source that are not settled well, by state, after the run."""
    bytes: int = 0
    seconds: float = 0.0
    rows: int = 0
    places: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    diffs: int = 0
    statements: int = 0
    written: list[str] = field(default_factory=list)
    """SQL files."""
    problems: list[str] = field(default_factory=list)

    def add(self, report: BatchReport) -> None:
        """Count one batch."""
        self.batches += 1
        self.findings.update(report.findings)
        self.files.update(report.files)
        self.reasons.update(report.reasons)
        for result, reasons in report.by_result.items():
            self.by_result.setdefault(result, Counter()).update(reasons)
        if report.next_attempt_at is not None:
            self.next_attempt_at = min(report.next_attempt_at, self.next_attempt_at or report.next_attempt_at)
        self.untried += report.untried
        self.bytes += report.bytes
        self.seconds += report.seconds
        self.diffs += report.diffs
        if report.rewrite is not None:
            self.rows += report.rewrite.rows
            self.places += report.rewrite.places
            self.troubles.update({str(kind): count for kind, count in report.rewrite.troubles.items()})
        if report.emitted is not None:
            self.statements += report.emitted.statements
            self.written += [str(report.emitted.change), str(report.emitted.inverse)]
        self.problems += report.problems[: max(20 - len(self.problems), 0)]

    @property
    def waits(self) -> int:
        """Findings that this run should have settled and did not."""
        if self.mode is Mode.DRY_RUN:
            return 0
        return self.findings["pending"] + (self.findings["saved"] if self.mode is Mode.APPLY else 0)

    @property
    def lost(self) -> int:
        """Places of the source whose files are lost, in this run or before, and not given up."""
        return self.source_findings["lost"]

    @property
    def exit_code(self) -> ExitCode:
        """What a script is told: what is certain first, then what a person has to do, then what passes."""
        if self.mode is Mode.DRY_RUN:
            return ExitCode.OK
        if self.troubles:
            return ExitCode.NEGATIVE
        if self.unavailable is not None:
            return ExitCode.UNAVAILABLE
        if self.lost:
            return ExitCode.NEGATIVE
        if self.files["refused"]:
            return ExitCode.REFUSED
        return ExitCode.WAITING if self.waits else ExitCode.OK

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "source": self.source,
            "mode": str(self.mode),
            "run": self.run,
            "batches": self.batches,
            "findings": dict(self.findings),
            "files": dict(self.files),
            "reasons": dict(self.reasons),
            "reasons_by_result": {result: dict(reasons) for result, reasons in self.by_result.items()},
            "next_attempt_at": self.next_attempt_at,
            "unavailable": self.unavailable,
            "untried": self.untried,
            "tried_again": None if self.again is None else self.again.files,
            "source_findings": dict(self.source_findings),
            "outcome": self.exit_code.name.lower(),
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "rows_rewritten": self.rows,
            "places_rewritten": self.places,
            "rows_left": dict(self.troubles),
            "rows_shown": self.diffs,
            "statements": self.statements,
            "files_written": self.written,
            "problems": self.problems,
        }


def show_run(report: RunReport) -> None:
    """A run for people."""
    if report.mode is Mode.DRY_RUN:
        for problem in report.problems:
            note(f"  {problem}")
        note(f"{report.source}: {report.diffs:,} rows would change; nothing was changed.")
        return
    if report.again is not None:
        say(f"{report.source}: {report.again.files:,} lost files are tried again.")
        if report.again.without_means:
            say(
                f"  {report.again.without_means:,} others have neither a link nor a job left: `legacy inventory "
                "--full` looks for links in their rows, --bring-your-own takes files of yours."
            )
    if not report.batches:
        say(f"{report.source}: {'nothing can be done now' if report.lost else 'nothing is left to do'}.")
        _show_lost(report)
        return
    made = table(
        *("batches", ">stored", ">there already", ">lost", ">waiting", ">refused", ">rows rewritten"),
        title=report.source,
    )
    files = report.files
    made.add_row(
        cell(f"{report.batches:,}"),
        *(cell(f"{files[word]:,}", style) for word, style in
          (("stored", "green"), ("skipped", ""), ("lost", "red"), ("waiting", "yellow"), ("refused", "yellow"))),
        cell(f"{report.rows:,}"),
    )  # fmt: skip
    console().print(made)
    say(f"{size_text(report.bytes)} in {duration_text(report.seconds)}; run {report.run}")
    if report.unavailable is not None:
        say(f"  {report.unavailable}")
        say("  That is no fault of the sources, and nothing is lost by it: put it right and run this again.")
    elif report.untried:
        say(f"  {report.untried:,} files were not tried: their hosts cannot be reached from here now.")
    for result, reasons in report.by_result.items():
        for reason, count in reasons.most_common():
            say(f"  {count:,} × {reason}: {_SAID[result]}")
            policy = RETRY_POLICIES[Reason(reason)]
            if result in ("waiting", "refused") and policy.side is not Side.SOURCE:
                say(f"    {policy.meaning} {policy.remedy}")
    if report.next_attempt_at is not None:
        left = (report.next_attempt_at - utc_now()).total_seconds()
        say(f"  The first of what waits is due again in {duration_text(left)}.")
    _show_lost(report)
    for kind, count in report.troubles.most_common():
        say(f"  {count:,} rows not rewritten: {kind.replace('_', ' ')}")
    for problem in report.problems:
        note(f"  {problem}")
    for path in report.written:
        note(f"Wrote {path}")
    if report.mode is Mode.RESCUE and report.findings["saved"]:
        say(
            "The files are safe and no row was touched. Next: --dry-run to see the changes, --apply to make them."
        )


_SAID = {
    "waiting": "waits and is tried again, sooner when its link is about to die",
    "refused": "waits for a person: a limit or rule of ours refuses it",
    "lost": "lost, with evidence",
    "given_up": "given up by a person",
    "skipped": "another run has it",
}
"""What is said of the files that are not durable, by result."""


def _show_lost(report: RunReport) -> None:
    if report.lost:
        say(
            f"  {report.lost:,} places are lost: `video-assets legacy run {report.source} --again-lost` tries "
            f"them once more, `video-assets legacy give-up {report.source} --lost` ends the matter."
        )
