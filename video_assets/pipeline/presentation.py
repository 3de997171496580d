"""How the assets present themselves in Dagster's catalog: owners, tags, and the tables behind them.

Tags are for selections (``tag:video_assets/touches=source``); the schema of a table comes from the model that
defines it, so that the UI shows the columns as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import dagster as dg
from sqlmodel import SQLModel

OWNERS = ["team:video-assets"]
"""Whom to ask; ``Definitions.map_asset_specs`` puts another team in its place."""

TOUCHES_TAG = "video_assets/touches"
"""The tag that names what materialising an asset changes outside Dagster and the catalog."""


def touches(what: Literal["provider", "storage", "source", "nothing"]) -> dict[str, str]:
    """The tag of an asset that calls a paid provider, writes to the durable store, rewrites a legacy source, or
    only reads."""
    return {TOUCHES_TAG: what}


def catalog_table(model: type[SQLModel]) -> Mapping[str, Any]:
    """Definition metadata of an asset that is rows of this table of the catalog: its name and its columns.

    Not for an asset of files: the columns would stand above its poster and its links.
    """
    table = SQLModel.metadata.tables[str(model.__tablename__)]
    columns = [
        dg.TableColumn(
            column.name,
            str(column.type).lower(),
            constraints=dg.TableColumnConstraints(nullable=bool(column.nullable), unique=bool(column.unique)),
        )
        for column in table.columns
    ]
    return {
        "dagster/table_name": table.name,
        "dagster/column_schema": dg.TableSchema(columns=columns),
    }


def table_value(rows: Sequence[Mapping[str, str | int]], columns: Mapping[str, str]) -> dg.TableMetadataValue:
    """Rows as a table of the UI. ``columns`` maps the name of each column to its type, ``string`` or ``int``."""
    return dg.MetadataValue.table(
        [dg.TableRecord(row) for row in rows],
        dg.TableSchema(columns=[dg.TableColumn(name, kind) for name, kind in columns.items()]),
    )
