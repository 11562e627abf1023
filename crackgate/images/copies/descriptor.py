"""Descriptors of photographs that survive re-encoding, resizing, re-toning, mirroring and turning.

A descriptor is an outline and a detail. Both look copies up, by bands of locality-sensitive hashing (Indyk & Motwani,
STOC 1998) of random projections (Charikar, "Similarity Estimation Techniques from Rounding Algorithms", STOC 2002).
The detail alone decides whether two images are copies.
"""

import functools
import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from crackgate.images.copies import detail as details
from crackgate.images.copies import outline as outlines
from crackgate.images.copies.frequencies import BANDS, Floats

# Two descriptors at least this similar are copies (decision 0028).
COPY_THRESHOLD = 0.35

# An outline and a packed detail in each row (images, 2520).
Descriptors = NDArray[np.uint8]

# Below this deviation, in grey levels of the outline's thumbnail, rounding and compression outweigh the surface.
_LEAST_TEXTURE = 0.5
_ROWS_AT_ONCE = 256
# More at once leave the processor's cache, and take twice the time.
_DESCRIBED_AT_ONCE = 16
# Bounds the memory of the sums, 80 kB an image. More leave the processor's cache.
_HASHED_AT_ONCE = 64
# The first bytes of a SHA-256, which no two pictures share.
PICTURE_BYTES = 16
# The size of a textured image's descriptor.
DESCRIPTOR_BYTES = outlines.BYTES + details.BYTES


def describe(grey: NDArray[np.uint8]) -> bytes:
    """Describes an image of grey levels, uint8 (height, width), by 2520 bytes.

    A blank image, without texture, gives the 32 bytes of the SHA-256 of its pixels. Raises ValueError for any other
    dtype or shape, and for no pixels.
    """
    (descriptor,) = describe_all([grey])
    return descriptor


def describe_all(images: Sequence[NDArray[np.uint8]]) -> list[bytes]:
    """`describe` of each image; many take less time than one by one, and none changes another one's."""
    starts = range(0, len(images), _DESCRIBED_AT_ONCE)
    return [each for start in starts for each in _describe_few(images[start : start + _DESCRIBED_AT_ONCE])]


def _describe_few(images: Sequence[NDArray[np.uint8]]) -> list[bytes]:
    for grey in images:
        if grey.ndim != 2 or grey.dtype != np.uint8 or not grey.size:
            raise ValueError(f"grey is {grey.dtype} of shape {grey.shape}; it must be uint8 of shape (height, width)")
    cells = np.stack([thumbnail(grey, details.SIDE, details.SIDE) for grey in images])
    textures = outlines.without_light(details.halve(cells))
    described = [
        hashlib.sha256(b"%dx%d:" % grey.shape + grey.tobytes()).digest()
        if _deviation(texture) < _LEAST_TEXTURE
        else b""
        for grey, texture in zip(images, textures, strict=True)
    ]
    textured = [at for at, blank in enumerate(described) if not blank]
    if textured:
        outlined = outlines.outline(textures[textured])
        detailed = details.detail(cells[textured], [images[at].shape for at in textured])
        for at, descriptor in zip(textured, np.hstack([outlined.view(np.uint8), detailed]), strict=True):
            described[at] = descriptor.tobytes()
    return described


def similarity(one: bytes, other: bytes) -> float:
    """How far two images' details agree, -1 to 1 (see `detail.agreements`); copies reach `COPY_THRESHOLD`.

    A blank image has 1 with its equal, and 0 with all others.
    """
    if is_blank(one) or is_blank(other):
        return float(one == other)
    return float(similarities(stack([one]), stack([other]))[0])


def share_a_band(one: bytes, other: bytes) -> bool:
    """Whether `search.COPIES` may compare two images; blank ones are never compared."""
    if is_blank(one) or is_blank(other):
        return False
    hashes, others = bands(stack([one, other]))
    return bool((hashes == others).any())


def similarities(ones: Descriptors, others: Descriptors) -> Floats:
    """Similarities of pairs of textured images, row by row of two arrays of `stack`."""
    return details.agreements(ones[:, outlines.BYTES :], others[:, outlines.BYTES :])


def stack(descriptors: Sequence[bytes]) -> Descriptors:
    """The descriptors of textured images as rows, uint8 (images, 2520)."""
    return np.frombuffer(b"".join(descriptors), np.uint8).reshape(len(descriptors), DESCRIPTOR_BYTES)


def bands(images: Descriptors) -> NDArray[np.uint32]:
    """Look-up hashes (images, 40) of textured images; two images that share one are worth comparing.

    Each is the same for all eight orientations.
    """
    hashes = np.empty((len(images), 2 * BANDS), np.uint32)
    for start in range(0, len(images), _HASHED_AT_ONCE):
        rows = images[start : start + _HASHED_AT_ONCE]
        hashes[start : start + _HASHED_AT_ONCE] = np.hstack(
            [
                outlines.outline_bands(rows[:, : outlines.BYTES].view(np.int8)),
                details.detail_bands(rows[:, outlines.BYTES :]),
            ]
        )
    return hashes


def orient(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turns and mirrors the second of two images of grey levels so that it agrees best with the first."""
    ones, others = (
        details.detail(thumbnail(grey, details.SIDE, details.SIDE)[None], [grey.shape]) for grey in (one, other)
    )
    return details.orient(ones, others, other)


def _deviation(texture: Floats) -> float:
    """The standard deviation of values whose mean is 0."""
    return math.sqrt(np.vdot(texture, texture) / texture.size)


def picture_of(descriptor: bytes) -> bytes:
    """The name of the picture: 16 bytes of the SHA-256 of its descriptor."""
    return hashlib.sha256(descriptor).digest()[:PICTURE_BYTES]


def is_blank(descriptor: bytes) -> bool:
    """Whether the descriptor is of an image without texture."""
    return len(descriptor) == hashlib.sha256().digest_size


def thumbnail(grey: NDArray[np.uint8], rows: int, columns: int) -> Floats:
    """Area means, float32 (rows, columns), over the cells of a grid, exact under mirroring."""
    height, width = grey.shape
    cells = np.zeros((rows, width), np.float32)
    # Strips save memory: a whole image as float32 takes four times its own.
    for top, down in zip(range(0, height, _ROWS_AT_ONCE), _strips(height, rows), strict=True):
        cells += down @ grey[top : top + _ROWS_AT_ONCE].astype(np.float32)
    means: Floats = cells @ _across(width, columns)
    return means


@functools.lru_cache(maxsize=64)
def _strips(pixels: int, cells: int) -> list[csr_array]:
    """The columns of `_shares`, `_ROWS_AT_ONCE` at once; most are 0."""
    shares = _shares(pixels, cells)
    return [csr_array(shares[:, start : start + _ROWS_AT_ONCE]) for start in range(0, pixels, _ROWS_AT_ONCE)]


@functools.lru_cache(maxsize=64)
def _across(pixels: int, cells: int) -> Floats:
    """`_shares` with pixels in rows, row by row in memory: the product takes a third less time."""
    return np.ascontiguousarray(_shares(pixels, cells).T)


def _shares(pixels: int, cells: int) -> Floats:
    """The weight of each pixel (columns) in each cell's mean (rows) along one side."""
    edges = np.linspace(0, pixels, cells + 1)[:, None]
    starts = np.arange(pixels)
    covered = np.minimum(edges[1:], starts + 1) - np.maximum(edges[:-1], starts)
    return (np.maximum(covered, 0) * cells / pixels).astype(np.float32)
