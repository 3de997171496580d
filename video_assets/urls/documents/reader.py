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
from video_assets.urls.documents.php_spans import PhpSpan, looks_like_php, php_strings
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


def locate(root: View, content_type: str | None = None) -> Iterator[Candidate]:
    """Every candidate of the document ``root``, in the order of the document.

    The only candidates that overlap are a whole path and the URLs inside it, which follow it.

    ``content_type`` is a media type or a short name (``json``, ``text/csv; charset=utf-8``); unknown ones and
    None mean that the format is recognised from the text.
    """
    declared = None
    if content_type is not None:
        essence = content_type.split(";", 1)[0]
        declared = next((name for name, pattern in _TYPES.items() if pattern.search(essence)), None)
    for part in parts(root, declared):
        if isinstance(part, View):
            yield from locate(part)
        elif isinstance(part, Candidate):
            yield part
        else:
            yield from candidates(*part)


class RunningText(NamedTuple):
    """The piece ``view.text[start:end]``, in which ``candidates`` finds the URLs."""

    view: View
    start: int
    end: int


def parts(view: View, declared: str | None = None) -> Iterator[Candidate | RunningText | View]:
    """One layer of what ``locate`` reads, in order: whole candidates, text, and the views that are to be read."""
    text = view.text
    if view.depth >= MAX_DEPTH:
        return iter((RunningText(view, 0, len(text)),))
    if declared is None and ONE_URL.match(text) and complete_end(text) == len(text):
        return iter((Candidate(view, 0, len(text)),))
    if declared == "json" or (declared is None and looks_like_json(text)):
        return _json_parts(view)
    if (delimiter := _delimiter(text, declared)) is not None:
        return _csv_parts(view, delimiter)
    if looks_like_php(text):
        return _php_parts(view)
    if _ESCAPED_PHP.search(text):
        return _sql_parts(view)
    if declared == "html" or looks_like_html(text):
        return _html_parts(view)
    return _text_parts(view)


def is_running_text(text: str, *, in_parts: bool = False) -> bool:
    """True when ``text`` is read as running text, but for the PHP strings in it; ``in_parts``, also what begins
    like it and ends before it."""
    return not (
        looks_like_json(text)
        or (_may_be_csv(text) and (in_parts or _delimiter(text, None) is not None))
        or _ESCAPED_PHP.search(text)
        or looks_like_html(text)
    )


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


def _text_parts(view: View) -> Iterator[Candidate | RunningText]:
    whole = whole_path(view) or whole_url_with_blanks(view)
    if whole is not None:
        yield whole
    yield RunningText(view, 0, len(view.text))


def _json_parts(view: View) -> Iterator[RunningText | View]:
    for found in json_strings(view.text):
        if isinstance(found, JsonString):
            yield View.inside(
                view,
                found.start,
                found.end,
                codec=JSON,
                layer="json",
                pointer=found.pointer,
                in_key=found.is_key,
                is_value=True,
            )
        else:
            yield RunningText(view, *found)


def _php_parts(view: View) -> Iterator[RunningText | View]:
    position = 0
    text = view.text
    for span in php_strings(text):
        yield RunningText(view, position, span.head)
        if may_contain(text[span.start : span.end]):
            yield php_string(view, span)
        position = span.end
    yield RunningText(view, position, len(text))


def php_string(view: View, span: PhpSpan) -> PhpString:
    """The inside of the string that ``span`` is in ``view``."""
    return PhpString(
        view,
        span.start,
        span.end,
        length_start=span.length_start,
        length_end=span.length_end,
        counts_bytes=span.counts_bytes,
    )


def _sql_parts(view: View) -> Iterator[RunningText | View]:
    """A dump whose strings hold PHP: their lengths count what the escapes stand for."""
    position = 0
    text = view.text
    for match in _SQL_STRING.finditer(text):
        start, end = match.span(1)
        yield RunningText(view, position, start)
        if may_contain(text[start:end]):
            yield View.inside(view, start, end, codec=SQL, layer="sql", is_value=True)
        position = end
    yield RunningText(view, position, len(text))


def _csv_parts(view: View, delimiter: str) -> Iterator[RunningText | View]:
    text = view.text
    for cell in cells(text, delimiter):
        if not may_contain(text[cell.start : cell.end]):
            continue
        if cell.quoted:
            yield View.inside(view, cell.start, cell.end, codec=CSV, layer="csv", is_value=True)
        else:
            yield BareCell(view, cell.start, cell.end, delimiter=delimiter)


def _html_parts(view: View) -> Iterator[RunningText | View]:
    text = view.text
    for span in html_spans(text):
        if not may_contain(text[span.start : span.end]):
            continue
        if span.part is Part.RAW:
            yield View.inside(view, span.start, span.end)
        else:
            is_value = span.part is Part.VALUE
            inner = View.inside(view, span.start, span.end, codec=HTML, layer="html", is_value=is_value)
            if is_value:
                yield inner
            else:
                yield RunningText(inner, 0, len(inner.text))
