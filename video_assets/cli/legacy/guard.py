"""``legacy guard``: triggers that refuse temporary URLs in the columns that were cleaned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from video_assets.cli.failures import ExitCode
from video_assets.cli.legacy.sources import ConfigOption, SourceArguments, Stop, load
from video_assets.cli.output import JsonOption, cell, console, note, print_json, say, table
from video_assets.legacy.config.models import FILE_NAME, Source
from video_assets.legacy.errors import SourceError
from video_assets.legacy.guard.triggers import (
    GuardPlan,
    install_guard,
    installed_guards,
    plan_guard,
    remove_guard,
)

guard_app = typer.Typer(
    help="A standing guard: triggers that refuse temporary URLs in the columns that were cleaned.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def mount(app: typer.Typer) -> None:
    """Add the commands to the group ``legacy``."""
    app.add_typer(guard_app, name="guard")


EmitOption = Annotated[
    bool, typer.Option("--emit-sql", help="Only print the SQL, for review or for somebody who may run it.")
]


@guard_app.command("install")
def guard_install(
    sources: SourceArguments = None, config: ConfigOption = Path(FILE_NAME), emit_sql: EmitOption = False
) -> None:
    """Refuse temporary URLs from now on in every configured column. Installing again renews the rules.

    \b
    Examples:
      video-assets legacy guard install shop
      video-assets legacy guard install shop --emit-sql > guard.sql
    """
    _guard(load(config, sources), install_guard, emit_sql=emit_sql, removing=False)


@guard_app.command("remove")
def guard_remove(
    sources: SourceArguments = None, config: ConfigOption = Path(FILE_NAME), emit_sql: EmitOption = False
) -> None:
    """Take the guard away, without a trace."""
    _guard(load(config, sources), remove_guard, emit_sql=emit_sql, removing=True)


@guard_app.command("show")
def guard_show(
    sources: SourceArguments = None, config: ConfigOption = Path(FILE_NAME), as_json: JsonOption = False
) -> None:
    """Which columns are guarded. Exit code 1 when one that can be is not."""
    shown: list[dict[str, Any]] = []
    try:
        for source in load(config, sources):
            installed = set(installed_guards(source))
            shown += [
                {
                    "source": source.name,
                    "table": each.table,
                    "column": each.column,
                    "guarded": f"{each.trigger}_insert" in installed and f"{each.trigger}_update" in installed,
                    "why_not": each.why_not,
                }
                for each in plan_guard(source).columns
            ]
    except SourceError as exc:
        raise Stop(exc) from None
    if as_json:
        print_json(shown)
    else:
        made = table("source", "column", "guarded")
        for line in shown:
            state = "yes" if line["guarded"] else line["why_not"] or "no"
            made.add_row(
                cell(line["source"]),
                cell(f"{line['table']}.{line['column']}"),
                cell(state, "green" if line["guarded"] else "yellow"),
            )
        console().print(made)
    if any(not line["guarded"] and not line["why_not"] for line in shown):
        raise typer.Exit(ExitCode.NEGATIVE)


def _guard(
    sources: Sequence[Source], do: Callable[[Source], GuardPlan], *, emit_sql: bool, removing: bool
) -> None:
    try:
        for source in sources:
            if emit_sql:
                typer.echo(plan_guard(source).script(removing=removing))
                continue
            plan = do(source)
            guarded = [each for each in plan.columns if each.why_not is None]
            verb = "no longer guarded" if removing else "guarded"
            names = ", ".join(f"{each.table}.{each.column}" for each in guarded)
            say(f"{source.name}: {names or 'nothing'} {verb}")
            for each in plan.columns:
                if each.why_not is not None and not removing:
                    note(f"{each.table}.{each.column} is not guarded: {each.why_not}")
    except SourceError as exc:
        raise Stop(exc) from None
