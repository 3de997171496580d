"""``video-assets config``: what is in force, where each value comes from, and what every setting means."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from dotenv import dotenv_values
from pydantic import SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from video_assets.cli.config.docs import render
from video_assets.cli.output import JsonOption, cell, console, print_json, table
from video_assets.settings import Settings, get_settings

app = typer.Typer(help="The configuration.", no_args_is_help=True, rich_markup_mode=None)

HIDDEN = "set (hidden)"
ENV_FILE = Path(".env")


@app.callback()
def _config() -> None:
    pass


@dataclass(frozen=True, slots=True)
class SettingLine:
    """One setting as it may be shown."""

    name: str
    variable: str
    value: Any
    source: str
    """``default``, ``environment`` or ``.env``."""


def setting_lines(settings: Settings) -> list[SettingLine]:
    """Every setting, secrets hidden, with where its value came from."""
    environment = {name.upper() for name in os.environ}
    from_file = {name.upper() for name in dotenv_values(ENV_FILE)} if ENV_FILE.is_file() else set()
    lines = []
    for name in Settings.model_fields:
        variable = f"VIDEO_ASSETS_{name.upper()}"
        source = "environment" if variable in environment else ".env" if variable in from_file else "default"
        lines.append(SettingLine(name, variable, _shown(name, getattr(settings, name)), source))
    return lines


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, SecretStr):
        return _database(value.get_secret_value()) if name == "database_url" else HIDDEN
    return str(value) if isinstance(value, Path) else value


def _database(url: str) -> str:
    """Where the database is, without its password and without a query, which may hold one."""
    try:
        return make_url(url).set(query={}).render_as_string(hide_password=True)
    except ArgumentError:
        return HIDDEN


@app.command()
def show(as_json: JsonOption = False) -> None:
    """What is in force, secrets hidden, and where each value came from.

    \b
    Examples:
      video-assets config show
      VIDEO_ASSETS_STORAGE=s3 video-assets config show --json
    """
    settings = get_settings()
    lines = setting_lines(settings)
    if as_json:
        print_json(
            {
                "settings": {
                    line.name: {"value": line.value, "variable": line.variable, "source": line.source}
                    for line in lines
                },
                "catalog": _database(settings.catalog_url),
                "storage_root": settings.local_storage_root.absolute(),
                "env_file": ENV_FILE.absolute() if ENV_FILE.is_file() else None,
            }
        )
        return
    made = table("setting", "value", "from")
    for line in lines:
        value = "—" if line.value in (None, (), {}) else line.value
        if isinstance(value, dict):
            value = tuple(f"{name}={one}" for name, one in value.items())
        if isinstance(value, tuple):
            value = ", ".join(str(item) for item in value)
        made.add_row(
            cell(line.variable), cell(value), cell(line.source, "dim" if line.source == "default" else "bold")
        )
    console().print(made)


@app.command()
def docs() -> None:
    """Every setting with its default and meaning, in Markdown: the source of docs/configuration.md."""
    typer.echo(render(), nl=False)
