"""The detail of a picture: a thumbnail whose local contrast is even, so that each region counts by its size.

Two pictures agree as far as the regions do that agree least. A border, mask, caption or logo that two photographs share
fills some regions and leaves the others, which tell the photographs apart.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crackgate.images.copies.frequencies import Floats, Frequencies, OrientedHash, dct_matrix
from crackgate.images.copies.shifts import may_repeat, repetition

SIDE = 64
# Two cells a byte.
BYTES = SIDE * SIDE // 2
# Deviation of the neighbourhood that evens out contrast, in cells. A wider one spreads edges of borders.
_NEIGHBOURHOOD = 1.5
# Deviation of the smoothing before, in pixels.
_SMOOTHED = 0.85
# Grey levels below which rounding and compression outweigh the surface.
_NOISE = 0.5
_STEPS = 2.5
_LARGEST = 7

# Regions are 8 x 8 cells.
_REGIONS = 8
# A region of less than 0.3 times the even contrast is blank, and says nothing.
_LEAST_ENERGY = (0.3 * _STEPS) ** 2
# Pictures with fewer common regions that are not blank cannot be compared.
_FEWEST_REGIONS = 8
# One of two pictures may reach so much of their correlation with itself elsewhere. Other places of a pattern reach
# 0.95, whole copies of it 0.88 as a rule, any copies of masonry 0.87 and of concrete 0.27.
_MOST_REPETITION = 0.95
# Without borders a pattern reaches 0.45.
_LEAST_REPETITION = 0.3
# Pictures that correlate less as a whole are no copies.
_LEAST_SCORE = 0.1
# A copy may have lost 2% of its side all around.
_ZOOMS = (1, 0.96, 1 / 0.96)
# Signs of the four parts of `_fold` when mirrored not at all, left-right, top-bottom, and both.
_MIRRORINGS = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], np.float32)
# The share of regions, those that agree least, that decides.
_DECISIVE_SHARE = 0.25

# Lower ones are evened out; higher ones do not survive compression.
_HASHED = Frequencies(SIDE, 6, 24)
_HASH = OrientedHash(_HASHED, np.ones(len(_HASHED), np.float32))
# Whole numbers: the sums are exact in any order, in float32 along one axis and in float64 along both.
_DCT: Floats = np.rint(dct_matrix(SIDE)[: 24 + 1] * np.float32(64 / np.sqrt(2 / SIDE)))
# Their projections stay below 2^24.
_DCT_SCALE = 4096


def detail(thumbnails: Floats, sizes: Sequence[tuple[int, ...]]) -> NDArray[np.uint8]:
    """The packed details (images, 2048) of thumbnails of grey levels, float32 (images, 64, 64).

    `sizes` are heights and widths of the images in pixels. No image changes another one's detail.
    """
    # The cells of a small image are single pixels, which compression changes.
    down, across = (
        np.stack([_means(round(_SMOOTHED * SIDE / pixels, 2)) for pixels in sides])
        for sides in zip(*sizes, strict=True)
    )
    # All means are symmetric. A transposed matrix would take twice the time.
    smooth = down @ thumbnails @ across
    means = _means(_NEIGHBOURHOOD)
    texture = smooth - means @ smooth @ means
    even = texture / np.sqrt(means @ np.square(texture) @ means + _NOISE**2)
    cells = (np.rint(even * _STEPS).clip(-_LARGEST, _LARGEST) + _LARGEST).astype(np.uint8).reshape(len(sizes), -1, 2)
    return cells[..., 0] << 4 | cells[..., 1]


def detail_bands(details: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Look-up hashes (images, 20) of packed details (images, 2048)."""
    spectra = (_DCT @ unpack(details)).astype(np.float64) @ _DCT.T
    return _HASH(np.rint(spectra[:, _HASHED.rows, _HASHED.columns] / _DCT_SCALE).astype(np.float32))


def agreements(ones: NDArray[np.uint8], others: NDArray[np.uint8]) -> Floats:
    """Agreements (pairs,), -1 to 1, of packed details, row by row of two arrays (pairs, 2048).

    It is the mean correlation of the quarter of the regions that agree least, where the whole pictures agree best among
    eight orientations and three zooms. It is -1 if fewer than 8 regions have texture in both pictures, if the whole
    pictures hardly agree, or if one of them agrees with itself elsewhere as well: tiles, boards and joints look alike.
    """
    scores, poses = _best_poses(ones, others)
    found = np.full(len(ones), -1, np.float32)
    # Most candidates end here, after a tenth of the work.
    alike = np.flatnonzero(scores >= _LEAST_SCORE)
    for pose in np.unique(poses[alike]):
        rows = alike[poses[alike] == pose]
        found[rows] = agreement(unpack(ones[rows]), _posed(unpack(others[rows]), pose))
    alike = np.flatnonzero(found > 0)
    for details in (ones, others):
        halves = unpack_halves(details[alike])
        repeated = np.flatnonzero(may_repeat(halves, _LEAST_REPETITION))
        pattern = repetition(halves[repeated]) >= _MOST_REPETITION * scores[alike[repeated]]
        found[alike[repeated[pattern]]] = -1
    return found


def _best_poses(fixed: NDArray[np.uint8], turned: NDArray[np.uint8]) -> tuple[Floats, NDArray[np.intp]]:
    """Correlations (pairs,) of the pictures at half the detail in their best pose, and its number."""
    halves, others = unpack_halves(fixed), unpack_halves(turned)
    folded = _fold(halves)
    sums = []
    for zoom in _HALF_ZOOMS:
        zoomed = zoom @ others @ zoom.T
        norms = np.sqrt(np.square(halves).sum(axis=(1, 2)) * np.square(zoomed).sum(axis=(1, 2)))
        for image in (zoomed, zoomed.transpose(0, 2, 1)):
            products = np.einsum("npi,npi->np", folded, _fold(image))
            sums.append(products @ _MIRRORINGS / (4 * np.maximum(norms, 1e-9)[:, None]))
    scores = np.concatenate(sums, axis=1)
    return scores.max(axis=1), scores.argmax(axis=1)


def orient(one: NDArray[np.uint8], other: NDArray[np.uint8], image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turns and mirrors an image (height, width) as its packed detail `other` (1, 2048) agrees best with `one`."""
    _, poses = _best_poses(one, other)
    turned: NDArray[np.uint8] = _turned(image[None], int(poses[0]))[0]
    return turned


def _posed(images: Floats, pose: int) -> Floats:
    zoom = _FULL_ZOOMS[pose // 8]
    return _turned(zoom @ images @ zoom.T if pose // 8 else images, pose)


def _turned(images: NDArray[Any], pose: int) -> NDArray[Any]:
    _, swapped, down, across = np.unravel_index(pose, (len(_ZOOMS), 2, 2, 2))
    turned = images.transpose(0, 2, 1) if swapped else images
    return turned[:, :: -1 if down else 1, :: -1 if across else 1]


def halve(images: Floats) -> Floats:
    """Cells (..., 32, 32) at half the detail, of (..., 64, 64)."""
    # NumPy's mean over two axes takes five times as long.
    rows = images[..., ::2, :] + images[..., 1::2, :]
    halves: Floats = (rows[..., ::2] + rows[..., 1::2]) * np.float32(0.25)
    return halves


def _fold(images: Floats) -> Floats:
    """The four parts (images, 4, cells) of pictures that mirroring leaves as they are, but for the sign."""
    middle = images.shape[1] // 2
    top, bottom = images[:, :middle], images[:, : middle - 1 : -1]
    parts = []
    for half in (top + bottom, top - bottom):
        left, right = half[:, :, :middle], half[:, :, : middle - 1 : -1]
        parts += [left + right, left - right]
    return np.stack(parts, axis=1).reshape(len(images), 4, middle * middle)


def agreement(ones: Floats, others: Floats) -> Floats:
    """The mean correlation (pairs,) of the quarter of the regions that agree least; see `agreements`.

    Both are unpacked details in one pose, row by row.
    """
    energies, other_energies = (_region_means(np.square(images)) for images in (ones, others))
    correlations = _region_means(ones * others) / np.sqrt(np.maximum(energies * other_energies, 1e-9))
    textured = np.minimum(energies, other_energies) >= _LEAST_ENERGY
    # The blank ones sort behind the others.
    ordered = np.sort(np.where(textured, correlations, np.inf), axis=1)
    counts = textured.sum(axis=1)
    decisive = np.arange(ordered.shape[1]) < np.ceil(counts * _DECISIVE_SHARE)[:, None]
    means = np.where(decisive, ordered, 0).sum(axis=1) / np.maximum(decisive.sum(axis=1), 1)
    return np.where(counts >= _FEWEST_REGIONS, means, -1).astype(np.float32)


def _region_means(images: Floats) -> Floats:
    """Means (images, 64) over the regions."""
    cells = SIDE // _REGIONS
    # NumPy's mean over two axes takes five times as long.
    rows = images.reshape(-1, _REGIONS, cells, SIDE).sum(axis=2)
    means: Floats = rows.reshape(-1, _REGIONS * _REGIONS, cells).sum(axis=2) / np.float32(cells**2)
    return means


def unpack(details: NDArray[np.uint8]) -> Floats:
    """The cells, whole numbers from -7 to 7, float32 (images, 64, 64)."""
    cells = np.stack([details >> 4, details & 15], axis=-1).astype(np.float32) - _LARGEST
    return cells.reshape(-1, SIDE, SIDE)


def unpack_halves(details: NDArray[np.uint8]) -> Floats:
    """`halve` of `unpack`, in a quarter of the time."""
    # A byte holds two neighbours of a row.
    pairs = ((details >> 4) + (details & 15)).reshape(-1, SIDE // 2, 2, SIDE // 2)
    halves: Floats = ((pairs[:, :, 0] + pairs[:, :, 1]).astype(np.float32) - 4 * _LARGEST) * np.float32(0.25)
    return halves


def _zoom(side: int, factor: float) -> Floats:
    """Linear interpolation along one axis around the middle, float32 (side, side); borders are repeated."""
    middle = (side - 1) / 2
    places = np.clip(middle + (np.arange(side) - middle) * factor, 0, side - 1)[:, None]
    weights: Floats = np.maximum(0, 1 - np.abs(places - np.arange(side))).astype(np.float32)
    return weights


@functools.lru_cache(maxsize=64)
def _means(deviation: float) -> Floats:
    """Means weighted by a Gaussian along one axis, float32 (64, 64); borders are reflected."""
    reach = np.arange(-SIDE // 2, SIDE // 2 + 1)
    weights = np.exp(-(reach**2) / max(2 * deviation**2, 1e-6))
    means = np.zeros((SIDE, SIDE))
    for row in range(SIDE):
        places = (row + reach) % (2 * SIDE)
        np.add.at(means[row], np.minimum(places, 2 * SIDE - 1 - places), weights / weights.sum())
    # Denormal numbers change no mean, and make the products nine times as slow.
    return np.where(means < np.finfo(np.float32).tiny, 0, means).astype(np.float32)


_FULL_ZOOMS, _HALF_ZOOMS = ([_zoom(side, factor) for factor in _ZOOMS] for side in (SIDE, SIDE // 2))
