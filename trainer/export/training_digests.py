"""Digests of the training images, stored with the model: evaluations exclude these images."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from crackgate.contracts import stored_example
from trainer.input_pipeline import read_examples

# Examples that TensorFlow parses together.
_READ_AT_ONCE = 256


def write_training_digests(file_patterns: list[str], model: Path) -> None:
    """Writes 16 bytes an image to `stored_example.TRAINING_DIGESTS_FILE`; `file_patterns` are train's and eval's."""
    wanted = {name: tf.io.RaggedFeature(tf.string) for name in stored_example.IDENTITIES}
    digests: set[int] = set()
    for batch in read_examples(file_patterns).batch(_READ_AT_ONCE):
        for identities in tf.io.parse_example(batch, wanted).values():
            digests.update(map(stored_example.digest, identities.flat_values.numpy()))
    file = model / stored_example.TRAINING_DIGESTS_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, np.array(sorted(digests), np.uint64))
