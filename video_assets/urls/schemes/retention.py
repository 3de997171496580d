"""Hosts that delete what they made: nothing in the URL tells; the end is the file's creation plus a retention."""

from __future__ import annotations

import re
from datetime import timedelta

from video_assets.urls.schemes.model import Scheme, both, epoch, in_path, on, without
from video_assets.urls.syntax.parts import Parts

_VEO = re.compile(r"^/(?:download/)?v[0-9][a-z0-9]*/files/[^/]+|^/files/[^/]+")


_SITE_ART = re.compile(r"^/[a-z]+(?:_[a-z]+)+/")
"""``/models_models_cover_image/``: what Replicate's own site shows, named after a table and its column."""
_KLING = re.compile(r"^/bs2/.")
_CONTENT = re.compile(r"/v[0-9]+/videos/[^/]+/content(?:/[a-z]+)?$")
_OPENAI_ID = re.compile(r"/videos/video_[0-9a-f]{16,}/content(?:/[a-z]+)?$")
_WAVESPEED = re.compile(r"^/predictions/[0-9a-f]{32}/[0-9]+\.[A-Za-z0-9]{2,5}$")
_NO_SIGNATURE = without("signature", "sig", "x-oss-signature", "x-tos-signature", "token")


def _has_file(parts: Parts) -> bool:
    """The bare origin, as pages name it to be connected to early, is no file."""
    return parts.path_end - parts.path_start > 1


def _lost_its_query(parts: Parts) -> bool:
    """Where links are signed as a rule, the signature tells the end; a redacted one is the name of a file."""
    return _has_file(parts) and _NO_SIGNATURE(parts) and not parts.placeholders


RETENTION: tuple[Scheme, ...] = (
    Scheme(
        name="replicate",
        source=(
            "https://replicate.com/docs/topics/predictions/data-retention"
            " (API predictions; made on the web: kept)"
        ),
        hosts=("replicate.delivery",),
        host_like=re.compile(r"^(?!weights\.)"),
        when=both(_has_file, lambda parts: _SITE_ART.search(parts.path) is None),
        retention=timedelta(hours=1),
    ),
    Scheme(
        name="kie",
        source="https://docs.kie.ai: generated media are deleted after 14 days",
        hosts=("aiquickdraw.com",),
        host_like=re.compile(r"^tempfile"),
        when=_has_file,
        retention=timedelta(days=14),
    ),
    Scheme(
        name="kie_upload",
        source="seen on tempfile.redpandaai.co: uploads to KIE, short-lived, time not documented",
        hosts=("redpandaai.co",),
        host_like=re.compile(r"^tempfile"),
        when=_has_file,
    ),
    Scheme(
        name="kling",
        source=(
            "vendor's documents quoted in public repositories: cleared after 30 days; its hosts in China and for"
            " images as seen in answers of the API (what its site shows is not below /bs2/)"
        ),
        hosts=("klingai.com", "ap4r.com", "inkwai.com", "kechuangai.com"),
        when=in_path(_KLING),
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
        hosts=("imgen.x.ai",),
        when=in_path(re.compile(r"^/xai-imgen/.|xai-tmp")),
    ),
    Scheme(
        name="xai",
        source="xai-sdk 1.21.0, video.py: the URL of a video is valid for 24 hours",
        hosts=("vidgen.x.ai",),
        when=_has_file,
        retention=timedelta(hours=24),
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
        when=both(
            _has_file,
            lambda parts: parts.host.startswith("shotstack-api-") or parts.path.startswith("/shotstack-api-"),
        ),
        retention=timedelta(hours=24),
    ),
    Scheme(
        name="creatomate",
        source=(
            "https://creatomate.com/docs/api/reference/file-retention: renders are kept for 30 days (media of"
            " templates stay)"
        ),
        hosts=("backblazeb2.com", "cdn.creatomate.com"),
        when=lambda parts: (
            "/creatomate-" in parts.path
            or (parts.host == "cdn.creatomate.com" and parts.path.startswith("/renders/"))
        ),
        retention=timedelta(days=30),
    ),
    Scheme(
        name="kling",
        source="seen in the vendor's own samples of answers: the same folders on a host of Kuaishou's network",
        hosts=("kwimgs.com",),
        when=in_path(re.compile(r"^/bs2/upload-ylab")),
        retention=timedelta(days=30),
    ),
    Scheme(
        name="runware",
        source=(
            "https://runware.ai/docs/models-api/zero-data-retention and the parameter ttl of every task: deleted"
            " when it ends; the end is not in the URL"
        ),
        hosts=("im.runware.ai", "vm.runware.ai", "am.runware.ai", "mm.runware.ai"),
        when=in_path(re.compile(r"^/(?:image|video|audio|model|3d)/.")),
    ),
    Scheme(
        name="wavespeed",
        source=(
            "https://wavespeed.ai/docs/what-are-predictions: outputs are deleted after 7 days (hosts as seen in"
            " answers of the API)"
        ),
        hint="/predictions/",
        when=both(on("cloudfront.net"), in_path(_WAVESPEED)),
        retention=timedelta(days=7),
    ),
    Scheme(
        name="together",
        source="together 3.1.1, samples of outputs.video_url and of image URLs: short-lived, time not documented",
        hosts=("api.together.ai", "api.together.xyz"),
        when=in_path(re.compile(r"^/(?:shrt|imgproxy)/.")),
    ),
    Scheme(
        name="openai_content",
        source=(
            "https://developers.openai.com/api/docs/guides/video-generation: content can be fetched, with a key,"
            " for at most an hour; gateways of the same shape keep its ids"
        ),
        hosts=("api.openai.com", "api.poe.com"),
        when=in_path(_CONTENT),
        retention=timedelta(hours=1),
    ),
    Scheme(
        name="openai_content",
        source="openai 3.57.0, resources/videos.py: the same route at any gateway, known by the id it hands on",
        hint="/videos/video_",
        when=in_path(_OPENAI_ID),
        retention=timedelta(hours=1),
    ),
    Scheme(
        name="openrouter_content",
        source="openrouter 1.3.84: unsigned_urls[] need the key and end at expires_at, which is not in them",
        hosts=("openrouter.ai",),
        when=in_path(re.compile(r"^/api/v1/videos/[^/]+/content")),
    ),
    Scheme(
        name="minimax",
        source="the vendor's answers of files/retrieve: unsigned, time-limited; asking again gives a fresh one",
        hosts=("cdn.minimax.io", "filecdn.minimax.chat"),
        when=in_path(re.compile(r"^/inference_output/.")),
    ),
    Scheme(
        name="dashscope",
        source="https://www.alibabacloud.com/help/model-studio: task and video_url are kept for 24 hours",
        hosts=("aliyuncs.com",),
        host_like=re.compile(r"^dashscope-"),
        when=_lost_its_query,
        retention=timedelta(hours=24),
    ),
    Scheme(
        name="seedance",
        source="BytePlus ModelArk and Volcengine Ark: video_url is kept for 24 hours (X-Tos-Expires=86400)",
        hosts=("volces.com", "bytepluses.com"),
        host_like=re.compile(r"^ark-content-generation"),
        when=_lost_its_query,
        retention=timedelta(hours=24),
    ),
    Scheme(
        name="black_forest_labs",
        source="https://docs.bfl.ai/quick_start/generating_images: signed URLs of delivery hosts live 10 minutes",
        hosts=("bfl.ai",),
        host_like=re.compile(r"^delivery-"),
        when=_lost_its_query,
        retention=timedelta(minutes=10),
    ),
    Scheme(
        name="heygen",
        source="https://docs.heygen.com: URLs end after 7 days and are signed anew by each status call",
        hosts=("files.heygen.ai", "files2.heygen.ai"),
        when=both(in_path(re.compile(r"/avatar_tmp/.")), _lost_its_query),
    ),
)
