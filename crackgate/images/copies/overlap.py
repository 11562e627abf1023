"""Photographs that overlap: frames of a video, shots of a burst, and cut-outs of one photograph.

Names say which to compare: two whose last or last but one number is near. Spots say more, see `places`. The details are
laid over each other at every shift that leaves 45% of them in common.
"""

import re
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from crackgate.images.copies.descriptor import Descriptors
from crackgate.images.copies.detail import SIDE, agreement, unpack, unpack_halves
from crackgate.images.copies.frequencies import Floats
from crackgate.images.copies.outline import BYTES as OUTLINE_BYTES
from crackgate.images.copies.partitions import Indices
from crackgate.images.copies.shifts import correlations, elsewhere, shifts_of

# Numbers up to two apart are compared, and half of those three apart.
_NEAR = 4
# Frames that were taken out of a video may keep their numbers: every fifth, every thirtieth.
_STRIDES = (1, 5, 10, 25, 30, 60, 100)
# At half the detail; most pairs of other places end here.
_LEAST_ROUGH_SCORE = 0.3
# Correlation over the whole overlap. The highest of 10,000 pairs of other places is 0.22.
_LEAST_SCORE = 0.4
# The regions that agree least, see `detail.agreement`. The same pairs reach 0.0 at most.
_LEAST_AGREEMENT = 0.25
_NUMBERS = re.compile(rb"\d+")
# A pattern agrees as well elsewhere, by 0.91 of the best and more; masonry by 0.7 at most, concrete by 0.26.
_MOST_ELSEWHERE = 0.8
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

    Tiles, boards and joints look alike everywhere, so that nobody can tell: they show none.

    `pictures` is of `descriptor.stack`. The pairs are rows of it, (pairs,) each, and the result is by pair.
    """
    used, ones, others = _numbered(ones, others)
    details = pictures[used, OUTLINE_BYTES:]
    found = np.zeros(len(ones), bool)
    left = np.flatnonzero(correlations(unpack_halves(details), ones, others).max(axis=1) >= _LEAST_ROUGH_SCORE)
    if len(left):
        used, ones, others = _numbered(ones[left], others[left])
        images = unpack(details[used])
        scores = correlations(images, ones, others)
        best, shifts = scores.max(axis=1), shifts_of(SIDE)[scores.argmax(axis=1)]
        # The quickest question first.
        alike = np.flatnonzero(best >= _LEAST_SCORE)
        alike = alike[elsewhere(scores[alike], SIDE, shifts[alike]) <= _MOST_ELSEWHERE * best[alike]]
        if len(alike):
            moved = np.stack(list(_shifted(images[others[alike]], shifts[alike])))
            found[left[alike]] = agreement(images[ones[alike]], moved) >= _LEAST_AGREEMENT
    return found


def _numbered(ones: Indices, others: Indices) -> tuple[Indices, Indices, Indices]:
    """The rows that pairs use, each once, and the pairs as places among them."""
    used, places = np.unique(np.concatenate((ones, others)), return_inverse=True)
    fixed, moved = np.split(places, 2)
    return used, fixed, moved


def _shifted(images: Floats, shifts: NDArray[np.intp]) -> Iterator[Floats]:
    """Each image at its shift, with zeros where it leaves."""
    side = images.shape[1]
    for image, (down, across) in zip(images, shifts.tolist(), strict=True):
        padded = np.pad(image, side)
        yield padded[side - down : 2 * side - down, side - across : 2 * side - across]
