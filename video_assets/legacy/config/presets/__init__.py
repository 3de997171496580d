"""Presets: the shapes of five well-known systems that kept temporary URLs, each with an example to try."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from video_assets.legacy.config.presets import (
    clip_blobs,
    generated_cards,
    heygen_content,
    kie_gallery,
    sora_videos,
)
from video_assets.legacy.config.presets.preset import Fate, Preset

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        module.PRESET.name: module.PRESET
        for module in (generated_cards, sora_videos, heygen_content, clip_blobs, kie_gallery)
    }
)
"""Every preset by name."""

__all__ = ["PRESETS", "Fate", "Preset"]
