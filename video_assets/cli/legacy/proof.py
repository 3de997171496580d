"""``video-assets proof``: scan everything, sign what was found, and verify it offline."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from video_assets.catalog import open_catalog
from video_assets.cli.dev.stack import open_dagster
from video_assets.cli.failures import CommandFailed, ExitCode
from video_assets.cli.legacy.sources import Stop
from video_assets.cli.output import JsonOption, cell, console, note, print_json, say, table
from video_assets.legacy.config import load as configuration
from video_assets.legacy.config.models import FILE_NAME, Source
from video_assets.legacy.config.urls import resolve_url
from video_assets.legacy.errors import SourceError
from video_assets.legacy.proof.html import coverage_sentence, place_line, proof_html, verdict_sentence
from video_assets.legacy.proof.prove import (
    ProofInvalid,
    RowNotProven,
    Verification,
    make_proof,
    prove_row,
    verify,
    verify_against,
)
from video_assets.legacy.proof.scan_report import CLASSES
from video_assets.legacy.proof.signing import SigningKeyUnusable, key_fingerprint, load_signing_key
from video_assets.legacy.proof.store_scan import StoreScan
from video_assets.legacy.proof.write import write_document, write_proof, write_whole
from video_assets.settings import Settings, get_settings
from video_assets.urls import host_rules

app = typer.Typer(
    help="Prove that no temporary URL is left: every row, the catalog, and what Dagster keeps.",
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def proof(
    context: typer.Context,
    source: Annotated[
        list[str] | None, typer.Option("--source", "-s", help="A source of the file; all of them by default.")
    ] = None,
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The configuration file of the legacy sources.")
    ] = Path(FILE_NAME),
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where the proof goes; proofs/ in the home by default.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write it as a page for people too.")] = None,
    leaves: Annotated[
        Path | None, typer.Option("--leaves", help="Keep the trees' leaves in this folder, to prove single rows.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Scan every row of the legacy sources, the whole catalog and Dagster's storage, and sign the result.

    Exit code 0 when everything is accounted for, 1 when something temporary is left that is not.

    \b
    Examples:
      video-assets proof
      video-assets proof --source shop --html proof.html
      video-assets proof verify proof.json
    """
    if context.invoked_subcommand is not None:
        return
    settings = get_settings()
    document = prove(settings, _chosen(config, source), leaves=leaves, quiet=as_json)
    if out is None:
        path = write_proof(settings.home, document["made_at"].replace(":", "")[:17], document)
    else:
        path = out
        write_document(path, document)
    if html is not None:
        write_whole(html, proof_html(document))
    if as_json:
        print_json(document)
    else:
        show_proof(document)
        note(f"Wrote {path}. To verify it anywhere: video-assets proof verify {path}")
    raise typer.Exit(ExitCode.OK if document["verdict"]["accounted"] else ExitCode.NEGATIVE)


def _sources(config: Path) -> dict[str, Source]:
    return configuration.load_sources(config, deleting_hosts=get_settings().deleting_hosts)


def _chosen(config: Path, names: Sequence[str] | None) -> list[Source]:
    try:
        if not config.exists() and not names:
            note(f"There is no {config}: the proof covers the catalog and Dagster's storage.")
            return []
        return configuration.choose(_sources(config), list(names or ()))
    except SourceError as exc:
        raise Stop(exc) from None


def prove(
    settings: Settings, sources: Sequence[Source], *, leaves: Path | None = None, quiet: bool = False
) -> dict[str, Any]:
    """The signed proof of ``sources``, of the catalog of ``settings`` and of its Dagster instance."""
    shown = [time.monotonic()]

    def progress(name: str, tables: str, rows: int) -> None:
        if not quiet and time.monotonic() - shown[0] >= 5:
            shown[0] = time.monotonic()
            note(f"{name}, {tables}: {rows:,} rows")

    catalog = open_catalog(settings)
    try:
        return make_proof(
            catalog,
            sources,
            key=load_signing_key(settings.home),
            scratch=settings.spool,
            stores=scan_dagster(settings),
            leaves=leaves,
            hosts=host_rules(settings.deleting_hosts),
            on_progress=progress,
        )
    except SourceError as exc:
        raise Stop(exc) from None
    except SigningKeyUnusable as exc:
        raise CommandFailed(str(exc), ExitCode.UNAVAILABLE) from None
    finally:
        catalog.close()


def scan_dagster(settings: Settings) -> list[StoreScan]:
    """The storage of the Dagster instance: of DAGSTER_HOME, or of the one that ``dev`` made; none without."""
    home = Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster")
    if not (home / "dagster.yaml").is_file():
        return []
    from video_assets.pipeline.instance_storage import scan_instance  # imports Dagster, which takes a second

    with open_dagster(home.absolute()) as instance:
        return [scan_instance(instance)]


def show_proof(document: Mapping[str, Any]) -> None:
    """A proof for people."""
    made = table("source", "column", ">values", ">temporary", *(f">{name}" for name in CLASSES), ">durable")
    for part in document["sources"]:
        for name, each in part["tables"].items():
            for column, counts in each["columns"].items():
                if not counts["temporary"] and not counts["durable"]:
                    continue
                made.add_row(
                    *map(cell, (part["name"], f"{name}.{column}", f"{counts['values']:,}")),
                    cell(f"{counts['temporary']:,}"),
                    *(cell(f"{counts.get(word, 0):,}", _STYLES.get(word, "")) for word in CLASSES),
                    cell(f"{counts['durable']:,}", "green"),
                )
    own, stores = document["catalog"], document["stores"]
    lines = []
    for part in document["sources"]:
        lines.append(f"{part['name']}: {coverage_sentence(part)}; {part['jwts']:,} tokens left")
        if part.get("deleting_hosts"):
            lines.append(f"{part['name']}: told of hosts that delete: {', '.join(part['deleting_hosts'])}")
        lines += [
            f"{part['name']}: {name} could not be read: {each['problem']}"
            for name, each in part["tables"].items()
            if each.get("problem")
        ]
        lines += coverage_lines(part)
    lines.append(f"catalog: {own['values']:,} values in {own['rows']:,} rows, {own['violations']:,} temporary")
    lines += [
        f"{each['name']}: {each['values']:,} values in {each['rows']:,} rows, {each['violations']:,} temporary"
        for each in stores
    ]
    lines += [f"{store['name']}: {problem}" for store in stores for problem in store["problems"]]
    lines.append(f"Merkle root {document['merkle']['root']}")
    lines.append(f"signed by {key_fingerprint(document['signature']['public_key'])}")
    good = document["verdict"]["accounted"]
    verdict = Text(verdict_sentence(document), style="bold green" if good else "bold red")
    shown = [made] if made.row_count else []
    console().print(Group(*shown, *(cell(line) for line in lines), verdict))


def coverage_lines(part: Mapping[str, Any]) -> list[str]:
    """What was not read of a source, and whose the tables are that hold something temporary, a line each."""
    lines = []
    for name, each in part["tables"].items():
        if each.get("note") and any(counts["temporary"] for counts in each["columns"].values()):
            lines.append(f"{part['name']}: {name} ({each['kind']}): {each['note']}")
    unknown = part["exceptions"].get("unknown", {"listed": []})["listed"]
    reasons = dict.fromkeys(
        (place["table"], place["column"], place["why"]) for place in unknown if "why" in place
    )
    lines += [f"{part['name']}: {name}.{column}: {why}" for name, column, why in list(reasons)[:_MOST_LISTED]]
    coverage = part.get("coverage", {"not_read": [], "elsewhere": []})
    lines += [f"{part['name']}: not read: {place_line(entry)}" for entry in coverage["not_read"][:_MOST_LISTED]]
    more = len(coverage["not_read"]) - _MOST_LISTED
    if more > 0:
        lines.append(f"{part['name']}: not read: {more:,} more places; the document lists them")
    if coverage["elsewhere"]:
        lines.append(
            f"{part['name']}: {len(coverage['elsewhere']):,} views, partitions and parts of virtual tables are "
            "read as rows of what they belong to"
        )
    return lines


_MOST_LISTED = 20
_STYLES = {"lost": "red", "unknown": "red", "pending": "yellow", "excepted": "dim", "given_up": "dim"}


# --- verify -----------------------------------------------------------------------------------------------------


@app.command("verify")
def verify_command(
    file: Annotated[Path, typer.Argument(help="A proof, or the proof of a row.")],
    public_key: Annotated[
        str | None, typer.Option("--public-key", help="Base64 of the key it must be signed with.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="DATABASE_URL", help="Scan this database again and compare."),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", "-s", help="Which source the database is, when there are several.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify a proof with nothing but itself: no catalog, no network. Exit code 1 when it does not hold.

    \b
    Examples:
      video-assets proof verify proof.json --public-key 1Zc…=
      video-assets proof verify proof.json --against env:SHOP_DATABASE
    """
    document = read_document(file)
    try:
        found = verify(document, public_key=public_key)
        if against is not None and found.is_good:
            name = source or _only_source(document)
            verify_against(found, name, resolve_url(against, source=name), get_settings().spool)
    except ProofInvalid as exc:
        raise CommandFailed(f"{file}: {exc}.") from None
    except SourceError as exc:
        raise Stop(exc) from None
    if as_json:
        print_json(_verification(found))
    else:
        _show_verification(found)
    raise typer.Exit(ExitCode.OK if found.is_good else ExitCode.NEGATIVE)


def read_document(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises CommandFailed, OSError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise CommandFailed(f"{path} is not JSON: it was damaged, or is no proof.") from None
    if not isinstance(document, dict):
        raise CommandFailed(f"{path} is no proof.")
    return document


def _only_source(document: Mapping[str, Any]) -> str:
    names = [str(part["name"]) for part in document.get("sources", ())]
    if len(names) != 1:
        raise CommandFailed(
            f"Say with --source which one the database is: {', '.join(names) or 'none is covered'}."
        )
    return names[0]


def _verification(found: Verification) -> dict[str, Any]:
    return {
        "good": found.is_good,
        "signer": found.signer,
        "fingerprint": key_fingerprint(found.signer) if found.signer else None,
        "checks": found.checks,
        "failures": found.failures,
        "coverage": {
            part["name"]: part["coverage"] for part in found.document.get("sources", ()) if "coverage" in part
        },
        "leaves": [inclusion.words for inclusion in found.inclusions],
    }


def _show_verification(found: Verification) -> None:
    out = console()
    for check in found.checks:
        out.print(cell(f"✓ {check}", "green"))
    for failed in found.failures:
        out.print(cell(f"✗ {failed}", "bold red"))
    for inclusion in found.inclusions:
        say("  " + " · ".join(word for word in inclusion.words if word))
    if found.signer is not None:
        say(f"Signed by {key_fingerprint(found.signer)} (public key {found.signer})")
        if "verdict" in found.document:
            say(f"It says of {found.document['made_at']}: {verdict_sentence(found.document)}")
            for part in found.document["sources"]:
                say(f"{part['name']}: {coverage_sentence(part)}")
                for line in coverage_lines(part):
                    say(line)


# --- one row ----------------------------------------------------------------------------------------------------


@app.command("row")
def row_command(
    file: Annotated[Path, typer.Argument(help="A proof that was made with --leaves.")],
    leaves: Annotated[Path, typer.Option("--leaves", help="The folder of its leaves.")],
    table_name: Annotated[str, typer.Option("--table", "-t", help="The row's table.")],
    key: Annotated[
        str, typer.Option("--key", "-k", help="The row's key: a value, or a JSON list of the key's values.")
    ],
    source: Annotated[str | None, typer.Option("--source", "-s", help="When the proof covers several.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where it goes; standard output else.")] = None,
) -> None:
    """Prove one row: that it, and the SHA-256 of its file, were counted in a signed proof.

    \b
    Example:
      video-assets proof row proof.json --leaves leaves/ --table videos --key 17 --out row-17.json
      video-assets proof verify row-17.json
    """
    document = read_document(file)
    try:
        made = prove_row(
            document, leaves, source=source or _only_source(document), table=table_name, row_key=row_key(key)
        )
    except (ProofInvalid, RowNotProven) as exc:
        raise CommandFailed(f"{file}: {exc}.") from None
    if out is None:
        typer.echo(json.dumps(made, indent=2, ensure_ascii=False))
        return
    write_document(out, made)
    say(f"Wrote {out}: {len(made['inclusions'])} leaves. To verify it: video-assets proof verify {out}")


def row_key(text: str) -> str:
    """What a person typed as the JSON list that rows are known by: ``17`` → ``[17]``, ``a1`` → ``["a1"]``."""
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if isinstance(value, float) or not isinstance(value, list | int | str) or isinstance(value, bool):
        value = text
    return json.dumps(value if isinstance(value, list) else [value], separators=(",", ":"))
