"""A decoded piece of a document that remembers where each of its characters came from.

A ``View`` is the text of one layer (the inside of a JSON string, of a CSV cell, of a PHP string) together with
the place it was taken from in the layer around it. Positions are carried outwards exactly, and edits are
carried outwards in the spelling of each layer, so that a document can be changed without touching another byte.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from video_assets.urls.documents.codecs import Codec


@dataclass(frozen=True, slots=True)
class Edit:
    """Put ``new`` in the place of ``text[start:end]`` of one view. Hidden in a repr: it may hold a secret."""

    start: int
    end: int
    new: str

    def __repr__(self) -> str:
        return f"Edit(start={self.start}, end={self.end}, new=<{len(self.new)} characters hidden>)"


class View:
    """The decoded text of ``parent.text[start:end]``; the root has no parent and is the document itself."""

    def __init__(
        self,
        text: str,
        *,
        parent: View | None = None,
        start: int = 0,
        end: int | None = None,
        codec: Codec | None = None,
        layer: str | None = None,
        pointer: str | None = None,
        in_key: bool = False,
        is_value: bool = False,
    ) -> None:
        self.parent = parent
        self.is_value = is_value
        """The format itself says that this text is one value: a string, a cell, an attribute."""
        self.start = start
        self.end = start + len(text) if end is None else end
        self.codec = codec
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.layers: tuple[str, ...] = () if parent is None else parent.layers
        self.pointers: tuple[str | None, ...] = () if parent is None else parent.pointers
        self.in_key: bool = parent is not None and parent.in_key
        if layer is not None:
            self.layers = (*self.layers, layer)
        if layer == "json":
            self.pointers = (*self.pointers, pointer)
            self.in_key = in_key
        # Where each decoded escape ends, in this text and in the parent's piece. Everything else is one to one.
        self._ends: list[int] = []
        self._raw_ends: list[int] = []
        self._raw_starts: list[int] = []
        self.text = text if codec is None else self._decode(codec, text)

    @classmethod
    def inside(
        cls,
        parent: View,
        start: int,
        end: int,
        *,
        codec: Codec | None = None,
        layer: str | None = None,
        pointer: str | None = None,
        in_key: bool = False,
        is_value: bool = False,
    ) -> View:
        """The view of ``parent.text[start:end]``, decoded by ``codec``."""
        return cls(
            parent.text[start:end],
            parent=parent,
            start=start,
            end=end,
            codec=codec,
            layer=layer,
            pointer=pointer,
            in_key=in_key,
            is_value=is_value,
        )

    def _decode(self, codec: Codec, raw: str) -> str:
        if codec.trigger not in raw:
            return raw
        pieces: list[str] = []
        taken = length = 0
        for match in codec.pattern.finditer(raw):
            character = codec.decode(match)
            if character is None:
                continue
            start, end = match.span()
            pieces.append(raw[taken:start])
            pieces.append(character)
            length += start - taken + 1
            self._ends.append(length)
            self._raw_starts.append(start)
            self._raw_ends.append(end)
            taken = end
        if not self._ends:
            return raw
        pieces.append(raw[taken:])
        return "".join(pieces)

    def outwards(self, position: int) -> int:
        """The position in the parent's text of the boundary before ``text[position]``."""
        index = bisect_right(self._ends, position) - 1
        if index < 0:
            return self.start + position
        return self.start + self._raw_ends[index] + position - self._ends[index]

    def to_root(self, start: int, end: int) -> tuple[int, int]:
        """The span in the document of ``text[start:end]``."""
        view = self
        while view.parent is not None:
            start, end = view.outwards(start), view.outwards(end)
            view = view.parent
        return start, end

    def lift(self, edits: list[Edit]) -> list[Edit]:
        """The edits of the parent that make these edits of this text, in this layer's spelling."""
        return [
            Edit(
                self.outwards(edit.start),
                self.outwards(edit.end),
                edit.new if self.codec is None else self._respell(self.codec, edit),
            )
            for edit in edits
        ]

    @cached_property
    def _parent_is_ascii(self) -> bool:
        return self.parent is None or self.parent.text.isascii()

    def _respell(self, codec: Codec, edit: Edit) -> str:
        """``edit.new`` in the manner in which the replaced characters were spelled."""
        assert self.parent is not None
        first, last = bisect_right(self._ends, edit.start), bisect_right(self._ends, edit.end)
        raw = self.parent.text
        spellings: dict[str, str] = {}
        counted: Counter[str] = Counter()
        for index in range(first, last):
            character = self.text[self._ends[index] - 1]
            spelled = raw[self.start + self._raw_starts[index] : self.start + self._raw_ends[index]]
            spellings.setdefault(character, spelled)
            counted[character] += 1
        old = self.text[edit.start : edit.end]
        everything = len(old) > 0 and last - first == len(old)
        lower = "".join(spellings.values())
        lower_case = lower == lower.lower()
        plain = {character for character in set(old) if old.count(character) > counted[character]}
        must = codec.must_escape(edit.new, plain, ascii_only=self._parent_is_ascii)
        pieces: list[str] = []
        for character in edit.new:
            if character in spellings and character not in plain:
                pieces.append(spellings[character])
            elif everything or character in must:
                pieces.append(codec.encode(character, lower_case=lower_case))
            else:
                pieces.append(character)
        return "".join(pieces)


class PhpString(View):
    """The inside of ``s:12:"..."``: an edit inside also corrects the length in front."""

    def __init__(
        self, parent: View, start: int, end: int, *, length_start: int, length_end: int, counts_bytes: bool
    ) -> None:
        super().__init__(parent.text[start:end], parent=parent, start=start, end=end, layer="php", is_value=True)
        self._length_start = length_start
        self._length_end = length_end
        self._counts_bytes = counts_bytes

    def _length(self, text: str) -> int:
        return byte_length(text) if self._counts_bytes else len(text)

    def lift(self, edits: list[Edit]) -> list[Edit]:
        """The same edits one layer out, with the length that is right after them."""
        assert self.parent is not None
        grown = sum(self._length(edit.new) - self._length(self.text[edit.start : edit.end]) for edit in edits)
        lifted = super().lift(edits)
        if grown:
            length = int(self.parent.text[self._length_start : self._length_end]) + grown
            lifted.insert(0, Edit(self._length_start, self._length_end, str(length)))
        return lifted


class BareCell(View):
    """A CSV cell without quotes: when an edit needs them, the whole cell is quoted."""

    def __init__(self, parent: View, start: int, end: int, *, delimiter: str) -> None:
        super().__init__(parent.text[start:end], parent=parent, start=start, end=end, layer="csv", is_value=True)
        self._delimiter = delimiter
        self._special = frozenset(delimiter + '"\r\n')

    def lift(self, edits: list[Edit]) -> list[Edit]:
        """The same edits one layer out, inside quotes when the new text could not stand bare."""
        lifted = super().lift(edits)
        if not any(self._special & set(edit.new) for edit in edits):
            return lifted
        quoted: list[Edit] = [Edit(self.start, self.start, '"')]
        position = self.start
        for edit in [*lifted, Edit(self.end, self.end, '"')]:
            assert self.parent is not None
            quote = self.parent.text.find('"', position, edit.start)
            while quote >= 0:
                quoted.append(Edit(quote, quote, '"'))
                quote = self.parent.text.find('"', quote + 1, edit.start)
            doubled = edit.new if edit.start == edit.end == self.end else edit.new.replace('"', '""')
            quoted.append(Edit(edit.start, edit.end, doubled))
            position = edit.end
        return quoted


def byte_length(text: str) -> int:
    """Bytes of ``text`` in the document: UTF-8, where a byte that could not be decoded counts as one."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        pass
    return len(text.encode("utf-8", "surrogatepass")) - 2 * sum("\udc80" <= c <= "\udcff" for c in text)


def apply_edits(root: View, edits: dict[View, list[Edit]]) -> list[Edit]:
    """Carry edits of any views outwards to edits of the document, in order and without overlaps.

    Raises:
        ValueError: when two edits touch the same characters.
    """
    pending: dict[int, dict[View, list[Edit]]] = {}
    for view, view_edits in edits.items():
        pending.setdefault(view.depth, {}).setdefault(view, []).extend(view_edits)
    for depth in range(max(pending, default=0), 0, -1):
        for view, view_edits in pending.pop(depth, {}).items():
            assert view.parent is not None
            outer = pending.setdefault(depth - 1, {}).setdefault(view.parent, [])
            outer.extend(view.lift(_in_order(view_edits)))
    return _in_order(pending.get(0, {}).get(root, []))


def _in_order(edits: list[Edit]) -> list[Edit]:
    """The edits by their places. Raises ValueError for two that touch the same characters."""
    result = sorted(edits, key=lambda edit: (edit.start, edit.end))
    if any(edit.start < before.end for before, edit in pairwise(result)):
        raise ValueError("two replacements overlap")
    return result
