"""Sixteen-bit samples as grey levels, by the range that the file declares."""

import numpy as np
from PIL import Image, TiffImagePlugin

from crackgate.images.png_chunks import significant_bits
from crackgate.images.rejection import RejectedImageError

_MIN_SAMPLE_VALUE, _MAX_SAMPLE_VALUE = 280, 281
_WHITE = 65535
# Levels of 256. Photographs that use all bits reach the first and spread over the second, but for one in a thousand
# pixels: all of 400 of the concrete crack data set do. Samples of 14 bits stay below the first.
_LOWEST_TOP = 64
_LEAST_SPREAD = 16
_SHARE = 0.001
_PART = 1_000_000


def grey_levels(samples: np.ndarray, declared: tuple[int, int] | None) -> np.ndarray:
    """Levels, uint8, of samples, uint16 of the same shape; raises RejectedImageError as `check_fill`.

    Samples from `declared[0]` to `declared[1]` become 0 to 255; without a declared range the upper eight bits count.
    """
    if declared is None:
        levels = (samples >> 8).astype(np.uint8)
        check_fill(levels, int(samples.min()), int(samples.max()))
        return levels
    low, high = declared
    if not low <= samples.min() <= samples.max() <= high:
        raise RejectedImageError(
            "format not supported",
            f"16-bit samples from {samples.min()} to {samples.max()}, but the file declares {low} to {high}: correct "
            "the tags 280 and 281, or convert it to 8 bits",
        )
    if declared == (0, _WHITE):
        return (samples >> 8).astype(np.uint8)
    return ((samples.astype(np.uint32) - low) * 255 // (high - low)).astype(np.uint8)


def check_fill(levels: np.ndarray, low: int, high: int) -> None:
    """Raises RejectedImageError where few levels are in use: nobody says which sample is white.

    Args:
        levels: uint8, any shape: the upper eight bits.
        low: The lowest sample, 0 to 65535, for the message, as is `high`, the highest.
    """
    # In parts: NumPy makes eight bytes of each.
    flat = levels.reshape(-1)
    counts = sum(np.bincount(flat[first : first + _PART], minlength=256) for first in range(0, flat.size, _PART))
    shares = np.cumsum(counts) / levels.size
    bottom, top = np.searchsorted(shares, (_SHARE, 1 - _SHARE))
    if top < _LOWEST_TOP or top - bottom < _LEAST_SPREAD:
        raise RejectedImageError(
            "format not supported",
            f"16-bit samples fill {low} to {high} of 0 to {_WHITE}: which of them is white? Declare the range (chunk "
            "sBIT of a grey PNG, tags 280 and 281 of a grey TIFF), or convert it to 8 bits",
        )


def declared_range(image: Image.Image, data: bytes, highest: int) -> tuple[int, int] | None:
    """The samples that a grey file declares to be black and white; None where it declares none.

    `highest` is its highest sample. A PNG's sBIT counts significant bits: as the upper ones by the standard, or as the
    lower ones when no sample needs more.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        low, high = (image.tag_v2.get(tag) for tag in (_MIN_SAMPLE_VALUE, _MAX_SAMPLE_VALUE))
        if low is None and high is None:
            return None
        low, high = _first(low, 0), _first(high, _WHITE)
        return (low, high) if low < high else None
    bits = significant_bits(data)
    if not bits:
        return None
    return (0, 2**bits - 1) if highest < 2**bits else (0, _WHITE)


def _first(value: object, default: int) -> int:
    """A tag has one value for each sample."""
    if isinstance(value, tuple) and value:
        value = value[0]
    return int(value) if isinstance(value, int | float) else default
