"""What is shown to people holds no secret: log lines, tracebacks, JSON, reprs; the rest stays readable."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from video_assets.urls import redact
from video_assets.urls.syntax.tokens import MARKER

SIG = "9f3b1c7e5a2d4860b1c3e5f7092a4b6c8d0e1f2a3b4c5d6e7f8091a2b3c4d5e6"
JWT = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJrZXlIYXNoIjoiYWJjIiwiZXhwIjoxODAwMDAwMDAwfQ"
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)
S3 = f"https://b.s3.amazonaws.com/k.mp4?X-Amz-Date=20270115T070000Z&X-Amz-Expires=3600&X-Amz-Signature={SIG}"
KEY = "sk-proj-AbCd1234EfGh5678IjKl9012MnOp"

LINES = [
    # urllib3, requests, botocore, http.client
    (
        f'https://b.s3.amazonaws.com:443 "GET /k.mp4?X-Amz-Expires=3600&X-Amz-Signature={SIG} HTTP/1.1" 200 1234',
        SIG,
    ),
    (
        f"Max retries exceeded with url: /k.mp4?X-Amz-Expires=60&X-Amz-Signature={SIG} (Caused by E())",
        SIG,
    ),
    (
        f"HTTPSConnectionPool(host='h', port=443): Max retries exceeded with url: /v.mp4?_jwt={JWT}",
        JWT,
    ),
    (f"403 Client Error: Forbidden for url: {S3}", SIG),
    (f"requests.exceptions.HTTPError: 403 Client Error: Forbidden for url: {S3}\n  at line 7", SIG),
    (
        f"CanonicalRequest:\nGET\n/k.mp4\nX-Amz-Security-Token={quote('abc+/=def', safe='')}\nhost:b",
        "abc%2B%2F%3Ddef",
    ),
    (
        f"send: b'GET /v.mp4?sig={SIG}&se=2027-01-15 HTTP/1.1\\r\\nAuthorization: Bearer {KEY}\\r\\n\\r\\n'",
        SIG,
        KEY,
    ),
    (f"header: Location: https://cdn.example.com/v.mp4?token={JWT}\r\nheader: Content-Length: 3", JWT),
    # headers
    (f"Authorization: Bearer {JWT}", JWT),
    ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA"),
    (
        "authorization: Token r8_AbCd1234EfGh5678IjKl9012MnOp3456QrStUv",
        "r8_AbCd1234EfGh5678IjKl9012MnOp3456QrStUv",
    ),
    (f"{{'Authorization': 'Bearer {KEY}', 'Accept': '*/*'}}", KEY),
    (f'{{"x-api-key": "{SIG}", "accept": "application/json"}}', SIG),
    (f"[('X-Api-Key', '{SIG}'), ('Accept', '*/*')]", SIG),
    (f"X-Amz-Security-Token: {SIG}", SIG),
    (f"xi-api-key: {SIG[:32]}", SIG[:32]),
    (
        f"curl -H 'Authorization: Key 0b5c8c3e-4f9d-4c8e-9b7a-2f1d3e5a7c9b:{SIG[:32]}' https://queue.fal.run/x",
        SIG[:32],
    ),
    (
        "Authorization: AWS4-HMAC-SHA256 Credential=AKID/20270115/eu/s3/aws4_request, SignedHeaders=host, "
        f"Signature={SIG}",
        SIG,
    ),
    # documents
    (json.dumps({"url": S3, "n": 1}), SIG),
    (json.dumps({"url": S3}).replace("/", "\\/").replace("&", "\\u0026"), SIG),
    (json.dumps({"inner": json.dumps({"url": S3, "token": KEY})}), SIG, KEY),
    (f"![clip]({S3}) and <a href='{S3.replace('&', '&amp;')}'>clip</a>", SIG),
    (f"a,{S3},b\n{S3};{S3}", SIG),
    (f"see {S3}, {S3}.", SIG),
    (f"srcset={S3} 1x, {S3} 2x", SIG),
    (f"https%3A%2F%2Fb.example%2Fk%3FX-Amz-Date%3D20270115T070000Z%26X-Amz-Signature%3D{SIG}", SIG),
    (f"next=/_next/image?url={quote(S3, safe='')}&w=1", SIG),
    (f"next=/_next/image?url={quote(quote(S3, safe=''), safe='')}&w=1", SIG),
    (f"<Error><Code>SignatureDoesNotMatch</Code><SignatureProvided>{SIG}</SignatureProvided></Error>", SIG),
    (f"GET /exp=1800000000~acl=%2F*~hmac={SIG}/v.mp4 HTTP/1.1", SIG),
    (f"GET /bcdn_token={SIG[:32]}&expires=1800000000&token_path=%2F/v.mp4 HTTP/1.1", SIG[:32]),
    ("GET /p/Zb1x_y-Z0123456789abc/n/ns/b/bucket/o/v.mp4 HTTP/1.1", "Zb1x_y-Z0123456789abc"),
    (f"Set-Cookie: CloudFront-Signature={SIG}; Path=/; Secure", SIG),
    (f"params={{'Expires': '1800000000', 'Signature': '{SIG}', 'Key-Pair-Id': 'K1'}}", SIG),
    (f"data-src=&quot;https://h/v?Signature={SIG}&amp;Expires=1800000000&quot;", SIG),
    (f'a:1:{{s:3:"url";s:99:"https://h/v?Signature={SIG}&Expires=1800000000";}}', SIG),
    (f"{{'Signature': ['{SIG}'], 'Expires': ['1800000000']}}", SIG),
    ("SplitResult(scheme='https', netloc='user:s3cr3tPass@h.example', path='/a', query='')", "s3cr3tPass"),
    ("Url(scheme='https', auth='user:s3cr3tPass', host='h.example', port=None)", "s3cr3tPass"),
    (
        "DefaultEndpointsProtocol=https;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq==;x=1",
        "Eby8vdM02x",
    ),
    ("DATABASE_PASSWORD=correct-horse RUNWAYML_API_SECRET=key_staple", "correct-horse", "key_staple"),
    # bare pieces
    (f"_jwt={JWT}", JWT),
    (f"token is {JWT}!", JWT),
    (f"token is {JWT.rsplit('.', 1)[0]} without its signature", JWT.rsplit(".", 1)[0]),
    (f"Expires=1800000000&Signature={SIG}&Key-Pair-Id=K1", SIG),
    (f"Signature\\u003d{SIG}\\u0026Expires\\u003d1800000000", SIG),
    (f"OPENAI_API_KEY={KEY}", KEY),
    (f"key {KEY} was refused", KEY),
    ("postgresql+psycopg2://app:hunter2-x@db:5432/assets failed", "hunter2-x"),
    ("mysql://root:s3cr3t@127.0.0.1/x and redis://:p4ss@cache:6379/0", "s3cr3t", "p4ss"),
    (
        "could not fetch https://api.telegram.org/file/bot123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc/v/f.mp4",
        "AAEhBOweik6ad9r",
    ),
    ('"GET /file/bot123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc/v/f.mp4 HTTP/1.1" 200', "AAEhBOweik6ad9r"),
    (f"https://cdn.example.com/v.mp4?sv=2024&x-new-signature={SIG}", SIG),
    (f"GET /v.mp4?Expires=1800000000&Key-Pair-Id=K1&Signature={SIG} 403", SIG),
    ("client_secret=GOCSPX-abcdefgh&grant_type=refresh_token", "GOCSPX-abcdefgh"),
    ("{'password': 'correct horse', 'user': 'u'}", "correct horse"),
    (
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    ),
]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0][:60])
def test_no_secret_survives(line: tuple[str, ...]) -> None:
    text, *secrets = line
    shown = redact(text)
    for secret in secrets:
        assert secret in text, "the case itself must hold the secret"
        assert secret not in shown
    assert MARKER in shown
    assert redact(shown) == shown


def test_the_rest_of_the_text_stays_as_it_was() -> None:
    assert redact(f"403 for url: {S3} (attempt 2)") == (
        "403 for url: https://b.s3.amazonaws.com/k.mp4?X-Amz-Date=20270115T070000Z&X-Amz-Expires=3600"
        "&X-Amz-Signature=REDACTED (attempt 2)"
    )
    assert redact(f"\x1b[31m{S3}\x1b[0m") == f"\x1b[31m{S3.replace(SIG, 'REDACTED')}\x1b[0m"
    assert redact("netloc='u:p4ssword@h.example', path='/a'") == "netloc='REDACTED@h.example', path='/a'"
    assert redact(f"Authorization: Bearer {JWT}") == "Authorization: Bearer REDACTED"
    assert redact("mysql://root:s3cr3t@db/x") == "mysql://root:REDACTED@db/x"
    assert redact(json.dumps({"url": S3, "n": 1})) == json.dumps({"url": S3.replace(SIG, "REDACTED"), "n": 1})


HARMLESS = [
    "",
    "rescued 3 videos, 2 still pending",
    "the signature is valid; the token: expired; password: must be changed",
    "Signature Version 4 needs X-Amz-Date",
    f"sha256={SIG} size=123 stored",
    f"{{'sha256': '{SIG}', 'md5': '{SIG[:32]}', 'etag': '{SIG[:32]}'}}",
    f"fingerprint={SIG}",
    f"checked out {SIG[:40]}",
    "job 0b5c8c3e-4f9d-4c8e-9b7a-2f1d3e5a7c9b finished in 12.5 s",
    "https://cdn.example.com/a/b.mp4?v=1699999999 -> s3://bucket/key.mp4",
    "key=videos/2026/11/clip.mp4 bucket=assets",
    "netloc='h.example:8443', auth='none', max_api_key=12 password_secret=0",
    "/eyJidWNrZXQiOiJ4Iiwia2V5IjoiYS5wbmciLCJlZGl0cyI6e319.png of the image service",
    "tokens: 1234, max_tokens=4096, token_type=bearer",
    "next_page_token=CAUQAA0123456789abcdefXYZ",
    "X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20270115%2Feu-central-1%2Fs3%2Faws4_request",
    'File "/app/video_assets/urls/redact/redact.py", line 12, in redact',
    "2026-11-21 02:17:15,123 INFO video_assets.transfer: 12.3 MB/s",
    "SELECT * FROM media WHERE url LIKE '%Signature=%'",
    "Basic information about the Bearer of bad news",
    "eye, eyes, keys: new views",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_text_without_secrets_is_not_touched(text: str) -> None:
    assert redact(text) == text


def test_nestings_that_peel_off_layer_by_layer_come_to_rest() -> None:
    signed = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20261120T000000Z&X-Amz-Expires=3600"
    nested = (
        "https://" * 40 + f"id,url\n1,https://{signed}&X-Amz-Signature=0123456789abcdef{signed}" + "https://" * 30
    )
    once = redact(nested)
    assert "0123456789abcdef" not in once
    assert redact(once) == once


LINKEDIN = "media.licdn.com"
TARGET = f"/dms/v?e=1800000000&v=beta&t={SIG[:43]}"
PARTED = [
    f'https://{LINKEDIN}:443 "GET {TARGET} HTTP/1.1" 403 None',
    f"HTTPSConnectionPool(host='{LINKEDIN}', port=443): Max retries exceeded with url: {TARGET} (Caused by x)",
    f"E('HTTPSConnectionPool(host=\\'{LINKEDIN}\\', port=443): Max retries exceeded with url: {TARGET} (x)')",
    f"broken by 'NewConnectionError(\"HTTPSConnection(host='{LINKEDIN}', port=443): Failed\")': {TARGET}",
    f'send: b"GET {TARGET} HTTP/1.1\\r\\nHost: {LINKEDIN}\\r\\n\\r\\n"',
    f"> GET {TARGET} HTTP/2\n> Host: {LINKEDIN}\n> Accept: */*",
    f"* [HTTP/2] [1] [:authority: {LINKEDIN}]\n* [HTTP/2] [1] [:path: {TARGET}]",
    f"SplitResult(scheme='https', netloc='{LINKEDIN}', path='/dms/v', query='{TARGET[7:]}', fragment='')",
    f"ParseResult(scheme='https', netloc='{LINKEDIN}', path='/dms/v', params='', query='{TARGET[7:]}', x='')",
]


@pytest.mark.parametrize("line", PARTED)
def test_a_url_told_in_pieces_is_redacted_by_the_rules_of_its_host(line: str) -> None:
    assert redact(line) == line.replace(SIG[:43], "REDACTED")
    assert redact(redact(line)) == redact(line)


def test_a_secret_of_the_path_is_hidden_when_the_path_is_told_alone() -> None:
    secret = "AbCdEf0123456789_xYz-AbCd/QwErTy0123456789"
    path = f"/v3/u/41/41/1800000000000/{secret}"
    line = (
        f"SplitResult(scheme='https', netloc='v5.airtableusercontent.com', path='{path}', query='', fragment='')"
    )
    assert secret not in redact(line)


def test_a_query_in_quotes_is_read_like_any_other() -> None:
    assert redact(f"query='token={SIG}&expires=1800000000'") == "query='token=REDACTED&expires=1800000000'"
    assert redact(f"href=&quot;https://h.example/v.mp4?download_token={SIG}&quot;&gt;") == (
        "href=&quot;https://h.example/v.mp4?download_token=REDACTED&quot;&gt;"
    )
