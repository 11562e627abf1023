"""The directories of a TIFF: its pages and what hangs below them, without their pixels.

Camera raws are TIFFs whose first page is a small preview. Source of the tags: TIFF 6.0, and Adobe's DNG 1.7.
"""

import io
import struct
from collections.abc import Iterator
from typing import Any

from PIL import TiffImagePlugin

from crackgate.images.file_kinds import camera_raw
from crackgate.images.rejection import RejectedImageError

_SUBFILE, _OLD_SUBFILE, _WIDTH, _LENGTH, _BITS, _COMPRESSION = 254, 255, 256, 257, 258, 259
_PHOTOMETRIC, _MAKE, _PLANAR, _SUBDIRECTORIES, _DNG_VERSION = 262, 271, 284, 330, 50706
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


def check_planes(image: TiffImagePlugin.TiffImageFile) -> None:
    """Raises RejectedImageError for uncompressed 16-bit planes, which Pillow reads as noise."""
    tags = image.tag_v2
    if tags.get(_PLANAR) == 2 and max(tags.get(_BITS, (1,))) > 8 and tags.get(_COMPRESSION, 1) == 1:
        raise RejectedImageError(
            "format not supported",
            f"TIFF of uncompressed planes of {max(tags[_BITS])} bits: save it with interleaved samples or 8 bits",
        )


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
    waiting, seen = [reader.next], set[int]()
    while waiting and len(seen) < _MOST_DIRECTORIES:
        offset = waiting.pop(0)
        if not offset or offset in seen:
            continue
        seen.add(offset)
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
