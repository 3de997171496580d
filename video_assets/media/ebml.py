"""WebM and Matroska: the elements of EBML (RFC 8794, RFC 9559)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from video_assets.media.structure import Bytes, StructureError

_EBML = 0x1A45DFA3
_SEGMENT = 0x18538067
_CLUSTER = 0x1F43B675
_TRACKS = 0x1654AE6B
_TRACK = 0xAE
_TRACK_TYPE = 0x83
_MOST_ELEMENTS = 500_000


@dataclass
class Walk:
    """Checks one file and remembers what it saw on the way."""

    has_picture: bool = False
    has_sound: bool = False
    has_end: bool = False
    """Whether the sizes tell where the file ends; a live recording leaves that open."""

    def check(self, data: Bytes) -> None:
        """Walk the header, the segment and its direct children. Raises StructureError."""
        place, end = _segment(data)
        clusters = 0
        self.has_end = end is not None
        for _ in range(_MOST_ELEMENTS):
            if place >= (data.size if end is None else end):
                break
            if end is None and clusters and data.only_zeros(place, data.size):  # padding
                break
            name, size, body = _element(data, place)
            clusters += name == _CLUSTER
            if size is None:  # a live recording: nothing behind this can be measured
                self.has_end = False
                break
            place = body + size
            if place > (data.size if end is None else end):
                raise StructureError("incomplete", "The last element reaches past the end of the file.")
            if name == _TRACKS:
                with suppress(StructureError):  # the decoder judges these; here they only tell picture from sound
                    self._note_tracks(data, body, place)
        if not clusters:
            raise StructureError("incomplete", "The segment holds no media.")

    def _note_tracks(self, data: Bytes, place: int, end: int) -> None:
        for name, body, after in _children(data, place, end):
            if name != _TRACK:
                continue
            for inner, start, stop in _children(data, body, after):
                if inner == _TRACK_TYPE:
                    kind = int.from_bytes(data.at(start, min(stop - start, 8)), "big")
                    self.has_picture |= kind == 1
                    self.has_sound |= kind == 2


def _segment(data: Bytes) -> tuple[int, int | None]:
    """Where the content of the segment begins and ends; the end is None when the file leaves it open."""
    name, size, body = _element(data, 0)
    if name != _EBML or size is None:
        raise StructureError("damaged", "The EBML header is damaged.")
    place = body + size
    while True:
        if place >= data.size:
            raise StructureError("incomplete", "The segment is missing.")
        name, size, body = _element(data, place)
        if name == _SEGMENT:
            break
        if size is None:
            raise StructureError("damaged", "An element before the segment has no size.")
        place = body + size
    if size is not None and body + size > data.size:
        raise StructureError("incomplete", "The segment reaches past the end of the file.")
    return body, None if size is None else body + size


def _children(data: Bytes, place: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Id, start and end of the elements in a part of the file; stops at the first that does not fit in."""
    while place < end:
        name, size, body = _element(data, place)
        if size is None or body + size > end:
            return
        yield name, body, body + size
        place = body + size


def _element(data: Bytes, place: int) -> tuple[int, int | None, int]:
    """Id, size (None when unknown) and start of the content of the element at ``place``."""
    name, length = _number(data, place, keep_marker=True)
    size, width = _number(data, place + length, keep_marker=False)
    unknown = size == (1 << (7 * width)) - 1
    return name, None if unknown else size, place + length + width


def _number(data: Bytes, place: int, *, keep_marker: bool) -> tuple[int, int]:
    """A variable-length number and its width in bytes."""
    first = data.need(place, 1)[0]
    width = 9 - first.bit_length()
    if width > (4 if keep_marker else 8):
        raise StructureError("damaged", "What should be an element is none.")
    value = int.from_bytes(data.need(place, width), "big")
    return (value if keep_marker else value & ((1 << (7 * width)) - 1)), width
