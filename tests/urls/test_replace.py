"""``replace``: those URLs, in their own spelling, and not one byte more."""

from __future__ import annotations

import json

import pytest

from tests.urls.documents_for_tests import CREDENTIAL, PERMANENT, TEMPORARY, php_dump, php_load
from video_assets.urls.find.find import find
from video_assets.urls.find.replace import replace, rewrite, undo

NEW = "https://cdn.example.net/v/1.mp4?a=1&b=2"


def test_nothing_but_the_url_changes_in_json() -> None:
    document = '{ "z":1.50e+3,"a" : "%s" ,\t"a":"\\u00e9\\/" , "n":-0.0,\r\n "u":["%s"] }\n'
    assert replace(document % (TEMPORARY, PERMANENT), {TEMPORARY: NEW}) == document % (NEW, PERMANENT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (TEMPORARY.replace("/", "\\/"), NEW.replace("/", "\\/")),
        (TEMPORARY.replace("&", "\\u0026"), NEW.replace("&", "\\u0026")),
        (
            TEMPORARY.replace("/", "\\u002F").replace("=", "\\u003d"),
            NEW.replace("/", "\\u002F").replace("=", "\\u003d"),
        ),
        (TEMPORARY.replace("&", "&amp;"), NEW.replace("&", "&amp;")),
        (TEMPORARY.replace("&", "&#038;"), NEW.replace("&", "&#038;")),
        (TEMPORARY.replace("&", "&amp;amp;"), NEW.replace("&", "&amp;amp;")),
        ("".join(f"\\u{ord(c):04X}" for c in TEMPORARY), "".join(f"\\u{ord(c):04X}" for c in NEW)),
        (
            "https%3A%2F%2Fu%3Apw123456%40h.example%2F",
            "https%3A%2F%2Fcdn.example.net%2Fv%2F1.mp4%3Fa%3D1%26b%3D2",
        ),
        (
            "https%3a%2f%2fu%3apw123456%40h.example%2f",
            "https%3a%2f%2fcdn.example.net%2fv%2f1.mp4%3fa%3d1%26b%3d2",
        ),
        ("https%3A//u%3Apw123456%40h.example/x", "https%3A//cdn.example.net/v/1.mp4%3Fa%3D1%26b%3D2"),
    ],
)
@pytest.mark.parametrize("around", ["%s", '{"a": "%s"}', 'before "%s" after', "<p>%s</p>"])
def test_a_url_is_replaced_in_the_spelling_it_had(old: str, new: str, around: str) -> None:
    document = around.replace("%s", old)
    (finding,) = find(document)
    assert replace(document, {finding.url: NEW}) == around.replace("%s", new)


def test_a_new_url_is_escaped_as_its_place_demands() -> None:
    new = 'https://cdn.example.net/é"<x>.mp4?a=1&b=2'
    assert json.loads(replace(json.dumps({"u": TEMPORARY}), {TEMPORARY: new})) == {"u": new}
    assert replace(json.dumps({"u": TEMPORARY}), {TEMPORARY: new}).isascii()
    assert "é" in replace(json.dumps({"u": TEMPORARY, "é": 1}, ensure_ascii=False), {TEMPORARY: new})
    page = replace(f'<img src="{CREDENTIAL}">', {CREDENTIAL: new})
    assert page == '<img src="https://cdn.example.net/é&quot;&lt;x&gt;.mp4?a=1&amp;b=2">'


def test_a_bare_csv_cell_is_quoted_when_the_new_url_needs_it() -> None:
    document = f"id,url\n1,{CREDENTIAL}\n2,{PERMANENT}\n"
    assert replace(document, {CREDENTIAL: "https://n.example/w_1,h_2/a.mp4"}) == (
        f'id,url\n1,"https://n.example/w_1,h_2/a.mp4"\n2,{PERMANENT}\n'
    )


def test_php_lengths_count_bytes_and_are_right_in_bytes_and_in_text() -> None:
    value = {"é": TEMPORARY, "nested": php_dump([f"ü {TEMPORARY}"]).decode(), "n": 1.5}
    new = "https://cdn.example.net/ü.mp4"
    for after in (
        replace(php_dump(value), {TEMPORARY: new}),
        replace(php_dump(value).decode(), {TEMPORARY: new}),
    ):
        data = after if isinstance(after, bytes) else after.encode()
        result = php_load(data)
        assert isinstance(result, dict)
        assert result["é"] == new
        assert php_load(str(result["nested"]).encode()) == {0: f"ü {new}"}


def test_php_in_an_old_encoding_keeps_its_bytes_and_gets_the_right_length() -> None:
    text = b"caf\xe9 " + TEMPORARY.encode()
    after = b"caf\xe9 " + PERMANENT.encode()
    assert replace(b's:%d:"%s";' % (len(text), text), {TEMPORARY: PERMANENT}) == b's:%d:"%s";' % (
        len(after),
        after,
    )


def test_the_length_of_a_custom_php_object_is_corrected() -> None:
    inner = php_dump([TEMPORARY]).decode()
    expected = php_dump([PERMANENT]).decode()
    document = f'a:1:{{i:0;C:11:"ArrayObject":{len(inner)}:{{{inner}}}}}'
    assert (
        replace(document, {TEMPORARY: PERMANENT})
        == f'a:1:{{i:0;C:11:"ArrayObject":{len(expected)}:{{{expected}}}}}'
    )


def test_php_in_a_database_dump_is_corrected_although_it_is_escaped() -> None:
    def dump(url: str) -> str:
        value = php_dump({"it's": url, "é": json.dumps({"u": url})}).decode()
        escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"')
        return f"INSERT INTO wp_options VALUES (1,'it''s','{escaped}','{url}');\n"

    assert replace(dump(TEMPORARY), {TEMPORARY: NEW}) == dump(NEW)
    assert len(find(dump(TEMPORARY))) == 3


def test_php_session_data_is_corrected_too() -> None:
    document = "user|" + php_dump({"u": TEMPORARY}).decode() + "lang|" + php_dump("en").decode()
    expected = "user|" + php_dump({"u": PERMANENT}).decode() + "lang|" + php_dump("en").decode()
    assert replace(document, {TEMPORARY: PERMANENT}) == expected


def test_one_place_can_be_replaced_and_its_twin_left() -> None:
    document = json.dumps([TEMPORARY, TEMPORARY])
    first, second = find(document)
    assert json.loads(replace(document, [(second, NEW)])) == [TEMPORARY, NEW]
    assert json.loads(replace(document, [(first, NEW), (second, PERMANENT)])) == [NEW, PERMANENT]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_bytes_stay_in_their_encoding(encoding: str) -> None:
    document = f'{{"é": "{TEMPORARY}", "𝄞": "x"}}'
    content = document.encode(encoding)
    expected = document.replace(TEMPORARY, NEW).encode(encoding)
    assert replace(content, {TEMPORARY: NEW}) == expected
    assert replace(content, [(find(content)[0], NEW)]) == expected


def test_undoing_gives_the_identical_document_back() -> None:
    document = json.dumps({"a": TEMPORARY, "p": php_dump([CREDENTIAL, TEMPORARY]).decode()}).replace("/", "\\/")
    result = rewrite(document, {TEMPORARY: NEW, CREDENTIAL: PERMANENT})
    assert result.replaced == 3
    assert result.content != document
    assert undo(result.content, result.changes) == document


def test_a_document_that_was_changed_since_is_not_undone() -> None:
    result = rewrite(f"see {CREDENTIAL}", {CREDENTIAL: NEW})
    for changed in ("x" + result.content, result.content[:-1], ""):
        with pytest.raises(ValueError, match="changed") as caught:
            undo(changed, result.changes)
        assert "hunter2" not in str(caught.value)


def test_a_finding_of_another_document_is_refused() -> None:
    (finding,) = find(f"see {TEMPORARY}")
    for other in (f"look: {TEMPORARY}", f"see {CREDENTIAL}", "nothing here"):
        with pytest.raises(ValueError, match="does not belong"):
            replace(other, [(finding, NEW)])


def test_urls_that_are_not_there_are_ignored() -> None:
    assert replace("nothing", {TEMPORARY: NEW}) == "nothing"
    assert replace(f"only {PERMANENT}", {TEMPORARY: NEW}) == f"only {PERMANENT}"


def test_no_record_shows_a_secret_when_printed() -> None:
    result = rewrite(f"see {CREDENTIAL}", {CREDENTIAL: PERMANENT})
    assert "hunter2" not in repr(result)
    assert "hunter2" not in repr(result.changes)
