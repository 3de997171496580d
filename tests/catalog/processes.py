"""Real processes that begin the same thing at the same moment."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

_PREAMBLE = """
import os, sys
from pathlib import Path
from video_assets.settings import Settings
number, url, home, key = int(sys.argv[1]), sys.argv[2] or None, Path(sys.argv[3]), sys.argv[4] or None
settings = Settings(_env_file=None, home=home, database_url=url, encryption_key=key)
import video_assets.catalog
print("ready", flush=True)
sys.stdin.readline()
"""


def run_together(
    count: int, code: str, *, home: Path, database_url: str | None = None, key: str | None = None
) -> list[str]:
    """Run ``code`` in ``count`` processes that are let go together; what each printed, in the order of starting.

    ``code`` sees ``number`` (from 0) and ``settings``. Raises AssertionError with the traceback of a failure.
    """
    script = _PREAMBLE + textwrap.dedent(code)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(number), database_url or "", str(home), key or ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise AssertionError(process.communicate()[1])
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        outcomes = []
        for process in processes:
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
            outcomes.append(out.strip())
        return outcomes
    finally:
        for process in processes:
            process.kill()
            process.wait()
