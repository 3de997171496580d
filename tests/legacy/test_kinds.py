"""What kind of file a link of a row is taken for: by its extension first, then by the names around it."""

from __future__ import annotations

import pytest

from video_assets.legacy.config.models import Column
from video_assets.legacy.search.rows import _guess, kind_of_name


@pytest.mark.parametrize(
    ("column", "pointer", "name", "kind"),
    [
        ("url", "/cover", "a.mp4", "video"),
        ("url", "/thumbnail", "a.webp", "thumbnail"),
        ("url", "/thumbnail", "a", "thumbnail"),
        ("url", "/preview", "a.webm", "video"),
        ("url", "/clips/0", "a.mov", "clip"),
        ("url", "/clip", "a.jpg", "image"),
        ("url", "/captioned", "a.ass", "subtitle"),
        ("video_url", "", "words.json", "file"),
        ("video_url", "", "a.pdf?x=1", "file"),
        ("url", "", "a.glb", "file"),
        ("url", "", "a.svg", "image"),
        ("url", "", "a.opus#t=1", "audio"),
        ("url", "", "a.gif", "gif"),
        ("url", "", "stream.m3u8", "video"),
        ("url", "", "a", "video"),
        ("image_url", "", "1234", "image"),
    ],
)
def test_the_extension_tells_the_family_and_the_place_tells_the_rest(
    column: str, pointer: str, name: str, kind: str
) -> None:
    assert _guess(Column(name=column), pointer, f"https://cdn.example.com/v1.2/{name}") == kind


def test_a_name_without_a_known_extension_tells_nothing() -> None:
    assert [kind_of_name(name) for name in ("a", "a.unknown", ".mp4", "v1.2/file")] == [None] * 4
