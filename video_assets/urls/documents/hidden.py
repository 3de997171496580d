"""URLs that are seen only once others are gone: what a found URL hides from the first look at a document.

A URL can be the reason why the text around it is read as it is: it makes its lines look like CSV, or it reaches
over the quote or the bracket without which the next word is no URL. When it is replaced, what was hidden appears.
So a document is looked at again with a plain URL in the place of each found one, until nothing new is seen.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from video_assets.urls.documents.codecs import HTML
from video_assets.urls.documents.reader import locate
from video_assets.urls.documents.text_spans import Candidate
from video_assets.urls.documents.views import Edit, View, apply_edits

MAX_LOOKS = 8
"""Nothing but a text made for it hides URLs behind hidden URLs so often; this keeps the cost of one linear."""
_STAND_IN = "https://replaced.example.com/a.mp4"
_PLAIN = re.compile(r"https?://[A-Za-z0-9\-._~/?#@:$+=%&]*[A-Za-z0-9\-_/]")
_STABLE = frozenset({"json", "html"})
_MARKUP = re.compile(r"\s*+<")
_APART = frozenset('\t\n\r "<>')


class Place(NamedTuple):
    """A candidate and where it stands in the document."""

    start: int
    end: int
    candidate: Candidate


def places(root: View, content_type: str | None = None) -> Iterator[Place]:
    """What ``locate`` finds, each with its place."""
    for candidate in locate(root, content_type):
        yield Place(*candidate.view.to_root(candidate.start, candidate.end), candidate)


def apart(wanted: Iterable[Place]) -> Iterator[Place]:
    """Those that do not begin inside the one before."""
    covered = 0
    for place in wanted:
        if place.start >= covered:
            covered = place.end
            yield place


def in_order(unordered: Iterable[Place]) -> list[Place]:
    """Sorted by their beginning; of two with the same, the longer comes first."""
    return sorted(unordered, key=lambda place: (place.start, -place.end))


def hides_nothing(place: Place) -> bool:
    """True when no format and no other URL can be read differently once this one is replaced by a plain URL.

    That is so for a plain URL that fills a value or stands between blanks, quotes or angle brackets: it has no
    character that means something to any format, and its word has none but its own.
    """
    candidate = place.candidate
    view, start, end = candidate.view, candidate.start, candidate.end
    text = view.text
    has_edges = view.is_value or view.parent is None
    if not (text[start - 1] in _APART if start else has_edges):
        return False
    if not (text[end] in _APART if end < len(text) else has_edges):
        return False
    if view.is_value and start == 0 and end < len(text):
        return False  # the blanks behind it may come to belong to it
    if place.end - place.start != end - start and not _is_escaped_by_what_stays(view):
        return False
    return _PLAIN.fullmatch(text, start, end) is not None


def _is_escaped_by_what_stays(view: View) -> bool:
    """True for strings of JSON and values of markup that begins as such: no escape in them makes them that."""
    if not _STABLE.issuperset(view.layers):
        return False
    while view.parent is not None:
        if view.codec is HTML and _MARKUP.match(view.parent.text) is None:
            return False
        view = view.parent
    return True


def wanted_places(root: View, content_type: str | None, is_wanted: Callable[[str], bool]) -> list[Place]:
    """Every wanted URL of the document and every one that appears when those are replaced, in order.

    They do not overlap: what appears around the place of found ones, because they and their surroundings have
    become one URL, comes instead of them.
    """
    found = more = _wanted(root, content_type, is_wanted)
    if all(map(hides_nothing, found)):
        return found
    for _ in range(MAX_LOOKS):
        try:
            draft = _Draft(root, more)
        except ValueError:  # a PHP length that counts bytes in one reading and characters in the other
            break
        found = more
        appeared = [
            draft.original(place.candidate) for place in _wanted(View(draft.text), content_type, is_wanted)
        ]
        more = list(apart(in_order([*found, *appeared])))
        if _spans(more) == _spans(found):
            break
    return found


def _spans(of: list[Place]) -> list[tuple[int, int]]:
    return [(place.start, place.end) for place in of]


def _wanted(root: View, content_type: str | None, is_wanted: Callable[[str], bool]) -> list[Place]:
    return list(apart(place for place in places(root, content_type) if is_wanted(place.candidate.url)))


class _Draft:
    """``text`` is the document ``root`` with a stand-in for each of ``found``."""

    def __init__(self, root: View, found: list[Place]) -> None:
        edits: dict[View, list[Edit]] = {}
        for place in found:
            candidate = place.candidate
            edits.setdefault(candidate.view, []).append(Edit(candidate.start, candidate.end, _STAND_IN))
        self._root = root
        self._edits = apply_edits(root, edits)
        self._starts: list[int] = []
        """Where each edit's new text begins in ``text``."""
        pieces: list[str] = []
        position = length = 0
        for edit in self._edits:
            length += edit.start - position
            self._starts.append(length)
            pieces += (root.text[position : edit.start], edit.new)
            length += len(edit.new)
            position = edit.end
        self.text = "".join([*pieces, root.text[position:]])

    def original(self, candidate: Candidate) -> Place:
        """The candidate as it stands in the document itself, with all of what stood in its stand-ins' places."""
        view = self._original_view(candidate.view)
        start, end = candidate.view.to_root(candidate.start, candidate.end)
        start, end = self._before(start), self._behind(end)
        return Place(start, end, Candidate(view, view.from_root(start), view.from_root(end)))

    def _original_view(self, view: View) -> View:
        if view.parent is None:
            return self._root
        parent = self._original_view(view.parent)
        drafted = view.parent

        def moved(position: int) -> int:
            return parent.from_root(self._behind(drafted.to_root(position, position)[0]))

        return view.moved(parent, moved)

    def _before(self, position: int) -> int:
        """Where ``text[position]`` stood; within a stand-in, where what it stands for began."""
        index = bisect_right(self._starts, position) - 1
        if index < 0:
            return position
        edit = self._edits[index]
        beyond = position - self._starts[index] - len(edit.new)
        return edit.end + beyond if beyond >= 0 else edit.start

    def _behind(self, position: int) -> int:
        """Like ``_before`` for an end: within a stand-in, where what it stands for ended."""
        index = bisect_right(self._starts, position - 1) - 1
        if index < 0:
            return position
        edit = self._edits[index]
        return edit.end + max(position - self._starts[index] - len(edit.new), 0)
