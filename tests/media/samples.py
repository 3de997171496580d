"""Real files in many shapes, made with FFmpeg's own program: longer tracks, edit lists, odd containers."""

from __future__ import annotations

import subprocess
from pathlib import Path

SHORT, LONG = "2", "9"
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "24")
AAC = ("-c:a", "aac")


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg; raises CalledProcessError with what it said."""
    subprocess.run(
        ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)],
        check=True,
        capture_output=True,
    )


def picture(seconds: str, rate: int = 24) -> tuple[str, ...]:
    """Input arguments: a moving test picture."""
    return ("-f", "lavfi", "-i", f"testsrc2=s=160x120:r={rate}:d={seconds}")


def tone(seconds: str) -> tuple[str, ...]:
    """Input arguments: a tone."""
    return ("-f", "lavfi", "-i", f"sine=f=440:d={seconds}")


def both(path: Path, video: str, audio: str, *options: str) -> Path:
    """A file with a picture track and a sound track of their own lengths."""
    ffmpeg(*picture(video), *tone(audio), *(options or (*X264, *AAC)), path)
    return path


def subtitles(path: Path, until: int = 20) -> Path:
    """A subtitle file whose last line ends at ``until`` seconds."""
    path.write_text(f"1\n00:00:00,000 --> 00:00:01,000\nHi\n\n2\n00:00:08,000 --> 00:00:{until},000\nLate\n")
    return path
