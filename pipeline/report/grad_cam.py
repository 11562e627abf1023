"""Heat maps of what spoke for an answer: Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391)."""

import keras
import numpy as np
import tensorflow as tf

from trainer.decoding import decode_image


class GradCam:
    """Grad-CAM on the last feature map of a classifier: a functional model around a backbone."""

    def __init__(self, classifier: keras.Model):
        """Takes a model from images (batch, side, side, 3) to logits.

        Raises:
            ValueError: It has no inner model that gives a feature map.
        """
        feature_map = _find_feature_map(classifier)
        self._side = classifier.input_shape[1]
        self._lower = keras.Model(classifier.input, feature_map)
        self._upper = keras.Model(feature_map, classifier.output)

    def heat_map(self, encoded: bytes, label: int) -> np.ndarray:
        """Returns where the picture spoke for a class.

        Args:
            encoded: JPEG or PNG bytes; decoded as in training.
            label: Position of the class among the logits.

        Returns:
            float32 in the feature map's height and width, 0 to 1; all 0 when nothing spoke for the class.
        """
        image = decode_image(encoded, self._side)
        feature_map = self._lower(image[tf.newaxis], training=False)
        with tf.GradientTape() as tape:
            tape.watch(feature_map)
            logit = self._upper(feature_map, training=False)[0, label]
        # Trained in half precision or not: what follows is not.
        slope, activation = (tf.cast(x, tf.float32)[0] for x in (tape.gradient(logit, feature_map), feature_map))
        heat = tf.nn.relu(tf.reduce_sum(tf.reduce_mean(slope, axis=(0, 1)) * activation, axis=-1)).numpy()
        return heat / max(heat.max(), np.finfo(np.float32).tiny)


def _find_feature_map(classifier: keras.Model) -> keras.KerasTensor:
    """The backbone's output within the classifier: `backbone.output` is a tensor of the backbone's own graph."""
    for layer in reversed(classifier.layers):
        if isinstance(layer, keras.Model) and len(layer.output.shape) == 4:
            return layer._inbound_nodes[-1].output_tensors[0]
    raise ValueError(f"{classifier.name!r} has no inner model with a feature map of rank 4 as its output")
