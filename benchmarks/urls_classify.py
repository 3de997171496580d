"""How fast ``classify`` and ``redact`` are, beside the plainest Python that looks at the same URLs.

Run: ``python benchmarks/urls_classify.py [--rounds N]``. Prints URLs per second beside two yardsticks of the
same run: one regex search for a few signing words (which answers far less), and ``urlsplit`` with ``parse_qsl``
(which answers nothing). Best of several rounds; rounds of the candidates alternate, so that a busy machine
slows all of them alike.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import time
from collections.abc import Callable
from urllib.parse import parse_qsl, quote, urlsplit

from video_assets.urls import classify, fingerprint, redact

SIGNING_WORDS = re.compile(
    r"(?i)[?&#](?:x-amz-signature|x-goog-signature|signature|sig|token|_jwt|expires|exp|hmac|e|t)="
)


def _jwt(n: int) -> str:
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
    claims = (
        base64.urlsafe_b64encode(json.dumps({"keyHash": n, "exp": 1_800_000_000 + n}).encode())
        .rstrip(b"=")
        .decode()
    )
    return f"{header}.{claims}.{hashlib.sha256(str(n).encode()).hexdigest()}"


def permanent(n: int) -> str:
    """What most columns of most databases hold."""
    return (
        f"https://cdn.example.com/uploads/2026/11/{n}/final-cut.mp4",
        f"https://x.supabase.co/storage/v1/object/public/videos/{n}/a.mp4",
        f"https://bucket.s3.eu-central-1.amazonaws.com/videos/{n}.mp4?versionId=abc{n}",
        f"https://images.example.com/{n}.jpg?w=640&h=360&fit=crop&auto=format&v=1699999999",
    )[n % 4]


def temporary(n: int) -> str:
    """What this product looks for."""
    digest = hashlib.sha256(str(n).encode()).hexdigest()
    s3 = (
        f"https://b.s3.amazonaws.com/{n}.mp4?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20270115%2Feu%2Fs3"
        f"%2Faws4_request&X-Amz-Date=20270115T070000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature={digest}"
    )
    return (
        s3,
        f"https://dnznrvs05pmza.cloudfront.net/{n}.mp4?_jwt={_jwt(n)}",
        f"https://files2.heygen.ai/{n}.mp4?Expires=1800000000&Signature={digest}~&Key-Pair-Id=K38HBHX5LX3X2H",
        f"https://pbxt.replicate.delivery/{digest}/output-{n}.mp4",
        f"/_next/image?url={quote(s3, safe='')}&w=640&q=75",
    )[n % 5]


def split_and_parse(url: str) -> object:
    """The yardstick that takes a URL apart."""
    return parse_qsl(urlsplit(url).query)


def best(work: dict[str, Callable[[str], object]], urls: list[str], rounds: int) -> dict[str, float]:
    """URLs per second of each candidate, best of ``rounds`` alternating rounds."""
    fastest = dict.fromkeys(work, float("inf"))
    for _ in range(rounds):
        for name, function in work.items():
            began = time.perf_counter()
            for url in urls:
                function(url)
            fastest[name] = min(fastest[name], time.perf_counter() - began)
    return {name: len(urls) / seconds for name, seconds in fastest.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--urls", type=int, default=20_000)
    arguments = parser.parse_args()
    work: dict[str, Callable[[str], object]] = {
        "regex search": SIGNING_WORDS.search,
        "urlsplit + parse_qsl": split_and_parse,
        "classify": classify,
        "redact": redact,
        "fingerprint": fingerprint,
    }
    for title, make in (("permanent", permanent), ("temporary", temporary)):
        urls = [make(n) for n in range(arguments.urls)]
        speed = best(work, urls, arguments.rounds)
        print(f"{title}: {len(urls)} URLs, {sum(map(len, urls)) / len(urls):.0f} characters on average")
        for name, rate in speed.items():
            ratio = speed["urlsplit + parse_qsl"] / rate
            print(f"  {name:22} {rate:>12,.0f} URLs/s   {ratio:6.2f} x the time of urlsplit + parse_qsl")


if __name__ == "__main__":
    main()
