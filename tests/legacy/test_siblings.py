"""Keys beside a URL: set exactly as a JSON reader would see it, with every other byte kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_assets.legacy.rewrite.json_siblings import Sibling, set_siblings

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["url", "a/b", "m~n", "0", ""]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=15,
)


def objects(document: Any, pointer: str = "") -> dict[str, dict[str, Any]]:
    """Every object of a document that has members, by pointer."""
    found: dict[str, dict[str, Any]] = {}
    if isinstance(document, dict):
        if document:
            found[pointer] = document
        for key, value in document.items():
            found |= objects(value, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(document, list):
        for index, value in enumerate(document):
            found |= objects(value, f"{pointer}/{index}")
    return found


@given(document=values, data=st.data(), indent=st.sampled_from([None, 1, "\t"]), ascii_=st.booleans())
def test_members_are_set_as_a_reader_of_json_sees_it(
    document: Any, data: st.DataObject, indent: Any, ascii_: bool
) -> None:
    there = objects(document)
    if not there:
        return
    pointer = data.draw(st.sampled_from(sorted(there)))
    members = data.draw(st.dictionaries(words, st.none() | st.integers() | words, min_size=1, max_size=3))
    changed = set_siblings(
        json.dumps(document, indent=indent, ensure_ascii=ascii_),
        {pointer: {key: Sibling(value) for key, value in members.items()}},
    )
    there[pointer].update(members)
    assert json.loads(changed) == document


@given(document=values, data=st.data())
def test_setting_what_stands_there_already_changes_no_byte_around_it(document: Any, data: st.DataObject) -> None:
    there = objects(document)
    if not there:
        return
    text = json.dumps(document)
    pointer = data.draw(st.sampled_from(sorted(there)))
    key = data.draw(st.sampled_from(sorted(there[pointer])))
    assert set_siblings(text, {pointer: {key: Sibling(there[pointer][key])}}) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"url":"u" , "n":1 }', '{"url":"u" , "n":"new" }'),
        ('{ "url" : "u" }', '{ "url" : "u", "n": "new" }'),
        ('{"n":1,"url":"u","n":2}', '{"n":1,"url":"u","n":"new"}'),
        ('{"url":"u","n":{"deep":[1,{"n":3}]}}', '{"url":"u","n":"new"}'),
        ('{"url":"u", broken', '{"url":"u", broken'),
        ("[]", "[]"),
    ],
)
def test_one_key_of_the_outermost_object(text: str, expected: str) -> None:
    assert set_siblings(text, {"": {"n": Sibling("new")}}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"n": null}', '{"n": "new"}'),
        ('{"n": ""}', '{"n": "new"}'),
        ('{"u": 1}', '{"u": 1, "n": "new"}'),
        ('{"n": "2024-01-01"}', '{"n": "2024-01-01"}'),
        ('{"n": 0}', '{"n": 0}'),
        ('{"n": false}', '{"n": false}'),
    ],
)
def test_a_key_that_is_only_filled_when_empty_keeps_what_it_holds(text: str, expected: str) -> None:
    assert set_siblings(text, {"": {"n": Sibling("new", when_empty=True)}}) == expected
