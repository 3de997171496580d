"""``python -m video_assets.emulator``: run the emulator until interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from video_assets.emulator.emulator import Emulator
from video_assets.emulator.plans import describe


def main(arguments: list[str] | None = None) -> int:
    """Parse ``arguments``, print the addresses and keys, serve until SIGINT or SIGTERM."""
    knobs = "\n".join(f"  {name} (default {default!r}): {meaning}" for name, default, meaning in describe())
    parser = argparse.ArgumentParser(
        "python -m video_assets.emulator",
        description=__doc__,
        epilog=f"directives, in a prompt as [emulator: name=value, …]:\n{knobs}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--state-dir", type=Path, help="keep rendered videos here between runs")
    parser.add_argument("--time-scale", type=float, default=1.0, help="0.1 makes jobs ten times faster")
    parser.add_argument("--runway-key", help="the key Runway accepts; by default a new one each time")
    parser.add_argument("--luma-key", help="the key Luma accepts; by default a new one each time")
    parser.add_argument("--runway-concurrency", type=int, default=20)
    parser.add_argument("--luma-concurrency", type=int, default=10)
    options = parser.parse_args(arguments)
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    with Emulator(
        options.port,
        host=options.host,
        state_dir=options.state_dir,
        time_scale=options.time_scale,
        runway_key=options.runway_key,
        luma_key=options.luma_key,
        runway_concurrency=options.runway_concurrency,
        luma_concurrency=options.luma_concurrency,
    ) as emulator:
        sys.stdout.write(
            f"control page  {emulator.url}/\n"
            f"Runway        {emulator.runway_base_url}  key {emulator.runway_key}\n"
            f"Luma          {emulator.luma_base_url}  key {emulator.luma_key}\n"
        )
        sys.stdout.flush()
        done.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
