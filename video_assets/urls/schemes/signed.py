"""The tables of every scheme that has a maker: the names of their secrets are secret outside of them too."""

from __future__ import annotations

from video_assets.urls.schemes.cdns import CDNS
from video_assets.urls.schemes.cdns_china import CDNS_CHINA
from video_assets.urls.schemes.clouds import CLOUDS
from video_assets.urls.schemes.clouds_china import CLOUDS_CHINA
from video_assets.urls.schemes.drives import DRIVES
from video_assets.urls.schemes.model import Scheme
from video_assets.urls.schemes.platforms import PLATFORMS
from video_assets.urls.schemes.retention import RETENTION

SIGNED: tuple[Scheme, ...] = CLOUDS + CLOUDS_CHINA + PLATFORMS + DRIVES + CDNS_CHINA + CDNS + RETENTION
