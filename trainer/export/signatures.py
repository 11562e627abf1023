"""The released artifact: a SavedModel with two signatures that decode exactly as training did."""

import functools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from crackgate.contracts import stored_example
from crackgate.contracts.card import ReleaseCard
from crackgate.contracts.image_limits import ImageLimits
from crackgate.contracts.model_files import MODEL_VERSION_FILE
from crackgate.contracts.scale import TrainedScale
from crackgate.model.calibration import Calibration
from crackgate.model.decision import Decision
from crackgate.model.decoding import decode_images, input_in_words
from crackgate.model.familiarity import HIGHEST, Familiarity
from crackgate.model.row_errors import map_rows
from trainer.network.backbones import TRUNK_STRIDE, as_trunk
from trainer.network.texture import texture_of

# Bounds the memory of one request, whatever batch a caller sends: TFMA sends up to a thousand images.
IMAGES_AT_ONCE = 32

UNRELEASED = "unreleased"


class ServedClassifier(tf.Module):
    """The classifier with its decoding, its calibration and its decision.

    Both signatures return, for N images of C classes:
    `scores` (float32, N x C), calibrated, each row summing to 1, in label order; `label` (string, N), the decision;
    `probability` (float32, N), the label's score; `model_version` (string, N), read when the model is loaded.
    With positive classes, `is_positive` (bool, N) says whether their scores sum to the threshold or more.
    `label` is the best of the positive classes then, else the best of the others.
    With a description of the training images, `unfamiliarity` (float32, N) says how far an image lies from them: 0 or
    more, above 1 it is unlike them.

    `error` (string, N) says why an image could not be scored, else it is "". It may be no image, or too large, or out
    of the scale of the training images. Such an image fails only its own row: its label is "", its scores and its
    unfamiliarity are 0, and it is positive. NaN logits give NaN scores, and a positive image.
    """

    def __init__(
        self,
        model: keras.Model,
        classes: list[str],
        image_size: int,
        calibration: Calibration,
        decision: Decision | None,
        version_file: Path,
        limits: ImageLimits,
        scale: TrainedScale | None,
        network: keras.Model | None = None,
        head: keras.Model | None = None,
        familiarity: Familiarity | None = None,
    ):
        """Takes a model from images in 0 to 255 to logits; see `export_classifier`.

        `network` goes from the images to the feature map that `head` averages, and to the texture that `familiarity`
        describes; its images may be of any size. None: `model` is all there is.
        """
        super().__init__()
        # As functions: TensorFlow would store every layer of a model, and trace it again for each signature.
        self._network: Callable[[tf.Tensor], tuple[Any, Any]] = lambda pixels: (model(pixels, training=False), None)
        self._familiarity = familiarity
        self._classes = tf.constant(classes)
        self._image_size = image_size
        self._calibration = calibration
        self._decision = decision
        self._max_pixels, self._scale = limits.max_pixels, scale
        # An asset of the SavedModel, read when the model is loaded. A release differs from the model in this file only.
        self._version = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                str(version_file),
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
            ),
            default_value="",
        )
        pixels = tf.TensorSpec([None, image_size, image_size, 3], tf.float32, name="pixels")
        self.score_pixels = tf.function(self._score_pixels, input_signature=[pixels], autograph=False)
        if familiarity is not None:
            self.examine_pixels = tf.function(self._examine_pixels, input_signature=[pixels], autograph=False)
        if network is not None and head is not None:
            self._add_network(network, head)
        self._weights = [variable.value for variable in model.variables]

    def _add_network(self, network: keras.Model, head: keras.Model) -> None:
        images = tf.TensorSpec([None, *network.input_shape[1:]], tf.float32, name="pixels")
        channels = network.output_shape[0][-1]
        self._head = lambda pooled: head(pooled, training=False)
        # Both outputs by one function, so that the network is traced, stored and loaded once.
        self.maps = tf.function(
            lambda pixels: tuple(network(pixels, training=False)), input_signature=[images], autograph=False
        )
        if network.input_shape[1] is None:
            pooled = tf.TensorSpec([None, channels], tf.float32, name="features")
            self.feature_map = tf.function(self._feature_map, input_signature=[images], autograph=False)
            self.score_features = tf.function(self._score_features, input_signature=[pooled], autograph=False)

        def run(pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            feature_map, texture = self.maps(pixels)
            return self._head(tf.reduce_mean(feature_map, axis=(1, 2))), texture

        self._network = run

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")], autograph=False)
    def serving_default(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores serialized `tf.train.Example`s, as stored by ingest."""
        wanted = {stored_example.ENCODED: tf.io.FixedLenFeature([], tf.string)}

        def parse(example: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.io.parse_single_example(example, wanted)[stored_example.ENCODED], tf.constant("")

        encoded, error = map_rows(parse, examples, (tf.constant(""), tf.constant(stored_example.NOT_AN_EXAMPLE)))
        return self._outputs(encoded, error)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")], autograph=False)
    def predict_images(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores encoded images: JPEG, PNG or BMP bytes; over REST as `{"b64": "..."}`."""
        return self._outputs(image_bytes, tf.zeros_like(image_bytes))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="encoded")], autograph=False)
    def decode(self, encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """From N encoded images to float32 (N, size, size, 3) in 0 to 255, all at once, and `error` (string, N)."""
        return decode_images(encoded, self._image_size, self._max_pixels, self._scale)

    def _score_pixels(self, pixels: tf.Tensor) -> tf.Tensor:
        """From float32 (N, size, size, 3) in 0 to 255 to calibrated scores, float32 (N, C)."""
        return self._calibrated(self._network(pixels)[0])

    def _examine_pixels(self, pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """From the same to scores and `unfamiliarity`, float32 (N,)."""
        assert self._familiarity is not None
        logits, texture = self._network(pixels)
        # A backbone of the user's own may compute in 16 bits.
        apart = tf.cast(tf.reshape(texture, (-1, texture.shape[-1])), tf.float32) - self._familiarity.mean
        unfamiliarity = tf.sqrt(tf.reduce_mean(tf.square(apart @ self._familiarity.weights), axis=1))
        return self._calibrated(logits), tf.minimum(unfamiliarity, HIGHEST)

    def _feature_map(self, pixels: tf.Tensor) -> tf.Tensor:
        """From float32 (N, H, W, 3) in 0 to 255 of any H and W to float32 (N, ceil(H / 32), ceil(W / 32), F)."""
        return self.maps(pixels)[0]

    def _score_features(self, pooled: tf.Tensor) -> tf.Tensor:
        """From float32 (N, F), means over positions of a feature map, to calibrated scores, float32 (N, C)."""
        return self._calibrated(self._head(pooled))

    def _calibrated(self, logits: tf.Tensor) -> tf.Tensor:
        logits = tf.cast(logits, tf.float32)
        return tf.nn.softmax(logits / self._calibration.temperature + self._calibration.bias)

    def _outputs(self, encoded: tf.Tensor, error: tf.Tensor) -> dict[str, tf.Tensor]:
        """Outputs for encoded images; `error` (string, N) is "" but for those that are known to be none."""
        scores, unfamiliarity, not_decoded = self._scores(encoded)
        error = tf.where(error == "", not_decoded, error)
        failed = error != ""
        scores = tf.where(failed[:, None], 0.0, scores)
        label = tf.argmax(scores, axis=1)
        outputs = {"scores": scores, "error": error}
        if self._familiarity is not None:
            outputs["unfamiliarity"] = tf.where(failed, 0.0, unfamiliarity)
        if self._decision is not None:
            positives = self._decision.labels
            others = [label for label in range(scores.shape[1]) if label not in positives]
            score = functools.reduce(tf.add, [scores[:, positive] for positive in positives])
            # Not `logical_not(score < threshold)`: TensorFlow rewrites that to >=, which is false of NaN.
            outputs["is_positive"] = (score >= self._decision.threshold) | tf.math.is_nan(score) | failed
            label = tf.where(outputs["is_positive"], _best(scores, positives), _best(scores, others))
        outputs["label"] = tf.where(failed, "", tf.gather(self._classes, label))
        outputs["probability"] = tf.gather(scores, label, batch_dims=1)
        outputs["model_version"] = tf.fill(tf.shape(error), self._version.lookup(tf.constant(0, tf.int64)))
        return outputs

    def _scores(self, encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Scores, unfamiliarity (0 where it is unknown) and errors, a few images at a time."""
        count = tf.shape(encoded)[0]
        classes = self._classes.shape[0]

        def score_next(start: tf.Tensor, *so_far: tf.Tensor) -> tuple[tf.Tensor, ...]:
            pixels, error = self.decode(encoded[start : start + IMAGES_AT_ONCE])
            if self._familiarity is None:
                found = self.score_pixels(pixels), tf.zeros(tf.shape(error)), error
            else:
                found = *self.examine_pixels(pixels), error
            rows = (tf.concat(pair, axis=0) for pair in zip(so_far, found, strict=True))
            return start + IMAGES_AT_ONCE, *rows

        _, *rows = tf.while_loop(
            lambda start, *_: start < count,
            score_next,
            (tf.constant(0), tf.zeros((0, classes)), tf.zeros((0,)), tf.zeros((0,), tf.string)),
            shape_invariants=tuple(map(tf.TensorShape, ([], [None, classes], [None], [None]))),
            parallel_iterations=1,
        )
        scores, unfamiliarity, errors = rows
        return scores, unfamiliarity, errors


def _best(scores: tf.Tensor, labels: Sequence[int]) -> tf.Tensor:
    """The best of some labels, int64 (N,), from scores (N, C); one of them even where no score is a number."""
    return tf.gather(tf.constant(labels, tf.int64), tf.argmax(tf.gather(scores, labels, axis=1), axis=1))


def export_classifier(
    model: keras.Model,
    classes: list[str],
    image_size: int,
    folder: Path,
    calibration: Calibration,
    decision: Decision | None,
    limits: ImageLimits | None = None,
    scale: TrainedScale | None = None,
    backbone: keras.Model | None = None,
    head: keras.Model | None = None,
    familiarity: Familiarity | None = None,
) -> ServedClassifier:
    """Writes the SavedModel and its card, and returns what it wrote.

    `model` goes from float32 images (batch, image_size, image_size, 3) in 0 to 255 to logits. Its `backbone` goes to a
    feature map, its `head` from the map's mean to logits; without them it scores whole images only.
    `limits` are ingest's, None for the defaults. `scale` is that of the training images; None takes images of any size.
    `decision` is None without a positive class. `familiarity` describes textures of the backbone, which it needs.
    """
    limits = limits or ImageLimits()
    network = None
    if backbone is not None and head is not None:
        network = keras.Model(backbone.input, [backbone.output, texture_of(backbone)])
        network = as_trunk(network) or network
    with tempfile.TemporaryDirectory() as assets:
        version_file = Path(assets) / MODEL_VERSION_FILE.name
        version_file.write_text(UNRELEASED)
        served = ServedClassifier(
            model,
            classes,
            image_size,
            calibration,
            decision,
            version_file,
            limits,
            scale,
            network,
            head,
            familiarity,
        )
        signatures = {"serving_default": served.serving_default, "predict_images": served.predict_images}
        tf.saved_model.save(served, str(folder), signatures=signatures)
    ReleaseCard(
        classes=classes,
        positive_classes=() if decision is None else tuple(classes[label] for label in decision.labels),
        threshold=None if decision is None else decision.threshold,
        image_size=image_size,
        temperature=calibration.temperature,
        bias=calibration.bias,
        # Without a trunk, this backbone cannot look at images of any size.
        stride=None if network is None or network.input_shape[1] is not None else TRUNK_STRIDE,
        scale=scale,
        limits=limits,
        network_input=input_in_words(image_size),
        familiarity=None if familiarity is None else familiarity.summary,
    ).write(folder)
    return served
