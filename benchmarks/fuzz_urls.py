"""Fuzz everything that reads a URL or a document, with coverage guidance: ``pip install atheris`` first.

    python benchmarks/fuzz_urls.py --seconds 3600 [--corpus DIRECTORY]

No input may make classify, find, rewrite, undo, redact, fingerprint or the guard's verdict raise. Besides: what
is found must be replaceable, undoing must give back the identical content, and the first look must miss nothing.
A failure is printed once per place in the code, with its input, and the run goes on.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from typing import Any

import atheris

with atheris.instrument_imports(include=["video_assets.urls", "video_assets.transfer.guard"]):
    from video_assets.transfer.guard import verdict
    from video_assets.urls.classify import classify
    from video_assets.urls.documents.triggers import may_contain
    from video_assets.urls.find import find
    from video_assets.urls.fingerprints import fingerprint
    from video_assets.urls.redaction import redact
    from video_assets.urls.replace import rewrite, undo

PERMANENT = "https://cdn.example.net/public/clip.mp4"
PIECES = (
    "https://",
    "https:\\/\\/",
    "https%3A%2F%2F",
    "//",
    "host.example.com",
    "u:passw0rd99@",
    "/a/b.mp4?",
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20261120T000000Z&X-Amz-Expires=3600&X-Amz-Signature=0123456789abcdef",
    "Expires=4102444800&Signature=AbC-_~aabbccddeeff&Key-Pair-Id=APKA1234567890",
    "se=2026-11-22&sig=abcdefghijklmnop%3D&sv=2024-01-01",
    "_jwt=eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjQxMDI0NDQ4MDB9.c2lnbmF0dXJl",
    "ex=69203a80&is=691ee900&hm=0123456789abcdef0123456789abcdef",
    "Policy=eyJTdGF0ZW1lbnQiOlt7fV19",
    "hdnts=exp=4102444800~acl=/*~hmac=0123456789abcdef",
    "&amp;",
    "\\u0026",
    "\\u002f",
    "%26",
    "%253D",
    "&#x2f;",
    '"',
    '\\"',
    '\\\\\\"',
    '""',
    '{"a":',
    "[",
    "]",
    "}",
    ",",
    'a:1:{s:3:"url";',
    's:5:"',
    '";',
    "<a href='",
    '<img src="',
    "<script>",
    "</script>",
    "<![CDATA[",
    "id,url\n1,",
    "\n",
    " ",
    "'",
    ")",
    "](",
    "é",
    "\ud83c",
    "。",
    "\ufeff",
    "@",
    ":",
    "127.0.0.1",
    "[::1]",
    "0x7f.1",
    "xn--",
    "%00",
    "\\",
)
_seen: set[str] = set()


def _document(data: bytes) -> str:
    """Half of the inputs are raw text, half are strings of pieces, so that structure is reached quickly."""
    provider = atheris.FuzzedDataProvider(data)
    if provider.ConsumeBool():
        return str(provider.ConsumeUnicode(atheris.ALL_REMAINING))
    parts: list[str] = []
    while provider.remaining_bytes() and len(parts) < 60:
        choice = provider.ConsumeIntInRange(0, len(PIECES) + 7)
        parts.append(PIECES[choice] if choice < len(PIECES) else provider.ConsumeUnicode(4))
    return "".join(parts)


def _check(content: Any) -> None:
    findings = find(content)
    if not findings:
        return
    assert may_contain(content), "the first look missed a finding"
    result = rewrite(content, [(finding, PERMANENT) for finding in findings])
    assert undo(result.content, result.changes) == content, "undoing changed the content"
    assert not find(result.content), "something is found after everything was replaced"


def _one_input(data: bytes) -> None:
    text = _document(data)
    classify(text)
    fingerprint(text)
    clean = redact(text)
    assert redact(clean) == clean, "redacting twice differs from redacting once"
    for answer in ("93.184.216.34", "127.0.0.1", text[:40]):
        verdict(text, lambda _host, answer=answer: [answer])
    _check(text)
    _check(data)


def _reporting(data: bytes) -> None:
    try:
        _one_input(data)
    except Exception as failure:  # noqa: BLE001 - every kind is what is looked for
        frames = traceback.extract_tb(failure.__traceback__)
        place = (
            f"{type(failure).__name__} {failure if isinstance(failure, AssertionError) else ''} at "
            + " < ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in reversed(frames[-3:]))
        )
        if place not in _seen:
            _seen.add(place)
            print(
                f"FAILURE {time.strftime('%H:%M:%S')} {place}\n  input {data!r}\n  text {_document(data)!r}",
                flush=True,
            )


def main() -> None:
    """Run for the given time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", help="Directory of inputs that reached new code; kept between runs.")
    options = parser.parse_args()
    arguments = [
        sys.argv[0],
        "-max_len=600",
        "-timeout=20",
        f"-max_total_time={options.seconds}",
        "-print_final_stats=1",
    ]
    if options.corpus:
        os.makedirs(options.corpus, exist_ok=True)
        arguments.append(options.corpus)
    atheris.Setup(arguments, _reporting)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
