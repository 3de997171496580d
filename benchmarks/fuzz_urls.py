"""Fuzz everything that reads a URL or a document, with coverage guidance: ``pip install atheris`` first.

    python benchmarks/fuzz_urls.py --seconds 3600 [--corpus DIRECTORY] [--failures DIRECTORY]

No input may make classify, find, rewrite, undo, redact, fingerprint or the guard's verdict raise. Besides: what
is found must be replaceable, by its place and by its URL; nothing may be found after that, whatever permanent URL
came in its place; undoing must give back the identical content; and the first look must miss nothing.
A failure is printed once per place in the code, its input is saved, and the run goes on. Ends with status 1 when
anything failed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["video_assets.urls", "video_assets.transfer.ssrf.guard"]):
    from video_assets.transfer.ssrf.guard import verdict
    from video_assets.urls.classify.classify import classify
    from video_assets.urls.classify.fingerprint import fingerprint
    from video_assets.urls.documents.triggers import may_contain
    from video_assets.urls.find.find import find
    from video_assets.urls.find.replace import rewrite, undo
    from video_assets.urls.redact.redact import redact

PERMANENT = (
    "https://cdn.example.net/public/clip.mp4",
    "https://v.io/a",
    "https://media.example.com/v/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.mp4",
)
ROUNDS = 8
"""Replacing what is found may bring another URL to light; it is found in the next round."""
PHP_STRING = 's:N:"'
"""The beginning of a PHP string whose length is still to be told."""
PIECES = (
    PHP_STRING,
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
    "&#47;",
    "&sol;",
    "&quot;",
    "&#39;",
    "/p?_jwt=eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjQxMDI0NDQ4MDB9.c2lnbmF0dXJl",
    "https://u:passw0rd99@h.example.com/a.mp4",
    "https:\\/\\/u:passw0rd99@h.example.com\\/a.mp4",
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
    "]]>",
    "id,url\n1,",
    "id;url\n1;",
    ";",
    "|",
    "\t",
    's:12:\\"',
    "?",
    "&",
    "=",
    "(",
    "\n",
    " ",
    "'",
    ")",
    "](",
    "é/x=eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjQxMDI0NDQ4MDB9.c2lnbmF0dXJl",
    "https://u:passw0rd99@h.example.com/é.mp4",
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


def _document(data: bytes) -> str:
    """Half of the inputs are raw text, half are strings of pieces, so that structure is reached quickly."""
    provider = atheris.FuzzedDataProvider(data)
    if provider.ConsumeBool():
        return str(provider.ConsumeUnicode(atheris.ALL_REMAINING))
    parts: list[str] = []
    while provider.remaining_bytes() and len(parts) < 60:
        choice = provider.ConsumeIntInRange(0, len(PIECES) + 7)
        parts.append(PIECES[choice] if choice < len(PIECES) else provider.ConsumeUnicode(4))
    text = "".join(parts)
    return _with_lengths(text, sum(data)) if PHP_STRING in text else text


def _with_lengths(text: str, seed: int) -> str:
    """``text`` with lengths for its PHP strings that are right, or nearly so, before or after a replacement."""
    before, _, behind = text.rpartition(PHP_STRING)
    choice = random.Random(seed)
    ends = [match.start() for match in re.finditer('"(?:;|$)', behind)] or [len(behind)]
    inside = behind[: choice.choice(ends[:4])]
    if choice.random() < 0.7:
        new = choice.choice(PERMANENT)
        for finding in find(inside):
            inside = inside.replace(finding.url, new)
    length = len(inside) if choice.random() < 0.5 else len(inside.encode("utf-8", "replace"))
    length = max(length + choice.choice((0, 0, 0, 0, 1, -1)), 0)
    done = f'{before}s:{length}:"{behind}'
    return _with_lengths(done, seed + 1) if PHP_STRING in before else done


def _check(content: Any) -> None:
    findings = find(content)
    if not findings:
        return
    assert may_contain(content), "the first look missed a finding"
    for new in PERMANENT:
        for replacements in (
            [(finding, new) for finding in findings],
            {finding.url: new for finding in findings},
        ):
            result = rewrite(content, replacements)
            assert undo(result.content, result.changes) == content, "undoing changed the content"
            after = result.content
            for _ in range(ROUNDS):
                if not (left := find(after)):
                    break
                after = rewrite(after, [(finding, new) for finding in left]).content
            assert not find(after), f"something is found after {ROUNDS} rounds of replacing everything"
    one = rewrite(content, [(findings[-1], PERMANENT[0])])
    assert one.replaced == 1, "one finding cannot be replaced alone"
    assert undo(one.content, one.changes) == content, "undoing one replacement changed the content"


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


class _Run:
    """Counts inputs, keeps failures, and ends the process when its time is over."""

    def __init__(self, seconds: float, failures: Path) -> None:
        self._begun = time.monotonic()
        self._seconds = seconds
        self._failures = failures
        self._places: set[str] = set()
        self._inputs = 0

    def one_input(self, data: bytes) -> None:
        """What the fuzzer calls."""
        self._inputs += 1
        try:
            _one_input(data)
        except Exception as failure:  # noqa: BLE001 - every kind is what is looked for
            self._keep(data, failure)
        if time.monotonic() - self._begun > self._seconds:
            took = time.monotonic() - self._begun
            print(f"{self._inputs} inputs in {took:.0f} s, {len(self._places)} kinds of failure", flush=True)
            os._exit(1 if self._places else 0)  # the fuzzer would neither return nor let an exception end it

    def _keep(self, data: bytes, failure: Exception) -> None:
        frames = traceback.extract_tb(failure.__traceback__)
        place = (
            f"{type(failure).__name__} {failure if isinstance(failure, AssertionError) else ''} at "
            + " < ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in reversed(frames[-3:]))
        )
        if place in self._places:
            return
        self._places.add(place)
        self._failures.mkdir(parents=True, exist_ok=True)
        saved = self._failures / hashlib.sha256(data).hexdigest()[:16]
        saved.write_bytes(data)
        print(
            f"FAILURE {time.strftime('%H:%M:%S')} {place}\n  input {saved}\n  text {_document(data)!r}",
            flush=True,
        )


def main() -> None:
    """Run for the given time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", help="Directory of inputs that reached new code; kept between runs.")
    parser.add_argument(
        "--failures", type=Path, default=Path("fuzz-failures"), help="Where such inputs are saved."
    )
    options = parser.parse_args()
    arguments = [sys.argv[0], "-max_len=600", "-timeout=120"]
    if options.corpus:
        os.makedirs(options.corpus, exist_ok=True)
        arguments.append(options.corpus)
    atheris.Setup(arguments, _Run(options.seconds, options.failures).one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
