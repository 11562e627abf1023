"""Labelled photographs: which of them calibrate and which judge, and their pixels as serving decodes them."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from crackgate.contracts import stored_example
from crackgate.data_set.data_set import ListedImage
from crackgate.storage.location import Location, below

if TYPE_CHECKING:
    from crackgate.contracts.image_limits import ImageLimits

# One of so many of each class calibrates, and in all so many at most: more no longer change the ranges.
_CALIBRATE_ONE_OF = 5
_MOST_CALIBRATING = 200
# Images that are decoded and scored together: bounds the memory.
_CHUNK = 32


@dataclass(frozen=True)
class LabelledFile:
    """A file, by its path below the data folder as it was found, and the position of its class."""

    path: str
    label: int


@dataclass(frozen=True)
class Skipped:
    """A file that is used for nothing: its path below the data folder, bytes that are no UTF-8 as "\\xff"."""

    path: str
    reason: str


@dataclass(frozen=True)
class Shares:
    """Photographs that calibrate, those that judge, and those that do neither; none of them does both."""

    calibrating: list[LabelledFile]
    judging: list[LabelledFile]
    skipped: list[Skipped]


@dataclass(frozen=True)
class Chunk:
    """Some photographs, and files that could not be used.

    Attributes:
        pixels: float32 (images, size, size, 3), RGB, 0 to 255.
        labels: int64 (images,).
        seen: How many of them the model was trained on; None where it does not say.
    """

    pixels: np.ndarray
    labels: np.ndarray
    seen: int | None
    skipped: list[Skipped]


def share_out(images: Sequence[ListedImage], classes: Sequence[str]) -> Shares:
    """Shares out the images of a data folder, always alike: by their order alone.

    In each class, every fifth file or fewer calibrate, evenly spread, and all others judge.
    """
    shares = Shares([], [], [])
    by_class: list[list[LabelledFile]] = [[] for _ in classes]
    for file in images:
        if file.class_name in classes:
            label = classes.index(file.class_name)
            by_class[label].append(LabelledFile(file.path, label))
        else:
            shares.skipped.append(Skipped(_printable(file.path), "in no folder of a class"))
    for files in by_class:
        count = max(1, min(len(files) // _CALIBRATE_ONE_OF, _MOST_CALIBRATING // len(classes)))
        # Each in the middle of its part.
        chosen = {int((number + 0.5) * len(files) / count) for number in range(count)}
        for position, labelled in enumerate(files):
            (shares.calibrating if position in chosen else shares.judging).append(labelled)
    return shares


def read_photographs(
    folder: Location,
    files: Sequence[LabelledFile],
    loaded: Any,
    limits: "ImageLimits",
    trained_on: frozenset[int] | None,
) -> Iterator[Chunk]:
    """Reads files, a few dozens at a time, as batch scoring does: as ingest would have stored them.

    Args:
        loaded: The SavedModel, whose `decode` gives the pixels.
        limits: Bounds of files and images.
        trained_on: Digests of the training images; None where the model does not say.
    """
    import tensorflow as tf

    for first in range(0, len(files), _CHUNK):
        chunk = files[first : first + _CHUNK]
        found = [_read(below(folder, file.path), limits) for file in chunk]
        pixels, errors = loaded.decode(tf.constant([encoded for encoded, _, _ in found]))
        # The model refuses images out of its scale.
        faults = [fault or error.decode() for (_, _, fault), error in zip(found, errors.numpy(), strict=True)]
        sound = np.array([not fault for fault in faults])
        yield Chunk(
            pixels=pixels.numpy()[sound],
            labels=np.array([file.label for file in chunk], np.int64)[sound],
            seen=None if trained_on is None else sum(digest in trained_on for _, digest, _ in found),
            skipped=[Skipped(_printable(file.path), fault) for file, fault in zip(chunk, faults, strict=True) if fault],
        )


def _read(file: Location, limits: "ImageLimits") -> tuple[bytes, int | None, str]:
    """The bytes to decode, the digest of the picture's descriptor, and why there are neither, or ""."""
    from crackgate.images.copies.descriptor import describe
    from crackgate.images.image_file import canonical_image
    from crackgate.images.image_folder import read_source
    from crackgate.images.rejection import RejectedImageError

    try:
        image = canonical_image(read_source(file, limits.max_bytes), limits)
    except RejectedImageError as rejection:
        return b"", None, str(rejection)
    except OSError as error:
        return b"", None, f"unreadable: {error.strerror}"
    return image.encoded, stored_example.digest(describe(image.luma)), ""


def _printable(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")
