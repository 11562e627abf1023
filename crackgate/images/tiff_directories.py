"""The directories of a TIFF: its pages and what hangs below them, without their pixels.

Camera raws are TIFFs whose first page is a small preview. Source of the tags: TIFF 6.0, and Adobe's DNG 1.7.
"""

import io
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from PIL import TiffImagePlugin

from crackgate.images.bounded_file import too_many_parts
from crackgate.images.file_kinds import camera_raw
from crackgate.images.rejection import RejectedImageError

_SUBFILE, _OLD_SUBFILE, _WIDTH, _LENGTH, _BITS, _COMPRESSION = 254, 255, 256, 257, 258, 259
_PHOTOMETRIC, _MAKE, _PLANAR, _SUBDIRECTORIES, _DNG_VERSION = 262, 271, 284, 330, 50706
_STRIP_OFFSETS, _STRIP_ROWS, _TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS = 273, 278, 322, 323, 324
_JPEG = 7
# Start of a frame, but for DHT, JPG and DAC.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Bits of a subfile's type.
_REDUCED, _MASK = 1, 4
_OLD_REDUCED = 2
# Colour filter array and linear raw; the compressions of Sony, Samsung, Nikon, Pentax and Kodak.
_RAW_PHOTOMETRICS = {32803, 34892}
_RAW_COMPRESSIONS = {32767, 32770, 34713, 65000, 65535}
_RAWS_OF = {
    "NIKON": "NEF",
    "SONY": "ARW",
    "PENTAX": "PEF",
    "SAMSUNG": "SRW",
    "EASTMAN KODAK": "DCR",
    "HASSELBLAD": "3FR",
}
# A preview has a fraction of the picture's pixels; the pages of a scan are nearly of one size.
_PIXELS_OF_A_PREVIEW = 4
# BYTE, ASCII, SBYTE and UNDEFINED.
_BYTE_TYPES = frozenset((1, 2, 6, 7))
# Pillow makes an object of each RATIONAL and SRATIONAL, in the time of some numbers.
_FRACTIONS, _VALUES_OF_A_FRACTION = frozenset((5, 10)), 8
# Three tables of 16 bits, and a strip for each row: they take some hundredths of a second.
_MOST_VALUES = 2**18
# A file may claim any number.
_MOST_DIRECTORIES = 256

_Directory = dict[int, Any]


def is_tiff(data: bytes) -> bool:
    """Whether a file begins like a TIFF; many camera raws do."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def check_first_page(data: bytes) -> None:
    """Raises RejectedImageError where the first page, which is the one that Pillow opens, is not the picture."""
    directories = list(_directories(data))
    if not directories:
        return
    first, others = directories[0], directories[1:]
    if name := _raw_name(data, directories):
        raise camera_raw(name)
    if _is_accessory(first):
        raise _not_the_picture("it says that it is a preview or a mask of another one")
    size, largest = _pixels(first), max(map(_pixels, others), default=0)
    if largest and largest >= _PIXELS_OF_A_PREVIEW * size:
        raise _not_the_picture(f"a later page has {largest} pixels, the first only {size}")


def check_first_counts(data: bytes) -> None:
    """Raises RejectedImageError where the first page has more values than Pillow reads in time."""
    big = b"+" in data[:4]
    with suppress(struct.error):
        (offset,) = struct.unpack_from(_order(data) + ("Q" if big else "I"), data, 8 if big else 4)
        if _count_values(data, offset) > _MOST_VALUES:
            raise too_many_parts(len(data), _MOST_VALUES)


def _order(data: bytes) -> str:
    return "<" if data.startswith(b"II") else ">"


def _count_values(data: bytes, offset: int) -> int:
    """Values of a directory that are read one by one: entries, and numbers of more than a byte."""
    order, big = _order(data), b"+" in data[:4]
    count_form, entry = ("Q", struct.Struct(f"{order}HHQQ")) if big else ("H", struct.Struct(f"{order}HHII"))
    try:
        (entries,) = struct.unpack_from(order + count_form, data, offset)
        values, place = int(entries), offset + struct.calcsize(order + count_form)
        for _ in range(min(values, _MOST_VALUES)):
            _, kind, count, _ = entry.unpack_from(data, place)
            # More than there are bytes are not read.
            if kind not in _BYTE_TYPES and 2 * count <= len(data):
                values += count * (_VALUES_OF_A_FRACTION if kind in _FRACTIONS else 1)
            place += entry.size
    except (struct.error, OverflowError):  # it ends with the file, or lies behind it
        return 0
    return values


def check_planes(image: TiffImagePlugin.TiffImageFile) -> None:
    """Raises RejectedImageError for uncompressed 16-bit planes, which Pillow reads as noise."""
    tags = image.tag_v2
    if tags.get(_PLANAR) == 2 and max(tags.get(_BITS, (1,))) > 8 and tags.get(_COMPRESSION, 1) == 1:
        raise RejectedImageError(
            "format not supported",
            f"TIFF of uncompressed planes of {max(tags[_BITS])} bits: save it with interleaved samples or 8 bits",
        )


def check_jpeg_frames(image: TiffImagePlugin.TiffImageFile, data: bytes) -> None:
    """Raises RejectedImageError where a JPEG in a TIFF has fewer pixels than its strip or tile.

    libtiff warns, and leaves the others as they happen to be in memory.
    """
    tags = image.tag_v2
    if tags.get(_COMPRESSION) != _JPEG or tags.get(_PLANAR, 1) != 1:
        return
    width, height = image.size
    if _TILE_OFFSETS in tags:
        sizes = [(tags.get(_TILE_WIDTH, 0), tags.get(_TILE_LENGTH, 0))] * len(tags[_TILE_OFFSETS])
    else:
        rows = tags.get(_STRIP_ROWS, height)
        sizes = [(width, min(rows, height - top)) for top in range(0, height, max(rows, 1))]
    offsets = tags.get(_TILE_OFFSETS) or tags.get(_STRIP_OFFSETS) or ()
    for offset, (across, down) in zip(offsets, sizes, strict=False):
        found = _frame_size(data, offset)
        if found is None or found[0] < across or found[1] < down:
            said = "no frame" if found is None else f"{found[0]}x{found[1]} pixels"
            raise RejectedImageError(
                "unreadable", f"JPEG in TIFF: a part of {across}x{down} pixels has {said}: copy the file again"
            )


def _frame_size(data: bytes, place: int) -> tuple[int, int] | None:
    """Width and height of the JPEG that begins at `place`; None where there is none."""
    if data[place : place + 2] != b"\xff\xd8":
        return None
    place += 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker in _JPEG_FRAMES:
            down, across = struct.unpack_from(">HH", data, place + 5)
            return across, down
        place += 2 + length
    return None


def has_further_pages(data: bytes) -> bool:
    """Whether there is another page than the first, its previews and its masks."""
    return not all(_is_accessory(directory) for directory in list(_directories(data))[1:])


def _is_accessory(directory: _Directory) -> bool:
    """Whether a page says that it is a preview or a mask of another one."""
    return bool(_number(directory, _SUBFILE) & (_REDUCED | _MASK)) or _number(directory, _OLD_SUBFILE) == _OLD_REDUCED


def _not_the_picture(why: str) -> RejectedImageError:
    return RejectedImageError(
        "format not supported", f"TIFF whose first page is not the picture: {why}; save the picture alone"
    )


def _raw_name(data: bytes, directories: list[_Directory]) -> str | None:
    if any(_DNG_VERSION in directory for directory in directories):
        return "DNG"
    if data[8:10] == b"CR":
        return "CR2"
    if any(
        _number(directory, _PHOTOMETRIC) in _RAW_PHOTOMETRICS or _number(directory, _COMPRESSION) in _RAW_COMPRESSIONS
        for directory in directories
    ):
        make = str(directories[0].get(_MAKE, "")).upper()
        return next((name for maker, name in _RAWS_OF.items() if make.startswith(maker)), "its maker's own format")
    return None


def _directories(data: bytes) -> Iterator[_Directory]:
    """Tags of each directory, those of pages before those below them; damaged ones are left out."""
    header = data[: 16 if b"+" in data[:4] else 8]
    try:
        reader = TiffImagePlugin.ImageFileDirectory_v2(header)
    except (SyntaxError, struct.error):
        return
    waiting, seen, values = [reader.next], set[int](), 0
    while waiting and len(seen) < _MOST_DIRECTORIES:
        offset = waiting.pop(0)
        if not offset or offset in seen:
            continue
        seen.add(offset)
        values += _count_values(data, offset)
        if values > _MOST_VALUES:
            raise too_many_parts(len(data), _MOST_VALUES)
        file = io.BytesIO(data)
        try:
            file.seek(offset)
            reader.load(file)
            directory = dict(reader)
        except Exception:  # of any kind: Pillow reads what others wrote, and the pixels may be sound
            continue
        yield directory
        below = directory.get(_SUBDIRECTORIES, ())
        waiting[:0] = [reader.next]
        waiting += [number for number in (below if isinstance(below, tuple) else (below,)) if isinstance(number, int)]


def _number(directory: _Directory, tag: int) -> int:
    value = directory.get(tag, 0)
    return value if isinstance(value, int) else 0


def _pixels(directory: _Directory) -> int:
    return _number(directory, _WIDTH) * _number(directory, _LENGTH)
