"""Documents built from the definitions of their formats, and a strict PHP reader to judge rewritten ones."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Callable
from urllib.parse import quote

from hypothesis import strategies as st

TEMPORARY = "https://files.example.com/out/clip%201.mp4?Expires=4102444800&Signature=AbC-_~aa%2Fbb&Key-Pair-Id=APKA1234567890"
CREDENTIAL = "https://robot:hunter2hunter2@media.example.org/v/1.mp4"
PERMANENT = "https://cdn.example.net/public/clip.mp4"


class PhpError(ValueError):
    """The text is not exactly one PHP-serialised value."""


def php_dump(value: object) -> bytes:
    """``serialize($value)`` for None, bool, int, float, str, list and dict."""
    if value is None:
        return b"N;"
    if isinstance(value, bool):
        return b"b:%d;" % value
    if isinstance(value, int):
        return b"i:%d;" % value
    if isinstance(value, float):
        return b"d:%s;" % repr(value).encode()
    if isinstance(value, str):
        data = value.encode()
        return b's:%d:"%s";' % (len(data), data)
    items = list(enumerate(value)) if isinstance(value, list) else list(value.items())  # type: ignore[attr-defined]
    return b"a:%d:{%s}" % (len(items), b"".join(php_dump(k) + php_dump(v) for k, v in items))


def php_load(data: bytes) -> object:
    """``unserialize($data)`` for the same types, refusing any wrong length. Arrays come as dicts."""
    value, position = _php_value(data, 0)
    if position != len(data):
        raise PhpError(f"{len(data) - position} bytes too many")
    return value


def _php_value(data: bytes, at: int) -> tuple[object, int]:
    kind = data[at : at + 1]
    if data[at : at + 2] == b"N;":
        return None, at + 2
    if kind in (b"b", b"i", b"d"):
        end = data.index(b";", at)
        number = data[at + 2 : end]
        return (number == b"1" if kind == b"b" else int(number) if kind == b"i" else float(number)), end + 1
    if kind == b"s":
        colon = data.index(b":", at + 2)
        start = colon + 2
        end = start + int(data[at + 2 : colon])
        if data[colon + 1 : start] != b'"' or data[end : end + 2] != b'";':
            raise PhpError(f"the length of the string at {at} is wrong")
        return data[start:end].decode(), end + 2
    if kind == b"a":
        colon = data.index(b":", at + 2)
        position = colon + 2
        result: dict[object, object] = {}
        for _ in range(int(data[at + 2 : colon])):
            key, position = _php_value(data, position)
            result[key], position = _php_value(data, position)
        if data[position : position + 1] != b"}":
            raise PhpError(f"the array at {at} does not end")
        return result, position + 1
    raise PhpError(f"unknown type at {at}")


def _csv_cell(text: str) -> str:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerow(["1", text, "été"])
    return "id,value,note\r\n" + out.getvalue()


WRAPPERS: dict[str, Callable[[str], str]] = {
    "json value": lambda text: json.dumps({"id": 1.50, "a/b~c": [None, text], "ü": "é"}),
    "json value, not ASCII": lambda text: json.dumps({"é": text, "n": 1e5}, ensure_ascii=False, indent=1),
    "json key": lambda text: json.dumps({"k": {text: True}}),
    "json with escaped slashes": lambda text: json.dumps([text]).replace("/", "\\/"),
    "json for scripts": lambda text: (
        json.dumps([text]).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003E")
    ),
    "php": lambda text: php_dump({"ключ": text, "n": [1, 2.5, True, None]}).decode(),
    "csv": _csv_cell,
    "html attribute": lambda text: f'<p>é</p><video data-x="{html.escape(text)}" controls></video>',
    "html text": lambda text: f"<p>{html.escape(text)}</p>",
    "percent": lambda text: f"next={quote(text, safe='')}&x=1",
    "words around": lambda text: f"He said: {text} and left.",
}
"""Each puts one text into a document of its format."""

NESTING = ("json value", "json with escaped slashes", "json value, not ASCII", "php", "csv", "html attribute")
"""Those that may hold any other document."""


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, tuple[str, ...]]:
    """A document with ``TEMPORARY`` somewhere inside formats inside formats, and the names of the formats."""
    names = draw(st.lists(st.sampled_from(NESTING), max_size=3))
    last = draw(st.sampled_from([*WRAPPERS, ""]))
    text = TEMPORARY
    if last:
        text = WRAPPERS[last](text)
    for name in names:
        text = WRAPPERS[name](text)
    return text, (*reversed(names), last)
