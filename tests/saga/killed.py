"""A run process that kills itself with SIGKILL right after one step of the saga. Used by test_killed.py.

Arguments: settings as JSON, generation id, step (or ``-`` for none), folder of the Dagster instance.
"""

from __future__ import annotations

import json
import os
import signal
import sys

import dagster as dg

from video_assets.definitions import build_defs
from video_assets.services import Services, open_services
from video_assets.settings import Settings
from video_assets.transfer.rescue.outputs import Step


def main() -> int:
    values, generation_id, step, folder = sys.argv[1:]
    settings = Settings(_env_file=None, **json.loads(values))

    def observer(seen: Step, _output_id: str) -> None:
        if seen == step:
            os.kill(os.getpid(), signal.SIGKILL)

    opened = open_services(settings)
    services = Services(settings, opened.catalog, opened.storage, opened.downloader, observer)
    instance = dg.DagsterInstance.from_config(folder)
    job = build_defs(services=services).resolve_job_def("host_video")
    result = job.execute_in_process(
        partition_key=generation_id,
        instance=instance,
        raise_on_error=False,
        asset_selection=[dg.AssetKey("hosted_video")],  # its checks need the media server
    )
    return 0 if result.success else 1


if __name__ == "__main__":
    sys.exit(main())
