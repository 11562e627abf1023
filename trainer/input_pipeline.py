"""Reading stored examples for training."""

import tensorflow as tf

from components import features
from trainer.decoding import decode_image


def read_images(file_patterns: list[str], image_size: int, batch_size: int) -> tf.data.Dataset:
    """Batches of (images, labels), in the stored order.

    Args:
        file_patterns: Globs of gzipped TFRecord files of `tf.train.Example`s.
        image_size: Side of the square images, in pixels.
        batch_size: Images per batch; the last batch may be smaller.

    Returns:
        A dataset of float32 (batch, image_size, image_size, 3) in 0 to 255, and int64 (batch,).
    """
    files = sorted(name for pattern in file_patterns for name in tf.io.gfile.glob(pattern))

    def parse(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        parsed = tf.io.parse_single_example(
            serialized,
            {
                features.ENCODED: tf.io.FixedLenFeature([], tf.string),
                features.CLASS_LABEL: tf.io.FixedLenFeature([], tf.int64),
            },
        )
        return decode_image(parsed[features.ENCODED], image_size), parsed[features.CLASS_LABEL]

    records = tf.data.TFRecordDataset(files, compression_type="GZIP")
    return records.map(parse, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size).prefetch(tf.data.AUTOTUNE)


def count_images(file_patterns: list[str]) -> int:
    """Number of stored examples."""
    files = [name for pattern in file_patterns for name in tf.io.gfile.glob(pattern)]
    return int(tf.data.TFRecordDataset(files, compression_type="GZIP").reduce(0, lambda total, _: total + 1).numpy())
