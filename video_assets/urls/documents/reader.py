"""Everything in a document that is written as a URL, at any depth of formats inside formats.

The formats are recognised, not believed: whatever is not understood is read as text, so that a wrong guess
can cost a pointer but never a URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from video_assets.urls.documents.codecs import CSV, HTML, JSON, SQL
from video_assets.urls.documents.csv_spans import cells, sniff
from video_assets.urls.documents.html_spans import Part, html_spans, looks_like_html
from video_assets.urls.documents.json_spans import JsonString, json_strings, looks_like_json
from video_assets.urls.documents.php_spans import looks_like_php, php_strings
from video_assets.urls.documents.text_spans import Candidate, candidates, whole_path, whole_url_with_blanks
from video_assets.urls.documents.triggers import may_contain
from video_assets.urls.documents.url_end import complete_end
from video_assets.urls.documents.views import BareCell, PhpString, View

_OTHER_FORMAT = re.compile(r"\s*+(?:<|[aOCs]:[0-9]+:)")
"""Text that begins like this is not delimited text, even if its lines happen to have equal numbers of commas."""

MAX_DEPTH = 40
"""Views inside views; deeper text is read as plain text."""

ONE_URL = re.compile(
    r"https?://[A-Za-z0-9\-._~/?#@:$+=%]*[A-Za-z0-9\-_/=]"
    r"(?:&(?![A-Za-z#][A-Za-z0-9]*;)[A-Za-z0-9\-._~/?#@:$+=%]*[A-Za-z0-9\-_/=])*\Z"
)
"""A text that is one plain URL: the usual case, worth a short way."""
_ESCAPED_PHP = re.compile(r's:[0-9]{1,10}:\\"')
_SQL_STRING = re.compile(r"'((?:[^'\\]|\\.|'')*)", re.DOTALL)
_TYPES = {
    "json": re.compile(r"json|ndjson|jsonlines|jsonl", re.IGNORECASE),
    "html": re.compile(r"html|xml|svg", re.IGNORECASE),
    "csv": re.compile(r"csv|tab-separated|tsv|delimited", re.IGNORECASE),
    "php": re.compile(r"php", re.IGNORECASE),
}


def locate(view: View, content_type: str | None = None) -> Iterator[Candidate]:
    """Every candidate of the document ``view``, in the order of the document.

    The only candidates that overlap are a whole path and the URLs inside it, which follow it.

    ``content_type`` is a media type or a short name (``json``, ``text/csv; charset=utf-8``); unknown ones and
    None mean that the format is recognised from the text.
    """
    declared = None
    if content_type is not None:
        essence = content_type.split(";", 1)[0]
        declared = next((name for name, pattern in _TYPES.items() if pattern.search(essence)), None)
    text = view.text
    if view.depth >= MAX_DEPTH:
        yield from candidates(view, 0, len(text))
    elif declared is None and ONE_URL.match(text) and complete_end(text) == len(text):
        yield Candidate(view, 0, len(text))
    elif declared == "json" or (declared is None and looks_like_json(text)):
        yield from _in_json(view)
    elif (delimiter := _delimiter(text, declared)) is not None:
        yield from _in_csv(view, delimiter)
    elif looks_like_php(text):
        yield from _in_php(view)
    elif _ESCAPED_PHP.search(text):
        yield from _in_sql(view)
    elif declared == "html" or looks_like_html(text):
        yield from _in_html(view)
    else:
        yield from _in_text(view)


class Place(NamedTuple):
    """A candidate and where it stands in the document."""

    start: int
    end: int
    candidate: Candidate


def places(root: View, content_type: str | None = None) -> Iterator[Place]:
    """What ``locate`` finds, each with its place."""
    for candidate in locate(root, content_type):
        yield Place(*candidate.view.to_root(candidate.start, candidate.end), candidate)


def _delimiter(text: str, declared: str | None) -> str | None:
    """What separates the cells of ``text``, when it is delimited text."""
    if declared == "csv":
        return sniff(text) or ("\t" if text.count("\t") > text.count(",") else _usual_delimiter(text))
    if declared is not None or _OTHER_FORMAT.match(text) or not _may_be_csv(text):
        return None
    return sniff(text)


def _may_be_csv(text: str) -> bool:
    return '""' in text or "\n" in text or "\r" in text


def _usual_delimiter(text: str) -> str:
    """A comma; a semicolon where none is there and an address follows a semicolon."""
    return ";" if "," not in text and ";http" in text else ","


def _in_text(view: View) -> Iterator[Candidate]:
    whole = whole_path(view) or whole_url_with_blanks(view)
    if whole is not None:
        yield whole
    yield from candidates(view, 0, len(view.text))


def _in_json(view: View) -> Iterator[Candidate]:
    for found in json_strings(view.text):
        if isinstance(found, JsonString):
            inner = View.inside(
                view,
                found.start,
                found.end,
                codec=JSON,
                layer="json",
                pointer=found.pointer,
                in_key=found.is_key,
                is_value=True,
            )
            yield from locate(inner)
        else:
            yield from candidates(view, *found)


def _in_php(view: View) -> Iterator[Candidate]:
    position = 0
    text = view.text
    for span in php_strings(text):
        yield from candidates(view, position, span.head)
        if may_contain(text[span.start : span.end]):
            inner = PhpString(
                view,
                span.start,
                span.end,
                length_start=span.length_start,
                length_end=span.length_end,
                counts_bytes=span.counts_bytes,
            )
            yield from locate(inner)
        position = span.end
    yield from candidates(view, position, len(text))


def _in_sql(view: View) -> Iterator[Candidate]:
    """A dump whose strings hold PHP: their lengths count what the escapes stand for."""
    position = 0
    text = view.text
    for match in _SQL_STRING.finditer(text):
        start, end = match.span(1)
        yield from candidates(view, position, start)
        if may_contain(text[start:end]):
            yield from locate(View.inside(view, start, end, codec=SQL, layer="sql", is_value=True))
        position = end
    yield from candidates(view, position, len(text))


def _in_csv(view: View, delimiter: str) -> Iterator[Candidate]:
    text = view.text
    for cell in cells(text, delimiter):
        if not may_contain(text[cell.start : cell.end]):
            continue
        if cell.quoted:
            yield from locate(View.inside(view, cell.start, cell.end, codec=CSV, layer="csv", is_value=True))
        else:
            yield from locate(BareCell(view, cell.start, cell.end, delimiter=delimiter))


def _in_html(view: View) -> Iterator[Candidate]:
    text = view.text
    for span in html_spans(text):
        if not may_contain(text[span.start : span.end]):
            continue
        if span.part is Part.RAW:
            yield from locate(View.inside(view, span.start, span.end))
        else:
            is_value = span.part is Part.VALUE
            inner = View.inside(view, span.start, span.end, codec=HTML, layer="html", is_value=is_value)
            if is_value:
                yield from locate(inner)
            else:
                yield from candidates(inner, 0, len(inner.text))
