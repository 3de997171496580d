"""WebM and Matroska: the elements of EBML (RFC 8794, RFC 9559)."""

from __future__ import annotations

from video_assets.media.structure import Bytes, StructureError

_EBML = 0x1A45DFA3
_SEGMENT = 0x18538067
_CLUSTER = 0x1F43B675
_MOST_ELEMENTS = 500_000


def check(data: Bytes) -> None:
    """Walk the header, the segment and its direct children. Raises StructureError."""
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
    end = data.size if size is None else body + size
    if end > data.size:
        raise StructureError("incomplete", "The segment reaches past the end of the file.")
    _check_segment(data, body, end)


def _check_segment(data: Bytes, place: int, end: int) -> None:
    clusters = 0
    for _ in range(_MOST_ELEMENTS):
        if place >= end:
            break
        name, size, body = _element(data, place)
        clusters += name == _CLUSTER
        if size is None:  # a live recording: nothing behind this can be measured
            break
        place = body + size
        if place > end:
            raise StructureError("incomplete", "The last element reaches past the end of the file.")
    if not clusters:
        raise StructureError("incomplete", "The segment holds no media.")


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
