"""The second form of the exported network, which answers without TensorFlow, checked on stored photographs."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from crackgate.contracts import stored_example
from crackgate.model.decoding import decode_image
from crackgate.model.outputs import network_function
from crackgate.model.stored_network import write_network
from trainer.export.signatures import ServedClassifier
from trainer.input_pipeline import read_examples

# Those that each user's machine compares anew.
_MOST_IMAGES = 4


def write_stored_network(served: ServedClassifier, image_size: int, file_patterns: list[str], folder: Path) -> None:
    """Writes the network's second form beside the SavedModel in `folder`, if OpenVINO can convert it.

    `file_patterns` are globs of gzipped TFRecord files: their first images become the photographs of the comparison.
    """
    wanted = {stored_example.ENCODED: tf.io.FixedLenFeature([], tf.string)}
    images = [
        decode_image(tf.io.parse_single_example(record, wanted)[stored_example.ENCODED], image_size)
        for record in read_examples(file_patterns).take(_MOST_IMAGES)
    ]
    pixels = np.round(np.stack(images)).astype(np.uint8)
    write_network(network_function(served).get_concrete_function(), pixels, folder)
