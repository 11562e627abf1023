"""Pictures laid over each other, or over themselves, at every shift that leaves enough of them in common."""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from crackgate.images.copies.frequencies import Floats

_LEAST_OVERLAP = 0.45
# Cells of 64; a shift by fewer shows the same place, by more another one.
_NEAR = 1 / 16
# More pairs at once leave the processor's cache, and take half as much time again.
_AT_ONCE = 16


def correlations(images: Floats, fixed: NDArray[np.intp], moved: NDArray[np.intp]) -> Floats:
    """Correlations (pairs, shifts) over the common part of images (images, side, side), at `shifts_of` them.

    `fixed` and `moved` are rows of them, (pairs,) each. It is 0 where less than 45 % is in common.
    """
    side = images.shape[1]
    reach, kept, enough = _along_one_axis(side)
    # A product with a view takes half as long again.
    kept_across = np.ascontiguousarray(kept.T)
    # Without the padding, what leaves on one side would come back on the other.
    size = fft.next_fast_len(side + int(reach[-1]), real=True)
    spectra = np.empty((len(images), size, size // 2 + 1), np.complex64)
    lengths = np.empty((len(images), len(reach), len(reach)), np.float32)
    # An image is in several pairs, and is transformed once.
    for start in range(0, len(images), _AT_ONCE):
        few = slice(start, start + _AT_ONCE)
        spectra[few] = fft.rfft2(images[few], (size, size))
        # The part of an image onto which another one is shifted has them. Sums of squares of whole numbers are exact.
        lengths[few] = np.sqrt(np.maximum(kept @ np.square(images[few]) @ kept_across, 1e-3))
    found = np.empty((len(fixed), len(reach), len(reach)), np.float32)
    for start in range(0, len(fixed), _AT_ONCE):
        pairs = slice(start, start + _AT_ONCE)
        products = spectra[moved[pairs]]
        np.conj(products, out=products)
        products *= spectra[fixed[pairs]]
        shifted = fft.irfft2(products, (size, size), overwrite_x=True)
        np.divide(shifted[:, reach][:, :, reach], lengths[fixed[pairs]], out=found[pairs])
        # The shifts in reverse order are the opposite ones.
        found[pairs] /= lengths[moved[pairs]][:, ::-1, ::-1]
        found[pairs] *= enough
    return found.reshape(len(fixed), len(reach) ** 2)


def elsewhere(scores: Floats, side: int, best: NDArray[np.intp]) -> Floats:
    """The highest of correlations (pairs, shifts) at other places than those around the shifts (pairs, 2)."""
    reach, _, _ = _along_one_axis(side)
    down, across = (np.abs(reach - places[:, None]) > _NEAR * side for places in best.T)
    apart = (down[:, :, None] | across[:, None, :]).reshape(scores.shape)
    return np.where(apart, scores, -1).max(axis=1)


def repetition(images: Floats) -> Floats:
    """The highest correlation (images,) of each image with itself elsewhere: near 1 for tiles, joints and boards."""
    rows = np.arange(len(images))
    return elsewhere(correlations(images, rows, rows), images.shape[1], np.zeros((len(images), 2), np.intp))


def may_repeat(images: Floats, least: float) -> NDArray[np.bool_]:
    """Whether images (images, side, side) without borders reach `least` by themselves: a fifth of the time."""
    side = images.shape[1]
    spectra = fft.rfft2(images)
    products = fft.irfft2(spectra * spectra.conj(), (side, side))
    reach = np.minimum(np.arange(side), side - np.arange(side))
    apart = np.maximum(reach[:, None], reach) > _NEAR * side
    found: NDArray[np.bool_] = products[:, apart].max(axis=1) >= least * products[:, 0, 0]
    return found


def shifts_of(side: int) -> NDArray[np.intp]:
    """The shifts (shifts, 2), down and across, of `correlations` of images with so many cells a side."""
    reach, _, _ = _along_one_axis(side)
    return np.stack(np.meshgrid(reach, reach, indexing="ij"), axis=-1).reshape(-1, 2)


@functools.cache
def _along_one_axis(side: int) -> tuple[NDArray[np.intp], Floats, NDArray[np.bool_]]:
    """Shifts along one axis, the cells (shifts, side) that stay at each, and which two leave enough in common."""
    reach = np.arange(-side, side + 1)
    common = side - np.abs(reach)
    reach, common = (values[common >= _LEAST_OVERLAP * side] for values in (reach, common))
    cells = np.arange(side) - reach[:, None]
    kept = ((cells >= 0) & (cells < side)).astype(np.float32)
    return reach, kept, common[:, None] * common >= _LEAST_OVERLAP * side**2
