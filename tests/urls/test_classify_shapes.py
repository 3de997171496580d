"""Shapes that a stranger's collection held and that were answered wrongly at first, one class of error each."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from video_assets.urls import Bound, Kind, classify, find, redact, replace

DIES = datetime(2026, 11, 22, tzinfo=UTC)
EPOCH = 1_795_305_600
SIGNATURE = "8981b24742b3ab8d47b6a440ffe16927"
SIGNED = (
    f"https://b.s3.amazonaws.com/a.mp4?X-Amz-Date=20261121T230000Z&X-Amz-Expires=3600&X-Amz-Signature={SIGNATURE}"
)
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3OTUzMDU2MDB9.cTdGa3hQMm1ac1Z3OWtCbg"
TEMPORARY = "https://replicate.delivery/xezq/abc/tmp123.mp4"


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-22+00:00:00",
        f"{EPOCH:x}",
        f"0x{EPOCH:X}",
        "Sun,%2022%20Nov%202026%2000:00:00%20GMT",
        "Sun%2C+22+Nov+2026+00%3A00%3A00+GMT",
        "Sunday, 22-Nov-2026 00:00:00 GMT",
        "22%20Nov%202026%2000:00:00%20UTC",
    ],
)
def test_a_home_made_expiry_may_be_hex_or_an_http_date(value: str) -> None:
    result = classify(f"https://v.example.io/a.mp4?expires={value}&signature={SIGNATURE}")
    assert (result.kind, result.expires_at) == (Kind.TEMPORARY, DIES)


@pytest.mark.parametrize(
    "value",
    [
        "deadline",
        "facade",
        "22%20Nix%202026%2000:00:00%20GMT",
        "31%20Nov%202026%2000:00:00%20GMT",
        "0x12",
        "00ab12cd",
    ],
)
def test_what_is_no_date_ends_nothing(value: str) -> None:
    assert not classify(f"https://v.example.io/a.mp4?expires={value}&signature={SIGNATURE}").is_temporary


@pytest.mark.parametrize(
    "signature",
    ["0123456789abcdef0123456789abcdef", "deadbeefcafebabe", "abcDEF-ghi_jkl1234567", "iwfozoteyGVWlzCilXHA7"],
)
def test_a_signature_beside_an_expiry_need_not_look_random(signature: str) -> None:
    for url in (
        f"https://x.b-cdn.net/a.mp4?token={signature}&expires={EPOCH}",
        f"https://x.kxcdn.com/a.mp4?token={signature}&expire={EPOCH}",
        f"https://v.example.io/a.mp4?exp={EPOCH}&sig={signature}",
    ):
        result = classify(url)
        assert (result.kind, result.expires_at) == (Kind.TEMPORARY, DIES)
        assert signature not in redact(url)


@pytest.mark.parametrize("word", ["newsletter-signup-page", "large", "9999999999999999", "aaaaaaaaaaaaaaaaaaaa"])
def test_words_and_numbers_beside_an_expiry_are_no_signature(word: str) -> None:
    assert not classify(f"https://v.example.io/a?expires={EPOCH}&token={word}").is_temporary


def test_a_hash_of_letters_only_before_a_time_in_the_path_is_a_signature() -> None:
    url = f"https://x.example.org/wSFipvlouOnPyjUmlSbSRQ/{EPOCH}/a.mp4"
    assert classify(url).expires_at == DIES
    assert "wSFipvlouOn" not in redact(url)


def test_the_token_of_a_private_file_on_github_ends_when_only_the_server_knows() -> None:
    url = "https://raw.githubusercontent.com/a/b/main/c.mp4?token=GHSAT0AAAAAAACABCDEFGHIJKLMNOPQRSTUVWXYZ"
    result = classify(url)
    assert (result.kind, result.scheme, result.expires_at) == (Kind.TEMPORARY, "github_raw", None)
    assert "GHSAT0" not in redact(url)


def test_a_stored_policy_may_end_a_sas_before_its_own_end() -> None:
    url = f"https://a.blob.core.windows.net/c/a.mp4?sv=2023-11-03&se=2026-11-22&sr=b&sig={SIGNATURE}"
    assert classify(url).bound is Bound.CERTAIN
    assert classify(url + "&si=policy").bound is Bound.UPPER
    assert classify(url + "&si=policy").expires_at == DIES


@pytest.mark.parametrize(
    ("slash", "equals", "colon"),
    [
        ("&#x2F;", "&#x3D;", ":"),
        ("&#47;", "&#61;", "&#58;"),
        ("&sol;", "&equals;", "&colon;"),
        ("&amp;#x2f;", "=", ":"),
    ],
)
def test_a_url_whose_every_sign_is_a_character_reference_is_redacted(slash: str, equals: str, colon: str) -> None:
    url = f"https://x.example.com/dl/{SIGNATURE}/{EPOCH - 100:x}/a.mp4?a=1"
    text = "see " + url.replace(":", colon).replace("/", slash).replace("=", equals)
    assert SIGNATURE not in redact(text)


@pytest.mark.parametrize(
    "line",
    [
        'https://{host}:443 "GET {target} HTTP/1.1" 200 None',
        "HTTPSConnectionPool(host='{host}', port=443): Max retries exceeded with url: {target} (Caused by X)",
    ],
)
@pytest.mark.parametrize(
    ("host", "target", "secret"),
    [
        ("v5.airtableusercontent.com", f"/v3/u/47/47/{EPOCH}000/abcDEFghi_jkl/mnoPQR-stu", "mnoPQR-stu"),
        (
            "media.licdn.com",
            f"/dms/a?e={EPOCH}&v=beta&t=abcDEFghi-jkl_mnopqrstuvwxyz012345678901234",
            "abcDEFghi",
        ),
        ("lookaside.fbsbx.com", f"/whatsapp/?mid=123&ext={EPOCH}&hash=ATabcDEF_ghi", "ATabcDEF_ghi"),
    ],
)
def test_a_request_told_apart_from_its_host_is_redacted_by_the_rules_of_the_host(
    line: str, host: str, target: str, secret: str
) -> None:
    shown = redact(line.format(host=host, target=target))
    assert secret not in shown
    assert host in shown
    assert redact(shown) == shown


@pytest.mark.parametrize(
    ("content", "content_type", "url"),
    [
        (f"{{a:{TEMPORARY},b:1}}", None, TEMPORARY),
        (f"{{a:{TEMPORARY}, b:1}}", None, TEMPORARY),
        (f"1;{SIGNED};x\n", "text/csv", SIGNED),
        (f"id;url;n\n1;{SIGNED};x\n", "text/csv", SIGNED),
        (f"🎬{SIGNED}🎬", None, SIGNED),
        (f"{SIGNED}→ next", None, SIGNED),
        (f"{SIGNED}—", None, SIGNED),
        # what stands behind the name of the file is a label
        (f"see {TEMPORARY},ar_16:9 there", None, TEMPORARY),
    ],
)
def test_a_url_ends_where_its_surroundings_go_on(content: str, content_type: str | None, url: str) -> None:
    (finding,) = find(content, content_type)
    assert finding.url == url
    new = "https://safe.example.org/1.mp4"
    assert replace(content, [(finding, new)], content_type) == content.replace(url, new)


def test_every_spelling_of_a_signed_url_gives_the_same_answer() -> None:
    plain = classify(SIGNED)
    for text in (quote(SIGNED, safe=""), json.dumps(json.dumps(SIGNED)), SIGNED.replace("&", "&AMP;")):
        result = classify(text)
        assert (result.kind, result.scheme, result.expires_at) == (plain.kind, plain.scheme, plain.expires_at)
        assert SIGNATURE not in redact(text)


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        (
            f"https://a.blob.core.windows.net/c/a?sv=2023-11-03&se=2026-11-22T00%253A00%253A00Z&sr=b&sig={SIGNATURE}",
            SIGNATURE,
        ),
        (f"https://b-1.cos.x.myqcloud.com/a?q-sign-time=1%253B{EPOCH}&q-signature={SIGNATURE}", SIGNATURE),
        (f"https://v.example.cn/a.mp4?auth_key={EPOCH}-0-0-{SIGNATURE * 2}", SIGNATURE),
        (f"https://v.example.cn/a.mp4?auth_key={EPOCH}-0-0-{SIGNATURE}89abcdef", SIGNATURE),
        (
            f"https://usher.ttvnw.net/vod/1.m3u8?nauthsig={SIGNATURE}&nauth=%7B%22expires%22%3A{EPOCH}%7D",
            SIGNATURE,
        ),
        (f"https://a.blob.core.windows.net/c/a?se=2026-11-22T00%3A00%3A00Z&sig={SIGNATURE}", SIGNATURE),
        (f"https://v.example.fr/dl/1?_expiration={EPOCH}&_hash={SIGNATURE}", SIGNATURE),
        (f"https://v.example.io/a?q=x%26expires%3D{EPOCH}%26sig%3D{SIGNATURE}", SIGNATURE),
        (f"https://v.example.io/a?url=https://b.example/a?expires={EPOCH}%26sig={SIGNATURE}", SIGNATURE),
        (
            f"https://res.cloudinary.com/d/image/upload/l_fetch:{urlsafe_b64encode(SIGNED.encode()).decode()},w_9/a.jpg",
            urlsafe_b64encode(SIGNED.encode()).decode(),
        ),
    ],
)
def test_a_variant_of_a_known_scheme_ends_when_it_says(url: str, secret: str) -> None:
    result = classify(url)
    assert (result.kind, result.expires_at) == (Kind.TEMPORARY, DIES)
    assert secret not in redact(url)


def test_a_signature_of_aws_without_its_date_ends_when_only_the_server_knows() -> None:
    result = classify(f"https://b.s3.amazonaws.com/a.mp4?X-Amz-Expires=3600&X-Amz-Signature={SIGNATURE}")
    assert (result.kind, result.expires_at) == (Kind.TEMPORARY, None)


@pytest.mark.parametrize(
    "proxied",
    [
        "https://wsrv.nl/?url={}&w=100",
        "https://images.weserv.nl/?url=ssl:{}",
        "https://i0.wp.com/{}?w=100",
        "https://cdn.statically.io/img/{}",
    ],
)
def test_the_source_of_an_image_proxy_may_be_told_without_its_scheme(proxied: str) -> None:
    url = proxied.format(TEMPORARY.removeprefix("https://"))
    assert (classify(url).kind, classify(url).scheme) == (Kind.TEMPORARY, "replicate")
    assert [finding.url for finding in find(json.dumps({"u": url}))] == [url]
    assert classify(proxied.format("cdn.example.com/a.png")).kind is Kind.PERMANENT


@pytest.mark.parametrize("joint", ["_", "-", "~", "=", ":", "%3D"])
def test_a_token_glued_to_a_word_is_still_a_token(joint: str) -> None:
    url = f"https://c.example.org/v/jwt{joint}{JWT}/a.mp4"
    result = classify(url)
    assert (result.kind, result.expires_at, result.carries_jwt) == (Kind.TEMPORARY, DIES, True)
    assert JWT.rpartition(".")[2] not in redact(url)


def test_a_password_in_the_url_that_a_proxy_fetches_is_a_credential() -> None:
    url = "https://img.example.com/_next/image?url=ftp%3A%2F%2Fbob%3Ahunter22%40ftp.example.com%2Fa.mp4&w=1"
    assert classify(url).kind is Kind.CREDENTIAL_ONLY
    assert "hunter22" not in redact(url)
    assert "hunter22" not in redact("https://i0.example.com/fetch/ftp://bob:hunter22@ftp.example.com/a.mp4")


def test_an_array_of_postgresql_is_no_json() -> None:
    (first, second) = find(f'{{"{SIGNED}","{TEMPORARY}"}}')
    assert (first.url, second.url) == (SIGNED, TEMPORARY)
    assert first.pointer is None
    assert find(f'{{"{SIGNED}":"{TEMPORARY}"}}')[0].pointer == ""


@pytest.mark.parametrize(
    "mac_first", [f"hmac={SIGNATURE}~exp={EPOCH}~acl=/*", f"hmac%3D{SIGNATURE}%7Eexp%3D{EPOCH}"]
)
def test_the_fields_of_an_akamai_token_stand_in_any_order(mac_first: str) -> None:
    for url in (f"https://a.akamaized.net/v.mp4?hdnea={mac_first}", f"https://a.akamaized.net/{mac_first}/v.mp4"):
        result = classify(url)
        assert (result.scheme, result.expires_at, result.secrets) == ("akamai", DIES, (SIGNATURE,))


def test_a_url_may_be_the_whole_query_of_a_proxy() -> None:
    url = f"https://corsproxy.io/?{quote(SIGNED, safe='')}"
    assert (classify(url).scheme, classify(url).expires_at) == ("aws_sigv4", DIES)
    assert SIGNATURE not in redact(url)
    made = datetime(2026, 11, 21, 23, tzinfo=UTC)
    for spelled in (TEMPORARY, quote(TEMPORARY, safe="")):
        assert classify(f"https://corsproxy.io/?{spelled}", created_at=made).expires_at == DIES
        assert classify(f"https://corsproxy.io/?{spelled}&w=1", created_at=made).expires_at == DIES


@pytest.mark.parametrize("pattern", ["file[{}]", "file%5B{}%5D", "a[b][{}]"])
def test_a_parameter_in_brackets_goes_by_its_last_name(pattern: str) -> None:
    url = f"https://v.example.io/a.mp4?{pattern.format('expires')}={EPOCH}&{pattern.format('signature')}={SIGNATURE}"
    assert (classify(url).kind, classify(url).expires_at) == (Kind.TEMPORARY, DIES)
    assert SIGNATURE not in redact(url)


@pytest.mark.parametrize("behind", [",", ";", ")", "\\", "\x00", ".", "]", "}"])
def test_punctuation_left_behind_a_url_does_not_hide_its_signature(behind: str) -> None:
    url = f"https://v.example.io/a.mp4?expires={EPOCH}&signature={SIGNATURE}{behind}"
    assert (classify(url).kind, classify(url).expires_at) == (Kind.TEMPORARY, DIES)


@pytest.mark.parametrize("quoted", ['"{}",', "'{}';", ' "{}" ,', "\u201c{}\u201d"])
def test_a_quoted_url_of_a_list_is_the_url(quoted: str) -> None:
    result = classify(quoted.format(SIGNED))
    assert (result.scheme, result.expires_at, result.secrets) == ("aws_sigv4", DIES, (SIGNATURE,))


def test_a_token_without_a_readable_end_is_a_credential() -> None:
    for name in ("expires", "expire"):
        url = f"https://x.b-cdn.net/v.mp4?token={SIGNATURE}&{name}=never"
        assert (classify(url).kind, classify(url).expires_at) == (Kind.CREDENTIAL_ONLY, None)
        assert SIGNATURE not in redact(url)


@pytest.mark.parametrize(
    "url",
    [
        f"https://x.example/v.mp4?Key-Pair-Id=K1&Signature={SIGNATURE}&Expires=17953",
        f"https://x.example/v.mp4?Key-Pair-Id=K1&Signature={SIGNATURE}&Policy=eyJTdGF0",
        f"https://x.example/v.mp4?ssig={SIGNATURE}&Expires=179",
        f"https://x.example/v.mp4?sv=2025-05-05&sig={SIGNATURE}&se=2026-1",
    ],
)
def test_a_signature_without_a_readable_time_is_still_one(url: str) -> None:
    assert classify(url).is_temporary
    assert SIGNATURE not in redact(url)


@pytest.mark.parametrize(("before", "behind"), [("", "+"), ("", "%20"), ("+", ""), ("%20", "+"), ("", "%0A")])
def test_a_stray_blank_around_a_time_does_not_hide_the_end(before: str, behind: str) -> None:
    for url in (
        f"https://b.s3.amazonaws.com/a.mp4?X-Amz-Date={before}20261121T230000Z{behind}"
        f"&X-Amz-Expires={before}3600{behind}&X-Amz-Signature={SIGNATURE}",
        f"https://b.s3.amazonaws.com/a.mp4?AWSAccessKeyId=A&Expires={before}{EPOCH}{behind}&Signature={SIGNATURE}",
        f"https://v.example.io/a.mp4?expires={before}{EPOCH}{behind}&signature={SIGNATURE}",
    ):
        assert classify(url).expires_at == DIES, url


def test_a_port_before_an_at_is_no_password_but_that_of_a_database_without_a_host_is() -> None:
    assert classify("https://example.com:443@").kind is Kind.PERMANENT
    for url in ("postgresql://app:hunter2@/shop", "https://app:443@example.com/"):
        assert classify(url).kind is Kind.CREDENTIAL_ONLY
    assert "hunter2" not in redact("postgresql://app:hunter2@/shop")


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_query_escaped_as_a_whole_still_tells_when_it_ends(levels: int) -> None:
    host, _, query = SIGNED.partition("?")
    for _ in range(levels):
        query = quote(query, safe="")
    url = f"{host}?{query}"
    result = classify(url)
    assert (result.scheme, result.expires_at, result.secrets) == ("aws_sigv4", DIES, (SIGNATURE,))
    assert [found.classification.expires_at for found in find(f"see {url} soon")] == [DIES]
    assert redact(url) == url.replace(SIGNATURE, "REDACTED")


def test_values_of_an_escaped_query_keep_their_own_escapes() -> None:
    inner = quote(SIGNED, safe="")
    url = f"https://proxy.example.com/?{quote(f'url={inner}&w=640', safe='')}&page=2"
    assert classify(url).expires_at == DIES
    assert redact(url) == url.replace(SIGNATURE, "REDACTED")
