"""A found URL can hide another. Both must be found: where the first is replaced, the other comes to light."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.urls.documents_for_tests import CREDENTIAL, PERMANENT, TEMPORARY, php_dump
from video_assets.urls.documents.hidden import hides_nothing, places
from video_assets.urls.documents.views import Edit, View, apply_edits
from video_assets.urls.find import find
from video_assets.urls.replace import replace, rewrite, undo

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjQxMDI0NDQ4MDB9.c2lnbmF0dXJl"
REPLACEMENTS = (
    PERMANENT,
    "https://v.io/a",
    "https://media.example.com/v/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.mp4",
)
HIDING = {
    "a path alone in its cell makes the lines CSV": f"/{JWT},\n/,{JWT}",
    "a comma in an address makes the lines CSV": f",https://:passw0rd99@,url\n,2F/{JWT}h.example",
    "a quote that the first path reached over": f"&#39;/{JWT}https://&#39;/{JWT}",
    "an address that began inside a path": f"&#39;/{JWT}:&#x2f;&#x2f;'https:&#x2f;&#x2f;:passw0rd99@",
    "a path before the found one": f"}}&sol;?{JWT}</{JWT}id",
    "a bracket that opens in the host": f"https://[/{JWT}h.example.com]{JWT}",
    "a length of PHP at the end of an address": (
        "https://:passw0rd99@a.mp4s:12:\\\"https://'?X-Amz-Algorithm=3600&X-Amz-Signature=/"
    ),
    "a percent-encoded address that the rest belongs to": (
        f"https%3A%2F%2Fu%3Apassw0rd99%40h.example)2F/{JWT}hdnts"
    ),
    "a CDATA section in the last cell": (
        'https:&#x2f;&#x2f;:passw0rd99@/"&#x2f;/a.mp4?X-Amz-Algorithm=3600&X-Amz-Signature=,url\n,<![CDATA['
    ),
    "the length of a PHP string behind a quote": f"{CREDENTIAL}'s:75:\"/_jwt={JWT}<![CDATA[\n'\";",
    "a length of PHP that the replacement makes right": (
        f'x s:107:"\u00e9/x={JWT}\\i:0;https://u:passw0rd99@cdn.e.com/\u00e9.mp4";}}'
    ),
    "a length that hides the next one while it is right by luck": (
        'a:1:{i:0;s:109:"\nhttps:\\/\\/u:passw0rd99@e.com\\/as:71:"s:97:"'
        f'\u00e9/x={JWT}";"}}";}}>{TEMPORARY}";"id,url\n1,";'
    ),
    "a path that takes in the length of the next string": (
        's:269:"s:240:"<img src="ps://:9@2"a":ps:\\/\\/:p@"""&sol;_jwt='
        f'{JWT}&sol;s:110:"s:5:";;\n?????\t;|?\u00e9/x={JWT}{{"a":%26""&sol;\\"a:1:{{s:3:"url"'
    ),
    "two lengths of PHP, of which the one hides the other": (
        'hdnts=exp=4102444800~acl=/*~hmac=0123456789abcdef"s:365:"[""s:256:"[](s:424:"s:188:"s:493:"s:471:"'
        'xn--Expires=4102444800&Signature=AbC-_~aabbccddeeff&Key-Pair-Id=APKA1234567890s:385:"]]>&#47;u:passw0rd99@[s:373:"[]]>https://u:passw0rd99@h.example.com/a.mp4s:273:"s:265:""'
        f'"";s:253:"[]]>"\\u002f_jwt={JWT};u:passw0rd99@u:passw0rd99@https://u:passw0rd99@h.example.com/a.mp4https://'
        'u:passw0rd99@h.example.com/a.mp4</script>:127.0.0.1https://@\u3002:127.0.0.1";\u4e2d}a:1:{s:3:"url";a:1:{'
        's:3:"url";a:1:{s:3:"url";|https://u:passw0rd99@h.example.com/a.mp4https://u:passw0rd99@h.example.com/a.mp4s:12:'
        '"u:passw0rd99@"'
    ),
    "a first word without its query may have blanks in its path": json.dumps(
        [f"https://h.example/x?_jwt={JWT} y?_jwt={JWT}"]
    ),
}
"""What a replacement can bring to light: documents found by fuzzing and shortened."""


def check(content: str | bytes) -> None:
    """What is found can be replaced, all of it and each alone; nothing is found after it; it can be undone."""
    findings = find(content)
    end = 0
    for finding in findings:
        assert finding.start >= end
        assert finding.raw == content[finding.start : finding.end]
        end = finding.end
    for new in REPLACEMENTS:
        for replacements in (
            [(finding, new) for finding in findings],
            {finding.url: new for finding in findings},
        ):
            result = rewrite(content, replacements)  # type: ignore[type-var]
            assert undo(result.content, result.changes) == content
            assert find(result.content) == []
    for finding in findings[:3]:
        result = rewrite(content, [(finding, PERMANENT)])  # type: ignore[type-var]
        assert result.replaced == 1
        assert undo(result.content, result.changes) == content


@pytest.mark.parametrize("document", HIDING.values(), ids=HIDING.keys())
def test_nothing_comes_to_light_when_everything_found_is_replaced(document: str) -> None:
    assert find(document)
    check(document)
    check(document.encode())
    check(document.encode("utf-16"))


def test_a_hidden_url_is_found_with_its_own_place_and_spelling() -> None:
    document = HIDING["a quote that the first path reached over"]
    first, hidden = find(document)
    assert first.url == f"/{JWT}https://"
    assert hidden.url == hidden.raw == f"/{JWT}"
    assert document[hidden.end - len(JWT) - 1 :] == hidden.raw


def test_one_hidden_url_can_be_replaced_while_what_hides_it_stays() -> None:
    document = HIDING["a path alone in its cell makes the lines CSV"]
    hidden = find(document)[-1]
    assert (
        replace(document, [(hidden, PERMANENT)]) == document[: hidden.start] + PERMANENT + document[hidden.end :]
    )


def test_a_url_that_grows_once_its_query_is_gone_is_one_finding_with_what_it_takes_in() -> None:
    value = f"https://h.example/x?_jwt={JWT} y?_jwt={JWT}"
    assert [finding.url for finding in find(json.dumps([value]))] == [value]


def test_a_php_length_that_can_be_read_in_two_ways_is_no_reason_to_fail() -> None:
    # In characters it is right; once the letters of two bytes are gone it is right too, two characters earlier.
    text = f'é https://u:paéé@h.example/x &#39;/{JWT}https://&#39;/{JWT} ";'
    document = f's:{len(text)}:"{text}";'
    findings = find(document)
    assert findings
    result = rewrite(document, [(finding, PERMANENT) for finding in findings])
    assert undo(result.content, result.changes) == document


@pytest.mark.parametrize(
    "document",
    [
        json.dumps({"u": TEMPORARY}),
        json.dumps([json.dumps({"u": CREDENTIAL})]),
        json.dumps({"u": TEMPORARY}).replace("/", "\\/").replace("&", "\\u0026"),
        f"took 3 s: {CREDENTIAL}\nnext {TEMPORARY}\n",
        f"id,url\n1,{CREDENTIAL}\n",
        f'<video src="{TEMPORARY.replace("&", "&amp;")}"></video>',
        php_dump([TEMPORARY]).decode(),
    ],
)
def test_a_usual_document_need_not_be_read_twice(document: str) -> None:
    assert all(hides_nothing(place) for place in places(View(document)))


@pytest.mark.parametrize(
    "document",
    [
        f"see ({CREDENTIAL})",
        f"'{CREDENTIAL}'",
        f"{CREDENTIAL}, and",
        f"next={CREDENTIAL}",
        CREDENTIAL.replace("/", "\\/"),
        CREDENTIAL + "?a=",
        CREDENTIAL + "?a,b",
        json.dumps([CREDENTIAL + " b"]),
    ],
)
def test_a_url_that_touches_other_text_is_looked_behind(document: str) -> None:
    assert not all(hides_nothing(place) for place in places(View(document)))


PIECES = st.sampled_from(
    [
        TEMPORARY,
        CREDENTIAL,
        TEMPORARY.replace("&", "&amp;"),
        CREDENTIAL.replace("/", "\\/"),
        CREDENTIAL.replace("/", "&#x2f;"),
        "https%3A%2F%2Fu%3Apw123456%40h.example%2Fx",
        *("https://", "https:\\/\\/", "https:&#x2f;&#x2f;", "https%3A%2F%2F", "//", "\\/", "%2F"),
        *("&#x2f;", "&#47;", "&sol;", "&quot;", "&#39;", "&amp;", "\\u002f", "\\u0026"),
        *("h.example.com", "u:passw0rd99@", "/a.mp4?", "hdnts=exp=4102444800~acl=/*~hmac=0123456789abcdef"),
        *(f"/{JWT}", f"/_jwt={JWT}", f"?_jwt={JWT}", f"_jwt={JWT}"),
        *("<![CDATA[", "]]>", "<script>", "</script>", "<a href='", '<b c="', "</"),
        *("id,url\n1,", "id;url\n1;", "1|2\n", "\n", "\t", '""', '"', '\\"', '","', "{'", '{"a":"', '"}'),
        *('a:1:{s:3:"url";', 's:5:"', 's:75:"', 's:12:\\"', '";'),
        *"'()[]{},;|\\ &=?#:.@",
        "](",
    ]
)
DOCUMENTS = st.lists(PIECES, min_size=2, max_size=24).map("".join)


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(DOCUMENTS)
def test_found_is_replaceable_replaced_is_clean_and_undone_is_identical_on_any_pieces(document: str) -> None:
    check(document)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(DOCUMENTS, min_size=1, max_size=4), st.sampled_from(["json", "php", "lines", "csv"]))
def test_the_same_holds_for_such_pieces_inside_a_format(pieces: list[str], form: str) -> None:
    if form == "json":
        check(json.dumps(pieces).replace("/", "\\/"))
    elif form == "php":
        check(php_dump(pieces))
    elif form == "csv":
        check(
            "id,text\r\n"
            + "".join(f'{n},"{text.replace(chr(34), 2 * chr(34))}"\r\n' for n, text in enumerate(pieces))
        )
    else:
        check("\n".join(pieces))


@st.composite
def php_with_lengths_nearly_right(draw: st.DrawFn, depth: int = 2) -> str:
    """Text with PHP strings whose lengths fit, or nearly, what they hold before or after a replacement."""
    inner = "".join(
        draw(st.lists(PHP_PIECES | php_with_lengths_nearly_right(depth - 1) if depth else PHP_PIECES, max_size=6))
    )
    measured = inner
    if draw(st.booleans()):
        new = draw(st.sampled_from(REPLACEMENTS))
        for finding in find(inner):
            measured = measured.replace(finding.url, new)
    measured = measured[: draw(st.sampled_from([None, *(match.start() for match in re.finditer('"', measured))]))]
    length = draw(st.sampled_from([len(measured), len(measured.encode())])) + draw(st.sampled_from([0, 0, 1, -1]))
    around = draw(st.sampled_from(["", "x ", "a:1:{i:0;", CREDENTIAL]))
    return f's:{length}:"{inner}";' if depth else f'{around}s:{length}:"{inner}";'


PHP_PIECES = st.sampled_from(
    [
        *(
            f"/x={JWT}",
            f"\u00e9/x={JWT}",
            f"https://e.com/a?t={JWT}",
            "https://u:passw0rd99@cdn.e.com/\u00e9.mp4",
        ),
        *(TEMPORARY, "https:\\/\\/u:passw0rd99@e.com\\/a", 's:5:"hello";', 'C:3:"Foo":50:{', "a:1:{", "i:0;"),
        *"\u00e9\\'\",;\n<>{}() ",
        *('";', '""', '{"a":"', '"}', "&#x2f;", '<a href="', "id,url\n1,"),
    ]
)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(php_with_lengths_nearly_right())
def test_the_same_holds_when_the_lengths_of_php_strings_are_nearly_right(document: str) -> None:
    check(document)
    check(json.dumps([document]))


@pytest.mark.parametrize("others", [3, 30, 150])
@pytest.mark.parametrize(
    "inside", ["{}", '["{}"]', '{{"url":"{}"}}', "id,url\n1,{}\n"], ids=["url", "list", "json", "csv"]
)
def test_a_wrong_length_that_a_replacement_makes_right_is_seen_among_many_that_it_does_not(
    others: int, inside: str
) -> None:
    hiding = HIDING["a length of PHP that the replacement makes right"]
    strings = []
    for number in range(others):
        text = inside.format(f"https://e.com/v/{number}.mp4?expires=4102444800&sig=Zm9vYmFyYmF6cXV4")
        strings.append(f's:{len(text) + 3}:"{text}";')
    check("".join([*strings, hiding]))
    check("".join([hiding, *strings]))


def test_a_wrong_length_is_seen_however_many_ends_its_string_can_have() -> None:
    blank = "https://e.com/a b.mp4?expires=4102444800&sig=Zm9vYmFyYmF6cXV4"
    inside = "".join(['["', CREDENTIAL, '",', '"\\";",' * 90, '"', blank, '"]'])
    for new in REPLACEMENTS:
        document = f'x s:{len(inside) - len(CREDENTIAL) + len(new)}:"{inside}";}}'
        found = find(document)
        assert find(rewrite(document, [(finding, new) for finding in found]).content) == []


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(php_with_lengths_nearly_right(), min_size=2, max_size=40))
def test_the_same_holds_for_many_such_strings_in_a_row(documents: list[str]) -> None:
    check("".join(documents))


def test_a_wrong_length_of_php_is_nobodys_business() -> None:
    document = f's:7:"{CREDENTIAL}";'
    assert replace(document, {CREDENTIAL: PERMANENT}) == f's:7:"{PERMANENT}";'


def test_a_length_that_counts_characters_goes_on_counting_them() -> None:
    new = "https://h.example/\u00e4\u00f6.mp4"
    text = f"\u00e9\u00e9 {CREDENTIAL}"
    document = f's:{len(text)}:"{text}";'
    assert replace(document, {CREDENTIAL: new}) == f's:{3 + len(new)}:"\u00e9\u00e9 {new}";'


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(DOCUMENTS)
def test_a_url_that_hides_nothing_goes_without_a_trace(document: str) -> None:
    root = View(document)
    before = list(places(root))
    for index, place in enumerate(before):
        if hides_nothing(place):
            candidate = place.candidate
            edit = Edit(candidate.start, candidate.end, PERMANENT)
            after = document
            for change in reversed(apply_edits(root, {candidate.view: [edit]})):
                after = after[: change.start] + change.new + after[change.end :]
            expected = [other.candidate.url for other in before]
            expected[index] = PERMANENT
            assert [other.candidate.url for other in places(View(after))] == expected
