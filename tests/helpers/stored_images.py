"""Images as ingest stores them: the examples that training reads."""

import io
from pathlib import Path

import numpy as np


def write_images(file: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Stores uint8 (images, height, width, 3) as PNG, with their labels, in the order given."""
    import tensorflow as tf
    from PIL import Image

    from crackgate.contracts import stored_example

    with tf.io.TFRecordWriter(str(file), "GZIP") as writer:
        for image, label in zip(images, labels, strict=True):
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, "PNG")
            feature = {
                stored_example.ENCODED: tf.train.Feature(bytes_list=tf.train.BytesList(value=[buffer.getvalue()])),
                stored_example.CLASS_LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
