"""The header of a JPEG file up to its first scan, and the grey levels behind it, without Pillow."""

from dataclasses import dataclass

import numpy as np
import simplejpeg

_BEGINNING = b"\xff\xd8\xff"
_JFIF, _TABLES, _SCAN, _COMMENT = 0xE0, 0xDB, 0xDA, 0xFE
_APPLICATIONS = range(0xE0, 0xF0)
# Baseline, extended and progressive frames with Huffman codes, which all decoders read.
_FRAMES = (0xC0, 0xC1, 0xC2)
# Huffman codes and restart intervals, besides.
_OTHERS = (0xC4, 0xDD, _TABLES, _COMMENT)
# Components by the length of a frame's segment: grey, and three colours.
_FRAME_BYTES = {11: 1, 17: 3}
# Of 8 bits: its number and 64 steps.
_TABLE_BYTES = 65
_JFIF_BYTES = 16
# Those that Adobe's programs write have some hundred.
_MOST_SEGMENTS = 4096


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """A frame of 8 bits, grey or of three colours.

    Attributes:
        width: In pixels, as is `height`.
        has_notes: Whether there are segments that may turn or colour the picture, or that Pillow may refuse.
    """

    width: int
    height: int
    has_notes: bool


def read_header(data: bytes) -> JpegHeader | None:
    """The header of a JPEG file; None for other files, and for anything unusual between the segments."""
    if not data.startswith(_BEGINNING):
        return None
    frame: tuple[int, int] | None = None
    has_notes, place = False, 2
    for _ in range(_MOST_SEGMENTS):
        if place + 4 > len(data) or data[place] != 0xFF:
            return None
        marker, length = data[place + 1], data[place + 2] << 8 | data[place + 3]
        content = place + 4
        place += 2 + length
        if place > len(data):
            return None
        if marker in _FRAMES:
            if (
                frame
                # The length first: a shorter segment may end with the file.
                or length not in _FRAME_BYTES
                or data[content] != 8
                or _FRAME_BYTES[length] != data[content + 5]
            ):
                return None
            frame = (data[content + 3] << 8 | data[content + 4], data[content + 1] << 8 | data[content + 2])
        elif marker == _SCAN:
            return JpegHeader(*frame, has_notes) if frame else None
        elif marker in _APPLICATIONS:
            has_notes |= marker != _JFIF or length < _JFIF_BYTES or not data.startswith(b"JFIF\0", content)
        elif marker not in _OTHERS:
            return None
        elif marker == _TABLES:
            has_notes |= (length - 2) % _TABLE_BYTES != 0
    return None


def decode_grey(data: bytes, strict: bool = True) -> np.ndarray | None:
    """The luma of a JPEG, uint8 (height, width); None where libjpeg fails or, if `strict`, has a warning."""
    try:
        levels: np.ndarray = simplejpeg.decode_jpeg(data, "GRAY", strict=strict)
    except ValueError:
        return None
    return levels[..., 0]
