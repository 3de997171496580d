"""Keys: what templates can express, and that no owner can be written so that it leaves its folder."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_assets.settings import Settings
from video_assets.storage.keys import InvalidKey, InvalidTemplate, KeyTemplate, safe_segment, validate_key

USER = "5f0e9d1c-7d1c-4a57-a7a1-0123456789ab"
# What Supabase Storage accepts in a key; the strictest store that is supported.
SUPABASE_KEY = re.compile(r"(?:[A-Za-z0-9_]|/|!|-|\.|\*|'|\(|\)| |&|\$|@|=|;|:|\+|,|\?)+")


@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("{owner}/{generation}/video-{index}.mp4", f"{USER}/video-1732000000000/video-2.mp4"),
        ("avatar_videos/avatar_{id}.mp4", "avatar_videos/avatar_42.mp4"),
        ("{owner}/{generation}/{kind}-{index}.{ext}", f"{USER}/video-1732000000000/thumbnail-2.webp"),
        ("{campaign}/{provider}/{id}.{ext}", "_/runway/42.webp"),
    ],
)
def test_the_layouts_of_real_systems_can_be_expressed(template: str, key: str) -> None:
    made = KeyTemplate.parse(template).render(
        owner=USER,
        generation="video-1732000000000",
        kind="thumbnail",
        index=2,
        ext=".WEBP",
        provider="runway",
        id="42",
    )
    assert made == key


def test_the_default_template_is_good() -> None:
    KeyTemplate.parse(Settings(_env_file=None).key_template)


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{user}/{id}.mp4", "unknown word {user}"),
        ("{}/{id}.mp4", "unknown word {}"),
        ("{owner.__class__}/{id}", "unknown word {owner.__class__}"),
        ("{id!r}.mp4", "without a format"),
        ("{index:03d}-{id}.mp4", "without a format"),
        ("{id", "is not a template"),
        ("id}", "is not a template"),
        ("", "same name"),
        ("{owner}/video.mp4", "same name"),
        ("{generation}.mp4", "same name"),
        ("{kind}-{index}.mp4", "same name"),
        ("/{id}.mp4", "not allowed"),
        ("../{id}.mp4", "not allowed"),
        ("a//{id}.mp4", "not allowed"),
        ("{id}/", "not allowed"),
        ("a\\{id}", "not allowed"),
        (".incoming/{id}", "not allowed"),
        ("x" * 1024 + "{id}", "not allowed"),
    ],
)
def test_a_template_that_cannot_work_is_refused_at_the_start(template: str, complaint: str) -> None:
    with pytest.raises(InvalidTemplate, match=re.escape(complaint)) as caught:
        KeyTemplate.parse(template)
    assert "VIDEO_ASSETS_KEY_TEMPLATE" in str(caught.value)


def test_an_output_without_the_id_that_the_template_needs_is_refused() -> None:
    with pytest.raises(InvalidKey, match="has none"):
        KeyTemplate.parse("{id}.mp4").render(owner="a", generation="g", kind="video", index=1, ext="mp4")


@pytest.mark.parametrize("plain", ["ana", USER, "video-1732000000000", "a.b_c-d", "user_01", "A1"])
def test_ordinary_names_stay_as_they_are(plain: str) -> None:
    assert safe_segment(plain) == plain


@pytest.mark.parametrize(
    "hostile",
    [
        "..",
        ".",
        "../../etc/passwd",
        "/etc",
        "a/b",
        "a\\b",
        "a\0b",
        "-rf",
        ".hidden",
        "a%2fb",
        "ana@example.com",
        "Zoë",
        "名前",
        "a b",
        "~root",
        "\ud800",
        "x" * 300,
        "con\n",
        "\u202eevil",
        "a" * 81,
    ],
)
def test_a_name_that_could_do_harm_becomes_one_harmless_segment(hostile: str) -> None:
    segment = safe_segment(hostile)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*_[0-9a-f]{16}", segment)
    assert validate_key(segment) == segment


def test_an_email_address_is_not_spelled_out_in_a_public_link() -> None:
    assert "ana" not in safe_segment("ana@example.com")


def test_nobody_can_take_the_name_that_was_made_for_somebody_else() -> None:
    theirs = safe_segment("Zoë")
    assert safe_segment(theirs) != theirs
    assert safe_segment("é") != safe_segment("e\u0301")


@given(st.lists(st.text(max_size=100), min_size=2, max_size=2, unique=True))
def test_two_names_never_share_a_segment(names: list[str]) -> None:
    assert safe_segment(names[0]) != safe_segment(names[1])


@given(owner=st.text(), generation=st.text(), kind=st.text(), ext=st.text(), index=st.integers(0, 10**9))
def test_whatever_is_filled_in_the_key_stays_inside_its_folders(
    owner: str, generation: str, kind: str, ext: str, index: int
) -> None:
    key = KeyTemplate.parse("{owner}/{generation}/{kind}-{index}.{ext}").render(
        owner=owner, generation=generation, kind=kind, index=index, ext=ext
    )
    assert validate_key(key) == key
    assert SUPABASE_KEY.fullmatch(key)
    assert key.count("/") == 2
    assert len(key) < 500


@given(st.text(alphabet=st.characters(codec=None), max_size=40))
def test_a_key_is_either_refused_or_safe(key: str) -> None:
    try:
        validate_key(key)
    except InvalidKey as error:
        str(error).encode()  # the message itself can be logged
        return
    segments = key.split("/")
    assert all(segment not in ("", ".", "..") for segment in segments)
    assert not re.search(r"[\x00-\x1f\x7f\\]", key)
