"""Where HTML and XML keep their values: quoted attributes, scripts and styles, and the text between.

Not a parser: what it takes for an attribute may be a line of a script. Nothing is lost by that, because every
character of the text is in exactly one span.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

_MARKUP = re.compile(r"<(?:[a-zA-Z][a-zA-Z0-9:-]*(?:\s|/?>)|/[a-zA-Z]|!DOCTYPE|!doctype|!--|!\[CDATA\[|\?xml)")
_VALUE = re.compile(r"=[ \t\r\n]*+(?:\"([^\"]*)\"|'([^']*)')|<(script|style)\b[^<>]*>|<!\[CDATA\[", re.IGNORECASE)


class Part(Enum):
    """What a span of markup is."""

    VALUE = "value"
    """A quoted attribute, character references and all."""
    TEXT = "text"
    """Tags and text; character references count here too."""
    RAW = "raw"
    """The inside of a script, a style or a CDATA section: nothing is escaped."""


@dataclass(slots=True)
class HtmlSpan:
    """One span of markup."""

    start: int
    end: int
    part: Part


def looks_like_html(text: str) -> bool:
    """True when a tag, a comment or a declaration is in ``text``."""
    return "<" in text and _MARKUP.search(text) is not None


def html_spans(text: str) -> Iterator[HtmlSpan]:
    """All of ``text`` as spans, in order and without overlaps."""
    position = 0
    taken = 0
    while match := _VALUE.search(text, position):
        position = match.end()
        group = 1 if match.group(1) is not None else 2
        if match.group(group) is not None:
            part = Part.VALUE
            start, end = match.span(group)
        else:
            part = Part.RAW
            start = position
            name = match.group(3)
            end = text.find("]]>", start) if name is None else _closing_tag(text, name, start)
            end = len(text) if end < 0 else end
            position = end
        yield HtmlSpan(taken, start, Part.TEXT)
        yield HtmlSpan(start, end, part)
        taken = end
    yield HtmlSpan(taken, len(text), Part.TEXT)


def _closing_tag(text: str, name: str, start: int) -> int:
    closing = f"</{name}"
    end = text.find(closing, start)
    return end if end >= 0 else text.find(closing.swapcase(), start)
