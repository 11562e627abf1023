"""Pictures laid over each other, or over themselves, at every shift that leaves enough of them in common."""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from crackgate.images.copies.frequencies import Floats

_LEAST_OVERLAP = 0.45
# Cells of 64; a shift by fewer shows the same place, by more another one.
_NEAR = 1 / 16


def correlations(images: Floats, fixed: NDArray[np.intp], moved: NDArray[np.intp]) -> Floats:
    """Correlations (pairs, shifts) over the common part of images (images, side, side), at `shifts_of` them.

    `fixed` and `moved` are rows of them, (pairs,) each.
    """
    side = images.shape[1]
    shifts = shifts_of(side)
    # Without the padding, what leaves on one side would come back on the other.
    size = fft.next_fast_len(side + int(shifts.max()), real=True)
    # An image is in several pairs, and is transformed once.
    spectra, energies = fft.rfft2(images, (size, size)), _energies(images, shifts)
    products = fft.irfft2(spectra[fixed] * spectra[moved].conj(), (size, size))[:, shifts[:, 0], shifts[:, 1]]
    # The shifts in reverse order are the opposite ones.
    found: Floats = products / np.sqrt(np.maximum(energies[fixed] * energies[moved, ::-1], 1e-6))
    return found


def elsewhere(scores: Floats, side: int, best: NDArray[np.intp]) -> Floats:
    """The highest of correlations (pairs, shifts) at other places than those around the shifts (pairs, 2)."""
    apart = np.abs(shifts_of(side) - best[:, None]).max(axis=2) > _NEAR * side
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


@functools.cache
def shifts_of(side: int) -> NDArray[np.intp]:
    """Every shift, down and across, that leaves enough in common, in an order that its opposites have in reverse."""
    reach = np.arange(-side, side + 1)
    down, across = (axis.ravel() for axis in np.meshgrid(reach, reach, indexing="ij"))
    kept = (side - np.abs(down)) * (side - np.abs(across)) >= _LEAST_OVERLAP * side**2
    return np.stack((down[kept], across[kept]), axis=1)


def _energies(images: Floats, shifts: NDArray[np.intp]) -> Floats:
    """Sums of squares (images, shifts) over the part of an image onto which another one is shifted."""
    side = images.shape[1]
    sums = np.zeros((len(images), side + 1, side + 1))
    sums[:, 1:, 1:] = np.square(images).cumsum(axis=1).cumsum(axis=2)
    (top, left), (bottom, right) = np.maximum(shifts, 0).T, side + np.minimum(shifts, 0).T
    energies = sums[:, bottom, right] - sums[:, top, right] - sums[:, bottom, left] + sums[:, top, left]
    return energies.astype(np.float32)
