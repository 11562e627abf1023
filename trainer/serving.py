"""The released artifact: a SavedModel with two signatures that decode exactly as training did."""

import json
from pathlib import Path

import keras
import tensorflow as tf

from components import features
from trainer.decoding import decode_image

# Bounds the memory of one request, whatever batch a caller sends: TFMA sends up to a thousand images.
IMAGES_AT_ONCE = 32
# TensorFlow Serving ignores other files in `assets.extra/`; `crackgate predict` reads the class names here.
CARD_FILE = Path("assets.extra") / "classifier.json"


class ServedClassifier(tf.Module):
    """The classifier with its decoding.

    Both signatures return, for N images of C classes: `label` (string, N), the class of the highest score;
    `probability` (float32, N), that score; `scores` (float32, N x C), each row summing to 1, in label order.
    """

    def __init__(self, model: keras.Model, classes: list[str], image_size: int):
        """Takes a model from images in 0 to 255 to logits."""
        super().__init__()
        self._model = model
        self._classes = tf.constant(classes)
        self._image_size = image_size

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serving_default(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores serialized `tf.train.Example`s, as stored by ingest."""
        parsed = tf.io.parse_example(examples, {features.ENCODED: tf.io.FixedLenFeature([], tf.string)})
        return self._answer(parsed[features.ENCODED])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def predict_images(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores encoded images: JPEG, PNG or BMP bytes; over REST as `{"b64": "..."}`."""
        return self._answer(image_bytes)

    def _answer(self, encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = self._scores(encoded)
        return {
            "label": tf.gather(self._classes, tf.argmax(scores, axis=1)),
            "probability": tf.reduce_max(scores, axis=1),
            "scores": scores,
        }

    def _scores(self, encoded: tf.Tensor) -> tf.Tensor:
        count = tf.shape(encoded)[0]
        classes = self._classes.shape[0]

        def score_next(start: tf.Tensor, scores: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images = tf.map_fn(
                lambda image: decode_image(image, self._image_size),
                encoded[start : start + IMAGES_AT_ONCE],
                fn_output_signature=tf.float32,
            )
            logits = tf.cast(self._model(images, training=False), tf.float32)
            return start + IMAGES_AT_ONCE, tf.concat([scores, tf.nn.softmax(logits)], axis=0)

        _, scores = tf.while_loop(
            lambda start, _: start < count,
            score_next,
            (tf.constant(0), tf.zeros((0, classes))),
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, classes])),
            parallel_iterations=1,
        )
        return scores


def export_classifier(model: keras.Model, classes: list[str], image_size: int, folder: Path) -> None:
    """Writes the SavedModel, and its class names beside it, to `folder`."""
    served = ServedClassifier(model, classes, image_size)
    signatures = {"serving_default": served.serving_default, "predict_images": served.predict_images}
    tf.saved_model.save(served, str(folder), signatures=signatures)
    card = folder / CARD_FILE
    card.parent.mkdir(parents=True, exist_ok=True)
    card.write_text(json.dumps({"classes": classes, "image_size": image_size}, indent=2))
