"""Photographs that overlap: frames of a video, shots of a burst, and cut-outs of one photograph.

Names say which to compare: two whose last or last but one number is near. Spots say more, see `places`. The details are
laid over each other at every shift that leaves 45% of them in common.
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
from crackgate.images.copies.partitions import Indices

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
# Numbers of a region.
_REGION = 64


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


def name_region(path: bytes) -> int:
    """A code below 2^32 that most images with near numbers in one folder share."""
    folder, _, name = path.rpartition(b"/")
    region = _NUMBERS.sub(lambda found: b"%d" % (int(found[0]) // _REGION), name)
    return zlib.crc32(folder.rpartition(b"/")[2] + b"/" + region)


def overlap(pictures: Descriptors, ones: Indices, others: Indices) -> NDArray[np.bool_]:
    """Whether two images show a common part, neither turned by more than 1 degree nor zoomed.

    `pictures` is of `descriptor.stack`. The pairs are rows of it, (pairs,) each, and the result is by pair.
    """
    used, ones, others = _numbered(ones, others)
    images = unpack(pictures[used, OUTLINE_BYTES:])
    found = np.zeros(len(ones), bool)
    rough, _ = _best_shifts(halve(images), ones, others)
    left = np.flatnonzero(rough >= _LEAST_ROUGH_SCORE)
    if len(left):
        used, ones, others = _numbered(ones[left], others[left])
        images = images[used]
        scores, shifts = _best_shifts(images, ones, others)
        agreements = agreement(images[ones], np.stack(list(_shifted(images[others], shifts))))
        found[left] = (scores >= _LEAST_SCORE) & (agreements >= _LEAST_AGREEMENT)
    return found


def _numbered(ones: Indices, others: Indices) -> tuple[Indices, Indices, Indices]:
    """The rows that pairs use, each once, and the pairs as places among them."""
    used, places = np.unique(np.concatenate((ones, others)), return_inverse=True)
    fixed, moved = np.split(places, 2)
    return used, fixed, moved


def _best_shifts(images: Floats, fixed: Indices, moved: Indices) -> tuple[Floats, NDArray[np.intp]]:
    """The highest correlation (pairs,) over the common part, and its shift down and across (pairs, 2)."""
    side = images.shape[1]
    shifts = _shifts(side)
    # Without the padding, what leaves on one side would come back on the other.
    size = fft.next_fast_len(side + int(shifts.max()), real=True)
    # An image is in several pairs, and is transformed once.
    spectra, energies = fft.rfft2(images, (size, size)), _energies(images, shifts)
    products = fft.irfft2(spectra[fixed] * spectra[moved].conj(), (size, size))[:, shifts[:, 0], shifts[:, 1]]
    # The shifts in reverse order are the opposite ones.
    scores = products / np.sqrt(np.maximum(energies[fixed] * energies[moved, ::-1], 1e-6))
    best = scores.argmax(axis=1)
    return scores[np.arange(len(best)), best], shifts[best]


@functools.cache
def _shifts(side: int) -> NDArray[np.intp]:
    """Every shift that leaves enough in common, in an order that its opposites have in reverse."""
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
