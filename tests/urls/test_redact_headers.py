"""Credentials in headers are hidden however the header is shown, and the words around them stay."""

from __future__ import annotations

import base64
import json
import random
import string

import pytest

from video_assets.urls import redact

ALPHANUMERIC = string.ascii_letters + string.digits


def _values(kind: str) -> list[str]:
    """Six values of a kind, the same in every run."""
    source = random.Random(kind)
    if kind == "mac":  # with "/", "+" and "=", where they fall
        return [base64.b64encode(source.randbytes(size)).decode() for size in (20, 20, 32, 32, 48, 64)]
    if kind == "hex":
        return [source.randbytes(size).hex() for size in (16, 16, 20, 20, 32, 64)]
    return ["".join(source.choices(ALPHANUMERIC, k=size)) for size in (16, 22, 32, 40, 64, 128)]


def assert_hidden(template: str, secret: str) -> str:
    """Nothing of ``secret`` is left of ``template`` filled with it, and a second pass changes nothing."""
    text = template.replace("{}", secret)
    assert text != template, "the case itself must hold the secret"
    shown = redact(text)
    pieces = {secret[start : start + 10] for start in range(max(1, len(secret) - 9))}
    assert not [piece for piece in pieces if piece in shown], shown
    assert redact(shown) == shown
    return shown


SCHEMES = [
    ("AWS AKIAIOSFODNN7EXAMPLE:{}", "mac"),
    ("OSS LTAI5tAbcdefgh:{}", "mac"),
    ("OBS ABCDEFGHIJ:{}", "mac"),
    ("Qiniu abcdefgh:{}", "mac"),
    ("QBox abcdefgh:{}", "mac"),
    ("SharedKey account:{}", "mac"),
    ("SharedKeyLite account:{}", "mac"),
    ("GOOG1 GOOGTS7C7FUP3AIRVJTE2BCD:{}", "mac"),
    ("Negotiate {}", "mac"),
    ("NTLM {}", "mac"),
    ("Basic {}", "mac"),
    ("Bearer {}", "token"),
    ("Token {}", "token"),
    ("Key 0b5c8c3e-4f9d-4c8e-9b7a-2f1d3e5a7c9b:{}", "hex"),
    ("AWS4-HMAC-SHA256 Credential=AK/20261121/eu/s3/aws4_request, SignedHeaders=host;x, Signature={}", "hex"),
    ('Digest username="bob", realm="x", nonce="abc", uri="/a", response="{}"', "hex"),
    ('Hawk id="x", ts="1", mac="{}"', "mac"),
    ('OAuth oauth_nonce="y", oauth_signature="{}", oauth_version="1.0"', "token"),
    ('Bearer "{}"', "token"),
]
SHOWN = [
    "Authorization: CREDENTIALS",
    "authorization: CREDENTIALS\r\nAccept: */*",
    "AUTHORIZATION: CREDENTIALS",
    "Proxy-Authorization: CREDENTIALS",
    "> GET / HTTP/2\n> Authorization: CREDENTIALS\n> Accept: */*",
    "send: b'GET / HTTP/1.1\\r\\nAuthorization: CREDENTIALS\\r\\nAccept: */*\\r\\n'",
    "curl -H 'Authorization: CREDENTIALS' https://api.example.com",
    "{'Authorization': 'CREDENTIALS', 'Accept': '*/*'}",
    "[('Authorization', 'CREDENTIALS'), ('Accept', '*/*')]",
    "[(b'authorization', b'CREDENTIALS')]",
    "map[Authorization:[CREDENTIALS] Accept:[*/*]]",
]


@pytest.mark.parametrize("shown_as", SHOWN)
@pytest.mark.parametrize(("credentials", "kind"), SCHEMES)
def test_what_follows_the_scheme_word_is_hidden(shown_as: str, credentials: str, kind: str) -> None:
    for secret in _values(kind):
        shown = assert_hidden(shown_as.replace("CREDENTIALS", credentials), secret)
        assert credentials.split()[0] in shown, "the scheme word tells what went wrong"
        assert ("Accept" in shown) == ("Accept" in shown_as)


@pytest.mark.parametrize(("credentials", "kind"), SCHEMES)
def test_the_same_in_json_and_in_json_inside_json(credentials: str, kind: str) -> None:
    document = json.dumps({"headers": {"Authorization": credentials}, "status": 403})
    for secret in _values(kind):
        assert '"status": 403' in assert_hidden(document, secret)
        assert_hidden(json.dumps({"log": document}), secret)


def test_short_credentials_are_hidden_too() -> None:
    for line in ("Authorization: Basic {}", "Authorization: Bearer\t{}", 'Authorization: Bearer "{}"'):
        assert redact(line.replace("{}", "abc123xyz")) == line.replace("{}", "REDACTED")


def test_the_sentence_behind_a_header_stays() -> None:
    line = 'Authorization: Hawk id="x", mac="oeHS43GnJdEPp8nGd1eeg+ofxB4=" from 192.0.2.1'
    assert redact(line) == "Authorization: Hawk REDACTED from 192.0.2.1"


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: required",
        "Authorization: none",
        "authorization: required by the gateway",
        "Authorization: Bearer token is missing",
        "Authorization: Basic authentication required",
        "Authorization: Bearer <token>",
        "Authorization: Bearer ${TOKEN}",
        "Authorization: Bearer {token}",
        "Authorization: Bearer %s",
        "Authorization header missing",
        "WWW-Authenticate: Digest algorithm=MD5",
        "the Digest algorithm needs a nonce",
        "Cookie consent accepted",
        "Cookie: theme=dark",
        "Set-Cookie: __cf_bm=x; path=/; expires=Sat, 21-Nov-26 09:30:00 GMT",
        "cookies, one=1 two=2",
        "the Signature: v1, v0 and nothing else",
    ],
)
def test_what_only_speaks_of_credentials_is_not_touched(line: str) -> None:
    assert redact(line) == line


@pytest.mark.parametrize(
    "line",
    [
        "Cookie: theme=dark; sid={}; lang=en",
        "> Cookie: theme=dark; sid={}",
        '"Cookie": "theme=dark; sid={}"',
        "{'Cookie': 'theme=dark; sid={}'}",
        "('Cookie', 'theme=dark; sid={}')",
        "HTTP_COOKIE=theme=dark; sid={}",
        "curl -b 'theme=dark; sid={}' https://example.com",
        "curl --cookie 'theme=dark; sid={}' https://example.com",
        '{"name": "Cookie", "value": "theme=dark; sid={}"}',
        "send: b'GET / HTTP/1.1\\r\\nCookie: theme=dark; sid={}\\r\\n'",
    ],
)
def test_every_cookie_of_a_header_is_looked_at(line: str) -> None:
    for secret in _values("token"):
        assert "theme=dark" in assert_hidden(line, secret)


def test_a_cookie_that_is_set_keeps_its_attributes() -> None:
    line = "Set-Cookie: sid=REDACTED; Domain=example.com; Expires=Wed, 21 Oct 2026 07:28:00 GMT; HttpOnly"
    for secret in _values("token"):
        assert redact(line.replace("REDACTED", secret)) == line


@pytest.mark.parametrize(
    "line",
    [
        "webhook-signature: v1,{}",
        "webhook-signature: v1,{} v1,REDACTED",
        '{"webhook-signature": "v1,{}"}',
        "Stripe-Signature: t=1492774577,v1={},v0=REDACTED",
    ],
)
def test_the_version_in_front_of_a_webhook_signature_does_not_shield_it(line: str) -> None:
    for secret in _values("mac")[2:]:
        assert_hidden(line, secret)
