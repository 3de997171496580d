"""The one resource: the services of the process, opened at first use, never at import."""

import dagster as dg

from video_assets.services import Services, process_services
from video_assets.urls import install_redaction

ServicesParam = dg.ResourceParam[Services]
"""How assets, ops, checks and sensors ask for the services."""


@dg.resource(description="Settings, catalog, storage, downloader and providers of this process.")
def services_resource(_context: dg.InitResourceContext) -> Services:
    """Open the services once per process; whatever is logged from here on is redacted."""
    install_redaction()
    return process_services()
