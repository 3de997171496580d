"""``video-assets urls``: what a URL is, which URLs of a document will die, and fetching one safely.

People get tables without secrets. ``--jsonl`` of ``find`` is the one output in which found URLs stand whole.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from video_assets.cli.failures import CommandFailed, ExitCode
from video_assets.cli.output import (
    JsonOption,
    cell,
    complain,
    console,
    deadline_text,
    duration_text,
    print_json,
    size_text,
    table,
    to_json,
)
from video_assets.cli.urls.streams import (
    BadLine,
    Place,
    answer_each_line,
    moment_of,
    opened,
    places,
    second_text,
    text_of,
)
from video_assets.reasons import RETRY_POLICIES, Side
from video_assets.settings import get_settings
from video_assets.transfer.download.downloader import Download, Downloader, DownloadFailed, DownloadPolicy
from video_assets.urls import HostRules, host_rules, redact
from video_assets.urls.classify.classification import Bound, Classification
from video_assets.urls.classify.classify import classify
from video_assets.urls.find.find import Finding, find

app = typer.Typer(
    help="Say what URLs are, find the temporary ones in documents, fetch one safely.", no_args_is_help=True
)

JsonLines = Annotated[
    bool, typer.Option("--jsonl", help="One JSON object per line in, one per line out, in the same order.")
]
_ROWS_PER_TABLE = 1000


@app.command("classify")
def classify_urls(
    urls: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[URL]...",
            help="URLs; with --jsonl, files. None or `-` reads standard input, which keeps secrets out of the "
            "shell's history.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    jsonl: JsonLines = False,
) -> None:
    """What each URL is: temporary, credential_only or permanent, by which scheme, and when it dies.

    Exit code: 0 all permanent, 1 some are not, 2 bad input.

    \b
    Examples:
      video-assets urls classify 'https://bucket.s3.amazonaws.com/a.mp4?X-Amz-...'
      pbpaste | video-assets urls classify
      video-assets urls classify --jsonl rows.jsonl > answers.jsonl

    With --jsonl: {"id","url","created_at"?} gives {"id","kind","scheme","expires_at","carries_jwt",
    "truncated","redacted"}.
    """
    if jsonl:
        _end(*_classify_lines(urls or ["-"], as_json))
    hosts = _told()
    classified = [(url, classify(url, hosts=hosts)) for url in _given(urls)]
    if as_json:
        print_json([{**_facts(answer), "redacted": redact(url)} for url, answer in classified])
    else:
        made = table("URL", "kind", "scheme", "dies")
        for url, answer in classified:
            made.add_row(cell(url), cell(answer.kind), cell(answer.scheme or "—"), cell(_dies(answer)))
        console().print(made)
    _end(any(not answer.is_persistable for _, answer in classified), True)


@app.command("find")
def find_urls(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="Documents; none or `-` is standard input.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    jsonl: JsonLines = False,
) -> None:
    """The URLs of documents that are temporary or carry a credential, and where they stand.

    Reads text, HTML, Markdown, CSV, JSON and PHP-serialised text, each inside any other. The table and --json
    show redacted URLs. Exit code: 0 nothing found, 1 something found, 2 bad input.

    \b
    Examples:
      video-assets urls find export.json pages/*.html
      pg_dump shop | video-assets urls find
      video-assets urls find --jsonl rows.jsonl > findings.jsonl

    With --jsonl: {"id","content","content_type"?,"created_at"?} gives {"id","findings":[{"url","pointer","kind",
    "scheme","expires_at","truncated"}]}. Those URLs are unescaped and hide nothing: treat that
    output as a secret. `pointer` is null
    outside JSON. For JSON inside JSON it joins the pointers of the layers. Of a URL that is a key it names the
    object; --json says which are keys.
    """
    if jsonl:
        _end(*_find_lines(files or ["-"], as_json))
    found = _all_places(files or ["-"])
    _end(_print_places_as_json(found) if as_json else _print_places(found), True)


@app.command(no_args_is_help=True)
def fetch(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="What to download; `-` reads it from standard input.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to put the file.")],
    as_json: JsonOption = False,
) -> None:
    """Download one file with every guard: addresses checked, nothing cut off, the container verified.

    FILE appears whole or not at all. Exit code: 0 fetched, 1 not, with the reason,
    3 when DNS, network or TLS on this side is in the way.

    \b
    Examples:
      video-assets urls fetch https://cdn.example.com/clip.mp4 -o clip.mp4
      pbpaste | video-assets urls fetch - -o clip.mp4
    """
    if url == "-":
        url = next(_given(None), "")
    if not url:
        raise CommandFailed("Standard input held no URL.")
    if not output.parent.is_dir():
        raise CommandFailed(f"The folder {output.parent} does not exist.")
    if classify(url).truncated:
        raise CommandFailed("This link was cut off and opens nothing: ask the provider for a fresh one.")
    policy = DownloadPolicy.from_settings(get_settings())
    try:
        with (
            Downloader(policy) as downloader,
            tempfile.TemporaryDirectory(dir=output.parent, prefix=".video-assets-") as spool,
        ):
            download = downloader.fetch(url, Path(spool), expires_at=classify(url).expires_at)
            download.path.replace(output)
    except DownloadFailed as failure:
        if as_json:
            print_json(
                {"fetched": False, "fault": failure.fault, "reason": failure.reason, "message": str(failure)}
            )
        else:
            complain(f"{failure} (reason: {failure.reason.value})")
        not_its_fault = RETRY_POLICIES[failure.reason].side in (Side.OURS, Side.BETWEEN)
        raise typer.Exit(ExitCode.UNAVAILABLE if not_its_fault else ExitCode.NEGATIVE) from None
    if as_json:
        print_json(_report(download, output))
    else:
        made = table("", "")
        made.show_header = False
        for name, value in _report(download, output).items():
            made.add_row(cell(name.replace("_", " "), "dim"), cell(_shown(name, value)))
        console().print(made)


def _end(found: bool, all_good: bool) -> None:
    """End the command with the exit code of its answer."""
    if not all_good:
        raise typer.Exit(ExitCode.BAD_INPUT)
    raise typer.Exit(ExitCode.NEGATIVE if found else ExitCode.OK)


def _given(urls: list[str] | None) -> Iterator[str]:
    """The URLs of the command line; from standard input, one per line, where there is none or a ``-``."""
    for url in urls or ["-"]:
        if url != "-":
            yield url
            continue
        for line in sys.stdin.buffer:
            text = line.decode("utf-8", "surrogateescape").strip()
            if text:
                yield text


def _facts(answer: Classification) -> dict[str, Any]:
    return {
        "kind": answer.kind.value,
        "scheme": answer.scheme,
        "expires_at": second_text(answer.expires_at),
        "carries_jwt": answer.carries_jwt,
        "truncated": answer.truncated,
    }


def _told() -> HostRules:
    """The user's own rules about hosts that delete."""
    return host_rules(get_settings().deleting_hosts)


def _classify_lines(sources: list[str], as_json: bool) -> tuple[bool, bool]:
    """``classify --jsonl``: whether something was not permanent, and whether every line was good."""
    _one_format(as_json)
    hosts = _told()
    found = False

    def answer(value: dict[str, Any]) -> dict[str, Any]:
        nonlocal found
        url = text_of(value, "url")
        classification = classify(url, created_at=moment_of(value, "created_at"), hosts=hosts)
        found |= not classification.is_persistable
        return {"id": value.get("id"), **_facts(classification), "redacted": redact(url)}

    all_good = True
    for source in sources:
        with opened(source) as stream:
            all_good &= answer_each_line(stream, answer)
    return found, all_good


def _find_lines(sources: list[str], as_json: bool) -> tuple[bool, bool]:
    """``find --jsonl``: whether something was found, and whether every line was good."""
    _one_format(as_json)
    hosts = _told()
    found = False

    def answer(value: dict[str, Any]) -> dict[str, Any]:
        nonlocal found
        content_type = value.get("content_type")
        if content_type is not None and not isinstance(content_type, str):
            raise BadLine('has a "content_type" that is not a string', value.get("id"))
        findings = find(
            text_of(value, "content"), content_type, created_at=moment_of(value, "created_at"), hosts=hosts
        )
        found |= bool(findings)
        return {
            "id": value.get("id"),
            "findings": [_finding_object(finding) for finding in findings],
        }

    all_good = True
    for source in sources:
        with opened(source) as stream:
            all_good &= answer_each_line(stream, answer)
    return found, all_good


def _finding_object(finding: Finding) -> dict[str, Any]:
    """What the machine-readable output tells of one finding."""
    return {
        "url": finding.url,
        "pointer": finding.pointer,
        "kind": finding.classification.kind.value,
        "scheme": finding.classification.scheme,
        "expires_at": second_text(finding.classification.expires_at),
        "truncated": finding.classification.truncated,
    }


def _one_format(as_json: bool) -> None:
    if as_json:
        raise CommandFailed("--json and --jsonl are two formats: choose one.")


def _all_places(files: list[str]) -> Iterator[Place]:
    hosts = _told()
    for source in files:
        with opened(source) as stream:
            yield from places(stream, source, hosts=hosts)


def _place(place: Place) -> str:
    name = "(standard input)" if place.source == "-" else place.source
    pointer = place.finding.safe_pointer
    where = f"{name}:{place.line}"
    if pointer is None:
        return where
    return f"{where} {pointer or '/'}{' (key)' if place.finding.in_key else ''}"


def _host(url: str) -> str:
    """The host of a found URL, for a person: never its userinfo."""
    authority = url.partition("//")[2].split("/", 1)[0].split("?", 1)[0].split("#", 1)[0]
    return redact(authority.rpartition("@")[2]) or "—"


def _dies(answer: Classification) -> str:
    if answer.is_persistable:
        return "never"
    if not answer.is_temporary:
        return "never, but holds a credential"
    if answer.truncated:
        return "cut off: it opens nothing"
    if answer.expires_at is None:
        return "unknown"
    sooner = {Bound.UPPER: " or sooner", Bound.LOWER: " or later", Bound.CERTAIN: ""}[answer.bound]
    return f"{deadline_text(answer.expires_at)}{sooner}, {second_text(answer.expires_at)}"


def _print_places(found: Iterator[Place]) -> bool:
    """Tables of at most a thousand rows, so that a file of any length needs little memory."""
    some = False
    while rows := list(islice(found, _ROWS_PER_TABLE)):
        some = True
        made = table("where", "host", "scheme", "dies in", "URL")
        for row in rows:
            answer = row.finding.classification
            made.add_row(
                cell(_place(row)),
                cell(_host(row.finding.url)),
                cell(answer.scheme or answer.kind.value),
                cell(_dies(answer)),
                cell(row.finding.url),
            )
        console().print(made)
    if not some:
        console().print(cell("No temporary URL found."))
    return some


def _print_places_as_json(found: Iterator[Place]) -> bool:
    """One JSON array, written element by element."""
    some = False
    for row in found:
        sys.stdout.write(",\n" if some else "[\n")
        some = True
        document = {
            "file": None if row.source == "-" else row.source,
            "line": row.line,
            "pointer": row.finding.safe_pointer,
            "in_key": row.finding.in_key,
            "layers": row.finding.layers,
            "host": _host(row.finding.url),
            **_facts(row.finding.classification),
            "bound": row.finding.classification.bound.value,
            "redacted": redact(row.finding.url),
        }
        sys.stdout.write(to_json(document, indent=None))
    sys.stdout.write("\n]\n" if some else "[]\n")
    return some


def _report(download: Download, output: Path) -> dict[str, Any]:
    container = download.container
    return {
        "file": str(output),
        "size": download.size,
        "content_type": download.content_type,
        "container": container.format,
        "sha256": download.sha256,
        "status": download.status,
        "hops": list(download.hops),
        "attempts": download.attempts,
        "resumed": download.resumed,
        "seconds": round(download.seconds, 3),
        "verified_digests": list(download.verified_digests),
        "unverified_digests": list(download.unverified_digests),
    }


def _shown(name: str, value: object) -> str:
    match name, value:
        case "size", int():
            return f"{size_text(value)} ({value:,} bytes)"
        case "seconds", float():
            return duration_text(value)
        case _, list():
            return ", ".join(map(str, value)) or "—"
        case _:
            return str(value)
