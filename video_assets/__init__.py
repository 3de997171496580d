"""video_assets: every generated video is safe before its link dies, and anyone can check it.

For a Dagster project of your own (docs/dagster.md): ``build_defs`` and the components ``VideoAssets`` and
``LegacySource``. They are imported when asked for, because Dagster takes a second to import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from video_assets.components import LegacySource, VideoAssets
    from video_assets.definitions import build_defs

__version__ = "0.2.0"
__all__ = ["LegacySource", "VideoAssets", "__version__", "build_defs"]

_HOMES = {
    "LegacySource": "video_assets.components",
    "VideoAssets": "video_assets.components",
    "build_defs": "video_assets.definitions",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
