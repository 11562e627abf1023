"""Photographs that overlap: frames of a video, shots of a burst, and cut-outs of one photograph.

Names say which to compare: two whose last or last but one number is near. Then the details are laid over each other at
every shift that leaves 45% of them in common.
"""

import functools
import re
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from crackgate.images.copies.descriptor import Descriptors
from crackgate.images.copies.detail import agreement, halve, unpack
from crackgate.images.copies.frequencies import Floats
from crackgate.images.copies.outline import BYTES as OUTLINE_BYTES

# Numbers up to two apart are compared, and half of those three apart.
_NEAR = 4
# Frames that were taken out of a video may keep their numbers: every fifth, every thirtieth.
_STRIDES = (1, 5, 10, 25, 30, 60, 100)
_LEAST_OVERLAP = 0.45
# At half the detail; most pairs of other places end here.
_LEAST_ROUGH_SCORE = 0.3
# Correlation over the whole overlap. The highest of 10,000 pairs of other places is 0.22.
_LEAST_SCORE = 0.4
# The regions that agree least, see `detail.agreement`. The same pairs reach 0.0 at most.
_LEAST_AGREEMENT = 0.25
_NUMBERS = re.compile(rb"\d+")


def name_codes(path: bytes) -> list[int]:
    """Codes below 2^34 of an image's place in a sequence; images with near numbers share one, in any folder.

    Those of one folder share another one, and so do those of folders of one name, such as a video's in two classes. Of
    many videos with equal names, each in its folder, too many images share the first one to compare them all.
    """
    folder, _, name = path.rpartition(b"/")
    stem = name.rpartition(b".")[0]
    folders = sorted({b"", folder, folder.rpartition(b"/")[2]})
    codes = []
    for place, found in enumerate(list(_NUMBERS.finditer(stem))[:-3:-1]):
        others, number = stem[: found.start()] + b"\0" + stem[found.end() :], int(found[0])
        for stride in (stride for stride in _STRIDES if number % stride == 0):
            for turn, start in enumerate((0, _NEAR // 2)):
                bucket = (number // stride + start) // _NEAR
                said = others + b"\0%d %d\0" % (stride, bucket)
                codes += [(2 * place + turn) << 32 | zlib.crc32(said + within) for within in folders]
    return codes


def overlap(ones: Descriptors, others: Descriptors) -> NDArray[np.bool_]:
    """Whether the images (pairs,) show a common part, neither turned by more than 1 degree nor zoomed.

    Row by row of two arrays of `descriptor.stack`.
    """
    fixed, moved = (unpack(images[:, OUTLINE_BYTES:]) for images in (ones, others))
    found = np.zeros(len(fixed), bool)
    rough, _ = _best_shifts(halve(fixed), halve(moved))
    left = np.flatnonzero(rough >= _LEAST_ROUGH_SCORE)
    if len(left):
        scores, shifts = _best_shifts(fixed[left], moved[left])
        agreements = agreement(fixed[left], np.stack(list(_shifted(moved[left], shifts))))
        found[left] = (scores >= _LEAST_SCORE) & (agreements >= _LEAST_AGREEMENT)
    return found


def _best_shifts(fixed: Floats, moved: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """The highest correlation (pairs,) over the common part, and its shift down and across (pairs, 2)."""
    side = fixed.shape[1]
    shifts = _shifts(side)
    # Without the padding, what leaves on one side would come back on the other.
    spectra = [fft.rfft2(images, (2 * side, 2 * side)) for images in (fixed, moved)]
    products = fft.irfft2(spectra[0] * spectra[1].conj(), (2 * side, 2 * side))[:, shifts[:, 0], shifts[:, 1]]
    energies = _energies(fixed, shifts) * _energies(moved, -shifts)
    scores = products / np.sqrt(np.maximum(energies, 1e-6))
    best = scores.argmax(axis=1)
    return scores[np.arange(len(best)), best], shifts[best]


@functools.cache
def _shifts(side: int) -> NDArray[np.intp]:
    """Every shift that leaves enough in common."""
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


def _shifted(images: Floats, shifts: NDArray[np.intp]) -> Iterator[Floats]:
    """Each image at its shift, with zeros where it leaves."""
    side = images.shape[1]
    for image, (down, across) in zip(images, shifts.tolist(), strict=True):
        padded = np.pad(image, side)
        yield padded[side - down : 2 * side - down, side - across : 2 * side - across]
