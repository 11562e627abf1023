"""Writing staged examples out with their group, by which they are split."""

import bisect
import hashlib
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import tensorflow as tf
from apache_beam.io.filesystem import CompressionTypes

from components import features
from components.image_example_gen.reading import bytes_feature

COUNT_OUTPUT = "count"


class SplitStaged(beam.DoFn):
    """From a staging file, with the places and groups of its images, to serialized examples with their group.

    They come out under the name of their split. It is TFX's way to split: by the hash of the group, so that nothing but
    the group decides. Further output: `count`, for every example its split and class name.
    """

    def __init__(self, buckets: dict[str, int]):
        self._splits = list(buckets)
        self._bounds = list(itertools.accumulate(buckets.values()))

    def process(self, staged: tuple[str, Iterable[tuple[int, int, bytes]]]) -> Iterator[Any]:
        """Takes offset, size and group of the images; goes through the file from front to back."""
        file, images = staged
        with beam.io.filesystems.FileSystems.open(file, compression_type=CompressionTypes.UNCOMPRESSED) as examples:
            for offset, size, group in sorted(images):
                examples.seek(offset)
                example = tf.train.Example.FromString(examples.read(size))
                feature = example.features.feature
                feature[features.GROUP].CopyFrom(bytes_feature(group))
                split = self._split_of(group)
                yield beam.pvalue.TaggedOutput(split, example.SerializeToString(deterministic=True))
                class_name = feature[features.CLASS_TEXT].bytes_list.value[0].decode()
                yield beam.pvalue.TaggedOutput(COUNT_OUTPUT, (split, class_name))

    def _split_of(self, group: bytes) -> str:
        bucket = int(hashlib.sha256(group).hexdigest(), 16) % self._bounds[-1]
        return self._splits[bisect.bisect(self._bounds, bucket)]


def group_of(_file: str, image: tuple[int, int, bytes]) -> bytes:
    """The group among what `SplitStaged` takes."""
    _offset, _size, group = image
    return group
