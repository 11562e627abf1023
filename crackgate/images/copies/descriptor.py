"""Descriptors of photographs that survive re-encoding, resizing, re-toning, mirroring and turning.

A descriptor is the DCT-II of a small thumbnail without its light. Mirroring changes signs of coefficients, turning
swaps their axes. Bands of locality-sensitive hashing (Indyk & Motwani, STOC 1998) look copies up. They hash signs of
random projections (Charikar, "Similarity Estimation Techniques from Rounding Algorithms", STOC 2002).
"""

import functools
import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Two descriptors at least this similar are copies. In 10,000 photographs of concrete, copies reach 0.97 or more,
# and all other pairs 0.82 or less.
COPY_THRESHOLD = 0.87

Floats = NDArray[np.float32]
Coefficients = NDArray[np.int8]

_THUMBNAIL_SIDE = 32
# Finer detail of the thumbnail does not survive a JPEG of quality 50.
_HIGHEST_FREQUENCY = 24
# Below this deviation, in grey levels of the thumbnail, rounding and compression outweigh the surface.
_LEAST_TEXTURE = 0.5

_BANDS = 20
_BITS = 32
# The hashes leave out the higher frequencies, which copies keep less exactly.
_HIGHEST_HASHED_FREQUENCY = 12
_ROWS_AT_ONCE = 256
# Bounds the memory of the sums: 20 kB an image.
_HASHED_AT_ONCE = 256
# The first bytes of a SHA-256, which no two pictures share.
PICTURE_BYTES = 16


def describe(grey: NDArray[np.uint8]) -> bytes:
    """Describes an image of grey levels, uint8 (height, width), by DCT coefficients, int8, lowest frequency first.

    A blank image, without texture, gives the 32 bytes of the SHA-256 of its pixels. Raises ValueError for any other
    dtype or shape, and for no pixels.
    """
    if grey.ndim != 2 or grey.dtype != np.uint8 or not grey.size:
        raise ValueError(f"grey is {grey.dtype} of shape {grey.shape}; it must be uint8 of shape (height, width)")
    texture = _without_light(_thumbnail(grey))
    if texture.std() < _LEAST_TEXTURE:
        return hashlib.sha256(b"%dx%d:" % grey.shape + grey.tobytes()).digest()
    # All walls are alike in the lowest, strongest frequencies: weighing by frequency evens this out.
    coefficients = (_DCT @ texture @ _DCT.T)[_ROWS, _COLUMNS] * _FREQUENCIES
    return np.rint(coefficients * (127 / np.abs(coefficients).max())).astype(np.int8).tobytes()


def similarity(one: bytes, other: bytes) -> float:
    """Correlation of two images' thumbnails in the best orientation, -1 to 1; copies reach `COPY_THRESHOLD`.

    A blank image has 1 with its equal, and 0 with all others.
    """
    if is_blank(one) or is_blank(other):
        return float(one == other)
    return float(similarities(coefficients([one]), coefficients([other]))[0])


def share_a_band(one: bytes, other: bytes) -> bool:
    """Whether `FindCopies` may compare two images; blank ones are never compared."""
    if is_blank(one) or is_blank(other):
        return False
    hashes, others = bands(coefficients([one, other]))
    return bool((hashes == others).any())


def similarities(ones: Coefficients, others: Coefficients) -> Floats:
    """Similarities of pairs of textured images, row by row of two arrays of `coefficients`."""
    ones, others = ones.astype(np.float32), others.astype(np.float32)
    # Sums of whole numbers below 2^24: exact, in any order.
    straight = (ones * others) @ _MIRRORINGS.T
    swapped = (ones[:, _TRANSPOSED] * others) @ _MIRRORINGS.T
    best = np.maximum(straight.max(axis=1), swapped.max(axis=1))
    norms: Floats = np.sqrt(np.square(ones).sum(axis=1)) * np.sqrt(np.square(others).sum(axis=1))
    return best / norms


def coefficients(descriptors: Sequence[bytes]) -> Coefficients:
    """The descriptors of textured images as rows, int8 (images, 472)."""
    return np.frombuffer(b"".join(descriptors), np.int8).reshape(len(descriptors), DESCRIPTOR_BYTES)


def bands(images: Coefficients) -> NDArray[np.uint32]:
    """Look-up hashes (images, 20) of textured images; two images that share one are worth comparing.

    Each is the smallest over the eight orientations. Whole-number sums make it exact in float32.
    """
    hashes = np.empty((len(images), _BANDS), np.uint32)
    for start in range(0, len(images), _HASHED_AT_ONCE):
        rows = slice(start, start + _HASHED_AT_ONCE)
        hashes[rows] = _hash(images[rows].astype(np.float32))
    return hashes


def picture_of(descriptor: bytes) -> bytes:
    """The name of the picture: 16 bytes of the SHA-256 of its descriptor."""
    return hashlib.sha256(descriptor).digest()[:PICTURE_BYTES]


def is_blank(descriptor: bytes) -> bool:
    """Whether the descriptor is of an image without texture."""
    return len(descriptor) == hashlib.sha256().digest_size


def _thumbnail(grey: NDArray[np.uint8]) -> Floats:
    """Area means over the cells of a grid, exact under mirroring."""
    height, width = grey.shape
    down, across = _shares(height), _shares(width)
    thumbnail = np.zeros((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), np.float32)
    # Strips save memory: a whole image as float32 takes four times its own.
    for top in range(0, height, _ROWS_AT_ONCE):
        strip = slice(top, top + _ROWS_AT_ONCE)
        thumbnail += down[:, strip] @ (grey[strip].astype(np.float32) @ across.T)
    return thumbnail


@functools.lru_cache(maxsize=64)
def _shares(pixels: int) -> Floats:
    """The weight of each pixel (columns) in each cell's mean (rows) along one side."""
    edges = np.linspace(0, pixels, _THUMBNAIL_SIDE + 1)[:, None]
    starts = np.arange(pixels)
    covered = np.minimum(edges[1:], starts + 1) - np.maximum(edges[:-1], starts)
    return (np.maximum(covered, 0) * _THUMBNAIL_SIDE / pixels).astype(np.float32)


def _without_light(thumbnail: Floats) -> Floats:
    """Subtracts the best quadratic surface: tone, a gradient of light and vignetting."""
    flat = thumbnail.reshape(-1)
    light: Floats = flat - _LIGHT @ (_LIGHT.T @ flat)
    return light.reshape(thumbnail.shape)


def _hash(images: Floats) -> NDArray[np.uint32]:
    swapped = images[:, _TRANSPOSED]
    smallest = None
    for turned in (images, swapped):
        # Coefficients that mirroring treats alike are summed up once for all four mirrorings.
        even, down, across, both = (turned[:, places] @ _PROJECTIONS[places] for places in _PARITIES)
        for sums in (
            even + down + across + both,
            even + down - across - both,
            even - down + across - both,
            even - down - across + both,
        ):
            bits = np.packbits((sums > 0).reshape(len(images), _BANDS, _BITS), axis=-1)
            hashes = bits.view(">u4")[..., 0].astype(np.uint32)
            smallest = hashes if smallest is None else np.minimum(smallest, hashes)
    assert smallest is not None
    return smallest


def _light_basis() -> Floats:
    """Orthonormal columns that span all quadratic surfaces over the thumbnail."""
    ticks = np.linspace(-1, 1, _THUMBNAIL_SIDE)
    y, x = (plane.ravel() for plane in np.meshgrid(ticks, ticks, indexing="ij"))
    return np.linalg.qr(np.stack([x**0, x, y, x * x, x * y, y * y], axis=1))[0].astype(np.float32)


def _dct_matrix() -> Floats:
    """The orthonormal DCT-II of one axis."""
    places = np.arange(_THUMBNAIL_SIDE)
    waves = np.cos(np.pi * (places + 0.5) * places[:, None] / _THUMBNAIL_SIDE) * np.sqrt(2 / _THUMBNAIL_SIDE)
    waves[0] /= np.sqrt(2)
    return waves.astype(np.float32)


def _kept_frequencies() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of the kept coefficients: a quarter disc without its tip, lowest first."""
    rows, columns = np.indices((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE)).reshape(2, -1)
    squares = rows**2 + columns**2
    order = np.argsort(squares, kind="stable")
    kept = order[(squares[order] > 0) & (squares[order] <= _HIGHEST_FREQUENCY**2)]
    return rows[kept], columns[kept]


def _projections() -> Floats:
    """Whole-number weights (hashed coefficients, bands x bits): random signs, frequencies weighed alike."""
    hashed = _FREQUENCIES[_FREQUENCIES <= _HIGHEST_HASHED_FREQUENCY]
    signs = np.random.default_rng(0).choice((-1, 1), (len(hashed), _BANDS * _BITS))
    return (signs * np.rint(1000 / hashed[:, None])).astype(np.float32)


def _parities() -> list[NDArray[np.intp]]:
    """The hashed coefficients by the parities of row and column: even and even, even and odd, ..."""
    rows, columns = _ROWS[: len(_PROJECTIONS)] % 2, _COLUMNS[: len(_PROJECTIONS)] % 2
    return [np.flatnonzero((rows == row) & (columns == column)) for row in (0, 1) for column in (0, 1)]


_LIGHT = _light_basis()
_DCT = _dct_matrix()
_ROWS, _COLUMNS = _kept_frequencies()
_FREQUENCIES = np.hypot(_ROWS, _COLUMNS).astype(np.float32)
# Mirroring left-right negates the coefficients of odd columns, mirroring top-bottom those of odd rows.
_MIRRORINGS = np.stack([(-1.0) ** (_ROWS * down + _COLUMNS * across) for down in (0, 1) for across in (0, 1)]).astype(
    np.float32
)
# Index of the coefficient with swapped axes.
_TRANSPOSED = np.lexsort((_ROWS, _COLUMNS))[np.argsort(np.lexsort((_COLUMNS, _ROWS)))]
_PROJECTIONS = _projections()
_PARITIES = _parities()
# The size of a textured image's descriptor.
DESCRIPTOR_BYTES = len(_ROWS)
