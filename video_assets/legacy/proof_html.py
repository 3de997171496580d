"""A proof as one small HTML page for people: nothing loaded from anywhere, and no secret in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from video_assets.legacy.scan_results import CLASSES
from video_assets.legacy.signing import key_fingerprint
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
    if verdict["clean"]:
        return "No temporary URL and no token is left anywhere."
    if verdict["accounted"]:
        return "Nothing temporary is left but what is lost, with its evidence, or left alone on purpose."
    if any(each.get("problem") for part in document["sources"] for each in part["tables"].values()):
        return "Not everything could be read: what stands there is not accounted for."
    return "There are temporary URLs left that are not accounted for."


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
    yield f"<p>{part['rows']:,} rows at <code>{_text(part['address'])}</code>.</p>"
    heads = "".join(f"<th>{name}</th>" for name in ("values", "temporary", "JWTs", *CLASSES, "durable"))
    yield f'<div class="scroll"><table><tr><th>column</th>{heads}</tr>'
    for name, table in part["tables"].items():
        for column, counts in table["columns"].items():
            numbers = (
                *(counts[key] for key in ("values", "temporary", "jwts")),
                *(counts.get(each, 0) for each in CLASSES),
                counts["durable"],
            )
            cells = "".join(f"<td>{number:,}</td>" for number in numbers)
            yield f"<tr><td>{_text(f'{name}.{column}')}</td>{cells}</tr>"
        if table.get("problem"):
            yield f'<tr><td class="text" colspan="{5 + len(CLASSES)}">{_text(table["problem"])}</td></tr>'
    yield "</table></div>"
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


def _text(value: object) -> str:
    return escape(redact(str(value)))
