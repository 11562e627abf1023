"""The scale of the training images."""

import numpy as np
import tensorflow as tf

from crackgate.contracts import stored_example
from crackgate.contracts.scale import TrainedScale
from crackgate.model.decoding import header_size
from trainer.input_pipeline import read_examples, untuned

_READ_AT_ONCE = 256


def measure_scale(file_patterns: list[str]) -> TrainedScale | None:
    """The scale of all images that have a size in their header; None where none has.

    `file_patterns` are globs of gzipped TFRecord files.
    """
    wanted = {stored_example.ENCODED: tf.io.FixedLenFeature([], tf.string)}

    @tf.autograph.experimental.do_not_convert
    def size(record: tf.Tensor) -> tf.Tensor:
        return header_size(tf.io.parse_single_example(record, wanted)[stored_example.ENCODED])

    batches = read_examples(file_patterns).map(size).batch(_READ_AT_ONCE).with_options(untuned())
    sizes = np.concatenate([np.empty((0, 2), np.int64), *batches.as_numpy_iterator()])
    # The header of a format that serving refuses, such as GIF, is not read.
    known = sizes[sizes.all(axis=1)]
    return TrainedScale.of(known) if len(known) else None
