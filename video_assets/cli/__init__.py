"""The command line: ``video-assets``. One module per group of commands; thin, they call the domain and report.

Exit codes: 0 done, 1 a negative answer, 2 bad input or configuration, 3 something is unavailable.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The console script. Ends the process with the command's exit code."""
    from video_assets.cli.app import run

    sys.exit(run())
