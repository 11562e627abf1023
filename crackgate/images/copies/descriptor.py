"""Descriptors of photographs that hardly change when a file is re-encoded, resized, re-toned, mirrored or turned.

A descriptor is the frequency content (DCT-II) of a small thumbnail without its light. Mirroring only changes signs of
coefficients, and turning also swaps their two axes, so that comparing all eight orientations is cheap.

Copies are looked up by signs of random projections (Charikar, "Similarity Estimation Techniques from Rounding
Algorithms", STOC 2002), in the bands of locality-sensitive hashing (Indyk & Motwani, STOC 1998).
"""

import functools
import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Two descriptors at least this similar are copies. In 10,000 real photographs of concrete every pair of copies is at
# 0.97 or above, and every other pair at 0.82 or below: the same crack a few pixels further, or one very much like it.
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
    """Describes one image by its grey levels, uint8 of any shape (height, width).

    Returns:
        The DCT coefficients of the image's thumbnail as int8, lowest frequency first. For a blank image, which has no
        texture, the 32 bytes of the SHA-256 of its pixels.

    Raises:
        ValueError: `grey` is not a plane of uint8, or has no pixels.
    """
    if grey.ndim != 2 or grey.dtype != np.uint8 or not grey.size:
        raise ValueError(f"grey is {grey.dtype} of shape {grey.shape}; it must be uint8 of shape (height, width)")
    texture = _without_light(_thumbnail(grey))
    if texture.std() < _LEAST_TEXTURE:
        return hashlib.sha256(b"%dx%d:" % grey.shape + grey.tobytes()).digest()
    # Concrete varies most in its lowest frequencies, and there all walls are alike: weighing by frequency evens it out.
    coefficients = (_DCT @ texture @ _DCT.T)[_ROWS, _COLUMNS] * _FREQUENCIES
    return np.rint(coefficients * (127 / np.abs(coefficients).max())).astype(np.int8).tobytes()


def similarity(one: bytes, other: bytes) -> float:
    """The correlation of two described images' thumbnails in the best of the eight orientations.

    Returns:
        -1 to 1, for copies at least `COPY_THRESHOLD`. A blank image has 1 with its equal, and 0 with all others.
    """
    if is_blank(one) or is_blank(other):
        return float(one == other)
    return float(similarities(coefficients([one]), coefficients([other]))[0])


def share_a_band(one: bytes, other: bytes) -> bool:
    """Whether `FindCopies` may compare two described images; it compares no blank ones."""
    if is_blank(one) or is_blank(other):
        return False
    hashes, others = bands(coefficients([one, other]))
    return bool((hashes == others).any())


def similarities(ones: Coefficients, others: Coefficients) -> Floats:
    """Similarities of many pairs of images with texture: row by row of two arrays of `coefficients`."""
    ones, others = ones.astype(np.float32), others.astype(np.float32)
    # Sums of whole numbers below 2^24: exact, in any order.
    straight = (ones * others) @ _MIRRORINGS.T
    swapped = (ones[:, _TRANSPOSED] * others) @ _MIRRORINGS.T
    best = np.maximum(straight.max(axis=1), swapped.max(axis=1))
    norms: Floats = np.sqrt(np.square(ones).sum(axis=1)) * np.sqrt(np.square(others).sum(axis=1))
    return best / norms


def coefficients(descriptors: Sequence[bytes]) -> Coefficients:
    """The descriptors of images with texture as rows of int8, of shape (images, 472)."""
    return np.frombuffer(b"".join(descriptors), np.int8).reshape(len(descriptors), DESCRIPTOR_BYTES)


def bands(images: Coefficients) -> NDArray[np.uint32]:
    """Hashes to look copies up by: two images that share one are worth comparing.

    A band's hash is the smallest one over the eight orientations. The descriptor alone decides it, since the sums are
    whole numbers that float32 holds exactly.

    Returns:
        A hash for each of the 20 bands, of shape (images, 20), for `coefficients` of images with texture.
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
    """Whether it describes an image without texture."""
    return len(descriptor) == hashlib.sha256().digest_size


def _thumbnail(grey: NDArray[np.uint8]) -> Floats:
    """Means over the cells of a grid, counting each pixel by the share of it inside: exact under mirroring."""
    height, width = grey.shape
    down, across = _shares(height), _shares(width)
    thumbnail = np.zeros((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), np.float32)
    # In strips: all of a large image as float32 takes four times its memory.
    for top in range(0, height, _ROWS_AT_ONCE):
        strip = slice(top, top + _ROWS_AT_ONCE)
        thumbnail += down[:, strip] @ (grey[strip].astype(np.float32) @ across.T)
    return thumbnail


@functools.lru_cache(maxsize=64)
def _shares(pixels: int) -> Floats:
    """The weight of each pixel (columns) in the mean of each cell (rows) along one side of the image."""
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
    """Whole-numbered weights of shape (hashed coefficients, bands x bits): random signs, frequencies weighed alike."""
    hashed = _FREQUENCIES[_FREQUENCIES <= _HIGHEST_HASHED_FREQUENCY]
    signs = np.random.default_rng(0).choice((-1, 1), (len(hashed), _BANDS * _BITS))
    return (signs * np.rint(1000 / hashed[:, None])).astype(np.float32)


def _parities() -> list[NDArray[np.intp]]:
    """The hashed coefficients by the parity of their row and column: even and even, even and odd, ..."""
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
# The size for a picture with texture.
DESCRIPTOR_BYTES = len(_ROWS)
