"""Takes an inventory in a process of its own and kills itself, hard, at the n-th moment of a kind."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.legacy.making import cards, catalog_in
from video_assets.legacy.inventory import parallel as lanes
from video_assets.legacy.inventory import take as inventory


def main(home: str, url: str, moment: str, number: int) -> None:
    """``moment`` is one of: read, searched, recorded, committed; or lanes: committed, with several processes."""
    seen = 0

    def now(reached: str) -> None:
        nonlocal seen
        if reached == moment:
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    real_pages, real_record = inventory.pages, lanes.Searcher.record

    def pages(*args: object, **more: object) -> object:
        for page in real_pages(*args, **more):  # type: ignore[arg-type]
            now("read")
            yield page

    def record(*args: object) -> object:
        now("searched")
        result = real_record(*args)  # type: ignore[arg-type]
        now("recorded")  # inside the transaction: nothing of this page may remain
        return result

    if moment == "lanes":
        lanes.STRETCH_ROWS = 10
    inventory.pages = pages  # type: ignore[assignment]
    lanes.Searcher.record = record  # type: ignore[assignment,method-assign]
    reached = "lanes" if moment == "lanes" else "committed"
    inventory.take_inventory(catalog_in(Path(home)), cards(url), on_progress=lambda _: now(reached))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
