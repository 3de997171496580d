"""How fast URLs are classified and found, beside a plain regular expression over the same text in the same run.

    python benchmarks/urls_find.py [--json] [--megabytes 4]

The yardstick ``re`` is ``re.findall(r"https?://[^\\s\\"'<>]+", text)``: it finds where something like a URL
is and knows nothing else. The last rows compare ``find`` on text without URLs to ``"http" in text``.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections.abc import Callable
from typing import Any

from video_assets.urls.classify.classify import classify
from video_assets.urls.find.find import find, may_contain
from video_assets.urls.find.replace import replace

PLAIN = re.compile(r"https?://[^\s\"'<>]+")
SENTENCE = (
    "a video of the quick brown fox Jumps over some lazy dogs / and eats yams while evening light falls, "
    "35mm film; slow pan: 24 fps (cinematic) he said 'very well'"
)
WORDS = SENTENCE.split()


def best_of(work: Callable[[], object], rounds: int = 5) -> float:
    """Seconds of the fastest of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
    return best


def signed(number: int) -> str:
    """A presigned S3 URL."""
    return (
        f"https://bucket-{number % 7}.s3.amazonaws.com/out/{number}.mp4?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20261120%2Fus-east-1%2Fs3%2Faws4_request"
        f"&X-Amz-Date=20261120T000000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature={number:064x}"
    )


def public(number: int) -> str:
    """A URL that stays."""
    return f"https://cdn.example.com/public/videos/{number}/clip.mp4?v={number}"


def words(count: int, seed: int) -> str:
    """Words without URLs."""
    chance = random.Random(seed)
    return " ".join(chance.choice(WORDS) for _ in range(count))


def row(number: int) -> dict[str, Any]:
    """A row of a legacy table: two URLs, one row in ten has a temporary one."""
    url = signed(number) if number % 10 == 0 else public(number)
    return {
        "id": number,
        "prompt": words(24, number),
        "status": "completed",
        "settings": {"seed": number, "ratio": "16:9", "loop": False},
        "versions": [{"url": url, "thumbnailUrl": public(number + 1), "size": 11_212_386}],
    }


def texts(megabytes: float) -> dict[str, str]:
    """The documents that are measured, each about so many megabytes."""
    size = int(megabytes * 1_000_000)
    rows = [row(number) for number in range(size // 400)]
    lines = [
        f"{words(12, number)} {signed(number) if number % 10 == 0 else public(number)}"
        for number in range(size // 150)
    ]
    html = [
        f'<p>{words(10, n)}</p><video src="{signed(n).replace("&", "&amp;")}"></video>'
        for n in range(size // 420)
    ]
    return {
        "one JSON document": json.dumps(rows)[:size],
        "JSON in JSON": json.dumps([json.dumps(item) for item in rows])[:size],
        "NDJSON": "\n".join(map(json.dumps, rows))[:size],
        "log lines": "\n".join(lines)[:size],
        "HTML": "\n".join(html)[:size],
        "CSV": "\n".join(
            f'{n},"{words(8, n)}",{signed(n) if n % 10 == 0 else public(n)}' for n in range(size // 130)
        )[:size],
    }


def texts_without(megabytes: float) -> dict[str, str]:
    """The same without any URL."""
    size = int(megabytes * 1_000_000)
    plain = [{"id": n, "prompt": words(24, n), "tags": ["a", "b"], "size": n * 1.5} for n in range(size // 220)]
    return {
        "words without http": words(size // 5, 1)[:size],
        "JSON without http": json.dumps(plain)[:size],
        "HTML without http": "\n".join(f'<p class="x">{words(10, n)}</p>' for n in range(size // 90))[:size],
    }


def measure(megabytes: float) -> list[dict[str, Any]]:
    """All rows of the table."""
    rows: list[dict[str, Any]] = []
    for name, text in texts(megabytes).items():
        million = len(text) / 1e6
        yardstick = best_of(lambda text=text: PLAIN.findall(text))
        ours = best_of(lambda text=text: find(text), 3)
        found = {finding.url: "https://new.example.com/a.mp4" for finding in find(text)}
        rewriting = best_of(lambda text=text, found=found: replace(text, found), 3)
        rows.append(
            {
                "what": name,
                "re MB/s": million / yardstick,
                "find MB/s": million / ours,
                "replace MB/s": million / rewriting,
                "URLs/s": len(PLAIN.findall(text)) / ours,
                "cost": ours / yardstick,
            }
        )
    for name, text in texts_without(megabytes).items():
        million = len(text) / 1e6
        yardstick = best_of(lambda text=text: "http" in text, 15)
        ours = best_of(lambda text=text: find(text), 15)
        rows.append(
            {"what": name, "in MB/s": million / yardstick, "find MB/s": million / ours, "cost": ours / yardstick}
        )
    for name, url in (("classify signed URLs", signed), ("classify public URLs", public)):
        urls = [url(number) for number in range(5000)]
        rows.append(
            {"what": name, "URLs/s": len(urls) / best_of(lambda urls=urls: [classify(u) for u in urls], 3)}
        )
    short = [words(12, number) for number in range(100_000)]
    took = best_of(lambda: [may_contain(text) for text in short])
    rows.append({"what": "may_contain, rows of 70 characters", "rows/s": len(short) / took})
    encoded = [text.encode() for text in short]
    took = best_of(lambda: [may_contain(data) for data in encoded])
    rows.append({"what": "may_contain, the same as bytes", "rows/s": len(short) / took})
    return rows


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--megabytes", type=float, default=2.0)
    options = parser.parse_args()
    rows = measure(options.megabytes)
    if options.json:
        json.dump(rows, sys.stdout, indent=1)
        print()
        return
    for line in rows:
        figures = "  ".join(
            f"{key} {value:,.2f}" if value < 100 else f"{key} {value:,.0f}"
            for key, value in line.items()
            if key != "what"
        )
        print(f"{line['what']:36}{figures}")


if __name__ == "__main__":
    main()
