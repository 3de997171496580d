"""What must hold for every document: found is replaceable, replaced is clean, undone is identical."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.urls.documents_for_tests import (
    CREDENTIAL,
    NESTING,
    PERMANENT,
    TEMPORARY,
    WRAPPERS,
    documents,
    php_dump,
    php_load,
)
from video_assets.urls.find.find import find, may_contain
from video_assets.urls.find.replace import replace, rewrite, undo

QUICK = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])

# Text that is likely to be mistaken for structure: pieces of every format and of every spelling.
PIECES = st.sampled_from(
    [
        TEMPORARY,
        CREDENTIAL,
        PERMANENT,
        TEMPORARY.replace("/", "\\/"),
        TEMPORARY.replace("&", "&amp;"),
        TEMPORARY.replace("&", "\\u0026"),
        "https%3A%2F%2Fu%3Apw123456%40h.example%2Fx",
        "".join(f"\\u{ord(c):04x}" for c in CREDENTIAL),
        "//u:pw123456@h.example.com/x",
        "/p?_jwt=eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjQxMDI0NDQ4MDB9.c2ln",
        *"\"\\{}[](),:;<>'|&%/=\n\t ",
        '":"',
        '\\"',
        "\\\\",
        '""',
        's:5:"',
        's:12:"',
        "a:1:{",
        "<a href='",
        '<b c="',
        "<script>",
        "</script>",
        "&quot;",
        "&#x27;",
        "\\n",
        "\\u00e9",
        "é",
        "𝄞",
        "\ud800",
        "null",
        "1e5",
        "http",
        "://",
        "%2F",
        "\ufeff",
    ]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=4)), max_size=14).map("".join)


def check(content: str | bytes) -> None:
    """The three properties on one document."""
    findings = find(content)
    if not findings:
        return
    assert may_contain(content)
    end = 0
    for finding in findings:
        assert finding.start >= end
        end = finding.end
        assert content[finding.start : finding.end] == finding.raw
    result = rewrite(content, [(finding, PERMANENT) for finding in findings])  # type: ignore[type-var]
    assert result.replaced == len(findings)
    assert undo(result.content, result.changes) == content
    assert type(result.content) is type(content)
    # A text that was made for it shows another URL once one is gone; that is found in the next round.
    after = result.content
    for _ in range(8):
        if not (left := find(after)):
            break
        after = replace(after, [(finding, PERMANENT) for finding in left])
    assert find(after) == []


@QUICK
@given(documents())
@example((TEMPORARY, ("",)))
def test_a_url_is_found_through_any_wrapping_and_can_be_replaced_and_put_back(
    document: tuple[str, tuple[str, ...]],
) -> None:
    text, _ = document
    assert [finding.url for finding in find(text)] == [TEMPORARY]
    check(text)
    check(text.encode())
    check(text.encode("utf-16"))
    assert replace(text, {TEMPORARY: PERMANENT}) == replace(text, [(find(text)[0], PERMANENT)])


@settings(QUICK, max_examples=600)
@given(TEXTS)
def test_the_properties_hold_on_texts_made_of_broken_pieces(text: str) -> None:
    check(text)


@QUICK
@given(
    st.lists(st.one_of(PIECES.map(lambda s: s.encode("utf-8", "replace")), st.binary(max_size=4)), max_size=10)
)
def test_the_properties_hold_on_bytes_in_no_encoding(pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    check(content)
    check(b"\xff\xfe" + content)


@QUICK
@given(TEXTS)
def test_the_first_look_misses_nothing(text: str) -> None:
    if not may_contain(text):
        assert find(text) == []
    raw = text.encode("utf-8", "surrogatepass")
    if not may_contain(raw):
        assert find(raw) == []


JSON_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text(max_size=6),
        st.sampled_from([TEMPORARY, CREDENTIAL, PERMANENT, f"see {TEMPORARY}."]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)),
    max_leaves=12,
)


def swapped(value: object) -> object:
    """``value`` with both temporary URLs replaced in every string, by plain means."""
    if isinstance(value, str):
        return value.replace(TEMPORARY, PERMANENT).replace(CREDENTIAL, PERMANENT)
    if isinstance(value, list):
        return [swapped(item) for item in value]
    if isinstance(value, dict):
        return {swapped(key): swapped(item) for key, item in value.items()}
    return value


@QUICK
@given(JSON_VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_json_means_the_same_with_only_those_strings_changed(
    value: object, ascii_only: bool, indent: int | None
) -> None:
    document = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    after = replace(document, {TEMPORARY: PERMANENT, CREDENTIAL: PERMANENT}, "application/json")
    assert json.loads(after) == swapped(value)
    assert after.isascii() or not document.isascii()


def php_shape(value: object) -> object:
    """``value`` as ``php_load`` gives it back: lists as dicts, integers as keys where PHP makes them so."""
    if isinstance(value, list):
        return {index: php_shape(item) for index, item in enumerate(value)}
    if isinstance(value, dict):
        return {key: php_shape(item) for key, item in value.items()}
    return value


@QUICK
@given(JSON_VALUES)
def test_php_lengths_are_right_after_a_replacement(value: object) -> None:
    document = php_dump(value)
    after = replace(document, {TEMPORARY: PERMANENT, CREDENTIAL: PERMANENT})
    assert php_load(after) == php_shape(swapped(value))
    text = replace(document.decode(), {TEMPORARY: PERMANENT, CREDENTIAL: PERMANENT})
    assert text.encode() == after


@QUICK
@given(st.lists(st.sampled_from(["php", "json value", "json with escaped slashes"]), min_size=1, max_size=4))
def test_php_lengths_are_right_at_every_layer(names: list[str]) -> None:
    text = php_dump({"a": TEMPORARY, "b": "é" + TEMPORARY}).decode()
    expected = php_dump({"a": PERMANENT, "b": "é" + PERMANENT}).decode()
    for name in names:
        text, expected = WRAPPERS[name](text), WRAPPERS[name](expected)
    assert replace(text, {TEMPORARY: PERMANENT}) == expected


@QUICK
@given(st.lists(st.sampled_from(NESTING), max_size=4), st.sampled_from(sorted(WRAPPERS)))
def test_a_replacement_is_spelled_as_the_format_itself_would_spell_it(names: list[str], last: str) -> None:
    new = "https://cdn.example.net/public/é.mp4?w=1&h=2"
    old = "https://files.example.com/é.mp4?Expires=4102444800&Signature=AbC-_~aabbccdd&Key-Pair-Id=APKA1234567890"
    text, expected = WRAPPERS[last](old), WRAPPERS[last](new)
    for name in names:
        text, expected = WRAPPERS[name](text), WRAPPERS[name](expected)
    assert replace(text, {old: new}) == expected
