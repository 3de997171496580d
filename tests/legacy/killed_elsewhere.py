"""Cuts batches, emits SQL or proves, and kills itself with SIGKILL. Used by test_killed_elsewhere.py.

Arguments: home, URL of the source, moment, at which occurrence (0: never).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.legacy.making import cards
from video_assets.legacy import process_batch as processing
from video_assets.legacy.inventory import batches
from video_assets.legacy.process_batch import Mode, process_batch
from video_assets.legacy.proof import full_scan, merkle
from video_assets.legacy.proof import write as proof_files
from video_assets.legacy.proof.prove import make_proof
from video_assets.legacy.proof.signing import load_signing_key
from video_assets.legacy.proof.write import write_proof
from video_assets.legacy.rewrite import sql_script as emit_sql
from video_assets.services import open_services
from video_assets.settings import Settings

SIZE = 5
"""Findings per batch."""
MOMENTS: dict[str, tuple[Any, str]] = {
    "plan.written": (batches, "_write"),
    "plan.noted": (batches, "_note"),
    "plan.closed": (batches, "_close"),
    "emit.added": (emit_sql.SqlFiles, "add"),
    "emit.drafted": (emit_sql.os, "fsync"),
    "emit.finished": (processing, "_conclude"),
    "prove.added": (merkle.Leaves, "add"),
    "prove.counted": (full_scan, "_count"),
    "prove.written": (proof_files.os, "fsync"),
}
"""What is done, and the function after which the process is killed."""


def die_after(real: Callable[..., Any], number: int) -> Callable[..., Any]:
    """``real``, but the process does not survive its ``number``-th call."""
    seen = 0

    def call(*args: Any, **more: Any) -> Any:
        nonlocal seen
        result = real(*args, **more)
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return call


def main(home: Path, url: str, moment: str, number: int) -> None:
    settings = Settings(_env_file=None, home=home)
    services, source = open_services(settings), cards(url)
    key = load_signing_key(home)
    owner, name = MOMENTS[moment]
    batches._BATCHES_AT_ONCE = 1
    setattr(owner, name, die_after(getattr(owner, name), number))
    if moment.startswith("plan"):
        batches.plan_batches(services.catalog, source.name, size=SIZE)
    elif moment.startswith("emit"):
        process_batch(services, source, "legacy:000001", mode=Mode.EMIT_SQL, sql_path=home / "change.sql")
    else:
        write_proof(home, source.name, make_proof(services.catalog, [source], key=key, scratch=settings.spool))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
