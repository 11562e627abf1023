"""The released artifact: a SavedModel with two signatures that decode exactly as training did."""

import json
from pathlib import Path

import keras
import tensorflow as tf

from components import features
from components.release_files import CARD_FILE
from trainer.calibration import Calibration
from trainer.decision import Decision
from trainer.decoding import decode_image

# Bounds the memory of one request, whatever batch a caller sends: TFMA sends up to a thousand images.
IMAGES_AT_ONCE = 32


class ServedClassifier(tf.Module):
    """The classifier with its decoding, its calibration and its decision.

    Both signatures return, for N images of C classes: `scores` (float32, N x C), calibrated, each row summing to 1, in
    label order; `label` (string, N), the decision; `probability` (float32, N), the score of that label. Where there is
    a positive class, `is_positive` (bool, N) says whether its score reaches the threshold: `label` is the positive
    class then, else the one of the highest score among the others. Where there is none, the highest score decides.

    Logits that are no numbers give scores that are none either, and a positive image: nothing is waved through.
    """

    def __init__(
        self,
        model: keras.Model,
        classes: list[str],
        image_size: int,
        calibration: Calibration,
        decision: Decision | None,
    ):
        """Takes a model from images in 0 to 255 to logits; see `export_classifier`."""
        super().__init__()
        self._model = model
        self._classes = tf.constant(classes)
        self._image_size = image_size
        self._calibration = calibration
        self._decision = decision

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
        label = tf.argmax(scores, axis=1)
        answer = {"scores": scores}
        if self._decision is not None:
            positive = self._decision.label
            score = scores[:, positive]
            # Not `logical_not(score < threshold)`: TensorFlow rewrites that to >=, which is false of NaN.
            answer["is_positive"] = (score >= self._decision.threshold) | tf.math.is_nan(score)
            others = tf.where(tf.one_hot(positive, scores.shape[1], on_value=True, off_value=False), -1.0, scores)
            label = tf.where(answer["is_positive"], tf.constant(positive, label.dtype), tf.argmax(others, axis=1))
        answer["label"] = tf.gather(self._classes, label)
        answer["probability"] = tf.gather(scores, label, batch_dims=1)
        return answer

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
            calibrated = tf.nn.softmax(logits / self._calibration.temperature + self._calibration.bias)
            return start + IMAGES_AT_ONCE, tf.concat([scores, calibrated], axis=0)

        _, scores = tf.while_loop(
            lambda start, _: start < count,
            score_next,
            (tf.constant(0), tf.zeros((0, classes))),
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, classes])),
            parallel_iterations=1,
        )
        return scores


def export_classifier(
    model: keras.Model,
    classes: list[str],
    image_size: int,
    folder: Path,
    calibration: Calibration,
    decision: Decision | None,
) -> None:
    """Writes the SavedModel and, beside it, `classifier.json` for people and programs.

    Args:
        model: From float32 images (batch, image_size, image_size, 3) in 0 to 255 to logits.
        classes: Class names in label order.
        image_size: Pixels.
        folder: Receives the files.
        calibration: From logits to scores.
        decision: None when there is no positive class.
    """
    served = ServedClassifier(model, classes, image_size, calibration, decision)
    signatures = {"serving_default": served.serving_default, "predict_images": served.predict_images}
    tf.saved_model.save(served, str(folder), signatures=signatures)
    card = folder / CARD_FILE
    card.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "classes": classes,
        "image_size": image_size,
        "positive_class": None if decision is None else classes[decision.label],
        "threshold": None if decision is None else decision.threshold,
        "temperature": calibration.temperature,
        "bias": calibration.bias,
    }
    card.write_text(json.dumps(content, indent=2))
