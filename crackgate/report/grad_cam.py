"""Heat maps of the pixels that raised the score of a class: Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391).

The zeros that convolutions pad with light the edges of a plain map, and a stride samples a mirrored picture elsewhere.
So the feature map is taken of the picture with a mirrored margin, and the map is the mean over the picture and its
mirror images: the map of a mirrored picture is the mirrored map.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from crackgate.model.decoding import decode_image

# Each is shown four times; more at once would only take more memory.
_AT_ONCE = 4
# Axes, of (images, height, width, channels), along which a picture is turned over.
_MIRRORED = ((), (1,), (2,), (1, 2))
# Width of the margin, in places of the feature map: with 2, maps of cracks were less often on the crack.
_MARGIN = 1


class GradCam:
    """Grad-CAM on the last feature map of a classifier: a functional model around a backbone."""

    def __init__(self, classifier: keras.Model):
        """Takes a model from images (batch, side, side, 3) to logits; raises ValueError without a feature map in it."""
        backbone = _find_backbone(classifier)
        self._side = classifier.input_shape[1]
        self._lower = _up_to(backbone, classifier)
        self._upper = keras.Model(self._lower.output, classifier.output)
        self._wide, self._margin = _widen(self._lower, backbone)

    def decode(self, encoded: bytes) -> np.ndarray:
        """Returns JPEG or PNG bytes as float32 (side, side, 3) in 0 to 255, decoded as in training."""
        return decode_image(encoded, self._side).numpy()

    def heat_maps(self, images: Sequence[np.ndarray], labels: Sequence[int]) -> np.ndarray:
        """Shows where each image, of one or more from `decode`, raised the score of its label's class.

        Returns:
            float32 (N, height, width of the feature map), 0 to 1; a map is 0 all over when no pixel raised the score.
        """
        starts = range(0, len(images), _AT_ONCE)
        return np.concatenate([self._look(images[i : i + _AT_ONCE], labels[i : i + _AT_ONCE]) for i in starts])

    def _look(self, images: Sequence[np.ndarray], labels: Sequence[int]) -> np.ndarray:
        pixels = np.stack(images)
        seen = [np.flip(self._score_map(np.flip(pixels, axes), labels), axes) for axes in _MIRRORED]
        heat = np.maximum(np.mean(seen, axis=0), 0)
        return heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), np.finfo(np.float32).tiny)

    def _score_map(self, pixels: np.ndarray, labels: Sequence[int]) -> np.ndarray:
        """How much each place raises or lowers the logit of the label: float32 (N, height, width)."""
        feature_map = self._lower(pixels, training=False)
        with tf.GradientTape() as tape:
            tape.watch(feature_map)
            # An image's logit depends on no other image, so the sum has the gradients of all.
            logits = tf.gather(self._upper(feature_map, training=False), labels, batch_dims=1)
        # From here on in single precision, whatever the model was trained in.
        weight = tf.reduce_mean(tf.cast(tape.gradient(logits, feature_map), tf.float32), axis=(1, 2), keepdims=True)
        if self._wide is not None:
            margin = [(0, 0), (self._margin, self._margin), (self._margin, self._margin), (0, 0)]
            inner = slice(_MARGIN, -_MARGIN)
            feature_map = self._wide(np.pad(pixels, margin, mode="symmetric"), training=False)[:, inner, inner]
        return tf.reduce_sum(weight * tf.cast(feature_map, tf.float32), axis=-1).numpy()


def _find_backbone(classifier: keras.Model) -> keras.Model:
    for layer in reversed(classifier.layers):
        if isinstance(layer, keras.Model) and len(layer.output.shape) == 4:
            return layer
    raise ValueError(f"{classifier.name!r} has no inner model with a feature map of rank 4 as its output")


def _up_to(backbone: keras.Model, classifier: keras.Model) -> keras.Model:
    """The part of the classifier that ends with the backbone, whose own `output` is a tensor of another graph."""
    for layer in classifier.layers[classifier.layers.index(backbone) + 1 :]:
        for tensor in keras.tree.flatten(layer.input):
            lower = keras.Model(classifier.input, tensor)
            if lower.layers[-1] is backbone:
                return lower
    raise ValueError(f"nothing in {classifier.name!r} takes the feature map of {backbone.name!r}")


def _widen(lower: keras.Model, backbone: keras.Model) -> tuple[keras.Model | None, int]:
    """The backbone for pictures with a margin, and the margin in pixels; None where it takes pictures of one size."""
    side, places = lower.input_shape[1], lower.output_shape[1]
    # Between input and backbone there may be layers that take one size.
    if side % places or len(lower.layers) != 2:
        return None, 0
    margin = _MARGIN * side // places
    try:
        wide = keras.models.clone_model(
            backbone, input_tensors=keras.Input((None, None, 3)), clone_function=lambda layer: layer
        )
        reached = wide.compute_output_shape((1, side + 2 * margin, side + 2 * margin, 3))[1:3]
    # Errors of many types: a model of the user's own may hold any layer.
    except Exception:
        return None, 0
    return (wide, margin) if reached == (places + 2 * _MARGIN,) * 2 else (None, 0)
