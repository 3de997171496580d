"""``video-assets serve``: the media server in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

from video_assets.cli.dev.supervisor import port_is_free
from video_assets.cli.failures import CommandFailed, ExitCode
from video_assets.cli.output import note
from video_assets.settings import get_settings


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; VIDEO_ASSETS_MEDIA_HOST.")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port to listen on; VIDEO_ASSETS_MEDIA_PORT."),
    ] = None,
) -> None:
    """Serve the durable videos: ranges, ETags, immutable caching. Until it is stopped with Ctrl-C.

    \b
    Example:
      video-assets serve --port 3080
    """
    import uvicorn

    from video_assets.web.app import create_app

    settings = get_settings()
    host = host if host is not None else settings.media_host
    port = port if port is not None else settings.media_port
    if port and not port_is_free(host, port):
        raise CommandFailed(
            f"Port {port} of {host} is taken: stop what listens there or give another with --port.",
            ExitCode.UNAVAILABLE,
        )
    note(f"The media server begins on http://{host}:{port}; durable links start with {settings.public_base_url}")
    uvicorn.run(
        create_app(settings),
        host=host,
        port=port,
        log_level="info",
        server_header=False,
        timeout_graceful_shutdown=5,
    )
