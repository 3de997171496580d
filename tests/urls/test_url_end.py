"""Where a signed URL ends when something else stands right behind it; what stood around it stays to the byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.urls.test_classify_schemes import CASES, Case
from video_assets.urls import classify, host_rules
from video_assets.urls.documents.url_end import complete_end
from video_assets.urls.find.find import find
from video_assets.urls.find.replace import rewrite, undo

NEW = "https://media.example.com/v/1.mp4"
S3 = (
    "https://b.s3.eu-west-3.amazonaws.com/a.mp4?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAEXAMPLE%2F"
    "20261128%2Feu-west-3%2Fs3%2Faws4_request&X-Amz-Date=20261128T000000Z&X-Amz-Expires=604800"
    "&X-Amz-SignedHeaders=host&X-Amz-Signature=" + "0123456789abcdef" * 4
)
CLOUDFRONT = (
    "https://d1.cloudfront.net/a.mp4?Expires=1796000000&Signature="
    + ("Ab1~cD2-eF3_" * 29)[:340]
    + "__&Key-Pair-Id=K38HBHX5LX3X2H"
)
JWT = (
    "https://h.example.com/a.mp4?_jwt=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE3OTYwMDAwMDB9."
    "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9t0U1v"
)
AZURE = (
    "https://a.blob.core.windows.net/c/a.mp4?sv=2022-11-02&st=2026-11-28T00:00:00Z&se=2026-12-28T00:00:00Z&sr=b"
    "&sp=r&sig=abcdEFGH1234abcdEFGH1234abcdEFGH1234abcdEFG%3D"
)
KEPT_FOR_DAYS = "https://tempfile.aiquickdraw.com/v/abc_0.mp4"
SIGNED = (S3, CLOUDFRONT, JWT, AZURE, KEPT_FOR_DAYS)

FOLLOWERS = (
    ",My first film",
    ",1280,720",
    ", and more",
    ";My film;",
    "|final",
    "|width=300!",
    "@2x",
    ":2",
    "=>done",
    "→ done",
    "(1)",
    "[0]",
    "}{next}",
    "*bold*",
    "$1",
    "^2",
    "'s",
    "!! great",
    "\\n",
    '","next"',
)
WITH_A_NAME = (":poster.jpg", ",poster.jpg,1.5", "@cover.png?x=1")
LISTS = {"bilibili", "weibo"}
"""Their last value is a list: what a comma parts in it is not told from a label."""


def rewritten(text: str) -> str:
    """``text`` with every found URL replaced; taking it back gives ``text`` again."""
    result = rewrite(text, [(finding, NEW) for finding in find(text)])
    assert undo(result.content, result.changes) == text
    return result.content


@pytest.mark.parametrize("case", [case for case in CASES if case.scheme not in LISTS], ids=str)
def test_what_stands_behind_a_url_of_any_scheme_is_kept(case: Case) -> None:
    names_a_file = "?" in case.url or case.url.rpartition("/")[2].rpartition(".")[2] in (
        "mp4",
        "png",
        "jpg",
        "webm",
    )
    for follower in FOLLOWERS + (WITH_A_NAME if names_a_file else ()):
        for before in ("", "src=", "see "):
            assert rewritten(f"{before}{case.url}{follower}") == f"{before}{NEW}{follower}"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_url_alone_is_not_shortened(case: Case) -> None:
    assert complete_end(case.url) == len(case.url)
    assert [finding.url for finding in find(json.dumps({"u": case.url}))] == [case.url]


@pytest.mark.parametrize("url", SIGNED)
@pytest.mark.parametrize(
    ("before", "behind"),
    [
        ("(", ",video)"),
        ("{{", ",x},{y,z}}"),
        ('{"(', ',video)"}'),
        ("!", "|width=300!"),
        ("note:", ":poster.jpg"),
        ("{a:", ",b:1}"),
        ("a => ", "=>done"),
        ("1. ", "→2."),
        ("thumb@", "@2x.jpg"),
    ],
)
def test_composite_values_arrays_and_markup_keep_their_other_parts(url: str, before: str, behind: str) -> None:
    assert rewritten(f"{before}{url}{behind}") == f"{before}{NEW}{behind}"


@pytest.mark.parametrize("url", SIGNED)
@pytest.mark.parametrize("follower", [",My film", ",1280,720", ":poster.jpg", "@2x", "|a|b"])
def test_a_label_in_a_json_value_is_kept(url: str, follower: str) -> None:
    document = json.dumps({"id": 1, "files": [url + follower, url]})
    assert rewritten(document) == json.dumps({"id": 1, "files": [NEW + follower, NEW]})


@pytest.mark.parametrize("second", SIGNED)
@pytest.mark.parametrize("separator", [":", "@", "!", "*", "^", "$", ",", ";", "|", "=>", "->"])
def test_two_urls_with_one_mark_between_them_are_two(second: str, separator: str) -> None:
    assert [finding.url for finding in find(f"{S3}{separator}{second}")] == [S3, second]


@pytest.mark.parametrize("follower", FOLLOWERS[:12])
def test_what_stands_behind_a_url_of_a_users_own_host_is_kept(follower: str) -> None:
    rules = host_rules(("media.example.com/renders/ = 7d",))
    for url in ("https://media.example.com/renders/a.mp4", "https://media.example.com/renders/a.mp4?v=3"):
        text = f"(see {url}{follower}"
        result = rewrite(text, [(finding, NEW) for finding in find(text, hosts=rules)])
        assert result.content == f"(see {NEW}{follower}"


def test_an_ampersand_that_is_escaped_only_behind_a_url_is_not_of_it() -> None:
    assert rewritten(f"src={S3}&amp;title=x") == f"src={NEW}&amp;title=x"
    escaped = S3.replace("&", "&amp;")
    assert [finding.url for finding in find(f"src={escaped}&amp;x-id=GetObject")] == [f"{S3}&x-id=GetObject"]


@pytest.mark.parametrize(
    "url",
    [
        f"{S3}&x-id=GetObject",
        f"{S3}&response-content-disposition=attachment;filename=a,b.mp4",
        "https://b.oss-cn-hangzhou.aliyuncs.com/a.mp4?Expires=1796000000&OSSAccessKeyId=LTAI5tExample"
        "&Signature=abcdEFGH1234abcdEFGH1234abc%3D&x-oss-process=video/snapshot,t_1000,f_jpg,w_0",
        f"{CLOUDFRONT}&callback=https://app.example.com/done",
        "https://x.akamaized.net/a.mp4?hdnts=st=1795000000~exp=1796000000~acl=/*!/b/*~hmac="
        + "0123456789abcdef" * 4,
        "https://b.cos.ap-beijing.myqcloud.com/a.mp4?q-sign-algorithm=sha1&q-ak=AKIDExample&q-sign-time="
        "1795000000;1796000000&q-key-time=1795000000;1796000000&q-header-list=host;range&q-url-param-list="
        "&q-signature=" + "0123456789" * 4,
        "https://h.example.com/,clip_,300,500,k.mp4.csmil/master.m3u8?Expires=1796000000&Signature=Ab1~cD2-eF3_Ab1~cD2"
        "&Key-Pair-Id=K38HBHX5LX3X2H",
        "https://a.blob.core.windows.net/c/a.mp4?sv=2022-11-02&sr=b&sp=r&sig=abcdEFGH1234abcdEFGH1234abcdEFGH1234abcd"
        "EFG%3D&st=2026-11-28T00:00:00Z&se=2026-12-28T00:00:00Z",
    ],
)
def test_marks_that_a_signed_url_holds_itself_do_not_end_it(url: str) -> None:
    assert [finding.url for finding in find(f"see {url} there")] == [url]


FOLLOWING = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(
            [",", ";", ":", "|", "@", "!", "*", "(", ")", "[", "^", "$", "→", "·", "'", "=>", "{", "}"]
        ),
        st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/?#&=%.~-_+"), max_size=12),
    ),
)


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(SIGNED), FOLLOWING.filter(lambda text: any(map(str.isalnum, text))))
def test_no_letter_behind_a_signed_url_is_lost(url: str, follower: str) -> None:
    after = rewritten(f"x {url}{follower}")
    assert after == f"x {NEW}{follower}"
    assert classify(NEW).is_persistable


QINIU = (
    "https://cdn.example.com/a.mp4?e=1796000000&token=AbCdEfGhIjKlMnOpQrStUvWxYz0123456789abcd:"
    "dARKPTnamqWNLkF_qCiRZ2b5pT4="
)
SIGNED_LAST = (
    CLOUDFRONT.split("&")[0] + "&Key-Pair-Id=K38HBHX5LX3X2H&Signature=" + ("Ab1~cD2-eF3_" * 29)[:342] + "__"
)
CLOUD_CDN = (
    "https://media.example.com/a.mp4?Expires=1796000000&KeyName=my-key&Signature=y0KspupVb1fBaNcVy0ZSd2Vs3bc="
)
OSS_FRAME = (
    "https://b.oss-cn-hangzhou.aliyuncs.com/a.mp4?Expires=1796000000&OSSAccessKeyId=LTAI5tExample"
    "&Signature=abcdEFGH1234abcdEFGH1234abc%3D&x-oss-process=video%2Fsnapshot%2Ct_1000%2Cf_jpg"
)


@pytest.mark.parametrize("url", [QINIU, SIGNED_LAST, CLOUD_CDN, OSS_FRAME, f"{S3}&x-id=GetObject"])
@pytest.mark.parametrize("behind", ["", ",My film", ";1280", ":poster.jpg", "|a", "->done", "%", "\u2026 more"])
def test_padding_is_of_the_signature_and_what_follows_is_not(url: str, behind: str) -> None:
    assert rewritten(f"see {url}{behind}") == f"see {NEW}{behind}"


def test_the_bracket_behind_a_padded_signature_is_no_arrow_where_one_was_opened() -> None:
    assert rewritten(f"<{QINIU}>, &lt;{QINIU}&gt;") == f"<{NEW}>, &lt;{NEW}&gt;"


@pytest.mark.parametrize("first", [S3, f"{S3}&x-id=GetObject", CLOUDFRONT, AZURE])
def test_two_signed_urls_with_nothing_between_them_are_two(first: str) -> None:
    assert [finding.url for finding in find(first + S3)] == [first, S3]


@pytest.mark.parametrize("before", ["video/mp4;", "1/2:", "a/b=", "clips\\a.mp4,", "a?b,", "\\url{"])
def test_what_stands_before_a_url_with_a_token_is_no_path_to_it(before: str) -> None:
    assert rewritten(f"{before}{JWT}") == f"{before}{NEW}"


def test_a_url_behind_the_name_of_a_download_is_another_one() -> None:
    assert rewritten(f"{S3}&download=a.mp4 https://example.com/b.mp4") == f"{NEW} https://example.com/b.mp4"


@pytest.mark.parametrize("url", [AZURE, SIGNED_LAST, CLOUD_CDN, OSS_FRAME.rpartition("&")[0]])
def test_a_signature_without_all_of_its_padding_was_cut_off(url: str) -> None:
    signature = url.rstrip("=_").removesuffix("%3D")
    assert not classify(url).truncated
    assert all(classify(url[:end]).truncated for end in range(len(signature), len(url)))


GOOGLE = (
    "https://storage.googleapis.com/b/a.mp4?X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=a%40b%2F20261128%2F"
    "auto%2Fstorage%2Fgoog4_request&X-Goog-Date=20261128T000000Z&X-Goog-Expires=604800&X-Goog-SignedHeaders=host"
    "&X-Goog-Signature=" + "0123456789abcdef" * 32
)
FASTLY = "https://h.example.com/a.mp4?token=1796000000_" + "0123456789" * 4
TYPE_A = "https://h.example.com/a.mp4?auth_key=1796000000-0-0-0123456789abcdef0123456789abcdef"
VERIFY = "https://h.example.com/a.mp4?verify=1796000000-abcdEFGH1234abcdEFGH1234abcdEFGH1234abcdEFG%3D"


@pytest.mark.parametrize(
    ("url", "first"),
    [
        (S3, "?X-Amz-"),
        (S3 + "&x-id=GetObject", "&x-id"),
        (GOOGLE.partition("&X-Goog-Signature")[0], "?X-Goog-"),
        (GOOGLE, "X-Goog-Signature=" + "0123456789abcdef" * 4 + "0"),  # 64 alone may be an HMAC
        (OSS_FRAME.rpartition("&")[0], "&OSSAccessK"),
        (FASTLY, "?token=1796000000_"),
        (TYPE_A, "?auth_key=1796000000-"),
        (VERIFY, "?verify=1796000000-"),
        (AZURE.replace("sv=2022-11-02&st=2026-11-28T00:00:00Z&", ""), "&sr=b"),
    ],
)
def test_a_signed_url_is_known_and_called_truncated_wherever_it_was_cut_off(url: str, first: str) -> None:
    assert classify(url).truncated is (url.endswith("SignedHeaders=host"))
    end_of_value = url.index(first) + len(first)
    for end in range(end_of_value, len(url) - (len("=GetObject") if first == "&x-id" else 0)):
        assert [finding.classification.truncated for finding in find(f"see {url[:end]}")] == [True], url[:end][
            -30:
        ]


@pytest.mark.parametrize(
    "query", ["X-Amz", "google", "access", "auth_key=abc", "token=1796000000", "verify=1", "x-id", "se=2026"]
)
def test_a_short_or_common_name_is_no_beginning(query: str) -> None:
    assert not find(f"https://example.com/a?{query}")


@pytest.mark.parametrize(
    "ending",
    [
        "&response-content-type=video/mp4;codecs=avc1",
        "&response-content-disposition=attachment%3B+filename*%3DUTF-8%27%27a.mp4",
        "&auto=format,compress",
    ],
)
def test_a_list_or_a_name_of_the_url_itself_is_not_cut_short(ending: str) -> None:
    assert [finding.url for finding in find(f"see {S3}{ending} there")] == [S3 + ending]


def test_what_follows_a_padded_signature_in_the_query_is_of_the_url() -> None:
    assert [finding.url for finding in find(f"see {CLOUD_CDN}&x=1 there")] == [f"{CLOUD_CDN}&x=1"]
