"""The at-risk report as one HTML page: charts as inline SVG, nothing loaded from anywhere, no secret in it."""

from __future__ import annotations

from html import escape
from typing import Final

from video_assets.legacy.report.at_risk import BUCKET_TITLES, AtRisk, Bucket, HostRisk
from video_assets.legacy.report.formats import advice_sentences, left_alone_lines

_ORDER: Final = (
    Bucket.DEAD,
    Bucket.HOUR,
    Bucket.DAY,
    Bucket.WEEK,
    Bucket.LATER,
    Bucket.UNKNOWN,
    Bucket.LOCAL,
)
_MOST_BARS: Final = 20
_BAR = 560
"""Width of the longest bar, in SVG units."""

_STYLE: Final = """
:root{color-scheme:light dark;--ground:#fcfcfb;--ink:#1a1c1f;--soft:#5d636b;--line:#e2e4e7;--card:#fff;
--dead:#8b8f96;--hour:#c22f2f;--day:#e08a1e;--week:#c9b400;--later:#2f8f5b;--unknown:#7a5cc0;--local:#2b6cb0}
@media(prefers-color-scheme:dark){:root{--ground:#131517;--ink:#e9ebee;--soft:#9aa1aa;--line:#2c3035;--card:#1b1e21;
--dead:#6d727a;--hour:#ef5a5a;--day:#f0a347;--week:#dcca3a;--later:#4fb981;--unknown:#a58be0;--local:#63a4e8}}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:60rem;margin:0 auto;padding:2rem 1rem 4rem}
h1{font-size:1.6rem;margin:0 0 .2rem}h2{font-size:1.1rem;margin:2.2rem 0 .6rem}
p{margin:.3rem 0}.soft{color:var(--soft)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.8rem;margin:1.4rem 0}
.figures div{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.8rem 1rem}
.figures b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}
.warn{border-left:4px solid var(--hour);padding:.5rem .9rem;background:var(--card)}
.fine{border-left:4px solid var(--later);padding:.5rem .9rem;background:var(--card)}
svg{width:100%;height:auto;display:block}svg text{fill:var(--ink);font:13px system-ui,sans-serif}
svg .soft{fill:var(--soft)}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1rem;margin:.4rem 0}
.legend i{display:inline-block;width:.8rem;height:.8rem;border-radius:.2rem;margin-right:.35rem;
vertical-align:-.05rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{padding:.35rem .6rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap;
font-variant-numeric:tabular-nums}th:first-child,td:first-child{text-align:left}
"""


def report_html(report: AtRisk) -> str:
    """The whole page as text."""
    hosts = report.hosts
    title = f"At risk: {report.source}"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            # Nothing on this page may load or run anything.
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>",
            f"<h1>{escape(title)}</h1>",
            f'<p class="soft">{escape(_about(report))}</p>',
            _figures(report),
            _advice(report),
            "<h2>When links die</h2>",
            _deadlines(report),
            "<h2>By host</h2>",
            _legend(),
            _bars(hosts[:_MOST_BARS]),
            _table(hosts),
            "<h2>Where they stand</h2>",
            _columns(report),
            _left_alone(report),
            "<h2>What this rests on</h2>",
            _assumptions(report),
            "</main></body></html>",
            "",
        ]
    )


def _about(report: AtRisk) -> str:
    when = f"{report.at:%Y-%m-%d %H:%M} UTC"
    scan = (
        f"last complete inventory {report.scanned_at:%Y-%m-%d %H:%M} UTC"
        if report.scanned_at is not None
        else "the inventory is not complete yet"
    )
    return f"{when}; {scan}. Nothing was changed."


def _figures(report: AtRisk) -> str:
    foreseen = report.forecast
    figures = [
        (f"{report.files:,}", "files behind temporary links"),
        (f"{report.places:,}", "places that hold them"),
        (f"{report.buckets[Bucket.HOUR]:,}", "die within the hour"),
        (f"{report.refreshable:,}", "dead, refreshable"),
        (f"{report.already_lost:,}", "already lost"),
        (f"{foreseen.lost if foreseen else 0:,}", "will be lost at this rate"),
        (size_text(report.bytes), "to fetch and keep"),
        (duration_text(report.seconds), "to do it"),
        (f"${report.storage_per_month:,.2f}", "storage a month"),
    ]
    cells = "".join(f"<div><b>{escape(value)}</b>{escape(name)}</div>" for value, name in figures)
    return f'<div class="figures">{cells}</div>'


def _advice(report: AtRisk) -> str:
    lost = report.already_lost > 0 or (report.forecast is not None and report.forecast.lost > 0)
    sentences = "".join(f"<p>{escape(each)}</p>" for each in advice_sentences(report))
    return f'<div class="{"warn" if lost else "fine"}">{sentences}</div>'


def _deadlines(report: AtRisk) -> str:
    buckets = report.buckets
    most = max(max(buckets.values()), 1)
    rows = []
    for line, bucket in enumerate(_ORDER):
        count = buckets[bucket]
        width = round(_BAR * count / most, 1)
        y = line * 30
        name = escape(BUCKET_TITLES[bucket])
        rows.append(
            f'<text x="0" y="{y + 17}">{name}</text>'
            f'<rect x="130" y="{y + 3}" width="{width}" height="20" rx="3" fill="var(--{bucket})">'
            f"<title>{name}: {count:,} files</title></rect>"
            f'<text x="{138 + width}" y="{y + 17}" class="soft">{count:,}</text>'
        )
    label = "Files by the time their longest-lived link has left"
    return f'<svg viewBox="0 0 780 {len(_ORDER) * 30}" role="img" aria-label="{label}">{"".join(rows)}</svg>'


def _legend() -> str:
    items = "".join(
        f'<span><i style="background:var(--{bucket})"></i>{escape(BUCKET_TITLES[bucket])}</span>'
        for bucket in _ORDER
    )
    return f'<div class="legend">{items}</div>'


def _bars(hosts: list[HostRisk]) -> str:
    if not hosts:
        return "<p>No temporary URL is left.</p>"
    most = max(host.files for host in hosts) or 1
    rows = []
    for line, host in enumerate(hosts):
        x, y = 250.0, line * 28
        rows.append(f'<text x="0" y="{y + 16}">{escape(_short(host.host, 30))}</text>')
        for bucket in _ORDER:
            width = 440 * host.buckets[bucket] / most
            if width:
                tip = f"{host.host}: {host.buckets[bucket]:,} {BUCKET_TITLES[bucket]}"
                rows.append(
                    f'<rect x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="18" fill="var(--{bucket})">'
                    f"<title>{escape(tip)}</title></rect>"
                )
            x += width
        rows.append(f'<text x="{x + 8:.1f}" y="{y + 16}" class="soft">{host.files:,}</text>')
    label = "Files per host by time left"
    return f'<svg viewBox="0 0 780 {len(hosts) * 28}" role="img" aria-label="{label}">{"".join(rows)}</svg>'


def _table(hosts: list[HostRisk]) -> str:
    shown = [bucket for bucket in _ORDER if any(host.buckets[bucket] for host in hosts)]
    names = [BUCKET_TITLES[bucket] for bucket in shown]
    head = "".join(
        f"<th>{escape(name)}</th>"
        for name in ("host", "files", *names, "refreshable", "lost", "size", "will be lost")
    )
    body = "".join(
        "<tr>"
        f"<td>{escape(host.host)}</td><td>{host.files:,}</td>"
        + "".join(f"<td>{host.buckets[bucket]:,}</td>" for bucket in shown)
        + f"<td>{host.refreshable:,}</td><td>{host.already_lost:,}</td><td>{size_text(host.bytes)}</td>"
        f"<td>{host.forecast_lost:,}</td></tr>"
        for host in hosts
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _columns(report: AtRisk) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{count:,}</td></tr>"
        for name, count in sorted(report.tables.items(), key=lambda item: -item[1])
    )
    return (
        '<div class="scroll"><table><thead><tr><th>column</th><th>places</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _left_alone(report: AtRisk) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in left_alone_lines(report.left_alone))
    return f"<h2>Left alone</h2><ul>{lines}</ul>" if lines else ""


def _assumptions(report: AtRisk) -> str:
    rates = report.rates
    sampled = sum(host.sampled for host in report.hosts)
    alive = sum(host.sampled_alive for host in report.hosts)
    sizes = (
        f"Sizes: one byte was asked of {sampled:,} links, {alive:,} of them work."
        if sampled
        else f"Sizes: {rates.default_megabytes:g} MB per file, as none was measured."
    )
    return (
        f"<p>{escape(sizes)}</p>"
        f"<p>Storage {rates.storage_per_gb_month:g} USD per GB and month, egress {rates.egress_per_gb:g} USD "
        f"per GB ({report.egress:,.2f} USD in all).</p>"
        f"<p>{rates.connections} connections, {rates.connections_per_host} per host, "
        f"{rates.megabytes_per_second:g} MB/s line, {rates.megabytes_per_second_per_connection:g} MB/s per "
        f"connection, {rates.seconds_per_file:g} s per file besides its bytes.</p>"
    )


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-(most // 2) :]}"


def size_text(size: float) -> str:
    """Bytes as a person says them, decimal."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"


def duration_text(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3.5 h``, ``2.1 d``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.1f} d"
