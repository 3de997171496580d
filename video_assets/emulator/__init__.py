"""A local server that speaks each provider's wire format and serves real videos whose links really die."""

from video_assets.emulator.emulator import Emulator

__all__ = ["Emulator"]
