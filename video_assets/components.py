"""Components for projects that Dagster's ``dg`` command line manages: definitions placed by a ``defs.yaml``.

``VideoAssets`` is ``build_defs()``. A legacy source is described in the legacy configuration file, which the
command line reads too; ``LegacySource`` says when that source is read and proven.
"""

from __future__ import annotations

import re

import dagster as dg
from dagster.components import Component, ComponentLoadContext, Model, Resolvable, Scaffolder, ScaffoldRequest
from pydantic import Field

from video_assets.definitions import build_defs
from video_assets.pipeline.legacy.assets import inventory_job, proof_job
from video_assets.pipeline.partitions import add_keys, legacy_sources
from video_assets.pipeline.run_tags import SOURCE_TAG


class VideoAssets(Component, Resolvable, Model):
    """All assets, checks, jobs, sensors and schedules of video_assets. Once per code location."""

    settings: dict[str, str] = Field(
        default={},
        description="Settings that differ from the VIDEO_ASSETS_* environment, by name as in "
        "docs/configuration.md. Secrets belong in the environment.",
        examples=[{"home": "/srv/video_assets", "legacy_horizon": "PT48H"}],
    )

    def build_defs(self, context: ComponentLoadContext) -> dg.Definitions:
        """Raises ValueError for a setting that does not exist and for a secret."""
        return build_defs(settings=self.settings)


class _LegacySourceParams(dg.Model):
    name: str = Field(description="The source's name in the legacy configuration file.")


class _LegacySourceScaffolder(Scaffolder[_LegacySourceParams]):
    @classmethod
    def get_scaffold_params(cls) -> type[_LegacySourceParams]:
        return _LegacySourceParams

    def scaffold(self, request: ScaffoldRequest[_LegacySourceParams]) -> None:
        attributes = {"name": request.params.name, "inventory": "0 * * * *", "proof": "30 3 * * *"}
        dg.scaffold_component(request, attributes)


@dg.scaffold_with(_LegacySourceScaffolder)
class LegacySource(Component, Resolvable, Model):
    """The schedules of one legacy source: when it is read, when it is proven. Needs ``VideoAssets`` beside it."""

    name: str = Field(description="The source's name in the legacy configuration file.", examples=["shop"])
    inventory: str | None = Field(
        default=None,
        description="Cron schedule of the inventory, which reads what is new.",
        examples=["0 * * * *"],
    )
    proof: str | None = Field(
        default=None, description="Cron schedule of the proof, which reads every row.", examples=["30 3 * * *"]
    )
    timezone: str = Field(default="UTC", description="Of both schedules, such as Europe/Berlin.")

    def build_defs(self, context: ComponentLoadContext) -> dg.Definitions:
        """Up to two schedules, running by default."""
        crons = {inventory_job.name: self.inventory, proof_job.name: self.proof}
        return dg.Definitions(schedules=[self._schedule(job, cron) for job, cron in crons.items() if cron])

    def _schedule(self, job: str, cron: str) -> dg.ScheduleDefinition:
        name = self.name

        @dg.schedule(
            name=f"{job}_{re.sub(r'[^A-Za-z0-9_]', '_', name)}",
            job_name=job,
            cron_schedule=cron,
            execution_timezone=self.timezone,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description=f"Starts {job} for the legacy source {name}.",
        )
        def due(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
            add_keys(context.instance, [name], legacy_sources)
            return dg.RunRequest(partition_key=name, tags={SOURCE_TAG: name})

        return due
