"""The paths of stored images."""

import tensorflow as tf

from crackgate.contracts import stored_example
from crackgate.images.image_folder import readable_path
from trainer.input_pipeline import read_examples


def read_paths(file_patterns: list[str]) -> list[str]:
    """The images' paths below the data folder, in the stored order; "image 1", "image 2", ... of examples without."""
    feature = {stored_example.FILENAME: tf.io.FixedLenFeature([], tf.string, default_value="")}
    batches = read_examples(file_patterns).batch(1024)
    paths = [path for batch in batches for path in tf.io.parse_example(batch, feature)[stored_example.FILENAME].numpy()]
    return [readable_path(path) or f"image {number}" for number, path in enumerate(paths, 1)]
