"""Descriptors in files, where no shuffle holds them: Beam's runner of one process keeps some three copies of each."""

import os
import uuid
from dataclasses import dataclass

import numpy as np
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from numpy.typing import NDArray

from crackgate.images.copies.descriptor import DESCRIPTOR_BYTES, Descriptors
from crackgate.images.copies.partitions import DigestTable, PictureTable, equal_rows


@dataclass(frozen=True)
class StoredPictures(DigestTable):
    """Images as in a `PictureTable`, with the file of each one's descriptor, and its row there."""

    names: list[bytes]
    files: list[str]
    rows: NDArray[np.uint32]


def store(pictures: PictureTable, folder: str) -> StoredPictures:
    """Writes a table's descriptors into a new file of `folder`, which all workers see."""
    # Every attempt has its own name: an abandoned one may still be writing.
    file = os.path.join(folder, f"{uuid.uuid4().hex}.descriptors")
    with FileSystems.create(file, compression_type=CompressionTypes.UNCOMPRESSED) as content:
        content.write(pictures.descriptors.tobytes())
    count = len(pictures.digests)
    return StoredPictures(pictures.digests, pictures.names, [file] * count, np.arange(count, dtype=np.uint32))


def load(pictures: StoredPictures) -> Descriptors:
    """Reads the descriptors of these images, each file from front to back."""
    found = np.empty((len(pictures.digests), DESCRIPTOR_BYTES), np.uint8)
    for of_file in equal_rows(np.array(pictures.files)):
        with FileSystems.open(pictures.files[of_file[0]], compression_type=CompressionTypes.UNCOMPRESSED) as content:
            for image in of_file[np.argsort(pictures.rows[of_file])]:
                content.seek(int(pictures.rows[image]) * DESCRIPTOR_BYTES)
                found[image] = np.frombuffer(content.read(DESCRIPTOR_BYTES), np.uint8)
    return found
