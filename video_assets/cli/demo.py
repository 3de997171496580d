"""``video-assets demo``: the main job, end to end, on embedded defaults and local stand-ins for the providers."""

from __future__ import annotations

import typer


def mount(app: typer.Typer) -> None:
    """Add the command."""
