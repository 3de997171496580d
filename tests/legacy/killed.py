"""A batch run, or an undo, that kills itself with SIGKILL right after one of its steps. Used by test_killed.py.

Arguments: settings as JSON, source as JSON, batch key (or ``undo``), step (or ``-``), at which occurrence.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading

from video_assets.legacy.config.models import Source
from video_assets.legacy.process_batch import Mode, process_batch
from video_assets.legacy.rewrite.undo import Selection, undo_rewrites
from video_assets.services import open_services
from video_assets.settings import Settings


def main() -> int:
    values, source_values, work, step, number = sys.argv[1:]
    services = open_services(Settings(_env_file=None, **json.loads(values)))
    source = Source.model_validate(json.loads(source_values))
    seen = itertools.count(1)
    lock = threading.Lock()

    def observer(heard: str, _what: str) -> None:
        with lock:
            if heard == step and next(seen) == int(number):
                os.kill(os.getpid(), signal.SIGKILL)

    if work == "undo":
        report = undo_rewrites(services, source, Selection(), observer=observer)
        return 0 if not report.refused else 1
    done = process_batch(
        services, source, work, mode=Mode.APPLY, observer=observer, rewrite_observer=observer
    ).is_done
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
