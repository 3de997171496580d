"""The code location: the studio's own executor and IO manager, and video_assets beside its own assets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from studio.assets import captions, newsletter
from video_assets import build_defs


class Warehouse(dg.IOManager):
    """Takes texts and nothing else, as a warehouse takes data frames."""

    def __init__(self) -> None:
        self.stored: list[str] = []

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        if not isinstance(obj, str):
            raise TypeError(f"{context.step_key} gave the warehouse a {type(obj).__name__}")
        self.stored.append(obj)

    def load_input(self, context: dg.InputContext) -> object:
        raise NotImplementedError


warehouse = Warehouse()


def studio(settings: Mapping[str, str] | None = None, **resources: Any) -> dg.Definitions:
    videos = build_defs(settings=settings, **resources)
    return dg.Definitions.merge(
        dg.Definitions(
            assets=[captions, newsletter],
            jobs=[dg.define_asset_job("send_newsletter", "newsletter")],
            resources={"io_manager": warehouse},
            executor=dg.multiprocess_executor,
        ),
        videos.map_asset_specs(func=lambda spec: spec.replace_attributes(owners=["team:studio"])),
    )


defs = studio({"legacy_horizon": "PT48H", "encryption_key": dg.EnvVar("STUDIO_KEY")})
