"""Put other URLs in the place of found ones, and take the change back; no other byte of a document changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from video_assets.urls.documents.encodings import ByteOffsets, DecodedBytes, decode_bytes
from video_assets.urls.documents.reader import Place, places
from video_assets.urls.documents.views import Edit, View, apply_edits
from video_assets.urls.find.find import Finding, may_contain

Content = TypeVar("Content", str, bytes)


@dataclass(frozen=True, slots=True)
class Change(Generic[Content]):
    """One piece of a document that was rewritten: a URL, or a byte length in front of it."""

    start: int
    """Offset of the piece in the *new* content, in characters or bytes."""
    old: Content = field(repr=False)
    """What stood there before. Holds a secret."""
    new: Content = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rewritten(Generic[Content]):
    """A document after ``rewrite``, and what it takes to undo it."""

    content: Content = field(repr=False)
    changes: tuple[Change[Content], ...]
    replaced: int
    """How many URLs were replaced; byte lengths are not counted."""


def replace(
    content: Content,
    replacements: Mapping[str, str] | Iterable[tuple[Finding, str]],
    content_type: str | None = None,
) -> Content:
    """``content`` with URLs replaced, each in the spelling of the place where it stands.

    Args:
        content: the document, as it was given to ``find``.
        replacements: the new URL for each ``Finding.url``, or pairs of a finding of exactly this content and
            its new URL. A URL of the mapping that is not in the document is ignored.
        content_type: as it was given to ``find``.

    Raises:
        ValueError: when a finding is not one of this content.
    """
    return rewrite(content, replacements, content_type).content


def rewrite(
    content: Content,
    replacements: Mapping[str, str] | Iterable[tuple[Finding, str]],
    content_type: str | None = None,
) -> Rewritten[Content]:
    """Like ``replace``, with the record that ``undo`` needs."""
    by_url: Mapping[str, str] = {}
    pairs: list[tuple[Finding, str]] = []
    if isinstance(replacements, Mapping):
        by_url = replacements
    else:
        pairs = list(replacements)
    if not by_url and not pairs:
        return Rewritten(content, (), 0)
    if not may_contain(content):
        if pairs:
            raise ValueError("a finding does not belong to this content")
        return Rewritten(content, (), 0)
    if isinstance(content, str):
        root = View(content)
        chosen = _choose(root, content_type, by_url, pairs, None)
        text_changes = _changes(content, apply_edits(root, chosen))
        return Rewritten(_put(content, text_changes), _shifted(text_changes), _count(chosen))
    decoded = decode_bytes(content)
    root = View(decoded.text)
    chosen = _choose(root, content_type, by_url, pairs, decoded)
    position, byte = 0, len(decoded.prefix)
    changes: list[tuple[int, bytes, bytes]] = []
    for start, old, new in _changes(decoded.text, apply_edits(root, chosen)):
        byte += len(decoded.encode(decoded.text[position:start]))
        changes.append((byte, decoded.encode(old), decoded.encode(new)))
        byte += len(changes[-1][1])
        position = start + len(old)
    return Rewritten(_put(content, changes), _shifted(changes), _count(chosen))


def undo(content: Content, changes: Sequence[Change[Content]]) -> Content:
    """The content before ``rewrite``, byte for byte.

    Raises:
        ValueError: when ``content`` is not what ``rewrite`` returned at one of the changed places.
    """
    pieces: list[Content] = []
    position = 0
    for change in changes:
        end = change.start + len(change.new)
        if change.start < position or content[change.start : end] != change.new:
            raise ValueError("the document was changed after its URLs were replaced")
        pieces.append(content[position : change.start])
        pieces.append(change.old)
        position = end
    pieces.append(content[position:])
    return content[:0].join(pieces)


def _choose(
    root: View,
    content_type: str | None,
    by_url: Mapping[str, str],
    pairs: Sequence[tuple[Finding, str]],
    decoded: DecodedBytes | None,
) -> dict[View, list[Edit]]:
    """The edits to make, per view."""

    new_url = _ByPlace(pairs, decoded) if pairs else lambda place: by_url.get(place.candidate.url)
    wanted = len({(finding.start, finding.end) for finding, _ in pairs})
    chosen: list[tuple[Place, str]] = []
    covered = 0
    for place in places(root, content_type):
        new = new_url(place) if place.start >= covered else None
        if new is not None:
            chosen.append((place, new))
            covered = place.end
    if len(chosen) < wanted:
        raise ValueError("a finding does not belong to this content")
    edits: dict[View, list[Edit]] = {}
    for place, new in chosen:
        candidate = place.candidate
        edits.setdefault(candidate.view, []).append(Edit(candidate.start, candidate.end, new))
    return edits


class _ByPlace:
    """The new URL of a place, by the findings whose offsets are those of the content, in characters or bytes."""

    def __init__(self, pairs: Sequence[tuple[Finding, str]], decoded: DecodedBytes | None) -> None:
        self._pairs = {(finding.start, finding.end): (finding.url, new) for finding, new in pairs}
        self._starts = {finding.start for finding, _ in pairs}
        self._offsets = None if decoded is None else ByteOffsets(decoded)

    def __call__(self, place: Place) -> str | None:
        start, end = place.start, place.end
        if self._offsets is not None:
            start = self._offsets.of(start)
            if start in self._starts:
                end = self._offsets.of(end)
        url, new = self._pairs.get((start, end), (None, None))
        return new if url == place.candidate.url else None


def _changes(text: str, edits: list[Edit]) -> list[tuple[int, str, str]]:
    return [(edit.start, text[edit.start : edit.end], edit.new) for edit in edits]


def _put(content: Content, changes: list[tuple[int, Content, Content]]) -> Content:
    pieces: list[Content] = []
    position = 0
    for start, old, new in changes:
        pieces.append(content[position:start])
        pieces.append(new)
        position = start + len(old)
    pieces.append(content[position:])
    return content[:0].join(pieces)


def _shifted(changes: list[tuple[int, Content, Content]]) -> tuple[Change[Content], ...]:
    """The changes at their places in the new content."""
    shift = 0
    result: list[Change[Content]] = []
    for start, old, new in changes:
        result.append(Change(start + shift, old, new))
        shift += len(new) - len(old)
    return tuple(result)


def _count(chosen: dict[View, list[Edit]]) -> int:
    return sum(len(edits) for edits in chosen.values())
