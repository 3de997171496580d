"""The formats whose wholeness shows in a few places: pictures, sound, archives, transport streams."""

from __future__ import annotations

from video_assets.media.formats import is_mp3_frame
from video_assets.media.structure import Bytes, StructureError

_UNKNOWN_RIFF_SIZES = (0, 0xFFFF_FFFF)
"""Written by encoders into a pipe, which cannot go back to fill in the size."""
_ZIP_TAIL = 22 + 65_535
"""The longest end-of-central-directory record with its comment."""


def _incomplete(message: str) -> StructureError:
    return StructureError("incomplete", message)


def _damaged(message: str) -> StructureError:
    return StructureError("damaged", message)


def check_png(data: Bytes) -> None:
    """Walk the chunks to IEND (PNG specification, section 5)."""
    place = 8
    while True:
        header = data.need(place, 8)
        name = header[4:8]
        if not name.isalpha():
            raise _damaged("What should be a chunk is none.")
        place += 12 + int.from_bytes(header[:4], "big")
        if place > data.size:
            raise _incomplete("A chunk reaches past the end of the file.")
        if name == b"IEND":
            return


def check_jpeg(data: Bytes) -> None:
    """Walk the markers to the first scan, then require an end mark behind it (ITU T.81, annex B)."""
    place = 2
    while True:
        mark = data.need(place, 4)
        if mark[0] != 0xFF:
            raise _damaged("What should be a marker is none.")
        if mark[1] == 0xFF:
            place += 1
            continue
        length = int.from_bytes(mark[2:4], "big")
        if length < 2:
            raise _damaged("A marker has an impossible length.")
        place += 2 + length
        if mark[1] == 0xDA:
            break
    before = b""
    for block in data.blocks(place, data.size):
        if b"\xff\xd9" in before + block:
            return
        before = block[-1:]
    raise _incomplete("The end mark (FFD9) is missing.")


def check_gif(data: Bytes) -> None:
    """Walk the blocks to the trailer (GIF89a specification)."""
    place = 13 + _colour_table(data.need(10, 1)[0])
    while True:
        mark = data.need(place, 1)[0]
        if mark == 0x3B:
            return
        if mark == 0x21:
            place = _skip_sub_blocks(data, place + 2)
        elif mark == 0x2C:
            place = _skip_sub_blocks(data, place + 11 + _colour_table(data.need(place + 9, 1)[0]))
        else:
            raise _damaged("What should be a block is none.")


def _colour_table(flags: int) -> int:
    """Bytes of the colour table that ``flags`` announces."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_sub_blocks(data: Bytes, place: int) -> int:
    """The place behind a chain of sub-blocks, read in larger steps because the chain is long."""
    window, base = b"", place
    while True:
        at = place - base
        if at >= len(window):
            window, base, at = data.at(place, 65_536), place, 0
            if not window:
                raise _incomplete("The trailer is missing.")
        length = window[at]
        place += length + 1
        if length == 0:
            return place


def check_riff(data: Bytes) -> None:
    """WebP, WAV and AVI: the size in the first eight bytes must lie in the file."""
    size = int.from_bytes(data.need(4, 4), "little")
    if size in _UNKNOWN_RIFF_SIZES and data.at(8, 4) == b"WAVE":
        if data.size <= 44:
            raise _incomplete("There is no sound behind the header.")
        return
    if size + 8 > data.size:
        raise _incomplete("The file is shorter than its header says.")
    if size < 12:
        raise _incomplete("There is nothing behind the header.")


def check_mp3(data: Bytes) -> None:
    """The tag must lie in the file, a frame must follow, and a Xing or Info header must not count more bytes."""
    place = 0
    tag = data.at(0, 10)
    if tag.startswith(b"ID3"):
        if len(tag) < 10 or any(byte & 0x80 for byte in tag[6:10]):
            raise _damaged("The ID3 tag is damaged.")
        size = tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9]
        place = 10 + size + (10 if tag[5] & 0x10 else 0)
    if place + 4 > data.size:
        raise _incomplete("There is no sound behind the tag.")
    frame = data.at(place, 4096)
    start = len(frame) - len(frame.lstrip(b"\0"))
    if start < len(frame) and not is_mp3_frame(frame[start:]) and not frame.startswith(b"ID3"):
        raise _damaged("What should be a sound frame is none.")
    for mark in (b"Xing", b"Info"):
        at = frame.find(mark, start, start + 64)
        if at >= 0 and frame[at + 7 : at + 8] and frame[at + 7] & 2:
            skip = at + 8 + (4 if frame[at + 7] & 1 else 0)
            counted = int.from_bytes(frame[skip : skip + 4], "big")
            if place + start + counted > data.size + 4096:
                raise _incomplete("The file is shorter than its header says.")


def check_ogg(data: Bytes) -> None:
    """The last page must lie in the file (RFC 3533)."""
    tail_start = max(0, data.size - 131_072)
    tail = data.at(tail_start, 131_072)
    page = tail.rfind(b"OggS")
    if page < 0:
        raise _incomplete("The last page is missing.")
    header = tail[page : page + 27]
    table = tail[page + 27 : page + 27 + (header[26] if len(header) == 27 else 0)]
    if len(header) < 27 or len(table) < header[26]:
        raise _incomplete("The file ends in the middle of a page header.")
    if tail_start + page + 27 + len(table) + sum(table) > data.size:
        raise _incomplete("The last page reaches past the end of the file.")


def check_mpeg_ts(data: Bytes) -> None:
    """Whole packets of 188 bytes (ITU H.222.0)."""
    if data.size % 188:
        raise _incomplete("The file ends in the middle of a packet.")
    if data.at(data.size - 188, 1) != b"\x47":
        raise _damaged("The last packet does not begin with its mark.")


def check_zip(data: Bytes) -> None:
    """The end-of-central-directory record must be there and its directory in the file (APPNOTE 4.3.16)."""
    start = max(0, data.size - _ZIP_TAIL)
    tail = data.at(start, _ZIP_TAIL)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + 22 > len(tail):
        raise _incomplete("The directory at the end of the archive is missing.")
    size, offset = (int.from_bytes(tail[at + skip : at + skip + 4], "little") for skip in (12, 16))
    if 0xFFFF_FFFF not in (size, offset) and offset + size > start + at:
        raise _damaged("The directory of the archive points past its end.")
