"""``python -m video_assets.web``: runs the media server until it is told to stop."""

from __future__ import annotations

import argparse
import sys

import uvicorn

from video_assets.settings import get_settings
from video_assets.storage import StorageFailed
from video_assets.web.app import create_app


def main() -> int:
    """Serve on the address of the settings, or on the one given; returns the exit code."""
    settings = get_settings()
    parser = argparse.ArgumentParser(prog="python -m video_assets.web", description="The media server.")
    parser.add_argument("--host", default=settings.media_host, help="address to listen on (%(default)s)")
    parser.add_argument("--port", default=settings.media_port, type=int, help="port; 0 picks one (%(default)s)")
    arguments = parser.parse_args()
    try:
        app = create_app(settings)
    except StorageFailed as error:
        print(error, file=sys.stderr)  # noqa: T201 - this is a command
        return 1
    uvicorn.run(app, host=arguments.host, port=arguments.port, server_header=False, timeout_graceful_shutdown=5)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
