"""Stored spellings and URLs inside URLs: the same answer however a database or a proxy wrote the link down."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from video_assets.urls import Kind, classify, fingerprint, redact
from video_assets.urls.syntax.escapes import Layer, read_spelling

SIGNATURE = "a3f9c1d27b6e4850a3f9c1d27b6e4850a3f9c1d27b6e4850a3f9c1d27b6e4850"
URL = (
    "https://bucket.s3.eu-central-1.amazonaws.com/videos/a.mp4?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKID%2F20270115%2Feu-central-1%2Fs3%2Faws4_request&X-Amz-Date=20270115T070000Z"
    f"&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature={SIGNATURE}"
)
DIES = datetime(2027, 1, 15, 8, tzinfo=UTC)
REPLICATE = "https://pbxt.replicate.delivery/abc/out-0.png"


def json_inner(text: str) -> str:
    return json.dumps(text)[1:-1]


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda url: url,
    "blanks": lambda url: f"  {url}\n",
    "double quotes": lambda url: f'"{url}"',
    "single quotes": lambda url: f"'{url}'",
    "angle brackets": lambda url: f"<{url}>",
    "backticks": lambda url: f"`{url}`",
    "escaped quotes": lambda url: f'\\"{url}\\"',
    "html": html.escape,
    "html twice": lambda url: html.escape(html.escape(url)),
    "html three times": lambda url: html.escape(html.escape(html.escape(url))),
    "decimal reference": lambda url: url.replace("&", "&#38;"),
    "decimal reference with a zero": lambda url: url.replace("&", "&#038;"),
    "hex reference": lambda url: url.replace("&", "&#x26;"),
    "hex reference in capitals": lambda url: url.replace("&", "&#X26;"),
    "slashes and colons as references": lambda url: (
        url.replace("&", "&amp;").replace("/", "&#x2F;").replace(":", "&#58;")
    ),
    "equals as references": lambda url: url.replace("&", "&amp;").replace("=", "&#61;"),
    "json slashes": lambda url: url.replace("/", "\\/"),
    "json slashes twice": lambda url: url.replace("/", "\\\\/"),
    "json unicode": lambda url: url.replace("&", "\\u0026").replace("=", "\\u003d").replace("/", "\\/"),
    "json unicode in capitals": lambda url: url.replace("&", "\\U0026".replace("U", "u")).replace("=", "\\u003D"),
    "json twice": lambda url: json_inner(json_inner(url).replace("/", "\\/").replace("&", "\\u0026")),
    "javascript hex": lambda url: url.replace("&", "\\x26").replace("=", "\\x3d"),
    "a whole JSON string": lambda url: json.dumps(url),
    "html in json": lambda url: json.dumps(html.escape(url)).replace("/", "\\/"),
    "percent": lambda url: quote(url, safe=""),
    "percent in small letters": lambda url: (
        quote(url, safe="").replace("%3A", "%3a").replace("%2F", "%2f").replace("%26", "%26")
    ),
    "percent twice": lambda url: quote(quote(url, safe=""), safe=""),
    "percent keeping the colon": lambda url: quote(url, safe=":"),
    "scheme in capitals": lambda url: url.replace("https", "HTTPS"),
    "host in capitals": lambda url: url.replace("amazonaws", "AMAZONAWS"),
    "no scheme": lambda url: url.removeprefix("https:"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_spelling_changes_neither_the_answer_nor_the_identity(spelling: str) -> None:
    written = SPELLINGS[spelling](URL)
    result = classify(written)
    assert (result.kind, result.scheme, result.expires_at) == (Kind.TEMPORARY, "aws_sigv4", DIES)
    assert result.secrets == (SIGNATURE,)
    assert fingerprint(written) == fingerprint(URL)
    shown = redact(written)
    assert SIGNATURE not in shown
    assert shown == written.replace(SIGNATURE, "REDACTED")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_is_named_as_it_stands_in_the_text_given(spelling: str) -> None:
    url = "https://d1.cloudfront.net/v.mp4?Expires=1800000000&Key-Pair-Id=K1&Signature=a/b~c-d_e/f"
    written = SPELLINGS[spelling](url)
    result = classify(written)
    assert result.expires_at == DIES
    (secret,) = result.secrets
    assert secret in written
    assert secret == SPELLINGS[spelling]("a/b~c-d_e/f").strip(" \n\"'<>`\\")
    assert redact(written) == written.replace(secret, "REDACTED")


PROXIES = {
    "next": "/_next/image?url={quoted}&w=640&q=75",
    "next on a host": "https://app.example.com/_next/image?url={quoted}&w=640&q=75",
    "wsrv": "https://wsrv.nl/?url={quoted}&w=300",
    "a redirector": "https://www.google.com/url?sa=t&q={quoted}",
    "twice": "https://l.example.com/l.php?u={quoted2}",
    "a share page": "https://www.facebook.com/sharer/sharer.php?u={quoted}",
    "cloudflare": "https://example.com/cdn-cgi/image/width=80,quality=75/{raw}",
    "cloudinary fetch, encoded": "https://res.cloudinary.com/demo/image/fetch/w_300/{quoted}",
    "cloudinary fetch, raw": "https://res.cloudinary.com/demo/image/fetch/{raw}",
    "thumbor": "https://thumbor.example.com/unsafe/300x200/smart/{quoted}",
    "imgproxy plain": "https://imgproxy.example.com/insecure/rs:fit:300/plain/{quoted}@webp",
    "collapsed slashes": "https://ipx.example.com/_ipx/w_200/{collapsed}",
    "a fragment": "https://app.example.com/viewer#src={quoted}",
    "JSON in a parameter": "https://app.example.com/play?config={json}",
}


def inside(template: str, url: str) -> str:
    return template.format(
        raw=url,
        quoted=quote(url, safe=""),
        quoted2=quote(quote(url, safe=""), safe=""),
        collapsed=url.replace("://", ":/"),
        json=quote(json.dumps({"src": url, "loop": True}), safe=""),
    )


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_url_inside_another_rules_its_life(proxy: str) -> None:
    outer = inside(PROXIES[proxy], URL)
    result = classify(outer)
    assert (result.kind, result.scheme, result.expires_at) == (Kind.TEMPORARY, "aws_sigv4", DIES)
    assert any(SIGNATURE in secret for secret in result.secrets)
    shown = redact(outer)
    assert SIGNATURE not in shown
    assert redact(shown) == shown
    later = inside(PROXIES[proxy], URL.replace("20270115T07", "20270116T07").replace(SIGNATURE, SIGNATURE[::-1]))
    assert fingerprint(later) == fingerprint(outer)
    assert fingerprint(inside(PROXIES[proxy], URL.replace("a.mp4", "b.mp4"))) != fingerprint(outer)


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_host_rule_reaches_through_a_proxy(proxy: str) -> None:
    result = classify(inside(PROXIES[proxy], REPLICATE), created_at=DIES)
    assert (result.kind, result.scheme) == (Kind.TEMPORARY, "replicate")
    assert result.expires_at is not None


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_proxy_of_a_permanent_url_is_permanent(proxy: str) -> None:
    assert classify(inside(PROXIES[proxy], "https://cdn.example.com/a.png?v=3")).kind is Kind.PERMANENT


def test_a_source_in_base64_is_secret_as_a_whole() -> None:
    encoded = base64.urlsafe_b64encode(URL.encode()).decode().rstrip("=")
    cut = "/".join(encoded[i : i + 16] for i in range(0, len(encoded), 16))
    for body in (encoded, cut):
        outer = f"https://imgproxy.example.com/AfrOrF3gWeDA6VOlDG4TzxMv39O7MXnF4CXpKUwGqRM/rs:fit:300/{body}.webp"
        result = classify(outer)
        assert (result.kind, result.expires_at) == (Kind.TEMPORARY, DIES)
        assert body[:200] not in redact(outer)


def test_a_source_in_hex_is_secret_as_a_whole() -> None:
    outer = f"https://camo.githubusercontent.com/{SIGNATURE}/{URL.encode().hex()}"
    assert classify(outer).expires_at == DIES
    assert URL.encode().hex() not in redact(outer)


def test_the_earliest_of_outer_and_inner_end_counts() -> None:
    outer = f"https://x.imgix.net/{quote(URL, safe='')}?expires=1700000000&s={SIGNATURE[:32]}"
    assert classify(outer).expires_at == datetime.fromtimestamp(1700000000, UTC)


def test_layers_are_named_outermost_first() -> None:
    written = read_spelling('"https:\\/\\/a.example\\/?b=1&amp;c=2"')
    assert (written.url, written.layers) == (
        "https://a.example/?b=1&c=2",
        (Layer.WRAPPING, Layer.JSON, Layer.HTML),
    )
    assert read_spelling("https://a.example/?b=1&c=2").layers == ()


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_character_of_a_spelling_knows_where_it_came_from(spelling: str) -> None:
    written = SPELLINGS[spelling](URL)
    read = read_spelling(written)
    rebuilt = "".join(decode_one(written[slice(*read.raw_span(i, i + 1))]) for i in range(len(read.url)))
    assert rebuilt == read.url


def decode_one(piece: str) -> str:
    inner = read_spelling(f"https://x/{piece}").url.removeprefix("https://x/")
    while len(inner) > 1 and inner.startswith("%"):
        inner = read_spelling(quote("https://x/", safe="") + inner).url.removeprefix("https://x/")
    return inner
