"""The walk of the legacy demonstration, step by step: real processes, real databases, every step checked."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool
from sqlmodel import col, select

from video_assets.catalog.legacy import FindingState, LegacyBatch, LegacyFile, LegacyFinding
from video_assets.cli.demo.dagster_ui import DagsterUi
from video_assets.cli.demo.stage import (
    dagster_sentence,
    new_folder,
    wait_for_runs,
)
from video_assets.cli.dev.stack import Addresses, Ports, open_dagster, start_stack
from video_assets.cli.dev.supervisor import Stopped, Supervisor
from video_assets.cli.legacy.proof import prove
from video_assets.cli.legacy.run import run_source
from video_assets.cli.legacy.undo import redo_source, undo_source
from video_assets.cli.output import (
    cell,
    console,
    say,
    table,
)
from video_assets.demo.legacy_accounts import Account, content_digests, take_account
from video_assets.legacy.config.models import Source
from video_assets.legacy.config.presets import PRESETS
from video_assets.legacy.config.toml import source_toml
from video_assets.legacy.discover.discover import discover
from video_assets.legacy.examples.create import create_example
from video_assets.legacy.guard.triggers import install_guard, remove_guard
from video_assets.legacy.process_batch import Mode, process_batch
from video_assets.legacy.proof.prove import prove_row, verify, verify_against
from video_assets.legacy.proof.write import write_document
from video_assets.legacy.report.at_risk import build_report
from video_assets.legacy.report.formats import advice_sentences
from video_assets.legacy.rescue.refresh import askable
from video_assets.legacy.rewrite.undo import Selection
from video_assets.services import Services, open_services
from video_assets.settings import Settings

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from video_assets.emulator import Emulator

BATCH_SIZE = 200
BACKFILL_TAGS = {"dagster/priority": "-10"}
"""Live work always comes first; in the UI the same tag is given in the backfill's dialog."""


@dataclass(slots=True)
class Story:
    """What happened on the way; ``problems`` are sentences, and any of them is a failure."""

    accounts: list[Account] = field(default_factory=list)
    rows: int = 0
    runs: int = 0
    proof: Mapping[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    steps: dict[str, float] = field(default_factory=dict)
    """Seconds per step."""

    def expect(self, holds: object, otherwise: str) -> None:
        """Note a problem when something does not hold."""
        if not holds:
            self.problems.append(otherwise)


class Road:
    """The walk, step by step. Each step notes what does not hold and goes on where that makes sense."""

    def __init__(
        self,
        home: Path,
        settings: Settings,
        emulator: Emulator,
        supervisor: Supervisor,
        stop_asked: Event,
        *,
        quiet: bool,
    ) -> None:
        self._home = home
        self._settings = settings
        self._emulator = emulator
        self._supervisor = supervisor
        self._stop_asked = stop_asked
        self._quiet = quiet
        self._story = Story()
        self._began = time.monotonic()

    def walk(self, ports: Ports, rows: int, timeout: float) -> Story:
        """Every step in turn. Raises Stopped, ChildFailed, CommandFailed, SourceError."""
        sources = self._make_databases(rows)
        self._discover(sources[0])
        addresses = start_stack(
            self._supervisor,
            self._settings,
            ports,
            environment=os.environ,
            logs=self._home / "logs",
            emulator=self._emulator,
            folder=self._home,
        )
        self._done("start Dagster and the media server", f"Dagster UI {addresses.dagster}")
        services = open_services(self._settings)
        try:
            with open_dagster(addresses.dagster_home) as instance:
                ui = DagsterUi(addresses.dagster)
                self._inventory(services, sources, ui, instance)
                self._report(services, sources)
                old_links = _some_links(services, sources)
                self._backfill(services, ui, instance, timeout)
                self._done("…", dagster_sentence(instance))
            before = [content_digests(source) for source in sources]
            self._preview(services, sources)
            self._rewrite(services, sources, "rewrite")
            after = [content_digests(source) for source in sources]
            self._prove(sources, "proof.json")
            self._guard(sources, old_links)
            self._resolve(addresses, services, old_links)
            self._undo(services, sources, before)
            self._redo(services, sources, after)
            self._story.proof = self._prove(sources, "proof-after-redo.json")
            self._account(services, sources)
        finally:
            services.catalog.close()
        return self._story

    def _done(self, step: str, told: str) -> None:
        """Note how long a step took, tell it, and see whether somebody wants to stop."""
        now = time.monotonic()
        if step != "…":
            self._story.steps[step] = round(now - self._began, 1)
            self._began = now
        if not self._quiet:
            say(f"{'' if step == '…' else step + ': '}{told}")
            console().file.flush()
        self._supervisor.check()
        if self._stop_asked.is_set():
            raise Stopped

    def _make_databases(self, rows: int) -> list[Source]:
        folder = new_folder(self._home / "databases")
        sources: list[Source] = []
        for preset in PRESETS.values():
            example = create_example(
                preset, folder / f"{preset.name}.db", rows=rows // len(PRESETS), emulator=self._emulator
            )
            sources.append(example.source.model_copy(update={"batch_size": BATCH_SIZE}))
            self._story.rows += example.rows
        text = "\n".join(source_toml(source, head=number == 0) for number, source in enumerate(sources))
        self._settings.legacy_config.write_text(text, encoding="utf-8")
        self._done(
            "make five databases", f"{self._story.rows:,} rows in all, {', '.join(s.name for s in sources)}"
        )
        return sources

    def _discover(self, source: Source) -> None:
        found = discover(source.url)
        places = ", ".join(f"{p.table}.{p.column}{p.pointer} ({p.host}, {p.scheme})" for p in found.places[:3])
        self._done("discover", f"{source.name} holds temporary URLs in {places} …")

    def _inventory(
        self, services: Services, sources: Sequence[Source], ui: DagsterUi, instance: DagsterInstance
    ) -> None:
        names = [source.name for source in sources]
        instance.add_dynamic_partitions("legacy_sources", names)
        runs = [ui.launch_run("take_legacy_inventory", name) for name in names]
        self._wait(instance, runs, "the inventory")
        with services.catalog.read() as session:
            findings = len(session.exec(select(LegacyFinding.id)).all())
            files = len(session.exec(select(LegacyFile.id)).all())
            batches = len(session.exec(select(LegacyBatch.key)).all())
        self._story.expect(findings, "the inventory found nothing")
        self._done(
            "inventory (legacy_findings, one run per source)",
            f"{findings:,} places, {files:,} files behind them, {batches} batches",
        )

    def _report(self, services: Services, sources: Sequence[Source]) -> None:
        refreshing = askable(services.provider)
        shown = table("at risk in", ">files", ">places", ">dead", ">< 24 h", ">later", ">refreshable", "forecast")
        for source in sources:
            report = build_report(services.catalog, source, can_refresh=refreshing.__contains__)
            buckets = report.buckets
            shown.add_row(
                *map(cell, (source.name, report.files, report.places, buckets["dead"])),
                *map(cell, (buckets["hour"] + buckets["day"], buckets["week"] + buckets["later"])),
                *map(cell, (report.refreshable, advice_sentences(report)[0])),
            )
        if not self._quiet:
            console().print(shown)
        self._done("report", "nothing was touched yet")

    def _backfill(self, services: Services, ui: DagsterUi, instance: DagsterInstance, timeout: float) -> None:
        from dagster._core.execution.backfill import BulkActionStatus

        keys = ui.partitions("legacy_rescue")
        self._story.expect(keys, "Dagster shows no batch")
        backfill = ui.launch_backfill("legacy_rescue", keys, BACKFILL_TAGS)
        self._done("…", f"backfill {backfill} of {len(keys)} batches is under way in Dagster …")
        ended: list[Any] = []

        def is_over() -> bool:
            found = instance.get_backfill(backfill)
            if found is not None and found.status not in (BulkActionStatus.REQUESTED, BulkActionStatus.FAILING):
                ended[:] = [found.status]
            return bool(ended)

        self._supervisor.wait_until(is_over, "The backfill", timeout=timeout, every=0.5)
        wait_for_runs(instance, self._supervisor)
        self._story.runs = len(instance.get_run_ids())
        self._story.expect(
            ended == [BulkActionStatus.COMPLETED_SUCCESS], f"the backfill ended as {ended[0].value}"
        )
        with services.catalog.read() as session:
            states = [str(state) for state in session.exec(select(LegacyFile.state))]
        self._done(
            "backfill (legacy_rescue, one partition per batch)",
            f"{states.count('stored'):,} files stored, {states.count('lost'):,} lost, "
            f"{states.count('pending'):,} waiting",
        )

    def _preview(self, services: Services, sources: Sequence[Source]) -> None:
        source = sources[0]
        with services.catalog.read() as session:
            key = session.exec(
                select(LegacyBatch.key).where(LegacyBatch.source == source.name).order_by(col(LegacyBatch.number))
            ).first()
        diffs: list[str] = []
        if key is not None:
            process_batch(services, source, key, mode=Mode.DRY_RUN, on_diff=diffs.append)
        self._story.expect(any(diffs), "the dry run shows no change")
        if not self._quiet and diffs:
            for line in diffs[0].splitlines()[:12]:
                say(f"    {line[:150]}")
        self._done("dry run", f"{len(diffs)} rows of the first batch would change, one of them is shown")

    def _rewrite(self, services: Services, sources: Sequence[Source], step: str) -> None:
        rows = places = 0
        for source in sources:
            report = run_source(services, source, Mode.APPLY, quiet=True)
            rows, places = rows + report.rows, places + report.places
            for kind, count in report.troubles.items():
                self._story.problems.append(f"{step}: {count} rows of {source.name} were not rewritten: {kind}")
        self._story.expect(rows, f"{step}: no row was rewritten")
        self._done(step, f"{rows:,} rows, {places:,} places, each in one short transaction")

    def _prove(self, sources: Sequence[Source], name: str) -> dict[str, Any]:
        leaves = self._home / f"{name}.leaves"
        document: dict[str, Any] = json.loads(
            json.dumps(prove(self._settings, sources, leaves=leaves, quiet=True))
        )
        write_document(self._home / name, document)
        found = verify(document)
        for source in sources:
            verify_against(found, source.name, source.url, self._settings.spool)
        self._story.problems += [f"{name}: {failed}" for failed in found.failures]
        self._story.expect(document["verdict"]["accounted"], f"{name}: something temporary is not accounted for")
        part = next(each for each in document["sources"] if each["durable"])
        words = self._one_rewritten(part["name"])
        row = prove_row(document, leaves, source=part["name"], table=words[0], row_key=words[1])
        self._story.expect(verify(row).is_good, f"{name}: the proof of a single row does not hold")
        rows = sum(each["rows"] for each in document["sources"])
        self._done(
            f"prove ({name})",
            f"{rows:,} rows read again, root {document['merkle']['root'][:16]}…, signature verified offline, "
            f"databases compared, row {words[1]} of {words[0]} proven by itself",
        )
        return document

    def _one_rewritten(self, source: str) -> tuple[str, str]:
        services = open_services(self._settings)
        try:
            with services.catalog.read() as session:
                found = session.exec(
                    select(LegacyFinding.table_name, LegacyFinding.row_key)
                    .where(LegacyFinding.source == source, LegacyFinding.state == FindingState.REWRITTEN)
                    .order_by(col(LegacyFinding.id))
                ).first()
        finally:
            services.catalog.close()
        assert found is not None, "the proof counted durable places"
        return found

    def _guard(self, sources: Sequence[Source], old_links: Sequence[str]) -> None:
        refused = tried = 0
        for source in sources:
            plan = install_guard(source)
            for column in plan.columns:
                if column.why_not is None:
                    tried += 1
                    refused += _is_refused(source, column.table, column.column, old_links[0])
            remove_guard(source)
        self._story.expect(refused == tried, f"the guard refused {refused} of {tried} temporary URLs")
        self._done("stand guard", f"{refused} of {tried} guarded columns refused a temporary URL; guard removed")

    def _resolve(self, addresses: Addresses, services: Services, old_links: Sequence[str]) -> None:
        base = addresses.media.removesuffix("/media")
        answers: dict[int, int] = {}
        with requests.Session() as http:
            http.trust_env = False
            for link in old_links:
                answer = http.get(f"{base}/resolve?url={quote(link, safe='')}", allow_redirects=False, timeout=10)
                answers[answer.status_code] = answers.get(answer.status_code, 0) + 1
                if answer.status_code == 307:
                    durable = http.get(answer.headers["Location"], headers={"Range": "bytes=0-99"}, timeout=10)
                    self._story.expect(durable.status_code == 206, "a durable copy cannot be fetched")
        self._story.expect(set(answers) <= {307, 410}, f"old links were answered with {answers}")
        self._story.expect(answers.get(307), "no old link leads to a durable copy")
        self._done(
            "resolve old links",
            f"{answers.get(307, 0)} lead to their durable copy, {answers.get(410, 0)} are told as lost",
        )

    def _undo(self, services: Services, sources: Sequence[Source], before: Sequence[Mapping[str, str]]) -> None:
        rows = 0
        for source, digests in zip(sources, before, strict=True):
            report = undo_source(services, source, Selection())
            rows += report.rows
            self._story.problems += [
                f"undo: {each.table} {each.row_key}: {each.message}" for each in report.refused
            ]
            self._story.expect(content_digests(source) == digests, f"undo: {source.name} is not as it was before")
        self._done("undo", f"{rows:,} rows hold again, byte for byte, what they held before")

    def _redo(self, services: Services, sources: Sequence[Source], after: Sequence[Mapping[str, str]]) -> None:
        for source in sources:
            redo_source(services, source)
        self._rewrite(services, sources, "redo")
        for source, digests in zip(sources, after, strict=True):
            self._story.expect(content_digests(source) == digests, f"redo: {source.name} differs from before")

    def _account(self, services: Services, sources: Sequence[Source]) -> None:
        self._story.accounts = [take_account(services.catalog, source.name) for source in sources]
        for account in self._story.accounts:
            self._story.expect(
                not account.unaccounted, f"{account.unaccounted} places of {account.source} are unaccounted for"
            )

    def _wait(self, instance: DagsterInstance, runs: Sequence[str], what: str) -> None:
        def all_over() -> bool:
            found = [instance.get_run_by_id(run) for run in runs]
            return all(run is not None and run.is_finished for run in found)

        self._supervisor.wait_until(all_over, f"Dagster's run of {what}", timeout=120, every=0.25)
        failed = [run for run in runs if not _succeeded(instance, run)]
        self._story.expect(not failed, f"{len(failed)} runs of {what} failed")


def _succeeded(instance: DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and run.is_success


def _some_links(services: Services, sources: Sequence[Source], *, each: int = 8) -> list[str]:
    """Old links of files, as somebody may still have them in an e-mail. Secrets, kept in memory only."""
    links: list[str] = []
    with services.catalog.read() as session:
        for source in sources:
            found = session.exec(
                select(LegacyFile.temporary_url)
                .join(LegacyFinding, col(LegacyFinding.file_id) == LegacyFile.id)
                .where(
                    LegacyFile.source == source.name,
                    col(LegacyFile.temporary_url).is_not(None),
                    LegacyFinding.state == FindingState.PENDING,
                )
                .order_by(col(LegacyFile.id))
                .distinct()
                .limit(each)
            ).all()
            links += [link for link in found if link]
    return links


def _is_refused(source: Source, table_name: str, column: str, link: str) -> bool:
    """Try to write a temporary URL into the first row of a guarded column; whether the database said no."""
    is_json = source.table(table_name).column(column).type == "json"
    engine = sa.create_engine(source.writing_url(), poolclass=NullPool, hide_parameters=True)
    statement = sa.text(  # the names come from the configuration that this module wrote
        f'UPDATE "{table_name}" SET "{column}" = :value '  # noqa: S608
        f'WHERE rowid = (SELECT min(rowid) FROM "{table_name}")'
    )
    try:
        with engine.connect() as connection:
            connection.execute(statement, {"value": json.dumps({"url": link}) if is_json else link})
            connection.rollback()
    except DBAPIError as exc:
        return "takes no temporary URL" in str(exc.orig)
    finally:
        engine.dispose()
    return False
