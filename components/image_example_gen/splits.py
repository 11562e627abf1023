"""The splits: staged examples receive their group, whose hash decides the split."""

import bisect
import hashlib
import itertools
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

import apache_beam as beam
import tensorflow as tf
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.image_example_gen.groups import AssignedImages
from components.image_example_gen.staged_examples import Place
from crackgate.contracts import stored_example

# Encoded images do not get smaller, and trying takes longer than decoding them.
_GZIP_UNCOMPRESSED = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=0)


class SplitStaged(beam.DoFn):
    """From the places and groups of a shard's images to one file per split, and counts by split and class.

    A group is in the split to which it was dealt; otherwise its hash decides, as in TFX, among those that are given. A
    file appears complete or not at all. Its name never changes, so that a repeated attempt leaves nothing twice.

    Args:
        buckets: Hash buckets of each split.
        dealt: See `deal_groups`.
        prefixes: Prefixes of the paths of each split's files.
        shards: Number of shards.
        staging: Folder on the same file system.
    """

    def __init__(
        self, buckets: dict[str, int], dealt: dict[bytes, str], prefixes: dict[str, str], shards: int, staging: str
    ):
        self._buckets = buckets
        self._dealt = dealt
        self._prefixes = prefixes
        self._shards = shards
        self._staging = staging

    def process(self, assigned: tuple[int, Iterable[AssignedImages]]) -> Iterator[tuple[tuple[str, str], int]]:
        """Reads the staging files from front to back."""
        shard, parts = assigned
        pairs = (pair for part in parts for pair in zip(part.places, part.names, strict=True))
        images = sorted(pairs, key=lambda image: (image[0].batch, image[0].offset))
        written = {split: os.path.join(self._staging, f"{uuid.uuid4().hex}.shard") for split in self._buckets}
        with ExitStack() as stack:
            writers = {
                split: stack.enter_context(tf.io.TFRecordWriter(path, _GZIP_UNCOMPRESSED))
                for split, path in written.items()
            }
            counts = Counter(self._write(images, writers))
        for split, path in written.items():
            FileSystems.rename([path], [f"{self._prefixes[split]}-{shard:05d}-of-{self._shards:05d}.gz"])
        yield from counts.items()

    def _write(
        self, images: list[tuple[Place, bytes]], writers: dict[str, tf.io.TFRecordWriter]
    ) -> Iterator[tuple[str, str]]:
        for file, staged in itertools.groupby(images, key=lambda image: image[0].file):
            with FileSystems.open(file, compression_type=CompressionTypes.UNCOMPRESSED) as examples:
                for place, group in staged:
                    examples.seek(place.offset)
                    example = examples.read(place.size)
                    split = self._split_of(group, place.splits)
                    # Protocol buffers read two messages in a row as one, with the features of both.
                    writers[split].write(example + _group_alone(group))
                    yield split, place.class_name

    def _split_of(self, group: bytes, given: tuple[str, ...]) -> str:
        if not given and group in self._dealt:
            return self._dealt[group]
        splits = given or tuple(self._buckets)
        bounds = list(itertools.accumulate(self._buckets[split] for split in splits))
        bucket = int(hashlib.sha256(group).hexdigest(), 16) % bounds[-1]
        return splits[bisect.bisect(bounds, bucket)]


def _group_alone(group: bytes) -> bytes:
    example = tf.train.Example()
    example.features.feature[stored_example.GROUP].bytes_list.value.append(group)
    serialized: bytes = example.SerializeToString()
    return serialized
