"""Hosts that delete what they made: nothing in the URL tells; the end is the file's creation plus a retention."""

from __future__ import annotations

import re
from datetime import timedelta

from video_assets.urls.parts import Parts
from video_assets.urls.schemes.model import Scheme, epoch, in_path

_VEO = re.compile(r"^/(?:download/)?v[0-9][a-z0-9]*/files/[^/]+|^/files/[^/]+")


def _has_file(parts: Parts) -> bool:
    return parts.path_end - parts.path_start > 1


RETENTION: tuple[Scheme, ...] = (
    Scheme(
        name="replicate",
        source=(
            "https://replicate.com/docs/topics/predictions/data-retention"
            " (API predictions; made on the web: kept)"
        ),
        hosts=("replicate.delivery",),
        when=_has_file,
        retention=timedelta(hours=1),
    ),
    Scheme(
        name="kie",
        source="https://docs.kie.ai: generated media are deleted after 14 days",
        hosts=("aiquickdraw.com",),
        when=lambda parts: parts.host.startswith("tempfile"),
        retention=timedelta(days=14),
    ),
    Scheme(
        name="kie_upload",
        source="seen on tempfile.redpandaai.co: uploads to KIE, short-lived, time not documented",
        hosts=("redpandaai.co",),
        when=lambda parts: parts.host.startswith("tempfile"),
    ),
    Scheme(
        name="kling",
        source="vendor's documents quoted in public repositories: cleared after 30 days",
        hosts=("klingai.com",),
        when=in_path(re.compile(r"^/bs2/")),
        retention=timedelta(days=30),
    ),
    Scheme(
        name="google_veo",
        source="https://ai.google.dev/gemini-api/docs/video (kept for two days; key is an API key)",
        hosts=("generativelanguage.googleapis.com",),
        when=in_path(_VEO),
        secret=("key",),
        retention=timedelta(days=2),
    ),
    Scheme(
        name="xai",
        source="https://docs.x.ai/docs/guides/image-generations: URLs are ephemeral, no time given",
        hosts=("imgen.x.ai", "vidgen.x.ai"),
        when=lambda parts: "xai-tmp" in parts.path,
    ),
    Scheme(
        name="ideogram",
        source="https://developer.ideogram.ai: image links are ephemeral (exp, sig)",
        hosts=("ideogram.ai",),
        when=in_path(re.compile(r"^/api/images/ephemeral/")),
        expires=epoch("exp"),
        secret=("sig",),
        volatile=("exp",),
    ),
    Scheme(
        name="shotstack",
        source="https://shotstack.io/docs/guide: rendered files in the output bucket are removed after 24 hours",
        hosts=("amazonaws.com",),
        when=lambda parts: parts.host.startswith("shotstack-api-") or parts.path.startswith("/shotstack-api-"),
        retention=timedelta(hours=24),
    ),
    Scheme(
        name="creatomate",
        source="https://creatomate.com/docs: renders are kept for 30 days",
        hosts=("backblazeb2.com", "cdn.creatomate.com"),
        when=lambda parts: "/creatomate-" in parts.path or parts.host == "cdn.creatomate.com",
        retention=timedelta(days=30),
    ),
)
