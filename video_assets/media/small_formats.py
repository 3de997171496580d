"""The formats whose wholeness shows in a few places: pictures, sound, archives, transport streams."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from video_assets.media.formats import is_mp3_frame, packet_size
from video_assets.media.structure import Bytes, StructureError

_UNKNOWN_RIFF_SIZES = (0, 0xFFFF_FFFF)
"""Written by encoders into a pipe, which cannot go back to fill in the size."""
_PADDING = 65_536
"""Most zero bytes at the end of a transport stream that are looked at."""
_MOST_PIECES = 5_000_000
_ASF_VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
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
    if data.at(0, 4) in (b"RF64", b"BW64"):  # the real size stands in the chunk ds64 (EBU Tech 3306)
        size = int.from_bytes(data.need(20, 8), "little")
    elif size in _UNKNOWN_RIFF_SIZES and data.at(8, 4) == b"WAVE":
        if data.size <= 44:
            raise _incomplete("There is no sound behind the header.")
        return
    if size + 8 > data.size:
        raise _incomplete("The file is shorter than its header says.")
    if size < 12:
        raise _incomplete("There is nothing behind the header.")


def tag_length(data: Bytes) -> int:
    """Bytes of the ID3 tag that the file begins with, 0 without one. Raises StructureError for a damaged one."""
    tag = data.at(0, 10)
    if not tag.startswith(b"ID3"):
        return 0
    if len(tag) < 10 or any(byte & 0x80 for byte in tag[6:10]):
        raise _damaged("The ID3 tag is damaged.")
    size = tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9]
    return 10 + size + (10 if tag[5] & 0x10 else 0)


def check_mp3(data: Bytes) -> None:
    """The tag must lie in the file, a frame must follow, and a Xing or Info header must not count more bytes."""
    place = tag_length(data)
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
    """Whole packets of 188 bytes (ITU H.222.0), or of 192 with a time before each; zeros behind are padding."""
    size = packet_size(data.at(0, 1024)) or 188
    tail = data.at(max(0, data.size - _PADDING), _PADDING)
    padding = len(tail) - len(tail.rstrip(b"\0"))
    end = data.size
    if end % size or padding >= size:
        end = -(-(data.size - padding) // size) * size
    if end > data.size:
        raise _incomplete("The file ends in the middle of a packet.")
    if data.at(end - 188, 1) != b"\x47":
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


def check_flv(data: Bytes) -> None:
    """Walk the tags: each must lie in the file (FLV specification 10.1, annex E)."""
    place = int.from_bytes(data.need(5, 4), "big") + 4
    tags = 0
    for _ in range(_MOST_PIECES):
        header = data.at(place, 11)
        if not header or (tags and data.only_zeros(place, data.size)):
            break
        if len(header) < 11:
            raise _incomplete("The file ends in the middle of a tag.")
        if header[0] & 0x1F not in (8, 9, 18):
            raise _damaged("What should be a tag is none.")
        place += 11 + int.from_bytes(header[1:4], "big") + 4
        if place > data.size:
            raise _incomplete("The last tag reaches past the end of the file.")
        tags += 1
    if not tags:
        raise _incomplete("There is nothing behind the header.")


def check_asf(data: Bytes) -> None:
    """WMV and WMA: the top objects must lie in the file (ASF specification 01.20.03, section 3)."""
    place, seen = 0, 0
    while place < data.size:
        if seen and data.only_zeros(place, data.size):
            return
        size = int.from_bytes(data.need(place + 16, 8), "little")
        if size < 24:
            if seen:  # a broadcast leaves the size of its data open
                return
            raise _damaged("What should be an object is none.")
        place, seen = place + size, seen + 1
        if place > data.size:
            raise _incomplete("An object reaches past the end of the file.")
    if seen < 2:
        raise _incomplete("There is nothing behind the header.")


def asf_has_picture(data: Bytes) -> bool:
    """Whether a WMV or WMA file announces a video stream (ASF specification 01.20.03, section 10.5)."""
    return _ASF_VIDEO in data.at(0, 65_536)


def check_iff(data: Bytes) -> None:
    """AIFF: the size in the first eight bytes must lie in the file."""
    if int.from_bytes(data.need(4, 4), "big") + 8 > data.size:
        raise _incomplete("The file is shorter than its header says.")


def check_adts(data: Bytes) -> None:
    """AAC: walk the frames; the last one must lie in the file (ISO/IEC 13818-7, 6.2)."""
    place = tag_length(data)
    for _ in range(_MOST_PIECES):
        if data.at(place, 1) != b"\xff":
            return  # the end, or a tag behind the sound
        header = data.need(place, 7)
        if header[1] & 0xF6 != 0xF0:
            return
        place += max(7, (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5)
        if place > data.size:
            raise _incomplete("The last frame reaches past the end of the file.")


def check_mpeg_ps(data: Bytes) -> None:
    """MPEG program stream: walk the packets; the last one must lie in the file (ITU H.222.0, 2.5.3)."""
    place = 0
    for _ in range(_MOST_PIECES):
        header = data.at(place, 14)
        if len(header) < 6 or not header.startswith(b"\0\0\1") or header[3] == 0xB9:
            return  # the end, its mark, or padding
        if header[3] != 0xBA:
            place += 6 + int.from_bytes(header[4:6], "big")
        elif header[4] >> 6 == 1:
            place += 14 + (header[13] & 7 if len(header) == 14 else 0)
        else:
            place += 12
        if place > data.size:
            raise _incomplete("The last packet reaches past the end of the file.")


def check_mxf(data: Bytes) -> None:
    """MXF: walk the triplets of key, length and value; the last one must lie in the file (SMPTE 377-1, 6.3)."""
    place = 0
    for _ in range(_MOST_PIECES):
        if place >= data.size or not data.at(place, 4).startswith(b"\x06\x0e\x2b\x34"):
            return
        first = data.need(place + 16, 1)[0]
        width = first & 0x7F if first & 0x80 else 0
        length = int.from_bytes(data.need(place + 17, width), "big") if width else first
        place += 17 + width + length
        if place > data.size:
            raise _incomplete("The last element reaches past the end of the file.")


def check_tiff(data: Bytes) -> None:
    """TIFF: the first directory, which may stand at the end, must lie in the file (TIFF 6.0, section 2)."""
    head = data.need(0, 16)
    order: Literal["little", "big"] = "little" if head.startswith(b"II") else "big"
    is_big = 43 in (head[2], head[3])
    place = int.from_bytes(head[8:16] if is_big else head[4:8], order)
    width, entry, link = (8, 20, 8) if is_big else (2, 12, 4)
    count = int.from_bytes(data.need(place, width), order)
    if place + width + count * entry + link > data.size:
        raise _incomplete("The directory reaches past the end of the file.")


def check_caf(data: Bytes) -> None:
    """Core Audio: walk the chunks; the last one may leave its size open (Core Audio Format specification)."""
    place = 8
    while place < data.size:
        size = int.from_bytes(data.need(place + 4, 8), "big", signed=True)
        if size < 0:
            return
        place += 12 + size
        if place > data.size:
            raise _incomplete("A chunk reaches past the end of the file.")


def check_length_at(offset: int) -> Callable[[Bytes], None]:
    """A check of formats that write their whole length, little endian, at ``offset`` (GLB, BMP)."""

    def check(data: Bytes) -> None:
        if int.from_bytes(data.need(offset, 4), "little") > data.size:
            raise _incomplete("The file is shorter than its header says.")

    return check


def check_boxes(data: Bytes) -> None:
    """JPEG XL and JPEG 2000 in their container: the boxes must lie in the file; a bare stream has none."""
    if data.at(4, 4) not in (b"JXL ", b"jP  "):
        return
    place = 0
    while place < data.size:
        size = int.from_bytes(data.need(place, 4), "big")
        if size == 1:
            size = int.from_bytes(data.need(place + 8, 8), "big")
        if size == 0:
            return
        if size < 8:
            raise _damaged("What should be a box is none.")
        place += size
    if place > data.size:
        raise _incomplete("A box reaches past the end of the file.")


def check_pdf(data: Bytes) -> None:
    """The end mark, or the pointer before it, must stand near the end (ISO 32000-1, 7.5.5)."""
    tail = data.at(max(0, data.size - 4096), 4096)
    if b"%%EOF" not in tail and b"startxref" not in tail:
        raise _incomplete("The end mark (%%EOF) is missing.")


def check_xml(data: Bytes) -> None:
    """SVG and other XML: the last thing is the end of an element or a comment."""
    if data.at(0, 2) in (b"\xff\xfe", b"\xfe\xff"):
        return
    tail = data.at(max(0, data.size - 4096), 4096).rstrip(b"\0 \t\r\n")
    if tail and not tail.endswith(b">"):
        raise _incomplete("The document ends in the middle.")
    if not re.search(rb"</[^<>]+>\s*(?:<!--.*?-->\s*)*$|/>\s*(?:<!--.*?-->\s*)*$", tail, re.S):
        raise _incomplete("The document ends in the middle.")


def check_json(data: Bytes) -> None:
    """The last thing is the end of an object or a list."""
    if data.at(0, 2) in (b"\xff\xfe", b"\xfe\xff"):
        return
    if not data.at(max(0, data.size - 4096), 4096).rstrip(b"\0 \t\r\n").endswith((b"}", b"]")):
        raise _incomplete("The document ends in the middle.")
