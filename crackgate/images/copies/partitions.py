"""Tables of hundreds of images in one Beam element, so that NumPy does the work.

Digests spread look-ups over partitions. Both images per partition and messages stay near the square root of all images.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from crackgate.images.copies.descriptor import (
    DESCRIPTOR_BYTES,
    PICTURE_BYTES,
    Descriptors,
    is_blank,
    picture_of,
    stack,
)

# 16 bytes each. NumPy cuts trailing zeros off single ones: see `to_bytes`.
Digests = NDArray[np.bytes_]
Indices = NDArray[np.intp]
Kind = TypeVar("Kind")

# Rows of a message: images with their names, and digests alone. Flink sorts in buffers of some megabytes, and a message
# must fit into one.
IMAGES_AT_ONCE, DIGESTS_AT_ONCE = 256, 8192

DIGEST = np.dtype(f"S{PICTURE_BYTES}")
_PAIR = np.dtype(f"S{2 * PICTURE_BYTES}")


@dataclass(frozen=True)
class DigestTable:
    """Images, one a row, with `digests` (images,); subclasses add columns, arrays or lists."""

    digests: Digests

    def take(self, rows: Indices) -> Self:
        """The images of these rows."""
        columns: list[Any] = [
            column[rows] if isinstance(column, np.ndarray) else [column[row] for row in rows.tolist()]
            for column in vars(self).values()
        ]
        return type(self)(*columns)

    def spread(self, count: int) -> Iterator[tuple[int, Self]]:
        """The images of each of `count` partitions that is not empty, with its number, in one message or more."""
        for number, rows in partition(self.digests, count):
            for part in messages(rows, IMAGES_AT_ONCE):
                yield number, self.take(part)

    @classmethod
    def merge(cls, parts: Iterable[Self]) -> Self:
        """All images of one or more tables."""
        columns: list[Any] = [
            np.concatenate(column) if isinstance(column[0], np.ndarray) else list(chain.from_iterable(column))
            for column in zip(*(vars(part).values() for part in parts), strict=True)
        ]
        return cls(*columns)


@dataclass(frozen=True)
class PictureTable(DigestTable):
    """Images with descriptors; the digests name their pictures (see `descriptor.picture_of`).

    `descriptors` are uint8 (images, 2520), zeros for blank images. `names` are unique.
    """

    descriptors: Descriptors
    names: list[bytes]


def pack(descriptors: list[bytes], names: list[bytes]) -> PictureTable:
    """Makes a table from outputs of `describe` and names."""
    textured = [bytes(DESCRIPTOR_BYTES) if is_blank(descriptor) else descriptor for descriptor in descriptors]
    return PictureTable(from_bytes(map(picture_of, descriptors)), stack(textured), names)


def count_partitions(images: int) -> int:
    """The number of partitions; `images` may be an estimate, since results do not depend on it."""
    return max(1, round(math.sqrt(images) / 16))


def messages(rows: Indices, most: int) -> Iterator[Indices]:
    """The rows, in parts of at most `most`."""
    return (rows[start : start + most] for start in range(0, len(rows), most))


def told_apart(values: Iterable[Any], kind: type[Kind]) -> tuple[list[Kind], list[Any]]:
    """The values of one type, and the others: two collections joined so need no tags, which are steps of Beam."""
    found: list[Kind] = []
    others: list[Any] = []
    for value in values:
        (found if isinstance(value, kind) else others).append(value)
    return found, others


def partition(digests: Digests, count: int) -> Iterator[tuple[int, Indices]]:
    """The rows of each partition that is not empty."""
    leading = np.ascontiguousarray(digests).view(np.uint8).reshape(-1, PICTURE_BYTES)[:, :4].copy().view(">u4")[:, 0]
    return rows_by((leading.astype(np.uint64) * np.uint64(count)) >> np.uint64(32))


def rows_by(values: NDArray[np.uint64]) -> Iterator[tuple[int, Indices]]:
    """Every distinct value, with its rows."""
    for rows in equal_rows(values):
        yield int(values[rows[0]]), rows


def equal_rows(values: NDArray[Any]) -> Iterator[Indices]:
    """The rows of each value, in order."""
    order = np.argsort(values, kind="stable")
    for rows in np.split(order, np.flatnonzero(values[order][1:] != values[order][:-1]) + 1):
        if len(rows):
            yield rows


def distinct_pairs(first: Digests, second: Digests) -> tuple[Digests, Digests]:
    """Every pair once, sorted."""
    pairs = np.stack((first, second), axis=1).view(_PAIR)
    both = np.unique(pairs).view(DIGEST).reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


def find_rows(digests: Digests, wanted: Digests) -> Indices:
    """Rows of sorted `digests` that hold `wanted`; raises ValueError for a missing one."""
    rows = np.searchsorted(digests, wanted)
    unknown = wanted if not len(digests) else wanted[digests[np.minimum(rows, len(digests) - 1)] != wanted]
    if len(unknown):
        raise ValueError(
            f"no image has the picture {to_bytes(unknown)[0].hex()}, which is listed as a copy: report this"
        )
    return rows


def from_bytes(digests: Iterable[bytes]) -> Digests:
    """An array of single digests."""
    return np.frombuffer(b"".join(digests), DIGEST)


def to_bytes(digests: Digests) -> list[bytes]:
    """Every digest, whole."""
    joined = digests.tobytes()
    return [joined[start : start + PICTURE_BYTES] for start in range(0, len(joined), PICTURE_BYTES)]
