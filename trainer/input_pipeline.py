"""Reading stored examples for training."""

import hashlib

import numpy as np
import tensorflow as tf

from crackgate.contracts import stored_example
from crackgate.model.decoding import decode_image

# Bytes.
_BLOCK = 2**20
# AutoGraph takes a second to find nothing to rewrite.
_as_written = tf.autograph.experimental.do_not_convert


def read_images(
    file_patterns: list[str], image_size: int, batch_size: int, chosen: np.ndarray | None = None
) -> tf.data.Dataset:
    """Batches of float32 images (batch, image_size, image_size, 3) in 0 to 255 and int64 labels (batch,).

    They come in the stored order from gzipped TFRecord files of `tf.train.Example`s; the last batch may be smaller.
    `chosen`, bool (images,), marks those of the first images to read; None reads all.
    """

    @_as_written
    def parse(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        parsed = tf.io.parse_single_example(
            serialized,
            {
                stored_example.ENCODED: tf.io.FixedLenFeature([], tf.string),
                stored_example.CLASS_LABEL: tf.io.FixedLenFeature([], tf.int64),
            },
        )
        return decode_image(parsed[stored_example.ENCODED], image_size), parsed[stored_example.CLASS_LABEL]

    records = read_examples(file_patterns)
    if chosen is not None:
        wanted = tf.constant(chosen)
        records = records.take(len(chosen)).enumerate().filter(_as_written(lambda row, _: wanted[row]))
        records = records.map(_as_written(lambda _, record: record))
    images = records.map(parse, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size).prefetch(2)
    return images.with_options(untuned())


def untuned() -> tf.data.Options:
    """Options without autotuning, whose thread delays the end of a pipeline by seconds."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def read_examples(file_patterns: list[str]) -> tf.data.Dataset:
    """The serialized `tf.train.Example`s themselves, in the same order."""
    files = sorted(name for pattern in file_patterns for name in tf.io.gfile.glob(pattern))
    return tf.data.TFRecordDataset(files, compression_type="GZIP")


def read_labels(file_patterns: list[str]) -> np.ndarray:
    """The labels alone, in the same order: int64 (images,)."""
    label = {stored_example.CLASS_LABEL: tf.io.FixedLenFeature([], tf.int64)}
    batches = read_examples(file_patterns).batch(1024)
    labels = [tf.io.parse_example(batch, label)[stored_example.CLASS_LABEL].numpy() for batch in batches]
    return np.concatenate([np.empty(0, np.int64), *labels])


def digest_examples(file_patterns: list[str]) -> str:
    """SHA-256 over the content of the files, wherever they lie."""
    digest = hashlib.sha256()
    for pattern in file_patterns:
        for file in sorted(tf.io.gfile.glob(pattern)):
            with tf.io.gfile.GFile(file, "rb") as stream:
                of_file = hashlib.sha256()
                while block := stream.read(_BLOCK):
                    of_file.update(block)
                digest.update(of_file.digest())
    return digest.hexdigest()
