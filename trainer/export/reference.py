"""Reference scores: a few stored images with the trained model's scores, which every copy of it must reproduce."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from crackgate.contracts import stored_example
from crackgate.contracts.model_files import REFERENCE_FILE
from crackgate.model.calibration import Calibration
from crackgate.model.decoding import decode_image
from crackgate.model.familiarity import Familiarity
from trainer.input_pipeline import read_examples
from trainer.network.texture import texture_of

_MOST_IMAGES = 32


def write_reference(
    classifier: keras.Model,
    calibration: Calibration,
    image_size: int,
    file_patterns: list[str],
    folder: Path,
    backbone: keras.Model | None = None,
    familiarity: Familiarity | None = None,
) -> None:
    """Writes the first examples with their scores to `reference.tfrecord.gz`, in the form that `serving_default` takes.

    `classifier` goes from images to logits; `file_patterns` are globs of gzipped TFRecord files. With a description of
    textures of the `backbone`, each example has its unfamiliarity, too.
    """
    examples = [
        tf.train.Example.FromString(record)
        for record in read_examples(file_patterns).take(_MOST_IMAGES).as_numpy_iterator()
    ]
    encoded = [example.features.feature[stored_example.ENCODED].bytes_list.value[0] for example in examples]
    images = np.stack([decode_image(image, image_size) for image in encoded])
    scores = calibration.scores(classifier.predict_on_batch(images))
    unfamiliarity = np.empty((len(examples), 0))
    if backbone is not None and familiarity is not None:
        textures = keras.Model(backbone.input, texture_of(backbone)).predict_on_batch(images)
        unfamiliarity = familiarity.unfamiliarity(textures[:, 0, 0])[:, None]
    with tf.io.TFRecordWriter(str(folder / REFERENCE_FILE), "GZIP") as writer:
        for example, row, values in zip(examples, scores, unfamiliarity, strict=True):
            example.features.feature[stored_example.REFERENCE_SCORES].float_list.value[:] = row
            example.features.feature[stored_example.REFERENCE_UNFAMILIARITY].float_list.value[:] = values
            writer.write(example.SerializeToString())
