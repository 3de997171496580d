"""URLs that are seen only once others are gone: what a found URL hides from the first look at a document.

A URL can be the reason why the text around it is read as it is: it makes its lines look like CSV, or it reaches
over the quote or the bracket without which the next word is no URL. When it is replaced, what was hidden appears.
So a document is looked at again with a plain URL in the place of each found one, until nothing new is seen.

The length of that plain URL is nobody's: where a PHP string around it has a wrong length, which may be right with
another URL, that string is also looked at as if its length were right.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from video_assets.urls.documents.codecs import HTML
from video_assets.urls.documents.php_spans import may_be_undecided
from video_assets.urls.documents.reader import locate
from video_assets.urls.documents.text_spans import Candidate
from video_assets.urls.documents.views import Edit, View, apply_edits
from video_assets.urls.documents.wrong_lengths import readings_with_lengths_put_right

_FEWEST_ROUNDS = 8
"""Nothing but a text made for it hides URLs behind hidden URLs so often; this keeps the cost of one linear."""
_CHARACTERS_LOOKED_AT = 1_000_000
"""A short text may be looked at more often, until this much was read."""
_STAND_INS = tuple(f"https://replaced.example.com/{'a' * length}.mp4" for length in (1, 15, 300))
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
    return map(_placed, locate(root, content_type))


def _placed(candidate: Candidate) -> Place:
    return Place(*candidate.view.to_root(candidate.start, candidate.end), candidate)


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


def nothing_hides(found: Collection[Place]) -> bool:
    """True when no other URL can appear once all of ``found`` are replaced by plain URLs."""
    return all(map(hides_nothing, found)) and not _stand_beside_lengths(found)


def _stand_beside_lengths(found: Iterable[Place]) -> bool:
    """True when the length of what comes in the place of ``found`` may make something a PHP string, or none."""
    views: dict[int, View] = {}
    for place in found:
        view: View | None = place.candidate.view
        while view is not None and id(view) not in views:
            views[id(view)] = view
            view = view.parent
    return any(may_be_undecided(view.text) for view in views.values())


def wanted_places(root: View, content_type: str | None, is_wanted: Callable[[str], bool]) -> list[Place]:
    """Every wanted URL of the document and every one that appears when those are replaced, in order.

    They do not overlap: what appears around the place of found ones, because they and their surroundings have
    become one URL, comes instead of them.
    """

    def wanted(of: Iterable[Place]) -> list[Place]:
        return list(apart(place for place in of if is_wanted(place.candidate.url)))

    found = wanted(places(root, content_type))
    if nothing_hides(found):
        return found
    rounds = max(_FEWEST_ROUNDS, _CHARACTERS_LOOKED_AT // len(root.text))
    for _ in range(rounds):
        appeared: list[Place] = []
        for draft, readings in _looks(root, found, content_type):
            for reading in readings:
                appeared += map(draft.original, wanted(map(_placed, reading)))
        more = list(apart(in_order([*found, *appeared])))
        if _spans(more) == _spans(found):
            return found
        try:
            apply_edits(root, _edits(more, _STAND_INS[0]))
        except ValueError:  # one text read in two ways, and both want to write over the same characters
            return found
        found = more
    return found


def _looks(
    root: View, found: list[Place], content_type: str | None
) -> Iterator[tuple[_Draft, Iterable[Iterator[Candidate]]]]:
    """Drafts of the document without ``found``, each with its readings."""
    if not _stand_beside_lengths(found):
        draft = _Draft(root, _edits(found, _STAND_INS[0]))
        yield draft, [locate(draft.view, content_type)]
        return
    for stand_in in _STAND_INS:  # with one alone a length could be right by luck, and hide
        draft = _Draft(root, _edits(found, stand_in))
        yield draft, readings_with_lengths_put_right(draft.view, content_type, draft.new)


def _spans(of: list[Place]) -> list[tuple[int, int]]:
    return [(place.start, place.end) for place in of]


def _edits(found: Iterable[Place], new: str) -> dict[View, list[Edit]]:
    edits: dict[View, list[Edit]] = {}
    for place in found:
        candidate = place.candidate
        edits.setdefault(candidate.view, []).append(Edit(candidate.start, candidate.end, new))
    return edits


class _Draft:
    """``view`` is the document ``root`` with ``edits`` made."""

    def __init__(self, root: View, edits: dict[View, list[Edit]]) -> None:
        self._root = root
        self._edits = apply_edits(root, edits)
        self._starts: list[int] = []
        """Where each edit's new text begins in ``view``."""
        pieces: list[str] = []
        position = length = 0
        for edit in self._edits:
            length += edit.start - position
            self._starts.append(length)
            pieces += (root.text[position : edit.start], edit.new)
            length += len(edit.new)
            position = edit.end
        self.view = View("".join([*pieces, root.text[position:]]))
        self.new = [(start, start + len(edit.new)) for start, edit in zip(self._starts, self._edits, strict=True)]
        """Where everything new stands in ``view``."""

    def original(self, place: Place) -> Place:
        """The place as it is in the document itself, with all of what stood in its stand-ins' places."""
        candidate = place.candidate
        view = self._original_view(candidate.view)
        start, end = self._before(place.start), self._behind(place.end)
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
        """Where ``view.text[position]`` stood; within a stand-in, where what it stands for began."""
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
