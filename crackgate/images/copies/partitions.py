"""Pictures in bulk: hundreds of images in one element of a Beam collection, so that the work is NumPy's and not Beam's.

Whatever is looked up by picture is spread over partitions by the digest: as many as keep both the images in one
partition and the number of messages between partitions near the square root of the number of images.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crackgate.images.copies.descriptor import (
    DESCRIPTOR_BYTES,
    PICTURE_BYTES,
    Coefficients,
    coefficients,
    is_blank,
    picture_of,
)

# 16 bytes each. NumPy cuts zeros off the end of single ones, so that only whole arrays keep them: see `to_bytes`.
Digests = NDArray[np.bytes_]
Indices = NDArray[np.intp]

_DIGEST = np.dtype(f"S{PICTURE_BYTES}")
_PAIR = np.dtype(f"S{2 * PICTURE_BYTES}")


@dataclass(frozen=True)
class Pictures:
    """Some images.

    Attributes:
        digests: Names of their pictures (see `descriptor.picture_of`), of shape (images,).
        coefficients: Their descriptors, int8 of shape (images, 472); zeros for blank images.
        names: What to call them, which no two images share.
    """

    digests: Digests
    coefficients: Coefficients
    names: list[bytes]

    def take(self, rows: Indices) -> "Pictures":
        """Those in some rows."""
        return Pictures(self.digests[rows], self.coefficients[rows], [self.names[row] for row in rows.tolist()])


def pack(descriptors: list[bytes], names: list[bytes]) -> Pictures:
    """From what `describe` says of images, and their names."""
    textured = [bytes(DESCRIPTOR_BYTES) if is_blank(descriptor) else descriptor for descriptor in descriptors]
    return Pictures(from_bytes(map(picture_of, descriptors)), coefficients(textured), names)


def merge(parts: Iterable[Pictures]) -> Pictures:
    """All images of some, one at least."""
    parts = list(parts)
    return Pictures(
        np.concatenate([part.digests for part in parts]),
        np.concatenate([part.coefficients for part in parts]),
        [name for part in parts for name in part.names],
    )


def count_partitions(images: int) -> int:
    """How many partitions suit a number of images, which may be an estimate: the results do not depend on it."""
    return max(1, round(math.sqrt(images) / 8))


def partition(digests: Digests, count: int) -> Iterator[tuple[int, Indices]]:
    """The rows of each partition that has any."""
    leading = np.ascontiguousarray(digests).view(np.uint8).reshape(-1, PICTURE_BYTES)[:, :4].copy().view(">u4")[:, 0]
    return rows_by((leading.astype(np.uint64) * np.uint64(count)) >> np.uint64(32))


def rows_by(values: NDArray[np.uint64]) -> Iterator[tuple[int, Indices]]:
    """Every value that occurs, with its rows."""
    order = np.argsort(values, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(values[order])) + 1):
        if len(rows):
            yield int(values[rows[0]]), rows


def distinct_pairs(first: Digests, second: Digests) -> tuple[Digests, Digests]:
    """Every pair once, sorted."""
    pairs = np.stack((first, second), axis=1).view(_PAIR)
    both = np.unique(pairs).view(_DIGEST).reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


def find_rows(digests: Digests, wanted: Digests) -> Indices:
    """Where each of `wanted` stands in sorted `digests`.

    Raises:
        ValueError: One is not there.
    """
    rows = np.searchsorted(digests, wanted)
    unknown = wanted if not len(digests) else wanted[digests[np.minimum(rows, len(digests) - 1)] != wanted]
    if len(unknown):
        raise ValueError(f"no image has the picture {to_bytes(unknown)[0].hex()}, which is said to be a copy")
    return rows


def from_bytes(digests: Iterable[bytes]) -> Digests:
    """An array of single digests."""
    return np.frombuffer(b"".join(digests), _DIGEST)


def to_bytes(digests: Digests) -> list[bytes]:
    """Every digest, whole."""
    joined = digests.tobytes()
    return [joined[start : start + PICTURE_BYTES] for start in range(0, len(joined), PICTURE_BYTES)]
