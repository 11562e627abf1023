"""Codes of a picture's most distinct spots, by which images that overlap are looked up whatever their names are.

Two images that overlap share spots, wherever these lie in either. A spot is an extremum of the detail, and its code the
signs of the lowest frequencies around it.
"""

import numpy as np
from numpy.typing import NDArray

from crackgate.images.copies.detail import SIDE, unpack
from crackgate.images.copies.frequencies import Floats, Frequencies, dct_matrix

SPOTS = 24
_BITS = 32
# The surroundings of a spot: 9 x 9 samples, two cells apart.
_SAMPLES, _REACH = 9, 8
# Places between the cells, in steps of an eighth.
_STEPS = 8
# Leaves room for the surroundings.
_MARGIN = _REACH + 1
# Bounds the memory, 60 kB an image. More leave the processor's cache.
_AT_ONCE = 32
# Whole numbers, here and below: float32 sums them up exactly below 2^24, in any order.
_WEIGHTS = (1, 4, 6, 4, 1)
_BLURRING: Floats = np.sum(
    [weight * np.eye(SIDE, k=at - 2, dtype=np.float32) for at, weight in enumerate(_WEIGHTS)], axis=0
)
_FREQUENCIES = Frequencies(_SAMPLES, 0, _SAMPLES)
_DCT = dct_matrix(_SAMPLES)
_WAVES = np.rint(16 * _DCT[_FREQUENCIES.rows[:_BITS], :, None] * _DCT[_FREQUENCIES.columns[:_BITS], None, :])


def place_codes(details: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Codes (images, 24) of the spots of packed details (images, 2048); no image changes another one's."""
    codes = np.empty((len(details), SPOTS), np.uint32)
    for start in range(0, len(details), _AT_ONCE):
        images = unpack(details[start : start + _AT_ONCE])
        # Half the bytes of float32, and exact: 7 * 256 at most.
        smooth = (_BLURRING @ images @ _BLURRING).astype(np.int16)
        surroundings = _surroundings(smooth, *_spots(np.abs(smooth))).reshape(-1, _SAMPLES**2)
        bits = np.packbits(surroundings @ _WAVES.reshape(_BITS, -1).T > 0, axis=1)
        codes[start : start + _AT_ONCE] = bits.view(">u4").reshape(-1, SPOTS)
    return codes


def _spots(strengths: NDArray[np.int16]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns (images, 24), in eighths of a cell, of the strongest maxima of (images, 64, 64)."""
    around = strengths[:, _MARGIN - 1 : 1 - _MARGIN, _MARGIN - 1 : 1 - _MARGIN]
    across = np.maximum(np.maximum(around[:, :, :-2], around[:, :, 2:]), around[:, :, 1:-1])
    highest = np.maximum(np.maximum(across[:, :-2], across[:, 2:]), across[:, 1:-1])
    inner = around[:, 1:-1, 1:-1]
    cells = inner[0].size
    strong = np.where(inner >= highest, inner, 0).reshape(-1, cells).astype(np.int32)
    # The place tells equal ones apart, so that the choice is the same on every machine.
    ranks = strong * cells + np.arange(cells, dtype=np.int32)
    chosen = np.argpartition(ranks, -SPOTS, axis=1)[:, -SPOTS:]
    rows, columns = np.divmod(chosen, inner.shape[2])
    rows, columns, images = rows + _MARGIN, columns + _MARGIN, np.arange(len(strengths))[:, None]
    middle = strengths[images, rows, columns]
    down = _summit(strengths[images, rows - 1, columns], middle, strengths[images, rows + 1, columns])
    across = _summit(strengths[images, rows, columns - 1], middle, strengths[images, rows, columns + 1])
    return rows * _STEPS + down, columns * _STEPS + across


def _summit(before: NDArray[np.int16], middle: NDArray[np.int16], after: NDArray[np.int16]) -> NDArray[np.intp]:
    """The summit of a parabola through three neighbours, -4 to 4 eighths of a cell from the middle."""
    bend = np.maximum(2 * middle - before - after, 1)
    return np.rint(_STEPS * np.clip((after - before) / (2 * bend), -0.5, 0.5)).astype(np.intp)


def _surroundings(images: NDArray[np.int16], rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Floats:
    """Samples (images, 24, 9, 9) around spots, times 64, interpolated between the cells."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (1, 2 * _SAMPLES, 2 * _SAMPLES))
    (top, down), (left, across) = (np.divmod(places, _STEPS) for places in (rows, columns))
    found = windows[np.arange(len(images))[:, None], top - _REACH, left - _REACH, 0]
    down, across = (part[..., None, None] for part in (down.astype(np.int16), across.astype(np.float32)))
    found = (found[:, :, ::2] * (_STEPS - down) + found[:, :, 1::2] * down).astype(np.float32)
    samples: Floats = found[..., ::2] * (_STEPS - across) + found[..., 1::2] * across
    return samples
