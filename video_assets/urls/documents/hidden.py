"""URLs that are seen only once others are gone: what a found URL hides from the first look at a document.

A URL can be the reason why the text around it is read as it is: it makes its lines look like CSV, or it reaches
over the quote or the bracket without which the next word is no URL. When it is replaced, what was hidden appears.
So a document is looked at again with a plain URL in the place of each found one, until nothing new is seen.

The length of that plain URL is nobody's: where a PHP string around it has a wrong length, which may be right with
another URL, the document is also looked at with that length put right.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from video_assets.urls.documents.codecs import HTML
from video_assets.urls.documents.php_spans import may_be_undecided, undecided_strings
from video_assets.urls.documents.reader import locate
from video_assets.urls.documents.text_spans import Candidate
from video_assets.urls.documents.views import Edit, View, apply_edits, byte_length

_FEWEST_LOOKS = 8
"""Nothing but a text made for it hides URLs behind hidden URLs so often; this keeps the cost of one linear."""
_CHARACTERS_LOOKED_AT = 100_000
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
    looks = max(_FEWEST_LOOKS, _CHARACTERS_LOOKED_AT // len(root.text))
    while True:
        drafts: Iterable[_Draft] = [_Draft(root, _edits(found, _STAND_INS[0]))]
        if _stand_beside_lengths(found):
            drafts = _drafts_of_lengths(root, found, content_type)
        appeared: list[Place] = []
        for draft in islice(drafts, looks):
            looks -= 1
            appeared += map(draft.original, wanted(places(draft.view, content_type)))
        more = list(apart(in_order([*found, *appeared])))
        if _spans(more) == _spans(found):
            return found
        try:
            apply_edits(root, _edits(more, _STAND_INS[0]))
        except ValueError:  # one text read in two ways, and both want to write over the same characters
            return found
        found = more
        if looks <= 0:
            return found


def _spans(of: list[Place]) -> list[tuple[int, int]]:
    return [(place.start, place.end) for place in of]


def _edits(found: Iterable[Place], new: str) -> dict[View, list[Edit]]:
    edits: dict[View, list[Edit]] = {}
    for place in found:
        candidate = place.candidate
        edits.setdefault(candidate.view, []).append(Edit(candidate.start, candidate.end, new))
    return edits


def _drafts_of_lengths(root: View, found: list[Place], content_type: str | None) -> Iterator[_Draft]:
    """Drafts with stand-ins of several lengths: with one alone a length could be right by luck, and hide."""
    for stand_in in _STAND_INS:
        draft = _Draft(root, _edits(found, stand_in))
        yield draft
        # A length that is put right can bring to light another that is wrong.
        known: set[int] = set()
        level = [draft]
        while level:
            heads: set[int] = set()
            following: list[_Draft] = []
            for head, other in _with_a_length_put_right(level, known, content_type):
                yield other
                heads.add(head)
                following.append(other)
            known |= heads
            level = following


def _with_a_length_put_right(
    drafts: list[_Draft], known: set[int], content_type: str | None
) -> Iterator[tuple[int, _Draft]]:
    """Each of ``drafts`` with one PHP length put right that is wrong and would be right with other URLs in it.

    Before it the place in the document where that string begins; those of ``known`` are left alone.
    """
    for draft in drafts:
        for view, stand_ins in draft.stand_ins_by_view(content_type):
            for span in undecided_strings(view.text, stand_ins):
                head = draft.position(view.to_root(span.head, span.head)[0])
                if head not in known:
                    length = str(byte_length(view.text[span.start : span.end]))
                    edits = {view: [Edit(span.length_start, span.length_end, length)]}
                    yield head, _Draft(draft.view, edits, earlier=draft)


class _Draft:
    """``view`` is the document ``root``, which may be an ``earlier`` draft, with ``edits`` made."""

    def __init__(self, root: View, edits: dict[View, list[Edit]], *, earlier: _Draft | None = None) -> None:
        self._root = root
        self._earlier = earlier
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
        spans = [(start, start + len(edit.new)) for start, edit in zip(self._starts, self._edits, strict=True)]
        if earlier is not None:
            spans += [(self._after(start), self._after(end)) for start, end in earlier._new]
        self._new: list[tuple[int, int]] = sorted(spans)
        """Where everything new stands in ``view``, that of earlier drafts too."""

    def stand_ins_by_view(self, content_type: str | None) -> Iterator[tuple[View, list[tuple[int, int]]]]:
        """The views of the URLs of ``view`` in which new texts stand, and where in them, in order."""
        spans: dict[int, set[tuple[int, int]]] = {}
        views: dict[int, View] = {}
        for place in places(self.view, content_type):
            first = bisect_left(self._new, place.start, key=lambda span: span[1] - 1)
            for start, end in self._new[first : bisect_left(self._new, (place.end, 0))]:
                view: View | None = place.candidate.view
                while view is not None:
                    views[id(view)] = view
                    spans.setdefault(id(view), set()).add((view.from_root(start), view.from_root(end)))
                    view = view.parent
        for key, view in views.items():
            yield view, sorted(spans[key])

    def position(self, position: int) -> int:
        """The place in the document itself of ``view.text[position]``."""
        before = self._before(position)
        return before if self._earlier is None else self._earlier.position(before)

    def original(self, place: Place) -> Place:
        """The place as it is in the document itself, with all of what stood in its stand-ins' places."""
        candidate = place.candidate
        view = self._original_view(candidate.view)
        start, end = self._before(place.start), self._behind(place.end)
        original = Place(start, end, Candidate(view, view.from_root(start), view.from_root(end)))
        return original if self._earlier is None else self._earlier.original(original)

    def _original_view(self, view: View) -> View:
        if view.parent is None:
            return self._root
        parent = self._original_view(view.parent)
        drafted = view.parent

        def moved(position: int) -> int:
            return parent.from_root(self._behind(drafted.to_root(position, position)[0]))

        return view.moved(parent, moved)

    def _after(self, position: int) -> int:
        """Where ``root.text[position]`` stands in ``view``; it is none of what was replaced."""
        index = bisect_right(self._edits, position, key=lambda edit: edit.start) - 1
        if index < 0:
            return position
        edit = self._edits[index]
        return self._starts[index] + len(edit.new) + max(position - edit.end, 0)

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
