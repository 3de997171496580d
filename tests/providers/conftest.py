from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from video_assets.settings import Settings

from .wire import Wire

RUNWAY_KEY = "key_runway_0123456789abcdef"
LUMA_KEY = "luma-0123456789abcdef-secret"


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire() as server:
        yield server


@pytest.fixture
def settings_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Settings whose two providers live at one address; nothing of this machine's environment gets in."""
    for name in ("RUNWAY_API_KEY", "LUMA_API_KEY", "RUNWAY_BASE_URL", "LUMA_BASE_URL"):
        monkeypatch.delenv(f"VIDEO_ASSETS_{name}", raising=False)

    def build(url: str, **changes: Any) -> Settings:
        values: dict[str, Any] = {
            "home": tmp_path,
            "runway_api_key": RUNWAY_KEY,
            "luma_api_key": LUMA_KEY,
            "runway_base_url": url,
            "luma_base_url": f"{url}/dream-machine/v1",
            "provider_timeout_seconds": 20,
            "connect_timeout_seconds": 5,
        }
        return Settings(_env_file=None, **{**values, **changes})

    return build


@pytest.fixture
def settings(settings_for: Callable[..., Settings], wire: Wire) -> Settings:
    return settings_for(wire.url)
