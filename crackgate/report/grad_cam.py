"""Heat maps of the pixels that raised the score of a class: Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391)."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from crackgate.model.decoding import decode_image

# An image costs as much alone as with others; more at once would only take more memory.
_AT_ONCE = 8


class GradCam:
    """Grad-CAM on the last feature map of a classifier: a functional model around a backbone."""

    def __init__(self, classifier: keras.Model):
        """Takes a model from images (batch, side, side, 3) to logits; raises ValueError without a feature map in it."""
        feature_map = _find_feature_map(classifier)
        self._side = classifier.input_shape[1]
        self._lower = keras.Model(classifier.input, feature_map)
        self._upper = keras.Model(feature_map, classifier.output)

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
        feature_map = self._lower(np.stack(images), training=False)
        with tf.GradientTape() as tape:
            tape.watch(feature_map)
            # An image's logit depends on no other image, so the sum has the gradients of all.
            logits = tf.gather(self._upper(feature_map, training=False), labels, batch_dims=1)
        # From here on in single precision, whatever the model was trained in.
        slope, activation = (tf.cast(x, tf.float32) for x in (tape.gradient(logits, feature_map), feature_map))
        weight = tf.reduce_mean(slope, axis=(1, 2), keepdims=True)
        heat = tf.nn.relu(tf.reduce_sum(weight * activation, axis=-1)).numpy()
        return heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), np.finfo(np.float32).tiny)


def _find_feature_map(classifier: keras.Model) -> keras.KerasTensor:
    """The backbone's output within the classifier: `backbone.output` is a tensor of the backbone's own graph."""
    for layer in reversed(classifier.layers):
        if isinstance(layer, keras.Model) and len(layer.output.shape) == 4:
            return layer._inbound_nodes[-1].output_tensors[0]
    raise ValueError(f"{classifier.name!r} has no inner model with a feature map of rank 4 as its output")
