"""A proof as one small HTML page for people: nothing loaded from anywhere, and no secret in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from video_assets.legacy.proof.scan_report import CLASSES
from video_assets.legacy.proof.signing import key_fingerprint
from video_assets.urls import redact

_MOST_LISTED: Final = 200
_STYLE: Final = """
:root{color-scheme:light dark;--line:#8884;--good:#2f8f5b;--bad:#c22f2f}
body{font:16px/1.5 system-ui,sans-serif;margin:0}main{max-width:62rem;margin:0 auto;padding:2rem 1rem 4rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}code{overflow-wrap:anywhere}
.good{border-left:4px solid var(--good);padding:.5rem .9rem}
.bad{border-left:4px solid var(--bad);padding:.5rem .9rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:right;font-variant-numeric:tabular-nums}
th:first-child,td:first-child,td.text,th.text{text-align:left;overflow-wrap:anywhere}
"""


def proof_html(document: Mapping[str, Any]) -> str:
    """The page as text. Whoever reads it still has to verify the JSON document: a page proves nothing."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            f"<title>Proof of {_text(document['made_at'])}</title><style>{_STYLE}</style></head><body><main>",
            *_body(document),
            "</main></body></html>",
        ]
    )


def verdict_sentence(document: Mapping[str, Any]) -> str:
    """The proof in one sentence."""
    verdict = document["verdict"]
    if any(each.get("problem") for part in document["sources"] for each in part["tables"].values()):
        return "Not everything could be read: what stands there is not accounted for."
    if not verdict["accounted"]:
        return "There are temporary URLs left that are not accounted for."
    if "complete" not in verdict:
        where, more = " in the columns it lists", "; it does not tell what it did not read."
    elif verdict["complete"]:
        where, more = " anywhere", ": every column that can hold one was read."
    else:
        places = sum(len(part["coverage"]["not_read"]) for part in document["sources"])
        where, more = " in what was read", f"; {places:,} places were not read, they are listed."
    if verdict["clean"]:
        return f"No temporary URL and no token is left{where}{more}"
    return f"Nothing temporary is left{where} but what is lost, with its evidence, or left alone on purpose{more}"


def coverage_sentence(part: Mapping[str, Any]) -> str:
    """What of a source was read, in one sentence; of a proof of the older format only the rows."""
    if "coverage" not in part:
        return f"{part['rows']:,} rows in the columns below"
    tables, columns = part["coverage"]["tables"], part["coverage"]["columns"]
    return (
        f"{part['rows']:,} rows of {tables['read']:,} tables read, in each of their {columns['read']:,} columns "
        f"that can hold a URL ({columns['no_text']:,} more hold numbers, times and the like)"
    )


def place_line(entry: Mapping[str, Any]) -> str:
    """One place that was not read: what it is and why."""
    note = f" ({entry['note']})" if entry.get("note") else ""
    return f"{entry['name']} ({entry['type'] or 'no type'}): {entry['why']}{note}"


def _body(document: Mapping[str, Any]) -> Iterator[str]:
    good = document["verdict"]["accounted"]
    scanner = document["scanner"]
    yield f"<h1>Proof of {_text(document['made_at'])}</h1>"
    yield f'<p class="{"good" if good else "bad"}">{_text(verdict_sentence(document))}</p>'
    yield (
        f"<p>Scanned by {_text(scanner['name'])} {_text(scanner['version'])} with {_text(scanner['schemes'])} "
        f"signing schemes. Merkle root <code>{_text(document['merkle']['root'])}</code>. Signed by "
        f"<code>{_text(key_fingerprint(document['signature']['public_key']))}</code>; verify the JSON document "
        "with <code>video-assets proof verify</code>.</p>"
    )
    for part in document["sources"]:
        yield from _source(part)
        if part.get("deleting_hosts"):
            yield f"<p>Told of hosts that delete: <code>{_text(', '.join(part['deleting_hosts']))}</code></p>"
    yield "<h2>The product's own</h2><ul>"
    own = document["catalog"]
    yield f"<li>Catalog: {own['rows']:,} rows, {own['values']:,} values, {own['violations']:,} temporary.</li>"
    for store in document["stores"]:
        yield (
            f"<li>{_text(store['name'])}: {store['rows']:,} rows, {store['values']:,} values, "
            f"{store['violations']:,} temporary.</li>"
        )
    yield "</ul>"


def _source(part: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2>{_text(part['name'])}</h2>"
    yield f"<p><code>{_text(part['address'])}</code>: {_text(coverage_sentence(part))}.</p>"
    yield from _not_read(part)
    heads = "".join(f"<th>{name}</th>" for name in ("values", "temporary", "JWTs", *CLASSES, "durable"))
    yield f'<div class="scroll"><table><tr><th>column</th><th class="text">type</th>{heads}</tr>'
    for name, table in part["tables"].items():
        for column, counts in table["columns"].items():
            numbers = (
                *(counts[key] for key in ("values", "temporary", "jwts")),
                *(counts.get(each, 0) for each in CLASSES),
                counts["durable"],
            )
            cells = "".join(f"<td>{number:,}</td>" for number in numbers)
            kind = f'<td class="text">{_text(counts.get("type", ""))}</td>'
            yield f"<tr><td>{_text(f'{name}.{column}')}</td>{kind}{cells}</tr>"
        for each in (table.get("problem"), table.get("note")):
            if each:
                line = _text(f"{name}: {each}")
                yield f'<tr><td class="text" colspan="{6 + len(CLASSES)}">{line}</td></tr>'
    yield "</table></div>"
    no_text = [
        f"{name}.{column} ({kind})"
        for name, table in part["tables"].items()
        for column, kind in table.get("no_text", {}).items()
    ]
    if no_text:
        yield f"<details><summary>Columns that hold no text: {len(no_text):,}</summary>"
        yield f"<p>{_text(', '.join(no_text))}</p></details>"
    for name, found in part["exceptions"].items():
        yield f"<h3>{_text(name)}: {found['count']:,}</h3>"
        yield '<div class="scroll"><table><tr><th>place</th><th class="text">why</th></tr>'
        for place in found["listed"][:_MOST_LISTED]:
            where = f"{place['table']} {place['row']} {place['column']}{place['pointer']}"
            why = place.get("why") or place["redacted"]
            yield f'<tr><td>{_text(where)}</td><td class="text">{_text(why)}</td></tr>'
        yield "</table></div>"
        if found["count"] > _MOST_LISTED:
            yield f"<p>The first {_MOST_LISTED} of them; the JSON document has more.</p>"


def _not_read(part: Mapping[str, Any]) -> Iterator[str]:
    coverage = part.get("coverage")
    if coverage is None:
        return
    for title, entries in (("Not read", coverage["not_read"]), ("Read elsewhere", coverage["elsewhere"])):
        if not entries:
            continue
        yield f"<details{' open' if title == 'Not read' else ''}><summary>{title}: {len(entries):,}</summary><ul>"
        yield from (f"<li>{_text(place_line(entry))}</li>" for entry in entries[:_MOST_LISTED])
        yield "</ul></details>"


def _text(value: object) -> str:
    return escape(redact(str(value)))
