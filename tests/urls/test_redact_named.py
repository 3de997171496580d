"""Values under names that promise a secret are hidden whole, in every notation; other values stay."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.urls.test_redact_headers import _values, assert_hidden
from video_assets.urls import redact

NAMES = [
    *("AccountKey", "aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "secretAccessKey", "client_secret"),
    *("password", "SecretKey", "SharedAccessKey", "api_key", "apiKey", "AWS_SESSION_TOKEN", "access_token"),
    *("token", "private_key", "secret", "REPLICATE_API_TOKEN", "FAL_KEY", "KIE_KEY", "OPENAI_KEY"),
    *("RUNWAY_KEY", "encryption_key", "encryptionKey", "webhookHmacKey", "AZURE_STORAGE_KEY"),
]
NOTATIONS = [
    *(
        "{n}={}",
        "{n}={};EndpointSuffix=core",
        "{n}={} next=5",
        "{n}={}, next",
        'export {n}="{}"',
        "-e {n}={} image",
    ),
    *("a=1;{n}={};b=2", "a=1&{n}={}&b=2", "{n} = {}\nregion = eu", "{n}: {}", "{n}: '{}'", '"{n}": "{}"'),
    *("'{n}': '{}'", "[('{n}', '{}')]", "<{n}>{}</{n}>", "--{n}={} run", "--{n} {} run", "['--{n}', '{}']"),
    *('{"{n}"=>"{}", "id"=>"5"}', "'{n}' => '{}',", "['{n}'] => {}", '["{n}"]=>\n  string(40) "{}"'),
    *("map[{n}:[{}]]", "map[{n}:{} id:5]", "{{n}=[{}]}", "Client({n}={}, id=5)", "environ({'{n}': '{}'})"),
    *("query={n}={}&x=1", "body={n}={}&a=b", "data={n}={}", 'args="{n}={}&x=1"', "form: {n}={}&x=1"),
    *('{"name":"{n}","value":"{}"}', '{"key": "{n}", "value": "{}", "type": "text"}', "name: {n}\n  value: {}"),
    *('{"value":"{}","name":"{n}"}', '{"name":"{n}","type":"text","value":"{}"}', "\\r\\n{n}: {}\\r\\n"),
]


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("name", NAMES)
def test_the_whole_value_is_hidden(name: str, notation: str) -> None:
    for secret in (*_values("token")[2:], *_values("mac")[2:]):
        shown = assert_hidden(notation.replace("{n}", name), secret)
        assert name in shown


@pytest.mark.parametrize("notation", NOTATIONS)
def test_the_value_ends_where_the_notation_ends_it(notation: str) -> None:
    """What stands around the value of a password is there before and after."""
    text = notation.replace("{n}", "password")
    assert redact(text.replace("{}", "k7/Qz+9mW4=x")) == text.replace("{}", "REDACTED")


@pytest.mark.parametrize("between", [" | ", "` | `", "\t", "\n", ":\n    "])
@pytest.mark.parametrize("name", ["X-Amz-Signature", "sig", "access_token"])
def test_cells_of_a_table_and_lines_that_developer_tools_copy(name: str, between: str) -> None:
    for secret in (*_values("token")[2:], *_values("hex")[2:]):
        assert_hidden(f"{name}{between}{{}}\nnext", secret)
    text = f"{name}{between}of-the-first-part-only\nnext"
    assert redact(text) == text


def test_members_that_code_sets() -> None:
    assert redact("q[:sig] = 'k3Jx0pQzR7sVbN1mLq8YtA'") == "q[:sig] = 'REDACTED'"
    assert redact("$q['sig'] = 'k3Jx0pQzR7sVbN1mLq8YtA';") == "$q['sig'] = 'REDACTED';"


@pytest.mark.parametrize("name", ["X-Api-Key", "X-Amz-Signature", "token", "client_secret"])
def test_records_of_name_and_value_are_read_in_json_inside_json(name: str) -> None:
    document = json.dumps({"headers": [{"name": name, "value": "{}"}, {"name": "Accept", "value": "*/*"}]})
    for secret in _values("token")[2:]:
        assert "*/*" in assert_hidden(document, secret)
        assert "*/*" in assert_hidden(json.dumps({"log": document}), secret)


def test_keys_of_fal_are_an_identifier_and_a_secret() -> None:
    for secret in _values("hex")[:2]:
        assert redact(f"FAL_KEY=0b5c8c3e-4f9d-4c8e-9b7a-2f1d3e5a7c9b:{secret}") == "FAL_KEY=REDACTED"


@pytest.mark.parametrize("name", ["PGPASSWORD", "MYSQL_PWD", "SMTP_PASS", "smtpPassword", "DB_PASSWORD"])
def test_passwords_need_not_look_random(name: str) -> None:
    assert redact(f"{name}=hunter-two host=db") == f"{name}=REDACTED host=db"
    assert redact(f'{{"{name}": "hunter-two"}}') == f'{{"{name}": "REDACTED"}}'


def test_passphrases_of_several_words_are_hidden_whole() -> None:
    assert redact('{"password": "correct horse battery staple", "id": 1}') == '{"password": "REDACTED", "id": 1}'
    assert redact("DB_PASSWORD='correct horse battery'") == "DB_PASSWORD='REDACTED'"


@pytest.mark.parametrize(
    "line",
    [
        "curl -u bob:{} https://example.com",
        "curl -u 'bob:{}' https://example.com",
        "curl --user bob:{} https://example.com",
        "auth=('user', '{}')",
        'requests.get(url, auth=("user", "{}"))',
        "HTTPBasicAuth('user', '{}')",
        '["mysqldump", "--password", "{}"]',
        "https://bob:{}@example.com/a",
        "postgresql://app:{}@db:5432/assets",
    ],
)
def test_passwords_of_commands_and_tuples(line: str) -> None:
    for secret in (*_values("token"), *_values("mac")[:2]):
        assert_hidden(line, secret)


@pytest.mark.parametrize("label", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
@pytest.mark.parametrize("break_", ["\n", "\\n", "\\\\n", "\r\n", "\n    "])
def test_private_keys_are_hidden_from_the_first_line_to_the_last(label: str, break_: str) -> None:
    lines = [line[:64] for line in _values("mac")[4:]]
    body = break_.join(lines)
    opening, closing = f"-----BEGIN {label}PRIVATE KEY-----", f"-----END {label}PRIVATE KEY-----"
    for text in (
        f"key={opening}{break_}{body}{break_}{closing} next",
        f'{{"private_key": "{opening}{break_}{body}{break_}{closing}", "client_email": "next"}}',
        f"{opening}{break_}Proc-Type: 4,ENCRYPTED{break_}{body}{break_}{closing}\nnext",
    ):
        shown = redact(text)
        assert not [line for line in lines if line[:12] in shown or line[-12:] in shown]
        assert f"{opening}REDACTED{closing}" in shown
        assert "next" in shown
        assert redact(shown) == shown
    cut_off = redact(f"{opening}{break_}{body}")
    assert cut_off == f"{opening}REDACTED"
    assert redact(cut_off) == cut_off


def test_a_private_key_that_was_cut_off_does_not_take_the_next_line_with_it() -> None:
    line = _values("mac")[5][:64]
    text = f"-----BEGIN PRIVATE KEY-----\n{line}\n2026-11-21 the next line"
    assert redact(text) == "-----BEGIN PRIVATE KEY-----REDACTED\n2026-11-21 the next line"


def test_public_keys_stay() -> None:
    text = f"-----BEGIN PUBLIC KEY-----\n{_values('mac')[5]}\n-----END PUBLIC KEY-----"
    assert redact(text) == text


@pytest.mark.parametrize("prefix", ["whsec_", "sk_live_", "sk-proj-", "hvs.", "123456789:AA"])
def test_keys_that_tell_their_maker_need_no_name(prefix: str) -> None:
    for secret in _values("token")[2:]:
        secret = secret[:33]
        secret = secret.ljust(33, "x")
        assert_hidden(f"refused {prefix}{{}} just now", secret)


@pytest.mark.parametrize(
    "line",
    [
        '{"host":"hooks.slack.com","path":"/services/T0AB12CD3/B0AB12CD3/{}"}',
        '"POST /services/T0AB12CD3/B0AB12CD3/{} HTTP/1.1" 200',
        "('discord.com', '/api/webhooks/123456789012345678/{}')",
        ":method: GET\n:path: /dms/v?e=1800000000&v=beta&t={}\n:authority: media.licdn.com",
        ":authority: media.licdn.com\n:path: /dms/v?e=1800000000&v=beta&t={}",
        "Request(method='GET', host='media.licdn.com', target='/dms/v?e=1800000000&v=beta&t={}')",
        '{"path": "/dms/v", "query": "e=1800000000&v=beta&t={}", "host": "media.licdn.com"}',
    ],
)
def test_paths_that_are_told_beside_their_host(line: str) -> None:
    source = random.Random(line)
    for _ in range(4):
        secret = "".join(source.choices("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789", k=24))
        assert_hidden(line, secret)


def test_the_words_behind_a_url_stay_where_no_blank_parts_them() -> None:
    for secret in _values("hex")[2:]:
        url = f"https://h.example/v.mp4?Expires=1800000000&Signature={secret}"
        for end in ("，重试", "。好", "）", "；x"):
            assert redact(f"失败：{url}{end}") == f"失败：{url.replace(secret, 'REDACTED')}{end}"
    oss = "https://b.oss-cn-beijing.aliyuncs.com/v.mp4?Expires=1825078240&OSSAccessKeyId=LTAI5t&Signature="
    assert redact(f"失败：{oss}419ib%2B6VqeN1bkOEBTiZsPw%2B4Hc%3D，重试") == f"失败：{oss}REDACTED，重试"


PLAIN = """
token=refresh
password=reset
key: value
author: Bob
author=Bob keyboard=us
the Digest algorithm
secret santa
token expired
token: expired
tokens: 512 prompt, 20 completion
max_tokens=4096 model=x
session_id=5 request_id=abc123
password reset e-mail sent to bob
Password: incorrect
password must be at least 8 characters
option --password is required
--token must be set
run with --api-key $RUNWAY_KEY
run with --api-key <key>
api_key: ${RUNWAY_API_KEY}
api_key: <your key>
docker run -u 1000:1000 image
docker run --user node:node image
ls -b dir
cache_key=9b2cf535f27731c974343645a3985328
partition_key=2026-11-21|runway
idempotency_key=video-1795230995525-d7e929
idempotency_key: 0b5e1f9e-4a5e-4f5e-8d5e-1f2e3d4c5b6a
storage_key=videos/2026/11/9b2cf535f27731c974343645a3985328.mp4
object_key: 0b5e1f9e-4a5e-4f5e-8d5e-1f2e3d4c5b6a
asset_key=["runs", "2026-11-21"]
sort_key=name
primary key id, foreign key users_pkey violated
public_key=ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ
Key (id)=(5) already exists.
{"name":"width","value":"9b2cf535f27731c974343645a3985328"}
{"name":"token","value":"refresh"}
{"key":"partition","value":"2026-11-21"}
{'token' => 'refresh', 'id' => 5}
map[status:ok token:none id:5]
a => b, c => d
query=status=done&x=1
filter=a=b
x=1=2=3
-----BEGIN PRIVATE KEY----- was not found
job key=video-1795230995525-d7e929 done
https://ex.com:8080/a/@bob
https://medium.com/@bob/a:b@c
{"host": "media.example.com", "path": "/v/a.mp4", "status": 200}
:authority: media.example.com and :path: /v/a.mp4
signature_version=v4
the signature: v1
SELECT token, secret FROM users WHERE id = 5
KeyError: 'token'
def f(token: str, secret: bytes) -> None:
if token == expected_token:
""".strip().splitlines()


@pytest.mark.parametrize("line", PLAIN)
def test_ordinary_lines_are_not_touched(line: str) -> None:
    assert redact(line) == line


@pytest.mark.parametrize(
    "piece",
    [
        *("a=", "authorization: Basic ", 'authorization: Digest a="', "cookie: a=", "://a:b/", "://a:////"),
        *("-----BEGIN PRIVATE KEY-----", '"value":"', '"name":"token","a":"b",', "name: token\n", 'path="/'),
        *('path="/a",host=', "--token ", "-u a:", "token=>", "map[a:[", 'password="', ":path: /a ", "\\n"),
    ],
)
def test_a_long_row_of_beginnings_comes_to_rest(piece: str) -> None:
    text = piece * (20_000 // len(piece))
    shown = redact(text)
    assert redact(shown) == shown


FRAGMENTS = st.sampled_from(
    [
        *("Authorization", "authorization: ", "Bearer ", "Digest ", "AWS AK:", "Cookie: ", "Set-Cookie: sid="),
        *(
            "token",
            "api_key",
            "password",
            "FAL_KEY",
            "=",
            ": ",
            " = ",
            "=>",
            '"',
            "'",
            '\\"',
            '\\\\\\"',
            "&quot;",
            "%22",
        ),
        *(
            "{",
            "}",
            "[",
            "]",
            "(",
            ")",
            ",",
            ";",
            "&",
            "?",
            "/",
            "\\",
            "\\n",
            "\\r\\n",
            "\n",
            " ",
            "--",
            "-u ",
            "-b ",
        ),
        *(
            "q7Xz9Rk2LmB4vTn8Wc3YdFg5",
            "wJal/XUtn+EMIK7MDENG/bPx==",
            "correct horse",
            "REDACTED",
            "curl ",
            "--token ",
        ),
        *(
            '"name":"',
            '","value":"',
            'host="',
            'path="/',
            ":path: /",
            ":authority: h",
            "https://",
            "a:b@",
            "://u:p/w@h",
        ),
        *(
            "-----BEGIN PRIVATE KEY-----",
            "-----END PRIVATE KEY-----",
            "Proc-Type: 4\n",
            "auth=(",
            "v1,",
            "signature",
        ),
        *(
            "whsec_",
            "<token>",
            "</token>",
            "%3D",
            "\\u003d",
            "map[",
            'string(4) "',
            "eyJhbGciOiJIUzI1NiJ9",
            "，",
            "é",
        ),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(FRAGMENTS, max_size=16).map("".join))
def test_a_second_pass_changes_nothing_however_the_notations_meet(text: str) -> None:
    shown = redact(text)
    assert redact(shown) == shown
