"""A secret is hidden also where the text tells it in pieces: code, continued lines, wrapped lines, mail."""

from __future__ import annotations

import csv
import html
import io
import json
import quopri
import re
import time
from collections.abc import Callable
from functools import partial
from urllib.parse import quote

import pytest

from video_assets.urls import redact

HEX = "0f3c9a7be1d2456789ab0c1d2e3f4a5b9c8b7a6d5e4f30211203f4e5d6c7b8a9"
MAC = "k3Jx0pQz/7sVbN1mLq8Yt+k3Jx0pQzR7sVbN1mLq8Y0="
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ1cmwiOiJhYmMiLCJleHAiOjE4MDAwMDAwMDB9.k3Jx0pQzR7sVbN1mLq8YtAk3Jx0pQzR7sVbN1mLq8Yt"
URLS = {
    "s3": (
        "https://bucket.s3.amazonaws.com/out/clip.mp4?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAEXAMPLE"
        "%2F20270115%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20270115T070000Z&X-Amz-Expires=3600"
        f"&X-Amz-SignedHeaders=host&X-Amz-Signature={HEX}",
        HEX,
    ),
    "azure": (
        "https://acct.blob.core.windows.net/c/v.mp4?sv=2024-08-04&se=2027-01-15T00%3A00%3A00Z&sr=b&sp=r"
        f"&sig={quote(MAC, safe='')}",
        re.sub(r"\W", "", MAC),
    ),
    "supabase": (f"https://x.supabase.co/storage/v1/object/sign/v/a.mp4?token={JWT}", JWT.partition(".")[2]),
}


def pieces(url: str, length: int = 50) -> list[str]:
    return [url[at : at + length] for at in range(0, len(url), length)]


def wrapped(text: str, length: int, indent: str = "") -> str:
    return f"\n{indent}".join(pieces(text, length))


def in_csv(url: str) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(["1", json.dumps({"url": url}), "x"])
    return buffer.getvalue()


def escaped(times: int, text: str) -> str:
    for _ in range(times):
        text = quote(text, safe="")
    return text


WAYS: dict[str, Callable[[str], str]] = {
    "javascript": lambda url: 'const u = "' + '" +\n    "'.join(pieces(url)) + '";',
    "one line of javascript": lambda url: 'const u = "' + '" + "'.join(pieces(url)) + '";',
    "python": lambda url: "url = ('" + "'\n       '".join(pieces(url)) + "')",
    "python f-strings": lambda url: "url = (f'" + "'\n       f'".join(pieces(url)) + "')",
    "php": lambda url: "$u = '" + "'\n  . '".join(pieces(url)) + "';",
    "basic": lambda url: 'u = "' + '" & _\n    "'.join(pieces(url)) + '"',
    "sql": lambda url: "UPDATE t SET u = '" + "' || '".join(pieces(url)) + "' WHERE id = 1;",
    "arguments of concat": lambda url: "SELECT CONCAT('" + url.replace("=", "=', '").replace("&", "&', '") + "')",
    "appended": lambda url: 'u = "' + '"\nu += "'.join(pieces(url, 70)) + '"\n',
    "escaped quotes": lambda url: json.dumps('const u = "' + '" + "'.join(pieces(url)) + '";'),
    "shell": lambda url: "curl -o a.mp4 " + "\\\n".join(pieces(url, 60)),
    "cmd": lambda url: 'curl "' + "^\n".join(pieces(url, 60)) + '"',
    "cmd as browsers copy it": lambda url: 'curl ^"' + url.replace("&", "^&").replace("%", "^%^") + '^" ^\n -v',
    "yaml in quotes": lambda url: 'url: "' + "\\\n      ".join(pieces(url, 60)) + '"\nnext: 1',
    "yaml folded": lambda url: "url: >-\n  " + wrapped(url, 60, "  ") + "\nnext: 1",
    "wrapped at 40": lambda url: wrapped(f"Got link {url} from API", 40),
    "wrapped at 80": lambda url: wrapped(f"Got link {url} from API", 80),
    "wrapped and indented": lambda url: wrapped(f"2027-01-15 12:00:00 INFO Got link {url}", 72, "    "),
    "wrapped inside JSON": lambda url: json.dumps(wrapped(f"see {url} bye", 72)),
    "quoted in a mail": lambda url: wrapped(f"> > see {url} thanks", 72, "> > "),
    "quoted-printable": lambda url: quopri.encodestring(f'<a href="{html.escape(url)}">v</a>'.encode()).decode(),
    "quoted-printable, CRLF": lambda url: (
        quopri.encodestring(f"{url}\nbye".encode()).decode().replace("\n", "\r\n")
    ),
    "a parameter a line": lambda url: url.replace("?", "?\n  ").replace("&", "&\n  "),
    "blanks around the signs": lambda url: url.replace("?", " ? ").replace("&", " & ").replace("=", " = "),
    "settings": lambda url: "\n".join(pair.replace("=", " = ", 1) for pair in url.partition("?")[2].split("&")),
    "csv": in_csv,
    "bytes": lambda url: repr(repr(url.encode())),
    **{f"escaped {times} times": partial(escaped, times) for times in (1, 2, 3, 4)},
    **{
        f"a fragment escaped {times} times": lambda url, times=times: escaped(times, f"&{url.partition('?')[2]}")
        for times in (1, 2, 3, 4)
    },
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scheme", URLS)
def test_no_piece_of_a_signature_is_shown(scheme: str, way: str) -> None:
    url, secret = URLS[scheme]
    shown = redact(WAYS[way](url))
    letters = re.sub(r"[^A-Za-z0-9]", "", shown)
    secret = re.sub(r"[^A-Za-z0-9]", "", secret)
    assert not [at for at in range(len(secret) - 7) if secret[at : at + 8] in letters], shown
    assert redact(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('"X-Amz-Signature=" + "abc123"', '"X-Amz-Signature=" + "REDACTED"'),
        ("'sig=' 'Ab3dE9xQ2z'", "'sig=' 'REDACTED'"),
        ('url = base + "&sig=" . "Ab3dE9xQ2z" . "&b=2"', 'url = base + "&sig=" . "REDACTED" . "&b=2"'),
        ("https://x.io/a ? sig = Ab3dE & se = 2027", "https://x.io/a ? sig = REDACTED & se = 2027"),
        ("password = hunter2\nregion = eu", "password = REDACTED\nregion = eu"),
        ("secret_token=s-Ab3De api_token: s-Ab3De", "secret_token=REDACTED api_token: REDACTED"),
        (f"{JWT[:30]} {JWT[30:]} is the token", "REDACTED REDACTED is the token"),
        (f"{JWT[:60]}\n{JWT[60:]}\nnext", "REDACTED\nREDACTED\nnext"),
        (
            f"<SignatureProvided>{MAC.replace('+', ' ')}</SignatureProvided>",
            "<SignatureProvided>REDACTED</SignatureProvided>",
        ),
    ],
)
def test_what_stands_around_the_pieces_stays(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("URL=https://x.io/a?sig=Ab3dE9xQ2zLmN0pR\nREGION=eu-west-1\n", "REGION=eu-west-1"),
        ("SECRET=abcd1234=\nREGION=eu-west-1\n", "REGION=eu-west-1"),
        (
            "GET https://x.io/a?sig=Ab3dE9xQ2zLmN0pR\n2027-01-15 12:00:00 INFO next",
            "2027-01-15 12:00:00 INFO next",
        ),
        (f"https://x.io/a?X-Amz-Signature={HEX}\n{HEX[:40]} a commit\n", f"{HEX[:40]} a commit"),
        (f"https://x.io/a?sig=Ab3dE9xQ2zLmN0pR\n{HEX[:32]}  file.mp4\n", f"{HEX[:32]}  file.mp4"),
        ("curl 'https://x.io/a?sig=Ab3dE9xQ2zLmN0pR' 'https://y.io/b'", "'https://y.io/b'"),
        ("curl 'https://x.io/a?sig=Ab3dE9xQ2zLmN0pR' -o out.mp4", "-o out.mp4"),
        ('["https://x.io/a?sig=Ab3dE9xQ2zLmN0pR=", "second"]', '"second"'),
        ("`https://x.io/a?sig=Ab3dE9xQ2zLmN0pR`\nthen some words", "then some words"),
        ("https://x.io/a?sig=Ab3dE9xQ2zLmN0pR\nThanks,\nBob", "Thanks,\nBob"),
        (f"{JWT}\nrequest {HEX[:20]}", f"request {HEX[:20]}"),
    ],
)
def test_what_only_follows_a_secret_is_not_hidden_with_it(text: str, stays: str) -> None:
    shown = redact(text)
    assert shown != text
    assert stays in shown


@pytest.mark.parametrize(
    "text",
    [
        "https://x.cloudfront.net/a?Expires=1800000000&Signature=[REDACTED]&Key-Pair-Id=K2",
        "https://x.cloudfront.net/a?Expires=1800000000&Signature=[REDACTED&Key-Pair-Id=K2",
        "https://x.cloudfront.net/a?Expires=1800000000&Signature=<REDACTED>&Key-Pair-Id=K2",
        "https://x.cloudfront.net/a?Expires=1800000000&Signature=REDACTED...&Key-Pair-Id=K2",
        "hdnts=exp=1800000000~acl=/*",
        "signature = hmac.new(key)",
        "'a' 'b=c' 'd'",
        "see https://x.io/a?page\nname=foo",
        "token eyJhbGci... was cut. See docs.",
        'headers = {"Authorization": "Bearer " + token}',
    ],
)
def test_what_holds_no_secret_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("name", ["hdnts", "hdnea", "hdntl", "__token__", "__cld_token__"])
@pytest.mark.parametrize("mac", [HEX, "deadbeef", "Ab3dE9xQ"])
@pytest.mark.parametrize(
    "text", ["https://x.io/a?{}", "{}", "{} next", "Cookie: {}; path=/", "https://x.io/a?{}&b=1"]
)
def test_a_token_of_akamai_keeps_its_end_and_its_paths(name: str, mac: str, text: str) -> None:
    value = f"{name}=st=1799999000~exp=1800000000~acl=/*~hmac="
    assert redact(text.format(value + mac)) == text.format(f"{value}REDACTED")


def test_the_cost_of_broken_lines_grows_with_their_number() -> None:
    line = f"a=1&sig={HEX[:20]} 'x=' + 'y' {JWT[:20]} \n"

    def seconds(lines: int) -> float:
        text = line * lines
        begun = time.perf_counter()
        redact(text)
        return time.perf_counter() - begun

    seconds(100)
    assert min(seconds(2000) for _ in range(3)) < 40 * max(min(seconds(200) for _ in range(3)), 0.001)
