"""The paths and groups of stored images."""

import tensorflow as tf

from crackgate.contracts import stored_example
from crackgate.images.image_folder import readable_path
from trainer.input_pipeline import read_examples


def read_paths(file_patterns: list[str]) -> list[str]:
    """The images' paths below the data folder, in the stored order; "image 1", "image 2", ... of examples without."""
    return [path for path, _ in read_paths_and_groups(file_patterns)]


def read_paths_and_groups(file_patterns: list[str]) -> list[tuple[str, bytes]]:
    """The images' paths, as `read_paths`, with the names of their groups; an example without has one of its own."""
    names = (stored_example.FILENAME, stored_example.GROUP)
    features = {name: tf.io.FixedLenFeature([], tf.string, default_value="") for name in names}
    found: list[tuple[bytes, bytes]] = []
    for batch in read_examples(file_patterns).batch(1024):
        parsed = tf.io.parse_example(batch, features)
        found += zip(*(parsed[name].numpy() for name in names), strict=True)
    return [
        (readable_path(path) or f"image {number}", group or b"image %d" % number)
        for number, (path, group) in enumerate(found, 1)
    ]
