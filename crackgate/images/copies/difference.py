"""Whether two copies are one picture everywhere, or differ at a place: a hairline crack, an arrow, a stamp.

Only pixels tell: a hairline is lost in thumbnails.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from crackgate.images.copies.descriptor import describe, is_blank, orient, similarity, thumbnail
from crackgate.images.copies.frequencies import Floats

# Larger pictures are compared at this size.
LARGEST_SIDE = 512
# Copies that agree less may be other pictures of the same place.
_LEAST_SIMILARITY = 0.5
# Deviation of the neighbourhood that is compared, in pixels.
_NEIGHBOURHOOD = 1.5
# Variance of grey levels that rounding and compression make.
_NOISE = 1.0
# A neighbourhood differs if it leaves so many times the median variance unexplained, and so much of its own.
_OUTSTANDING = 12
_LEAST_UNEXPLAINED = 0.3
# So many such neighbourhoods make a difference, and such a share of all.
_MOST_NEIGHBOURHOODS = 20
_LARGEST_SHARE = 0.0005


def differ(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Whether two copies, uint8 (height, width) in any orientation and size, differ at a place or are too far apart.

    Tone, size, compression and a turned or mirrored picture are no difference.
    """
    described, its_described = describe(one), describe(other)
    if is_blank(described) or is_blank(its_described):
        return described != its_described
    if similarity(described, its_described) < _LEAST_SIMILARITY:
        return True
    turned = orient(one, other)
    height, width = (min(*sides, LARGEST_SIDE) for sides in zip(one.shape, turned.shape, strict=True))
    differing = _differing(*(thumbnail(grey, height, width) for grey in (one, turned)))
    return int(differing.sum()) > max(_MOST_NEIGHBOURHOODS, _LARGEST_SHARE * differing.size)


def _differing(ones: Floats, others: Floats) -> NDArray[np.bool_]:
    """The neighbourhoods in which one picture shows what the other does not."""
    (own, mean), (its_own, its_mean) = (_variance(image) for image in (ones, others))
    shared = gaussian_filter(ones * others, _NEIGHBOURHOOD) - mean * its_mean
    # The part that a straight line between the grey levels, around each pixel, leaves unexplained.
    unexplained = 1 - np.square(np.maximum(shared, 0)) / (own * its_own)
    outstanding = np.maximum(*(left / np.median(left) for left in (unexplained * own, unexplained * its_own)))
    return (outstanding > _OUTSTANDING) & (unexplained > _LEAST_UNEXPLAINED)


def _variance(image: Floats) -> tuple[Floats, Floats]:
    """Variance around each pixel, noise included, and mean."""
    mean = gaussian_filter(image, _NEIGHBOURHOOD)
    return np.maximum(gaussian_filter(np.square(image), _NEIGHBOURHOOD) - np.square(mean), 0) + _NOISE, mean
