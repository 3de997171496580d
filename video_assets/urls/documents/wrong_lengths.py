"""What is read where a wrong length of a PHP string has become right, because other URLs came into the string.

Nobody knows the lengths of the URLs to come, so each such string is read as a string, with each of its possible
ends, beside the reading of the document as it is. That is done in its place: a document with many wrong lengths
is not read once for each of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from video_assets.urls.documents.codecs import Codec
from video_assets.urls.documents.php_spans import PhpSpan, undecided_strings
from video_assets.urls.documents.reader import is_running_text, locate, parts, php_string
from video_assets.urls.documents.text_spans import Candidate, candidates
from video_assets.urls.documents.triggers import may_contain
from video_assets.urls.documents.views import PhpString, View

_TIMES_READ = 4
"""So often is a document read once more, for all of its strings; this keeps the cost linear."""
_CHARACTERS_READ = 1_000_000
"""A short document may be read more often."""
_LEAST_COST = 16
"""What a string costs in which nothing is read, in characters."""
_CHEAPER = 8
"""So much less does it cost to recognise a format and its parts than to read them."""
_EDGE = 256
"""Characters at the beginning of a string whose reading may depend on what stood before them."""
_LONGEST_WORD = 4096
"""Characters beside a string that are read once more, where no quote ends them before."""
_NEAREST, _FARTHEST, _IN_BETWEEN = 0, 1, 2
"""The turns of a string's ends."""


class _Waiting(NamedTuple):
    """A string that is to be read, and the others that begin where it does; the first in order comes first."""

    turn: int
    cost: int
    number: int
    spent: int
    """What its beginning has cost so far."""
    view: View
    string: PhpSpan
    others: Iterator[PhpSpan]


def readings_with_lengths_put_right(
    root: View, content_type: str | None, changing: Sequence[tuple[int, int]]
) -> Iterator[Iterator[Candidate]]:
    """The reading of the document ``root``, and those in which wrong lengths are right.

    ``changing`` are the spans of the document where other texts may come, in order and apart. Each reading gives
    its candidates in order; it is to be finished before the next begins.
    """
    further = _FurtherReadings(changing, max(_TIMES_READ * len(root.text), _CHARACTERS_READ))
    yield further.noting(locate(root, content_type))
    yield from further


class _FurtherReadings:
    """They end when ``characters`` were read: of all strings the nearest end, the farthest, then the cheapest."""

    def __init__(self, changing: Sequence[tuple[int, int]], characters: int) -> None:
        self._changing = changing
        self._left = characters
        self._views: dict[int, View] = {}
        self._known: set[tuple[object, ...]] = set()
        """The places of the views that were read, whatever strings they stand in."""
        self._waiting: list[_Waiting] = []
        self._texts: list[View] = []
        """Views with such strings that were read as something else, to be read as running text."""
        self._number = 0

    def noting(self, found: Iterable[Candidate]) -> Iterator[Candidate]:
        """``found`` as it is; the strings of the views it stands in will be read."""
        for candidate in found:
            view: View | None = candidate.view
            while view is not None and id(view) not in self._views:
                self._views[id(view)] = view
                self._note_strings(view)
                view = view.parent
            yield candidate

    def __iter__(self) -> Iterator[Iterator[Candidate]]:
        while self._left > 0 and (self._texts or self._waiting):
            if self._texts:
                view = self._texts.pop()
                self._left -= len(view.text)
                yield self.noting(candidates(view, 0, len(view.text)))
                continue
            waiting = heappop(self._waiting)
            before = self._left
            yield self.noting(self._read_string(waiting.view, waiting.string))
            if not (waiting.turn == _FARTHEST and self._is_known_in_all_parts(waiting.view, waiting.string)):
                turn = min(waiting.turn + 1, _IN_BETWEEN)
                self._wait(turn, waiting.spent + before - self._left, waiting.view, waiting.others)

    def _is_known_in_all_parts(self, view: View, string: PhpSpan) -> bool:
        """True when nothing else can be in it with an end that is nearer, but not the nearest."""
        text = view.text[string.start : string.end]
        return view.text[string.end] != "}" and is_running_text(text, in_parts=True)

    def _note_strings(self, view: View) -> None:
        if isinstance(view, PhpString) and not view.text.endswith('"'):
            return  # its strings are those of the view around it
        start, end = view.to_root(0, len(view.text))
        first = bisect_left(self._changing, start, key=lambda span: span[1] - 1)
        behind = bisect_left(self._changing, (end, 0))
        changing = [(view.from_root(start), view.from_root(end)) for start, end in self._changing[first:behind]]
        for number, strings in enumerate(undecided_strings(view.text, changing)):
            if number == 0 and not is_running_text(view.text):
                self._texts.append(view)
            self._wait(_NEAREST, 0, view, strings)

    def _wait(self, turn: int, spent: int, view: View, strings: Iterator[PhpSpan]) -> None:
        for string in strings:
            self._left -= _LEAST_COST
            if _place(view, string.start, string.end, is_value=True) in self._known:
                turn = min(turn + 1, _IN_BETWEEN)
                continue
            self._number += 1
            cost = spent + string.end - string.start if turn == _IN_BETWEEN else 0
            heappush(self._waiting, _Waiting(turn, cost, self._number, spent, view, string, strings))
            return

    def _read_string(self, view: View, string: PhpSpan) -> Iterator[Candidate]:
        """What is in the string, and in the words before and behind it, which may end or begin there."""
        before = max(view.text.rfind('"', 0, string.head), string.head - _LONGEST_WORD, 0)
        yield from candidates(view, before, string.head)
        self._left -= string.head - before
        inside = php_string(view, string)
        if may_contain(inside.text):
            yield from self._read_new(inside)
        if view.text[string.end] == "}":
            behind = view.text.find('"', string.end, string.end + _LONGEST_WORD)
            behind = min(string.end + _LONGEST_WORD, len(view.text)) if behind < 0 else behind
            yield from candidates(view, string.end, behind)
            self._left -= behind - string.end

    def _read_new(self, view: View, *, is_decoded: bool = False) -> Iterator[Candidate]:
        """What is in ``view``, without what is in it as well in another string, or in none.

        ``is_decoded`` unless its characters are those of the view that was noted.
        """
        place = _place(view, 0, len(view.text), is_value=view.is_value)
        if place in self._known:
            return
        self._known.add(place)
        text = view.text
        self._left -= len(text) // _CHEAPER
        if not is_decoded and not text.endswith('"') and text.find('"', _EDGE) >= 0 and is_running_text(text):
            # The PHP strings in it are those of the text around it too.
            yield from self._read_text(view, 0, len(text), is_decoded=False)
            return
        for part in parts(view):
            if isinstance(part, View):
                yield from self._read_new(part, is_decoded=is_decoded or part.codec is not None)
            elif isinstance(part, Candidate):
                yield part
            else:
                yield from self._read_text(*part, is_decoded=is_decoded or part.view is not view)

    def _read_text(self, view: View, start: int, end: int, *, is_decoded: bool) -> Iterator[Candidate]:
        """The candidates that may differ from those of the text around it, when that is read on and on.

        No URL reaches over a quote, and none depends on what is far before it.
        """
        first = -1 if is_decoded else view.text.find('"', start + _EDGE, end)
        if first < 0:
            self._left -= end - start
            yield from candidates(view, start, end)
        else:
            last = view.text.rfind('"', start, end)
            self._left -= first - start + end - last
            yield from candidates(view, start, first)
            yield from candidates(view, last, end)


def _place(view: View, start: int, end: int, *, is_value: bool) -> tuple[object, ...]:
    """The same for all views of the same characters, whatever strings they stand in."""
    codecs: list[Codec] = []
    inner: View | None = view
    while inner is not None:
        if inner.codec is not None:
            codecs.append(inner.codec)
        inner = inner.parent
    return (*view.to_root(start, end), is_value, *codecs)
