"""The manifest: the list of images in files, which the workers read a batch at a time.

The process that starts a job hands on where each batch stands, and not the images themselves.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter

import numpy as np
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from crackgate.data_set.data_set import ListedImage

# Images whose examples form one staging file; they are few, so that workers end at about the same time.
_IMAGES_IN_BATCH = 128
# One file of the manifest holds these, some 20 MB.
_BATCHES_IN_FILE = 1_000
# `astuple` copies every value, which takes ten times as long.
_values = attrgetter(*(field.name for field in fields(ListedImage)))


@dataclass(frozen=True)
class BatchPlace:
    """The place of a batch in the manifest: a file, the bytes before it, and its own."""

    number: int
    file: str
    offset: int
    size: int


def write_manifest(images: Sequence[ListedImage], folder: str) -> list[BatchPlace]:
    """Writes the images in the order of their paths' hashes: every batch has images of every class and size."""
    hashes = np.fromiter((_hash(image.path) for image in images), np.uint64, len(images))
    order = np.argsort(hashes, kind="stable")
    batches = [order[start : start + _IMAGES_IN_BATCH] for start in range(0, len(order), _IMAGES_IN_BATCH)]
    places = []
    for first in range(0, len(batches), _BATCHES_IN_FILE):
        file = os.path.join(folder, f"{first // _BATCHES_IN_FILE:05d}.manifest")
        with FileSystems.create(file, compression_type=CompressionTypes.UNCOMPRESSED) as content:
            offset = 0
            for number, rows in enumerate(batches[first : first + _BATCHES_IN_FILE], start=first):
                batch = json.dumps([_values(images[row]) for row in rows]).encode()
                content.write(batch)
                places.append(BatchPlace(number, file, offset, len(batch)))
                offset += len(batch)
    return places


def read_batch(place: BatchPlace) -> list[ListedImage]:
    """The images of a batch of the manifest."""
    with FileSystems.open(place.file, compression_type=CompressionTypes.UNCOMPRESSED) as content:
        content.seek(place.offset)
        rows = json.loads(content.read(place.size))
    return [ListedImage(path, name, tuple(splits), *rest) for path, name, splits, *rest in rows]


def _hash(path: str) -> int:
    return int.from_bytes(hashlib.sha256(os.fsencode(path)).digest()[:8], "big")
