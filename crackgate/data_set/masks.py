"""Images that are masks: drawn in a few flat tones, as no photograph is."""

import io
import warnings
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageFile

from crackgate.images.image_folder import read_source
from crackgate.images.rejection import RejectedImageError
from crackgate.storage.location import Location

# A lossless mask has a tone for each class. JPEG blurs the edges between black and white; both are flat elsewhere, and
# a photograph, however bright or dark, has noise.
_MOST_TONES = 8
_BLACK, _WHITE = 40, 215
_LEAST_FLAT = 0.8
# Side to which a JPEG is reduced while it is decoded, in pixels: it bounds the time.
_SIDE = 256
# Pixels. What is no JPEG is looked at up to the first number; up to the second, if a byte holds many flat pixels.
_SMALL, _LARGE = 2_000_000, 50_000_000
_PIXELS_OF_A_BYTE = 20
# Larger files are not looked at.
_MOST_BYTES = 100_000_000


def are_masks(files: Iterable[Location]) -> bool:
    """Whether all readable images among the files are masks, and one of them has two tones or more.

    Raises StorageError where the store of the images cannot be used any longer.
    """
    tones = [count for file in files if (count := _count_tones(file)) is not None]
    return bool(tones) and max(tones) <= _MOST_TONES and max(tones) > 1


def _count_tones(file: Location) -> int | None:
    """The flat tones of an image, more than any mask's for a photograph; None for an image that cannot be read here."""
    try:
        content = read_source(file, _MOST_BYTES)
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content)) as image:
            if not _is_quick(image, len(content)):
                return None
            image.draft("L", (_SIDE, _SIDE))
            # Pillow would clip samples of more than 8 bits to white.
            luma = np.asarray(image if image.mode.startswith(("I", "F")) else image.convert("L"))
    except (RejectedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    if image.format != "JPEG":
        return len(np.unique(luma))
    black, white = luma <= _BLACK, luma >= _WHITE
    flat = (black | white)[:, 1:] & (luma[:, 1:] == luma[:, :-1])
    return int(black.any()) + int(white.any()) if flat.mean() >= _LEAST_FLAT else _MOST_TONES + 1


def _is_quick(image: ImageFile.ImageFile, file_bytes: int) -> bool:
    """Whether the image is decoded in no time: reduced, as JPEG is, or small, or as flat as masks are."""
    if ";16" in str(image.tile) and not image.mode.startswith("I"):
        return False  # Pillow drops half of each colour's bits, and with them the tones of a dark photograph.
    pixels = image.width * image.height
    return image.format == "JPEG" or pixels <= _SMALL or (pixels <= _LARGE and file_bytes < pixels // _PIXELS_OF_A_BYTE)
