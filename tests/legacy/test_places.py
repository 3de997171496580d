"""Pointers that are kept and shown hold no secret, even where a key of the document is a URL or a token."""

from __future__ import annotations

import pytest

from video_assets.legacy.search.json_pointer import kept_pointer

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjQxMDI0NDQ4MDB9.c2lnbmF0dXJlLW9mLXRoZS1saW5r"


@pytest.mark.parametrize("pointer", [None, "", "/versions/0/url", "/a b/c.d-e/_f"])
def test_an_ordinary_pointer_stays_as_it_is(pointer: str | None) -> None:
    assert kept_pointer(pointer) == (pointer or "")


@pytest.mark.parametrize(
    ("pointer", "secret"),
    [
        (f"/by_url/https:~1~1cdn.example.com~1v.mp4?_jwt={TOKEN}", TOKEN),
        (f"/{TOKEN}/video", TOKEN),
        ("/files/https:~1~1user:s3cr3tpassw0rd@host.example.com~1v.mp4/size", "s3cr3tpassw0rd"),
    ],
)
def test_a_key_that_is_a_url_or_a_token_loses_its_secret(pointer: str, secret: str) -> None:
    kept = kept_pointer(pointer)
    assert secret not in kept
    assert kept.count("/") == pointer.count("/"), "it still points into the same depth"
