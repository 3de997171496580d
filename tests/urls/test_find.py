"""What ``find`` sees in documents, case by case."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from tests.urls.documents_for_tests import CREDENTIAL, PERMANENT, TEMPORARY, php_dump
from video_assets.urls.classify.classification import Kind
from video_assets.urls.find.find import Finding, find, may_contain

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjQxMDI0NDQ4MDB9.c2lnbmF0dXJl"
UNICODE_ESCAPED = "".join(f"\\u{ord(character):04x}" for character in TEMPORARY)


def urls(content: str | bytes, content_type: str | None = None) -> list[str]:
    """The URLs that are found."""
    return [finding.url for finding in find(content, content_type)]


def only(content: str | bytes, content_type: str | None = None) -> Finding:
    """The one finding there is."""
    (finding,) = find(content, content_type)
    return finding


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("see ", " and "),
        ("see ", "."),
        ("see ", ", and"),
        ("(", ")"),
        ("(see ", ")."),
        ("(", "),"),
        ("[clip](", ")"),
        ("![clip](", " 'title')"),
        ("[", "](other)"),
        ("<", ">"),
        ('"', '"'),
        ("'", "'"),
        ("'", "', 'next'"),
        ("`", "`"),
        ("**", "**"),
        ("url=", ";"),
        ("{", "}"),
        ("|", "|"),
        ("“", "”"),
        ("「", "」"),
        ("请看", "，然后"),
        ("a\t", "\tb"),
        ("line\r\n", "\r\nline"),
        ("\ufeff", "\u200b"),
        ("url(", ")"),
        ("url('", "')"),
        ("Location: ", "\n"),
        ("xhttp ", "\x00"),
        ("{'video': '", "', 'n': 1}"),
        ("<![CDATA[", "]]>"),
        ("curl -L ", "\\\n  -o x"),
        ("log: ", "\\n next"),
        ("srcset=", " 2x,"),
        ("<", "|label>"),
        ("[img]", "[/img]"),
        ("[url=", "]x[/url]"),
        ("<p>a</p><!--", "--><p>b</p>"),
        ("<!-- src=", "-->"),
        ("<script>/*", "*/var a=1;</script>"),
        ("a{} /* ", "*/b{}"),
    ],
)
def test_the_text_around_a_url_is_not_part_of_it(before: str, after: str) -> None:
    finding = only(before + TEMPORARY + after)
    assert finding.url == finding.raw == TEMPORARY
    assert (finding.start, finding.end) == (len(before), len(before) + len(TEMPORARY))


@pytest.mark.parametrize("tail", ["_", "~", "=", "-"])
def test_what_belongs_to_a_url_stays(tail: str) -> None:
    assert urls(f"see {TEMPORARY}{tail} there") == [TEMPORARY + tail]


@pytest.mark.parametrize("tail", ["(1)", "[0]", "(a(b)c)", "*a", "'s"])
def test_brackets_and_marks_behind_a_complete_url_are_not_part_of_it(tail: str) -> None:
    assert urls(f"see {TEMPORARY}{tail} there") == [TEMPORARY]


@pytest.mark.parametrize("tail", [".", "!", ")", "?", "'", "*", "..."])
def test_a_value_that_is_one_url_is_that_url_whatever_its_last_character(tail: str) -> None:
    assert urls(json.dumps({"u": TEMPORARY + tail})) == [TEMPORARY + tail]
    assert urls(f'<a href="{TEMPORARY}{tail}">') == [TEMPORARY + tail]


@pytest.mark.parametrize(
    ("before", "after"), [("", ""), ("get('", "', timeout=5)"), ("see ", " there"), ("<", ">")]
)
def test_a_token_without_a_signature_keeps_its_last_dot(before: str, after: str) -> None:
    url = "https://h.example/a.mp4?tk=eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9."
    assert urls(before + url + after) == [url]


def test_lines_of_a_url_and_a_word_are_two_cells() -> None:
    assert urls(f"{TEMPORARY},a.mp4\n{CREDENTIAL},b.mp4\n") == [TEMPORARY, CREDENTIAL]


def test_a_comma_in_each_of_some_urls_parts_no_cells() -> None:
    lines = [f"https://h.example/w_1,h_{n}/a.mp4?token={JWT}" for n in range(3)]
    assert urls("\n".join(lines)) == lines


@pytest.mark.parametrize("separator", [",", ";", "|", "\n", " ", '","', "\\n", "&quot;,&quot;"])
def test_urls_in_a_row_are_told_apart(separator: str) -> None:
    assert urls(f"{TEMPORARY}{separator}{CREDENTIAL}") == [TEMPORARY, CREDENTIAL]


@pytest.mark.parametrize(
    ("spelled", "layers"),
    [
        (TEMPORARY.replace("/", "\\/"), ("escape",)),
        (TEMPORARY.replace("/", "\\\\\\/"), ("escape", "escape")),
        (TEMPORARY.replace("&", "\\u0026"), ("escape",)),
        (TEMPORARY.replace("&", "\\x26"), ("escape",)),
        (TEMPORARY.replace("/", "\\u002F"), ("escape",)),
        (UNICODE_ESCAPED, ("escape",)),
        (TEMPORARY.replace("&", "&amp;"), ("html",)),
        (TEMPORARY.replace("&", "&amp;amp;"), ("html", "html")),
        (TEMPORARY.replace("&", "&#38;").replace("=", "&#x3D;"), ("html",)),
        ("".join(f"&#{ord(character)};" for character in TEMPORARY), ("html",)),
        (TEMPORARY.replace("/", "\\/").replace("&", "&amp;"), ("escape", "html")),
    ],
)
@pytest.mark.parametrize("around", ["{}", 'x = "{}";', "said {}, then"])
def test_every_spelling_of_a_url_is_understood_in_plain_text(
    spelled: str, layers: tuple[str, ...], around: str
) -> None:
    finding = only(around.format(spelled))
    assert (finding.url, finding.raw, finding.layers) == (TEMPORARY, spelled, layers)


@pytest.mark.parametrize(
    "spelled",
    [
        "https%3A%2F%2Fh.example%2Fa%2520b%3F_jwt%3D" + JWT,
        "https%3a%2f%2fh.example%2fa%2520b%3f_jwt%3d" + JWT,
        "https%3A//h.example/a%2520b%3F_jwt%3D" + JWT,
        "https%253A%252F%252Fh.example%252Fa%252520b%253F_jwt%253D" + JWT,
    ],
)
def test_a_percent_encoded_url_ends_where_the_outer_query_goes_on(spelled: str) -> None:
    finding = only(f"next={spelled}&state=1")
    assert finding.raw == spelled
    assert finding.url == f"https://h.example/a%20b?_jwt={JWT}"
    assert set(finding.layers) == {"percent"}


def test_a_url_inside_a_url_is_one_finding() -> None:
    outer = f"https://proxy.example/image?url={quote(TEMPORARY, safe='')}&w=640"
    assert urls(f'<img src="{outer.replace("&", "&amp;")}">') == [outer]


def test_permanent_urls_are_left_alone() -> None:
    assert find(f"{PERMANENT} [a]({PERMANENT}) " + json.dumps({"u": PERMANENT})) == []


def test_international_hosts_and_paths_are_kept_whole() -> None:
    url = f"https://münchen.example/видео/クリップ.mp4?_jwt={JWT}"
    assert urls(f"Hier: {url}.") == [url]
    assert urls(f"Hier: {url}.".encode()) == [url]


def test_a_path_without_a_host_is_found_when_it_carries_a_token() -> None:
    path = f"/api/v3/assets/7/data?_jwt={JWT}"
    assert only(json.dumps({"data": path})).pointer == "/data"
    assert urls(f'<video src="{path}">') == [path]
    assert urls(f"id,path\n1,{path}\n2,/none\n") == [path]
    assert urls(f"GET {path} HTTP/1.1") == [path]
    assert find(f"Bearer {JWT}") == []


def test_blanks_in_the_path_of_a_whole_value_belong_to_it() -> None:
    url = TEMPORARY.replace("%20", " ")
    assert urls(json.dumps([url])) == [url]
    assert urls(f'<video src="{url}">') == [url]
    assert urls(json.dumps([f"see {url}"])) == []  # in a sentence a blank ends a URL: nobody could tell


@pytest.mark.parametrize(
    "url",
    [
        f"https://h.example/storage/v1/object/sign/videos/my file 2.mp4?token={JWT}",
        f"https://h.example/a b/my file.mp4?token={JWT}&download=my file 2.mp4",
        f"https://h.example/a.mp4?token={JWT}&download=my file 2.mp4",
    ],
)
def test_blanks_as_storage_clients_leave_them_belong_to_a_url_that_is_a_column_or_stands_in_quotes(
    url: str,
) -> None:
    assert urls(url) == urls(json.dumps({"u": url})) == [url]
    assert urls(f"const a = '{url}', b = \"{url}\";") == [url, url]
    assert urls(str({"u": url, "n": 1})) == [url]


@pytest.mark.parametrize(
    "text",
    [
        f"https://h.example/page has my talk?token={JWT}",
        f"'https://h.example/a.mp4' and the rest of the talk?token={JWT}",
        f'"https://h.example/a.mp4 was here", he said, "b.mp4?token={JWT}"',
    ],
)
def test_words_between_an_address_and_a_question_mark_are_not_a_path(text: str) -> None:
    assert not any(" " in url for url in urls(text))


def test_an_address_without_a_scheme_is_found() -> None:
    url = TEMPORARY.removeprefix("https:")
    assert urls(f'<img src="{url}">') == [url]
    assert urls(f"// a comment\nsee {url} there") == [url]


def test_json_pointers_name_every_layer() -> None:
    inner = json.dumps({"versions": [None, {"url/a~b": TEMPORARY}]})
    finding = only(json.dumps([{"payload": inner}]))
    assert finding.pointers == ("/0/payload", "/versions/1/url~1a~0b")
    assert finding.pointer == "/0/payload/versions/1/url~1a~0b"
    assert finding.layers == ("json", "json")
    assert not finding.in_key


def test_the_pointer_is_the_one_that_json_itself_resolves() -> None:
    document = {"a": {"b": [1, {"c d": TEMPORARY}], "": [[TEMPORARY]]}, "é": TEMPORARY}
    for indent in (None, 2):
        pointers = [finding.pointer for finding in find(json.dumps(document, indent=indent))]
        assert pointers == ["/a/b/1/c d", "/a//0/0", "/é"]
    assert only(json.dumps(TEMPORARY)).pointer == ""
    assert only(TEMPORARY).pointer is None


def test_a_url_in_an_object_key_says_so_and_its_pointer_does_not_repeat_it() -> None:
    finding = only(json.dumps({"seen": {TEMPORARY: [1]}}))
    assert (finding.pointer, finding.in_key, finding.url) == ("/seen", True, TEMPORARY)


def test_a_pointer_that_passes_a_secret_key_can_be_shown_safely() -> None:
    below = find(json.dumps({CREDENTIAL: {"copy": TEMPORARY}}))[1]
    assert "hunter2hunter2" in (below.pointer or "")
    assert "hunter2hunter2" not in (below.safe_pointer or "")
    assert (below.safe_pointer or "").endswith("/copy")


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ('{"a": [1, {"u": "%s', "/a/1/u"),
        ('{"a": [1, {"u": "%s"', "/a/1/u"),
        ('\ufeff{"a": "%s"}', "/a"),
        ('{"a": NaN, "b": -Infinity, "c": "%s"}', "/c"),
        ('{"a": 1, "a": "%s"}', "/a"),
        ('{"x": 1}\n{"x": [0, "%s"]}\n', "/x/1"),
        ('{"x": "cut off\n{"x": "%s"}\n', "/x"),
        ('{"x": {"y":\n{"x": "%s"}\n', "/x/y/x"),
        ('{"x": 1, \n{"x": "%s"}\n', "/x"),
        ('["a", "b", ["c"], {}, "%s"', "/4"),
        ('  [ ]\n[true, "%s"]', "/1"),
        ('{"a\\"b": "\\\\", "c": "%s"}', "/c"),
        ('[2026-11-21 02:00] INFO {"u": "%s"}', "/u"),
    ],
)
def test_broken_and_unusual_json_still_has_pointers(document: str, pointer: str) -> None:
    finding = only(document % TEMPORARY.replace("/", "\\/"))
    assert (finding.url, finding.pointer) == (TEMPORARY, pointer)


def test_what_stands_outside_the_strings_of_broken_json_is_read_too() -> None:
    assert urls(f'{{"a": 1, url: {TEMPORARY}, "b": "{CREDENTIAL}"}}') == [TEMPORARY, CREDENTIAL]
    assert urls(f"[1] {TEMPORARY}") == [TEMPORARY]
    assert urls(f'[1] he said "hello, {TEMPORARY}') == [TEMPORARY]


def test_php_in_csv_in_json_is_found_with_its_layers() -> None:
    php = php_dump({"ключ": json.dumps({"u": TEMPORARY})}).decode()
    cell = php.replace('"', '""')
    finding = only(json.dumps({"export": f'id,meta\n1,"{cell}"\n'}))
    assert finding.layers == ("json", "csv", "php", "json")
    assert finding.pointers == ("/export", "/u")


def test_a_bare_csv_cell_ends_at_its_delimiter() -> None:
    assert urls(f"id,url,at\n1,{TEMPORARY},2026-11-20\n2,{CREDENTIAL},\n") == [TEMPORARY, CREDENTIAL]
    assert urls(f"1;{TEMPORARY};x\n2;{PERMANENT};y\n") == [TEMPORARY]
    assert urls(f"1\t{TEMPORARY}\tx", "text/tab-separated-values") == [TEMPORARY]
    row = json.dumps({"a": 1, "u": TEMPORARY})
    assert [finding.pointer for finding in find(f"1\t{row}\n2\t{row}\n")] == ["/u", "/u"]


def test_a_comma_inside_a_url_of_running_text_belongs_to_it() -> None:
    url = TEMPORARY.replace("clip", "w_300,h_200,clip")
    assert urls(f"{url}\n{url}\n") == [url, url]


def test_the_images_of_a_srcset_are_told_apart() -> None:
    first, second = TEMPORARY.replace("&", "&amp;"), CREDENTIAL
    page = f'<img srcset="{first} 1x, {second} 2x" style="background:url(&quot;{first}&quot;)">'
    assert urls(page) == [TEMPORARY, CREDENTIAL, TEMPORARY]


def test_html_attributes_scripts_and_text_are_read() -> None:
    escaped = TEMPORARY.replace("&", "&amp;")
    data = json.dumps({"u": TEMPORARY}).replace("&", "&amp;").replace('"', "&quot;")
    page = (
        f"<!doctype html><video src='{escaped}'></video><a href={escaped}>x</a> {escaped}"
        f'<div data-page="{data}"></div><script type="application/json">{json.dumps([TEMPORARY])}</script>'
        f"<script>var u = 'https:\\/\\/u:pw123456@h.example\\/x';</script>"
    )
    findings = find(page)
    assert [finding.url for finding in findings] == [TEMPORARY] * 5 + ["https://u:pw123456@h.example/x"]
    assert [finding.pointer for finding in findings] == [None, None, None, "/u", "/0", None]
    assert findings[3].layers == ("html", "json")


@pytest.mark.parametrize(
    "content_type",
    [None, "application/json; charset=utf-8", "text/html", "text/csv", "text/plain", "php", "image/png", ""],
)
@pytest.mark.parametrize(
    "content",
    [TEMPORARY, f"see {TEMPORARY}.", f'{{"u": "{TEMPORARY}"}}', f'<a href="{TEMPORARY}">', f"a\n{TEMPORARY}\n"],
)
def test_a_wrong_content_type_never_costs_a_url(content: str, content_type: str | None) -> None:
    assert urls(content, content_type) == [TEMPORARY]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_spans_of_bytes_are_byte_offsets(encoding: str) -> None:
    content = f'{{"é𝄞": "{TEMPORARY}"}}'.encode(encoding)
    finding = only(content)
    assert finding.url == TEMPORARY
    assert content[finding.start : finding.end] == finding.raw
    assert finding.raw == TEMPORARY.encode(encoding.removesuffix("-sig"))[-len(finding.raw) :]


def test_bytes_in_an_old_encoding_are_read_around() -> None:
    content = b"caf\xe9 \xff " + TEMPORARY.encode() + b" na\xefve"
    assert only(content).start == 7


def test_a_host_that_deletes_counts_from_the_rows_time() -> None:
    created = datetime(2026, 11, 20, 12, tzinfo=UTC)
    finding = only_with_time("https://replicate.delivery/xezq/abc/out.mp4", created)
    assert finding.classification.kind is Kind.TEMPORARY
    assert finding.classification.expires_at == created + timedelta(hours=1)


def only_with_time(content: str, created_at: datetime) -> Finding:
    """The one finding of a document of that time."""
    (finding,) = find(content, created_at=created_at)
    return finding


def test_a_finding_shows_no_secret_when_printed() -> None:
    finding = only(json.dumps({CREDENTIAL: 1}))
    assert "hunter2hunter2" not in repr(finding)
    assert "hunter2hunter2" not in str(finding)


DEEP = 30_000


@pytest.mark.parametrize(
    "hostile",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        '"' * DEEP,
        "\\" * DEEP,
        '\\"' * DEEP,
        "%25" * DEEP,
        "&amp;" * DEEP,
        's:9:"' * DEEP,
        '="' * DEEP,
        "<script>" * DEEP,
        "http://" * DEEP,
        "'http://a'" * DEEP,
        "http://a}" * DEEP,
        "https%3A%2F%2F&" * DEEP,
        "http:\\/\\/a\\n" * 20_000,
        "\\u0068\\u0074\\u0074\\u0070\\u003a\\u002f\\u002f" * 20_000,
        ")" * DEEP,
        "/eyJ" * DEEP,
    ],
    ids=lambda text: text[:12],
)
def test_hostile_text_hides_nothing(hostile: str) -> None:
    assert urls(f"{TEMPORARY}\n{hostile}")[0] == TEMPORARY
    assert TEMPORARY in urls(f"{hostile}\n {TEMPORARY} \n")


def test_a_pointer_deeper_than_any_reader_is_left_out() -> None:
    finding = only("[" * 5000 + f'"{TEMPORARY}"')
    assert (finding.pointer, finding.url) == (None, TEMPORARY)


@pytest.mark.parametrize("text", ["", "plain words", '{"a": "b\\n\\"c\\""}', "50 % of a & b; a/b", b"", b"\xff"])
def test_the_first_look_passes_over_ordinary_text(text: str | bytes) -> None:
    assert not may_contain(text)
    assert find(text) == []
