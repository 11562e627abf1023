"""What the model was trained on, stored with it in little space, so that nobody examines it on that by mistake."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from components import features
from trainer.input_pipeline import read_examples


def write_training_digests(file_patterns: list[str], model: Path) -> None:
    """Writes the digests of the images' identities: 16 bytes an image.

    Args:
        file_patterns: Globs of gzipped TFRecord files: of train, and of eval, which chose the epoch and the threshold.
        model: The SavedModel's folder, which receives `features.TRAINING_DIGESTS_FILE`.
    """
    digests = set()
    for record in read_examples(file_patterns).as_numpy_iterator():
        stored = tf.train.Example.FromString(record).features.feature
        digests |= {features.digest(value) for name in features.IDENTITIES for value in stored[name].bytes_list.value}
    file = model / features.TRAINING_DIGESTS_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, np.array(sorted(digests), np.uint64))
