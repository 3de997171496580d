"""The one table of file types: what each is, how it is called, what its bytes look like where they do not tell.

Discovery, providers, storage and downloads ask here by extension or Content-Type; by bytes one asks
:func:`video_assets.media.formats.recognise`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal[
    "video", "image", "audio", "playlist", "archive", "subtitle", "model", "document", "empty", "unknown"
]


@dataclass(frozen=True, slots=True)
class FileFormat:
    """One format. ``document`` covers what people read: html, xml, json, text, pdf."""

    kind: Kind
    name: str
    mime: str
    extension: str
    """Without a dot."""
    looks: str = ""
    """For a format that its first bytes do not tell: name of the general format they look like (``text``,
    ``json``, ``xml``, ``zip``, ``unknown``). Its name or the source's Content-Type tell it then."""


MP4 = FileFormat("video", "mp4", "video/mp4", "mp4")
MOV = FileFormat("video", "mov", "video/quicktime", "mov")
THREE_GP = FileFormat("video", "3gp", "video/3gpp", "3gp")
M4A = FileFormat("audio", "m4a", "audio/mp4", "m4a")
WEBM = FileFormat("video", "webm", "video/webm", "webm")
WEBA = FileFormat("audio", "weba", "audio/webm", "weba")
MKV = FileFormat("video", "mkv", "video/x-matroska", "mkv")
MKA = FileFormat("audio", "mka", "audio/x-matroska", "mka")
AVI = FileFormat("video", "avi", "video/x-msvideo", "avi")
MPEG_TS = FileFormat("video", "ts", "video/mp2t", "ts")
MPEG_PS = FileFormat("video", "mpg", "video/mpeg", "mpg")
FLV = FileFormat("video", "flv", "video/x-flv", "flv")
WMV = FileFormat("video", "wmv", "video/x-ms-wmv", "wmv")
WMA = FileFormat("audio", "wma", "audio/x-ms-wma", "wma")
MXF = FileFormat("video", "mxf", "application/mxf", "mxf")
OGV = FileFormat("video", "ogv", "video/ogg", "ogv")
PNG = FileFormat("image", "png", "image/png", "png")
JPEG = FileFormat("image", "jpeg", "image/jpeg", "jpg")
WEBP = FileFormat("image", "webp", "image/webp", "webp")
GIF = FileFormat("image", "gif", "image/gif", "gif")
AVIF = FileFormat("image", "avif", "image/avif", "avif")
HEIC = FileFormat("image", "heic", "image/heic", "heic")
JXL = FileFormat("image", "jxl", "image/jxl", "jxl")
JP2 = FileFormat("image", "jp2", "image/jp2", "jp2")
BMP = FileFormat("image", "bmp", "image/bmp", "bmp")
TIFF = FileFormat("image", "tiff", "image/tiff", "tiff")
ICO = FileFormat("image", "ico", "image/x-icon", "ico")
PSD = FileFormat("image", "psd", "image/vnd.adobe.photoshop", "psd")
EXR = FileFormat("image", "exr", "image/x-exr", "exr")
SVG = FileFormat("image", "svg", "image/svg+xml", "svg", looks="xml")
MP3 = FileFormat("audio", "mp3", "audio/mpeg", "mp3")
WAV = FileFormat("audio", "wav", "audio/wav", "wav")
OGG = FileFormat("audio", "ogg", "audio/ogg", "ogg")
FLAC = FileFormat("audio", "flac", "audio/flac", "flac")
AAC = FileFormat("audio", "aac", "audio/aac", "aac")
AC3 = FileFormat("audio", "ac3", "audio/ac3", "ac3")
AIFF = FileFormat("audio", "aiff", "audio/aiff", "aiff")
CAF = FileFormat("audio", "caf", "audio/x-caf", "caf")
AMR = FileFormat("audio", "amr", "audio/amr", "amr")
MIDI = FileFormat("audio", "midi", "audio/midi", "mid")
M3U8 = FileFormat("playlist", "m3u8", "application/vnd.apple.mpegurl", "m3u8")
MPD = FileFormat("playlist", "mpd", "application/dash+xml", "mpd")
ZIP = FileFormat("archive", "zip", "application/zip", "zip")
GZIP = FileFormat("archive", "gzip", "application/gzip", "gz")
SEVEN_ZIP = FileFormat("archive", "7z", "application/x-7z-compressed", "7z")
RAR = FileFormat("archive", "rar", "application/vnd.rar", "rar")
TAR = FileFormat("archive", "tar", "application/x-tar", "tar")
BZIP2 = FileFormat("archive", "bzip2", "application/x-bzip2", "bz2")
XZ = FileFormat("archive", "xz", "application/x-xz", "xz")
ZSTD = FileFormat("archive", "zstd", "application/zstd", "zst")
SRT = FileFormat("subtitle", "srt", "application/x-subrip", "srt")
VTT = FileFormat("subtitle", "vtt", "text/vtt", "vtt")
ASS = FileFormat("subtitle", "ass", "text/x-ssa", "ass")
TTML = FileFormat("subtitle", "ttml", "application/ttml+xml", "ttml", looks="xml")
GLB = FileFormat("model", "glb", "model/gltf-binary", "glb")
PLY = FileFormat("model", "ply", "model/ply", "ply")
FBX = FileFormat("model", "fbx", "application/octet-stream", "fbx")
PDF = FileFormat("document", "pdf", "application/pdf", "pdf")
HTML = FileFormat("document", "html", "text/html", "html")
XML = FileFormat("document", "xml", "application/xml", "xml")
JSON = FileFormat("document", "json", "application/json", "json")
TEXT = FileFormat("document", "text", "text/plain", "txt")
EMPTY = FileFormat("empty", "empty", "application/octet-stream", "bin")
UNKNOWN = FileFormat("unknown", "unknown", "application/octet-stream", "bin")

WRITTEN: Final = (HTML, XML, JSON, TEXT)
"""What an error page may come as: taken for a file only where such a file was asked for."""

_BY_BYTES = (
    MP4, MOV, THREE_GP, M4A, WEBM, WEBA, MKV, MKA, AVI, MPEG_TS, MPEG_PS, FLV, WMV, WMA, MXF, OGV,
    PNG, JPEG, WEBP, GIF, AVIF, HEIC, JXL, JP2, BMP, TIFF, ICO, PSD, EXR, SVG,
    MP3, WAV, OGG, FLAC, AAC, AC3, AIFF, CAF, AMR, MIDI, M3U8, MPD,
    ZIP, GZIP, SEVEN_ZIP, RAR, TAR, BZIP2, XZ, ZSTD, SRT, VTT, ASS, TTML, GLB, PLY, FBX, PDF, *WRITTEN,
)  # fmt: skip
_BY_NAME = (
    FileFormat("document", "csv", "text/csv", "csv", "text"),
    FileFormat("document", "tsv", "text/tab-separated-values", "tsv", "text"),
    FileFormat("document", "markdown", "text/markdown", "md", "text"),
    FileFormat("document", "yaml", "application/yaml", "yaml", "text"),
    FileFormat("document", "log", "text/plain", "log", "text"),
    FileFormat("document", "rtf", "application/rtf", "rtf", "text"),
    FileFormat("document", "jsonl", "application/jsonl", "jsonl", "json"),
    FileFormat("document", "geojson", "application/geo+json", "geojson", "json"),
    FileFormat("document", "otio", "application/json", "otio", "json"),
    FileFormat("document", "edl", "text/plain", "edl", "text"),
    FileFormat("document", "fcpxml", "application/xml", "fcpxml", "xml"),
    FileFormat("document", "rss", "application/rss+xml", "rss", "xml"),
    FileFormat(
        "document",
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "docx",
        "zip",
    ),
    FileFormat(
        "document", "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx", "zip"
    ),
    FileFormat(
        "document",
        "pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "pptx",
        "zip",
    ),
    FileFormat("document", "epub", "application/epub+zip", "epub", "zip"),
    FileFormat("subtitle", "ssa", "text/x-ssa", "ssa", "text"),
    FileFormat("subtitle", "sbv", "text/plain", "sbv", "text"),
    FileFormat("subtitle", "lrc", "text/plain", "lrc", "text"),
    FileFormat("subtitle", "sub", "text/plain", "sub", "text"),
    FileFormat("model", "gltf", "model/gltf+json", "gltf", "json"),
    FileFormat("model", "usdz", "model/vnd.usdz+zip", "usdz", "zip"),
    FileFormat("model", "3mf", "model/3mf", "3mf", "zip"),
    FileFormat("model", "obj", "model/obj", "obj", "text"),
    FileFormat("model", "mtl", "model/mtl", "mtl", "text"),
    FileFormat("model", "usda", "text/plain", "usda", "text"),
    FileFormat("model", "cube", "text/plain", "cube", "text"),
    FileFormat("model", "stl", "model/stl", "stl", "unknown"),
    FileFormat("model", "splat", "application/octet-stream", "splat", "unknown"),
    FileFormat("video", "y4m", "video/x-yuv4mpeg", "y4m", "unknown"),
)
"""Formats whose bytes look like a more general one."""

_ALIASES: Final = {
    "m4v": "mp4", "mp4v": "mp4", "qt": "mov", "3g2": "3gp", "m4b": "m4a", "m4r": "m4a", "oga": "ogg",
    "opus": "ogg",    "m2ts": "ts", "mts": "ts", "mpeg": "mpg", "vob": "mpg", "asf": "wmv",
    "jpeg": "jpg", "jpe": "jpg", "jfif": "jpg", "apng": "png", "heif": "heic", "tif": "tiff", "cur": "ico",
    "wave": "wav", "aif": "aiff", "aifc": "aiff", "midi": "mid", "m3u": "m3u8", "tgz": "gz", "dfxp": "ttml",
    "htm": "html", "xhtml": "html", "text": "txt", "ndjson": "jsonl", "markdown": "md", "yml": "yaml",
}  # fmt: skip
"""Extensions that mean the same format as another."""

_BY_EXTENSION: Final = {entry.extension: entry for entry in (*_BY_NAME, *_BY_BYTES)}
_BY_MIME: Final = {
    entry.mime: entry
    for entry in reversed((*_BY_BYTES, *_BY_NAME))
    if entry.mime not in ("application/octet-stream", "text/plain", "application/json", "application/xml")
} | {entry.mime: entry for entry in (JSON, XML, TEXT)}
_EXTENSION = re.compile(r"[a-z0-9]{1,12}")


def by_extension(extension: str) -> FileFormat | None:
    """The format that files with this extension (without a dot, any case) should have; None if unknown."""
    wanted = extension.lower()
    return _BY_EXTENSION.get(_ALIASES.get(wanted, wanted))


def by_mime(mime: str) -> FileFormat | None:
    """The format of a Content-Type (parameters are ignored); None for an unknown or a general one."""
    return _BY_MIME.get(mime.partition(";")[0].strip().lower())


def extension_of(name: str) -> str:
    """The extension of a file name or a URL's path, in lower case; empty when it has none that is one."""
    last = name.rpartition("/")[2]
    stem, dot, extension = last.rpartition(".")
    extension = extension.lower()
    return extension if stem and dot and _EXTENSION.fullmatch(extension) else ""
