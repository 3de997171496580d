"""MP4, MOV, M4A, HEIC and AVIF: the boxes of the ISO base media file format (ISO/IEC 14496-12)."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from video_assets.media.structure import Bytes, StructureError

FORMATS = frozenset(("mp4", "mov", "3gp", "m4a", "heic", "avif"))
_IMAGE_BRANDS = frozenset(b"avif avis heic heix heim heis hevc hevx mif1 msf1 miaf".split())
_MOST_BOXES = 200_000
"""Far above a day of one-second fragments; a file with more is built to waste time."""
_CHILD_ON_THE_PATH = {b"trak": b"mdia", b"mdia": b"minf", b"minf": b"stbl"}
"""The one path to the tables of a track; boxes of these names anywhere else mean nothing."""
_TOP_BOXES = frozenset(
    b"ftyp styp moov moof mdat imda mfra free skip wide uuid meta meco udta sidx ssix prft emsg pdin bloc".split()
)
"""What may stand at the top of a file (ISO/IEC 14496-12, table 1, and QuickTime)."""


_FIRST_BOXES = frozenset(b"ftyp moov mdat wide free skip pnot".split())
"""With what a file may begin: movies older than the type box (QuickTime before 2001) have none."""


@dataclass(frozen=True, slots=True)
class Box:
    """One box: its four-letter name and the bytes from ``start`` (its header) over ``body`` to ``end``."""

    name: bytes
    start: int
    body: int
    end: int


@dataclass
class Walk:
    """Checks one file and remembers what it saw on the way, also when it fails."""

    has_moov: bool = False
    fragmented: bool = False
    handlers: set[bytes] = field(default_factory=set)
    """Handler types of the tracks: ``vide``, ``soun``, ``text`` …"""
    encrypted: bool = False
    """Whether a track needs a key before anyone can decode it (8.12, protected sample entries)."""
    _has_media: bool = False
    _budget: int = _MOST_BOXES

    def check(self, data: Bytes) -> None:
        """Walk every top-level box, and inside ``moov`` down to the chunk offsets. Raises StructureError."""
        first: bytes | None = None
        image = False
        last_start = last_moof = -1
        for box in self._boxes(data, 0, data.size, top=True):
            if first is None:
                first = box.name
                if first == b"ftyp":
                    image = data.at(box.body, 4) in _IMAGE_BRANDS
            if box.name == b"moov":
                self.has_moov = True
                self._check_moov(data, box)
            elif box.name == b"meta" and image:
                self.has_moov = True
                inside = self._boxes(data, box.body + 4, box.end)
                self._has_media |= any(part.name == b"idat" for part in inside)
            elif box.name == b"moof":
                self.fragmented, last_moof = True, box.start
            elif box.name == b"sidx":
                _check_index(data, box)
            elif box.name == b"mdat":
                self._has_media = self._has_media or box.end > box.body
            last_start = box.start
        if not self.has_moov:
            raise StructureError(
                "missing_moov", "The index (moov) is missing: the file is cut off or still being written."
            )
        if first not in _FIRST_BOXES:
            raise StructureError("damaged", "The file does not begin with its type (ftyp).")
        if not self._has_media or last_moof == last_start:
            raise StructureError("incomplete", "The index is there, but the media behind it is not.")

    def _boxes(self, data: Bytes, start: int, end: int, *, top: bool = False) -> Iterator[Box]:
        while start < end:
            if end - start < 8:
                if top and not data.at(start, end - start).strip(b"\0"):
                    return
                if not top or self._is_stray(data.at(start, 8)):  # QuickTime ends some lists with four zero bytes
                    return
                raise StructureError("incomplete", "The file ends in the middle of a box header.")
            self._budget -= 1
            if self._budget < 0:
                raise StructureError("damaged", "The file has an absurd number of boxes.")
            header = data.need(start, 8)
            size, name, body = int.from_bytes(header[:4], "big"), header[4:8], start + 8
            if size == 1:
                size, body = int.from_bytes(data.need(start + 8, 8), "big"), start + 16
            elif size == 0:
                if top and name == b"\0\0\0\0" and data.only_zeros(start, end):
                    return
                size = end - start
            if size < body - start or not all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in name):
                if top and self._is_stray(header):
                    return
                raise StructureError("damaged", "What should be a box is none.")
            if start + size > end:
                shown = name.decode("latin-1")
                if top and self._is_stray(header):
                    return
                if top:
                    raise StructureError("incomplete", f"The box {shown!r} reaches past the end of the file.")
                raise StructureError("damaged", f"The box {shown!r} reaches past the box around it.")
            yield Box(name, start, body, start + size)
            start += size

    def _is_stray(self, header: bytes) -> bool:
        """Whether ``header``, the next 8 bytes or fewer, begins stray bytes behind a whole file.

        Players ignore those. In a fragmented file fewer than 8 bytes may as well be what is left of the next
        fragment, whose size begins with 0.
        """
        if not (self.has_moov and self._has_media) or header[4:8] in _TOP_BOXES:
            return False
        return not self.fragmented or len(header) == 8 or not header.startswith(b"\0")

    def _check_moov(self, data: Bytes, moov: Box) -> None:
        for box in self._boxes(data, moov.body, moov.end):
            if box.name == b"mvex":
                self.fragmented = True
            elif box.name == b"trak":
                self._check_descend(data, box)

    def _check_descend(self, data: Bytes, parent: Box) -> None:
        """Down the one path trak/mdia/minf/stbl, for the handler type and the chunk offsets."""
        for box in self._boxes(data, parent.body, parent.end):
            if box.name == _CHILD_ON_THE_PATH.get(parent.name):
                self._check_descend(data, box)
            elif box.name == b"hdlr" and parent.name == b"mdia":
                self.handlers.add(data.at(box.body + 8, 4))
            elif box.name == b"stsd":
                self.encrypted |= data.at(box.body + 12, 4) in (b"encv", b"enca")
            elif box.name == b"stco":
                _check_offsets(data, box, "I" if array("I").itemsize == 4 else "L")
            elif box.name == b"co64":
                _check_offsets(data, box, "Q")


def _check_offsets(data: Bytes, box: Box, typecode: str) -> None:
    """Every chunk must begin inside the file: this finds a cut that hides behind an mdat "to the end"."""
    width = array(typecode).itemsize
    count = int.from_bytes(data.need(box.body + 4, 4), "big")
    end = box.body + 8 + count * width
    if end > box.end:
        raise StructureError("damaged", "A table of chunks is longer than its box.")
    for block in data.blocks(box.body + 8, end, 65_536):
        offsets = array(typecode, block)
        if sys.byteorder == "little":
            offsets.byteswap()
        if offsets and max(offsets) >= data.size:
            raise StructureError("incomplete", "The index points at media past the end of the file.")


def _check_index(data: Bytes, box: Box) -> None:
    """The segments that a ``sidx`` counts must lie inside the file."""
    version = data.need(box.body, 1)[0]
    wide = 8 if version else 4
    table = box.body + 12 + 2 * wide
    first_offset = int.from_bytes(data.need(box.body + 12 + wide, wide), "big")
    count = int.from_bytes(data.need(table + 2, 2), "big")
    entries = data.need(table + 4, count * 12)
    total = sum(
        int.from_bytes(entries[place : place + 4], "big") & 0x7FFF_FFFF for place in range(0, count * 12, 12)
    )
    if box.end + first_offset + total > data.size:
        raise StructureError("incomplete", "The segment index counts more than the file holds.")
