"""What holds for every text whatsoever: nothing raises, named secrets are really hidden."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from video_assets.urls import classify, fingerprint, redact
from video_assets.urls.schemes import SCHEMES
from video_assets.urls.schemes.credentials import EXPIRY_NAMES, SIGNATURE_NAMES
from video_assets.urls.schemes.secret_names import API_KEY_NAMES
from video_assets.urls.syntax.tokens import MARKER

NAMES = sorted(
    {name for scheme in SCHEMES for name in (*scheme.needs, *scheme.any_of) if "*" not in name}
    | {name for scheme in SCHEMES for name in scheme.secret if isinstance(name, str)}
    | {name.rstrip("*") for scheme in SCHEMES for name in scheme.volatile}
    | set(EXPIRY_NAMES + SIGNATURE_NAMES + API_KEY_NAMES)
    | {"X-Amz-Signature", "Expires", "Key-Pair-Id"}
)
HOSTS = [
    *sorted({host for scheme in SCHEMES for host in scheme.hosts}),
    "example.com",
    "localhost:80",
    "[::1]:9",
    "",
]
DIGESTS = [hashlib.sha256(bytes([n])).hexdigest()[:length] for n in range(4) for length in (8, 32, 40, 64)]
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE4MDAwMDAwMDB9.c2lnbmF0dXJlLXNpZ25hdHVyZQ"

values = st.one_of(
    st.sampled_from(
        [
            *DIGESTS,
            JWT,
            "1800000000",
            "1800000000000",
            "6b49d200",
            "20270115T080000Z",
            "2027-01-15T08%3A00%3A00Z",
            "1e400",
            "-1",
            "9" * 5000,
            "NaN",
            "Infinity",
            "inf",
            "1;2",
            "3600",
            "abc%2Bdef%3D%3D",
            "%00",
            "%",
            "%zz",
            "%ff",
            "a:b",
            f"exp=1800000000~acl=/*~hmac={DIGESTS[3]}",
            "eyJTdGF0ZW1lbnQiOltdfQ__",
            "{}",
            '{"expires":1e999}',
            "AIzaSyA1234567890abcdefghijklmnopqrstuv",
            MARKER,
            f"x{MARKER}y",
            "https%3A%2F%2Fh%2F%3Fsig%3Dx",
            "\ud800",
            "0_1800000000",
            "bce-auth-v1/a/2027-01-15T08:00:00Z/1/h/" + DIGESTS[3],
            "aHR0cHM6Ly9oLw",
            "\\u0026",
            "&amp;",
        ]
    ),
    st.text(max_size=30),
)
pairs = st.lists(st.tuples(st.sampled_from(NAMES) | st.text(max_size=5), values), max_size=6).map(
    lambda items: "&".join(f"{name}={value}" for name, value in items)
)
segments = st.lists(
    values | pairs | st.sampled_from(["file", "p", "sign", "expire", "n", "bs2", "files"]), max_size=5
).map("/".join)
urls = st.builds(
    lambda scheme, userinfo, host, path, query, fragment: f"{scheme}{userinfo}{host}/{path}{query}{fragment}",
    st.sampled_from(
        ["https://", "http://", "//", "HTTPS://", "runway://", "https%3A%2F%2F", "https:\\/\\/", "", "x://"]
    ),
    st.sampled_from(["", "u:p@", "u@", f"{JWT}@", ":@", "a:b:c@d@"]),
    st.sampled_from(HOSTS),
    segments,
    st.one_of(st.just(""), pairs.map("?".__add__)),
    st.one_of(st.just(""), pairs.map("#".__add__)),
)
texts = st.one_of(
    urls,
    st.text(),
    st.lists(
        st.one_of(
            urls, pairs, values, st.sampled_from([" ", '"', "'", "\n", "\\", ", ", "Bearer ", "Authorization: "])
        ),
        max_size=8,
    ).map("".join),
)
PRINTED = re.compile(r"[!#-&(-;=?-\[\]^_a-~]+")
relaxed = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@relaxed
@given(texts)
@example("https://h/?exp=" + "9" * 5000 + "&sig=" + "a1" * 20)
@example("https://h/?_jwt=eyJhbGciOiJ4In0.eyJleHAiOk5hTn0.x")
@example("[" * 100_000)
@example("https://h/?token=" + "%25" * 1000)
def test_nothing_raises_for_any_text(text: str) -> None:
    result = classify(text)
    assert result.expires_at is None or result.expires_at.tzinfo is UTC
    assert len(fingerprint(text)) == 64
    redact(text)


@relaxed
@given(texts)
def test_redaction_is_idempotent(text: str) -> None:
    shown = redact(text)
    assert redact(shown) == shown


@relaxed
@given(urls)
@example('u:p@e.com/_sha1=6e340b9cffb37a989ca544e6bb780a2c&Expires={"expires":1e999}&Expires=6e340b9c')
@example('u:p@e.com?sha1=6e340b9cffb37a989ca544e6bb780a2c&b={"a":1}&Expires=1795000000')
def test_named_secrets_stand_in_the_url_and_are_gone_from_its_redaction(url: str) -> None:
    shown = redact(url)
    for secret in classify(url).secrets:
        assert secret
        assert secret in url
        # A shorter one may stand elsewhere as an innocent word; a text is cut at blanks and quotes.
        if len(secret) >= 16 and PRINTED.fullmatch(secret):
            assert secret not in shown
    assert not [secret for secret in classify(shown).secrets if len(secret) >= 16 and PRINTED.fullmatch(secret)]


@relaxed
@given(urls)
def test_a_redacted_url_never_becomes_more_dangerous(url: str) -> None:
    assert not classify(redact(url)).carries_jwt


@relaxed
@given(urls, st.sampled_from([" ", "\n", '"', "<"]))
def test_the_fingerprint_ignores_what_stands_around_the_url(url: str, wrapping: str) -> None:
    assert fingerprint(f"{wrapping}{url}{wrapping.replace('<', '>')}") == fingerprint(url)


HOSTILE = [
    *(
        "a",
        "ey",
        "eyJ.",
        "eyJhbGciOiJ9.",
        "https://",
        "https://a/",
        "https%3A%2F%2F",
        "%",
        "%25",
        "%2F%3F",
        "&amp;",
        "&a=",
    ),
    *(
        "=",
        ";a",
        ";a=",
        "\\",
        "\\\\/",
        "\\u0026",
        "'",
        '"',
        "/",
        "/a",
        "//",
        "?",
        "#",
        "@",
        ":",
        "-",
        "~hmac=",
        "hmac",
    ),
    *(
        "aHR0c",
        "68747470",
        "0123456789abcdef",
        "/" + "a" * 22,
        "/" + "0" * 32,
        "Signature=",
        "Bearer ",
        "key=",
        "a.",
    ),
    *(
        "eyJfcmFpbHMi",
        "--",
        "/expire/1/",
        "edge-cache-token=Expires=1",
        "/p/a/n/",
        '\\"',
        "xoxb-",
        "<",
        "\ud800",
        "[",
        "{",
    ),
    "https://a/?url=https%3A%2F%2Fb%3Furl%3D",
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("piece", HOSTILE, ids=repr)
def test_repetition_costs_no_more_than_its_length(piece: str) -> None:
    """Quadratic work on these 200 kB would take minutes and run into the timeout."""
    for prefix in ("https://h/", "https://h/?a="):
        url = prefix + piece * (200_000 // len(piece))
        classify(url)
        redact(url)
        fingerprint(url)
