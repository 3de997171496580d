"""A process that rescues outputs and kills itself with SIGKILL right after one step. Used by test_kept_files.py.

Arguments: settings as JSON, step, output ids.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace

from video_assets.services import open_services
from video_assets.settings import Settings
from video_assets.transfer.rescue.outputs import Step


def main() -> None:
    values, step, *output_ids = sys.argv[1:]

    def observer(seen: Step, _output_id: str) -> None:
        if seen == step:
            os.kill(os.getpid(), signal.SIGKILL)

    services = open_services(Settings(_env_file=None, **json.loads(values)))
    replace(services, observer=observer).rescuer.rescue(output_ids)


if __name__ == "__main__":
    main()
