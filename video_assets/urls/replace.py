"""Put other URLs in the place of found ones, and take the change back; no other byte of a document changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from video_assets.urls.documents.encodings import DecodedBytes, decode_bytes
from video_assets.urls.documents.reader import locate
from video_assets.urls.documents.text_spans import Candidate
from video_assets.urls.documents.views import Edit, View, apply_edits
from video_assets.urls.find import Finding, may_contain

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
    by_url = dict(replacements) if isinstance(replacements, Mapping) else {}
    by_place: dict[tuple[int, int], tuple[Finding, str]] = (
        {}
        if isinstance(replacements, Mapping)
        else {(finding.start, finding.end): (finding, new) for finding, new in replacements}
    )
    if not by_url and not by_place:
        return Rewritten(content, (), 0)
    if not may_contain(content):
        if by_place:
            raise ValueError("a finding does not belong to this content")
        return Rewritten(content, (), 0)
    if isinstance(content, str):
        root = View(content)
        chosen = _choose(root, content_type, by_url, by_place, None)
        text_changes = _changes(content, apply_edits(root, chosen))
        return Rewritten(_put(content, text_changes), _shifted(text_changes), _count(chosen))
    decoded = decode_bytes(content)
    root = View(decoded.text)
    chosen = _choose(root, content_type, by_url, by_place, decoded)
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
    by_place: dict[tuple[int, int], tuple[Finding, str]],
    decoded: DecodedBytes | None,
) -> dict[View, list[Edit]]:
    """The edits to make, per view. Places are in the units of the content, candidates in characters."""
    chosen: dict[View, list[Edit]] = {}
    covered = position = 0
    byte = 0 if decoded is None else len(decoded.prefix)
    wanted = len(by_place)
    starts = {start for start, _ in by_place}
    for candidate in locate(root, content_type):
        start, end = candidate.view.to_root(candidate.start, candidate.end)
        if start < covered:
            continue
        if by_url:
            new = by_url.get(candidate.url)
        else:
            place = start, end
            if decoded is not None:
                byte += len(decoded.encode(decoded.text[position:start])) if start >= position else 0
                position = max(position, start)
                if byte not in starts:
                    continue
                place = byte, byte + len(decoded.encode(decoded.text[start:end]))
            new = _at_place(by_place, place, candidate)
            wanted -= new is not None
        if new is not None:
            chosen.setdefault(candidate.view, []).append(Edit(candidate.start, candidate.end, new))
            covered = end
    if wanted and by_place:
        raise ValueError("a finding does not belong to this content")
    return chosen


def _at_place(
    by_place: dict[tuple[int, int], tuple[Finding, str]], place: tuple[int, int], candidate: Candidate
) -> str | None:
    found = by_place.get(place)
    if found is None:
        return None
    finding, new = found
    return new if finding.url == candidate.url else None


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
