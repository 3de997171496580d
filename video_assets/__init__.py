"""video_assets: every generated video is safe before its link dies, and anyone can check it."""

__version__ = "0.2.0"
