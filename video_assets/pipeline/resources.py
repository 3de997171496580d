"""The one resource: the services of the process, opened at first use, never at import."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, get_args

import dagster as dg
from pydantic import Field, SecretStr

from video_assets.services import Services, open_services, process_services
from video_assets.settings import Settings
from video_assets.urls import install_redaction

ServicesParam = dg.ResourceParam[Services]
"""How assets, ops, checks and sensors ask for the services."""


class ServicesResource(dg.ConfigurableResource[Services]):
    """Settings, catalog, storage, downloader and providers of this process."""

    settings: dict[str, str] = Field(
        default={},
        description="Settings that differ from the VIDEO_ASSETS_* environment, written as there: "
        '{"home": "/srv/video_assets", "legacy_horizon": "PT48H"}.',
    )

    def create_resource(self, context: dg.InitResourceContext) -> Services:
        """Open the services once per process; whatever is logged from here on is redacted.

        Raises CatalogError, StorageFailed or a settings error, each saying what to do.
        """
        install_redaction()
        return _services_with(tuple(sorted(self.settings.items()))) if self.settings else process_services()


def services_resource(settings: Mapping[str, str] | None = None) -> ServicesResource:
    """The resource, with ``settings`` before those of the environment.

    Raises ValueError for a name that no setting has, and for a secret that is not a ``dg.EnvVar``: Dagster's UI
    shows the configuration of a resource, but of an ``EnvVar`` only the name.
    """
    for name, value in (settings or {}).items():
        field = Settings.model_fields.get(name)
        if field is None:
            raise ValueError(f"{name!r} is no setting; docs/configuration.md lists them, without VIDEO_ASSETS_")
        if SecretStr in (field.annotation, *get_args(field.annotation)) and not isinstance(value, dg.EnvVar):
            raise ValueError(f"{name!r} is a secret: give it as dg.EnvVar(…), or set VIDEO_ASSETS_{name.upper()}")
    return ServicesResource(settings=dict(settings or {}))


@lru_cache(maxsize=4)
def _services_with(settings: tuple[tuple[str, str], ...]) -> Services:
    texts: dict[str, Any] = dict(settings)  # parsed as the environment is
    return open_services(Settings(**texts))
