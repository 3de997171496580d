"""Where the cells of delimited text are, and whether a text is one at all (RFC 4180, read leniently)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

DELIMITERS = ",;\t|"
_SNIFFED_RECORDS = 12
_REFERENCE = re.compile(r"&#?[A-Za-z0-9]{1,31};")


@dataclass(slots=True)
class Cell:
    """One cell; of a quoted one ``start`` and ``end`` are inside the quotes. ``column`` counts from 0."""

    start: int
    end: int
    quoted: bool
    column: int


def _pattern(delimiter: str) -> re.Pattern[str]:
    d = re.escape(delimiter)
    return re.compile(rf'(?:"((?:[^"]|"")*)(?:"|\Z)|([^{d}\r\n"][^{d}\r\n]*+|))(?:{d}|\r\n?|\n|\Z|)')


_OF_A_URL = re.compile(r"[/?&=%#]")
_PATTERNS = {delimiter: _pattern(delimiter) for delimiter in DELIMITERS}


def cells(text: str, delimiter: str) -> Iterator[Cell]:
    """The cells of ``text`` in order. Stray characters after a closing quote come as a bare cell of their own."""
    pattern = _PATTERNS[delimiter]
    position, column = 1 if text.startswith("\ufeff") else 0, 0
    size = len(text)
    while position < size:
        match = pattern.match(text, position)
        if match is None:  # cannot happen: every branch may be empty
            return
        start, end = match.span(1)
        quoted = start >= 0
        if not quoted:
            start, end = match.span(2)
        yield Cell(start, end, quoted, column)
        after = match.end()
        last = text[after - 1] if after > position else ""
        if last == delimiter:
            column += 1
        elif last in "\r\n" and last:
            column = 0
        position = after if after > position else position + 1


def sniff(text: str) -> str | None:
    """The delimiter, when ``text`` is certainly enough delimited text; else None.

    All of the first records must have the same number of cells, more than one; and either some cell is
    quoted as a whole, or the first record is a header without a URL, or a later column holds a URL or JSON, or
    every record is one URL and then words that could not go on with it.
    """
    widths = {delimiter: _width(text, delimiter) for delimiter in DELIMITERS if delimiter in text}
    if "&" in text and _REFERENCE.search(text):
        widths.pop(";", None)  # it ends character references here
    # A tab hardly ever stands inside a cell by chance; of the others the one that cuts finest is believed.
    if widths.get("\t", 0) > 1:
        return "\t"
    best = max(widths, key=lambda delimiter: widths[delimiter], default=None)
    return best if best is not None and widths[best] > 1 else None


def _width(text: str, delimiter: str) -> int:
    """Columns of the first records, or 0 when they do not look like records."""
    widths: list[int] = []
    evidence = False
    header_has_url = False
    urls_first = True
    for cell in islice(cells(text, delimiter), 2000):
        if cell.column == 0:
            if len(widths) == _SNIFFED_RECORDS:
                break
            widths.append(0)
        widths[-1] = max(widths[-1], cell.column + 1)
        has_url = text.startswith(("http", "//", "/"), cell.start, cell.end)
        has_json = text.startswith(('{"', "["), cell.start, cell.end) and text[cell.end - 1] in "}]"
        evidence |= cell.quoted or (cell.column > 0 and (has_url or has_json))
        if cell.column == 0:
            urls_first &= text.startswith("http", cell.start)
        elif _OF_A_URL.search(text, cell.start, cell.end):
            urls_first = False
        header_has_url |= len(widths) == 1 and "//" in text[cell.start : cell.end]
    cut_off = len(widths) > 1 and widths[-1] < widths[0]
    complete = widths[:-1] if cut_off else widths
    # A last line feed leaves no record behind; one line alone needs quotes around something.
    if not complete or len(set(complete)) != 1:
        return 0
    if len(complete) == 1:
        return complete[0] if evidence and '"' in text else 0
    return complete[0] if evidence or urls_first or not header_has_url else 0
