"""What ``redact`` hides under a name of a URL is at least a credential: one table answers both questions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from video_assets.urls import Kind, classify, find, redact
from video_assets.urls.schemes.secret_names import LIKELY_NAMES, SECRET_NAMES, may_name_a_secret
from video_assets.urls.syntax.tokens import is_short_key

HEX = "0f3c9a7be1d2456789ab0c1d2e3f4a5b"
KEY = "Ab3dE9xQ2zLmN0pRsTuVwXyZ12"

MORE_NAMES = [
    "pub_secret",
    "vkey",
    "pkey",
    "X-Plex-Token",
    "FAL_KEY",
    "upload_signature",
    "Secret_Token",
    "my.api_key",
]
NAMES = sorted(SECRET_NAMES | LIKELY_NAMES) + MORE_NAMES
VALUES = [
    *(KEY, HEX, "dOIZjb4YQg", "s-Ab3De", "hunter", "bold", "winter-sale", "12345678", "2027-01-15", "main", "v2"),
    *("k3Jx0pQz7sVbN1m%2Bq8Yt%3D%3D", "a%2Fb%2Bc9Zq", "YOUR_TOKEN", "{token}", "true", "sha256", "0"),
]
PLACES = [
    *("https://cdn.example.com/a?{}", "https://cdn.example.com/a?b=1&{}&c=2", "https://cdn.example.com/a#{}"),
    *("https://cdn.example.com/{}/a.mp4", "//cdn.example.com/a?b=1&amp;{}", "https://cdn.example.com/a?q=1%26{}"),
    "https://proxy.example.com/?to=https%3A%2F%2Fcdn.example.com%2Fa%3F{}",
]


@given(
    st.one_of(st.sampled_from(NAMES), st.text("abkeytokensecretsig_-", min_size=3, max_size=16)),
    st.one_of(st.sampled_from(VALUES), st.text("abcXYZ019_-", min_size=1, max_size=30)),
    st.sampled_from(PLACES),
)
@settings(max_examples=3000, deadline=None)
def test_whatever_is_hidden_by_its_name_is_reported(name: str, value: str, place: str) -> None:
    url = place.format(f"{name}={value}")
    if redact(url) != url:
        assert classify(url).kind is not Kind.PERMANENT
        assert len(find(f"see {url} here")) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_key_under_any_name_of_the_table_is_hidden_and_reported_or_neither(name: str) -> None:
    assert may_name_a_secret(name.lower())
    url = f"https://cdn.example.com/a?{name}={KEY}"
    is_hidden = KEY not in redact(url)
    assert is_hidden is (classify(url).kind is not Kind.PERMANENT)
    assert is_hidden or name in LIKELY_NAMES  # checksums and counters: secret only where a scheme says so


@pytest.mark.parametrize(
    "url",
    [
        "https://files.slack.com/files-pri/T0-F0/x.png?pub_secret=0a1b2c3d4e",
        f"https://cdn.example.com/a?vkey={HEX}",
        f"https://cdn.example.com/a?pkey={HEX}",
        "https://plex.example.com:32400/library/parts/1/a.mkv?X-Plex-Token=xYzabcdefghijkQwErty",
        "https://cdn.example.com/a?key=dOIZjb4YQg",
        "https://cdn.example.com/a?secret_token=s-Ab3De",
    ],
)
def test_keys_that_people_paste_are_credentials(url: str) -> None:
    assert classify(url).kind is Kind.CREDENTIAL_ONLY
    assert url.rpartition("=")[2] not in redact(url)


def test_ten_characters_of_a_machine_are_told_from_words_in_camel_case() -> None:
    assert all(map(is_short_key, ["dOIZjb4YQg", "aB3dE5fG7h", "qWbTzKpLmX", "x7Yk2LmQ9p"]))
    words = ["PlayerView", "VideoPlayer", "iPhone12Pro", "HttpServer", "UserId2024", "myVideoKey", "ABCDEFGHIJ"]
    assert not any(map(is_short_key, words))
